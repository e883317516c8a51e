package kraken

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 4 << 20 // the instrument snapshot, the largest message, is below 1 MiB
	// perSubscribe is how many symbols one subscribe names. Kraken limits the
	// rate of messages, not their length; each symbol is acknowledged alone.
	perSubscribe = 100
	pingEvery    = 20 * time.Second
)

// Connector makes connections to Kraken. It is a [feeds.Connector].
type Connector struct {
	config Config
	rest   *feeds.REST // for tokens; nil without orders

	mu        sync.Mutex
	lastNonce int64
}

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kraken: %w", err)
	}
	connector := &Connector{config: c.withDefaults()}
	if c.Orders {
		// Kraken lets a key ask about once in three seconds.
		connector.rest = feeds.NewREST(feeds.RESTConfig{PerMinute: 20, Burst: 10, NetDial: c.NetDial})
	}
	return connector, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials, with a token where there are orders to be subscribed, waits for the status message that Kraken sends unasked, and
// subscribes. It does not wait for the acknowledgements: one comes for each
// symbol, and data may come before it. A refused symbol becomes a problem of a
// and leaves the others alone.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	token := ""
	if c.config.Orders {
		var err error
		if token, err = c.token(ctx); err != nil {
			return nil, err
		}
	}
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{
		URL:       c.config.URL,
		ReadLimit: readLimit,
		PingEvery: pingEvery,
		// Kraken's own ping, because its answer is a message and so feeds
		// the watch over silence.
		IdlePing: []byte(`{"method":"ping"}`),
		NetDial:  c.config.NetDial,
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, config: c.config, attempt: a, token: token, rest: c.rest}
	conn.config.Symbols = a.Symbols(c.config.Symbols)
	ctx, conn.cancel = context.WithCancel(ctx)
	if err := conn.begin(); err != nil {
		conn.Close()
		return nil, err
	}
	if c.config.Orders {
		conn.running.Go(func() { conn.subscribeOrders(ctx) })
	}
	return conn, nil
}

// connection is one connection to Kraken.
type connection struct {
	ws      *feeds.WS
	config  Config
	attempt *feeds.Attempt
	token   string      // for orders
	rest    *feeds.REST // nil without orders
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// begin waits for the status and sends the subscriptions.
func (c *connection) begin() error {
	for {
		payload, binary, err := c.ws.Next()
		if err != nil {
			return err
		}
		c.attempt.Received(payload, binary)
		c.inspect(payload)
		if bytes.Contains(payload, []byte(`"status"`)) {
			break
		}
	}
	for _, r := range subscriptions(c.config) {
		if err := c.ws.WriteJSON(r); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	return nil
}

// Next implements [feeds.Connection].
func (c *connection) Next() ([]byte, bool, error) {
	payload, binary, err := c.ws.Next()
	if err == nil {
		c.inspect(payload)
	}
	return payload, binary, err
}

// Close implements [feeds.Connection].
func (c *connection) Close() {
	c.cancel()
	c.ws.Close()
	c.running.Wait()
	if c.rest != nil {
		c.rest.CloseIdle()
	}
}

// Resync asks for the book of one symbol again: unsubscribe, subscribe. Book
// messages carry no sequence and there is no other request for a snapshot
// (https://docs.kraken.com/api/docs/websocket-v2/book). Both must name the
// depth.
func (c *connection) Resync(symbol string) error {
	if !c.config.Book && !c.config.Orders {
		return fmt.Errorf("no books are subscribed")
	}
	symbols := []string{symbol}
	if err := c.ws.WriteJSON(request{"unsubscribe", params{Channel: c.config.book(), Symbol: symbols, Depth: c.config.Depth, Token: c.token}}); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	if err := c.ws.WriteJSON(c.bookSubscription(symbols)); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// inspect looks for refusals among the answers to our requests.
func (c *connection) inspect(payload []byte) {
	if problem, ok := refusal(payload); ok {
		c.attempt.Problem(problem)
	}
}
