package best_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/orderbook/best"
)

// TestFeesFlipTheBest: the venue with the better price is not the better one after
// its fee. Kraken's bid of 100 brings 100 × 0.994 = 99.4, Coinbase's of 99.9
// brings 99.9 × 0.999 = 99.8001; asks 100.1 × 1.006 = 100.7006 and
// 100.2 × 1.001 = 100.3002.
func TestFeesFlipTheBest(t *testing.T) {
	r := newRig(t, map[string]string{"kraken": "0.006", "coinbase": "0.001"}, best.Pair{Symbol: "BTC-USD"})
	r.quote("kraken", "BTC-USD", "100x2", "100.1x3")
	r.want("BTC-USD", "99.4x2 kraken / 100.7006x3 kraken")
	r.quote("coinbase", "BTC-USD", "99.9x1", "100.2x1.5")
	r.want("BTC-USD", "99.8001x1 coinbase / 100.3002x1.5 coinbase")
	// It goes, in the very step; and is not missed by its price.
	r.down("coinbase")
	r.want("BTC-USD", "99.4x2 kraken / 100.7006x3 kraken; coinbase down lost")
	r.quote("kraken", "BTC-USD", "-", "100.1x3")
	r.want("BTC-USD", "- / 100.7006x3 kraken; coinbase down lost")
}

// TestConverted: 100 USDT, sold for dollars at 0.999, after 0.1 % at Binance and
// 0.05 % at Kraken, are 100 × 0.999 × 0.999 × 0.9995 = 99.75019995; 100.5 USDT,
// bought at 1.001, cost 100.5 × 1.001 × 1.001 × 1.0005 = 100.75145105025.
func TestConverted(t *testing.T) {
	r := newRig(t, map[string]string{"binance": "0.001", "kraken": "0.0005"},
		best.Pair{Symbol: "BTC-USD", Currencies: []string{"USDT"}})
	r.quote("binance", "BTC-USDT", "100x2", "100.5x1")
	r.want("BTC-USD", "- / -; binance:USDT down cross")
	r.quote("kraken", "USDT-USD", "0.999x5000", "1.001x4000")
	r.want("BTC-USD", "99.75019995x2 binance:USDT / 100.75145105025x1 binance:USDT")
	// Kraken's own BTC-USD: 99.7 × 0.9995 = 99.65015 and 100.6 × 1.0005 = 100.6503.
	r.quote("kraken", "BTC-USD", "99.7x1", "100.6x1")
	r.want("BTC-USD", "99.75019995x2 binance:USDT / 100.6503x1 kraken")
}

// TestCrossStale: while the cross is not live, the leg is out and says so; it is
// back with it.
func TestCrossStale(t *testing.T) {
	r := newRig(t, map[string]string{"*": "0"}, best.Pair{Symbol: "BTC-USD", Currencies: []string{"USDT"}})
	r.quote("binance", "BTC-USDT", "101x2", "102x2")
	r.quote("kraken", "USDT-USD", "1x10", "1x10")
	r.quote("coinbase", "BTC-USD", "100x1", "103x1")
	const all = "101x2 binance:USDT / 102x2 binance:USDT"
	const own = "100x1 coinbase / 103x1 coinbase"
	r.want("BTC-USD", all)
	r.stale("kraken")
	r.want("BTC-USD", own+"; binance:USDT stale cross")
	r.alive("kraken")
	r.want("BTC-USD", all)
	r.down("kraken")
	r.want("BTC-USD", own+"; binance:USDT down cross")
	r.up("kraken")
	r.want("BTC-USD", own+"; binance:USDT resyncing cross")
	r.quote("kraken", "USDT-USD", "1x10", "-")
	r.want("BTC-USD", "101x2 binance:USDT / 103x1 coinbase") // it can be sold and not bought
	r.quote("kraken", "USDT-USD", "-", "-")
	r.want("BTC-USD", own+"; binance:USDT halted cross")
	// The leg's own trouble goes before the cross's.
	r.down("binance")
	r.want("BTC-USD", own+"; binance:USDT down lost")
	// A second venue's cross is as good.
	r.up("binance")
	r.quote("binance", "BTC-USDT", "101x2", "102x2")
	r.quote("bitstamp", "USDT-USD", "1x10", "1x10")
	r.want("BTC-USD", all)
}

