package coinbaseadvanced

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DefaultURL is the endpoint of the market data.
const DefaultURL = "wss://advanced-trade-ws.coinbase.com"

// The channels that this package subscribes unless told otherwise, by the names
// to ask for them. Level2 arrives as l2_data.
const (
	Level2       = "level2"
	MarketTrades = "market_trades"
	Heartbeats   = "heartbeats"
	Status       = "status"
)

// Channels returns the channels that can be asked for.
func Channels() []string { return []string{Level2, MarketTrades, Heartbeats, Status} }

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL      string   // default DefaultURL
	Products []string // BTC-USD
	// Channels default to all that there are. Heartbeats is always subscribed:
	// Coinbase closes channels without updates, and a quiet market would look
	// like a dead connection.
	Channels []string
	// NetDial replaces how the TCP connection is made, for tests.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Validate reports all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		} else if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			errs = append(errs, fmt.Errorf("url %q is not ws://host or wss://host", u.Redacted()))
		}
	}
	if len(c.Products) == 0 {
		errs = append(errs, errors.New("no products"))
	}
	for _, p := range c.Products {
		if base, quote, ok := strings.Cut(p, "-"); !ok || base == "" || quote == "" {
			errs = append(errs, fmt.Errorf("product %q is not spelt BASE-QUOTE", p))
		}
	}
	for _, ch := range c.Channels {
		if !slices.Contains(Channels(), ch) {
			errs = append(errs, fmt.Errorf("channel %q is none of %v", ch, Channels()))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if len(c.Channels) == 0 {
		c.Channels = Channels()
	}
	if !slices.Contains(c.Channels, Heartbeats) {
		c.Channels = append(slices.Clone(c.Channels), Heartbeats)
	}
	c.Products = slices.Compact(slices.Sorted(slices.Values(c.Products)))
	return c
}

// Mute is how long Coinbase is silent at most: with heartbeats subscribed it
// sends one a second.
const Mute = 10 * time.Second
