package gemini_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/gemini"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "gemini",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := gemini.New(gemini.Config{URL: url + "/v2/marketdata", Symbols: symbols})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTCUSD", "ETHUSD"},
		Unknown: "NOPEUSD",
		About: func(payload []byte) (string, bool) {
			var m struct {
				Type, Symbol string
				Auctions     json.RawMessage `json:"auction_events"`
			}
			if json.Unmarshal(payload, &m) != nil || m.Type != "l2_updates" {
				return "", false
			}
			return m.Symbol, m.Auctions != nil
		},
		Oversized: 33 << 20,
	})
}
