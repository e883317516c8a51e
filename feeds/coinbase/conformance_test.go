package coinbase_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/coinbase"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestConformance holds the connector against the contract that all share.
func TestConformance(t *testing.T) {
	credentials := coinbase.Credentials{Key: "key-5d41402a", Passphrase: "pass-bc4b2a76",
		Secret: base64.StdEncoding.EncodeToString([]byte("secret-b9719d911017c592"))}
	feedtest.Run(t, feedtest.Adapter{
		Provider: "coinbase",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := coinbase.New(coinbase.Config{URL: url, Products: symbols, Credentials: credentials})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTC-USD", "ETH-USD"},
		Unknown: "NO-SUCH",
		About: func(payload []byte) (string, bool) {
			var m struct {
				Type    string
				Product string `json:"product_id"`
			}
			if json.Unmarshal(payload, &m) != nil || m.Type != "snapshot" && m.Type != "l2update" {
				return "", false
			}
			return m.Product, m.Type == "snapshot"
		},
		Oversized: 17 << 20,
		Secrets:   []string{credentials.Key, credentials.Passphrase, credentials.Secret, "secret-b9719d911017c592"},
	})
}

// TestOrdersConformance is TestConformance for single orders, whose books begin
// over REST.
func TestOrdersConformance(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte("secret-b9719d911017c592"))
	credentials := coinbase.Credentials{Key: "key-5d41402a", Passphrase: "pass-bc4b2a76", Secret: secret}
	feedtest.Run(t, feedtest.Adapter{
		Provider: "coinbase",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s, m := newServer(t, sim.Config{QueueBytes: 64 << 20, Keys: []string{credentials.Key}, Secret: secret})
			return s, m.Step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			c, err := coinbase.New(coinbase.Config{URL: url, Products: symbols, Credentials: credentials,
				Channels: []string{coinbase.Full, coinbase.Heartbeat, coinbase.Status}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Symbols: [2]string{"BTC-USD", "ETH-USD"},
		Unknown: "NO-SUCH",
		About: func(payload []byte) (string, bool) {
			var m struct {
				Type    string
				Product string `json:"product_id"`
			}
			if json.Unmarshal(payload, &m) != nil || m.Type == "heartbeat" || m.Type == "subscriptions" {
				return "", false
			}
			return m.Product, false
		},
		AboutReply: func(from string) (string, bool) {
			_, product, ok := strings.Cut(from, "/products/")
			product, _, _ = strings.Cut(product, "/")
			return product, ok
		},
		Oversized: 17 << 20,
		Secrets:   []string{credentials.Key, credentials.Passphrase, credentials.Secret, "secret-b9719d911017c592"},
	})
}
