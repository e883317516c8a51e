package okx

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestRequests(t *testing.T) {
	c := Config{Instruments: []string{"ETH-USDT", "BTC-USDT", "BTC-USDT-SWAP", "BTC-USDT", "BTC-USD-261225", "BTC-USD-261225-90000-C"}}.withDefaults()
	b, _ := json.Marshal(request{"subscribe", subscriptions(c)[:5]})
	want := `{"op":"subscribe","args":[{"channel":"instruments","instType":"FUTURES"},{"channel":"instruments","instType":"SPOT"},` +
		`{"channel":"instruments","instType":"SWAP"},{"channel":"books","instId":"BTC-USD-261225"},{"channel":"trades","instId":"BTC-USD-261225"}]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if n := len(subscriptions(c)); n != 3+5*2 {
		t.Errorf("%d subscriptions", n)
	}
}

func TestReadEvent(t *testing.T) {
	for payload, want := range map[string]string{
		`{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}`: "subscribe",
		`{"event":"error","code":"60018","msg":"no"}`:                                                      "error",
		`{"event":"notice","code":"64008","msg":"soon"}`:                                                   "notice",
		`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"event":"error"}]}`:     "",
		`{"event":`: "", `pong`: "", ``: "",
	} {
		if e, ok := readEvent([]byte(payload)); e.Event != want || ok != (want != "") {
			t.Errorf("%s: %+v, %t", payload, e, ok)
		}
	}
}

// A refusal takes what it names off the list and nothing else.
func TestNames(t *testing.T) {
	text := "Wrong URL or channel:books,instId:BTC-USDT doesn't exist."
	for word, want := range map[string]bool{"BTC-USDT": true, "books": true, "BTC": false, "BTC-USD": false, "BTC-USDT-SWAP": false, "trades": false} {
		if names(text, word) != want {
			t.Errorf("%s: %t", word, !want)
		}
	}
	if !slices.Contains(Channels(), Books) {
		t.Error("no books")
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	payload := []byte(`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[]}`)
	if n := testing.AllocsPerRun(100, func() { readEvent(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReadEvent(f *testing.F) {
	f.Add([]byte(`{"event":"error","code":"60018","msg":"no","arg":{"channel":"books"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := readEvent(b); ok && e.Event == "" {
			t.Error("an event without a name")
		}
	})
}
