package streamer

import (
	"errors"
	"sync"
	"time"
)

// turn is where a session stands with its writer.
type turn uint8

const (
	turnIdle    turn = iota // nothing waits
	turnQueued              // something does, and the writer knows
	turnWriting             // somebody writes: the writer, or a goroutine that waits for the socket
	turnOver                // the last words have begun; nobody else writes any more
)

// planner is who gives a session its turns.
type planner interface {
	// plan sees to it that the session has a turn at a time, 0 now. Under session.mu.
	plan(s *session, due int64)
}

// writer writes for its share of the sessions, in one goroutine: those that have
// something new, one after the other, each all that waits and in as few writes as
// it fits. A socket that does not take it all at once gets a goroutine that waits
// for it; the writer goes on. So a burst costs one wakeup, and a client that idles
// no goroutine for writing.
type writer struct {
	hub    *Hub
	number int
	signal chan struct{}

	mu     sync.Mutex
	queue  []*session         // whose turn it is
	later  schedule[*session] // whose turn comes later
	beats  []beat             // by time, from beaten on
	beaten int
	asleep bool
	until  int64 // when it wakes by itself, while asleep

	// The goroutine's.
	spare   []*session
	beating []beat
	pen     pen
}

// beat is when a session's next heartbeat is due. All have the same interval, so that
// they stay in order: a timer for each would cost more.
type beat struct {
	at      int64
	session *session
}

func newWriter(h *Hub, number int) *writer {
	w := &writer{hub: h, number: number, signal: make(chan struct{}, 1)}
	w.pen.open(h)
	return w
}

// dueAt implements entry.
func (s *session) dueAt() int64 { return s.at }

// before implements entry.
func (s *session) before(o *session) bool { return s.at < o.at }

// slotOf implements entry.
func (s *session) slotOf() *int { return &s.place }

// arrange sees to it that the session gets a turn for what waits, and when. Under
// session.mu.
func (s *session) arrange(now int64) {
	if s.writer == nil || s.turn >= turnWriting {
		return // who writes looks again when it is done
	}
	due := int64(0)
	if len(s.messages) == 0 && !s.hasPong && !s.beating && !s.ending {
		switch {
		case !s.every.empty() || len(s.fetches) > 0 || s.covered:
			due = s.free
		case s.news.Load() != 0:
			due = max(s.wrote+s.news.Load(), s.held, s.free)
		default:
			return
		}
		if due <= now {
			due = 0
		}
	}
	if s.turn == turnQueued && s.due <= due {
		return
	}
	s.turn, s.due = turnQueued, due
	s.writer.plan(s, due)
}

// plan implements planner.
func (w *writer) plan(s *session, due int64) {
	w.mu.Lock()
	if s.place >= 0 {
		w.later.remove(s)
	}
	if due == 0 {
		w.queue = append(w.queue, s)
	} else {
		// Turns of the same millisecond share a wakeup.
		const grain = int64(time.Millisecond)
		s.at = (due + grain - 1) / grain * grain
		w.later.push(s)
		due = s.at
	}
	wake := w.asleep && due < w.until
	if wake {
		w.asleep = false
	}
	w.mu.Unlock()
	if wake {
		w.wake()
	}
}

// pulse gives a session a heartbeat from now on.
func (w *writer) pulse(s *session, now int64) {
	w.mu.Lock()
	wake := w.asleep && len(w.beats) == w.beaten
	w.beats = append(w.beats, beat{w.nextBeat(now), s})
	if wake {
		w.asleep = false
	}
	w.mu.Unlock()
	if wake {
		w.wake()
	}
}

// nextBeat returns when who has a heartbeat now has the next. Those of the same ten
// milliseconds share a wakeup.
func (w *writer) nextBeat(now int64) int64 {
	const grain = int64(10 * time.Millisecond)
	return (now + int64(w.hub.cfg.Heartbeat) + grain - 1) / grain * grain
}

// beat makes the heartbeats due whose time has come.
func (w *writer) beat(now int64) {
	w.mu.Lock()
	first := w.beaten
	for w.beaten < len(w.beats) && w.beats[w.beaten].at <= now {
		w.beaten++
	}
	due := w.beats[first:w.beaten]
	w.beating = append(w.beating[:0], due...)
	clear(due)
	if w.beaten > len(w.beats)/2 {
		n := copy(w.beats, w.beats[w.beaten:])
		clear(w.beats[n:])
		w.beats, w.beaten = w.beats[:n], 0
	}
	w.mu.Unlock()
	again := w.beating[:0]
	for _, b := range w.beating {
		b.session.mu.Lock()
		if b.session.beat(now) {
			again = append(again, beat{w.nextBeat(now), b.session})
		}
		b.session.mu.Unlock()
	}
	if len(again) > 0 {
		w.mu.Lock()
		w.beats = append(w.beats, again...)
		w.mu.Unlock()
	}
	clear(w.beating)
}

