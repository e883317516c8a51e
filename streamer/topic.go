package streamer

import (
	"hash/fnv"
	"io"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// topicKey is what makes two subscriptions the same stream.
type topicKey struct {
	format     wire.Format
	instrument market.InstrumentID
	channel    wire.Channel
	venue      market.VenueID
	depth      int // book: levels a side, 0 all
	interval   time.Duration
	venues     bool               // book: split of each level by venue
	checksum   bool               // book
	maxAge     time.Duration      // quote: older ones are marked as stale; 0 none
	delay      time.Duration      // how late everything is
	bar        orderbook.Interval // bar: their length
	group      orderbook.Group    // book: price step that levels are grouped by
}

// content is what a topic shows, by channel. It remembers the state that was
// sent last, which is what deltas are against and what a snapshot repeats.
type content interface {
	// concerns reports whether an update may change what is shown.
	concerns(u *orderbook.Update) bool
	// rescale converts what was sent last to a finer scale; false if some of it
	// does not fit. It is called before note and delta when the view's scale has
	// become finer.
	rescale(to market.Scale) bool
	// note takes an update that concerns it, after the view has been brought
	// forward.
	note(v *orderbook.View, u *orderbook.Update)
	// delta appends the fields that differ from what was sent last and makes
	// them sent; false if there are none, and then what was noted stays.
	delta(dst []byte, v *orderbook.View) ([]byte, bool)
	// snapshot appends all the fields of what was sent last.
	snapshot(dst []byte) []byte
	// load makes the view's state the one sent last, without a message.
	load(v *orderbook.View)
}

// topic is one stream. It belongs to its lane, but for log and snap, which
// sessions read, and the fields set at its making.
type topic struct {
	log    frameLog // first, with what sessions look at
	sid    uint64
	snap   atomic.Pointer[frame] // the latest snapshot; its index is the log's head when it was made
	events bool                  // a stream of events: no change may be left out
	class  market.Class
	key    topicKey
	lane   *lane
	symbol string
	venue  string
	chunks chunks

	interval string // the key's, as acks have it

	content content
	subs    []subscriber
	held    int // sessions that are about to attach
	epochN  uint64
	epoch   string
	era     uint16 // how many epochs the topic has seen
	scale   market.Scale
	seq     uint64
	ts, rx  int64 // of what was sent last
	n       uint64
	since   int64    // receive time of the first change not sent yet
	noted   position // events: of the last change not sent yet
	sent    int64    // when a frame was last appended, lane time
	due     int64    // when the next is, if queued
	phase   int64    // the topic's ticks are so long after multiples of its interval
	slot    int      // place in the lane's schedule, -1 if not queued
	idle    int64    // since when it has no subscriber
	frames  prometheus.Counter
	folded  prometheus.Counter
}

// subscriber is a subscription and whose it is.
type subscriber struct {
	sub     *sub
	session *session
}

// position is how far a stream has come, and the times of what brought it there.
type position struct {
	seq    uint64
	ts, rx int64
}

// dueAt implements entry.
func (t *topic) dueAt() int64 { return t.due }

// before implements entry: two topics due together go in the same order in every
// replay.
func (t *topic) before(o *topic) bool { return t.due < o.due || t.due == o.due && t.sid < o.sid }

// slotOf implements entry.
func (t *topic) slotOf() *int { return &t.slot }

// lossless reports whether a session must get every frame or be told of a gap.
func (t *topic) lossless() bool { return t.events || t.key.interval == 0 }

// spacing is how long after a write a client's next may be put off so that a
// message of the topic goes together with others: a quarter of its interval. What
// comes after a longer silence goes at once.
func (t *topic) spacing() int64 { return min(int64(t.key.interval)/4, int64(maxSpacing)) }

// maxSpacing bounds what a long interval adds to a message's way.
const maxSpacing = 250 * time.Millisecond

// reach is how many frames behind a session may be and still be brought up by
// frames. A conflated stream catches up with one message, however far behind. Where it
// is the server that was late it sends the two that it was late with, for whole states
// in their place would make it later still.
func (t *topic) reach(afterSnapshot, late bool) uint64 {
	switch {
	case t.lossless() || afterSnapshot:
		return uint64(len(t.log.slots))
	case late:
		return 2
	}
	return 1
}

func (l *lane) newTopic(key topicKey, now int64) *topic {
	cfg := &l.hub.cfg
	in := cfg.Directory.InstrumentByID(key.instrument)
	t := &topic{
		key: key, lane: l, slot: -1,
		symbol: in.Symbol, class: in.Class,
		venue: cfg.Directory.VenueName(key.venue), interval: wire.FormatInterval(key.interval),
		events: key.channel == wire.ChannelTrade || key.channel == wire.ChannelBar,
	}
	n := cfg.StateFrames
	if t.lossless() {
		n = cfg.LogFrames
	}
	t.log.slots = make([]atomic.Pointer[frame], n)
	t.phase = phaseOf(t.symbol, key.interval)
	t.content = l.newContent(key)
	if c, ok := t.content.(*barContent); ok {
		c.topic = t
	}
	t.frames = l.hub.metrics.frames[key.channel]
	t.folded = l.hub.metrics.folded[key.channel]
	t.reload(&l.instrument(key.instrument).view)
	// As if sent one interval ago: the first change goes out at once.
	t.sent = now - int64(key.interval)
	return t
}

func (l *lane) newContent(key topicKey) content {
	switch key.channel {
	case wire.ChannelBook:
		return &bookContent{key: key, lane: l}
	case wire.ChannelQuote:
		return &quoteContent{key: key, lane: l}
	case wire.ChannelTicker:
		return &tickerContent{format: key.format, lane: l, conflated: key.interval > 0}
	case wire.ChannelStatus:
		return &statusContent{key: key, lane: l}
	case wire.ChannelBar:
		return &barContent{key: key, lane: l}
	default: // trade; requests for others were refused
		return &tradeContent{format: key.format, venue: key.venue, lane: l}
	}
}

// position returns where the stream stands once all of the view has been sent.
func (t *topic) position(v *orderbook.View) position {
	if t.events {
		return position{v.TradeSeq, v.Time, v.Received}
	}
	return position{v.Seq, v.Time, v.Received}
}

// move makes a position the stream's own.
func (t *topic) move(p position) { t.seq, t.ts, t.rx = p.seq, p.ts, p.rx }

// reload takes the view's state as the one sent, and what waited with it.
func (t *topic) reload(v *orderbook.View) {
	if t.slot >= 0 {
		t.lane.schedule.remove(t)
	}
	if t.epoch == "" || t.epochN != v.Epoch {
		t.epochN, t.epoch = v.Epoch, strconv.FormatUint(v.Epoch, 16)
		t.era++
	}
	t.n, t.scale = 0, t.key.group.Scale(v.Scale)
	t.chunks.cut(t.log.head.Load())
	t.move(t.position(v))
	t.content.load(v)
	if c, ok := t.content.(*barContent); ok {
		t.seq = c.position()
	}
	t.expire(t.lane.now)
}

// rescale converts what was sent to the view's scale. Where it does not fit, a
// delta cannot be told, and everybody gets the whole state at once.
func (t *topic) rescale(v *orderbook.View, now int64) bool {
	scale := t.key.group.Scale(v.Scale)
	if t.scale == scale {
		return true
	}
	if t.key.format == wire.FormatProto {
		t.flush(now) // events that wait are at the scale that was
	}
	finer := t.scale.Finer(scale) == scale
	t.scale = scale
	t.chunks.cut(t.log.head.Load())
	if finer && t.content.rescale(scale) {
		return true
	}
	t.restart(v, now)
	return false
}

// changed takes note of an update that concerns the topic, and sends it if it is
// due.
func (t *topic) changed(v *orderbook.View, u *orderbook.Update, now int64) {
	if !t.rescale(v, now) {
		return
	}
	if c, ok := t.content.(*barContent); ok {
		t.changedBars(c, v, u, now)
		return
	}
	if t.n == 0 {
		t.since = u.Received
	}
	t.n++
	t.noted = t.position(v)
	t.content.note(v, u)
	next := t.sent + int64(t.key.interval)
	due := t.tick(next)
	if t.slot >= 0 {
		if t.due <= due {
			return
		}
		t.lane.schedule.remove(t) // it waited for its quote to become old
	}
	if now >= next {
		t.emit(v, now)
	} else {
		t.wait(due)
	}
}

// wait makes the lane send the topic at the time.
func (t *topic) wait(until int64) {
	t.due = until
	t.lane.schedule.push(t)
}

// expire tells subscribers that the quote that was sent has become too old while
// nothing changed, or waits until it does.
func (t *topic) expire(now int64) {
	c, ok := t.content.(*quoteContent)
	if !ok || t.key.maxAge == 0 {
		return
	}
	l, f := t.lane, t.key.format
	h := wire.Head{SID: t.sid, Seq: t.seq, Prev: t.seq, TS: t.ts, RX: t.rx, TX: now}
	l.buf, l.mark = f.BeginDelta(l.buf[:0], &h)
	var old bool
	if l.buf, old = c.expire(f.Nothing(l.buf)); old {
		t.send(position{t.seq, t.ts, t.rx}, now)
	}
	if at, can := c.expires(&c.sent); can && !c.sent.stale && t.slot < 0 {
		t.wait(at)
	}
}

// tick returns when a message that may go out from a time on does. Streams of many
// symbols that began together would go out together for ever: each has a phase of
// its own, by its symbol, and what follows the first message moves towards it, by at
// most a quarter of the interval at a time.
func (t *topic) tick(from int64) int64 {
	interval := int64(t.key.interval)
	if interval == 0 {
		return from
	}
	late := (from - t.phase) % interval
	if late == 0 {
		return from
	}
	if late < 0 {
		late += interval
	}
	return from + min(interval-late, t.spacing())
}

// ticked is emit for a topic whose time has come.
func (t *topic) ticked(v *orderbook.View, now int64) {
	due := t.due
	t.emit(v, now)
	// What a timer is late does not add up.
	if t.sent == now && now-due < int64(t.key.interval)/8 {
		t.sent = due
	}
}

// phaseOf spreads symbols over an interval, the same way in every process.
func phaseOf(symbol string, interval time.Duration) int64 {
	if interval == 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, symbol)
	return int64(h.Sum64() % uint64(interval))
}

