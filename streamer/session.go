package streamer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// sub is one session's subscription to one topic: a position, no data.
type sub struct {
	session *session
	topic   *topic
	slot    int32 // place among the topic's subscribers; the lane's
	closed  atomic.Bool
	resync  atomic.Bool // the client asked for a snapshot

	dirty bool // in the session's list; under session.mu

	// Position. The lane sets it before the first mark, from then on it is the
	// session writer's.
	need    bool         // a snapshot is due
	known   bool         // the client holds what epoch and seq say
	placed  bool         // and what follows that is in the log from next on
	catchUp bool         // after a snapshot or resume: frames up to the present may be several
	wished  bool         // a snapshot has been asked for
	scaled  bool         // the client knows the scale; Protocol Buffers only
	scale   market.Scale // of the frame sent last
	epoch   uint64       // of seq
	seq     uint64       // of the last message sent
	next    uint64       // index of the next frame to send
	wishAt  uint64       // head of the log when a snapshot was asked for
	first   *frame       // to be sent before anything else
}

// session is one client. Its lists are under mu; subscriptions under control;
// positions belong to the goroutine that writes.
type session struct {
	hub    *Hub
	format wire.Format // set before the session begins
	id     string
	remote string

	mu       sync.Mutex
	dirty    []*sub
	messages [][]byte // replies and other messages that are no market data
	queued   int      // bytes of messages
	pong     []byte   // payload of the latest ping to be answered
	hasPong  bool
	since    int64 // lane time when the first of dirty was marked
	socket   *socket
	signal   chan struct{}

	control sync.Mutex
	subs    map[uint64]*sub // by sid
	follows []follow
	ended   bool

	done      chan struct{} // closed when the session ends
	endOnce   sync.Once
	endReason string // this and endedAt are set before done is closed
	endedAt   time.Time

	spare []*sub // the writer's: the list it took last, to be used again
}

// follow is a pattern that also takes in instruments that appear later.
type follow struct {
	pattern string
	request wire.Request // without symbols and positions
}

// maxMessages and maxQueued are how many replies, and bytes of them, may wait for
// a client. Requests are answered one by one, so only a client that asks and does
// not read gets there.
const (
	maxMessages = 1024
	maxQueued   = 4 << 20
)

func newSession(h *Hub, id, remote string) *session {
	return &session{
		hub: h, id: id, remote: remote,
		signal: make(chan struct{}, 1), done: make(chan struct{}),
		subs: make(map[uint64]*sub),
	}
}

// mark notes that the subscription's topic has something new. It costs a lock
// that nobody holds for long, and never waits for the client.
func (s *session) mark(u *sub, now int64) {
	s.mu.Lock()
	if u.dirty {
		s.mu.Unlock()
		return
	}
	u.dirty = true
	s.dirty = append(s.dirty, u)
	first := len(s.dirty) == 1
	if first {
		s.since = now
	}
	s.mu.Unlock()
	if first {
		s.wake()
	}
}

func (s *session) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// push queues a message that is no market data. A client that lets too many wait
// is ended.
func (s *session) push(msg []byte) {
	s.mu.Lock()
	n := len(s.messages)
	full := n >= maxMessages || n > 0 && s.queued+len(msg) > maxQueued
	if !full {
		s.messages = append(s.messages, msg)
		s.queued += len(msg)
	}
	s.mu.Unlock()
	if full {
		s.end(reasonUnread)
		return
	}
	s.wake()
}

// send queues a typed message.
func (s *session) send(m wire.Message) {
	b, err := s.format.Append(nil, m)
	if err != nil {
		s.hub.cfg.Logger.Error("encode message", "err", err)
		return
	}
	s.push(b)
}

// end makes the session stop; the reason of the first call is kept.
func (s *session) end(reason string) {
	s.endOnce.Do(func() {
		s.endReason, s.endedAt = reason, time.Now()
		close(s.done)
		if c := s.connection(); c != nil {
			c.hurry()
		}
	})
}

// connect gives the session its connection.
func (s *session) connect(c *socket) {
	s.mu.Lock()
	s.socket = c
	s.mu.Unlock()
	if s.over() {
		c.hurry()
	}
}

// connection returns the session's connection, nil if it has none.
func (s *session) connection() *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.socket
}

// over reports whether the session has been ended.
func (s *session) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// waiting is what waits to be written.
type waiting struct {
	messages [][]byte
	dirty    []*sub // that have something new
	since    int64  // when the first of dirty was marked
	pong     []byte
	hasPong  bool
}

