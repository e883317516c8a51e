package bybit

import (
	"encoding/json"
	"strings"
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

// Requests beside the stream go to the site that the stream is of.
func TestRESTAddress(t *testing.T) {
	for stream, want := range map[string]string{
		"":                               "https://api.bybit.com",
		"wss://stream.bybit.com/v5":      "https://api.bybit.com",
		"wss://stream.bybit.eu/v5":       "https://api.bybit.eu",
		"wss://stream-testnet.bybit.com": "https://api-testnet.bybit.com",
		"wss://streamer.example":         "https://streamer.example",
		"ws://127.0.0.1:1/v5/public":     "http://127.0.0.1:1",
	} {
		if got := (Config{URL: stream, Category: Spot}).withDefaults().RESTURL; got != want {
			t.Errorf("%s: %s, want %s", stream, got, want)
		}
	}
	if got := (Config{RESTURL: "http://x/", Category: Spot}).withDefaults().RESTURL; got != "http://x" {
		t.Errorf("as told: %s", got)
	}
}

func TestReadInstruments(t *testing.T) {
	linear, spot := Config{RESTURL: "http://x", Category: Linear}, Config{RESTURL: "http://x", Category: Spot}
	for _, c := range []struct {
		config     Config
		body, next string
		fails      string
	}{
		{linear, `{"retCode":0,"result":{"list":[{}],"nextPageCursor":"first%3DA%26last%3DB"}}`,
			"http://x/v5/market/instruments-info?category=linear&limit=1000&cursor=first%253DA%2526last%253DB", ""},
		{linear, `{"retCode":0,"result":{"list":[],"nextPageCursor":""}}`, "", ""},
		{spot, `{"retCode":0,"result":{"list":[],"nextPageCursor":"x"}}`, "", ""},
		{linear, `{"retCode":10006,"retMsg":"Too many visits!","result":{}}`, "", `refused: "Too many visits!" (10006)`},
		{linear, `<html>`, "", "read instruments-info"},
	} {
		next, err := c.config.readInstruments("", []byte(c.body))
		if next != c.next || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %q, %v", c.body, next, err)
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
