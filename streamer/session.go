package streamer

import (
	"sync"
	"sync/atomic"

	"github.com/quotewire/quotewire/streamer/wire"
)

// sub is one session's subscription to one topic: a position, no data.
type sub struct {
	session *session
	topic   *topic
	slot    int // place among the topic's subscribers; the lane's
	closed  atomic.Bool
	resync  atomic.Bool // the client asked for a snapshot

	dirty bool // in the session's list; under session.mu

	// Position. The lane sets it before the first mark, from then on it is the
	// session writer's.
	first   []byte // to be sent before anything else
	next    uint64 // index of the next frame to send
	seq     uint64 // of the last message sent
	synced  bool   // next is valid; else a snapshot is due
	catchUp bool   // after a snapshot or resume: frames up to the present may be several
	wished  bool   // a snapshot has been asked for
	wishAt  uint64 // head of the log at that time
}

// session is one client. Its lists are under mu; subscriptions under control;
// positions belong to the goroutine that writes.
type session struct {
	hub    *Hub
	id     string
	remote string

	mu       sync.Mutex
	dirty    []*sub
	messages [][]byte // replies and other messages that are no market data
	pong     []byte   // payload of the latest ping to be answered
	hasPong  bool
	since    int64 // lane time when the first of dirty was marked
	signal   chan struct{}

	control sync.Mutex
	subs    map[topicKey]*sub
	bySID   map[uint64]*sub
	follows []follow
	ended   bool

	done      chan struct{} // closed when the session ends
	endOnce   sync.Once
	endReason string

	spare []*sub // the writer's: the list it took last, to be used again
}

// follow is a pattern that also takes in instruments that appear later.
type follow struct {
	pattern string
	request wire.Request
}

// maxMessages is how many replies may wait for a client. Requests are answered
// one by one, so only a client that asks and does not read gets there.
const maxMessages = 1024

func newSession(h *Hub, id, remote string) *session {
	return &session{
		hub: h, id: id, remote: remote,
		signal: make(chan struct{}, 1), done: make(chan struct{}),
		subs: make(map[topicKey]*sub), bySID: make(map[uint64]*sub),
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
	full := len(s.messages) >= maxMessages
	if !full {
		s.messages = append(s.messages, msg)
	}
	s.mu.Unlock()
	if full {
		s.end("replies_unread")
		return
	}
	s.wake()
}

// send queues a typed message.
func (s *session) send(m wire.Message) {
	b, err := wire.Marshal(m)
	if err != nil {
		s.hub.cfg.Logger.Error("encode message", "err", err)
		return
	}
	s.push(b)
}

// end makes the session stop; the reason of the first call is kept.
func (s *session) end(reason string) {
	s.endOnce.Do(func() {
		s.endReason = reason
		close(s.done)
	})
}

// take returns what waits: replies, and subscriptions that have something new,
// with the time when the first of them was marked.
func (s *session) take() (messages [][]byte, dirty []*sub, since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages, s.messages = s.messages, nil
	dirty, s.dirty = s.dirty, s.spare[:0]
	s.spare = dirty
	for _, u := range dirty {
		u.dirty = false
	}
	return messages, dirty, s.since
}

// output is where a session's messages go.
type output interface {
	// add appends one JSON object; it may write.
	add(msg []byte) error
}

// collect sends what the subscription has not sent yet, straight from the
// topic's log.
func (s *session) collect(u *sub, out output) error {
	if u.closed.Load() {
		return nil
	}
	if u.first != nil {
		if err := out.add(u.first); err != nil {
			return err
		}
		u.first = nil
	}
	if u.resync.CompareAndSwap(true, false) {
		u.synced, u.wished = false, false
	}
	t := u.topic
	for {
		if u.synced {
			done, err := s.follow(u, t, out)
			if done || err != nil {
				return err
			}
		}
		head := t.log.head.Load()
		snap := t.snap.Load()
		fresh := snap != nil && (snap.index == head || u.wished && snap.index >= u.wishAt) && head-snap.index <= t.reach(true)
		if !fresh {
			if !u.wished || snap != nil && snap.index >= u.wishAt {
				u.wished, u.wishAt = true, head
				t.lane.mail.wish(u)
			}
			return nil // the lane marks it again when the snapshot is there
		}
		if err := out.add(snap.data); err != nil {
			return err
		}
		u.next, u.seq = snap.index, snap.seq
		u.synced, u.wished, u.catchUp = true, false, true
	}
}

// follow sends frames from the subscription's position on. It reports false if
// the position has fallen out of reach and a snapshot is due.
func (s *session) follow(u *sub, t *topic, out output) (bool, error) {
	for {
		head := t.log.head.Load()
		if u.next == head {
			u.catchUp = false
			return true, nil
		}
		behind := head - u.next
		if behind <= t.reach(u.catchUp) {
			if f := t.log.get(u.next); f != nil {
				if err := out.add(f.data); err != nil {
					return true, err
				}
				u.next, u.seq = f.index+1, f.seq
				continue
			}
		}
		s.hub.metrics.skipped.Add(float64(behind))
		if !t.lossless() {
			u.synced = false
			return false, nil
		}
		// It fell off the end of a log in which nothing may be skipped silently.
		// Half of the log is left as room to catch up in.
		f := t.log.from(head - uint64(len(t.log.slots))/2)
		if f == nil {
			continue // the lane went round meanwhile
		}
		if err := out.add(wire.AppendGap(nil, t.sid, u.seq+1, max(f.prev, u.seq+1), "slow_consumer")); err != nil {
			return true, err
		}
		if !t.events {
			u.synced = false
			return false, nil
		}
		u.next, u.seq = f.index, f.prev
	}
}
