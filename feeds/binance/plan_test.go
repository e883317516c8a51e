package binance

import (
	"fmt"
	"strings"
	"testing"
)

func TestPlans(t *testing.T) {
	var symbols []string
	for i := range 500 {
		symbols = append(symbols, fmt.Sprintf("S%dUSDT", i))
	}
	for _, tt := range []struct {
		market  Market
		sockets []string // path, streams and requests
	}{
		{Spot, []string{"/stream 800 4", "/stream 700 4"}},
		{USDM, []string{"/market/stream 500 3", "/public/stream 800 4", "/public/stream 200 1"}},
	} {
		c := Config{Market: tt.market, Symbols: symbols, Channels: []string{"aggTrade", "bookTicker", "depth@100ms"}}.withDefaults()
		seen := map[string]bool{}
		for i, p := range plans(c, c.Symbols) {
			n := 0
			for _, b := range p.batches {
				if len(b) > perRequest {
					t.Errorf("a request names %d streams", len(b))
				}
				n += len(b)
				for _, s := range b {
					if name, _, _ := strings.Cut(s, "@"); seen[s] || name != strings.ToLower(name) {
						t.Errorf("stream %s", s)
					}
					seen[s] = true
				}
			}
			if got := fmt.Sprintf("%s %d %d", p.path, n, len(p.batches)); i >= len(tt.sockets) || got != tt.sockets[i] {
				t.Errorf("%s: socket %d: %s, want %v", tt.market, i, got, tt.sockets)
			}
		}
		if len(seen) != 1500 {
			t.Errorf("%s: %d streams", tt.market, len(seen))
		}
	}
}

func TestRESTHostBelongsToTheStreams(t *testing.T) {
	for url, want := range map[string]string{
		"":                                    "https://api.binance.com",
		"wss://stream.binance.com:443/":       "https://api.binance.com",
		"wss://data-stream.binance.vision":    "https://data-api.binance.vision",
		"wss://stream.testnet.binance.vision": "https://testnet.binance.vision",
		"ws://127.0.0.1:9000":                 "http://127.0.0.1:9000",
		"wss://stream.binance.us:9443":        "https://api.binance.us",
		"wss://another.example":               "https://another.example",
	} {
		if got := (Config{URL: url}).withDefaults().RESTURL; got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	if got := (Config{Market: USDM}).withDefaults().RESTURL; got != "https://fapi.binance.com" {
		t.Errorf("futures: %s", got)
	}
}

func TestAnswers(t *testing.T) {
	for payload, want := range map[string]string{
		`{"result":null,"id":1}`:                                     "",
		`{"code":2,"msg":"Invalid request: unknown variant","id":5}`: "Invalid request: unknown variant (2)",
		`{"error":{"code":3,"msg":"Invalid JSON"},"id":null}`:        "Invalid JSON (3)",
		`{"stream":"a@trade","data":{"e":"trade","id":7}}`:           "none",
		`{"id":{}}`: "none",
		`[]`:        "none",
		``:          "none",
	} {
		a, ok := readAnswer([]byte(payload))
		if got := a.problem(); ok == (want == "none") || ok && got != want {
			t.Errorf("%s: %q, %v", payload, got, ok)
		}
	}
}