// emit appends one delta for everything since the last one, if there is anything.
func (t *topic) emit(v *orderbook.View, now int64) {
	if t.key.channel == wire.ChannelBar {
		t.flush(now)
		return
	}
	if t.n == 0 {
		t.expire(now)
		return
	}
	if t.events {
		t.flush(now)
		return
	}
	defer t.expire(now)
	if !t.rescale(v, now) {
		return
	}
	l, f := t.lane, t.key.format
	to := t.position(v)
	h := wire.Head{SID: t.sid, Seq: to.seq, Prev: t.seq, N: t.n, TS: to.ts, RX: to.rx, TX: now}
	if t.n > 1 {
		h.Span = t.noted.rx - t.since
	}
	var changed bool
	if t.key.channel == wire.ChannelStatus {
		l.buf, l.mark = f.BeginStatus(l.buf[:0], &h)
	} else {
		l.buf, l.mark = f.BeginDelta(l.buf[:0], &h)
	}
	if l.buf, changed = t.content.delta(l.buf, v); !changed {
		// What came to nothing is part of the next message's n, unless that is to
		// stand for one change.
		if t.key.interval == 0 {
			t.n = 0
		}
		return
	}
	t.send(to, now)
}

// flush appends the events that wait.
func (t *topic) flush(now int64) {
	if c, ok := t.content.(*barContent); ok {
		t.lane.now = now
		c.flush()
		return
	}
	if t.n == 0 || !t.events {
		return
	}
	l, to := t.lane, t.noted
	h := wire.Head{SID: t.sid, Seq: to.seq, Prev: t.seq, TS: to.ts, RX: to.rx, TX: now}
	l.buf, l.mark = t.key.format.BeginTrade(l.buf[:0], &h)
	l.buf, _ = t.content.delta(l.buf, nil)
	t.send(to, now)
}

