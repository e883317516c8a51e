package feeds

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Supervisor is the [Source] of one live feed: it keeps a connection of its
// Connector up, tells of each change in the stream, and watches over silence.
//
// The stream of a connection is Up, then Data, then Down; Stale comes before
// Down where the cause is silence. Messages that came while connecting follow
// Up, with their own receive times; Up has the earliest of these, so that
// receive times do not go back within a connection. Of an attempt that fails,
// what the provider said is told as Data, and then Down only where its cause
// differs from that of the last Down, so that an outage of an hour is not a
// hundred frames.
//
// Set the fields before Run and leave them alone. One Run at a time. Resync and
// Status are safe from any goroutine.
type Supervisor struct {
	Feed      string // name of the feed connection, as in the config
	Provider  string // which decoder understands it
	Connector Connector
	Policy    Policy
	Demand    *Demand       // what is subscribed, where not the Connector's config decides; its connections are Demanders
	Dials     *rate.Limiter // spaces attempts to connect, those of other feeds of the provider too; nil does not
	Logger    *slog.Logger  // nil discards

	frames, bytes, resyncsSent atomic.Uint64
	lastFrame                  atomic.Int64 // ns since the Unix epoch
	emitting                   atomic.Bool  // downstream is at work; the silence is ours

	resyncs resyncQueue

	mu      sync.Mutex // guards what changes at transitions only
	status  Status     // without what is counted above
	run     *run       // of Run; nil while it is not running
	ups     uint64     // connections that came up
	try     *Attempt   // the latest
	conn    Connection // nil unless up
	upSince time.Time  // of conn
}

// Run keeps the feed up until ctx ends, and then returns ctx.Err, or until emit
// fails, and then returns that error. No failure of the provider ends it. It
// returns within 3 s.
func (s *Supervisor) Run(ctx context.Context, emit func(Frame) error) error {
	policy := s.Policy.withDefaults(s.Connector)
	r := &run{s: s, policy: policy, retry: newRetry(policy), downstream: emit, logger: s.logger()}
	s.transition(func(*Status) { s.run = r })
	defer s.transition(func(st *Status) { s.run, st.State, st.NextRetry = nil, StateStopped, time.Time{} })
	for {
		if s.Demand != nil {
			if err := r.awaitDemand(ctx); err != nil {
				return err
			}
		}
		end, err := r.attempt(ctx)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(end, errIdle) {
			continue
		}
		if err := r.wait(ctx, end); err != nil {
			return err
		}
	}
}

// Resync asks the provider for a fresh book of the symbol. See [Resyncer]; a
// symbol is asked for at most every Policy.ResyncEvery. Where the provider has
// no such request it does nothing.
func (s *Supervisor) Resync(venueSymbol string) {
	if s.Demand != nil && !s.Demand.has(venueSymbol) {
		return
	}
	s.resyncs.ask(venueSymbol, time.Now(), s.Policy.withDefaults(s.Connector).ResyncEvery)
}

// Lifetime returns the age at which a connection of the feed is to be relieved, by
// its Policy and its Connector; 0 or less is never.
func (s *Supervisor) Lifetime() time.Duration { return s.Policy.withDefaults(s.Connector).Lifetime }

// age returns how long the connection has been up; 0 if there is none.
func (s *Supervisor) age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return 0
	}
	return time.Since(s.upSince)
}

// leave tells downstream that the connection, if one is up, is about to be ended
// on purpose.
func (s *Supervisor) leave() {
	s.mu.Lock()
	r, up := s.run, s.conn != nil
	s.mu.Unlock()
	if r != nil && up {
		// What fails downstream ends the run by itself.
		_ = r.emit(Frame{Kind: Leaving, Feed: s.Feed, Provider: s.Provider})
	}
}

// Status returns how the feed is now.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	st, ups, try, conn := s.status, s.ups, s.try, s.conn
	s.mu.Unlock()
	st.Feed, st.Provider = s.Feed, s.Provider
	if st.State == "" {
		st.State = StateStopped
	}
	if ups > 0 {
		st.Reconnects = ups - 1
	}
	st.Frames, st.Bytes, st.Resyncs = s.frames.Load(), s.bytes.Load(), s.resyncsSent.Load()
	if ns := s.lastFrame.Load(); ns != 0 {
		st.LastFrame = time.Unix(0, ns).UTC()
	}
	if try != nil {
		st.Problems = try.Problems()
	}
	if b, ok := conn.(interface{ Backlog() int }); ok {
		st.Backlog = b.Backlog()
	}
	return st
}

// transition changes the status, and notes since when it is in its state.
func (s *Supervisor) transition(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.status.State
	change(&s.status)
	if s.status.State != was {
		s.status.Since = time.Now().UTC()
	}
}

func (s *Supervisor) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger.With("feed", s.Feed, "provider", s.Provider)
}

var (
	_ Source   = (*Supervisor)(nil)
	_ Resyncer = (*Supervisor)(nil)
)
