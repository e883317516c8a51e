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
	// referenceWait is how long the first connection waits for reference data,
	// which tells where the name of a symbol's base ends. Later data is as good
	// for the rest, and the symbol's form tells that of nearly all.
	referenceWait = 2 * time.Second
)

// Connector makes connections to Bybit. It is a [feeds.Connector].
type Connector struct {
	config    Config
	reference *feeds.Reference
}

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("bybit: %w", err)
	}
	c = c.withDefaults()
	if c.REST == nil {
		c.REST = NewREST(c)
	}
	return &Connector{c, &feeds.Reference{REST: c.REST, Weight: 1, Read: c.readInstruments}}, nil
}

// NewREST returns what spends the requests of a valid c.
func NewREST(c Config) *feeds.REST {
	c = c.withDefaults()
	return feeds.NewREST(feeds.RESTConfig{PerMinute: c.RequestsPerMinute, Burst: 5, NetDial: c.NetDial})
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect asks for the reference data of the category if it has none that is
// fresh, dials and subscribes. Where the reference data does not come soon, it goes
// on, and what comes later is handed on then. It does not wait for the answers to
// its subscriptions: data may come before them. A refused topic becomes a problem
// of a and leaves the others alone.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	conn := &connection{attempt: a, config: c.config, rest: c.reference.REST, asked: make(map[string][]string)}
	ctx, conn.cancel = context.WithCancel(ctx)
	tried := make(chan struct{})
	conn.running.Go(func() {
		c.reference.Run(ctx, a, []string{c.config.instrumentsURL("")}, func() { close(tried) })
	})
	select {
	case <-tried:
	case <-time.After(referenceWait):
	case <-ctx.Done(): // DialWS says so
	}
	if err := conn.dial(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// connection is one connection to Bybit.
type connection struct {
	ws      *feeds.WS // nil until dialed
	attempt *feeds.Attempt
	config  Config
	rest    *feeds.REST
	cancel  context.CancelFunc
	running sync.WaitGroup
	failed  error // the next Next returns it

	mu    sync.Mutex
	next  int
	asked map[string][]string // topics by the request that subscribes them, until it is answered
}

// dial opens the socket and subscribes.
func (c *connection) dial(ctx context.Context) (err error) {
	c.ws, err = feeds.DialWS(ctx, feeds.WSConfig{
		URL:        c.config.URL,
		ReadLimit:  readLimit,
		PingEvery:  pingEvery,
		IdlePing:   []byte(`{"req_id":"ping","op":"ping"}`),
		PingAlways: true,
		NetDial:    c.config.NetDial,
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(topics(c.config), perRequest) {
		if err := c.ask("subscribe", part); err != nil {
			return err
		}
	}
	return nil
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
func (c *connection) Close() {
	c.cancel()
	if c.ws != nil {
		c.ws.Close()
	}
	c.running.Wait()
	c.rest.CloseIdle()
}

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
