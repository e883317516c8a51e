package quotewire_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// chaosWorld is one seed: a market, venues, a line or two to each, and the books
// at their end, wired as the program wires them.
type chaosWorld struct {
	chaosResult
	*chaosTruth
	seed   uint64
	rnd    *rand.Rand
	began  time.Time
	market *sim.Market
	feeds  []*chaosFeed
	byID   map[market.FeedID]*chaosFeed
	stop   func()
	wg     sync.WaitGroup

	mu       sync.Mutex // the shard's one goroutine at a time
	shard    *orderbook.Shard
	journal  []string
	failures []string
}

// chaosFeed is one line to a venue: a simulated server of its own, so that two
// lines to one venue fail apart.
type chaosFeed struct {
	name        string
	venue       chaosVenue
	server      *sim.Server
	supervisor  *feeds.Supervisor
	decoder     normalizer.Decoder
	events      []market.Event
	unreachable atomic.Bool
	muted       bool
}

func newChaosWorld(t *testing.T, seed uint64) *chaosWorld {
	w := &chaosWorld{seed: seed, rnd: rand.New(rand.NewPCG(seed, 0xc4a05)), began: time.Now(), byID: map[market.FeedID]*chaosFeed{}}
	w.faults, w.repairs = map[string]int{}, map[string][]time.Duration{}
	var venues []chaosVenue
	table := chaosVenues()
	for _, i := range w.rnd.Perm(len(table)) {
		v := table[i]
		taken := slices.ContainsFunc(venues, func(o chaosVenue) bool { return o.name == v.name })
		if !taken && len(venues) < 4 {
			venues = append(venues, v)
		}
	}
	dir := market.NewDirectory()
	var err error
	if w.market, err = sim.NewMarket(chaosMarket(seed, w.began, venues)); err != nil {
		t.Fatal(err)
	}
	// A second line may carry the venue's books another way, as orders where the
	// first has levels.
	var lines []chaosVenue
	for i, v := range venues {
		lines = append(lines, v)
		if w.rnd.IntN(10)/7 == 0 {
			continue
		}
		var ways []chaosVenue
		for _, o := range table {
			if o.name == v.name {
				ways = append(ways, o)
			}
		}
		second := ways[w.rnd.IntN(len(ways))]
		venues[i].piecemeal = v.piecemeal || second.piecemeal
		lines = append(lines, second)
	}
	w.chaosTruth = newChaosTruth(w, dir, venues)
	w.market.Watch(w.note)
	utc := func(market.Class) *calendar.Calendar { return calendar.For(market.ClassCrypto) }
	w.shard = orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 1, Sinks: []orderbook.Sink{w}, Resync: w.resync, Calendar: utc})
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	for i, v := range lines {
		name := fmt.Sprintf("%s-1", v.provider)
		if i > 0 && lines[i-1].name == v.name {
			name = fmt.Sprintf("%s-2", v.provider)
		}
		f, err := w.newFeed(dir, v, name)
		if err != nil {
			t.Fatal(err)
		}
		w.feeds = append(w.feeds, f)
	}
	for _, f := range w.feeds {
		w.wg.Go(func() {
			if err := f.supervisor.Run(ctx, func(fr feeds.Frame) error { return w.frame(f, fr) }); !errors.Is(err, context.Canceled) {
				w.fail("%s: Run returned %v", f.name, err)
			}
		})
	}
	return w
}

func (w *chaosWorld) newFeed(dir *market.Directory, v chaosVenue, name string) (*chaosFeed, error) {
	f := &chaosFeed{name: name, venue: v}
	var err error
	if f.server, err = sim.NewServer(sim.Config{Provider: v.provider, Market: w.market, QueueBytes: 64 << 20}); err != nil {
		return nil, err
	}
	pipes := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	f.server.Serve(pipes)
	far := time.Duration(w.rnd.Int64N(int64(150 * time.Millisecond)))
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if f.unreachable.Load() {
			return nil, syscall.ECONNREFUSED
		}
		conn, err := pipes.dial(ctx)
		if err != nil {
			return nil, err
		}
		return newSlowConn(conn, far), nil
	}
	var symbols []string
	for _, pair := range w.market.Symbols(v.name) {
		symbols = append(symbols, v.spell(pair))
	}
	connector, err := v.connect(dial, symbols)
	if err != nil {
		return nil, err
	}
	// Impatient, so that two minutes are long enough for a venue that was away
	// to be back before the end.
	f.supervisor = &feeds.Supervisor{Feed: name, Provider: v.provider, Connector: connector,
		Policy: feeds.Policy{InitialBackoff: 250 * time.Millisecond, MaxBackoff: 4 * time.Second, ConnectTimeout: 10 * time.Second}}
	if f.decoder, err = normalizer.New(v.provider, normalizer.Config{Directory: dir, Feed: name}); err != nil {
		return nil, err
	}
	id, err := dir.Feed(name)
	w.byID[id] = f
	return f, err
}

