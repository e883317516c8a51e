package bitstamp_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitstamp"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "bitstamp",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := bitstamp.New(bitstamp.Config{URL: url, Pairs: symbols, RequestsPerMinute: 6000})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"btcusd", "ethusd"},
		Unknown: "nosuch",
		About: func(payload []byte) (string, bool) {
			var m struct{ Event, Channel string }
			if json.Unmarshal(payload, &m) != nil || m.Event != "data" {
				return "", false
			}
			return strings.TrimPrefix(m.Channel, "diff_order_book_"), false
		},
		AboutReply: func(from string) (string, bool) {
			_, pair, ok := strings.Cut(from, "/order_book/")
			return strings.TrimSuffix(pair, "/"), ok
		},
		Oversized: 5 << 20,
	})
}

// TestOrdersConformance is TestConformance for single orders.
func TestOrdersConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "bitstamp",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := bitstamp.New(bitstamp.Config{URL: url, Pairs: symbols, RequestsPerMinute: 6000, Channels: []string{bitstamp.LiveOrders}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"btcusd", "ethusd"},
		Unknown: "nosuch",
		About: func(payload []byte) (string, bool) {
			var m struct{ Event, Channel string }
			if json.Unmarshal(payload, &m) != nil || !strings.HasPrefix(m.Event, "order_") {
				return "", false
			}
			return strings.TrimPrefix(m.Channel, "live_orders_"), false
		},
		AboutReply: func(from string) (string, bool) {
			_, pair, ok := strings.Cut(from, "/order_book/")
			return strings.TrimSuffix(pair, "/?group=2"), ok
		},
		Oversized: 5 << 20,
	})
}
