package gemini

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 32 << 20 // the first message of a busy book has some MB
	pingEvery = 10 * time.Second
	// imageWait is how long an image that was asked for may take.
	imageWait = 8 * time.Second
	// burst is how many requests may follow at once: Gemini queues five beyond
	// its rate.
	burst       = 5
	detailsPath = "/v1/symbols/details/"
)

// Connector makes connections to Gemini. It is a [feeds.Connector].
type Connector struct {
	config    Config
	reference *feeds.Reference
}

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("gemini: %w", err)
	}
	c = c.withDefaults()
	if c.REST == nil {
		c.REST = NewREST(c)
	}
	return &Connector{c, &feeds.Reference{REST: c.REST, Weight: 1}}, nil
}

// NewREST returns what spends the requests of a valid c.
func NewREST(c Config) *feeds.REST {
	c = c.withDefaults()
	return feeds.NewREST(feeds.RESTConfig{PerMinute: c.RequestsPerMinute, Burst: burst, NetDial: c.NetDial})
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials and subscribes. Gemini does not acknowledge: the books come. A
// refused symbol becomes a problem of a; as it is not documented whether the rest
// of a request with a bad part is heeded, each symbol is asked for alone.
//
// The symbols' increments and status follow by and by, a request each ("Symbol
// Details"): the books do not wait for them.
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
	conn := &connection{ws: ws, attempt: a, rest: c.reference.REST, awaited: make(map[string]time.Time)}
	ctx, conn.cancel = context.WithCancel(ctx)
	var details []string
	for _, s := range c.config.Symbols {
		if err := conn.ask("subscribe", s); err != nil {
			conn.Close()
			return nil, err
		}
		details = append(details, c.config.RESTURL+detailsPath+strings.ToLower(url.PathEscape(s)))
	}
	conn.running.Go(func() { c.reference.Run(ctx, a, details, nil) })
	return conn, nil
}

// connection is one connection to Gemini.
type connection struct {
	ws      *feeds.WS
	attempt *feeds.Attempt
	rest    *feeds.REST
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	awaited map[string]time.Time // symbols asked for again, and when
}

func (c *connection) ask(typ, symbol string) error {
	if err := c.ws.WriteJSON(request{typ, []subscription{{"l2", []string{symbol}}}}); err != nil {
		return fmt.Errorf("%s: %w", typ, err)
	}
	return nil
}

// Next implements [feeds.Connection].
func (c *connection) Next() ([]byte, bool, error) {
	for {
		payload, binary, err := c.ws.Next()
		if err != nil {
			return nil, false, err
		}
		if text, ok := refusal(payload); ok {
			c.attempt.Problem(text)
		}
		keep, err := c.await(payload, time.Now())
		if err != nil {
			return nil, false, err
		}
		if keep {
			return payload, binary, nil
		}
	}
}

// await holds back the changes of a book that was asked for again until its image
// has come. Gemini does not say when a subscription ends and when the next
// begins, and numbers nothing, so that nobody could tell that the changes in
// between are missing. Where the image does not come, the connection is given
// up.
func (c *connection) await(payload []byte, now time.Time) (keep bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.awaited) == 0 {
		return true, nil
	}
	for symbol, since := range c.awaited {
		if now.Sub(since) > imageWait {
			return false, &feeds.DisconnectError{Cause: feeds.CauseLost, Err: fmt.Errorf("no book of %s came %v after it was asked for", symbol, imageWait)}
		}
	}
	symbol, image := book(payload)
	if _, ok := c.awaited[symbol]; !ok {
		return true, nil
	}
	if image {
		delete(c.awaited, symbol)
	}
	return image, nil
}

// Close implements [feeds.Connection].
func (c *connection) Close() {
	c.cancel()
	c.ws.Close()
	c.running.Wait()
	c.rest.CloseIdle()
}

// Resync asks for the book of one symbol again: unsubscribe, subscribe, upon
// which its first message is the whole book.
func (c *connection) Resync(symbol string) error {
	c.mu.Lock()
	if _, ok := c.awaited[symbol]; !ok {
		c.awaited[symbol] = time.Now()
	}
	c.mu.Unlock()
	if err := c.ask("unsubscribe", symbol); err != nil {
		return err
	}
	return c.ask("subscribe", symbol)
}
