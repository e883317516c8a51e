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

	"github.com/quotewire/quotewire/feeds"
)

// DefaultURL is Gemini's endpoint. Its REST interface is on the same host.
const DefaultURL = "wss://api.gemini.com/v2/marketdata"

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL     string   // default DefaultURL
	RESTURL string   // scheme and host; default what belongs to URL
	Symbols []string // in Gemini's spelling, BTCUSD
	// RequestsPerMinute bounds the requests over REST. Default 60: Gemini refuses
	// more than 120 and recommends one a second
	// (https://developer.gemini.com/rate-limit).
	RequestsPerMinute int
	// REST, if set, takes the requests in place of one of the Connector's own, so
	// that several of one IP address have one budget. See [NewREST].
	REST *feeds.REST
	// NetDial replaces how TCP connections are made, for tests.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Validate reports all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	for _, u := range []struct {
		name, url string
		schemes   []string
	}{{"url", c.URL, []string{"ws", "wss"}}, {"rest url", c.RESTURL, []string{"http", "https"}}} {
		if u.url == "" {
			continue
		}
		if p, err := url.Parse(u.url); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u.name, err))
		} else if !slices.Contains(u.schemes, p.Scheme) || p.Host == "" {
			errs = append(errs, fmt.Errorf("%s %q is not %s://host", u.name, p.Redacted(), strings.Join(u.schemes, "://host or ")))
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
	if c.RequestsPerMinute < 0 {
		errs = append(errs, errors.New("requests per minute is negative"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if u, err := url.Parse(c.URL); err == nil && c.RESTURL == "" {
		c.RESTURL = strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host
	}
	c.RESTURL = strings.TrimSuffix(c.RESTURL, "/")
	if c.RequestsPerMinute == 0 {
		c.RequestsPerMinute = 60
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
