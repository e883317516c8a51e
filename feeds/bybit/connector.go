package bybit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 4 << 20 // the image of 1,000 levels has about 50 KB
	// pingEvery: Bybit wants a ping every 20 s at least, whatever comes, and cuts
	// a connection without any after ten minutes. More of them find silence
	// sooner.
	pingEvery = 5 * time.Second
	// perRequest is how many topics one request names; spot takes no more.
	perRequest = 10
)

// Connector makes connections to Bybit. It is a [feeds.Connector].
type Connector struct{ config Config }

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("bybit: %w", err)
	}
	return &Connector{c.withDefaults()}, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials and subscribes. It does not wait for the answers: data may come
// before them. A refused topic becomes a problem of a and leaves the others
// alone.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{
		URL:        c.config.URL,
		ReadLimit:  readLimit,
		PingEvery:  pingEvery,
		IdlePing:   []byte(`{"req_id":"ping","op":"ping"}`),
		PingAlways: true,
		NetDial:    c.config.NetDial,
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, attempt: a, config: c.config, asked: make(map[string][]string)}
	for part := range slices.Chunk(topics(c.config), perRequest) {
		if err := conn.ask("subscribe", part); err != nil {
			ws.Close()
			return nil, err
		}
	}
	return conn, nil
}

// connection is one connection to Bybit.
type connection struct {
	ws      *feeds.WS
	attempt *feeds.Attempt
	config  Config
	failed  error // the next Next returns it

	mu    sync.Mutex
	next  int
	asked map[string][]string // topics by the request that subscribes them, until it is answered
}

// URL returns the address, whose last part is the category: it tells which
// products the messages are about.
func (c *connection) URL() string { return c.config.URL }

func (c *connection) ask(op string, topics []string) error {
	c.mu.Lock()
	c.next++
	id := strconv.Itoa(c.next)
	if op == "subscribe" {
		c.asked[id] = topics
	}
	c.mu.Unlock()
	if err := c.ws.WriteJSON(request{id, op, topics}); err != nil {
		return fmt.Errorf("%s: %w", op, err)
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
	if a, ok := readAnswer(payload); ok {
		c.failed = c.answered(a)
	}
	return payload, binary, nil
}

// answered acts on the answer to a request. One bad topic fails the whole of it,
// so that of a request that is refused each topic is asked for alone, once. Its
// error ends the connection.
func (c *connection) answered(a answer) error {
	c.mu.Lock()
	topics := c.asked[a.ReqID]
	delete(c.asked, a.ReqID)
	c.mu.Unlock()
	if a.Success == nil || *a.Success {
		return nil
	}
	if len(topics) < 2 {
		text := a.RetMsg
		if a.Op != "" {
			text = a.Op + ": " + text
		}
		c.attempt.Problem(text)
		return nil
	}
	for i := range topics {
		if err := c.ask("subscribe", topics[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Close implements [feeds.Connection].
func (c *connection) Close() { c.ws.Close() }

// Resync asks for the book of one symbol again: unsubscribe, subscribe, upon
// which its topic begins with a snapshot ("Orderbook").
func (c *connection) Resync(symbol string) error {
	if !c.config.Book {
		return errors.New("no books are subscribed")
	}
	topic := []string{bookTopic(c.config.Depth, symbol)}
	if err := c.ask("unsubscribe", topic); err != nil {
		return err
	}
	return c.ask("subscribe", topic)
}
