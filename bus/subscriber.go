package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// SubscriberConfig is what a [Subscriber] needs. Conn, Directory and Sinks are
// required.
type SubscriberConfig struct {
	// Conn is best made by [Connect]. The caller closes it, after Run.
	Conn     *nats.Conn
	Subjects Subjects
	// Directory is where the instruments and venues that are heard of are
	// registered.
	Directory *market.Directory
	// Sinks get every update, each in turn, in the goroutine of Run, and those that
	// are an [orderbook.WatermarkSink] the nodes' watermark.
	Sinks []orderbook.Sink
	// Queue is how many messages may wait between NATS and the subscriber;
	// default 65536. When it is full messages are lost, which is a gap.
	Queue int
	// RequestTimeout is how long an answer is waited for before the request is
	// repeated, or, of Orders, given up; default 2 s.
	RequestTimeout time.Duration
	// Requests is how many snapshots may be asked for at a time; default 32.
	Requests int
	// Audit is the time between checks of all positions against the feed
	// nodes', for losses that nothing else shows; default 30 s.
	Audit  time.Duration
	Logger *slog.Logger // default slog.Default()
}

// Bounds of what a replica keeps while it waits for a snapshot.
const (
	maxHeld      = 4096      // messages of an instrument
	maxHeldBytes = 8 << 20   // their payloads
	maxHeldTotal = 128 << 20 // payloads of all instruments
)

const (
	subscriberBatch = 1024 // messages between two calls of Flush at most
	minTick         = 2 * time.Millisecond
	maxTick         = 100 * time.Millisecond
	malformedPeace  = time.Second // between two log lines about malformed messages
)

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	if c.Queue == 0 {
		c.Queue = 1 << 16
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 2 * time.Second
	}
	if c.Requests == 0 {
		c.Requests = 32
	}
	if c.Audit == 0 {
		c.Audit = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c SubscriberConfig) validate() error {
	var errs []error
	if c.Conn == nil {
		errs = append(errs, errors.New("want a connection"))
	}
	if c.Directory == nil {
		errs = append(errs, errors.New("want a directory"))
	}
	if len(c.Sinks) == 0 {
		errs = append(errs, errors.New("want a sink"))
	}
	if c.Queue < 1 || c.Requests < 1 || c.RequestTimeout < 0 || c.Audit < 0 {
		errs = append(errs, errors.New("queue, requests, request timeout and audit must be positive"))
	}
	return errors.Join(append(errs, c.Subjects.Validate())...)
}

// Subscriber is the gateway's end of the bus: it hands the updates of all feed
// nodes to its sinks as if their shards ran in this process.
//
// A sink sees, for each instrument, either the update that follows the one
// before in the same epoch, or one with ChangedSnapshot, which replaces all. So
// an [orderbook.View] accepts every one of them. When a feed node falls silent
// or says goodbye, or the connection to NATS breaks, each instrument concerned
// gets a snapshot of the subscriber's own making, in an epoch of its own, whose
// venues are all down and which shows neither quote nor level; the ticker stays
// as it was last. What comes after the return is a snapshot again.
//
// All of its state belongs to the goroutine of Run.
type Subscriber struct {
	cfg   SubscriberConfig
	log   *slog.Logger
	msgs  chan *nats.Msg
	calls chan func()   // of Orders, to be made by Run
	done  chan struct{} // Run has ended
	// asking has a place for each question about orders that is under way.
	asking chan struct{}
	inbox  string
	epoch  uint64 // of what it makes itself

	nc         *nats.Conn
	subs       []*nats.Subscription
	reconnects uint64
	connected  bool
	dropped    int // messages lost at the queue, as last seen
	dec        decoder
	parts      assembler
	u          orderbook.Update
	filler     orderbook.Update

	replicas   map[string]*replica // by symbol
	nodes      map[string]*node
	waiting    map[*replica]struct{}
	wanted     []*replica // to be asked for
	asked      map[*replica]time.Time
	heldBytes  int
	listAsked  time.Time
	listDue    bool // do not wait for the next regular time
	audited    time.Time
	complaint  time.Time // last log line about a malformed message
	updatesAt  string    // prefixes of subjects
	nodesAt    string
	newsAt     string
	marksAt    string
	soundingAt string
	until      int64 // watermark
	marked     int64 // the one that the sinks were given last
	sounding   sounding

	// now is time.Now but in tests of what time does.
	now func() time.Time

	count SubscriberCounters

	mu     sync.Mutex
	shared SubscriberStatus // as of the last batch
}

