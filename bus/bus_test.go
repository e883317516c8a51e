package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

const patience = time.Minute

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func startServer(t testing.TB, cfg ServerConfig) *Server {
	t.Helper()
	cfg.Logger = quiet()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := StartServer(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t testing.TB, url, name string) *nats.Conn {
	t.Helper()
	nc, err := Connect(ConnConfig{URL: url, Name: name, ReconnectWait: 10 * time.Millisecond, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// feed is a shard whose updates go to a publisher and to reference views.
type feed struct {
	dir   *market.Directory
	shard *orderbook.Shard
	pub   *Publisher
	nc    *nats.Conn
	views *views
	rng   *rand.Rand
	now   int64
	stop  func() // ends the publisher, with a goodbye
	once  sync.Once
}

const (
	testBeat = 40 * time.Millisecond
	feedBook = market.FeedID(1)
)

var testSymbols = []string{"BTC-USD", "BRK.A", "O:AAPL261218C00200000", "EUR/USD"}

func startFeed(t testing.TB, url string, epoch uint64, change func(*PublisherConfig, *Publisher)) *feed {
	t.Helper()
	f := &feed{dir: market.NewDirectory(), rng: rand.New(rand.NewPCG(epoch, 1)), now: int64(epoch) * 1e9}
	f.nc = connect(t, url, fmt.Sprintf("feed-%d", epoch))
	cfg := PublisherConfig{Conn: f.nc, Directory: f.dir, Node: "feed-1", Epoch: epoch, Heartbeat: testBeat, Logger: quiet()}
	if change != nil {
		change(&cfg, nil)
	}
	pub, err := NewPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.pub = pub
	if change != nil {
		change(&cfg, pub)
	}
	f.views = newViews(t, f.dir)
	f.shard = orderbook.NewShard(orderbook.Config{Directory: f.dir, Epoch: epoch, Sinks: []orderbook.Sink{f.views, pub.Sink()}})
	// Number instruments and venues in an order of this run's own.
	for _, i := range f.rng.Perm(len(testSymbols)) {
		if _, err := f.dir.Instrument(testSymbols[i], market.ClassCrypto); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range f.rng.Perm(3) {
		if _, err := f.dir.Venue(fmt.Sprintf("venue%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pub.Run(ctx) }()
	f.stop = func() {
		f.once.Do(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, nats.ErrConnectionClosed) {
				t.Errorf("Publisher.Run: %v", err)
			}
		})
	}
	t.Cleanup(f.stop)
	return f
}

// kill ends the publisher as a crash would: its connection breaks, without a
// goodbye.
func (f *feed) kill() {
	f.nc.Close()
	f.stop()
}

// step applies n random messages to random instruments.
func (f *feed) step(n int) {
	for range n {
		f.message(market.InstrumentID(1 + f.rng.IntN(len(testSymbols))))
	}
}

// message applies one random message of a venue.
func (f *feed) message(id market.InstrumentID) {
	f.now += int64(f.rng.IntN(1000)) + 1
	e := market.Event{Feed: feedBook, Venue: market.VenueID(1 + f.rng.IntN(3)), Instrument: id, PriceDecimals: 2, SizeDecimals: 4,
		Time: f.now, Received: f.now + 5}
	var events []market.Event
	add := func(kind market.Kind, side market.Side, price, size int64) {
		e.Kind, e.Side, e.Price, e.Size = kind, side, market.Price(price), market.Size(size)
		events = append(events, e)
	}
	level := func(side market.Side, size int64) {
		p := 10000 - 1 - int64(f.rng.IntN(30))
		if side == market.SideAsk {
			p = 10000 + 1 + int64(f.rng.IntN(30))
		}
		add(market.KindLevel, side, p, size)
	}
	switch k := f.rng.IntN(100); {
	case k < 6: // a snapshot
		e.Flags = market.FlagSnapshot
		add(market.KindClear, 0, 0, 0)
		for i := range int64(12) {
			add(market.KindLevel, market.SideBid, 9990-i, 1+int64(f.rng.IntN(1e6)))
			add(market.KindLevel, market.SideAsk, 10010+i, 1+int64(f.rng.IntN(1e6)))
		}
	case k < 70:
		for range 1 + f.rng.IntN(4) {
			level(market.SideBid, int64(f.rng.IntN(3)*f.rng.IntN(1e6)))
			level(market.SideAsk, int64(f.rng.IntN(3)*f.rng.IntN(1e6)))
		}
	case k < 72: // a finer price: the instrument is rebased
		e.PriceDecimals = market.Decimals(3 + f.rng.IntN(2))
		add(market.KindLevel, market.SideBid, 99_001, 5)
	case k < 90:
		e.Conditions[0], e.NumConditions = market.Condition(f.rng.IntN(40)), 1
		e.ID, _ = market.MakeTradeID(fmt.Sprint(f.now))
		add(market.KindTrade, market.Side(1+f.rng.IntN(2)), 10000+int64(f.rng.IntN(9)), 1+int64(f.rng.IntN(1000)))
	case k < 94:
		add(market.KindGap, 0, 0, 0)
	default:
		e.Status = market.StatusTrading + market.TradingStatus(f.rng.IntN(2))
		add(market.KindStatus, 0, 0, 0)
	}
	events[len(events)-1].Flags |= market.FlagLast
	f.shard.Apply(events)
}

// views is a sink that keeps a View of each instrument and holds every update
// against what a Subscriber promises.
type views struct {
	t   testing.TB
	dir *market.Directory

	mu      sync.Mutex
	changed chan struct{} // closed at the next flush
	views   map[market.InstrumentID]*orderbook.View
	updates int
}

func newViews(t testing.TB, dir *market.Directory) *views {
	return &views{t: t, dir: dir, changed: make(chan struct{}), views: make(map[market.InstrumentID]*orderbook.View)}
}

func (s *views) Update(u *orderbook.Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.updates++
	v := s.views[u.Instrument]
	if v == nil {
		v = &orderbook.View{}
		s.views[u.Instrument] = v
	}
	snapshot := u.Changed&orderbook.ChangedSnapshot != 0
	first := v.Seq == 0 && u.Seq == 1
	if !snapshot && !first && (u.Epoch != v.Epoch || u.Seq != v.Seq+1) {
		s.t.Errorf("%s: update %x/%d after %x/%d is neither the next nor a snapshot", s.dir.Symbol(u.Instrument), u.Epoch, u.Seq, v.Epoch, v.Seq)
	}
	if err := v.Apply(u); err != nil {
		s.t.Errorf("view refuses: %v", err)
	}
}

func (s *views) Flush() {
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// wait waits until cond, called with the views locked, holds.
func (s *views) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("timeout: %s", what)
		}
	}
}

// render writes everything that the views hold, in names and not numbers.
func (s *views) render() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renderLocked()
}

func (s *views) renderLocked() map[string]string {
	out := make(map[string]string)
	for id, v := range s.views {
		out[s.dir.Symbol(id)] = render(s.dir, v)
	}
	return out
}

func render(dir *market.Directory, v *orderbook.View) string {
	var b strings.Builder
	name := dir.VenueName
	fmt.Fprintf(&b, "%v %d/%d trades %d scale %v at %d %d\n", dir.InstrumentByID(v.Instrument).Class, v.Epoch, v.Seq, v.TradeSeq, v.Scale, v.Time, v.Received)
	q := v.Quote
	fmt.Fprintf(&b, "quote %v %d x %d/%d - %d x %d/%d at %d %d", q.Source, q.Bid, q.BidSize, q.BidTotal, q.Ask, q.AskSize, q.AskTotal, q.Time, q.Received)
	for _, w := range q.BidVenues {
		fmt.Fprintf(&b, " bid %s %d", name(w.Venue), w.Size)
	}
	for _, w := range q.AskVenues {
		fmt.Fprintf(&b, " ask %s %d", name(w.Venue), w.Size)
	}
	k := v.Ticker
	last := name(k.LastVenue)
	k.LastVenue = 0
	fmt.Fprintf(&b, "\nticker %s %+v\n", last, k)
	if v.TradeSeq > 0 {
		tr := v.LastTrade
		at := name(tr.Venue)
		tr.Venue = 0
		fmt.Fprintf(&b, "trade %s %+v\n", at, tr)
	}
	vs := slices.Clone(v.Venues)
	slices.SortFunc(vs, func(a, b *orderbook.VenueView) int { return cmp.Compare(name(a.Venue), name(b.Venue)) })
	for _, w := range vs {
		fmt.Fprintf(&b, "%s %v %v since %d\n  bids %v\n  asks %v\n", name(w.Venue), w.State, w.Cause, w.Since, w.Bids.AppendTop(nil, 0), w.Asks.AppendTop(nil, 0))
		if !w.HasBook {
			fmt.Fprintf(&b, "  top %d %d %d %d\n", w.Top.Bid, w.Top.BidSize, w.Top.Ask, w.Top.AskSize)
		}
	}
	return b.String()
}

// gateway is a subscriber whose updates go to views.
type gateway struct {
	*views
	sub  *Subscriber
	nc   *nats.Conn
	stop func()
}

func startGateway(t testing.TB, url string, change func(*SubscriberConfig)) *gateway {
	t.Helper()
	dir := market.NewDirectory()
	for i := range 3 { // numbers that no feed has
		if _, err := dir.Venue(fmt.Sprintf("other%d", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := dir.Instrument(fmt.Sprintf("OTHER%d", i), market.ClassStock); err != nil {
			t.Fatal(err)
		}
	}
	g := &gateway{views: newViews(t, dir), nc: connect(t, url, "gateway")}
	cfg := SubscriberConfig{Conn: g.nc, Directory: dir, Sinks: []orderbook.Sink{g.views}, Logger: quiet(),
		RequestTimeout: 200 * time.Millisecond, Audit: time.Hour}
	if change != nil {
		change(&cfg)
	}
	sub, err := NewSubscriber(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.sub = sub
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sub.Run(ctx) }()
	var once sync.Once
	g.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, nats.ErrConnectionClosed) {
				t.Errorf("Subscriber.Run: %v", err)
			}
		})
	}
	t.Cleanup(g.stop)
	return g
}

// waitEqual waits until the gateway holds what the feed holds.
func (g *gateway) waitEqual(t testing.TB, f *feed) {
	t.Helper()
	want := f.views.render()
	defer func() {
		if t.Failed() {
			got := g.render()
			for s, w := range want {
				if got[s] != w {
					t.Logf("%s: want\n%sgot\n%s", s, w, got[s])
				}
			}
			t.Logf("subscriber %+v\npublisher %+v", g.sub.Status(), f.pub.Status())
		}
	}()
	g.wait(t, "views equal to the feed's", func() bool {
		for id, v := range f.views.views { // cheaper than to render
			here, ok := g.dir.Lookup(f.dir.Symbol(id))
			if w := g.views.views[here]; !ok || w == nil || w.Epoch != v.Epoch || w.Seq != v.Seq {
				return false
			}
		}
		got := g.renderLocked()
		for s, w := range want {
			if got[s] != w {
				return false
			}
		}
		return true
	})
}

// waitDown waits until every venue of every view is down and nothing is shown.
func (g *gateway) waitDown(t testing.TB, cause orderbook.Cause) {
	t.Helper()
	g.wait(t, "all venues down", func() bool {
		for _, v := range g.views.views {
			if len(v.Venues) == 0 || v.Quote.BidSize != 0 || v.Quote.AskSize != 0 || len(v.Quote.BidVenues) != 0 {
				return false
			}
			for _, w := range v.Venues {
				if w.State != orderbook.StateDown || w.Cause != cause || w.Bids.Len()+w.Asks.Len() != 0 {
					return false
				}
			}
		}
		return len(g.views.views) > 0
	})
}

func TestPublisherToSubscriber(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	f := startFeed(t, srv.URL(), 7, nil)
	g := startGateway(t, srv.URL(), nil)
	f.step(2000)
	g.waitEqual(t, f)
	// Instruments keep their class, and get to gateways without any update.
	if _, err := f.dir.Instrument("NEW.ONE", market.ClassIndex); err != nil {
		t.Fatal(err)
	}
	g.wait(t, "a new instrument", func() bool {
		id, ok := g.dir.Lookup("NEW.ONE")
		return ok && g.dir.InstrumentByID(id).Class == market.ClassIndex
	})
	st := g.sub.Status()
	if !st.Connected || len(st.Nodes) != 1 || st.Nodes[0].Node != "feed-1" || st.Malformed != 0 || st.Lost != 0 {
		t.Errorf("status %+v", st)
	}
	// Not alive is what it seems after three heartbeats that a busy machine kept back.
	for end := time.Now().Add(patience); !g.sub.Status().Nodes[0].Alive; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("status %+v", g.sub.Status())
		}
	}
	if ps := f.pub.Status(); ps.Published == 0 || ps.Skipped != 0 || ps.Discontinuous != 0 || ps.Instruments != len(testSymbols) || !ps.Connected {
		t.Errorf("publisher status %+v", ps)
	}
}

