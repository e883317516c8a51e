package binance_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share, for
// both markets: futures need two sockets.
func TestConformance(t *testing.T) {
	for provider, market := range map[string]binance.Market{"binance": binance.Spot, "binance-usdm": binance.USDM} {
		t.Run(provider, func(t *testing.T) {
			feedtest.Run(t, feedtest.Adapter{
				Provider: provider,
				Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
					s, m := newServer(t, sim.Config{Provider: provider, QueueBytes: 64 << 20})
					return s, m.Step
				},
				Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
					c, err := binance.New(binance.Config{Market: market, URL: url, Symbols: symbols, WeightPerMinute: 60000})
					if err != nil {
						t.Fatal(err)
					}
					return c
				},
				Symbols: [2]string{"BTCUSD", "ETHUSD"},
				Unknown: "NOSUCH",
				About: func(payload []byte) (string, bool) {
					var m struct {
						Data struct {
							Event  string `json:"e"`
							Time   int64  `json:"E"` // or it would be taken for the event
							Symbol string `json:"s"`
						} `json:"data"`
					}
					if json.Unmarshal(payload, &m) != nil || m.Data.Event != "depthUpdate" {
						return "", false
					}
					return m.Data.Symbol, false
				},
				AboutReply: func(from string) (string, bool) {
					u, err := url.Parse(from)
					if err != nil || !strings.HasSuffix(u.Path, "/depth") {
						return "", false
					}
					return u.Query().Get("symbol"), true
				},
				Oversized: 5 << 20,
			})
		})
	}
}
