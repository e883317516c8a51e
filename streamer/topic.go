package streamer

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// topicKey is what makes two subscriptions the same stream.
type topicKey struct {
	instrument market.InstrumentID
	channel    wire.Channel
	venue      market.VenueID
	depth      int // book: levels a side, 0 all
	interval   time.Duration
	venues     bool // book: split of each level by venue
	checksum   bool // book
}

// content is what a topic shows, by channel. It remembers the state that was
// sent last, which is what deltas are against and what a snapshot repeats.
type content interface {
	// concerns reports whether an update may change what is shown.
	concerns(u *orderbook.Update) bool
	// note takes an update that concerns it, after the view has been brought
	// forward.
	note(v *orderbook.View, u *orderbook.Update)
	// delta appends the fields that differ from what was sent last and makes
	// them sent; false if there are none.
	delta(dst []byte, v *orderbook.View) ([]byte, bool)
	// snapshot appends all the fields of what was sent last.
	snapshot(dst []byte) []byte
	// load makes the view's state the one sent last, without a message.
	load(v *orderbook.View)
}

// topic is one stream. It belongs to its lane, but for log and snap, which
// sessions read, and the fields set at its making.
type topic struct {
	key    topicKey
	sid    uint64
	lane   *lane
	symbol string
	venue  string
	events bool // a stream of events: no change may be left out
	log    *frameLog
	snap   atomic.Pointer[frame] // the latest snapshot; its index is the log's head when it was made

	content content
	subs    []*sub
	epochN  uint64
	epoch   string
	seq     uint64
	ts, rx  int64 // of what was sent last
	n       uint64
	since   int64 // receive time of the first change not sent yet
	sent    int64 // when a frame was last appended, lane time
	due     int64 // when the next may be, if queued
	slot    int   // place in the lane's schedule, -1 if not queued
	idle    int64 // since when it has no subscriber; 0 if it has
	frames  prometheus.Counter
	folded  prometheus.Counter
}

// lossless reports whether a session must get every frame or be told of a gap.
func (t *topic) lossless() bool { return t.events || t.key.interval == 0 }

// reach is how many frames behind a session may be and still be brought up by
// frames. A conflated stream catches up with one message, however far behind.
func (t *topic) reach(afterSnapshot bool) uint64 {
	if t.lossless() || afterSnapshot {
		return uint64(len(t.log.slots))
	}
	return 1
}

func (l *lane) newTopic(key topicKey, now int64) *topic {
	cfg := &l.hub.cfg
	t := &topic{
		key: key, lane: l, slot: -1,
		symbol: cfg.Directory.Symbol(key.instrument),
		venue:  cfg.Directory.VenueName(key.venue),
		events: key.channel == wire.ChannelTrade,
	}
	n := cfg.StateFrames
	if t.lossless() {
		n = cfg.LogFrames
	}
	t.log = newFrameLog(n)
	switch key.channel {
	case wire.ChannelBook:
		t.content = &bookContent{key: key, lane: l}
	case wire.ChannelQuote:
		t.content = &quoteContent{key: key, lane: l}
	case wire.ChannelTicker:
		t.content = &tickerContent{lane: l, conflated: key.interval > 0}
	case wire.ChannelTrade:
		t.content = &tradeContent{venue: key.venue, lane: l}
	}
	t.frames = l.hub.metrics.frames.WithLabelValues(key.channel.String())
	t.folded = l.hub.metrics.folded.WithLabelValues(key.channel.String())
	v := &l.instrument(key.instrument).view
	t.position(v)
	t.content.load(v)
	// As if sent one interval ago: the first change goes out at once.
	t.sent = now - int64(key.interval)
	return t
}

// position takes the view's epoch and sequence.
func (t *topic) position(v *orderbook.View) {
	if t.epoch == "" || t.epochN != v.Epoch {
		t.epochN, t.epoch = v.Epoch, fmt.Sprintf("%x", v.Epoch)
	}
	t.seq = v.Seq
	if t.events {
		t.seq = v.TradeSeq
	}
	t.ts, t.rx = v.Time, v.Received
}

// changed takes note of an update that concerns the topic, and sends it if it is
// due.
func (t *topic) changed(v *orderbook.View, u *orderbook.Update, now int64) {
	if t.n == 0 {
		t.since = u.Received
	}
	t.n++
	t.content.note(v, u)
	if t.slot >= 0 {
		return
	}
	if next := t.sent + int64(t.key.interval); now >= next {
		t.emit(v, now)
	} else {
		t.due = next
		t.lane.schedule.push(t)
	}
}