func TestLateJoiner(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	f := startFeed(t, srv.URL(), 7, nil)
	early := startGateway(t, srv.URL(), nil)
	f.step(1000)
	early.waitEqual(t, f)
	// From here on no update comes: a late one has only snapshots.
	late := startGateway(t, srv.URL(), nil)
	late.waitEqual(t, f)
	if st := late.sub.Status(); st.Requests == 0 {
		t.Errorf("status %+v", st)
	}
	f.step(100)
	late.waitEqual(t, f)
	early.waitEqual(t, f)
}

// A gateway before any feed node, and before NATS itself.
func TestGatewayFirst(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	url := srv.URL()
	srv.Close()
	g := startGateway(t, url, nil)
	f := startFeed(t, url, 7, nil)
	f.step(500)
	startServer(t, ServerConfig{Listen: strings.TrimPrefix(url, "nats://")})
	g.waitEqual(t, f)
}

func TestLostMessages(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(3, 3))
	rate := 0.3
	f := startFeed(t, srv.URL(), 7, func(_ *PublisherConfig, p *Publisher) {
		if p != nil {
			p.lose = func(subject string, _ []byte) bool {
				mu.Lock()
				defer mu.Unlock()
				return !strings.Contains(subject, ".node.") && rng.Float64() < rate
			}
		}
	})
	g := startGateway(t, srv.URL(), func(c *SubscriberConfig) {
		c.RequestTimeout, c.Audit = 20*time.Millisecond, 100*time.Millisecond
	})
	for range 20 {
		f.step(200)
		if f.rng.IntN(3) == 0 { // let some through one by one
			n := g.updatesNow()
			g.wait(t, "progress", func() bool { return g.updates > n })
		}
	}
	// From here on nothing is lost, and nothing comes either: what was lost last
	// must be found by the audit.
	mu.Lock()
	rate = 0
	mu.Unlock()
	g.waitEqual(t, f)
	if st := g.sub.Status(); st.Gaps == 0 || st.Requests == 0 || st.Malformed != 0 {
		t.Errorf("status %+v", st)
	}
}

