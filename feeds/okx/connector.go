package okx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 16 << 20 // the list of all instruments of a kind has about 1 MB
	// pingEvery: OKX cuts a connection on which nothing came for 30 s. A ping is
	// sent after between one and two of these without news, so that silence is
	// soon found.
	pingEvery = 4 * time.Second
	// perRequest is how many subscriptions one request names. All its texts may
	// have 64 KB.
	perRequest = 100
	// perHour is how many requests we make for resyncs, of the 480 that OKX takes
	// an hour from a connection; the first are for a burst.
	perHour = 400
	burst   = 60
)

// Connector makes connections to OKX. It is a [feeds.Connector].
type Connector struct{ config Config }

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("okx: %w", err)
	}
	return &Connector{c.withDefaults()}, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect dials and subscribes. It does not wait for the acknowledgements: one
// comes for each subscription, with its data. A refused instrument becomes a
// problem of a and leaves the others alone.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{
		URL:       c.config.URL,
		ReadLimit: readLimit,
		PingEvery: pingEvery,
		IdlePing:  []byte("ping"), // as text, not as JSON
		NetDial:   c.config.NetDial,
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, attempt: a, url: c.config.URL, budget: rate.NewLimiter(rate.Every(time.Hour/perHour), burst)}
	for _, ch := range books {
		if slices.Contains(c.config.Channels, ch) {
			conn.book = ch
		}
	}
	conn.pending = subscriptions(c.config)
	if err := conn.ask("subscribe", conn.pending); err != nil {
		ws.Close()
		return nil, err
	}
	return conn, nil
}

// connection is one connection to OKX.
type connection struct {
	ws      *feeds.WS
	attempt *feeds.Attempt
	url     string
	book    string      // the channel whose books can be asked for again; empty for none
	failed  error       // the next Next returns it
	spent   atomic.Bool // a book was to be asked for again beyond the budget

	mu      sync.Mutex
	pending []arg // subscribed and not yet acknowledged
	budget  *rate.Limiter
}

// URL returns the address.
func (c *connection) URL() string { return c.url }

func (c *connection) ask(op string, args []arg) error {
	for part := range slices.Chunk(args, perRequest) {
		if err := c.ws.WriteJSON(request{op, part}); err != nil {
			return fmt.Errorf("%s: %w", op, err)
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
	if c.spent.Load() && c.failed == nil {
		c.failed = &feeds.DisconnectError{Cause: feeds.CauseLost, Err: errors.New("no requests are left on the connection to ask for books again")}
	}
	return payload, binary, nil
}

// event acts on an answer. Its error ends the connection.
func (c *connection) event(e event) error {
	switch e.Event {
	case "subscribe":
		c.mu.Lock()
		c.pending = slices.DeleteFunc(c.pending, func(a arg) bool { return a == e.Arg })
		c.mu.Unlock()
	case "error":
		return c.refused(e)
	case "notice":
		c.attempt.Problem(e.text())
		if e.Code == "64008" {
			return &feeds.DisconnectError{Cause: feeds.CauseLost, Err: errors.New(e.text())}
		}
	}
	return nil
}

// refused acts on a refusal. One bad instrument is left out; whatever else has
// not been acknowledged is asked for again, because it is not documented whether
// the rest of a request with a bad part is heeded.
func (c *connection) refused(e event) error {
	c.attempt.Problem(e.text())
	c.mu.Lock()
	before := len(c.pending)
	c.pending = slices.DeleteFunc(c.pending, func(a arg) bool {
		return e.Arg == a || a.InstID != "" && names(e.Msg, a.InstID) && (!strings.Contains(e.Msg, "channel:") || names(e.Msg, a.Channel))
	})
	left := slices.Clone(c.pending)
	known := len(left) < before
	c.mu.Unlock()
	if !known || len(left) == 0 {
		return nil
	}
	return c.ask("subscribe", left)
}

// Close implements [feeds.Connection].
func (c *connection) Close() { c.ws.Close() }

// Resync asks for the book of one instrument again: unsubscribe, subscribe. There
// is no other way to a snapshot whose seqId begins a chain ("Order book
// channel"). Where OKX's limit of requests an hour would be exceeded, the
// connection ends: the limit is each connection's own, and a new one brings all
// books at once, where waiting would leave some untrusted for minutes.
func (c *connection) Resync(instrument string) error {
	if c.book == "" || c.book == Books5 || c.book == Top {
		return errors.New("no books are subscribed that need it")
	}
	if !c.budget.AllowN(time.Now(), 2) {
		c.spent.Store(true)
		return fmt.Errorf("more than %d requests an hour", perHour)
	}
	args := []arg{{Channel: c.book, InstID: instrument}}
	if err := c.ask("unsubscribe", args); err != nil {
		return err
	}
	c.mu.Lock()
	c.pending = append(c.pending, args[0])
	c.mu.Unlock()
	return c.ask("subscribe", args)
}
