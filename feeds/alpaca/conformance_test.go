package alpaca_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/alpaca"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "alpaca",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20, MaxConnections: 9})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := alpaca.New(alpaca.Config{URL: url, Feed: "crypto", Key: "THEKEY", Secret: secret, Symbols: symbols, Channels: []string{"orderbooks"}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTC/USD", "ETH/USD"},
		About: func(payload []byte) (string, bool) {
			// Not into a struct: T and t are one name to encoding/json.
			var list []map[string]any
			if json.Unmarshal(payload, &list) != nil || len(list) != 1 || list[0]["T"] != "o" {
				return "", false
			}
			symbol, _ := list[0]["S"].(string)
			return symbol, list[0]["r"] == true
		},
		Secrets:   []string{"THEKEY", secret},
		Oversized: 17 << 20,
	})
}
