package alpaca

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DefaultURL is the host of the streams.
const DefaultURL = "wss://stream.data.alpaca.markets"

// paths are the feeds by our names.
var paths = map[string]string{
	"sip":         "/v2/sip",         // all US exchanges
	"iex":         "/v2/iex",         // one exchange, free
	"delayed_sip": "/v2/delayed_sip", // 15 minutes late
	"boats":       "/v1beta1/boats",
	"overnight":   "/v1beta1/overnight",
	"test":        "/v2/test", // always on; its symbol is FAKEPACA
	crypto:        "/v1beta3/crypto/us",
}

// crypto is the feed of crypto.
const crypto = "crypto"

var (
	stockChannels  = []string{"trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances"}
	cryptoChannels = []string{"trades", "quotes", "bars", "updatedBars", "dailyBars", "orderbooks"}
)

// Feeds returns the feeds that a connection can carry, sorted.
func Feeds() []string { return slices.Sorted(maps.Keys(paths)) }

// Channels returns the channels of stocks and crypto, sorted. Corrections and
// cancels come with trades.
func Channels() []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(stockChannels, cryptoChannels))))
}

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	// URL is the base, to which the feed's path is added. Default DefaultURL.
	URL string
	// Feed is sip, iex, delayed_sip, boats, overnight, test or crypto. Default
	// iex, which needs no plan. A connection carries one.
	Feed string
	// Key and Secret sign in. They are never logged and are in no frame.
	Key, Secret string
	// Symbols are AAPL or, of crypto, BTC/USD; * is all. Default none.
	Symbols []string
	// Channels default to trades, quotes and statuses, for crypto to trades and
	// orderbooks.
	Channels []string
	// MessagePack asks for MessagePack in place of JSON: half the bytes, and the
	// receive times of a busy feed are the better for it.
	MessagePack bool
	// NetDial replaces how the TCP connection is made, for tests.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// String shows c without its credentials.
func (c Config) String() string {
	return fmt.Sprintf("alpaca %s %s %v %v", c.URL, c.Feed, c.Channels, c.Symbols)
}

// GoString shows c without its credentials.
func (c Config) GoString() string { return c.String() }

// Validate reports all that is wrong with c, without showing the credentials.
func (c Config) Validate() error {
	var errs []error
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		} else if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			errs = append(errs, fmt.Errorf("url %q is not ws://host or wss://host", u.Redacted()))
		}
	}
	if c.Key == "" || c.Secret == "" {
		errs = append(errs, errors.New("no key or no secret"))
	}
	if len(c.Symbols) == 0 {
		errs = append(errs, errors.New("no symbols"))
	}
	c = c.withDefaults()
	if paths[c.Feed] == "" {
		return errors.Join(append(errs, fmt.Errorf("feed %q is none of %v", c.Feed, Feeds()))...)
	}
	known := stockChannels
	if c.Feed == crypto {
		known = cryptoChannels
	}
	for _, ch := range c.Channels {
		if !slices.Contains(known, ch) {
			errs = append(errs, fmt.Errorf("channel %q: %s has the channels %v", ch, c.Feed, known))
		}
	}
	for _, s := range c.Symbols {
		if pair := strings.Contains(s, "/"); s == "" || s != "*" && pair != (c.Feed == crypto) {
			errs = append(errs, fmt.Errorf("symbol %q is not spelt as %s has it", s, c.Feed))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if c.Feed == "" {
		c.Feed = "iex"
	}
	if len(c.Channels) == 0 {
		c.Channels = []string{"trades", "quotes", "statuses"}
		if c.Feed == crypto {
			c.Channels = []string{"trades", "orderbooks"}
		}
	}
	c.Symbols = slices.Compact(slices.Sorted(slices.Values(c.Symbols)))
	return c
}

// Mute is how long a connection that was busy may be silent before it is given up.
// There is no heartbeat and an idle market is legal.
const Mute = 60 * time.Second
