package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// recorder writes down all that a market tells.
type recorder struct {
	m                           *Market
	lines                       []string
	only                        string // a symbol
	trades, quotes, bars, books int
	crossed, locked, ticks      int
}

func (r *recorder) note(symbol, format string, args ...any) {
	if r.only == "" || r.only == symbol {
		r.lines = append(r.lines, fmt.Sprintf(format, args...))
	}
}

func (r *recorder) onBook(v *venue, c *change) {
	r.books++
	r.note(v.pair.spec.Pair, "%s %s %+v", v.pair.spec.Pair, v.spec.Venue, *c)
}
func (r *recorder) onStockTrade(s *stock, p *print) {
	r.trades++
	r.note(s.spec.Symbol, "%s %+v", s.spec.Symbol, *p)
}
func (r *recorder) onStockQuote(s *stock) {
	r.quotes++
	r.note(s.spec.Symbol, "%s %+v %d", s.spec.Symbol, s.shown, s.quoteSeq)
}
func (r *recorder) onBar(s *stock, minute bool, b bar) {
	r.bars++
	r.note(s.spec.Symbol, "%s %v %+v", s.spec.Symbol, minute, b)
}
func (r *recorder) onTick(int64) {
	r.ticks++
	for _, c := range r.m.cryptos {
		a, b := c.at(Coinbase), c.at(Kraken)
		for _, v := range [][2]*venue{{a, b}, {b, a}} {
			bid := float64(v[0].bids.best().price) / float64(v[0].spec.Tick) * v[0].tickValue
			ask := float64(v[1].asks.best().price) / float64(v[1].spec.Tick) * v[1].tickValue
			if bid > ask {
				r.crossed++
			} else if bid == ask {
				r.locked++
			}
		}
	}
}

func record(t *testing.T, cfg MarketConfig, only string, steps ...time.Duration) *recorder {
	t.Helper()
	cfg.Start = start
	m, err := NewMarket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{m: m, only: only}
	m.attach(r)
	for _, d := range steps {
		m.Step(d)
	}
	return r
}

func TestSameSeedSameMarket(t *testing.T) {
	steps := []time.Duration{20 * time.Millisecond, 7 * time.Millisecond, time.Second, time.Microsecond, 300 * time.Millisecond}
	a := record(t, MarketConfig{Seed: 7}, "", steps...)
	b := record(t, MarketConfig{Seed: 7}, "", steps...)
	if !slices.Equal(a.lines, b.lines) {
		t.Fatal("the same seed and steps gave different markets")
	}
	if c := record(t, MarketConfig{Seed: 8}, "", steps...); slices.Equal(a.lines, c.lines) {
		t.Fatal("another seed gave the same market")
	}
}

func TestSymbolsDoNotDisturbEachOther(t *testing.T) {
	steps := []time.Duration{2 * time.Second}
	for _, symbol := range []string{"ETH-USD", "BRK.B"} {
		all := record(t, MarketConfig{Seed: 3}, symbol, steps...)
		cfg := MarketConfig{Seed: 3, Cryptos: []CryptoSpec{}, Stocks: []StockSpec{}}
		for _, c := range DefaultCryptos() {
			if c.Pair == symbol {
				cfg.Cryptos = append(cfg.Cryptos, c)
			}
		}
		for _, s := range DefaultStocks() {
			if s.Symbol == symbol {
				cfg.Stocks = append(cfg.Stocks, s)
			}
		}
		alone := record(t, cfg, symbol, steps...)
		if len(alone.lines) < 10 || !slices.Equal(all.lines, alone.lines) {
			t.Errorf("%s does something else (%d, %d lines) where it is alone", symbol, len(all.lines), len(alone.lines))
		}
	}
}

// TestBooksHold steps at random and looks at every book after every quantum.
func TestBooksHold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, err := NewMarket(MarketConfig{Seed: rapid.Uint64().Draw(rt, "seed"), Start: start, Rate: rapid.SampledFrom([]float64{0.2, 1, 5}).Draw(rt, "rate")})
		if err != nil {
			rt.Fatal(err)
		}
		m.attach(&bookChecker{recorder{m: m}, rt})
		for _, d := range rapid.SliceOfN(rapid.IntRange(1, 100_000), 1, 5).Draw(rt, "steps") {
			m.Step(time.Duration(d) * time.Microsecond)
		}
	})
}

type bookChecker struct {
	recorder
	rt *rapid.T
}

func (k *bookChecker) onTick(int64) {
	for _, s := range k.m.stocks {
		if q := s.nbbo(); q.bid >= q.ask || q.bid <= 0 || q.bidSize <= 0 || q.askSize <= 0 || q.bidSize%s.lot != 0 {
			k.rt.Fatalf("%s: NBBO %+v", s.spec.Symbol, q)
		}
	}
}

func (k *bookChecker) onStockTrade(s *stock, p *print) {
	if p.size <= 0 || p.price <= 0 {
		k.rt.Fatalf("%s: trade %+v", s.spec.Symbol, *p)
	}
}

