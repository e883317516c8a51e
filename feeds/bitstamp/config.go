package bitstamp

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

// The public endpoints.
const (
	DefaultURL     = "wss://ws.bitstamp.net"
	DefaultRESTURL = "https://www.bitstamp.net"
)

// The channels that this package knows, each subscribed of every pair.
const (
	DiffOrderBook = "diff_order_book" // changes of the whole book
	OrderBook     = "order_book"      // an image of the best 100 levels each time
	LiveOrders    = "live_orders"     // each order of the whole book
	LiveTrades    = "live_trades"
)

// DefaultRecheck is Config.Recheck unless set.
const DefaultRecheck = 5 * time.Minute

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL     string   // default DefaultURL
	RESTURL string   // scheme and host; default what belongs to URL
	Pairs   []string // in Bitstamp's spelling, btcusd
	// Channels default to DiffOrderBook and LiveTrades.
	Channels []string
	// Recheck is how often each book is asked for again while it is well: a
	// change that was lost shows in nothing else. Default DefaultRecheck;
	// negative is never.
	Recheck time.Duration
	// RequestsPerMinute bounds the requests over REST. Default 300; Bitstamp
	// grants 10,000 in ten minutes.
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
			errs = append(errs, fmt.Errorf("%s %q is not %s://host", u.name, p.Redacted(), strings.Join(u.schemes, ":// or ")))
		}
	}
	if len(c.Pairs) == 0 {
		errs = append(errs, errors.New("no pairs"))
	}
	for _, p := range c.Pairs {
		if p == "" || p != strings.ToLower(p) || strings.ContainsAny(p, "/\"\\ _") {
			errs = append(errs, fmt.Errorf("pair %q is not spelt as Bitstamp does, btcusd", p))
		}
	}
	for _, ch := range c.Channels {
		if ch != DiffOrderBook && ch != OrderBook && ch != LiveOrders && ch != LiveTrades {
			errs = append(errs, fmt.Errorf("no channel %q: known are %s, %s, %s, %s", ch, DiffOrderBook, OrderBook, LiveOrders, LiveTrades))
		}
	}
	if len(c.books()) > 1 {
		errs = append(errs, fmt.Errorf("channels %s are each a book of the same pair: give each a feed of its own", strings.Join(c.books(), " and ")))
	}
	if c.RequestsPerMinute < 0 {
		errs = append(errs, errors.New("requests per minute is negative"))
	}
	return errors.Join(errs...)
}

// books returns the channels that carry books.
func (c Config) books() (out []string) {
	for _, ch := range c.Channels {
		if ch == DiffOrderBook || ch == OrderBook || ch == LiveOrders {
			out = append(out, ch)
		}
	}
	return out
}

// begins returns the channel whose books begin with an answer over REST, "" for
// none.
func (c Config) begins() string {
	for _, ch := range c.books() {
		if ch != OrderBook {
			return ch
		}
	}
	return ""
}

func (c Config) withDefaults() Config {
	if c.RESTURL == "" {
		switch u, _ := url.Parse(c.URL); c.URL {
		case "", DefaultURL, DefaultURL + "/":
			c.RESTURL = DefaultRESTURL
		default:
			c.RESTURL = strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host
		}
	}
	c.RESTURL = strings.TrimSuffix(c.RESTURL, "/")
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if len(c.Channels) == 0 {
		c.Channels = []string{DiffOrderBook, LiveTrades}
	}
	switch {
	case c.Recheck == 0:
		c.Recheck = DefaultRecheck
	case c.Recheck < 0:
		c.Recheck = 0
	}
	if c.RequestsPerMinute == 0 {
		c.RequestsPerMinute = 300
	}
	c.Pairs = slices.Compact(slices.Sorted(slices.Values(c.Pairs)))
	return c
}

// Mute is how long Bitstamp is silent at most: where nothing is traded we ask for
// a heartbeat every few seconds.
const Mute = 10 * time.Second
