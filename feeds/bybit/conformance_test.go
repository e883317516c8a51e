package bybit_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bybit"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "bybit",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := bybit.New(bybit.Config{URL: url + "/v5/public", Category: bybit.Spot, Symbols: symbols, Book: true})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTCUSD", "ETHUSD"},
		Unknown: "NOPE",
		About: func(payload []byte) (string, bool) {
			var m struct {
				Topic, Type string
				Data        struct{ S string }
			}
			if json.Unmarshal(payload, &m) != nil || m.Topic == "" {
				return "", false
			}
			return m.Data.S, m.Type == "snapshot"
		},
		Oversized: 5 << 20,
	})
}
