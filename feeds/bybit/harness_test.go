package bybit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/sim"
)

// newServer starts a simulated provider over a market that moves only when
// the test steps it.
func newServer(tb testing.TB, cfg sim.Config) (*sim.Server, *sim.Market) {
	tb.Helper()
	return newServerOf(tb, cfg, sim.CryptosFor("bybit"))
}

// newServerOf is newServer with pairs of the caller's.
func newServerOf(tb testing.TB, cfg sim.Config, cryptos []sim.CryptoSpec) (*sim.Server, *sim.Market) {
	tb.Helper()
	m, err := sim.NewMarket(sim.MarketConfig{Seed: 1, Stocks: []sim.StockSpec{}, Cryptos: cryptos})
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Provider, cfg.Market = "bybit", m
	s, err := sim.NewServer(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s, m
}

// live is a feed under test and all frames that it gave, as "kind payload".
type live struct {
	*feeds.Supervisor
	stop func()

	mu     sync.Mutex
	frames []string
	news   chan struct{} // a frame has come
}

// supervise runs a feed until the test ends or stop is called.
func supervise(tb testing.TB, c feeds.Connector, p feeds.Policy) *live {
	tb.Helper()
	return superviseTo(tb, c, p, func(feeds.Frame) {})
}

// superviseTo is supervise with one who sees each frame.
func superviseTo(tb testing.TB, c feeds.Connector, p feeds.Policy, see func(feeds.Frame)) *live {
	tb.Helper()
	l := &live{
		Supervisor: &feeds.Supervisor{Feed: "test", Provider: "bybit", Connector: c, Policy: p},
		news:       make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, func(f feeds.Frame) error { see(f); return l.emit(f) }) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		began := time.Now()
		if err := <-done; !errors.Is(err, context.Canceled) {
			tb.Errorf("Run returned %v", err)
		}
		if d := time.Since(began); d > 10*time.Second { // 3 s, and what a busy machine adds
			tb.Errorf("stopping took %v", d)
		}
	})
	tb.Cleanup(l.stop)
	return l
}

func (l *live) emit(f feeds.Frame) error {
	text := f.Kind.String()
	if f.Kind == feeds.Reply {
		text += " " + f.URL
	}
	if len(f.Payload) > 0 {
		text += " " + string(f.Payload)
	}
	l.mu.Lock()
	l.frames = append(l.frames, text)
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
	return nil
}

// all returns the frames so far.
func (l *live) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.frames)
}

// await waits until ok of the frames so far.
func (l *live) await(tb testing.TB, what string, ok func(frames []string) bool) {
	tb.Helper()
	timeout := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond) // for what is no frame
	defer tick.Stop()
	for !ok(l.all()) {
		select {
		case <-l.news:
		case <-tick.C:
		case <-timeout:
			frames := l.all()
			tb.Fatalf("%s: not within a minute; status %+v, last frames %.200q", what, l.Status(), frames[max(len(frames)-5, 0):])
		}
	}
}

// indexFrom returns where the first frame from a place on is that begins with
// prefix, -1 for none.
func indexFrom(frames []string, from int, prefix string) int {
	i := slices.IndexFunc(frames[from:], func(f string) bool { return strings.HasPrefix(f, prefix) })
	if i < 0 {
		return -1
	}
	return from + i
}
