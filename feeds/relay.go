package feeds

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Relay is the [Source] of a feed whose connections its provider cuts at a known
// age: two Supervisors of different names that take turns. When the connection of
// one has reached Policy.Lifetime, the other is started; when its books are live,
// the first tells that it is leaving (frame kind Leaving), and ends as soon as
// nothing shows it any longer. So there is no moment without a trusted book, and
// nothing that was told is told again.
//
// Set the fields before Run and leave them alone. Status and Resync are asked of
// the lines.
type Relay struct {
	// Lines are the two, the first of which begins. They have one Policy and one
	// Provider.
	Lines [2]*Supervisor
	// Standing tells how the books of one line stand beside another's, by the
	// names of their feeds.
	Standing func(ctx context.Context, from, to string) (Standing, error)
	Logger   *slog.Logger // nil discards

	mu      sync.Mutex
	running bool
}

// Standing is how far one line's books could do for another's.
type Standing struct {
	Waiting int // books that are live on the line that is to go, and not on the other
	Shown   int // books for which the line that is to go is still shown
}

const (
	// lifetimeJitter is the part by which a connection's life is shortened at
	// random, so that those that came together do not go together for ever.
	lifetimeJitter = 0.05
	// leaveWait bounds how long a line that is leaving waits for the other to
	// have all that it has. It is a matter of two lines' difference.
	leaveWait = 10 * time.Second
	// standingEvery and shownEvery are how often the books are compared.
	standingEvery = time.Second
	shownEvery    = 50 * time.Millisecond
)

// leg is one line at work.
type leg struct {
	*Supervisor
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // then why
}

// end stops the leg and waits for it.
func (l *leg) end() {
	l.cancel()
	<-l.done
}

// Run implements [Source]. It ends as a Supervisor's Run does.
func (r *Relay) Run(ctx context.Context, emit func(Frame) error) error {
	r.setRunning(true)
	defer r.setRunning(false)
	var mu sync.Mutex // one frame at a time, of both lines
	take := func(f Frame) error {
		mu.Lock()
		defer mu.Unlock()
		return emit(f)
	}
	start := func(line int) *leg {
		c, cancel := context.WithCancel(ctx)
		l := &leg{Supervisor: r.Lines[line], cancel: cancel, done: make(chan struct{})}
		go func() {
			defer close(l.done)
			l.err = l.Run(c, take)
		}()
		return l
	}
	policy := r.Lines[0].Policy.withDefaults(r.Lines[0].Connector)
	line := 0
	current := start(line)
	for {
		life := shorten(policy.Lifetime)
		if err := current.grow(ctx, life); err != nil {
			current.end()
			return err
		}
		relief := start(1 - line)
		took, err := r.handOver(ctx, policy, current, relief)
		if err != nil {
			current.cancel()
			relief.end()
			current.end()
			return err
		}
		if !took {
			relief.end()
			r.logger().Warn("line could not be relieved", "feed", current.Feed, "by", relief.Feed, "cause", relief.Status().Cause)
			if err := current.pass(ctx, life/20); err != nil {
				current.end()
				return err
			}
			continue
		}
		current.end()
		r.logger().Info("line is relieved", "feed", current.Feed, "by", relief.Feed, "age", life.Round(time.Second))
		line, current = 1-line, relief
	}
}

// grow waits until the line's connection has lived for so long. A line that is
// not up has no age; when it is up again, a new one begins.
func (l *leg) grow(ctx context.Context, life time.Duration) error {
	for {
		wait := life - l.age()
		if wait == life {
			wait = min(life, time.Minute) // not up, or just now
		}
		if wait <= 0 {
			return nil
		}
		if err := l.pass(ctx, wait); err != nil {
			return err
		}
	}
}

// pass lets time pass while the line is at work. Its error ends the Relay.
func (l *leg) pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.done:
		return l.err
	case <-timer.C:
		return ctx.Err()
	}
}

// handOver makes one line ready and the other leave. It reports whether the new
// line has taken over.
func (r *Relay) handOver(ctx context.Context, policy Policy, from, to *leg) (took bool, err error) {
	for began := time.Now(); ; {
		if err := to.pass(ctx, standingEvery); err != nil {
			return false, err
		}
		late := time.Since(began) >= policy.Handover
		switch to.Status().State {
		case StateLive, StateSuspect:
			st, err := r.Standing(ctx, from.Feed, to.Feed)
			if err != nil {
				return false, err
			}
			if st.Waiting > 0 && !late {
				continue
			}
			if st.Waiting > 0 {
				// A symbol that is quoted once an hour: its venue cuts the line
				// anyway.
				r.logger().Warn("line takes over without all books", "feed", to.Feed, "books", st.Waiting)
			}
			return true, r.leave(ctx, from, to)
		case StateRefused, StateEvicted:
			return false, nil
		}
		if late {
			return false, nil
		}
	}
}

// leave tells that a line is leaving and waits until none of its books is shown.
func (r *Relay) leave(ctx context.Context, from, to *leg) error {
	from.leave()
	for began := time.Now(); time.Since(began) < leaveWait; {
		st, err := r.Standing(ctx, from.Feed, to.Feed)
		if err != nil || st.Shown == 0 {
			return err
		}
		if err := to.pass(ctx, shownEvery); err != nil {
			return err
		}
	}
	return nil
}

// Status returns how one of the lines is: StateStandby while the other is at
// work.
func (r *Relay) Status(line int) Status {
	st := r.Lines[line].Status()
	r.mu.Lock()
	defer r.mu.Unlock()
	if st.State == StateStopped && r.running {
		st.State = StateStandby
	}
	return st
}

func (r *Relay) setRunning(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = on
}

func (r *Relay) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}

// shorten returns d and up to lifetimeJitter less.
func shorten(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()*lifetimeJitter*float64(d))
}

var _ Source = (*Relay)(nil)
