package kraken

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestRequests(t *testing.T) {
	c := Config{Symbols: []string{"BTC/USD", "ETH/USD"}, Depth: 25, Book: true, Trades: true}.withDefaults()
	want := []string{
		`{"method":"subscribe","params":{"channel":"instrument","snapshot":true}}`,
		`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":25,"snapshot":true}}`,
		`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD","ETH/USD"],"snapshot":false}}`,
	}
	got := subscriptions(c)
	if len(got) != len(want) {
		t.Fatalf("%d requests, want %d", len(got), len(want))
	}
	for i, r := range got {
		if b, _ := json.Marshal(r); string(b) != want[i] {
			t.Errorf("got  %s\nwant %s", b, want[i])
		}
	}
}

func TestManySymbolsAreSplit(t *testing.T) {
	var c Config
	for i := range 250 {
		c.Symbols = append(c.Symbols, fmt.Sprintf("A%03d/USD", i))
	}
	c.Book = true
	seen := 0
	rs := subscriptions(c.withDefaults())
	for _, r := range rs {
		if len(r.Params.Symbol) > perSubscribe {
			t.Errorf("%d symbols in one request", len(r.Params.Symbol))
		}
		seen += len(r.Params.Symbol)
	}
	if seen != 250 || len(rs) != 4 {
		t.Errorf("%d symbols in %d requests", seen, len(rs))
	}
}

func TestRefusal(t *testing.T) {
	for _, tt := range []struct{ payload, want string }{
		{`{"error":"Currency pair not supported XYZ/USD","method":"subscribe","success":false,"symbol":"XYZ/USD","req_id":1}`, "subscribe: Currency pair not supported XYZ/USD"},
		{`{"error":"Exceeded msg rate","method":"subscribe","success":false,"symbol":"BTC/USD"}`, "subscribe: Exceeded msg rate (BTC/USD)"},
		{`{"error":"Malformed request","success":false}`, "Malformed request"},
		{`{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD"},"success":true}`, ""},
		{`{"method":"pong","time_in":"x"}`, ""},
		{`{"channel":"book","type":"update","data":[{"error":"no"}]}`, ""},
		{`{"error":`, ""},
		{``, ""},
		{`[]`, ""},
	} {
		if got, ok := refusal([]byte(tt.payload)); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: got %q, want %q", tt.payload, got, tt.want)
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	payload := []byte(`{"channel":"book","type":"update","data":[{"symbol":"BTC/USD"}]}`)
	if n := testing.AllocsPerRun(100, func() { refusal(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":"x","method":"subscribe","success":false,"symbol":"A/B"}`))
	f.Add([]byte(`{"channel":"heartbeat"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, ok := refusal(b); ok && text == "" {
			t.Error("a refusal without words")
		}
	})
}