func (w *writer) wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// run gives turns until stop is closed.
func (w *writer) run(stop <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	began := w.hub.cfg.Now()
	load := load{from: began}
	for {
		now := w.hub.cfg.Now()
		w.pen.late, began = now-began > int64(lateRound), now
		if load.look(now) {
			w.tellLoad(load.high)
		}
		w.beat(now)
		w.mu.Lock()
		w.asleep = false
		for s := w.later.pop(now); s != nil; s = w.later.pop(now) {
			w.queue = append(w.queue, s)
		}
		list := w.queue
		w.queue = w.spare[:0]
		if len(list) == 0 {
			w.asleep, w.until = true, now+int64(time.Hour)
			if due, ok := w.later.next(); ok {
				w.until = min(w.until, due)
			}
			if w.beaten < len(w.beats) {
				w.until = min(w.until, w.beats[w.beaten].at)
			}
		}
		wait := time.Duration(w.until - now)
		w.mu.Unlock()
		if len(list) > 0 {
			w.pen.now = now
			for _, s := range list {
				w.serve(s)
			}
			clear(list)
			w.spare = list
			w.pen.count()
			continue
		}
		w.spare = list
		timer.Reset(wait)
		select {
		case <-w.signal:
		case <-timer.C:
		case <-stop:
			return
		}
		began = w.hub.cfg.Now()
		load.slept += began - now
	}
}

// load is how busy a writer is.
type load struct {
	from  int64 // begin of the time that is looked at
	slept int64 // in it
	high  bool
}

// look reports whether the load has become high, or is no longer.
func (l *load) look(now int64) bool {
	took, was := now-l.from, l.high
	switch {
	case took < int64(200*time.Millisecond):
		return false
	case 5*l.slept < took:
		l.high = true
	case 2*l.slept > took:
		l.high = false
	}
	l.from, l.slept = now, 0
	return l.high != was
}

// tellLoad tells lanes that the writer has much to do, or no longer has.
func (w *writer) tellLoad(high bool) {
	bit := uint64(1) << (w.number % 64)
	if high {
		w.hub.loaded.Or(bit)
	} else {
		w.hub.loaded.And(^bit)
	}
}

// lateRound is how long a writer's round over the sessions takes when it has more to
// do than it can.
const lateRound = 50 * time.Millisecond

// serve gives a session its turn.
func (w *writer) serve(s *session) {
	s.mu.Lock()
	if s.turn != turnQueued {
		// It was planned for later, and then for now while it was being taken out: it
		// stood in the queue twice, and has had its turn.
		s.mu.Unlock()
		return
	}
	c := s.socket
	s.turn = turnWriting
	if s.ending {
		s.turn = turnOver
	}
	s.mu.Unlock()
	switch {
	case s.turn == turnOver:
		go c.bye()
	case c.raw == nil:
		go c.drainWaiting()
	default:
		c.turned(c.drain(&w.pen), &w.pen, 0)
	}
}

// drainWaiting is a turn on a connection on which a write cannot but wait.
func (c *socket) drainWaiting() {
	p := newPen(c.session.hub)
	defer p.free()
	began := time.Now()
	err := c.drain(p)
	c.turned(err, p, time.Since(began))
}

// turned ends a turn, or hands it to a goroutine that waits for the socket.
func (c *socket) turned(err error, p *pen, waited time.Duration) {
	if wait := c.session.delivered(p.told, p.wrote(), p.now); wait > 0 {
		c.session.mu.Lock()
		c.session.free = p.now + int64(wait)
		c.session.mu.Unlock()
	}
	switch {
	case err == nil || errors.Is(err, errYield):
		c.done(p.now, waited)
	case errors.Is(err, errBlocked):
		go c.finish(p.takeRest())
	default:
		c.fail()
	}
}

// done ends a turn that waited so long for the socket; if there is more to write,
// there will be another.
func (c *socket) done(now int64, waited time.Duration) {
	s := c.session
	c.wrote(now)
	s.mu.Lock()
	s.turn = turnIdle
	if c.states {
		s.wrote = c.begun // if it took long, the next need not wait
	}
	if c.states || waited >= slowWrite {
		if s.pace.adapt(int64(waited), 4*c.spacing) {
			s.hub.metrics.widened.Inc()
		}
		s.held = max(s.wrote+s.pace.width, c.hold)
	}
	s.arrange(now)
	s.mu.Unlock()
}

// fail ends the session because a write failed.
func (c *socket) fail() {
	s := c.session
	s.mu.Lock()
	s.turn = turnOver
	s.mu.Unlock()
	s.end(reasonWrite)
	// A frame may be cut: nothing can follow it. This ends the reader too.
	_ = c.net.Close()
	close(c.written)
}
