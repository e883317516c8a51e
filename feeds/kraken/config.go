package kraken

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

// DefaultURL is Kraken's public endpoint.
const DefaultURL = "wss://ws.kraken.com/v2"

// DefaultDepth is the depth of a book that Kraken itself takes as default.
const DefaultDepth = 10

// depths are those that the book channel offers.
var depths = []int{10, 25, 100, 500, 1000}

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL     string   // default DefaultURL
	Symbols []string // in Kraken's spelling, BTC/USD
	// Depth is the number of levels a side: 10, 25, 100, 500 or 1000. Default
	// DefaultDepth.
	Depth int
	// Book and Trades say which channels to subscribe for each symbol. At least
	// one is needed. Instruments, the reference data, are always subscribed.
	Book, Trades bool
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
	if len(c.Symbols) == 0 {
		errs = append(errs, errors.New("no symbols"))
	}
	for _, s := range c.Symbols {
		if base, quote, ok := strings.Cut(s, "/"); !ok || base == "" || quote == "" {
			errs = append(errs, fmt.Errorf("symbol %q is not spelt BASE/QUOTE", s))
		}
	}
	if c.Depth != 0 && !slices.Contains(depths, c.Depth) {
		errs = append(errs, fmt.Errorf("depth %d is none of %v", c.Depth, depths))
	}
	if !c.Book && !c.Trades {
		errs = append(errs, errors.New("neither book nor trades are wanted"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if c.Depth == 0 {
		c.Depth = DefaultDepth
	}
	c.Symbols = slices.Compact(slices.Sorted(slices.Values(c.Symbols)))
	return c
}

// Mute is how long Kraken is silent at most: it sends a heartbeat about every
// second once anything is subscribed
// (https://docs.kraken.com/api/docs/websocket-v2/heartbeat).
const Mute = 10 * time.Second
