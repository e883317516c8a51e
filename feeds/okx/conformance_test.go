package okx_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/okx"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "okx",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := okx.New(okx.Config{URL: url, Instruments: symbols, Channels: []string{okx.Books}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTC-USD", "ETH-USD"},
		Unknown: "NO-SUCH",
		About: func(payload []byte) (string, bool) {
			var m struct {
				Arg    struct{ Channel, InstID string }
				Action string
			}
			if json.Unmarshal(payload, &m) != nil || m.Arg.Channel != "books" || m.Action == "" {
				return "", false
			}
			return m.Arg.InstID, m.Action == "snapshot"
		},
		Oversized: 17 << 20,
	})
}
