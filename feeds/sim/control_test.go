package sim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds/sim"
)

// TestControl orders faults over HTTP and sees them on the wire.
func TestControl(t *testing.T) {
	m, err := sim.NewMarket(sim.MarketConfig{Seed: 1, Stocks: []sim.StockSpec{}})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sim.NewServer(sim.Config{Provider: "kraken", Market: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	if err := srv.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	control := httptest.NewServer(sim.Control(srv))
	t.Cleanup(control.Close)
	order := func(path, body string) (int, string) {
		t.Helper()
		resp, err := http.Post(control.URL+path, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	conn, _, err := websocket.DefaultDialer.Dial(srv.URL()+"/v2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	next := func() (string, error) {
		_, b, err := conn.ReadMessage()
		return string(b), err
	}
	if text, err := next(); err != nil || !strings.Contains(text, `"status"`) {
		t.Fatalf("%s, %v", text, err)
	}
	if code, body := order("/faults/raw", "not what a provider says"); code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	if text, err := next(); err != nil || text != "not what a provider says" {
		t.Errorf("%q, %v", text, err)
	}
	for path, want := range map[string]string{
		"/faults/nonsense":                  "no fault",
		"/faults/drop":                      "parameter symbol is missing",
		"/faults/drop?symbol=X&n=many":      "want a number",
		"/faults/mute?on=perhaps":           "want true or false",
		"/faults/lag?d=long":                "want a duration",
		"/faults/close?code=7":              "want a number from 1000",
		"/faults/refuse_requests?n=1":       "parameter code is missing",
		"/faults/late_answers":              "parameter d is missing",
		"/faults/slow_requests?d=-1s":       "want a duration",
		"/faults/skew?d=1y":                 "want a duration such as -250ms",
		"/faults/skew?d=-99999h":            "want a duration such as -250ms",
		"/faults/second_snapshot":           "parameter symbol is missing",
		"/faults/oversized?n=1":             "want a number from 11",
		"/faults/freeze_snapshots?symbol=X": "parameter on is missing",
		"/faults/raw":                       "want a body",
	} {
		if code, body := order(path, ""); code < 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %q", path, code, body, want)
		}
	}
	if code, body := order("/faults/close?code=1012", ""); code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	if _, err := next(); !websocket.IsCloseError(err, 1012) {
		t.Errorf("err = %v, want close 1012", err)
	}

	resp, err := http.Get(control.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var state struct {
		Accepted int                           `json:"accepted"`
		Faults   []struct{ Name, Does string } `json:"faults"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		t.Fatal(err)
	}
	if state.Accepted != 1 || len(state.Faults) < 15 {
		t.Errorf("%+v", state)
	}
}
