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

	"github.com/quotewire/quotewire/feeds"
)

// The public endpoints. The category is added to DefaultURL.
const (
	DefaultURL     = "wss://stream.bybit.com/v5/public"
	DefaultRESTURL = "https://api.bybit.com"
)

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
	RESTURL  string   // scheme and host; default what belongs to URL
	Category string   // Spot, Linear or Inverse
	Symbols  []string // in Bybit's spelling, BTCUSDT
	// Depth is the number of levels a side: 1, 50, 200, 500 or 1000. Default
	// DefaultDepth.
	Depth int
	// Book, Trades and Tickers say which topics to subscribe for each symbol. At
	// least one is needed. Tickers of spot have no bid and ask.
	Book, Trades, Tickers bool
	// RequestsPerMinute bounds the requests over REST. Default 60; Bybit grants an
	// address 600 in five seconds.
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
	if c.RequestsPerMinute < 0 {
		errs = append(errs, errors.New("requests per minute is negative"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if c.RESTURL == "" {
		c.RESTURL = restURL(c.URL)
	}
	c.RESTURL = strings.TrimSuffix(c.RESTURL, "/")
	// The whole address is taken too.
	c.URL = strings.TrimSuffix(c.URL, "/")
	if !strings.HasSuffix(c.URL, "/"+c.Category) {
		c.URL += "/" + c.Category
	}
	if c.Depth == 0 {
		c.Depth = DefaultDepth
	}
	if c.RequestsPerMinute == 0 {
		c.RequestsPerMinute = 60
	}
	c.Symbols = slices.Compact(slices.Sorted(slices.Values(c.Symbols)))
	return c
}

// restURL returns where requests go beside a stream: Bybit's sites each have
// stream.HOST and api.HOST, the test network stream-testnet and api-testnet;
// elsewhere it is the host of the stream.
func restURL(stream string) string {
	u, err := url.Parse(stream)
	if err != nil {
		return "" // Validate has said so
	}
	host := u.Host
	if rest, ok := strings.CutPrefix(host, "stream"); ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "-")) {
		host = "api" + rest
	}
	return strings.Replace(u.Scheme, "ws", "http", 1) + "://" + host
}

// Mute is how long Bybit is silent at most: it answers the ping that we send
// every 5 s.
const Mute = 12 * time.Second
