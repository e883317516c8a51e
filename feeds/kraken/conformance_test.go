package kraken_test

import (
	"encoding/base64"
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

// TestOrdersConformance is TestConformance for single orders, whose channel wants a
// token.
func TestOrdersConformance(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte("secret-b9719d911017c592"))
	credentials := kraken.Credentials{Key: "key-5d41402a", Secret: secret}
	feedtest.Run(t, feedtest.Adapter{
		Provider: "kraken",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20, Keys: []string{credentials.Key}, Secret: secret})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := kraken.New(kraken.Config{URL: url, Symbols: symbols, Orders: true, Depth: 10, Credentials: credentials})
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
			if json.Unmarshal(payload, &m) != nil || m.Channel != "level3" || len(m.Data) != 1 {
				return "", false
			}
			return m.Data[0].Symbol, m.Type == "snapshot"
		},
		Oversized: 5 << 20,
		Secrets:   []string{credentials.Key, credentials.Secret, "secret-b9719d911017c592", "token-"},
	})
}
