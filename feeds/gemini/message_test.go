package gemini

import (
	"encoding/json"
	"testing"
)

func TestRequest(t *testing.T) {
	b, _ := json.Marshal(request{"subscribe", []subscription{{"l2", []string{"BTCUSD"}}}})
	if want := `{"type":"subscribe","subscriptions":[{"name":"l2","symbols":["BTCUSD"]}]}`; string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestRefusal(t *testing.T) {
	for payload, want := range map[string]string{
		`{"result":"error","reason":"InvalidSymbol","message":"unsupported symbol X"}`: "InvalidSymbol: unsupported symbol X",
		`{"result":"error","reason":"InvalidJson"}`:                                    "InvalidJson",
		`{"type":"error","message":"no"}`:                                              "no",
		`{"result":"error"}`:                                                           "refused without words",
		`{"type":"l2_updates","symbol":"X","changes":[["error"]]}`:                     "",
		`{"type":"heartbeat","timestamp":1}`:                                           "",
		`{"error":`:                                                                    "", ``: "",
	} {
		if got, ok := refusal([]byte(payload)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", payload, got, ok)
		}
	}
}

func TestBook(t *testing.T) {
	for payload, want := range map[string]struct {
		symbol string
		image  bool
	}{
		`{"type":"l2_updates","symbol":"BTCUSD","changes":[]}`:                                 {"BTCUSD", false},
		`{"type":"l2_updates","symbol":"BTCUSD","changes":[],"trades":[],"auction_events":[]}`: {"BTCUSD", true},
		`{"type":"trade","symbol":"BTCUSD","trades":[]}`:                                       {},
		`{"type":`: {},
	} {
		if symbol, image := book([]byte(payload)); symbol != want.symbol || image != want.image {
			t.Errorf("%s: %q, %t", payload, symbol, image)
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	payload := []byte(`{"type":"l2_updates","symbol":"BTCUSD","changes":[]}`)
	if n := testing.AllocsPerRun(100, func() { refusal(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"result":"error","reason":"x","message":"y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, ok := refusal(b); ok && text == "" {
			t.Error("a refusal without words")
		}
	})
}
