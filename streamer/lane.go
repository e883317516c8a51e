package streamer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// lane holds the replicas and topics of its instruments. Everything but mail
// belongs to the goroutine of run, or, without one, to the caller of a [Direct].
type lane struct {
	hub         *Hub
	number      int
	tier        int               // of hub.watermarks: 0, or one more than the place of its delay
	instruments []*laneInstrument // by number; nil where unseen
	topics      map[topicKey]*topic
	bars        []*topic // of topics: those of bars, in the order in which they were made
	watermark   int64    // bars that end by then are final, see watermark.go
	schedule    schedule[*topic]
	venues      []string  // names by number
	now         int64     // lane time, for what goes by the age of things
	buf         []byte    // the message being encoded
	mark        wire.Mark // where its content begins
	swept       int64     // when topics without subscribers were last looked for

	in   chan *updateBatch
	free chan *updateBatch

	mail mailbox

	// A lane in real time hands on what it has applied to those that lag behind it.
	tiers []tier
	// A lane that lags behind another, its source, holds updates back in line.
	delay     time.Duration
	source    *lane
	line      *delayLine
	late      orderbook.Update                 // the update that has become old enough
	missed    map[market.InstrumentID]struct{} // did not fit into line
	lineBytes int64                            // of line, as counted last
	lineCount int
}

// laneInstrument is one instrument's replica and its topics.
type laneInstrument struct {
	view   orderbook.View
	topics []*topic
	heard  bool // an update has come
	broken bool // an update was missing, and the one that repairs it has not come
}

// mailbox is how sessions reach a lane: calls, and subscriptions that need a
// snapshot. It is bounded by what sessions have outstanding: one call each, and
// one wish per subscription.
type mailbox struct {
	mu     sync.Mutex
	calls  []func(now int64)
	wishes []subscriber
	signal chan struct{}
}

func (m *mailbox) post(fn func(now int64)) {
	m.mu.Lock()
	m.calls = append(m.calls, fn)
	m.mu.Unlock()
	m.wake()
}

// wish asks for a snapshot for a subscription.
func (m *mailbox) wish(u *sub, s *session) {
	m.mu.Lock()
	m.wishes = append(m.wishes, subscriber{u, s})
	m.mu.Unlock()
	m.wake()
}

