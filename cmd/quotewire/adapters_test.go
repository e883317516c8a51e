package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/normalizer"
)

// A config may name a provider only if its messages can be read.
func TestAdaptersHaveDecoders(t *testing.T) {
	known := normalizer.Providers()
	for name := range adapters() {
		if !slices.Contains(known, name) {
			t.Errorf("%s has an adapter and no decoder", name)
		}
	}
}

// The symbols of a config are canonical; what is sent is the venue's spelling.
func TestVenueSymbolsAreSpelt(t *testing.T) {
	for _, c := range []struct{ feed, want string }{
		{"provider: okx\n    symbols: [BTC-USDT, BTC-USDT-SWAP]\n", ""},
		{"provider: bybit\n    market: spot\n    symbols: [BTC-USDT]\n    depth: 200\n", ""},
		{"provider: bybit\n    market: linear\n    symbols: [BTC-USDT-PERP]\n", ""},
		{"provider: bitfinex\n    symbols: [BTC-USD, DOGE-USD]\n    depth: 25\n", ""},
		{"provider: gemini\n    symbols: [BTC-USD]\n", ""},
		{"provider: alpaca\n    market: crypto\n    api_key: k\n    api_secret: s\n    msgpack: true\n    symbols: [BTC-USD]\n", ""},
		{"provider: alpaca\n    market: sip\n    api_key: k\n    api_secret: s\n    symbols: [AAPL, BRK.B]\n    channels: [trades, lulds]\n", ""},
		{"provider: alpaca\n    symbols: [AAPL]\n", "no key or no secret"},
		{"provider: coinbase-advanced\n    symbols: [BTC-USD]\n    channels: [level2, market_trades]\n", ""},
		{"provider: polygon\n    market: forex\n    api_key: k\n    channels: [C, CAS]\n    symbols: [EUR-USD]\n", ""},
		{"provider: polygon\n    market: options\n    api_key: k\n    channels: [Q]\n    symbols: [\"*\"]\n", "has no wildcard"},
		{"provider: binance\n    symbols: [BTC-USDT]\n    depth: 5000\n", ""},
		{"provider: binance\n    symbols: [BTC-USDT-PERP]\n", `symbol "BTC-USDT-PERP"`},
		{"provider: binance\n    symbols: [BTC-USDT]\n    channels: [depth, depth@100ms]\n", "more than one channel of changes"},
		{"provider: binance-usdm\n    symbols: [BTC-USDT-PERP, BTC-USDT-260327]\n    channels: [depth@500ms, aggTrade]\n", ""},
		{"provider: binance-usdm\n    symbols: [BTC-USDT-PERP]\n    channels: [trade]\n", `binance-usdm has no channel "trade"`},
		{"provider: binance-usdm\n    symbols: [BTC-USDT-PERP]\n    depth: 5000\n", "depth 5000"},
		{"provider: bitstamp\n    symbols: [BTC-USD]\n", ""},
		{"provider: bitstamp\n    symbols: [BTC-USD]\n    channels: [live_orders, live_trades]\n", ""},
		{"provider: bitstamp\n    symbols: [BTC-USD]\n    channels: [live_orders, diff_order_book]\n", "give each a feed of its own"},
		{"provider: kraken\n    symbols: [BTC-USD]\n    channels: [level3, trade]\n    api_key: k\n    api_secret: c2VjcmV0\n    depth: 1000\n", ""},
		{"provider: kraken\n    symbols: [BTC-USD]\n    channels: [level3]\n", "a key and a secret"},
		{"provider: kraken\n    symbols: [BTC-USD]\n    channels: [level3]\n    api_key: k\n    api_secret: c2VjcmV0\n    depth: 25\n", "depth 25"},
		{"provider: kraken\n    symbols: [BTC-USD]\n    channels: [level3, book]\n    api_key: k\n    api_secret: c2VjcmV0\n", "give each a feed of its own"},
		{"provider: coinbase\n    symbols: [BTC-USD]\n    channels: [full, heartbeat]\n    api_key: k\n    passphrase: p\n    api_secret: c2VjcmV0\n", ""},
		{"provider: coinbase\n    symbols: [BTC-USD]\n    channels: [full]\n", "needs credentials"},
		{"provider: coinbase\n    symbols: [BTC-USD]\n    channels: [full, level2]\n    api_key: k\n    passphrase: p\n    api_secret: c2VjcmV0\n", "give it a feed of its own"},
		{"provider: gemini\n    symbols: [BTC-USD]\n    channels: [book]\n", `gemini has no channel "book"`},
		{"provider: bitfinex\n    symbols: [BTC-USD-Z25]\n", `symbol "BTC-USD-Z25"`},
		{"provider: okx\n    symbols: [BTC-USDT]\n    channels: [books, books5]\n", "more than one of the book channels"},
	} {
		_, err := parseConfig("q.yaml", []byte("feeds:\n  - "+c.feed))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.feed, err, c.want)
		}
	}
}

// quotewire sim has a market for every provider that it plays.
func TestSimulatedProvidersHaveSymbols(t *testing.T) {
	for provider, venue := range map[string]string{"okx": sim.OKX, "bybit": sim.Bybit, "bitfinex": sim.Bitfinex, "gemini": sim.Gemini, "binance": sim.Binance, "binance-usdm": sim.BinanceUSDM, "bitstamp": sim.Bitstamp, "kraken": sim.Kraken} {
		m, err := sim.NewMarket(sim.MarketConfig{Seed: 1, Cryptos: sim.CryptosFor(provider)})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Symbols(venue)) == 0 {
			t.Errorf("%s trades nothing", provider)
		}
	}
}
