package kraken_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/kraken"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "kraken",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := kraken.New(kraken.Config{URL: url, Symbols: symbols, Book: true})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTC/USD", "ETH/USD"},
		Unknown: "NO/SUCH",
		About: func(payload []byte) (string, bool) {
			var m struct {
				Channel, Type string
				Data          []struct{ Symbol string }
			}
			if json.Unmarshal(payload, &m) != nil || m.Channel != "book" || len(m.Data) != 1 {
				return "", false
			}
			return m.Data[0].Symbol, m.Type == "snapshot"
		},
		Oversized: 5 << 20,
	})
}
