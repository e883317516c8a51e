package bybit

import (
	"encoding/json"
	"testing"
)

func TestRequests(t *testing.T) {
	c := Config{Category: Linear, Symbols: []string{"ETHUSDT", "BTCUSDT"}, Depth: 200, Book: true, Trades: true, Tickers: true}.withDefaults()
	b, _ := json.Marshal(request{"7", "subscribe", topics(c)})
	want := `{"req_id":"7","op":"subscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","tickers.BTCUSDT","orderbook.200.ETHUSDT","publicTrade.ETHUSDT","tickers.ETHUSDT"]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// The category is part of the address, once.
func TestAddress(t *testing.T) {
	for url, want := range map[string]string{
		"":                                "wss://stream.bybit.com/v5/public/spot",
		"ws://127.0.0.1:1/v5/public":      "ws://127.0.0.1:1/v5/public/spot",
		"ws://h/v5/public/spot/":          "ws://h/v5/public/spot",
		"wss://stream.bybit.tr/v5/public": "wss://stream.bybit.tr/v5/public/spot",
	} {
		if got := (Config{URL: url, Category: Spot}).withDefaults().URL; got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	for payload, want := range map[string]bool{
		`{"success":false,"ret_msg":"Invalid topic: [x]","req_id":"1","op":"subscribe"}`: true,
		`{"success":true,"ret_msg":"pong","op":"ping"}`:                                  true,
		`{"topic":"orderbook.50.X","type":"delta","data":{"success":false}}`:             false,
		`{"type":"delta","topic":"x","data":{}}`:                                         false,
		`{"success":`:                                                                    false, ``: false, `[]`: false, `{"success":null}`: false,
	} {
		if _, ok := readAnswer([]byte(payload)); ok != want {
			t.Errorf("%s: %t", payload, ok)
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	payload := []byte(`{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{}}`)
	if n := testing.AllocsPerRun(100, func() { readAnswer(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`{"success":false,"ret_msg":"no","req_id":"1","op":"subscribe"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := readAnswer(b); ok && a.Success == nil {
			t.Error("an answer that says nothing")
		}
	})
}
