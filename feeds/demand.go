package feeds

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Demander is a Connection whose subscriptions can be changed while it is up. Its
// methods are called from another goroutine than Next, one at a time; they do not
// wait for answers.
type Demander interface {
	// Subscribe subscribes symbols, in the provider's spelling, to all channels of
	// the feed.
	Subscribe(symbols []string) error
	// Unsubscribe takes that back.
	Unsubscribe(symbols []string) error
}

// Demand is what is wanted of a feed now, symbol by symbol, in the provider's
// spelling. Each may be wanted by several, and is kept for a while after the last
// has let it go. It may serve several Supervisors, and its methods are safe from
// any goroutine. The zero value wants nothing and keeps nothing.
type Demand struct {
	// Linger is how long a symbol is kept that nobody wants any longer. It is set
	// before use.
	Linger time.Duration

	mu      sync.Mutex
	symbols map[string]*demanded
	changed chan struct{} // closed at the next change; nil while nobody waits
}

type demanded struct {
	by    int         // how many want it
	timer *time.Timer // ends it while it lingers
}

// Want notes that somebody wants the symbol.
func (d *Demand) Want(symbol string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.symbols[symbol]
	if s == nil {
		if d.symbols == nil {
			d.symbols = make(map[string]*demanded)
		}
		s = &demanded{}
		d.symbols[symbol] = s
		d.tell()
	}
	s.by++
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// Release takes back one Want.
func (d *Demand) Release(symbol string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.symbols[symbol]
	if s == nil || s.by == 0 {
		return
	}
	if s.by--; s.by > 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d.Linger, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if s.timer == timer && s.by == 0 {
			delete(d.symbols, symbol)
			d.tell()
		}
	})
	s.timer = timer
}

// tell wakes who waits for a change. mu is held.
func (d *Demand) tell() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// Symbols returns what is wanted, sorted.
func (d *Demand) Symbols() []string {
	symbols, _ := d.now()
	return symbols
}

// now returns what is wanted, sorted, and what is closed when that changes.
func (d *Demand) now() ([]string, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	symbols := make([]string, 0, len(d.symbols))
	for s := range d.symbols {
		symbols = append(symbols, s)
	}
	slices.Sort(symbols)
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return symbols, d.changed
}

// has reports whether the symbol is wanted.
func (d *Demand) has(symbol string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.symbols[symbol] != nil
}

// errIdle means that nobody wants anything of the feed.
var errIdle = errors.New("nobody wants its symbols")

// awaitDemand waits until something is wanted, and shows that it does.
func (r *run) awaitDemand(ctx context.Context) error {
	for {
		symbols, changed := r.s.Demand.now()
		if len(symbols) > 0 {
			return ctx.Err()
		}
		r.s.transition(func(st *Status) { st.State, st.Cause, st.NextRetry = StateIdle, errIdle.Error(), time.Time{} })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// inFlight is how long messages of a symbol that was unsubscribed may still come.
const inFlight = time.Second

// follow keeps a connection's subscriptions what is wanted; have is what it was
// made with. When nothing is wanted, it gives the connection up.
func (r *run) follow(ctx context.Context, conn Demander, have []string, giveUp func()) {
	for {
		want, changed := r.s.Demand.now()
		if len(want) == 0 {
			giveUp()
			return
		}
		add, drop := missing(want, have), missing(have, want)
		have = want
		// Failures show at the reader, which has the better error.
		if len(drop) > 0 {
			r.logger.Info("unsubscribe what nobody wants", "symbols", drop)
			_ = conn.Unsubscribe(drop)
		}
		if len(add) > 0 {
			r.logger.Info("subscribe what is wanted", "symbols", add)
			_ = conn.Subscribe(add)
		}
		if len(drop) > 0 {
			if sleep(ctx, inFlight) != nil {
				return
			}
			again := r.s.Demand.Symbols()
			for _, symbol := range drop {
				if _, ok := slices.BinarySearch(again, symbol); !ok {
					_ = r.emitText(Unsubscribed, symbol) // what fails downstream ends the connection by itself
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.policy.ResyncGap): // a client that subscribes many is one request
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// missing returns what is in a and not in b, both sorted.
func missing(a, b []string) (out []string) {
	for _, s := range a {
		if _, ok := slices.BinarySearch(b, s); !ok {
			out = append(out, s)
		}
	}
	return out
}
