package okx

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

// DefaultURL is OKX's public endpoint.
const DefaultURL = "wss://ws.okx.com:8443/ws/v5/public"

// The channels that this package subscribes, by OKX's names. At most one of the
// books can be followed at a time. Books50 and Books400 need an account of a high
// tier.
const (
	Books    = "books"          // 400 levels, every 100 ms
	Books5   = "books5"         // 5 levels, an image each time
	Top      = "bbo-tbt"        // the best level, an image each time
	Books50  = "books50-l2-tbt" // 50 levels, every 10 ms
	Books400 = "books-l2-tbt"   // 400 levels, every 10 ms
	Trades   = "trades"         // aggregated by taker order and price
	Tickers  = "tickers"        // best bid and ask, every 100 ms
)

// Channels returns the channels that a Config may have.
func Channels() []string { return []string{Books, Books5, Top, Books50, Books400, Trades, Tickers} }

// books are the channels of which one instrument has one.
var books = []string{Books, Books5, Top, Books50, Books400}

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL         string   // default DefaultURL
	Instruments []string // in OKX's spelling: BTC-USDT, BTC-USDT-SWAP
	Channels    []string // default Books and Trades
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
	if len(c.Instruments) == 0 {
		errs = append(errs, errors.New("no instruments"))
	}
	for _, s := range c.Instruments {
		if base, quote, ok := strings.Cut(s, "-"); !ok || base == "" || quote == "" {
			errs = append(errs, fmt.Errorf("instrument %q is not spelt BASE-QUOTE or BASE-QUOTE-SWAP", s))
		}
	}
	followed := 0
	for _, ch := range c.Channels {
		if !slices.Contains(Channels(), ch) {
			errs = append(errs, fmt.Errorf("channel %q is none of %v", ch, Channels()))
		}
		if slices.Contains(books, ch) {
			followed++
		}
	}
	if followed > 1 {
		errs = append(errs, fmt.Errorf("more than one of the book channels %v is wanted", books))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if len(c.Channels) == 0 {
		c.Channels = []string{Books, Trades}
	}
	c.Channels = slices.Compact(slices.Sorted(slices.Values(c.Channels)))
	c.Instruments = slices.Compact(slices.Sorted(slices.Values(c.Instruments)))
	return c
}

// Mute is how long OKX is silent at most: where nothing comes we ask within 8 s
// whether it is there.
const Mute = 10 * time.Second