// frame leads a frame of one feed to the books.
func (w *chaosWorld) frame(f *chaosFeed, fr feeds.Frame) error {
	var err error
	f.events, err = f.decoder.Decode(f.events[:0], fr)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames++
	if err != nil {
		w.refused++
		if *chaosSeed != 0 {
			w.logLocked("%s: %v", f.name, err)
		}
	}
	if fr.Kind != feeds.Data && fr.Kind != feeds.Reply {
		w.logLocked("%s is %s %s", f.name, fr.Kind, fr.Payload)
	}
	w.shard.Apply(f.events)
	if (fr.Kind == feeds.Down || fr.Kind == feeds.Stale) && w.lines(f.venue.name) == 1 {
		w.checkLost(f.venue.name, fr.Kind)
	}
	return nil
}

// resync asks a book's feed for a fresh image. The shard calls it, so w.mu is
// held.
func (w *chaosWorld) resync(id market.FeedID, instrument market.InstrumentID, cause orderbook.Cause) {
	f := w.byID[id]
	symbol, ok := f.decoder.VenueSymbol(instrument)
	w.logLocked("%s: %s is to be resynced: %s", f.name, symbol, cause)
	if ok {
		w.resyncs++
		f.supervisor.Resync(symbol)
	}
}

// close ends everything. That nothing is left the bubble sees to.
func (w *chaosWorld) close() {
	w.stop()
	w.wg.Wait()
	for _, f := range w.feeds {
		f.server.Close()
	}
	time.Sleep(time.Second) // what is still on its way arrives
}

func (w *chaosWorld) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logLocked(format, args...)
}

func (w *chaosWorld) logLocked(format string, args ...any) {
	w.journal = append(w.journal, fmt.Sprintf("%7.3fs ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

func (w *chaosWorld) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(format, args...)
}

const maxChaosFailures = 5

func (w *chaosWorld) failLocked(format string, args ...any) {
	if len(w.failures) < maxChaosFailures {
		w.logLocked("WRONG: "+format, args...)
		w.failures = append(w.failures, w.journal[len(w.journal)-1])
	}
}

// story is all that happened, up to what went wrong.
func (w *chaosWorld) story() string {
	return fmt.Sprintf("seed %d:\n%s\n\n%s", w.seed, strings.Join(w.journal, "\n"), w.chaosResult.String())
}

// slowConn is a client's end of a line that has a length: what is written arrives
// later, so that the market goes on between one request and the next.
type slowConn struct {
	net.Conn
	far  time.Duration
	sent chan slowWrite
	once sync.Once
	mu   sync.Mutex
	shut bool
}

type slowWrite struct {
	b  []byte
	at time.Time // when it arrives
}

func newSlowConn(c net.Conn, far time.Duration) *slowConn {
	s := &slowConn{Conn: c, far: far, sent: make(chan slowWrite, 1024)}
	go func() {
		defer c.Close()
		for w := range s.sent {
			time.Sleep(time.Until(w.at))
			if _, err := c.Write(w.b); err != nil {
				for range s.sent {
				}
				return
			}
		}
	}()
	return s
}

// Write never waits: whoever waits within a bubble must not hold a lock.
func (c *slowConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		return 0, net.ErrClosed
	}
	select {
	case c.sent <- slowWrite{slices.Clone(b), time.Now().Add(c.far)}:
		return len(b), nil
	default:
		return 0, syscall.ENOBUFS
	}
}

// Close lets what was written arrive, as TCP does.
func (c *slowConn) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		c.shut = true
		close(c.sent)
		c.mu.Unlock()
		c.Conn.SetReadDeadline(time.Unix(1, 0))
	})
	return nil
}

// pipeListener hands out connections in memory.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.done:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
