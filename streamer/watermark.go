package streamer

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// A watermark says to a client that it has been sent all bars that end by then.
// The way it goes:
//
// A lane gets it in its place among the updates, sends what is final by it on each
// of its streams of bars, and only then shows it in watermarks. A session that has
// its turn reads the least of all lanes' first and takes its list of what moved
// afterwards, so that all frames that were sent before are in that list or were
// written already. Once it has written the list, and no stream of bars waits for a
// snapshot, it writes the watermark.

// Lanes that lag behind in time have watermarks of their own; a client of both goes
// by the latest.

// watermarks are how far the lanes are, and the sessions that want to know.
type watermarks struct {
	lanes []atomic.Int64
	least atomic.Int64 // of lanes; it never goes back

	mu       sync.Mutex
	sessions map[*session]struct{}
}

// reached notes that a lane has sent all that is final at the watermark, and wakes
// the sessions if all lanes have.
func (w *watermarks) reached(lane int, until, now int64) {
	w.lanes[lane].Store(until)
	w.mu.Lock()
	defer w.mu.Unlock()
	least := until
	for i := range w.lanes {
		least = min(least, w.lanes[i].Load())
	}
	if least <= w.least.Load() {
		return
	}
	w.least.Store(least)
	for s := range w.sessions {
		s.cover(now)
	}
}

// cover makes the session look whether there is a watermark to tell.
func (s *session) cover(now int64) {
	s.mu.Lock()
	s.covered = true
	s.arrange(now)
	s.mu.Unlock()
}

func (w *watermarks) join(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessions == nil {
		w.sessions = make(map[*session]struct{})
	}
	w.sessions[s] = struct{}{}
}

func (w *watermarks) leave(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, s)
}

// advance sends what is final at a watermark on the lane's streams of bars.
func (l *lane) advance(until, now int64) {
	l.now = now
	if until <= l.watermark {
		return
	}
	l.watermark = until
	for _, t := range l.bars {
		if c := t.content.(*barContent); t.rescale(&l.instrument(t.key.instrument).view, now) {
			c.advance(until)
		}
	}
	l.hub.watermarks[l.tier].reached(l.number, until, now)
}

// changedBars takes note of an update with bars, and sends what is due.
func (t *topic) changedBars(c *barContent, v *orderbook.View, u *orderbook.Update, now int64) {
	t.ts, t.rx = v.Time, v.Received
	c.note(v, u)
	next := t.sent + int64(t.key.interval)
	switch {
	case t.key.interval == 0 || now >= next:
		c.flush()
	case t.slot < 0 && slices.ContainsFunc(c.open, func(o openBar) bool { return o.n > 0 }):
		t.wait(next)
	}
}

// barSubs counts a session's streams of bars.
type barSubs struct {
	held   [orderbook.NumIntervals]atomic.Int32 // by interval
	tier   atomic.Int32                         // of hub.watermarks: the latest that one of them was of
	behind atomic.Int32                         // that have something to be sent before a watermark may be
	told   [orderbook.NumIntervals]int64        // the last watermark; belongs to who has the session's turn
}

// streamsBars returns what counts the session's streams of bars. Under control.
func (s *session) streamsBars() *barSubs {
	b := s.bars.Load()
	if b == nil {
		b = &barSubs{}
		s.bars.Store(b)
	}
	return b
}

// begin counts a stream before it is acknowledged.
func (b *barSubs) begin(u *sub) {
	b.held[u.topic.key.bar].Add(1)
	if tier := int32(u.topic.lane.tier); tier > b.tier.Load() {
		b.tier.Store(tier) // under control, as all that begin
	}
	b.behind.Add(1)
}

// end takes a stream off.
func (b *barSubs) end(u *sub) {
	b.held[u.topic.key.bar].Add(-1)
	b.settle(u, false)
}

// settle notes whether a stream waits for a snapshot, after it was written or ended.
func (b *barSubs) settle(u *sub, waits bool) {
	if waits {
		if u.flags.And(^subCurrent)&subCurrent != 0 {
			b.behind.Add(1)
		}
		if u.flags.Load()&subClosed == 0 {
			return
		}
	}
	if u.flags.Or(subCurrent)&subCurrent == 0 {
		b.behind.Add(-1)
	}
}

// tellWatermarks appends the watermarks that are news to the client.
func (s *session) tellWatermarks(watermark int64, out output) error {
	b := s.bars.Load()
	if b == nil {
		return nil
	}
	for i := range b.told {
		interval := orderbook.Interval(i)
		length := int64(interval.Length())
		if interval == orderbook.Day {
			length = int64(orderbook.Hour.Length()) // days end at different hours
		}
		until := watermark - watermark%length
		if until <= b.told[i] || b.held[i].Load() == 0 || b.behind.Load() > 0 {
			continue
		}
		m, err := s.format.Append(nil, &wire.Watermark{Bar: interval.String(), Until: until / 1000})
		if err != nil {
			s.hub.cfg.Logger.Error("encode watermark", "err", err)
			continue
		}
		m = append(m, s.format.Separator()...)
		if err := out.room(len(m)); err != nil {
			return err
		}
		out.add(m, 1)
		b.told[i] = until
	}
	return nil
}