// TestInverseCross: dollars are told in euros by EUR-USD: a dollar brings
// 1 / 1.25 = 0.8 euros and costs 1 / 1.2 = 0.8333…, which is rounded up.
func TestInverseCross(t *testing.T) {
	r := newRig(t, map[string]string{"*": "0"}, best.Pair{Symbol: "BTC-EUR", Currencies: []string{"USD"}})
	r.quote("kraken", "EUR-USD", "1.2x10", "1.25x10")
	r.quote("coinbase", "BTC-USD", "100x1", "120x1")
	r.want("BTC-EUR", "80x1 coinbase:USD / 100.0000000000001x1 coinbase:USD")
	// A market that is quoted straight counts beside it, where it is better.
	r.quote("bitstamp", "USD-EUR", "0.81x1", "0.9x1")
	r.want("BTC-EUR", "81x1 coinbase:USD / 100.0000000000001x1 coinbase:USD")
}

// TestVenueWithoutFee: nobody knows what its price is worth.
func TestVenueWithoutFee(t *testing.T) {
	r := newRig(t, map[string]string{"kraken": "0.0025"}, best.Pair{Symbol: "BTC-USD", Currencies: []string{"USDC"}})
	r.quote("gemini", "BTC-USD", "1000x1", "1001x1")
	r.want("BTC-USD", "- / -; gemini halted no_fee")
	r.quote("kraken", "BTC-USDC", "100x1", "101x1")
	r.quote("gemini", "USDC-USD", "1x1", "1x1")
	r.want("BTC-USD", "- / -; gemini halted no_fee; kraken:USDC halted cross")
}

// TestSizesAndTies: among legs at one price the larger comes first, then the
// venues' order; sizes add up.
func TestSizesAndTies(t *testing.T) {
	r := newRig(t, map[string]string{"*": "0.5"}, best.Pair{Symbol: "BTC-USD"})
	for _, v := range []string{"c", "b", "a"} {
		r.quote(v, "BTC-USD", "100x1", "-")
	}
	r.quote("a", "BTC-USD", "100x1.5", "-")
	r.want("BTC-USD", "50x1.5 a c b / -")
	if q := r.views["net:BTC-USD"].Quote; q.BidTotal*2 != q.BidSize*2/3*7 || q.Source != orderbook.SourceNet {
		t.Errorf("total %d of %d, %v", q.BidTotal, q.BidSize, q.Source)
	}
}

// TestOnlyNewsIsTold: what changes no leg makes no update.
func TestOnlyNewsIsTold(t *testing.T) {
	r := newRig(t, map[string]string{"*": "0.001"}, best.Pair{Symbol: "BTC-USD", Currencies: []string{"USDT"}})
	r.quote("kraken", "BTC-USD", "100x1", "101x1")
	r.c.Step()
	n := r.n
	r.c.Step()
	r.quote("kraken", "BTC-USD", "100x1", "101x1")
	r.quote("kraken", "ETH-USD", "100x2", "101x1")
	r.quote("kraken", "USDT-USD", "1x1", "1x1")
	r.c.Step()
	if r.n != n {
		t.Errorf("%d updates of nothing", r.n-n)
	}
	for range 5 {
		r.quote("kraken", "BTC-USD", "100x1", "101x1")
		r.quote("kraken", "BTC-USD", "99x1", "101x1")
	}
	r.c.Step()
	if r.n != n+1 {
		t.Errorf("%d updates of a step, want 1", r.n-n)
	}
}

// TestPriceOutgrows: a price that does not fit beside the others is out and says
// so. 0.00012345 × 0.876543211 is 0.00010820925939795, of which a quote holds 16
// decimals: a bid is rounded down.
func TestPriceOutgrows(t *testing.T) {
	r := newRig(t, map[string]string{"*": "0.123456789"}, best.Pair{Symbol: "X-USD"})
	r.quote("kraken", "X-USD", "0.00012345x1", "-")
	r.want("X-USD", "0.0001082092593979x1 kraken / -")
	r.quote("coinbase", "X-USD", "50000000x1", "-")
	r.want("X-USD", "0.0001082092593979x1 kraken / -; coinbase halted overflow")
}

func TestRunMakesQuotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]string{"*": "0"}, best.Pair{Symbol: "BTC-USD"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.c.Run(ctx) }()
		for i := range 100 {
			r.quote("kraken", "BTC-USD", "100x1", fmt.Sprintf("%dx1", 101+i))
			time.Sleep(time.Millisecond) // of the bubble's clock
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if r.n < 5 || r.n > 12 {
			t.Errorf("%d updates in 100 ms, want one in 10 ms", r.n)
		}
		r.want("BTC-USD", "100x1 kraken / 200x1 kraken")
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestBadConfig(t *testing.T) {
	dir := market.NewDirectory()
	fee := decimal.RequireFromString
	for _, c := range []struct {
		cfg  best.Config
		want string
	}{
		{best.Config{Epoch: 1}, "directory"},
		{best.Config{Directory: dir}, "epoch"},
		{best.Config{Directory: dir, Epoch: 1, Fees: map[string]decimal.Decimal{"kraken": fee("1")}}, "fee of kraken"},
		{best.Config{Directory: dir, Epoch: 1, Fees: map[string]decimal.Decimal{"kraken": fee("-0.1")}}, "below 1"},
		{best.Config{Directory: dir, Epoch: 1, Fees: map[string]decimal.Decimal{"kraken": fee("0.0000000001")}}, "9 decimals"},
		{best.Config{Directory: dir, Epoch: 1, Pairs: []best.Pair{{Symbol: "BTC"}}}, "BTC-USD"},
		{best.Config{Directory: dir, Epoch: 1, Pairs: []best.Pair{{Symbol: "A-B-C"}}}, "BTC-USD"},
		{best.Config{Directory: dir, Epoch: 1, Pairs: []best.Pair{{Symbol: "BTC-USD"}, {Symbol: "BTC-USD"}}}, "twice"},
		{best.Config{Directory: dir, Epoch: 1, Pairs: []best.Pair{{Symbol: "BTC-USD", Currencies: []string{"USD"}}}}, "twice"},
		{best.Config{Directory: dir, Epoch: 1, Pairs: []best.Pair{{Symbol: "BTC-USD", Currencies: []string{"US-D"}}}}, "no currency"},
	} {
		if _, err := best.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

// TestLeftOutOfItsMarket: what a market's own quote leaves out makes no net price.
func TestLeftOutOfItsMarket(t *testing.T) {
	r := newRig(t, map[string]string{"*": "0"}, best.Pair{Symbol: "BTC-USD"})
	r.shard = orderbook.NewShard(orderbook.Config{Directory: r.dir, Epoch: 7, Sinks: []orderbook.Sink{r.c.Sink()},
		Rules: func(market.Instrument) orderbook.QuoteRules { return orderbook.QuoteRules{MinSize: 1} }})
	r.quote("kraken", "BTC-USD", "100x1", "101x1")
	r.quote("gemini", "BTC-USD", "100.5x0.5", "100.9x1")
	r.want("BTC-USD", "100x1 kraken / 100.9x1 gemini")
	r.quote("gemini", "BTC-USD", "100.5x1", "100.9x0.5")
	r.want("BTC-USD", "100.5x1 gemini / 101x1 kraken")
}

// TestUpdateMissing: a market whose updates do not follow each other has no legs,
// until a whole one comes.
func TestUpdateMissing(t *testing.T) {
	r := newRig(t, map[string]string{"*": "0"}, best.Pair{Symbol: "BTC-USD"})
	var whole orderbook.Update
	skip := false
	sink := r.c.Sink()
	r.shard = orderbook.NewShard(orderbook.Config{Directory: r.dir, Epoch: 7, Sinks: []orderbook.Sink{sinkFunc(func(u *orderbook.Update) {
		if !skip {
			sink.Update(u)
		}
		view := orderbook.View{}
		if u.Seq == 1 {
			_ = view.Apply(u)
			view.Seq = 9
			view.Snapshot(&whole)
		}
	})}})
	r.quote("kraken", "BTC-USD", "100x1", "101x1")
	sink.Flush()
	r.want("BTC-USD", "100x1 kraken / 101x1 kraken")
	skip = true
	r.quote("kraken", "BTC-USD", "99x1", "101x1")
	skip = false
	r.quote("kraken", "BTC-USD", "98x1", "101x1")
	sink.Flush()
	r.want("BTC-USD", "- / -; kraken down lost")
	sink.Update(&whole)
	sink.Flush()
	r.want("BTC-USD", "100x1 kraken / 101x1 kraken")
}

type sinkFunc func(*orderbook.Update)

// Update implements orderbook.Sink.
func (f sinkFunc) Update(u *orderbook.Update) { f(u) }

// Flush implements orderbook.Sink.
func (f sinkFunc) Flush() {}
