package bus

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// Publisher publishes the updates of shards over NATS and answers requests for
// snapshots. Shards hand updates to its sinks, which copy them into batches; the
// goroutine of Run keeps a View of each instrument, encodes, and fills a bounded
// queue; a second goroutine of Run writes that to the network. So a slow network
// never holds up a shard: when the queue is full an instrument's updates are
// skipped until a snapshot of it fits, which then goes to all subscribers in
// their place.
type Publisher struct {
	cfg  PublisherConfig
	log  *slog.Logger
	in   chan *pubBatch
	free chan *pubBatch
	done chan struct{} // Run has ended
	out  *outbox
	enc  encoder

	requests  chan *nats.Msg
	questions chan question // about single orders
	status    chan nats.Status

	instruments []*published // by number; belongs to Run
	active      int          // that have updates
	announced   market.InstrumentID
	dirty       []*published // await a snapshot in place of skipped updates, in order
	buf         []byte
	snap        orderbook.Update
	marks       []int64 // watermarks by sink; belong to Run
	marked      int64   // that was published last

	sinks atomic.Int64 // handed out

	count   pubCounters
	started atomic.Bool

	// lose, if not nil, drops what it says on its way out: for tests of what
	// subscribers do about loss. Set before Run.
	lose func(subject string, data []byte) bool
}

// published is one instrument as the publisher keeps it.
type published struct {
	subject string
	symbol  string
	class   market.Class
	view    orderbook.View
	recent  *recent // nil before its first bar
	sent    uint64  // position of the update or snapshot that was put out last
	dirty   bool    // updates were skipped
	broken  bool    // the shard's updates were not contiguous: wait for a whole one
}

type pubBatch struct {
	sink    int                // whose it is
	updates []orderbook.Update // [:n] are valid, the rest keeps its memory
	n       int
}

type pubCounters struct {
	updates, bytes, snapshots, refusedSnapshots, skipped, conflated, broken,
	unsent, badRequests, blocked, orders, ordersDeclined atomic.Uint64
	requestsLost, instruments, dirty atomic.Int64
}

// PublisherStatus is how a publisher is at one moment. The counters begin with
// Run.
type PublisherStatus struct {
	Node             string `json:"node"`
	Epoch            uint64 `json:"epoch"`
	Connected        bool   `json:"connected"`
	URL              string `json:"url,omitempty"`
	Reconnects       uint64 `json:"reconnects"`
	Instruments      int    `json:"instruments"`       // that have updates
	Published        uint64 `json:"published"`         // messages handed to NATS
	Bytes            uint64 `json:"bytes"`             // their payloads
	Snapshots        uint64 `json:"snapshots"`         // requests answered
	SnapshotsRefused uint64 `json:"snapshots_refused"` // answers that found no room
	Skipped          uint64 `json:"skipped"`           // updates left out because the queue was full
	Conflated        uint64 `json:"conflated"`         // snapshots published in their place
	Dirty            int    `json:"dirty"`             // instruments that wait for such a snapshot
	Unsent           uint64 `json:"unsent"`            // messages lost because NATS was not connected
	Discontinuous    uint64 `json:"discontinuous"`     // updates that did not follow the one before
	BadRequests      uint64 `json:"bad_requests"`
	RequestsLost     uint64 `json:"requests_lost"`   // that found the request queue full
	Orders           uint64 `json:"orders"`          // questions about single orders answered with them
	OrdersDeclined   uint64 `json:"orders_declined"` // and with a reason why not
	Blocked          uint64 `json:"blocked"`         // batches that a shard had to wait with
	QueuedBytes      int    `json:"queued_bytes"`
	QueuedBatches    int    `json:"queued_batches"`
}

// NewPublisher returns a publisher. Attach its sinks to shards and call Run.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("new publisher: %w", err)
	}
	return &Publisher{
		cfg:       cfg,
		log:       cfg.Logger.With("component", "bus-publisher", "node", cfg.Node),
		in:        make(chan *pubBatch, batchQueue),
		free:      make(chan *pubBatch, batchQueue+8),
		done:      make(chan struct{}),
		out:       newOutbox(cfg.QueueBytes),
		enc:       encoder{dir: cfg.Directory, node: cfg.Node},
		requests:  make(chan *nats.Msg, requestQueue),
		questions: make(chan question, ordersQueue),
	}, nil
}

