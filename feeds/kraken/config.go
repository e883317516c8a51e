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
	URL     string   // default DefaultURL, with Orders DefaultOrdersURL
	RESTURL string   // scheme and host, with Orders; default what belongs to URL
	Symbols []string // in Kraken's spelling, BTC/USD
	// Depth is the number of levels a side: 10, 25, 100, 500 or 1000; of orders 10,
	// 100 or 1000. Default DefaultDepth.
	Depth int
	// Book and Trades say which channels to subscribe for each symbol. At least
	// one is needed. Instruments, the reference data, are always subscribed.
	Book, Trades bool
	// Orders subscribes level3, each order of the book, in place of Book. It needs
	// Credentials.
	Orders      bool
	Credentials Credentials
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
	offered := depths
	if c.Orders {
		offered = orderDepths
	}
	if c.Depth != 0 && !slices.Contains(offered, c.Depth) {
		errs = append(errs, fmt.Errorf("depth %d is none of %v", c.Depth, offered))
	}
	switch {
	case !c.Book && !c.Trades && !c.Orders:
		errs = append(errs, errors.New("neither book nor trades are wanted"))
	case c.Book && c.Orders:
		errs = append(errs, errors.New("book and level3 are each a book of the same pair: give each a feed of its own"))
	case c.Orders:
		if err := c.Credentials.validate(); err != nil {
			errs = append(errs, err)
		}
		if u, err := url.Parse(c.RESTURL); c.RESTURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			errs = append(errs, errors.New("rest url is not http://host or https://host"))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.RESTURL == "" {
		switch u, _ := url.Parse(c.URL); strings.TrimSuffix(c.URL, "/") {
		case "", DefaultURL, DefaultOrdersURL:
			c.RESTURL = DefaultRESTURL
		default:
			c.RESTURL = strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host
		}
	}
	c.RESTURL = strings.TrimSuffix(c.RESTURL, "/")
	if c.URL == "" {
		c.URL = DefaultURL
		if c.Orders {
			c.URL = DefaultOrdersURL
		}
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
