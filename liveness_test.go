package quotewire_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/kraken"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// quietRun is one feed with a lively symbol and one with a message in ten minutes,
// over the real transport, supervisor, decoder and books, and what came of it.
type quietRun struct {
	mu       sync.Mutex
	decoder  normalizer.Decoder
	shard    *orderbook.Shard
	frames   []feeds.FrameKind
	times    []time.Time
	longest  time.Duration // between two messages
	last     time.Time
	messages map[market.InstrumentID]int
	states   map[market.InstrumentID]map[orderbook.State]int // as told
	dir      *market.Directory
}

func (q *quietRun) Update(u *orderbook.Update) {
	for _, v := range u.Venues {
		if q.states[u.Instrument] == nil {
			q.states[u.Instrument] = map[orderbook.State]int{}
		}
		q.states[u.Instrument][v.State]++
	}
	if u.Changed&orderbook.ChangedLevels != 0 {
		q.messages[u.Instrument]++
	}
}

func (q *quietRun) Flush() {}

func (q *quietRun) take(f feeds.Frame) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if f.Kind == feeds.Data {
		if !q.last.IsZero() {
			q.longest = max(q.longest, now.Sub(q.last))
		}
		q.last = now
	} else {
		q.frames, q.times = append(q.frames, f.Kind), append(q.times, now)
	}
	events, err := q.decoder.Decode(nil, f)
	q.shard.Apply(events)
	return err
}

// TestSilence: in three hours a symbol with a message in about ten minutes is
// quiet now and then, in the quote all the while, and its connection is never torn
// down; then the socket goes mute, and is found within 3 times the longest gap
// that it had between two messages.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		venue := func(rate float64) []sim.VenueSpec {
			return []sim.VenueSpec{{Venue: sim.Kraken, PriceDecimals: 1, SizeDecimals: 8, Size: "1", SpreadBps: 1, Levels: 30, Rate: rate}}
		}
		m, err := sim.NewMarket(sim.MarketConfig{Seed: 4, Start: time.Now(), Stocks: []sim.StockSpec{}, Cryptos: []sim.CryptoSpec{
			{Pair: "BTC-USD", Price: "95000", VolBps: 1, Venues: venue(2)}, {Pair: "DOT-USD", Price: "6.8", Venues: venue(1. / 600)}}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := sim.NewServer(sim.Config{Provider: sim.Kraken, Market: m})
		if err != nil {
			t.Fatal(err)
		}
		pipes := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		s.Serve(pipes)
		c, err := kraken.New(kraken.Config{URL: "ws://sim/v2", Symbols: []string{"BTC/USD", "DOT/USD"}, Book: true, Trades: true,
			NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) { return pipes.dial(ctx) }})
		if err != nil {
			t.Fatal(err)
		}
		q := &quietRun{dir: market.NewDirectory(), messages: map[market.InstrumentID]int{}, states: map[market.InstrumentID]map[orderbook.State]int{}}
		q.shard = orderbook.NewShard(orderbook.Config{Directory: q.dir, Epoch: 1, Sinks: []orderbook.Sink{q}})
		if q.decoder, err = normalizer.New("kraken", normalizer.Config{Directory: q.dir, Feed: "kraken"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		sup := &feeds.Supervisor{Feed: "kraken", Provider: "kraken", Connector: c}
		go func() { done <- sup.Run(ctx, q.take) }()

		const step = 250 * time.Millisecond
		for range 3 * time.Hour / step {
			time.Sleep(step)
			m.Step(step)
		}
		synctest.Wait()
		q.mu.Lock()
		if len(q.frames) != 1 || q.frames[0] != feeds.Up || sup.Status().Attempts != 1 {
			t.Errorf("in three hours the connection told %v, after %d attempts", q.frames, sup.Status().Attempts)
		}
		dot, _ := q.dir.Lookup("DOT-USD")
		btc, _ := q.dir.Lookup("BTC-USD")
		longest := q.longest
		t.Logf("messages that changed the book in three hours: BTC-USD %d, DOT-USD %d; longest gap between messages of the socket %v; DOT-USD was told to be %v, BTC-USD %v",
			q.messages[btc], q.messages[dot], longest, q.states[dot], q.states[btc])
		if n := q.messages[dot]; n < 5 || n > 60 {
			t.Errorf("the illiquid symbol had %d messages", n)
		}
		for _, state := range []orderbook.State{orderbook.StateStale, orderbook.StateDown, orderbook.StateSuspect} {
			if q.states[dot][state]+q.states[btc][state] > 0 {
				t.Errorf("books were %s", state)
			}
		}
		if q.states[dot][orderbook.StateQuiet] == 0 || q.states[btc][orderbook.StateQuiet] > 0 {
			t.Error("the illiquid symbol was never told to be quiet, or the lively one was")
		}
		silentFrom := q.last
		q.mu.Unlock()

		s.Mute(true)
		for range 20 * time.Second / step {
			time.Sleep(step)
			m.Step(step)
		}
		synctest.Wait()
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.frames) < 4 || q.frames[1] != feeds.Suspect || q.frames[2] != feeds.Stale || q.frames[3] != feeds.Down {
			t.Fatalf("of a mute socket was told %v", q.frames)
		}
		found := q.times[2].Sub(silentFrom)
		t.Logf("mute socket: suspect after %v, stale after %v, given up after %v; %.2f times the longest gap of %v",
			q.times[1].Sub(silentFrom), found, q.times[3].Sub(silentFrom), float64(found)/float64(longest), longest)
		if found > 3*longest {
			t.Errorf("found after %v, more than 3 times %v", found, longest)
		}
		cancel()
		<-done
		s.Close()
		time.Sleep(time.Second)
	})
}