func (k *bookChecker) onBook(v *venue, c *change) {
	if v.bids.best().price >= v.asks.best().price {
		k.rt.Fatalf("%s at %s is crossed: %v %v", v.pair.spec.Pair, v.spec.Venue, v.bids.best(), v.asks.best())
	}
	for _, side := range []*ladder{&v.bids, &v.asks} {
		if n := len(side.lv); n < v.spec.Levels/3 || n > v.spec.Levels*3/2 {
			k.rt.Fatalf("%s at %s has %d levels, usual are %d", v.pair.spec.Pair, v.spec.Venue, n, v.spec.Levels)
		}
		for i, l := range side.lv {
			if l.size <= 0 || l.price <= 0 || l.price%v.spec.Tick != 0 || i > 0 && !side.better(l.price, side.lv[i-1].price) {
				k.rt.Fatalf("%s at %s: level %d is %+v after %+v", v.pair.spec.Pair, v.spec.Venue, i, l, side.lv[max(i-1, 0)])
			}
		}
	}
	for _, tr := range c.trades {
		if tr.size <= 0 || tr.price <= 0 {
			k.rt.Fatalf("%s at %s: trade %+v", v.pair.spec.Pair, v.spec.Venue, tr)
		}
	}
}

// TestMarketLooksAlive holds the market to rough shares: without them the demo
// shows a picture that no market has.
func TestMarketLooksAlive(t *testing.T) {
	r := record(t, MarketConfig{Seed: 1}, "none", 20*time.Second)
	share := float64(r.crossed) / float64(r.ticks*len(r.m.cryptos))
	t.Logf("in 20 s: %d book events, %d stock trades, %d quotes, %d bars; Coinbase and Kraken crossed %.2f%% of the time, locked %d times",
		r.books, r.trades, r.quotes, r.bars, share*100, r.locked)
	if share == 0 || share > 0.20 {
		t.Errorf("Coinbase and Kraken are crossed %.2f%% of the time", share*100)
	}
	if r.trades < 1000 || r.quotes < 2000 || r.bars < 100 || r.books < 10000 {
		t.Error("too quiet for an opening")
	}
	for _, venue := range []string{Coinbase, Kraken, Bitfinex, Bitstamp} {
		if n := r.m.Trades(venue, "BTC-USD"); n < 10 {
			t.Errorf("%d trades of BTC-USD at %s", n, venue)
		}
	}
	var quiet int
	q := record(t, MarketConfig{Seed: 1}, "none")
	q.m.start -= int64(2 * time.Hour)
	q.m.Step(20 * time.Second)
	if quiet = q.trades; quiet*2 > r.trades {
		t.Errorf("%d trades at the open, %d two hours later", r.trades, quiet)
	}
}

func TestBookNames(t *testing.T) {
	m := newMarket(t, 1)
	bids, asks := m.Book(Kraken, "BTC/USD")
	if len(bids) != 600 || len(asks) != 600 {
		t.Fatalf("%d bids, %d asks", len(bids), len(asks))
	}
	if b, a := m.Book(Coinbase, "NO-USD"); b != nil || a != nil {
		t.Error("a book of an unknown pair")
	}
	if b, a := m.Book(NBBO, "BRK.B"); len(b) != 1 || len(a) != 1 {
		t.Error("no NBBO of BRK.B")
	}
	if b, _ := m.Book(NBBO, "NONE"); b != nil {
		t.Error("an NBBO of an unknown stock")
	}
	bids, _ = m.Book(Coinbase, "PEPE-USD")
	if len(bids[0].Price) != len("0.0000098448") {
		t.Errorf("PEPE-USD bid %s has not 10 decimals", bids[0].Price)
	}
}

func TestConfigRefused(t *testing.T) {
	one := func(v VenueSpec) []CryptoSpec { return []CryptoSpec{{Pair: "A-B", Price: "1", Venues: []VenueSpec{v}}} }
	good := VenueSpec{Venue: "x", PriceDecimals: 2, SizeDecimals: 2, Size: "1", Levels: 10}
	cases := map[string]MarketConfig{
		"negative rate":   {Rate: -1},
		"stock price":     {Stocks: []StockSpec{{Symbol: "A", Price: "1.234"}}},
		"stock twice":     {Stocks: []StockSpec{{Symbol: "A", Price: "1"}, {Symbol: "A", Price: "1"}}},
		"pair name":       {Cryptos: []CryptoSpec{{Pair: "BTCUSD", Price: "1"}}},
		"pair price":      {Cryptos: []CryptoSpec{{Pair: "A-B", Price: "-1"}}},
		"size too fine":   {Cryptos: one(VenueSpec{Venue: "x", SizeDecimals: 1, Size: "0.01", Levels: 10})},
		"no levels":       {Cryptos: one(VenueSpec{Venue: "x", Size: "1"})},
		"venue twice":     {Cryptos: []CryptoSpec{{Pair: "A-B", Price: "1", Venues: []VenueSpec{good, good}}}},
		"too many digits": {Cryptos: one(VenueSpec{Venue: "x", PriceDecimals: 13, Size: "1", Levels: 10})},
	}
	for name, cfg := range cases {
		if _, err := NewMarket(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewMarket(MarketConfig{Cryptos: one(good)}); err != nil {
		t.Errorf("good: %v", err)
	}
}