func (s *views) updatesNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updates
}

// The queue to the network overflows: the shard is not held up, updates are
// conflated, and subscribers end at the same state without a gap.
func TestOverflowConflates(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	var stuck atomic.Pointer[chan struct{}]
	f := startFeed(t, srv.URL(), 7, func(c *PublisherConfig, p *Publisher) {
		c.QueueBytes = 3000 // a snapshot or two
		c.Heartbeat = 10 * time.Second
		if p != nil {
			p.lose = func(subject string, _ []byte) bool {
				if c := stuck.Load(); c != nil && strings.Contains(subject, ".update.") {
					<-*c // the network does not move
				}
				return false
			}
		}
	})
	g := startGateway(t, srv.URL(), nil)
	f.step(200)
	g.waitEqual(t, f)
	before := g.sub.Status()
	for range 3 {
		c := make(chan struct{})
		stuck.Store(&c)
		f.step(2000) // returns although nothing is written
		stuck.Store(nil)
		close(c)
		g.waitEqual(t, f)
	}
	f.step(50)
	g.waitEqual(t, f)
	if st := f.pub.Status(); st.Skipped == 0 || st.Conflated == 0 || st.Dirty != 0 {
		t.Errorf("publisher status %+v", st)
	}
	if st := g.sub.Status(); st.Gaps != before.Gaps || st.Requests != before.Requests {
		t.Errorf("gaps where there should be none: %+v", st)
	}
}