// Sink returns a sink for one shard; each shard needs one of its own. It waits
// for the publisher's goroutine when that is far behind, never for the network,
// and drops everything once Run has ended.
func (p *Publisher) Sink() orderbook.Sink {
	return &pubSink{p: p, number: int(p.sinks.Add(1)) - 1}
}

// pubSink collects a shard's updates. It belongs to the shard's goroutine.
type pubSink struct {
	p      *Publisher
	b      *pubBatch
	number int
}

// Update copies an update into the batch.
func (s *pubSink) Update(u *orderbook.Update) {
	if s.b == nil {
		select {
		case s.b = <-s.p.free:
		default:
			s.b = &pubBatch{}
		}
	}
	b := s.b
	b.sink = s.number
	if b.n == len(b.updates) {
		b.updates = append(b.updates, orderbook.Update{})
	}
	u.CopyTo(&b.updates[b.n])
	b.n++
	if b.n == batchUpdates {
		s.Flush()
	}
}

// Flush hands the batch to the publisher.
func (s *pubSink) Flush() {
	b := s.b
	if b == nil || b.n == 0 {
		return
	}
	s.b = nil
	select {
	case s.p.in <- b:
		return
	default:
	}
	s.p.count.blocked.Add(1)
	select {
	case s.p.in <- b:
	case <-s.p.done:
	}
}

// Run publishes until ctx ends, says goodbye and returns ctx's error. It must be
// called once.
func (p *Publisher) Run(ctx context.Context) error {
	if !p.started.CompareAndSwap(false, true) {
		panic("bus: Publisher.Run called twice")
	}
	defer close(p.done)
	nc := p.cfg.Conn
	p.status = nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(p.status)
	var subs []*nats.Subscription
	defer func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // fails only on a closed connection, which has none
		}
	}()
	for _, subject := range []string{p.cfg.Subjects.AllSnapshots(), p.cfg.Subjects.Instruments()} {
		sub, err := nc.ChanSubscribe(subject, p.requests)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		subs = append(subs, sub)
	}
	var writer sync.WaitGroup
	writer.Go(p.write)
	defer writer.Wait()
	defer p.out.close()
	closeDesk, err := p.openDesk(ctx)
	if err != nil {
		return err
	}
	defer closeDesk()

	p.beat(busv1.Beat_KIND_HELLO)
	p.announce()
	beat := time.NewTicker(p.cfg.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case b := <-p.in:
			p.batch(b)
		case m := <-p.requests:
			p.request(m)
		case <-p.out.room:
			p.repair()
		case _, open := <-p.status:
			if !open || nc.IsClosed() {
				return fmt.Errorf("publish: %w", nats.ErrConnectionClosed)
			}
			// What was on its way when the connection broke may be lost.
			p.beat(busv1.Beat_KIND_HELLO)
		case <-beat.C:
			p.beat(busv1.Beat_KIND_BEAT)
			p.announce()
			var lost int
			for _, s := range subs {
				n, _ := s.Dropped()
				lost += n
			}
			p.count.requestsLost.Store(int64(lost))
		case <-ctx.Done():
			for range len(p.in) { // only Run receives, so these are there
				p.batch(<-p.in)
			}
			p.beat(busv1.Beat_KIND_GOODBYE)
			return ctx.Err()
		}
	}
}

func (p *Publisher) batch(b *pubBatch) {
	for i := range b.updates[:b.n] {
		u := &b.updates[i]
		if u.Instrument == 0 {
			p.watermark(b.sink, u.Watermark)
			continue
		}
		p.update(u)
		if cap(u.Levels) > keptLevels {
			u.Levels = nil
		}
	}
	b.n = 0
	select {
	case p.free <- b:
	default:
	}
}

// update applies one update to the instrument's view and publishes it.
func (p *Publisher) update(u *orderbook.Update) {
	in := p.instrument(u.Instrument)
	if in == nil {
		p.count.broken.Add(1)
		return
	}
	before, scale := in.view.Seq, in.view.Scale
	if err := in.view.Apply(u); err != nil {
		// A bug, or a publisher attached to a running shard: nothing can be said
		// of this instrument before its next whole update.
		p.count.broken.Add(1)
		if !in.broken {
			p.log.Error("updates are not contiguous: instrument is not published until a whole one", "symbol", in.symbol, "error", err)
		}
		in.broken = true
		return
	}
	if in.view.Seq == before && u.Changed&orderbook.ChangedSnapshot == 0 && u.Seq != 1 {
		return // an old one
	}
	if before == 0 {
		p.active++
		p.count.instruments.Store(int64(p.active))
	}
	if in.recent == nil && len(u.Bars) > 0 {
		in.recent = new(recent)
	}
	if in.recent != nil {
		in.recent.note(u, scale)
	}
	in.broken = false
	if in.dirty {
		p.count.skipped.Add(1)
		return
	}
	p.buf = p.enc.update(p.buf[:0], in.symbol, in.class, u)
	if p.out.put(in.subject, p.buf, false) {
		in.sent = in.view.Seq
		p.count.updates.Add(1)
	} else {
		p.count.skipped.Add(1)
		in.dirty = true
		p.dirty = append(p.dirty, in)
		p.count.dirty.Store(int64(len(p.dirty)))
	}
	p.trim()
}

