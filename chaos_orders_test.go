package quotewire_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// TestOrdersAddUpToLevels: three venues send the same books as levels, over a line
// without faults, and order by order, over one with faults. At every message about
// levels, the book of orders has the same levels to the last digit, or is not
// trusted, or lacks what was lost just now and shows with the next message; and after the faults all are trusted and equal.
func TestOrdersAddUpToLevels(t *testing.T) {
	for _, provider := range []string{"kraken", "coinbase", "bitstamp"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			var sum ordersResult
			for seed := range uint64(max(*chaosSeeds/5, 1)) {
				synctest.Test(t, func(t *testing.T) { runOrders(t, provider, *chaosFirst+seed, &sum) })
			}
			if sum.equal < 1000 || sum.distrusts < 5 || sum.faults < 5 || sum.behind > sum.equal/20 {
				t.Errorf("that proves little: %+v", sum)
			}
			if testing.Verbose() {
				fmt.Fprintf(os.Stdout, "%s: %d messages about orders; %d messages about levels found them equal, %d found the orders not trusted, %d behind by a message that was lost; %d faults, %d distrusts, all mended\n",
					provider, sum.orders, sum.equal, sum.dead, sum.behind, sum.faults, sum.distrusts)
			}
		})
	}
}

type ordersResult struct{ orders, equal, dead, behind, faults, distrusts int }

// ordersLine is one of the two lines with books of its own.
type ordersLine struct {
	name       string
	server     *sim.Server
	supervisor *feeds.Supervisor
	decoder    normalizer.Decoder
	dir        *market.Directory
	decimals   map[string][2]int

	mu    sync.Mutex // the books' one goroutine at a time
	shard *orderbook.Shard
	views map[market.InstrumentID]*orderbook.View
	said  map[string][]ordersState // by pair
	lost  int                      // times that a book ceased to be trusted for what came
}

// ordersState is what a line showed of a pair from a venue's time on.
type ordersState struct {
	at   int64
	live bool
	sum  uint64
}

