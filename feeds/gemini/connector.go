package gemini

import (
	"context"
	"fmt"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 32 << 20 // the first message of a busy book has some MB
	pingEvery = 10 * time.Second
)

// Connector makes connections to Gemini. It is a [feeds.Connector].
type Connector struct{ config Config }

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("gemini: %w", err)
	}
	return &Connector{c.withDefaults()}, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials and subscribes. Gemini does not acknowledge: the books come. A
// refused symbol becomes a problem of a; as it is not documented whether the rest
// of a request with a bad part is heeded, each symbol is asked for alone.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{
		URL:       c.config.URL,
		ReadLimit: readLimit,
		PingEvery: pingEvery,
		NetDial:   c.config.NetDial,
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, attempt: a}
	for _, s := range c.config.Symbols {
		if err := conn.ask("subscribe", s); err != nil {
			ws.Close()
			return nil, err
		}
	}
	return conn, nil
}

// connection is one connection to Gemini.
type connection struct {
	ws      *feeds.WS
	attempt *feeds.Attempt
}

func (c *connection) ask(typ, symbol string) error {
	if err := c.ws.WriteJSON(request{typ, []subscription{{"l2", []string{symbol}}}}); err != nil {
		return fmt.Errorf("%s: %w", typ, err)
	}
	return nil
}

// Next implements [feeds.Connection].
func (c *connection) Next() ([]byte, bool, error) {
	payload, binary, err := c.ws.Next()
	if err == nil {
		if text, ok := refusal(payload); ok {
			c.attempt.Problem(text)
		}
	}
	return payload, binary, err
}

// Close implements [feeds.Connection].
func (c *connection) Close() { c.ws.Close() }

// Resync asks for the book of one symbol again: unsubscribe, subscribe, upon
// which its first message is the whole book.
func (c *connection) Resync(symbol string) error {
	if err := c.ask("unsubscribe", symbol); err != nil {
		return err
	}
	return c.ask("subscribe", symbol)
}