// repair publishes snapshots of instruments whose updates were skipped, as far
// as there is room.
func (p *Publisher) repair() {
	n := 0
	for _, in := range p.dirty {
		if !in.broken {
			p.snapshot(in)
			if !p.out.put(in.subject, p.buf, false) {
				break
			}
			in.sent = in.view.Seq
			p.count.conflated.Add(1)
		}
		in.dirty = false
		n++
	}
	p.dirty = slices.Delete(p.dirty, 0, n)
	p.count.dirty.Store(int64(len(p.dirty)))
	p.trim()
}

// snapshot encodes an instrument's complete state.
func (p *Publisher) snapshot(in *published) {
	in.view.Snapshot(&p.snap)
	p.buf = p.enc.update(p.buf[:0], in.symbol, in.class, &p.snap)
	if in.recent != nil {
		p.buf = in.recent.append(p.buf)
	}
}

// trim lets go of buffers that one huge book made huge.
func (p *Publisher) trim() {
	if cap(p.buf) > 4<<20 {
		p.buf = nil
	}
	if cap(p.snap.Levels) > 1<<16 {
		p.snap = orderbook.Update{}
	}
}

func (p *Publisher) instrument(id market.InstrumentID) *published {
	for int(id) >= len(p.instruments) {
		p.instruments = append(p.instruments, nil)
	}
	in := p.instruments[id]
	if in == nil {
		d := p.cfg.Directory.InstrumentByID(id)
		if d.ID == 0 {
			return nil
		}
		in = &published{subject: p.cfg.Subjects.Update(d.Symbol), symbol: d.Symbol, class: d.Class}
		p.instruments[id] = in
	}
	return in
}

// request answers a request for a snapshot or for the list of instruments.
func (p *Publisher) request(m *nats.Msg) {
	if m.Reply == "" {
		p.count.badRequests.Add(1)
		return
	}
	if m.Subject == p.cfg.Subjects.Instruments() {
		p.list(m.Reply)
		return
	}
	token := m.Subject[len(p.cfg.Subjects.Snapshot("")):]
	symbol, err := ParseToken(token)
	if err != nil {
		p.count.badRequests.Add(1)
		return
	}
	id, ok := p.cfg.Directory.Lookup(symbol)
	if !ok || int(id) >= len(p.instruments) || p.instruments[id] == nil {
		return // another node's, perhaps: only the one that has it answers
	}
	in := p.instruments[id]
	if in.view.Seq == 0 || in.broken {
		return
	}
	p.snapshot(in)
	if p.out.put(m.Reply, p.buf, false) {
		p.count.snapshots.Add(1)
	} else {
		p.count.refusedSnapshots.Add(1)
	}
	p.trim()
}

// list answers with all instruments and where their updates stand.
func (p *Publisher) list(reply string) {
	all := p.cfg.Directory.Instruments(0)
	msg := &busv1.Instruments{Node: p.cfg.Node, Epoch: p.cfg.Epoch, Complete: true}
	for i := range all {
		msg.Instruments = append(msg.Instruments, p.describe(&all[i]))
	}
	p.putMessage(reply, msg)
}

func (p *Publisher) describe(d *market.Instrument) *busv1.Instrument {
	m := &busv1.Instrument{Symbol: d.Symbol, Class: busv1.Class(d.Class)}
	if int(d.ID) < len(p.instruments) && p.instruments[d.ID] != nil {
		in := p.instruments[d.ID]
		m.Epoch, m.Seq = in.view.Epoch, in.view.Seq
		if in.dirty {
			// A snapshot will follow by itself: nobody misses what was skipped.
			m.Seq = in.sent
		}
		if in.broken {
			m.Seq++ // there is more than we can tell
		}
		in.class = d.Class // it may have become known
	}
	return m
}

