package bitfinex

import (
	"encoding/json"
	"testing"
)

func TestRequests(t *testing.T) {
	c := Config{Symbols: []string{"tETHUSD", "tBTCUSD"}, Book: true, Trades: true}.withDefaults()
	want := []string{
		`{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"100"}`,
		`{"event":"subscribe","channel":"trades","symbol":"tBTCUSD"}`,
		`{"event":"subscribe","channel":"book","symbol":"tETHUSD","prec":"P0","freq":"F0","len":"100"}`,
		`{"event":"subscribe","channel":"trades","symbol":"tETHUSD"}`,
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
	if b, _ := json.Marshal(conf{"conf", flags}); string(b) != `{"event":"conf","flags":196608}` {
		t.Errorf("got %s", b)
	}
}

func TestReadEvent(t *testing.T) {
	for payload, want := range map[string]string{
		`{"event":"info","version":2,"serverId":"x","platform":{"status":0}}`: "info",
		`{"event":"subscribed","channel":"book","chanId":17470}`:              "subscribed",
		`[17470,[90000,3,0.7],2]`:                                             "",
		`{"event":`:                                                           "", ``: "", `{}`: "",
	} {
		if e, ok := readEvent([]byte(payload)); e.Event != want || ok != (want != "") {
			t.Errorf("%s: %+v, %t", payload, e, ok)
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	payload := []byte(`[17470,[90000,3,0.7],2]`)
	if n := testing.AllocsPerRun(100, func() { readEvent(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReadEvent(f *testing.F) {
	f.Add([]byte(`{"event":"subscribed","channel":"book","chanId":17470,"symbol":"tBTCUSD"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := readEvent(b); ok && e.Event == "" {
			t.Error("an event without a name")
		}
	})
}