// An update is lost and none follows it: only an audit can tell.
func TestAudit(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	var lose atomic.Bool
	f := startFeed(t, srv.URL(), 7, func(_ *PublisherConfig, p *Publisher) {
		if p != nil {
			p.lose = func(subject string, _ []byte) bool { return lose.Load() && strings.Contains(subject, ".update.") }
		}
	})
	g := startGateway(t, srv.URL(), func(c *SubscriberConfig) { c.Audit = 50 * time.Millisecond })
	f.step(300)
	g.waitEqual(t, f)
	lose.Store(true)
	f.step(20)
	g.waitEqual(t, f)
}

func TestFeedRestart(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startGateway(t, srv.URL(), nil)
	f := startFeed(t, srv.URL(), 7, nil)
	f.step(800)
	g.waitEqual(t, f)
	for epoch := uint64(8); epoch < 12; epoch++ {
		if epoch%2 == 0 {
			f.kill()
		} else {
			f.stop()
			g.waitDown(t, orderbook.CauseLost)
		}
		f = startFeed(t, srv.URL(), epoch, nil)
		f.step(300)
		g.waitEqual(t, f)
	}
	// One whose clock went backwards: it is heard once the other is known to be
	// gone, which on a busy machine is before its first word.
	f.kill()
	f = startFeed(t, srv.URL(), 3, nil)
	f.step(300)
	g.waitEqual(t, f)
	if st := g.sub.Status(); st.Malformed != 0 {
		t.Errorf("status %+v", st)
	}
}

