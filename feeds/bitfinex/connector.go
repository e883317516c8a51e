package bitfinex

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 4 << 20 // the image of 250 levels has about 20 KB
	pingEvery = 4 * time.Second
	// flags: running numbers on data messages, and checksums of books
	// ("Configuration", SEQ_ALL and OB_CHECKSUM).
	flags = 1<<16 | 1<<17
)

// Codes of info events.
const (
	infoReconnect = 20051
	infoResumed   = 20061 // maintenance has ended: everything is to be subscribed anew
)

// errDuplicate is the code of an error that refuses a subscription because there
// is one.
const errDuplicate = 10301

// Connector makes connections to Bitfinex. It is a [feeds.Connector].
type Connector struct{ config Config }

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("bitfinex: %w", err)
	}
	return &Connector{c.withDefaults()}, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials, waits for the info event that Bitfinex sends unasked, and
// subscribes. It does not wait for the acknowledgements: one comes for each
// channel. A refused symbol becomes a problem of a and leaves the others alone.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{
		URL:       c.config.URL,
		ReadLimit: readLimit,
		PingEvery: pingEvery,
		IdlePing:  []byte(`{"event":"ping","cid":1}`),
		NetDial:   c.config.NetDial,
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, attempt: a, config: c.config, books: make(map[string]int), ending: make(map[int]string)}
	if err := conn.begin(); err != nil {
		ws.Close()
		return nil, err
	}
	return conn, nil
}

// connection is one connection to Bitfinex.
type connection struct {
	ws      *feeds.WS
	attempt *feeds.Attempt
	config  Config
	failed  error // the next Next returns it

	mu     sync.Mutex
	books  map[string]int // channel of a symbol's book
	ending map[int]string // symbols of channels that are being left, to be subscribed again
}

// begin waits for the info and sends the subscriptions.
func (c *connection) begin() error {
	for {
		payload, binary, err := c.ws.Next()
		if err != nil {
			return err
		}
		c.attempt.Received(payload, binary)
		e, ok := readEvent(payload)
		if !ok || e.Event != "info" {
			continue
		}
		if e.Platform != nil && e.Platform.Status == 0 {
			return &feeds.DisconnectError{Cause: feeds.CauseLost, Err: errors.New("the platform is in maintenance")}
		}
		break
	}
	if err := c.ws.WriteJSON(conf{"conf", flags}); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	for _, s := range subscriptions(c.config) {
		if err := c.ws.WriteJSON(s); err != nil {
			return fmt.Errorf("subscribe: %w", err)
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
	if e, ok := readEvent(payload); ok {
		c.failed = c.event(e)
	}
	return payload, binary, nil
}

// event acts on an event. Its error ends the connection.
func (c *connection) event(e event) error {
	switch e.Event {
	case "info":
		if e.Code == infoReconnect || e.Code == infoResumed {
			return &feeds.DisconnectError{Cause: feeds.CauseLost, Err: fmt.Errorf("info %d: %s", e.Code, e.Msg)}
		}
	case "error":
		if e.Code == errDuplicate && e.Channel == "book" {
			return c.duplicate(e.Symbol)
		}
		text := fmt.Sprintf("%s (%d)", e.Msg, e.Code)
		if e.Symbol != "" {
			text = e.Channel + " " + e.Symbol + ": " + text
		}
		c.attempt.Problem(text)
	case "subscribed":
		if e.Channel == "book" {
			c.mu.Lock()
			c.books[e.Symbol] = e.ChanID
			c.mu.Unlock()
		}
	case "unsubscribed":
		c.mu.Lock()
		symbol, ok := c.ending[e.ChanID]
		delete(c.ending, e.ChanID)
		if ok {
			delete(c.books, symbol)
		}
		c.mu.Unlock()
		if ok {
			if err := c.ws.WriteJSON(bookOf(c.config, symbol)); err != nil {
				return fmt.Errorf("subscribe: %w", err)
			}
		}
	}
	return nil
}

// duplicate acts on the refusal of a book because there is one. Mostly it has
// been confirmed since it was asked for, and its image came. If not, the
// confirmation was lost: nothing tells the number of its channel, without which
// it can neither be read nor left.
func (c *connection) duplicate(symbol string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.books[symbol]; ok {
		return nil
	}
	return &feeds.DisconnectError{Cause: feeds.CauseLost, Err: fmt.Errorf("the book of %s is subscribed on a channel that was never told", symbol)}
}

// Close implements [feeds.Connection].
func (c *connection) Close() { c.ws.Close() }

// Resync asks for the book of one symbol again: its channel is unsubscribed and,
// once that is confirmed, subscribed, upon which an image comes. Before that a
// second subscription would be refused as a duplicate.
func (c *connection) Resync(symbol string) error {
	if !c.config.Book {
		return errors.New("no books are subscribed")
	}
	c.mu.Lock()
	id, ok := c.books[symbol]
	if _, left := c.ending[id]; ok && left {
		// It was left at the request before, and that this was confirmed was
		// lost, or comes late: it is not waited for again.
		delete(c.ending, id)
		delete(c.books, symbol)
		ok = false
	}
	if ok {
		c.ending[id] = symbol
	}
	c.mu.Unlock()
	if !ok {
		// Never confirmed, or on its way.
		if err := c.ws.WriteJSON(bookOf(c.config, symbol)); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		return nil
	}
	if err := c.ws.WriteJSON(leave{"unsubscribe", id}); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	return nil
}
