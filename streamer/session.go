package streamer

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// session is one client. Its lists and its turn are under mu; subscriptions under
// control; positions belong to who has the turn.
type session struct {
	// What lanes and writers look at each time something is new, in as few cache lines
	// as it fits: a server has more sessions than fit the processor's caches.
	mu      sync.Mutex
	news    atomic.Int64            // the shortest spacing of the conflated streams that have news; 0 none has; set under mu
	since   int64                   // lane time when the first of them was due
	account atomic.Pointer[account] // of who signed in; nil before; set under control
	format  wire.Format             // set before the session begins
	turn    turn
	hasPong bool
	beating bool // a heartbeat is due
	covered bool // the watermark has moved on
	ending  bool // its end has been asked for

	every  subList // marked, to be sent at once: lossless streams, snapshots
	look   uint64  // number of the stream that the next look begins with, 0 the first; of who has the turn
	due    int64   // when its turn is to come, while it is queued; 0: as soon as may be
	hub    *Hub
	writer planner // who gives it its turns; nil in tests and in a Direct

	wrote int64 // when conflated streams were last written
	held  int64 // conflated streams are not written before that
	free  int64 // no stream is written before that: the client had more than it may
	pace  pace
	rate  int64 // bytes a second that the connection may take; 0: any
	place int   // in the writer's schedule, -1 if it is not in there; this and at under writer.mu
	at    int64

	messages [][]byte // replies and other messages that are no market data
	fetches  []*fetch // asked for again
	socket   *socket
	bars     atomic.Pointer[barSubs] // nil before the first stream of bars; set under control

	late                    bool          // the server, not the client's line; of who has the turn
	marks                   *bookmarks    // of a client of events, else nil; of who has the turn
	done                    chan struct{} // closed when the session ends
	addr                    *account      // of the address; nil without a connection
	sentMessages, sentBytes atomic.Int64

	queued int    // bytes of messages; under mu
	pong   []byte // payload of the latest ping to be answered; under mu
	id     string
	remote string

	control  sync.Mutex
	subs     []*sub            // by sid; replaced under control and mu, never changed
	pausing  map[topicKey]bool // streams that a request under way makes or leaves paused
	follows  []follow
	gone     bool // subscribes no more
	signedIn bool
	rights   *auth.Rights  // nil may see everything
	timer    *time.Timer   // when the rights end, or the time to show some
	limit    *rate.Limiter // of requests; nil without a connection

	ended atomic.Pointer[ending] // set before done is closed
}

// ending is why and when a session was ended.
type ending struct {
	reason string
	at     time.Time
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
	return &session{hub: h, id: id, remote: remote, done: make(chan struct{}), place: -1, signedIn: h.cfg.Access == nil}
}

// sub returns the subscription to the stream, nil if there is none. Under control.
func (s *session) sub(sid uint64) *sub {
	if i, ok := s.search(sid); ok {
		return s.subs[i]
	}
	return nil
}

func (s *session) search(sid uint64) (int, bool) { return searchSubs(s.subs, sid) }

// insert adds subscriptions to streams that have none. Under control.
func (s *session) insert(fresh []*sub) {
	if len(fresh) == 0 {
		return
	}
	subs := append(append(make([]*sub, 0, len(s.subs)+len(fresh)), s.subs...), fresh...)
	slices.SortFunc(subs, func(a, b *sub) int { return cmp.Compare(a.topic.sid, b.topic.sid) })
	s.replace(subs)
}

// replace sets the subscriptions. Under control.
func (s *session) replace(subs []*sub) {
	s.mu.Lock()
	s.subs = subs
	s.mu.Unlock()
}