// NewSubscriber returns a subscriber; call Run.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("new subscriber: %w", err)
	}
	s := &Subscriber{
		cfg:       cfg,
		log:       cfg.Logger.With("component", "bus-subscriber"),
		msgs:      make(chan *nats.Msg, cfg.Queue),
		calls:     make(chan func()),
		done:      make(chan struct{}),
		asking:    make(chan struct{}, ordersAsked),
		inbox:     nats.NewInbox(),
		epoch:     1<<63 | rand.Uint64(),
		nc:        cfg.Conn,
		dec:       *newDecoder(cfg.Directory),
		now:       time.Now,
		replicas:  make(map[string]*replica),
		nodes:     make(map[string]*node),
		waiting:   make(map[*replica]struct{}),
		asked:     make(map[*replica]time.Time),
		updatesAt: strings.TrimSuffix(cfg.Subjects.AllUpdates(), "*"),
		nodesAt:   strings.TrimSuffix(cfg.Subjects.AllNodes(), "*"),
		marksAt:   strings.TrimSuffix(cfg.Subjects.AllWatermarks(), "*"),
		newsAt:    strings.TrimSuffix(cfg.Subjects.AllAnnounces(), "*"),
	}
	s.soundingAt = s.inbox + ".sounding"
	return s, nil
}

// Run subscribes and hands on updates until ctx ends, and returns its error. On
// its way out it marks everything down. It must be called once.
func (s *Subscriber) Run(ctx context.Context) error {
	defer close(s.done)
	status := s.nc.StatusChanged()
	defer s.nc.RemoveStatusListener(status)
	defer func() {
		for _, sub := range s.subs {
			_ = sub.Unsubscribe() // fails only on a closed connection, which has none
		}
	}()
	// One channel for all: NATS keeps the order of what one publisher sends
	// over subjects, and so an answer stands where it belongs among the updates.
	for _, subject := range []string{s.cfg.Subjects.AllNodes(), s.cfg.Subjects.AllAnnounces(),
		s.cfg.Subjects.AllUpdates(), s.cfg.Subjects.AllWatermarks(), s.inbox + ".>"} {
		sub, err := s.nc.ChanSubscribe(subject, s.msgs)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		s.subs = append(s.subs, sub)
	}
	s.reconnects = s.nc.Stats().Reconnects
	if s.nc.IsConnected() {
		s.up()
	}
	s.share()
	tick := time.NewTimer(maxTick)
	defer tick.Stop()
	for {
		select {
		case m := <-s.msgs:
			s.message(m)
			for n := 1; n < subscriberBatch; n++ {
				select {
				case m := <-s.msgs:
					s.message(m)
					continue
				default:
				}
				break
			}
			s.noteLoss()
			s.ask()
		case call := <-s.calls:
			call()
			continue
		case _, open := <-status:
			if !open || s.nc.IsClosed() {
				s.allDown(orderbook.CauseLost)
				s.connected = false
				s.share()
				s.flush()
				return fmt.Errorf("subscribe: %w", nats.ErrConnectionClosed)
			}
			s.checkConnection()
			s.ask()
		case <-tick.C:
			s.checkConnection()
			s.noteLoss()
			s.housekeep(s.now())
			s.ask()
			tick.Reset(s.tickTime())
		case <-ctx.Done():
			s.allDown(orderbook.CauseLost)
			s.share()
			s.flush()
			return ctx.Err()
		}
		s.share()
		s.flush()
	}
}

