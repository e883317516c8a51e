package bybit

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

// DefaultURL is Bybit's endpoint, to which the category is added.
const DefaultURL = "wss://stream.bybit.com/v5/public"

// DefaultDepth is the depth of a book unless told otherwise.
const DefaultDepth = 50

// The categories. One symbol means different products in two of them, so that a
// connection has one.
const (
	Spot    = "spot"
	Linear  = "linear"  // perpetuals and futures settled in USDT or USDC
	Inverse = "inverse" // settled in the base currency
)

var categories = []string{Spot, Linear, Inverse}

// depths are those that the order book topic offers, 500 on some of Bybit's
// sites only.
var depths = []int{1, 50, 200, 500, 1000}

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL      string   // default DefaultURL; the category is added
	Category string   // Spot, Linear or Inverse
	Symbols  []string // in Bybit's spelling, BTCUSDT
	// Depth is the number of levels a side: 1, 50, 200, 500 or 1000. Default
	// DefaultDepth.
	Depth int
	// Book, Trades and Tickers say which topics to subscribe for each symbol. At
	// least one is needed. Tickers of spot have no bid and ask.
	Book, Trades, Tickers bool
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
	if !slices.Contains(categories, c.Category) {
		errs = append(errs, fmt.Errorf("category %q is none of %v", c.Category, categories))
	}
	if len(c.Symbols) == 0 {
		errs = append(errs, errors.New("no symbols"))
	}
	for _, s := range c.Symbols {
		if s == "" || strings.ContainsAny(s, "./ ") || s != strings.ToUpper(s) {
			errs = append(errs, fmt.Errorf("symbol %q is not spelt as Bybit does, BTCUSDT", s))
		}
	}
	if c.Depth != 0 && !slices.Contains(depths, c.Depth) {
		errs = append(errs, fmt.Errorf("depth %d is none of %v", c.Depth, depths))
	}
	if !c.Book && !c.Trades && !c.Tickers {
		errs = append(errs, errors.New("neither book nor trades nor tickers are wanted"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	// The whole address is taken too.
	c.URL = strings.TrimSuffix(c.URL, "/")
	if !strings.HasSuffix(c.URL, "/"+c.Category) {
		c.URL += "/" + c.Category
	}
	if c.Depth == 0 {
		c.Depth = DefaultDepth
	}
	c.Symbols = slices.Compact(slices.Sorted(slices.Values(c.Symbols)))
	return c
}

// Mute is how long Bybit is silent at most: it answers the ping that we send
// every 5 s.
const Mute = 12 * time.Second
