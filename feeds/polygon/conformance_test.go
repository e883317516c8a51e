package polygon_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "polygon",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{Keys: []string{key}, QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			var subs []string
			for _, s := range symbols {
				subs = append(subs, "Q."+s)
			}
			return connector(t, url, "stocks", subs...)
		},
		Symbols: [2]string{"AAPL", "SPY"},
		About: func(payload []byte) (string, bool) {
			var m []struct{ Ev, Sym string }
			if json.Unmarshal(payload, &m) != nil || len(m) == 0 || m[0].Ev != "Q" {
				return "", false
			}
			return m[0].Sym, false
		},
		NoResync: true,
		NoImages: true,
		Lenient:  true,
		Secrets:  []string{key},
	})
}