func (s *Subscriber) flush() {
	for _, k := range s.cfg.Sinks {
		k.Flush()
	}
}

// tickTime is a fraction of the shortest time that anything is waited for.
func (s *Subscriber) tickTime() time.Duration {
	d := min(maxTick, s.cfg.RequestTimeout/4, s.cfg.Audit/4)
	for _, n := range s.nodes {
		d = min(d, n.interval/4)
	}
	return max(d, minTick)
}

// checkConnection compares the connection's state with what is known of it. It
// asks rather than believes the events, of which some may be lost.
func (s *Subscriber) checkConnection() {
	now, n := s.nc.IsConnected(), s.nc.Stats().Reconnects
	if s.connected && (!now || n != s.reconnects) {
		s.connected = false
		s.count.Disconnects++
		// What waits was said before the break: all of it is void now.
		for range len(s.msgs) {
			<-s.msgs
		}
		s.allDown(orderbook.CauseLost)
		s.parts = assembler{lost: s.parts.lost}
		s.sounding.sent = time.Time{}
	}
	s.reconnects = n
	if now && !s.connected {
		s.up()
	}
}

// up begins anew on a connection.
func (s *Subscriber) up() {
	s.connected = true
	s.audited = s.now()
	s.askList()
}

// noteLoss sees whether messages were lost because the queue was full: then any
// instrument may have a gap.
func (s *Subscriber) noteLoss() {
	total := 0
	for _, sub := range s.subs {
		n, _ := sub.Dropped() // fails only on a closed subscription
		total += n
	}
	if total > s.dropped {
		s.count.Lost += uint64(total - s.dropped)
		s.count.SlowConsumer++
		s.wantLists()
	}
	s.dropped = total
}

// message takes one message, whatever it is.
func (s *Subscriber) message(m *nats.Msg) {
	if !s.connected {
		// The connection's return shows before the event that tells of it.
		if s.checkConnection(); !s.connected {
			return
		}
	}
	s.count.Messages++
	s.count.Bytes += uint64(len(m.Data))
	if len(m.Data) == 0 && m.Header != nil && m.Header.Get("Status") != "" {
		return // nobody answers; the request is repeated in time
	}
	data, complete, err := s.parts.add(m)
	if err != nil {
		s.malformed(m.Subject, m.Data, err)
		return
	}
	if !complete {
		return
	}
	switch {
	case strings.HasPrefix(m.Subject, s.updatesAt):
		err = s.update(data, m.Subject)
	case strings.HasPrefix(m.Subject, s.nodesAt):
		err = s.beat(data)
	case strings.HasPrefix(m.Subject, s.marksAt):
		err = s.watermark(data)
	case strings.HasPrefix(m.Subject, s.newsAt):
		err = s.list(data)
	case strings.HasPrefix(m.Subject, s.inbox):
		switch m.Subject {
		case s.inbox + ".list":
			err = s.list(data)
		case s.soundingAt:
			s.sounded(data)
		default:
			err = s.update(data, "")
		}
	}
	if err != nil {
		s.malformed(m.Subject, data, err)
	}
}

// malformed counts a message that cannot be read. If it is an instrument's,
// that has a gap now.
func (s *Subscriber) malformed(subject string, data []byte, err error) {
	s.count.Malformed++
	if token, ok := strings.CutPrefix(subject, s.updatesAt); ok {
		if symbol, err := ParseToken(token); err == nil && s.replicas[symbol] != nil {
			s.gap(s.replicas[symbol])
		}
	}
	if now := time.Now(); now.Sub(s.complaint) >= malformedPeace {
		s.complaint = now
		s.log.Warn("malformed message", "subject", subject, "error", err,
			"bytes", len(data), "begins", fmt.Sprintf("%x", data[:min(len(data), 64)]))
	}
}
