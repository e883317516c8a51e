package coinbaseadvanced_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/coinbaseadvanced"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "coinbase-advanced",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := coinbaseadvanced.New(coinbaseadvanced.Config{URL: url, Products: symbols})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTC-USD", "ETH-USD"},
		Unknown: "NO-SUCH",
		About: func(payload []byte) (string, bool) {
			var m struct {
				Channel string
				Events  []struct {
					Type    string
					Product string `json:"product_id"`
				}
			}
			if json.Unmarshal(payload, &m) != nil || m.Channel != "l2_data" || len(m.Events) != 1 {
				return "", false
			}
			return m.Events[0].Product, m.Events[0].Type == "snapshot"
		},
		Oversized: 33 << 20,
	})
}
