package main

import (
	"os"
	"strings"
	"testing"
)

// TestConfigErrors holds that every mistake is told with file, line and what
// would be right.
func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"unknown key", "listen: :8080\nfeeds:\n  - provider: kraken\n    symbolz: [BTC-USD]\n", `q.yaml:4: unknown key "symbolz"; did you mean "symbols"?`},
		{"unknown top key", "lisen: :8080\n", `q.yaml:1: unknown key "lisen"; did you mean "listen"?`},
		{"unknown provider", "feeds:\n  - provider: krakn\n    symbols: [BTC-USD]\n", `q.yaml:2: feeds[0].provider: no provider "krakn"; did you mean "kraken"?`},
		{"no provider", "feeds:\n  - symbols: [BTC-USD]\n", `q.yaml:2: feeds[0]: provider is missing; want one of `},
		{"bad duration", "server:\n  heartbeat: soon\n", `q.yaml:2:`},
		{"bad duration says what", "server:\n  heartbeat: soon\n", `want a duration such as 250ms`},
		{"bad depth", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    depth: 11\n", `q.yaml:2: feeds[0]:`},
		{"bad channel", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    channels: [book, trades]\n", `q.yaml:4: feeds[0].channels[1]: kraken has no channel "trades"; did you mean "trade"?`},
		{"no symbols", "feeds:\n  - provider: kraken\n", `q.yaml:2: feeds[0]: symbols is missing`},
		{"bad symbol", "feeds:\n  - provider: kraken\n    symbols: ['BTC USD']\n", `q.yaml:3: feeds[0].symbols[0]: symbol "BTC USD": character ' ' is not allowed`},
		{"no key", "feeds:\n  - provider: polygon\n    market: stocks\n    channels: [T]\n    symbols: [AAPL]\n", `api_key is missing`},
		{"key from nowhere", "feeds:\n  - provider: polygon\n    market: stocks\n    api_key: ${QUOTEWIRE_TEST_UNSET}\n    channels: [T]\n    symbols: [AAPL]\n", `q.yaml:4: feeds[0].api_key: environment variable QUOTEWIRE_TEST_UNSET is not set`},
		{"no category", "feeds:\n  - provider: bybit\n    symbols: [BTC-USDT]\n", `q.yaml:2: feeds[0]: market is missing; want spot, linear or inverse`},
		{"symbol of another market", "feeds:\n  - provider: bybit\n    market: linear\n    symbols: [BTC-USDT]\n", `symbol "BTC-USDT": bybit linear has none of this form`},
		{"two of a name", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n  - provider: kraken\n    symbols: [ETH-USD]\n", `q.yaml:4: feeds[1]: a second feed is named "kraken"`},
		{"too many lines", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lines: 5\n", `q.yaml:4: feeds[0].lines: want 1 to 4, not 5`},
		{"lines with one key", "feeds:\n  - provider: polygon\n    lines: 2\n    market: stocks\n    api_key: k\n    channels: [T]\n    symbols: [AAPL]\n", `q.yaml:3: feeds[0].lines: want 1, because Polygon allows a key one connection a market`},
		{"more urls than lines", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    urls: [ws://a, ws://b]\n", `q.yaml:4: feeds[0].urls: 2 hosts for lines: 1`},
		{"a line's name", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lines: 2\n  - provider: kraken\n    name: kraken/2\n    symbols: [BTC-USD]\n", `q.yaml:5: feeds[1]: a second feed is named "kraken/2"`},
		{"bad address", "listen: here\n", `q.yaml:1: listen: want an address`},
		{"no fee", "fees:\n  kraken: much\n", `q.yaml:2: fees.'kraken': want a part of the amount such as 0.0026, not "much"`},
		{"a fee in percent", "fees:\n  kraken: 0.1\n  '*': 2.6\n", `q.yaml:3: fees.'*': 2.6: want a part`},
		{"no pair", "net:\n  - pair: BTCUSD\n", `q.yaml:2: net[0]: pair "BTCUSD": want a symbol such as BTC-USD`},
		{"a pair twice", "net:\n  - pair: BTC-USD\n  - pair: BTC-USD\n", `q.yaml:3: net[1]: BTC-USD is there twice`},
		{"not YAML", "feeds: [\n", `q.yaml:`},
		{"wrong type", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    depth: deep\n", `q.yaml:4:`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseConfig("q.yaml", []byte(tt.yaml))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is\n%v\nwant in it\n%s", err, tt.want)
			}
		})
	}
}

// TestExampleConfig holds that the example file is a config.
func TestExampleConfig(t *testing.T) {
	t.Setenv("POLYGON_API_KEY", "k")
	src, err := os.ReadFile("quotewire.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig("quotewire.example.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Feeds) == 0 || c.Feeds[0].APIKey != "k" {
		t.Errorf("feeds = %+v", c.Feeds)
	}
}
