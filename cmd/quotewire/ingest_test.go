package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// TestUnknownConditionsAreCounted: a sale condition that is newer than our tables
// is told by feed.
func TestUnknownConditionsAreCounted(t *testing.T) {
	in := newIngest(market.NewDirectory(), slog.New(slog.DiscardHandler))
	in.take = func(context.Context, *orderbook.Batch) error { return nil }
	frame := `[{"T":"t","S":"AAPL","i":1,"x":"V","p":10,"s":100,"c":["@"],"t":"2026-11-25T15:00:00Z","z":"C"},` +
		`{"T":"t","S":"AAPL","i":2,"x":"V","p":10,"s":100,"c":["@","j"],"t":"2026-11-25T15:00:01Z","z":"C"}]`
	if err := in.frame(t.Context(), feeds.Frame{Feed: "alpaca", Provider: "alpaca", Kind: feeds.Data, Payload: []byte(frame)}); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(in.statuses())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"unknown_conditions":1`) {
		t.Errorf("status: %s", text)
	}
}