func newOrdersLine(t *testing.T, v chaosVenue, m *sim.Market, name string, decimals map[string][2]int) *ordersLine {
	l := &ordersLine{name: name, dir: market.NewDirectory(), decimals: decimals,
		views: map[market.InstrumentID]*orderbook.View{}, said: map[string][]ordersState{}}
	var err error
	if l.server, err = sim.NewServer(sim.Config{Provider: v.provider, Market: m, QueueBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	pipes := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	l.server.Serve(pipes)
	var symbols []string
	for _, pair := range m.Symbols(v.name) {
		symbols = append(symbols, v.spell(pair))
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := pipes.dial(ctx)
		if err != nil {
			return nil, err
		}
		return newSlowConn(conn, 20*time.Millisecond), nil
	}
	connector, err := v.connect(dial, symbols)
	if err != nil {
		t.Fatal(err)
	}
	l.supervisor = &feeds.Supervisor{Feed: name, Provider: v.provider, Connector: connector,
		Policy: feeds.Policy{InitialBackoff: 250 * time.Millisecond, MaxBackoff: time.Second, ConnectTimeout: 10 * time.Second}}
	if l.decoder, err = normalizer.New(v.provider, normalizer.Config{Directory: l.dir, Feed: name}); err != nil {
		t.Fatal(err)
	}
	l.shard = orderbook.NewShard(orderbook.Config{Directory: l.dir, Epoch: 1, Sinks: []orderbook.Sink{l},
		Resync: func(_ market.FeedID, id market.InstrumentID, _ orderbook.Cause) {
			if symbol, ok := l.decoder.VenueSymbol(id); ok {
				l.supervisor.Resync(symbol)
			}
		}})
	return l
}

func (l *ordersLine) frame(f feeds.Frame) error {
	events, _ := l.decoder.Decode(nil, f) // what is refused shows in the books
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shard.Apply(events)
	return nil
}

func (l *ordersLine) Flush() {}

// Update implements [orderbook.Sink].
func (l *ordersLine) Update(u *orderbook.Update) {
	v := l.views[u.Instrument]
	if v == nil {
		v = &orderbook.View{}
		l.views[u.Instrument] = v
	}
	if err := v.Apply(u); err != nil {
		panic(err) // the shard's own updates follow one another
	}
	if u.Changed&(orderbook.ChangedLevels|orderbook.ChangedVenues) == 0 {
		return
	}
	pair := l.dir.Symbol(u.Instrument)
	d := l.decimals[pair]
	b := chaosBook{price: d[0], size: d[1]}
	for _, w := range v.Venues {
		s := ordersState{at: u.Time, live: w.State == orderbook.StateLive}
		if s.live {
			var err error
			if s.sum, err = b.shown(v, w); err != nil {
				panic(err) // finer than the venue's decimals
			}
		} else if w.State == orderbook.StateResyncing {
			l.lost++
		}
		l.said[pair] = append(l.said[pair], s)
	}
}

// state returns what the line last showed of a pair up to a time.
func (l *ordersLine) state(pair string, at int64) (s ordersState) {
	for _, x := range l.said[pair] {
		if x.at <= at || !x.live {
			s = x
		}
	}
	return s
}

func runOrders(t *testing.T, provider string, seed uint64, sum *ordersResult) {
	var rows []chaosVenue
	for _, v := range chaosVenues() {
		if v.provider == provider {
			rows = append(rows, v)
		}
	}
	cfg := chaosMarket(seed, time.Now(), rows[:1])
	m, err := sim.NewMarket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	decimals := map[string][2]int{}
	for _, c := range cfg.Cryptos {
		decimals[c.Pair] = [2]int{c.Venues[0].PriceDecimals, c.Venues[0].SizeDecimals}
	}
	levels, orders := newOrdersLine(t, rows[0], m, "levels", decimals), newOrdersLine(t, rows[1], m, "orders", decimals)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, l := range []*ordersLine{levels, orders} {
		wg.Go(func() {
			if err := l.supervisor.Run(ctx, l.frame); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Run returned %v", l.name, err)
			}
		})
	}
	const step, calmFrom, end = 20 * time.Millisecond, 40 * time.Second, 65 * time.Second
	r := rand.New(rand.NewPCG(seed, 0x0bde))
	pairs := m.Symbols(rows[0].name)
	for now := time.Duration(0); now < end; now += step {
		switch {
		case now > 3*time.Second && now < calmFrom && r.IntN(50) == 0:
			sum.faults += orderFault(r, orders.server, rows[1], pairs[r.IntN(len(pairs))])
		case now == calmFrom:
			calm(orders.server, pairs)
		}
		m.Step(step)
		synctest.Wait()
		if !compareLines(t, levels, orders, now, sum) {
			break
		}
		time.Sleep(step)
	}
	for _, pair := range pairs {
		if s := orders.state(pair, 1<<62); !s.live {
			t.Errorf("seed %d: the orders of %s are not trusted in the end", seed, pair)
		}
	}
	sum.distrusts += orders.lost
	cancel()
	wg.Wait()
	levels.server.Close()
	orders.server.Close()
	time.Sleep(time.Second) // what is still on its way arrives
}

// compareLines holds every message about levels since the last call against the
// orders as they were at its time.
func compareLines(t *testing.T, levels, orders *ordersLine, now time.Duration, sum *ordersResult) bool {
	for _, l := range []*ordersLine{levels, orders} {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	for pair, said := range levels.said {
		for _, s := range said {
			if !s.live {
				continue
			}
			o := orders.state(pair, s.at)
			switch {
			case !o.live:
				sum.dead++
			case o.at != s.at && o.at != s.at/1e6*1e6: // Bitstamp cuts the times of orders
				// What happened last was lost of the orders, which shows with
				// their next message.
				sum.behind++
			case o.sum != s.sum:
				t.Errorf("%v: %s: the orders do not add up to the levels of %d", now, pair, s.at)
				return false
			default:
				sum.equal++
			}
		}
		levels.said[pair] = said[:0]
	}
	for pair, said := range orders.said {
		// The last is what holds from now on.
		sum.orders += len(said) - 1
		orders.said[pair] = append(said[:0], said[len(said)-1])
	}
	return true
}

// orderFault orders a fault that the venue's protocol can show.
func orderFault(r *rand.Rand, s *sim.Server, v chaosVenue, pair string) int {
	all := []func(){
		func() { s.DropNext(pair, upTo(r, 3)) },
		func() { s.DropNext(pair, 1) },
		func() { s.TruncateNext(pair, 1) },
		func() { s.DuplicateNext(pair, upTo(r, 3)) },
		func() { s.LoseSnapshots(pair, 1); s.DropNext(pair, 1) },
		s.Kill,
	}
	if v.proof == proofSequence {
		all = append(all, func() { s.SwapNext(pair) }, func() { s.DelayNext(pair, time.Second/2) }, func() { s.RepeatNext(pair, time.Second/2) })
	} else {
		all = append(all, func() { s.CorruptChecksum(pair) })
	}
	all[r.IntN(len(all))]()
	return 1
}