// send appends the message that was begun in the lane's buffer to the log; it
// leads to the position.
func (t *topic) send(to position, now int64) {
	t.folded.Add(float64(t.n))
	f := t.encoded(true)
	f.prev, f.seq = t.seq, to.seq
	t.move(to)
	t.n, t.sent = 0, now
	t.append(f, now)
}

// encoded returns the message that was begun in the lane's buffer as a frame, with
// what separates it from the next. On a lossless topic it can be in memory that it
// shares with those before and after it.
func (t *topic) encoded(shared bool) *frame {
	l, format := t.lane, t.key.format
	n := format.FinishedSize(l.buf, l.mark, t.key.channel) + len(format.Separator())
	f := &frame{epoch: t.epochN, era: t.era, scale: t.scale}
	if shared && t.lossless() {
		t.chunks.place(f, t.log.head.Load(), n)
	} else {
		f.data = make([]byte, n)
	}
	data := format.AppendFinished(f.data[:0], l.buf, l.mark, t.key.channel)
	copy(f.data[len(data):], format.Separator())
	return f
}

func (t *topic) append(f *frame, now int64) {
	if f.chunk == nil {
		t.chunks.cut(t.log.head.Load())
	}
	t.log.append(f)
	t.frames.Inc()
	t.markAll(now)
}

