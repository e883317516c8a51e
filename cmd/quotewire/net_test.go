package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestNetQuoteIsServed: the config's fees and net quotes reach clients like any
// other quote, and a cross that is lost takes its legs out of it.
func TestNetQuoteIsServed(t *testing.T) {
	spec := func(pair, price, venue string, decimals int) sim.CryptoSpec {
		return sim.CryptoSpec{Pair: pair, Price: price, VolBps: 1, Venues: []sim.VenueSpec{
			{Venue: venue, PriceDecimals: decimals, SizeDecimals: 8, Size: "1", SpreadBps: 2, Levels: 20, Rate: 10}}}
	}
	w := world(t, sim.MarketConfig{Seed: 3, Stocks: []sim.StockSpec{}, Cryptos: []sim.CryptoSpec{
		spec("BTC-USD", "95000", sim.Kraken, 1), spec("BTC-USDT", "95600", sim.Kraken, 1), spec("USDT-USD", "0.9995", sim.Coinbase, 5)}})
	path := filepath.Join(t.TempDir(), "quotewire.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nfees: {kraken: 0.0026, coinbase: \"0.001\"}\nnet:\n  - pair: BTC-USD\n    currencies: [USDT]\n"+
		"feeds:\n  - provider: coinbase\n    url: %s\n    symbols: [USDT-USD]\n  - provider: kraken\n    url: %s/v2\n    depth: 100\n    symbols: [BTC-USD, BTC-USDT]\n",
		w.coinbase.URL(), w.kraken.URL())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, c.Feeds, func(s *service) { s.addNet(c) })

	best := func(venue, symbol string, bid bool) decimal.Decimal {
		bids, asks := w.market.Book(venue, symbol)
		if bid {
			return decimal.RequireFromString(bids[0].Price)
		}
		return decimal.RequireFromString(asks[0].Price)
	}
	num := decimal.RequireFromString
	direct := best(sim.Kraken, "BTC-USD", true).Mul(num("0.9974"))
	converted := best(sim.Kraken, "BTC-USDT", true).Mul(num("0.9974")).Mul(best(sim.Coinbase, "USDT-USD", true)).Mul(num("0.999"))
	ask := decimal.Min(best(sim.Kraken, "BTC-USD", false).Mul(num("1.0026")),
		best(sim.Kraken, "BTC-USDT", false).Mul(num("1.0026")).Mul(best(sim.Coinbase, "USDT-USD", false)).Mul(num("1.001")))
	if !converted.GreaterThan(direct) {
		t.Fatalf("the market is not as meant: %v in dollars, %v by way of the cross", direct, converted)
	}

	cl, err := client.Dial(t.Context(), "ws"+strings.TrimPrefix(s.url, "http"), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	eventually(t, "net quote known", func() error {
		var q struct{ Source string }
		return get(s.url+"/v1/snapshot/quote/net:BTC-USD", &q)
	})
	sub, err := cl.Subscribe(t.Context(), client.Subscription{Channel: wire.ChannelQuote, Symbols: []string{"net:BTC-USD"}})
	if err != nil {
		t.Fatal(err)
	}
	quotes := make(chan *client.Quote, 1024)
	go func() {
		defer close(quotes)
		for u, err := range sub.All(t.Context()) {
			if err != nil {
				return
			}
			if q, ok := u.(*client.Quote); ok {
				quotes <- q
			}
		}
	}()
	wait := func(what string, ok func(q *client.Quote) bool) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		var last *client.Quote
		for {
			select {
			case q := <-quotes:
				if last = q; ok(q) {
					return
				}
			case <-deadline:
				t.Fatalf("%s: last was %+v", what, last)
			}
		}
	}
	// A quote holds 17 digits, with room for the price to grow a hundred times.
	wait("the converted leg at the best", func(q *client.Quote) bool {
		return q.Source == "net" && q.Bid.Price.Equal(converted.RoundFloor(11)) && q.Ask.Price.Equal(ask) && len(q.Out) == 0
	})
	w.coinbase.Close()
	wait("the cross lost", func(q *client.Quote) bool {
		return q.Bid.Price.Equal(direct) && len(q.Out) == 1 && q.Out[0].Venue == "kraken:USDT" && q.Out[0].Why == "down" && q.Out[0].Cause == "cross"
	})
}
