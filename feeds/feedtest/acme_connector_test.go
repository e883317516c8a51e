package feedtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// The worked example of docs/adapters.md. Acme's protocol: {"subscribe":"BTC-USD"}
// and {"unsubscribe":"BTC-USD"} are answered with {"subscribed":"BTC-USD"},
// {"unsubscribed":"BTC-USD"} or {"refused":"BTC-USD"}; books are
// {"book":"BTC-USD","n":7,"image":true,"bids":[["1.50","2"]],"asks":[]}, where n
// grows by one and image is false for changes; {"beat":1} comes each second.

// acmeConnector is a feeds.Connector.
type acmeConnector struct {
	url     string
	symbols []string
}

// Mute is how long Acme is silent at most: its beat comes each second.
func (c *acmeConnector) Mute() time.Duration { return 5 * time.Second }

func (c *acmeConnector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{URL: c.url, ReadLimit: 1 << 20})
	if err != nil {
		return nil, err // a *feeds.DisconnectError, as DialWS makes them
	}
	conn := &acmeConnection{ws: ws, attempt: a}
	for _, s := range c.symbols {
		if err := conn.ask("subscribe", s); err != nil {
			ws.Close()
			return nil, err
		}
	}
	return conn, nil
}

// acmeConnection is a feeds.Connection with a Resync.
type acmeConnection struct {
	ws      *feeds.WS
	attempt *feeds.Attempt
}

func (c *acmeConnection) ask(what, symbol string) error {
	if err := c.ws.WriteJSON(map[string]string{what: symbol}); err != nil {
		return fmt.Errorf("%s %s: %w", what, symbol, err)
	}
	return nil
}

// Next hands every message on as it came. It looks for refusals only; they are
// short, so data costs a comparison.
func (c *acmeConnection) Next() ([]byte, bool, error) {
	payload, binary, err := c.ws.Next()
	if err == nil && len(payload) < 100 {
		var m struct{ Refused string }
		if json.Unmarshal(payload, &m) == nil && m.Refused != "" {
			c.attempt.Problem("refused: " + m.Refused)
		}
	}
	return payload, binary, err
}

// Resync asks for one book again, by the only way that Acme has.
func (c *acmeConnection) Resync(symbol string) error {
	if err := c.ask("unsubscribe", symbol); err != nil {
		return err
	}
	return c.ask("subscribe", symbol)
}

func (c *acmeConnection) Close() { c.ws.Close() }