// emit appends one delta for everything since the last one, if there is anything.
func (t *topic) emit(v *orderbook.View, now int64) {
	if t.n == 0 {
		return
	}
	l := t.lane
	h := wire.Head{SID: t.sid, Seq: v.Seq, Prev: t.seq, N: t.n, TS: v.Time, RX: v.Received, TX: now}
	if t.n > 1 {
		h.Span = v.Received - t.since
	}
	var changed bool
	if t.events {
		h.Seq, h.N, h.Span = v.TradeSeq, 0, 0
		l.buf = wire.AppendTrade(l.buf[:0], &h)
	} else {
		l.buf = wire.AppendDelta(l.buf[:0], &h)
	}
	if l.buf, changed = t.content.delta(l.buf, v); !changed {
		if t.key.interval == 0 {
			t.n = 0
		}
		return
	}
	l.buf = append(l.buf, '}')
	t.folded.Add(float64(t.n))
	t.position(v)
	t.n, t.sent = 0, now
	t.append(&frame{prev: h.Prev, seq: t.seq, data: slices.Clone(l.buf)}, now)
}

func (t *topic) append(f *frame, now int64) {
	t.log.append(f)
	t.frames.Inc()
	for _, u := range t.subs {
		u.session.mark(u, now)
	}
}

// restart begins a new epoch: everybody gets a snapshot.
func (t *topic) restart(v *orderbook.View, now int64) {
	t.reload(v)
	data := t.encodeSnapshot(now)
	t.sent = now
	t.append(&frame{prev: t.seq, seq: t.seq, snapshot: true, data: data}, now)
}

// jump tells subscribers of a stream of events that the books had to be repaired
// upstream and which events will not come.
func (t *topic) jump(v *orderbook.View, now int64) {
	from := t.seq + 1
	t.reload(v)
	if t.seq < from {
		return
	}
	l := t.lane
	l.buf = wire.AppendGap(l.buf[:0], t.sid, from, t.seq, "upstream_gap")
	t.append(&frame{prev: from - 1, seq: t.seq, data: slices.Clone(l.buf)}, now)
}

// reload takes the view's state as the one sent.
func (t *topic) reload(v *orderbook.View) {
	if t.slot >= 0 {
		t.lane.schedule.remove(t)
	}
	t.n = 0
	t.position(v)
	t.content.load(v)
}

// encodeSnapshot returns the state that was sent last as a message.
func (t *topic) encodeSnapshot(now int64) []byte {
	l := t.lane
	h := wire.Head{SID: t.sid, Channel: t.key.channel, Symbol: t.symbol, Venue: t.venue, Epoch: t.epoch,
		Seq: t.seq, TS: t.ts, RX: t.rx, TX: now}
	l.buf = wire.AppendSnapshot(l.buf[:0], &h)
	l.buf = t.content.snapshot(l.buf)
	l.buf = append(l.buf, '}')
	l.hub.metrics.snapshots.Inc()
	return slices.Clone(l.buf)
}

// refresh makes sure that snap is of the state that was sent last.
func (t *topic) refresh(now int64) {
	head := t.log.head.Load()
	if s := t.snap.Load(); s != nil && s.index == head {
		return
	}
	t.snap.Store(&frame{index: head, seq: t.seq, snapshot: true, data: t.encodeSnapshot(now)})
}

// attach adds a subscriber and finds its position: the one it asks to resume
// from, if what changed since can be proved, else a snapshot is due.
func (t *topic) attach(u *sub, from *wire.Position, now int64) {
	u.slot = len(t.subs)
	t.subs = append(t.subs, u)
	t.idle = 0
	if from != nil && from.Epoch == t.epoch {
		if from.Seq == t.seq {
			h := wire.Head{SID: t.sid, Seq: t.seq, Prev: t.seq, TS: t.ts, RX: t.rx, TX: now}
			u.first = append(wire.AppendDelta(nil, &h), `,"n":0}`...)
			u.next, u.seq, u.synced = t.log.head.Load(), t.seq, true
		} else if i, ok := t.log.find(from.Seq); ok {
			u.next, u.seq, u.synced, u.catchUp = i, from.Seq, true, true
		}
	}
	if !u.synced {
		t.refresh(now)
	}
	u.session.mark(u, now)
}

// detach removes a subscriber.
func (t *topic) detach(u *sub, now int64) {
	last := len(t.subs) - 1
	if u.slot > last || t.subs[u.slot] != u {
		return
	}
	t.subs[u.slot] = t.subs[last]
	t.subs[u.slot].slot = u.slot
	t.subs[last] = nil
	t.subs = t.subs[:last]
	if last == 0 {
		t.idle = now
	}
}