// announce tells of instruments that were registered since the last time.
func (p *Publisher) announce() {
	for fresh := range slices.Chunk(p.cfg.Directory.Instruments(p.announced), instrumentRun) {
		msg := &busv1.Instruments{Node: p.cfg.Node, Epoch: p.cfg.Epoch}
		for i := range fresh {
			msg.Instruments = append(msg.Instruments, p.describe(&fresh[i]))
		}
		if !p.putMessage(p.cfg.Subjects.Announce(p.cfg.Node), msg) {
			return
		}
		p.announced = fresh[len(fresh)-1].ID
	}
}

func (p *Publisher) putMessage(subject string, msg proto.Message) bool {
	var err error
	p.buf, err = proto.MarshalOptions{}.MarshalAppend(p.buf[:0], msg)
	if err != nil { // only on a text that is not UTF-8, which no symbol is
		p.log.Error("encode message", "subject", subject, "error", err)
		return true
	}
	return p.out.put(subject, p.buf, false)
}

func (p *Publisher) beat(kind busv1.Beat_Kind) {
	healthy, detail := p.cfg.Health()
	data, err := proto.Marshal(&busv1.Beat{
		Kind: kind, Node: p.cfg.Node, Epoch: p.cfg.Epoch,
		IntervalMs: uint32(p.cfg.Heartbeat.Milliseconds()), Time: time.Now().UnixNano(),
		Healthy: healthy, Detail: detail, Instruments: uint32(p.active),
	})
	if err != nil {
		p.log.Error("encode heartbeat", "error", err)
		return
	}
	// While the network is stuck heartbeats must not pile up for ever: beyond
	// twice the limit the node is as good as dead, which is what silence says.
	if must := p.out.waiting() < 2*p.cfg.QueueBytes; !p.out.put(p.cfg.Subjects.Node(p.cfg.Node), data, must) {
		p.count.unsent.Add(1)
	}
}

// write writes what the outbox holds to the network until that is closed and
// empty.
func (p *Publisher) write() {
	nc := p.cfg.Conn
	var o outgoing
	var id uint64
	for range p.out.wake {
		closed := false
		o, closed = p.out.take(o)
		start := 0
		limit := int(nc.MaxPayload()) - partSlack
		if limit <= 0 {
			limit = 1<<20 - partSlack
		}
		for _, item := range o.items {
			data := o.buf[start:item.end]
			start = item.end
			if p.lose != nil && p.lose(item.subject, data) {
				continue
			}
			id++
			if err := publishParts(nc, item.subject, data, limit, id); err != nil {
				// Not connected: whoever listens is told by the hello that
				// follows the reconnect.
				p.count.unsent.Add(1)
				continue
			}
			p.count.bytes.Add(uint64(len(data)))
		}
		o.reset()
		if cap(o.buf) > 2*p.cfg.QueueBytes {
			o.buf = nil
		}
		if closed {
			break
		}
	}
	if !nc.IsConnected() {
		return // nobody to say goodbye to
	}
	if err := nc.FlushTimeout(stopFlush); err != nil && nc.IsConnected() {
		p.log.Warn("flush on stop", "error", err)
	}
}

// Status returns how the publisher is. It may be called at any time.
func (p *Publisher) Status() PublisherStatus {
	c := &p.count
	nc := p.cfg.Conn
	return PublisherStatus{
		Node: p.cfg.Node, Epoch: p.cfg.Epoch, Connected: nc.IsConnected(), URL: nc.ConnectedUrlRedacted(),
		Reconnects: nc.Stats().Reconnects, Instruments: int(c.instruments.Load()),
		Published: c.updates.Load(), Bytes: c.bytes.Load(), Snapshots: c.snapshots.Load(),
		SnapshotsRefused: c.refusedSnapshots.Load(), Skipped: c.skipped.Load(), Conflated: c.conflated.Load(),
		Dirty: int(c.dirty.Load()), Unsent: c.unsent.Load(), Discontinuous: c.broken.Load(), BadRequests: c.badRequests.Load(),
		RequestsLost: uint64(c.requestsLost.Load()), Blocked: c.blocked.Load(),
		Orders: c.orders.Load(), OrdersDeclined: c.ordersDeclined.Load(),
		QueuedBytes: p.out.waiting(), QueuedBatches: len(p.in),
	}
}
