package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds/sim"
)

// TestSymbolsAreSpread: a feed with more symbols than its venue takes on one
// connection has several, each line of it.
func TestSymbolsAreSpread(t *testing.T) {
	for _, c := range []struct {
		feed    string
		symbols int
		want    string // name:symbols of each connection
	}{
		{"provider: bitfinex", 12, "bitfinex:12"},
		{"provider: bitfinex", 30, "bitfinex:12 bitfinex#2:12 bitfinex#3:6"},
		{"provider: bitfinex\n    channels: [book]", 30, "bitfinex:25 bitfinex#2:5"},
		{"provider: binance", 800, "binance:400 binance#2:400"},
		{"provider: binance\n    channels: [depth, trade, bookTicker, aggTrade]", 401, "binance:200 binance#2:200 binance#3:1"},
		{"provider: kraken\n    lines: 2", 201, "kraken/1:200 kraken/1#2:1 kraken/2:200 kraken/2#2:1"},
		{"provider: kraken\n    symbols_per_connection: 2", 3, "kraken:2 kraken#2:1"},
		{"provider: polygon\n    market: stocks\n    api_key: k\n    channels: [T]", 5000, "polygon-stocks:5000"},
	} {
		var symbols []string
		for i := range c.symbols {
			symbols = append(symbols, fmt.Sprintf("%c%c%c-USD", 'A'+i/676, 'A'+i/26%26, 'A'+i%26))
		}
		parsed, err := parseConfig("q.yaml", []byte("feeds:\n  - "+c.feed+"\n    symbols: ["+strings.Join(symbols, ", ")+"]\n"))
		if err != nil {
			t.Errorf("%s: %v", c.feed, err)
			continue
		}
		f := parsed.Feeds[0]
		var got, all []string
		for _, conn := range f.connections(adapters()[f.Provider]) {
			got = append(got, fmt.Sprintf("%s:%d", conn.Name, len(conn.Symbols)))
			all = append(all, conn.Symbols...)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %s", c.feed, got, c.want)
		}
		for _, s := range symbols {
			if !slices.Contains(all, s) {
				t.Errorf("%s: %s is on no connection", c.feed, s)
			}
		}
	}
}

// TestSpreadSymbolsAreServed: the connections of one feed carry it together, and
// the loss of one concerns its own symbols alone.
func TestSpreadSymbolsAreServed(t *testing.T) {
	m, err := sim.NewMarket(sim.MarketConfig{Seed: 3, Stocks: []sim.StockSpec{}})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sim.NewServer(sim.Config{Provider: sim.Kraken, Market: m})
	if err == nil {
		t.Cleanup(server.Close)
		err = server.Listen("127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	symbols := m.Symbols(sim.Kraken)
	if len(symbols) < 3 {
		t.Fatalf("the market has %q", symbols)
	}
	s := start(t, []feedConfig{{Name: "kraken", Provider: sim.Kraken, URL: server.URL() + "/v2", Symbols: symbols[:3], PerConnection: 1}}, nil)
	eventually(t, "three books", func() error { return s.liveBooks(t, 3) })
	if n := server.Accepted(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
	var body statusBody
	if err := get(s.url+"/v1/status", &body); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range body.Feeds {
		names = append(names, f.Feed+" "+f.State)
	}
	if want := []string{"kraken live", "kraken#2 live", "kraken#3 live"}; !slices.Equal(names, want) {
		t.Errorf("feeds are %q, want %q", names, want)
	}
}
