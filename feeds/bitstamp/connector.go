package bitstamp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 4 << 20
	pingEvery = 4 * time.Second
	// Subscriptions are sent in portions: Bitstamp takes one channel a message,
	// and how many it takes a second is not documented.
	portion    = 50
	pauseAfter = 100 * time.Millisecond
	// infoFresh is how long reference data is used before it is fetched again.
	infoFresh = time.Hour
	infoPath  = "/api/v2/trading-pairs-info/"
)

// Connector makes connections to Bitstamp. It is a [feeds.Connector].
type Connector struct {
	config Config
	rest   *feeds.REST

	mu     sync.Mutex
	info   []byte // the last answer to trading-pairs-info
	infoAt time.Time
}

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("bitstamp: %w", err)
	}
	c = c.withDefaults()
	if c.REST == nil {
		c.REST = NewREST(c)
	}
	return &Connector{config: c, rest: c.REST}, nil
}

// NewREST returns what spends the requests of a valid c.
func NewREST(c Config) *feeds.REST {
	c = c.withDefaults()
	return feeds.NewREST(feeds.RESTConfig{PerMinute: c.RequestsPerMinute, Burst: max(c.RequestsPerMinute/30, 1), NetDial: c.NetDial})
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect fetches the reference data if it has none that is fresh, dials and
// subscribes. A pair that Bitstamp does not have becomes a problem of a, because
// a subscription of it may be acknowledged and stay silent. A book's snapshot is
// asked for once its stream is acknowledged.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	pairs, err := c.reference(ctx, a)
	if err != nil {
		return nil, err
	}
	conn := &connection{connector: c, attempt: a}
	ctx, conn.cancel = context.WithCancel(ctx)
	conn.ws, err = feeds.DialWS(ctx, feeds.WSConfig{
		URL:       c.config.URL,
		ReadLimit: readLimit,
		PingEvery: pingEvery,
		IdlePing:  heartbeat,
		NetDial:   c.config.NetDial,
	})
	if err != nil {
		conn.cancel()
		return nil, err
	}
	conn.snapshots = &feeds.Snapshots{REST: c.rest, Attempt: a, URL: c.bookURL, Weight: 1, Recheck: c.config.Recheck}
	if err := conn.subscribe(ctx, pairs); err != nil {
		conn.Close()
		return nil, err
	}
	conn.running.Go(func() { conn.snapshots.Run(ctx) })
	return conn, nil
}

func (c *Connector) bookURL(pair string) string {
	u := c.config.RESTURL + "/api/v2/order_book/" + pair + "/"
	if c.config.begins() == LiveOrders {
		u += "?group=2" // order by order
	}
	return u
}

// reference hands on the reference data and returns the pairs that are in it.
func (c *Connector) reference(ctx context.Context, a *feeds.Attempt) ([]string, error) {
	body, err := c.pairsInfo(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.Reply(c.config.RESTURL+infoPath, body); err != nil {
		return nil, fmt.Errorf("hand on the reference data: %w", err)
	}
	var info []struct {
		Symbol string `json:"url_symbol"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, &feeds.DisconnectError{Cause: feeds.CauseProtocol, Err: fmt.Errorf("read trading-pairs-info: %w", err)}
	}
	known := make(map[string]bool, len(info))
	for _, p := range info {
		known[p.Symbol] = true
	}
	var pairs []string
	for _, p := range c.config.Pairs {
		if known[p] {
			pairs = append(pairs, p)
		} else {
			a.Problem(fmt.Sprintf("no pair %s", p))
		}
	}
	if len(pairs) == 0 {
		return nil, &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: errors.New("none of the pairs exists")}
	}
	return pairs, nil
}

// pairsInfo returns reference data. What was fetched a short while ago serves
// again: a hundred reconnects are not a hundred requests.
func (c *Connector) pairsInfo(ctx context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.info != nil && time.Since(c.infoAt) < infoFresh {
		return c.info, nil
	}
	body, err := c.rest.Get(ctx, c.config.RESTURL+infoPath, 1)
	switch {
	case err == nil:
		c.info, c.infoAt = body, time.Now()
		return body, nil
	case c.info != nil: // better than none
		return c.info, nil
	}
	d := &feeds.DisconnectError{Cause: feeds.CauseLost, Err: fmt.Errorf("fetch trading-pairs-info: %w", err)}
	if status, ok := errors.AsType[*feeds.StatusError](err); ok {
		d.RetryAfter = status.RetryAfter
		if status.Code == http.StatusForbidden || status.Code == http.StatusUnavailableForLegalReasons {
			d.Cause = feeds.CauseRefused
		}
	}
	return nil, d
}

// connection is one connection to Bitstamp.
type connection struct {
	connector *Connector
	attempt   *feeds.Attempt
	ws        *feeds.WS
	snapshots *feeds.Snapshots
	cancel    context.CancelFunc
	running   sync.WaitGroup
	leaving   error // the next Next returns it
}

func (c *connection) subscribe(ctx context.Context, pairs []string) error {
	n := 0
	for _, ch := range c.connector.config.Channels {
		for _, p := range pairs {
			if n++; n%portion == 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(pauseAfter):
				}
			}
			if err := c.ws.WriteJSON(subscription(ch + "_" + p)); err != nil {
				return fmt.Errorf("subscribe: %w", err)
			}
		}
	}
	return nil
}

// Next implements [feeds.Connection].
func (c *connection) Next() ([]byte, bool, error) {
	if c.leaving != nil {
		return nil, false, c.leaving
	}
	payload, binary, err := c.ws.Next()
	if err == nil {
		c.inspect(payload)
	}
	return payload, binary, err
}

// inspect looks for answers to our requests, and for the server's farewell.
func (c *connection) inspect(payload []byte) {
	a, ok := readAnswer(payload)
	if !ok {
		return
	}
	switch a.Event {
	case subscribed:
		begins := c.connector.config.begins()
		if pair, ok := strings.CutPrefix(a.Channel, begins+"_"); ok && begins != "" {
			_ = c.snapshots.Ask(pair) // fails when the connection has ended
		}
	case refused:
		c.attempt.Problem(a.problem())
	case requestReconnect:
		c.leaving = &feeds.DisconnectError{Cause: feeds.CauseLost, Err: errors.New("the server asks us to reconnect")}
	}
}

// Resync asks for the book of one pair again: a snapshot over REST, which neither
// the stream nor other books notice.
func (c *connection) Resync(pair string) error {
	if c.connector.config.begins() != "" {
		return c.snapshots.Ask(pair)
	}
	return errors.New("no books are subscribed that need snapshots")
}

// Close implements [feeds.Connection].
func (c *connection) Close() {
	c.cancel()
	c.ws.Close()
	c.running.Wait()
	c.connector.rest.CloseIdle()
}
