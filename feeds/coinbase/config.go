package coinbase

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The public endpoints of Coinbase Exchange.
const (
	DefaultURL     = "wss://ws-feed.exchange.coinbase.com"
	DefaultRESTURL = "https://api.exchange.coinbase.com"
)

// The channels that this package subscribes unless told otherwise. Level2 is
// Level2Batch without its batching of 50 ms, for those who sign in.
const (
	Level2Batch = "level2_batch"
	Level2      = "level2"
	// Full is each order of the whole book, and prints; it needs credentials.
	Full      = "full"
	Matches   = "matches"
	Heartbeat = "heartbeat"
	Status    = "status"
)

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	URL      string   // default DefaultURL
	RESTURL  string   // scheme and host, for books of orders; default what belongs to URL
	Products []string // BTC-USD
	// Channels default to the book (Level2 with credentials, else
	// Level2Batch), Matches, Heartbeat and Status. Without Heartbeat a quiet
	// market looks like a dead connection.
	Channels []string
	// Credentials sign the subscriptions; the zero value sends none.
	Credentials Credentials
	// Compress offers permessage-deflate, which Coinbase recommends for books.
	Compress bool
	// NetDial replaces how the TCP connection is made, for tests.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Credentials are an API key of Coinbase Exchange. They are never logged.
type Credentials struct {
	Key, Passphrase string
	Secret          string // base64, as Coinbase gives it
}

// String hides the credentials from logs and error messages.
func (c Credentials) String() string {
	if c == (Credentials{}) {
		return "none"
	}
	return "hidden"
}

// GoString hides the credentials from %#v.
func (c Credentials) GoString() string { return "coinbase.Credentials(" + c.String() + ")" }

// Validate reports all that is wrong with c, without showing credentials.
func (c Config) Validate() error {
	var errs []error
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		} else if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			errs = append(errs, fmt.Errorf("url %q is not ws://host or wss://host", u.Redacted()))
		}
	}
	if len(c.Products) == 0 {
		errs = append(errs, errors.New("no products"))
	}
	for _, p := range c.Products {
		if base, quote, ok := strings.Cut(p, "-"); !ok || base == "" || quote == "" {
			errs = append(errs, fmt.Errorf("product %q is not spelt BASE-QUOTE", p))
		}
	}
	if cr := c.Credentials; cr != (Credentials{}) {
		if cr.Key == "" || cr.Passphrase == "" || cr.Secret == "" {
			errs = append(errs, errors.New("credentials need a key, a passphrase and a secret"))
		} else if _, err := base64.StdEncoding.DecodeString(cr.Secret); err != nil {
			errs = append(errs, errors.New("the secret is not base64")) // err would show a part of it
		}
	}
	if c.RESTURL != "" {
		if u, err := url.Parse(c.RESTURL); err != nil {
			errs = append(errs, fmt.Errorf("rest url: %w", err))
		} else if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("rest url %q is not http://host or https://host", u.Redacted()))
		}
	}
	if slices.Contains(c.Channels, Full) {
		if c.Credentials == (Credentials{}) {
			errs = append(errs, errors.New("channel full needs credentials"))
		}
		for _, ch := range c.Channels {
			if ch == Level2 || ch == Level2Batch || ch == Matches {
				errs = append(errs, fmt.Errorf("channel %s beside full, which has it all: leave it out, or give it a feed of its own", ch))
			}
		}
	}
	return errors.Join(errs...)
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
		book := Level2Batch
		if c.Credentials != (Credentials{}) {
			book = Level2
		}
		c.Channels = []string{book, Matches, Heartbeat, Status}
	}
	c.Products = slices.Compact(slices.Sorted(slices.Values(c.Products)))
	return c
}

// book returns the channel that carries books, "" for none.
func (c Config) book() string {
	for _, ch := range c.Channels {
		if ch == Level2 || ch == Level2Batch {
			return ch
		}
	}
	return ""
}

// Mute is how long Coinbase is silent at most: with heartbeats subscribed it
// sends one a second for each product.
const Mute = 10 * time.Second
