package coinbase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	// readLimit: the first snapshot of a busy book has several MB.
	readLimit = 16 << 20
	// perSubscribe is how many products one subscribe names.
	perSubscribe = 50
	// How many books of orders are asked for in a minute, and how many at once.
	// Coinbase takes 15 signed requests a second and means to slow down who polls
	// these.
	bookRequests, bookBurst = 60, 5
	// maxBook is the largest such book taken; BTC-USD has some 5 MB.
	maxBook = 64 << 20
)

// Connector makes connections to Coinbase Exchange. It is a [feeds.Connector].
type Connector struct {
	config Config
	rest   *feeds.REST // for books of orders; nil without them
}

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("coinbase: %w", err)
	}
	connector := &Connector{config: c.withDefaults()}
	if slices.Contains(c.Channels, Full) {
		connector.rest = feeds.NewREST(feeds.RESTConfig{PerMinute: bookRequests, Burst: bookBurst, MaxBody: maxBook, NetDial: c.NetDial})
	}
	return connector, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials and subscribes at once: Coinbase cuts a connection that has
// subscribed nothing within 5 s. Refused credentials end the connection with
// CauseRefused; a refused product becomes a problem of a, and the others are
// subscribed again without it, because Coinbase refuses a subscribe as a whole.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{
		URL:       c.config.URL,
		ReadLimit: readLimit,
		Compress:  c.config.Compress,
		NetDial:   c.config.NetDial,
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, config: c.config, attempt: a}
	conn.orders.begin(ctx, a, c)
	for part := range slices.Chunk(a.Symbols(c.config.Products), perSubscribe) {
		conn.batches = append(conn.batches, slices.Clone(part))
	}
	for _, products := range conn.batches {
		if err := conn.send("subscribe", products, c.config.Channels); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// connection is one connection to Coinbase. What is not safe for any goroutine
// belongs to the one that calls Next.
type connection struct {
	ws      *feeds.WS
	config  Config
	attempt *feeds.Attempt
	failed  error // the next Next returns it

	mu      sync.Mutex
	batches [][]string // products as they were subscribed, without refused ones

	orders // of the full channel
}

func (c *connection) send(kind string, products, channels []string) error {
	r := request{Type: kind, ProductIDs: products, Channels: channels}
	if kind == "subscribe" {
		if err := r.sign(c.config.Credentials, time.Now()); err != nil {
			return &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: err}
		}
	}
	if err := c.ws.WriteJSON(r); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

// Next implements [feeds.Connection].
func (c *connection) Next() ([]byte, bool, error) {
	if c.failed != nil {
		return nil, false, c.failed
	}
	payload, binary, err := c.ws.Next()
	if err != nil {
		return nil, false, err
	}
	if r, ok := readRefusal(payload); ok {
		c.failed = c.refused(r)
	}
	c.orders.inspect(payload)
	return payload, binary, nil
}

// refused acts on an error message. Its error ends the connection.
func (c *connection) refused(r refusal) error {
	if r.isAuth() {
		return &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: errors.New(r.String())}
	}
	c.attempt.Problem(r.String())
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, products := range c.batches {
		bad := r.product(products)
		if bad == "" {
			continue
		}
		// A product leaves its batch for good, so that this ends.
		products = slices.DeleteFunc(products, func(p string) bool { return p == bad })
		c.batches[i] = products
		if len(products) > 0 {
			return c.send("subscribe", products, c.config.Channels)
		}
	}
	return nil
}

// Close implements [feeds.Connection].
func (c *connection) Close() {
	c.orders.stop()
	c.ws.Close()
	c.orders.wait()
}

// Resync asks for the book of one product again. One of orders comes over REST,
// which neither the stream nor other books notice. Else: unsubscribe, subscribe. The
// channel has neither sequence nor checksum, and no other request for a
// snapshot
// (https://docs.cdp.coinbase.com/exchange/websocket-feed/channels#level2-channel).
func (c *connection) Resync(product string) error {
	if c.snapshots != nil {
		return c.snapshots.Ask(product)
	}
	book := c.config.book()
	if book == "" {
		return errors.New("no books are subscribed")
	}
	if err := c.send("unsubscribe", []string{product}, []string{book}); err != nil {
		return err
	}
	return c.send("subscribe", []string{product}, []string{book})
}