func (m *mailbox) wake() {
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() ([]func(now int64), []subscriber) {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls, wishes := m.calls, m.wishes
	m.calls, m.wishes = nil, nil
	return calls, wishes
}

// laneQueue is how many batches of updates may wait for a lane. A full queue
// blocks the shard: a lane never waits for a client, so it is full only if the
// machine is too slow, and then lateness shows upstream.
const laneQueue = 64

func newLane(h *Hub, number, tier int) *lane {
	return &lane{
		hub: h, number: number, tier: tier, topics: make(map[topicKey]*topic),
		in: make(chan *updateBatch, laneQueue), free: make(chan *updateBatch, laneQueue),
		mail: mailbox{signal: make(chan struct{}, 1)},
	}
}

// run takes updates and mail and sends what is due, until ctx ends.
func (l *lane) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	if l.line != nil {
		defer l.line.close()
	}
	for {
		now := l.hub.cfg.Now()
		l.tick(now)
		wait := time.Hour
		if due, ok := l.schedule.next(); ok {
			wait = time.Duration(max(due-now, 0))
		}
		if len(l.topics) > 0 {
			wait = min(wait, l.hub.cfg.Linger)
		}
		for i := range l.tiers {
			if l.settle(&l.tiers[i]); len(l.tiers[i].owed) > 0 {
				wait = min(wait, owedWait)
			}
		}
		if l.line != nil {
			l.serve(now)
			if due, ok := l.line.due(); ok {
				wait = min(wait, time.Duration(max(due-now, 0)))
			}
		}
		timer.Reset(wait)
		select {
		case b := <-l.in:
			l.take(b)
		case <-l.mail.signal:
			l.deliver(l.hub.cfg.Now())
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take takes a batch of updates, and more that wait behind it: a few hundred updates,
// then what is due comes first.
func (l *lane) take(b *updateBatch) {
	for n := 0; ; {
		n += max(len(b.updates), 1)
		now := l.hub.cfg.Now()
		if l.line != nil {
			l.hold(b, now)
		} else {
			for i := range b.updates {
				if u := &b.updates[i]; u.Instrument != 0 {
					l.update(u, now)
				} else {
					l.advance(u.Watermark, now)
				}
			}
			l.passOn(b)
		}
		if n >= maxBatch {
			return
		}
		select {
		case b = <-l.in:
		default:
			return
		}
	}
}

// deliver handles the mail.
func (l *lane) deliver(now int64) {
	l.now = now
	calls, wishes := l.mail.take()
	for _, fn := range calls {
		fn(now)
	}
	for _, x := range wishes {
		x.sub.topic.refresh(now)
		x.session.mark(x.sub, now)
	}
}

// tick sends what is due and forgets topics that nobody came back to.
func (l *lane) tick(now int64) {
	l.now = now
	for t := l.schedule.pop(now); t != nil; t = l.schedule.pop(now) {
		t.ticked(&l.instrument(t.key.instrument).view, now)
	}
	linger := int64(l.hub.cfg.Linger)
	if now-l.swept < linger {
		return
	}
	l.swept = now
	for key, t := range l.topics {
		if !t.wanted(now, linger) {
			l.drop(key, t)
		}
	}
}

func (l *lane) drop(key topicKey, t *topic) {
	delete(l.topics, key)
	l.hub.metrics.topics.Dec()
	if t.slot >= 0 {
		l.schedule.remove(t)
	}
	in := l.instrument(key.instrument)
	in.topics = slices.DeleteFunc(in.topics, func(x *topic) bool { return x == t })
	if key.channel == wire.ChannelBar {
		l.bars = slices.DeleteFunc(l.bars, func(x *topic) bool { return x == t })
	}
	if len(in.topics) == 0 && l.hub.cfg.Demand != nil {
		l.hub.cfg.Demand(key.instrument, false)
	}
}

// update brings the instrument's replica and topics forward.
func (l *lane) update(u *orderbook.Update, now int64) {
	l.now = now
	in := l.instrument(u.Instrument)
	v := &in.view
	epoch, seq := v.Epoch, v.Seq
	if l.line == nil {
		l.hub.metrics.updates.Inc()
	}
	if err := v.Apply(u); err != nil {
		if l.line != nil {
			return // it did not; the state comes behind it
		}
		// The sinks' contract rules this out: what repairs gaps sits upstream.
		l.hub.metrics.gaps.Inc()
		if !in.broken {
			in.broken = true
			l.hub.cfg.Logger.Error("update does not follow", "symbol", l.hub.cfg.Directory.Symbol(u.Instrument), "err", err)
		}
		return
	}
	in.broken = false
	if v.Epoch == epoch && v.Seq == seq {
		return // seen before
	}
	if !in.heard {
		in.heard = true
		l.hub.instrumentHeard()
	}
	for _, t := range in.topics {
		switch {
		case v.Epoch != t.epochN:
			t.restart(v, now)
		case t.events && u.Changed&orderbook.ChangedSnapshot != 0:
			t.jump(v, now)
		case t.content.concerns(u):
			t.changed(v, u, now)
		}
	}
}

func (l *lane) instrument(id market.InstrumentID) *laneInstrument {
	for int(id) >= len(l.instruments) {
		l.instruments = append(l.instruments, nil)
	}
	in := l.instruments[id]
	if in == nil {
		in = &laneInstrument{}
		in.view.Instrument = id
		l.instruments[id] = in
	}
	return in
}

// open returns the topic with the key, making it if there is none. It counts as
// held until the caller has taken one from held.
func (l *lane) open(key topicKey, now int64) *topic {
	if t, ok := l.topics[key]; ok {
		t.held++
		return t
	}
	t := l.newTopic(key, now)
	t.sid = l.hub.sids.Add(1)
	t.held, t.idle = 1, now
	l.topics[key] = t
	l.hub.metrics.topics.Inc()
	in := l.instrument(key.instrument)
	in.topics = append(in.topics, t)
	if key.channel == wire.ChannelBar {
		l.bars = append(l.bars, t)
	}
	if len(in.topics) == 1 && l.hub.cfg.Demand != nil {
		l.hub.cfg.Demand(key.instrument, true)
	}
	return t
}

// venueName returns a venue's name without asking the directory each time.
func (l *lane) venueName(id market.VenueID) string {
	for int(id) >= len(l.venues) {
		l.venues = append(l.venues, "")
	}
	if l.venues[id] == "" {
		l.venues[id] = l.hub.cfg.Directory.VenueName(id)
	}
	return l.venues[id]
}

// updateBatch carries copies of updates from a shard to a lane, and on to those
// that lag behind it.
type updateBatch struct {
	updates []orderbook.Update
	users   atomic.Int32        // lanes that still read it
	home    chan<- *updateBatch // where it goes when nobody does; nil nowhere
}

// release says that one reader is done.
func (b *updateBatch) release() {
	if b.users.Add(-1) > 0 || b.home == nil {
		return
	}
	b.reset()
	select {
	case b.home <- b:
	default:
	}
}

// add copies an update, into memory that an earlier batch left.
func (b *updateBatch) add(u *orderbook.Update) {
	if len(b.updates) < cap(b.updates) {
		b.updates = b.updates[:len(b.updates)+1]
	} else {
		b.updates = append(b.updates, orderbook.Update{})
	}
	u.CopyTo(&b.updates[len(b.updates)-1])
}

// reset empties the batch but keeps its memory, unless a snapshot made it large.
func (b *updateBatch) reset() {
	for i := range b.updates {
		if cap(b.updates[i].Levels) > 1<<12 {
			b.updates[i].Levels = nil
		}
	}
	b.updates = b.updates[:0]
}

// laneSink copies a shard's updates and hands them to a lane's goroutine.
type laneSink struct {
	lane    *lane
	batch   *updateBatch
	stopped <-chan struct{}
}

// maxBatch is how many updates are handed over at once at most.
const maxBatch = 256

// Update implements orderbook.Sink.
func (s *laneSink) Update(u *orderbook.Update) {
	if s.batch == nil {
		select {
		case s.batch = <-s.lane.free:
		default:
			s.batch = &updateBatch{home: s.lane.free}
		}
	}
	s.batch.add(u)
	if len(s.batch.updates) >= maxBatch {
		s.Flush()
	}
}

// Watermark implements orderbook.WatermarkSink: it goes along among the updates,
// as one of no instrument.
func (s *laneSink) Watermark(until int64) { s.Update(&orderbook.Update{Watermark: until}) }

// Flush implements orderbook.Sink.
func (s *laneSink) Flush() {
	if s.batch == nil || len(s.batch.updates) == 0 {
		return
	}
	select {
	case s.lane.in <- s.batch:
	case <-s.stopped:
	}
	s.batch = nil
}
