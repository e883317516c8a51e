package coinbaseadvanced

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
	// readLimit: the first image of a busy book has 5 MB.
	readLimit = 32 << 20
	// resyncWindow collects products whose books are to be asked for again.
	// Coinbase takes 8 messages a second from an address, and each round has
	// two; the rest is left to what else we say.
	resyncWindow = 400 * time.Millisecond
)

// Connector makes connections to Coinbase Advanced Trade. It is a
// [feeds.Connector].
type Connector struct{ config Config }

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("coinbase-advanced: %w", err)
	}
	return &Connector{c.withDefaults()}, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials and subscribes at once, a channel a message: Coinbase cuts a
// connection that has subscribed nothing within 5 s. A refused product becomes a
// problem of a, and the others are subscribed again without it.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{
		URL:       c.config.URL,
		ReadLimit: readLimit,
		NetDial:   c.config.NetDial,
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, attempt: a, channels: c.config.Channels, products: slices.Clone(c.config.Products)}
	if err := conn.subscribe(); err != nil {
		ws.Close()
		return nil, err
	}
	return conn, nil
}

// connection is one connection to Coinbase. What is not guarded by mu belongs to
// the goroutine that calls Next.
type connection struct {
	ws       *feeds.WS
	attempt  *feeds.Attempt
	channels []string
	products []string // without refused ones
	failed   error    // the next Next returns it

	mu      sync.Mutex
	waiting []string    // products to be asked for again
	timer   *time.Timer // runs while products wait
	closed  bool
	sending sync.WaitGroup
}

// request is what we send.
type request struct {
	Type       string   `json:"type"`
	ProductIDs []string `json:"product_ids,omitempty"`
	Channel    string   `json:"channel"`
}

func (c *connection) send(kind, channel string, products []string) error {
	if channel == Heartbeats {
		products = nil
	}
	if err := c.ws.WriteJSON(request{kind, products, channel}); err != nil {
		return fmt.Errorf("%s %s: %w", kind, channel, err)
	}
	return nil
}

func (c *connection) subscribe() error {
	for _, ch := range c.channels {
		if err := c.send("subscribe", ch, c.products); err != nil {
			return err
		}
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
	if text, ok := readRefusal(payload); ok {
		c.failed = c.refused(text)
	}
	return payload, binary, nil
}

// refused acts on an error message. Its error ends the connection.
func (c *connection) refused(text string) error {
	if isAuth(text) {
		return &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: errors.New(text)}
	}
	c.attempt.Problem(text)
	bad := named(text, c.products)
	if bad == "" {
		return nil
	}
	// A product leaves the list for good, so that this ends. Channels that have
	// the others already are not changed by being asked again.
	c.products = slices.DeleteFunc(c.products, func(p string) bool { return p == bad })
	if len(c.products) == 0 {
		return nil
	}
	return c.subscribe()
}

// Resync asks for the book of one product again: unsubscribe, subscribe. There
// is no other request for an image. As a message that was lost may have been
// about any product, the wishes of a moment are put into one round.
func (c *connection) Resync(product string) error {
	if !slices.Contains(c.channels, Level2) {
		return errors.New("no books are subscribed")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("the connection is closed")
	}
	if !slices.Contains(c.waiting, product) {
		c.waiting = append(c.waiting, product)
	}
	if c.timer == nil {
		c.sending.Add(1)
		c.timer = time.AfterFunc(resyncWindow, c.round)
	}
	return nil
}

// round asks for the books that wait.
func (c *connection) round() {
	defer c.sending.Done()
	c.mu.Lock()
	products := c.waiting
	c.waiting, c.timer = nil, nil
	c.mu.Unlock()
	// Failures show at the reader, which has the better error.
	if c.send("unsubscribe", Level2, products) == nil {
		_ = c.send("subscribe", Level2, products)
	}
}

// Close implements [feeds.Connection].
func (c *connection) Close() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil && c.timer.Stop() {
		c.sending.Done()
	}
	c.mu.Unlock()
	c.ws.Close() // frees a round that is stuck in a write
	c.sending.Wait()
}
