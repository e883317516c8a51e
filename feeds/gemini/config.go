package gemini

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

// DefaultURL is Gemini's endpoint.
const DefaultURL = "wss://api.gemini.com/v2/marketdata"

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL     string   // default DefaultURL
	Symbols []string // in Gemini's spelling, BTCUSD
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
		if len(s) < 5 || strings.ContainsAny(s, "-/: ") {
			errs = append(errs, fmt.Errorf("symbol %q is not spelt as Gemini does, BTCUSD", s))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	symbols := make([]string, len(c.Symbols))
	for i, s := range c.Symbols {
		symbols[i] = strings.ToUpper(s)
	}
	c.Symbols = slices.Compact(slices.Sorted(slices.Values(symbols)))
	return c
}

// Mute is how long Gemini is silent at most: it sends a heartbeat every 5 s.
const Mute = 12 * time.Second