// markAll tells the subscribers' sessions that there is something new.
func (t *topic) markAll(now int64) {
	if t.lossless() {
		woken := 0
		for _, x := range t.subs {
			if !x.session.mark(x.sub, now) {
				continue
			}
			// While nothing else waits for the lane, the first need not wait for the last
			// to be marked.
			if woken++; woken%markPause == 0 && len(t.lane.in) == 0 {
				runtime.Gosched()
			}
		}
		return
	}
	spacing := t.spacing()
	if t.lane.hub.loaded.Load() != 0 {
		spacing *= 2 // fewer writes, each of more
	}
	for i := range t.subs {
		t.subs[i].session.stir(now, spacing)
	}
}

// markPause is how many sessions a lane marks before it lets a writer begin that has no
// processor of its own.
const markPause = 32

// restart sends everybody a snapshot: a new epoch has begun, or what changed
// cannot be told as a delta.
func (t *topic) restart(v *orderbook.View, now int64) {
	t.flush(now)
	t.reload(v)
	f := t.encodeSnapshot(now)
	f.prev = t.seq
	t.sent = now
	t.append(f, now)
}

// jump tells subscribers of a stream of events that the books had to be repaired
// upstream and which events will not come.
func (t *topic) jump(v *orderbook.View, now int64) {
	t.flush(now)
	from := t.seq
	t.reload(v)
	if t.seq <= from {
		return
	}
	l := t.lane
	format := t.key.format
	l.buf = append(format.Gap(l.buf[:0], t.sid, from+1, t.seq, gapUpstream), format.Separator()...)
	t.append(&frame{prev: from, seq: t.seq, epoch: t.epochN, era: t.era, scale: t.scale, data: slices.Clone(l.buf)}, now)
}

// Why messages of a stream are missing, as a gap tells.
const (
	gapUpstream = "upstream_gap"  // the books themselves do not know them
	gapSlow     = "slow_consumer" // the client fell off the end of the log
	gapResume   = "resume"        // what the client asks to resume from is too long ago
)