// A run that does not know yet that it was replaced must not be heard.
func TestReplacedRunIsFenced(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startGateway(t, srv.URL(), nil)
	old := startFeed(t, srv.URL(), 7, nil)
	old.step(300)
	g.waitEqual(t, old)
	f := startFeed(t, srv.URL(), 8, nil)
	f.step(800)
	g.waitEqual(t, f)
	old.step(300)
	for range 20 {
		old.step(20)
		f.step(20)
		g.waitEqual(t, f)
	}
	if st := g.sub.Status(); st.Fenced == 0 {
		t.Errorf("status %+v", st)
	}
}

func TestKilledFeedShowsDown(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startGateway(t, srv.URL(), nil)
	f := startFeed(t, srv.URL(), 7, nil)
	f.step(500)
	g.waitEqual(t, f)
	f.kill()
	begin := time.Now()
	g.waitDown(t, orderbook.CauseLost)
	// Three heartbeats after it was last heard, which a busy machine may have made some
	// time before its end, and what the scheduler adds.
	heard := time.UnixMicro(g.sub.Status().Nodes[0].LastHeard)
	if d := time.Since(heard); d < missedHeartbeats*testBeat || time.Since(begin) > 20*time.Second {
		t.Errorf("down %v after it was heard, with a heartbeat of %v", d, testBeat)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, v := range g.views.views {
		ref := f.views.views[mustLookup(t, f.dir, g.dir.Symbol(id))]
		if v.Ticker.Last != ref.Ticker.Last || v.TradeSeq != ref.TradeSeq || v.Ticker.Volume != ref.Ticker.Volume {
			t.Errorf("ticker did not stay: %+v, want %+v", v.Ticker, ref.Ticker)
		}
	}
}

func mustLookup(t testing.TB, dir *market.Directory, symbol string) market.InstrumentID {
	t.Helper()
	id, ok := dir.Lookup(symbol)
	if !ok {
		t.Fatalf("unknown symbol %s", symbol)
	}
	return id
}

func TestServerRestart(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startGateway(t, srv.URL(), nil)
	f := startFeed(t, srv.URL(), 7, nil)
	f.step(500)
	g.waitEqual(t, f)
	for range 2 {
		addr := strings.TrimPrefix(srv.URL(), "nats://")
		srv.Close()
		g.waitDown(t, orderbook.CauseLost)
		f.step(200) // nobody hears these
		srv = startServer(t, ServerConfig{Listen: addr})
		g.waitEqual(t, f)
		f.step(200)
		g.waitEqual(t, f)
	}
	if st := g.sub.Status(); st.Disconnects != 2 {
		t.Errorf("status %+v", st)
	}
}

// Only the feed's connection breaks, for less than three heartbeats: gateways
// learn from its hello that they may have missed something.
func TestFeedReconnects(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startGateway(t, srv.URL(), nil)
	f := startFeed(t, srv.URL(), 7, func(c *PublisherConfig, _ *Publisher) { c.Heartbeat = 10 * time.Second })
	f.step(500)
	g.waitEqual(t, f)
	for range 3 {
		if err := f.nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		f.step(200)
		g.waitEqual(t, f)
	}
}

// A restart that nobody had the time to miss: the new run has nothing to say yet,
// and what the old one said is not shown as if it were current.
func TestQuickRestartShowsDown(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startGateway(t, srv.URL(), nil)
	slow := func(c *PublisherConfig, _ *Publisher) { c.Heartbeat = 10 * time.Second }
	f := startFeed(t, srv.URL(), 7, slow)
	f.step(300)
	g.waitEqual(t, f)
	f.kill()
	f = startFeed(t, srv.URL(), 8, slow)
	g.waitDown(t, orderbook.CauseRestarted)
	f.step(300)
	g.waitEqual(t, f)
	if st := g.sub.Status(); st.NodeRestarts != 1 {
		t.Errorf("status %+v", st)
	}
}

// Two feed nodes own different instruments; one dies.
func TestTwoNodes(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startGateway(t, srv.URL(), nil)
	a := startFeed(t, srv.URL(), 7, nil)
	b := startFeed(t, srv.URL(), 9, func(c *PublisherConfig, _ *Publisher) { c.Node = "feed-2" })
	of := func(f *feed, symbols ...string) {
		for _, s := range symbols {
			for range 200 {
				f.message(mustLookup(t, f.dir, s))
			}
		}
	}
	of(a, "BTC-USD", "BRK.A")
	of(b, "EUR/USD")
	g.waitEqual(t, a)
	g.waitEqual(t, b)
	a.kill()
	g.wait(t, "the dead node's instruments down", func() bool {
		for _, s := range []string{"BTC-USD", "BRK.A"} {
			for _, w := range g.views.views[mustLookup(t, g.dir, s)].Venues {
				if w.State != orderbook.StateDown {
					return false
				}
			}
		}
		return true
	})
	g.waitEqual(t, b)
	// The other takes them over, in an epoch of its own.
	of(b, "BTC-USD", "BRK.A")
	g.waitEqual(t, b)
}

// A gateway that cannot keep up loses messages at its queue, the last ones too.
func TestSlowGateway(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	var written atomic.Uint64
	f := startFeed(t, srv.URL(), 7, func(_ *PublisherConfig, p *Publisher) {
		if p != nil {
			p.lose = func(subject string, _ []byte) bool {
				if strings.Contains(subject, ".update.") {
					written.Add(1)
				}
				return false
			}
		}
	})
	g := startGateway(t, srv.URL(), func(c *SubscriberConfig) { c.Queue, c.RequestTimeout = 16, 30*time.Millisecond })
	f.step(100)
	g.waitEqual(t, f)
	g.mu.Lock() // the sink is stuck
	f.step(1000)
	for st := f.pub.Status(); st.QueuedBatches > 0 || written.Load() < st.Published; st = f.pub.Status() {
		runtime.Gosched()
	}
	for _, nc := range []*nats.Conn{f.nc, g.nc} { // all that was written has come
		if err := nc.FlushTimeout(patience); err != nil {
			t.Error(err)
		}
	}
	g.mu.Unlock()
	g.waitEqual(t, f)
	if st := g.sub.Status(); st.Lost == 0 || st.SlowConsumer == 0 {
		t.Errorf("status %+v", st)
	}
}

// A full book of 50,000 levels, over our own server and over ones with lower
// limits, where it must go in parts.
func TestLargeSnapshot(t *testing.T) {
	for _, tt := range []struct{ limit, levels int }{{0, 50_000}, {512 << 10, 50_000}, {16 << 10, 5000}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			srv := startServer(t, ServerConfig{MaxPayload: tt.limit})
			f := startFeed(t, srv.URL(), 7, nil)
			g := startGateway(t, srv.URL(), nil) // follows the update
			f.large(1, tt.levels)
			g.waitEqual(t, f)
			late := startGateway(t, srv.URL(), nil) // asks for the snapshot
			late.waitEqual(t, f)
			for range 20 {
				f.message(1)
			}
			late.waitEqual(t, f)
			if st := late.sub.Status(); st.Malformed != 0 || st.PartsLost != 0 {
				t.Errorf("status %+v", st)
			}
		})
	}
}

