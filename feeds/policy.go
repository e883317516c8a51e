package feeds

import "time"

// Policy says how patient a [Supervisor] is. A zero field means its default.
type Policy struct {
	// Mute is how long a connection may be silent, heartbeats included, before
	// it is taken for dead; negative is for ever. Default: what the Connector
	// says if it has a method Mute() time.Duration, else 10 s. Once the usual
	// silence of a connection is known, its longest in the last minutes, less is
	// enough: it is suspect after 3/2 of that, stale after 5/2, and given up then
	// or after 3 s.
	Mute time.Duration
	// MinSilence is the least silence that makes a connection stale before Mute:
	// networks and machines pause. Default 1 s.
	MinSilence time.Duration
	// Idle says that the provider has no heartbeat, so that a quiet market is
	// silent by right: only a connection whose usual silence is known is taken for
	// dead, after Mute at the earliest. The Connector says so by a method Idle()
	// bool, which holds where Mute is left to it.
	Idle bool
	// Closed, if set, reports whether the feed's markets are closed at a time:
	// silence means nothing then.
	Closed func(time.Time) bool
	// Stable is how long a connection must have carried messages before the
	// next loss starts again at InitialBackoff. A provider that accepts and
	// then kicks us is thus met with growing patience. Default 30 s.
	Stable time.Duration
	// InitialBackoff and MaxBackoff bound the wait after a loss. It doubles from
	// one to the other; each wait is then moved by up to half at random, so
	// that many feeds do not come back together. Default 500 ms and 60 s.
	InitialBackoff, MaxBackoff time.Duration
	// RefusedRetry is the wait after CauseRefused. Default 5 min.
	RefusedRetry time.Duration
	// EvictedRetry is the first wait after CauseEvicted; it doubles up to
	// EvictedMax. Default 30 s and 15 min.
	EvictedRetry, EvictedMax time.Duration
	// MaxRetryAfter bounds what a provider may ask by Retry-After. Default
	// 15 min.
	MaxRetryAfter time.Duration
	// ConnectTimeout bounds dialing and signing in. Default 20 s.
	ConnectTimeout time.Duration
	// Lifetime is the age at which a [Relay] replaces a connection, because its
	// provider would cut it not much later; negative is never. Default: what the
	// Connector says if it has a method Lifetime() time.Duration, else never.
	Lifetime time.Duration
	// Handover bounds how long the old connection of a Relay waits for the books
	// of the new one. Default 10 min.
	Handover time.Duration
	// ResyncEvery is the least time between two resyncs of one symbol. Default
	// 5 s.
	ResyncEvery time.Duration
	// ResyncGap is the least time between two resyncs of any symbols, so that a
	// hundred broken books do not break the provider's message limit. Default
	// 50 ms.
	ResyncGap time.Duration
}

// withDefaults fills the zero fields of p, asking c where it knows better.
func (p Policy) withDefaults(c Connector) Policy {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	if i, ok := c.(interface{ Idle() bool }); ok && p.Mute == 0 {
		p.Idle = p.Idle || i.Idle()
	}
	if m, ok := c.(interface{ Mute() time.Duration }); ok {
		set(&p.Mute, m.Mute())
	}
	if l, ok := c.(interface{ Lifetime() time.Duration }); ok {
		set(&p.Lifetime, l.Lifetime())
	}
	set(&p.MinSilence, time.Second)
	set(&p.Handover, 10*time.Minute)
	set(&p.Mute, 10*time.Second)
	set(&p.Stable, 30*time.Second)
	set(&p.InitialBackoff, 500*time.Millisecond)
	set(&p.MaxBackoff, time.Minute)
	set(&p.RefusedRetry, 5*time.Minute)
	set(&p.EvictedRetry, 30*time.Second)
	set(&p.EvictedMax, 15*time.Minute)
	set(&p.MaxRetryAfter, 15*time.Minute)
	set(&p.ConnectTimeout, 20*time.Second)
	set(&p.ResyncEvery, 5*time.Second)
	set(&p.ResyncGap, 50*time.Millisecond)
	p.MaxBackoff = max(p.MaxBackoff, p.InitialBackoff)
	p.EvictedMax = max(p.EvictedMax, p.EvictedRetry)
	return p
}
