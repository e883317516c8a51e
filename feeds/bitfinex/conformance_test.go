package bitfinex_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitfinex"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	// What a message is about is told by the event that gave its channel a number.
	var mu sync.Mutex
	channels := map[int]string{}
	feedtest.Run(t, feedtest.Adapter{
		Provider: "bitfinex",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := bitfinex.New(bitfinex.Config{URL: url, Symbols: symbols, Book: true})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"tBTCUSD", "tETHUSD"},
		Unknown: "tNOPEUSD",
		About: func(payload []byte) (string, bool) {
			mu.Lock()
			defer mu.Unlock()
			var e struct {
				Event, Symbol string
				ChanID        int `json:"chanId"`
			}
			if json.Unmarshal(payload, &e) == nil {
				if e.Event == "subscribed" {
					channels[e.ChanID] = e.Symbol
				}
				return "", false
			}
			var parts []json.RawMessage
			var id int
			if json.Unmarshal(payload, &parts) != nil || len(parts) < 2 || json.Unmarshal(parts[0], &id) != nil || parts[1][0] != '[' {
				return "", false
			}
			return channels[id], strings.HasPrefix(string(parts[1]), "[[")
		},
		Oversized: 5 << 20,
	})
}
