package bitfinex

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

// DefaultURL is Bitfinex's public endpoint.
const DefaultURL = "wss://api-pub.bitfinex.com/ws/2"

// DefaultDepth is the depth of a book unless told otherwise.
const DefaultDepth = 100

// depths are those that the book channel offers.
var depths = []int{1, 25, 100, 250}

// MaxChannels is how many channels one connection may have.
const MaxChannels = 25

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL     string   // default DefaultURL
	Symbols []string // in Bitfinex's spelling: tBTCUSD, tDOGE:USD
	// Depth is the number of levels a side: 1, 25, 100 or 250. Default
	// DefaultDepth.
	Depth int
	// Book and Trades say which channels to subscribe for each symbol. At least
	// one is needed. There may be MaxChannels together.
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
		if !strings.HasPrefix(s, "t") || len(s) < 7 {
			errs = append(errs, fmt.Errorf("symbol %q is not spelt as Bitfinex does, tBTCUSD or tDOGE:USD", s))
		}
	}
	if c.Depth != 0 && !slices.Contains(depths, c.Depth) {
		errs = append(errs, fmt.Errorf("depth %d is none of %v", c.Depth, depths))
	}
	if !c.Book && !c.Trades {
		errs = append(errs, errors.New("neither book nor trades are wanted"))
	}
	if n := len(subscriptions(c.withDefaults())); n > MaxChannels {
		errs = append(errs, fmt.Errorf("%d channels are more than the %d of one connection: use several feeds", n, MaxChannels))
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

// Mute is how long Bitfinex is silent at most: it sends a heartbeat every 15 s on
// each channel that has no news, and where nothing comes we ask within 8 s
// whether it is there.
const Mute = 10 * time.Second