// large applies a snapshot of n levels with numbers of realistic length.
func (f *feed) large(id market.InstrumentID, n int) {
	f.now++
	e := market.Event{Kind: market.KindClear, Flags: market.FlagSnapshot, Feed: feedBook, Venue: 1, Instrument: id,
		PriceDecimals: 2, SizeDecimals: 8, Time: f.now, Received: f.now}
	events := []market.Event{e}
	e.Kind = market.KindLevel
	for i := range n {
		e.Side, e.Price = market.SideBid, market.Price(6_000_000-17*int64(i))
		if i%2 == 1 {
			e.Side, e.Price = market.SideAsk, market.Price(6_000_001+17*int64(i))
		}
		// As long as such numbers get: some 650 kB in all.
		e.Size = market.Size(1e17 + f.rng.Int64N(1e17))
		events = append(events, e)
	}
	events[len(events)-1].Flags |= market.FlagLast
	f.shard.Apply(events)
}

// TestPositionsOfSkipped: who asks where the updates stand while some are skipped for
// want of room is told of those that were sent. The snapshot that stands in for the
// others comes by itself; told of them, he would find a gap and ask for it.
func TestPositionsOfSkipped(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	dir := market.NewDirectory()
	id, err := dir.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Venue("kraken"); err != nil {
		t.Fatal(err)
	}
	p, err := NewPublisher(PublisherConfig{Conn: connect(t, srv.URL(), "feed"), Directory: dir, Node: "feed-1", Epoch: 7, QueueBytes: 500, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	sink := &directSink{p}
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 7, Sinks: []orderbook.Sink{sink}})
	level := market.Event{Kind: market.KindLevel, Feed: 1, Venue: 1, Instrument: id, Side: market.SideBid, Price: 100, Flags: market.FlagLast, Time: 1, Received: 2}
	image := level
	image.Kind, image.Flags = market.KindClear, market.FlagSnapshot|market.FlagLast
	shard.Apply([]market.Event{image})
	for i := range 100 {
		level.Size = market.Size(i + 1)
		shard.Apply([]market.Event{level})
	}
	in := p.instrument(id)
	if !in.dirty || in.view.Seq < 100 {
		t.Fatalf("dirty is %v at %d", in.dirty, in.view.Seq)
	}
	told := func() uint64 {
		all := dir.Instruments(0)
		return p.describe(&all[0]).Seq
	}
	sent, _ := p.out.take(outgoing{})
	if got := told(); got != uint64(len(sent.items)) {
		t.Errorf("told of %d, and %d updates were sent", got, len(sent.items))
	}
	p.repair()
	if got := told(); got != in.view.Seq {
		t.Errorf("told of %d after the snapshot", got)
	}
}

// directSink gives updates to a publisher that does not run.
type directSink struct{ p *Publisher }

func (s *directSink) Update(u *orderbook.Update) { s.p.update(u) }
func (s *directSink) Flush()                     {}
