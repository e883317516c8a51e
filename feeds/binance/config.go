package binance

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

// Market is which of Binance's markets a Connector connects to.
type Market string

// The markets.
const (
	Spot Market = "spot"
	USDM Market = "usdm" // futures margined in USD stablecoins
)

// The public endpoints of the markets.
const (
	SpotURL = "wss://stream.binance.com:9443"
	USDMURL = "wss://fstream.binance.com"
)

// restHosts are the REST hosts of known stream hosts. Elsewhere, as at a
// simulator, both are one.
var restHosts = map[string]string{
	"stream.binance.com:9443":       "api.binance.com",
	"stream.binance.com:443":        "api.binance.com",
	"stream.binance.com":            "api.binance.com",
	"data-stream.binance.vision":    "data-api.binance.vision",
	"stream.testnet.binance.vision": "testnet.binance.vision",
	"stream.binance.us:9443":        "api.binance.us",
	"fstream.binance.com":           "fapi.binance.com",
}

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	Market Market // default Spot
	// URL is where the streams are, scheme and host; default the market's.
	URL string
	// RESTURL is where requests go, scheme and host; default what belongs to
	// URL.
	RESTURL string
	// Symbols are in Binance's spelling, BTCUSDT; quarterly futures
	// BTCUSDT_260327.
	Symbols []string
	// Channels are what to subscribe of each symbol, in the words of the stream
	// names after the "@": depth, depth@100ms, depth20@100ms, trade, aggTrade,
	// bookTicker and others. Default depth@100ms and trade, of futures aggTrade.
	Channels []string
	// Depth is how many levels a side a book starts with, which Binance keeps
	// no more of than 5,000, of futures 1,000. More cost more: default 1000.
	Depth int
	// WeightPerMinute is how much of the request weight that Binance grants an
	// IP address is spent at most. Default half of it: 3000, of futures 1200.
	WeightPerMinute int
	// REST, if set, takes the requests in place of one of the Connector's own, so
	// that several of one IP address have one budget. See [NewREST].
	REST *feeds.REST
	// NetDial replaces how TCP connections are made, for tests.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// market is what differs between the markets.
type market struct {
	url             string
	info, depth     string // paths
	limits          []int  // of depth; nil is any up to 5,000
	weightPerMinute int    // half of what is granted
	subscribeEvery  time.Duration
	channels        []string
}

func (m Market) spec() market {
	if m == USDM {
		return market{USDMURL, "/fapi/v1/exchangeInfo", "/fapi/v1/depth", []int{5, 10, 20, 50, 100, 500, 1000}, 1200,
			150 * time.Millisecond, []string{"depth@100ms", "aggTrade"}}
	}
	return market{SpotURL, "/api/v3/exchangeInfo", "/api/v3/depth", nil, 3000,
		300 * time.Millisecond, []string{"depth@100ms", "trade"}}
}

// weight is what a request for a book costs.
func (m Market) weight(depth int) int {
	if m == USDM {
		switch {
		case depth <= 50:
			return 2
		case depth <= 100:
			return 5
		case depth <= 500:
			return 10
		}
		return 20
	}
	switch {
	case depth <= 100:
		return 5
	case depth <= 500:
		return 25
	case depth <= 1000:
		return 50
	}
	return 250
}

// infoWeight is what exchangeInfo costs.
func (m Market) infoWeight() int {
	if m == USDM {
		return 1
	}
	return 20
}

// DefaultDepth is Config.Depth unless set.
const DefaultDepth = 1000

// Validate reports all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	switch c.Market {
	case "", Spot, USDM:
	default:
		errs = append(errs, fmt.Errorf("market %q is not spot or usdm", c.Market))
	}
	for _, u := range []struct {
		name, url string
		schemes   []string
	}{{"url", c.URL, []string{"ws", "wss"}}, {"rest url", c.RESTURL, []string{"http", "https"}}} {
		if u.url == "" {
			continue
		}
		if p, err := url.Parse(u.url); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u.name, err))
		} else if !slices.Contains(u.schemes, p.Scheme) || p.Host == "" || strings.Trim(p.Path, "/") != "" {
			errs = append(errs, fmt.Errorf("%s %q is not %s://host", u.name, p.Redacted(), strings.Join(u.schemes, ":// or ")))
		}
	}
	if len(c.Symbols) == 0 {
		errs = append(errs, errors.New("no symbols"))
	}
	for _, s := range c.Symbols {
		if s == "" || s != strings.ToUpper(s) || strings.ContainsAny(s, "@/-\"\\ ") {
			errs = append(errs, fmt.Errorf("symbol %q is not spelt as Binance does, BTCUSDT", s))
		}
	}
	books := 0
	for _, ch := range c.Channels {
		if diffs(ch) {
			books++
		}
		if ch == "" || strings.ContainsAny(ch, "/\"\\ ") {
			errs = append(errs, fmt.Errorf("channel %q cannot be one", ch))
		}
	}
	if books > 1 {
		errs = append(errs, errors.New("more than one channel of changes of books: their numbers would not follow one another"))
	}
	spec := c.Market.spec()
	switch {
	case c.Depth == 0:
	case spec.limits == nil && (c.Depth < 1 || c.Depth > 5000):
		errs = append(errs, fmt.Errorf("depth %d is not 1 to 5000", c.Depth))
	case spec.limits != nil && !slices.Contains(spec.limits, c.Depth):
		errs = append(errs, fmt.Errorf("depth %d is not one of %v", c.Depth, spec.limits))
	}
	if c.WeightPerMinute < 0 {
		errs = append(errs, errors.New("weight per minute is negative"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Market == "" {
		c.Market = Spot
	}
	spec := c.Market.spec()
	if c.URL == "" {
		c.URL = spec.url
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.RESTURL == "" {
		u, _ := url.Parse(c.URL) // validated
		host, ok := restHosts[u.Host]
		if !ok {
			host = u.Host
		}
		c.RESTURL = strings.Replace(u.Scheme, "ws", "http", 1) + "://" + host
	}
	c.RESTURL = strings.TrimSuffix(c.RESTURL, "/")
	if len(c.Channels) == 0 {
		c.Channels = spec.channels
	}
	if c.Depth == 0 {
		c.Depth = DefaultDepth
	}
	if c.WeightPerMinute == 0 {
		c.WeightPerMinute = spec.weightPerMinute
	}
	c.Symbols = slices.Compact(slices.Sorted(slices.Values(c.Symbols)))
	c.Channels = slices.Compact(slices.Sorted(slices.Values(c.Channels)))
	return c
}

// diffs reports whether a channel is a stream of changes, which needs snapshots.
func diffs(channel string) bool {
	rest, ok := strings.CutPrefix(channel, "depth")
	return ok && (rest == "" || rest[0] == '@')
}

// Mute is how long Binance is silent at most: where nothing is traded we ask for
// a list of subscriptions every few seconds, which it answers.
const Mute = 10 * time.Second

// Lifetime is how old a connection should grow: Binance cuts it after 24 hours
// (https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams,
// "A single connection to stream.binance.com is only valid for 24 hours").
const Lifetime = 23 * time.Hour