// mark notes that a subscription has something that is to be sent at once: a
// lossless stream something new, or another what the client waits for, such as a
// snapshot. It costs a look at a flag while the client has not taken what was new
// before, else a lock that nobody holds for long, and never waits for the client.
// It reports whether it is the session's first. Only lanes call it.
func (s *session) mark(u *sub, now int64) (first bool) {
	// The position is read after the flag is taken off, so what is new now is seen
	// by who takes it off.
	if u.flags.Load()&subMarked != 0 {
		return false
	}
	if u.flags.Or(subMarked)&subMarked != 0 {
		return false // put back meanwhile
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if first = s.every.add(u); first {
		s.every.since = now
		s.arrange(now) // for others, it has been
	}
	return first
}

// stir notes that a conflated stream has news, which may be sent with a spacing.
// Which stream it is will be seen when the session has its turn and looks at all of
// them: so this costs a look at one number until then. Only lanes call it.
func (s *session) stir(now, spacing int64) {
	if n := s.news.Load(); n != 0 && n <= spacing {
		return
	}
	s.mu.Lock()
	switch n := s.news.Load(); {
	case n == 0:
		s.news.Store(spacing)
		s.since = max(now, s.wrote+spacing)
		s.arrange(now)
	case spacing < n:
		s.news.Store(spacing)
		s.arrange(now)
	}
	s.mu.Unlock()
}

// looked returns the conflated streams that have news, beginning with the one at
// which the last look's sending had to end. By who has the session's turn.
func (s *session) looked(subs []*sub) (list subList) {
	first := 0
	if s.look != 0 {
		first, _ = searchSubs(subs, s.look)
		s.look = 0
	}
	for _, part := range [2][]*sub{subs[first:], subs[:first]} {
		for _, u := range part {
			// One whose snapshot the output did not take is in no other list.
			if u.conflated && u.begun && (u.need || u.next < u.topic.log.head.Load()) && u.flags.Load()&(subClosed|subPaused) == 0 {
				list.add(u)
			}
		}
	}
	return list
}

// push queues a message that is no market data. A client that lets too many wait
// is ended.
func (s *session) push(msg []byte) { s.enqueue(msg, maxMessages) }

// pushStart queues a stream's first message, which many streams may have at once.
func (s *session) pushStart(msg []byte) { s.enqueue(msg, maxMessages+s.hub.cfg.MaxSubscriptions) }

func (s *session) enqueue(msg []byte, most int) {
	s.mu.Lock()
	n := len(s.messages)
	full := n >= most || n > 0 && s.queued+len(msg) > maxQueued
	if !full {
		s.messages = append(s.messages, msg)
		s.queued += len(msg)
		s.arrange(0)
	}
	s.mu.Unlock()
	if full {
		s.end(reasonUnread)
	}
}

// endReason returns why the session was ended, "" if it was not.
func (s *session) endReason() string {
	if e := s.ended.Load(); e != nil {
		return e.reason
	}
	return ""
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
	if !s.ended.CompareAndSwap(nil, &ending{reason, time.Now()}) {
		return
	}
	close(s.done)
	if c := s.connection(); c != nil {
		c.hurry()
	}
	s.mu.Lock()
	s.ending = true
	s.arrange(0)
	s.mu.Unlock()
}

// connect gives the session its connection, and from now on turns to write.
func (s *session) connect(c *socket, w planner) {
	s.mu.Lock()
	s.socket, s.writer = c, w
	s.arrange(0)
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
	messages  [][]byte
	fetches   []*fetch
	every     subList // that have something new
	state     subList
	spacing   int64 // the shortest of state; 0: it has not been looked for them
	rate      int64 // the session's
	pong      []byte
	hasPong   bool
	beating   bool
	covered   bool
	watermark int64 // that holds once every is written
	widened   bool  // the session's interval is
}

// empty reports whether nothing waits.
func (w *waiting) empty() bool {
	return len(w.messages) == 0 && len(w.fetches) == 0 && w.every.empty() && w.state.empty() && !w.hasPong && !w.beating && !w.covered
}

// take returns what waits and may be sent at the time.
func (s *session) take(now int64) (w waiting) {
	watermark := int64(0)
	if b := s.bars.Load(); b != nil {
		watermark = s.hub.watermarks[b.tier.Load()].least.Load() // before the lists, see watermark.go
	}
	s.mu.Lock()
	w.messages, w.pong, w.hasPong, w.beating, w.rate = s.messages, s.pong, s.hasPong, s.beating, s.rate
	s.messages, s.queued, s.pong, s.hasPong, s.beating = nil, 0, nil, false, false
	if now < s.free {
		s.mu.Unlock()
		return w
	}
	w.widened = s.pace.width > 0
	w.watermark, w.covered, s.covered = watermark, s.covered, false
	w.fetches, w.every = s.fetches, s.every
	s.fetches, s.every = nil, subList{}
	var subs []*sub
	since := s.since
	if n := s.news.Load(); n != 0 && now >= s.held {
		w.spacing, subs = n, s.subs
		s.news.Store(0) // before the look: what comes after it will be seen, or stirs again
	}
	s.mu.Unlock()
	if subs != nil {
		w.state = s.looked(subs)
		w.state.since = since
	}
	return w
}

// putBack returns what was taken and could not be sent. It goes before what has
// come meanwhile: on a connection that takes seconds for one round over its
// streams each stream must come forward in every round.
func (s *session) putBack(w *waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(w.messages) > 0 {
		for _, m := range w.messages {
			s.queued += len(m)
		}
		s.messages = append(w.messages, s.messages...)
	}
	s.fetches = append(w.fetches, s.fetches...)
	if u := w.state.pop(); u != nil {
		s.look = u.topic.sid
		n := s.news.Load()
		if n == 0 || w.spacing < n {
			n = w.spacing
		}
		s.news.Store(n)
		s.since = w.state.since
		w.state.clear()
	}
	s.every.prepend(&w.every)
	s.beating, s.covered = s.beating || w.beating, s.covered || w.covered
	if w.hasPong && !s.hasPong {
		s.pong, s.hasPong = w.pong, true
	}
}

// output is where a session's messages go.
type output interface {
	// room makes room for so many bytes in one or more messages. It may write, and
	// fail; then nothing more is to be added.
	room(n int) error
	// add adds n messages, each with the separator that follows it, that there is
	// room for.
	add(run []byte, n int)
}

// collectAll sends what the subscriptions of a list have not sent yet, and takes
// them off it, up to where the output fails. They were marked, or looked for.
func (s *session) collectAll(list *subList, marked bool, out output) error {
	for u := list.pop(); u != nil; u = list.pop() {
		if listed, err := s.collectOne(u, marked, out); err != nil {
			if !listed {
				list.unpop(u)
			}
			return err
		}
	}
	return nil
}

// collectOne takes a subscription from a list that was taken, and sends what it has
// not sent. Where the output fails, it is as if it had not been taken, unless a lane
// has put it into the session's list again: then listed is true.
func (s *session) collectOne(u *sub, marked bool, out output) (listed bool, err error) {
	if !marked {
		return false, s.collect(u, out)
	}
	u.flags.And(^subMarked) // from here on a lane may do so
	if err := s.collect(u, out); err != nil {
		return u.flags.Or(subMarked)&subMarked != 0, err
	}
	return false, nil
}

// collect sends what the subscription has not sent yet, straight from the
// topic's log. What it has not sent when the output fails it sends the next time.
func (s *session) collect(u *sub, out output) error {
	err := s.collectNew(u, out)
	if err == nil && u.topic.key.channel == wire.ChannelBar {
		s.bars.Load().settle(u, u.need && u.flags.Load()&subPaused == 0) // one that is paused holds no other back
	}
	return err
}

func (s *session) collectNew(u *sub, out output) error {
	flags := u.flags.Load()
	if flags&(subClosed|subPaused) != 0 {
		return nil
	}
	u.begun = true
	t := u.topic
	if flags&subResync != 0 {
		u.flags.And(^subResync)
		u.need, u.wished = true, false
	}
	for {
		if !u.need {
			if err := s.follow(u, t, t.log.head.Load(), out); err != nil || !u.need {
				return err
			}
		}
		snap := u.snapshot(s)
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
func (u *sub) snapshot(s *session) *frame {
	t := u.topic
	snap := t.snap.Load() // before the head, which is never behind it then
	head := t.log.head.Load()
	if snap != nil && (snap.index == head || u.wished && u.wishedBefore(snap)) {
		return snap
	}
	if !u.wished || snap != nil && u.wishedBefore(snap) {
		u.wished, u.wishAt = true, uint32(head)
		t.lane.mail.wish(u, s)
	}
	return nil
}

// wishedBefore reports whether the snapshot was made after it was asked for.
func (u *sub) wishedBefore(snap *frame) bool { return int32(uint32(snap.index)-u.wishAt) >= 0 }

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
	var gap []byte
	if u.known && t.lossless() && u.era == snap.era && snap.seq > u.seq {
		reason := gapResume
		if u.placed {
			reason = gapSlow
		}
		gap = s.gap(t.sid, u.seq+1, snap.seq, reason)
	}
	// Both or none: a gap that is told twice would be one too many.
	if err := out.room(len(gap) + maxScale + len(snap.data)); err != nil {
		return err
	}
	if gap != nil {
		out.add(gap, 1)
	}
	s.tellScale(u, snap, out)
	out.add(snap.data, 1)
	if u.placed && snap.index > u.next {
		s.hub.metrics.skipped.Add(float64(snap.index - u.next))
	}
	u.next, u.seq, u.era = snap.index, snap.seq, snap.era
	s.moved(t, snap)
	u.known, u.placed, u.catchUp = true, true, true
	u.need, u.wished = false, false
	return nil
}

// moved notes that the client has been sent all up to a frame.
func (s *session) moved(t *topic, f *frame) {
	if s.marks != nil {
		s.marks.set(t.symbol, f.epoch, f.seq)
	}
}

// maxScale is how long a message that tells a scale may be.
const maxScale = 64

// tellScale sends the scale of a frame that is to follow, unless the client knows
// it. In JSON numbers tell their own.
func (s *session) tellScale(u *sub, f *frame, out output) {
	if s.format == wire.FormatProto && (!u.scaled || u.scale != f.scale) {
		out.add(wire.AppendScale(nil, u.topic.sid, f.scale), 0)
		u.scaled, u.scale = true, f.scale
	}
}

// gap returns a gap with the separator that follows it.
func (s *session) gap(sid, from, to uint64, reason string) []byte {
	return append(s.format.Gap(nil, sid, from, to, reason), s.format.Separator()...)
}

// follow sends frames from the subscription's position up to the index. If the
// position has fallen out of reach, a snapshot is needed afterwards.
func (s *session) follow(u *sub, t *topic, to uint64, out output) error {
	for u.next < to {
		head := t.log.head.Load()
		if head-u.next <= t.reach(u.catchUp, s.late) {
			if f := t.log.get(u.next); f != nil {
				last := t.log.run(f, to)
				run := f.upTo(last)
				if err := out.room(maxScale + len(run)); err != nil {
					return err
				}
				s.tellScale(u, f, out)
				out.add(run, int(last.index-f.index)+1)
				u.next, u.seq, u.era = last.index+1, last.seq, last.era
				s.moved(t, last)
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
		if f.era != u.era {
			u.need = true // what is missing cannot be numbered
			return nil
		}
		if f.prev > u.seq {
			gap := s.gap(t.sid, u.seq+1, f.prev, gapSlow)
			if err := out.room(len(gap)); err != nil {
				return err
			}
			out.add(gap, 1)
		}
		s.hub.metrics.skipped.Add(float64(f.index - u.next))
		u.next, u.seq = f.index, f.prev
	}
	u.catchUp = u.catchUp && u.next < t.log.head.Load()
	return nil
}