// encodeSnapshot returns the state that was sent last as a message.
func (t *topic) encodeSnapshot(now int64) *frame {
	l := t.lane
	h := wire.Head{SID: t.sid, Channel: t.key.channel, Symbol: t.symbol, Venue: t.venue, Epoch: t.epoch,
		Seq: t.seq, TS: t.ts, RX: t.rx, TX: now}
	l.buf, l.mark = t.key.format.BeginSnapshot(l.buf[:0], &h)
	l.buf = t.content.snapshot(l.buf)
	l.hub.metrics.snapshots.Inc()
	f := t.encoded(false)
	f.index, f.seq, f.snapshot = t.log.head.Load(), t.seq, true
	return f
}

// refresh makes sure that snap is of the state that was sent last.
func (t *topic) refresh(now int64) {
	if s := t.snap.Load(); s == nil || s.index != t.log.head.Load() {
		t.snap.Store(t.encodeSnapshot(now))
	}
}

// attach adds a subscriber and finds its position: the one it asks to resume
// from, if what changed since can be proved, else a snapshot is due.
func (t *topic) attach(u *sub, s *session, from *wire.Position, now int64) {
	u.slot = int32(len(t.subs))
	t.subs = append(t.subs, subscriber{u, s})
	u.need = true
	if from != nil && from.Epoch == t.epoch {
		u.known, u.era, u.seq = true, t.era, from.Seq
		if from.Seq == t.seq {
			u.next, u.placed, u.need = t.log.head.Load(), true, false
			nothing := t.encodeNothing(now)
			if t.key.format == wire.FormatProto {
				nothing = append(wire.AppendScale(nil, t.sid, t.scale), nothing...)
				u.scaled, u.scale = true, t.scale
			}
			s.pushStart(nothing)
		} else if i, ok := t.log.find(from.Seq, t.key.maxAge > 0); ok {
			u.next, u.placed, u.need = i, true, false
			u.catchUp = true
		}
	}
	if u.need {
		t.refresh(now)
	}
	s.mark(u, now)
}

// encodeNothing returns the message that leads from the present position to
// itself: who resumes there learns that nothing was missed.
func (t *topic) encodeNothing(now int64) []byte {
	h := wire.Head{SID: t.sid, Seq: t.seq, Prev: t.seq, TS: t.ts, RX: t.rx, TX: now}
	l, f := t.lane, t.key.format
	if c, ok := t.content.(*barContent); ok {
		h.Symbol = t.symbol
		l.buf, l.mark = f.BeginBar(l.buf[:0], &h)
		l.buf = c.snapshot(l.buf) // the latest once more
	} else if t.events {
		l.buf, l.mark = f.BeginTrade(l.buf[:0], &h)
		l.buf = f.EndList(f.List(l.buf, wire.KeyEvents))
	} else {
		l.buf, l.mark = f.BeginDelta(l.buf[:0], &h)
		l.buf = f.Nothing(l.buf)
		if c, ok := t.content.(*quoteContent); ok && c.key.maxAge > 0 {
			l.buf = appendFlag(f, l.buf, wire.KeyStale, c.mark()) // it may have become so since
		}
	}
	return f.Finish(l.buf, l.mark, t.key.channel)
}

// detach removes a subscriber.
func (t *topic) detach(u *sub, now int64) {
	last := len(t.subs) - 1
	if int(u.slot) > last || t.subs[u.slot].sub != u {
		return
	}
	t.subs[u.slot] = t.subs[last]
	t.subs[u.slot].sub.slot = u.slot
	t.subs[last] = subscriber{}
	t.subs = t.subs[:last]
	if last == 0 {
		t.idle = now
	}
}

// wanted reports whether somebody holds the topic, or did so lately.
func (t *topic) wanted(now, linger int64) bool {
	return len(t.subs) > 0 || t.held > 0 || now-t.idle < linger
}