// take returns what waits. The list of subscriptions is good until the next call.
func (s *session) take() (w waiting) {
	// Only now, or those that were unsubscribed would be kept alive by it.
	clear(s.spare)
	s.mu.Lock()
	defer s.mu.Unlock()
	w = waiting{s.messages, s.dirty, s.since, s.pong, s.hasPong}
	s.messages, s.queued, s.pong, s.hasPong = nil, 0, nil, false
	s.dirty, s.spare = s.spare[:0], s.dirty
	for _, u := range w.dirty {
		u.dirty = false
	}
	return w
}

// output is where a session's messages go.
type output interface {
	// add appends one message; it may write.
	add(msg []byte) error
}

// put sends a frame. In Protocol Buffers its scale goes before it, unless the
// client knows it.
func (s *session) put(u *sub, f *frame, out output) error {
	if s.format == wire.FormatProto && (!u.scaled || u.scale != f.scale) {
		if err := out.add(wire.AppendScale(nil, u.topic.sid, f.scale)); err != nil {
			return err
		}
		u.scaled, u.scale = true, f.scale
	}
	return out.add(f.data)
}

// collect sends what the subscription has not sent yet, straight from the
// topic's log.
func (s *session) collect(u *sub, out output) error {
	if u.closed.Load() {
		return nil
	}
	t := u.topic
	if u.first != nil {
		if err := s.put(u, u.first, out); err != nil {
			return err
		}
		u.first = nil
	}
	if u.resync.CompareAndSwap(true, false) {
		u.need, u.wished = true, false
	}
	for {
		if !u.need {
			if err := s.follow(u, t, t.log.head.Load(), out); err != nil || !u.need {
				return err
			}
		}
		snap := u.snapshot()
		if snap == nil {
			return nil // the lane marks it again when the snapshot is there
		}
		if err := s.restart(u, t, snap, out); err != nil {
			return err
		}
	}
}

// snapshot returns a snapshot that may be sent now; nil if there is none, and
// then it has been asked for.
//
// One that was asked for is sent even if the log has left it behind meanwhile:
// on a connection that takes seconds for one round over its streams each stream
// must come forward in every round.
func (u *sub) snapshot() *frame {
	t := u.topic
	snap := t.snap.Load() // before the head, which is never behind it then
	head := t.log.head.Load()
	if snap != nil && (snap.index == head || u.wished && snap.index >= u.wishAt) {
		return snap
	}
	if !u.wished || snap != nil && snap.index >= u.wishAt {
		u.wished, u.wishAt = true, head
		t.lane.mail.wish(u)
	}
	return nil
}

// restart sends a snapshot. On a stream in which nothing may be left out
// silently, what came before it goes first as far as it is still there, and a gap
// names the rest.
func (s *session) restart(u *sub, t *topic, snap *frame, out output) error {
	if u.placed && t.lossless() {
		if err := s.follow(u, t, snap.index, out); err != nil {
			return err
		}
		if u.next > snap.index {
			u.need, u.wished = true, false
			return nil // it jumped over the snapshot
		}
	}
	if u.known && t.lossless() && u.epoch == snap.epoch && snap.seq > u.seq {
		reason := gapResume
		if u.placed {
			reason = gapSlow
		}
		if err := out.add(s.format.Gap(nil, t.sid, u.seq+1, snap.seq, reason)); err != nil {
			return err
		}
	}
	if u.placed && snap.index > u.next {
		s.hub.metrics.skipped.Add(float64(snap.index - u.next))
	}
	if err := s.put(u, snap, out); err != nil {
		return err
	}
	u.next, u.seq, u.epoch = snap.index, snap.seq, snap.epoch
	u.known, u.placed, u.catchUp = true, true, true
	u.need, u.wished = false, false
	return nil
}

// follow sends frames from the subscription's position up to the index. If the
// position has fallen out of reach, a snapshot is needed afterwards.
func (s *session) follow(u *sub, t *topic, to uint64, out output) error {
	for u.next < to {
		head := t.log.head.Load()
		if head-u.next <= t.reach(u.catchUp) {
			if f := t.log.get(u.next); f != nil {
				if err := s.put(u, f, out); err != nil {
					return err
				}
				u.next, u.seq, u.epoch = f.index+1, f.seq, f.epoch
				continue
			}
		}
		if !t.events {
			u.need = true
			return nil
		}
		// It fell off the end of the log. Half of the log is left as room to catch
		// up in.
		f := t.log.from(head - uint64(len(t.log.slots))/2)
		if f == nil {
			continue // the lane went round meanwhile
		}
		if f.epoch != u.epoch {
			u.need = true // what is missing cannot be numbered
			return nil
		}
		s.hub.metrics.skipped.Add(float64(f.index - u.next))
		if f.prev > u.seq {
			if err := out.add(s.format.Gap(nil, t.sid, u.seq+1, f.prev, gapSlow)); err != nil {
				return err
			}
		}
		u.next, u.seq = f.index, f.prev
	}
	u.catchUp = u.catchUp && u.next < t.log.head.Load()
	return nil
}
