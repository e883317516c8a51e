package polygon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	polygonws "github.com/polygon-io/client-go/websocket"

	"github.com/quotewire/quotewire/feeds"
)

const (
	// closeWait is how long we wait for the library's Close.
	closeWait = 2 * time.Second
	// tailQuiet: when the library's reader has ended, frames that it read may
	// still pass through its queues. They are over when none came for this
	// long while we waited.
	tailQuiet = 100 * time.Millisecond
	// maxUnanswered is how many subscriptions without an answer are named.
	maxUnanswered = 10
)

// Connector makes connections to Polygon. It is a [feeds.Connector].
type Connector struct {
	config Config
	groups []subscription
	logger *slog.Logger
}

// New returns a Connector, or all that is wrong with c. The library's own log
// goes to logger at debug level, without the key; nil discards it.
func New(c Config, logger *slog.Logger) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("polygon: %w", err)
	}
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if c.AnswerWait == 0 {
		c.AnswerWait = 10 * time.Second
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	groups, err := group(c.Market, c.Subscriptions)
	if err != nil {
		return nil, fmt.Errorf("polygon: %w", err)
	}
	return &Connector{c, groups, logger}, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Idle says that the provider has no heartbeat.
func (c *Connector) Idle() bool { return true }

// Connect dials, signs in, waits for auth_success and subscribes. Each attempt
// has a new client of the library, because one that was closed cannot be used
// again. Acknowledgements are not waited for: some subscriptions never get one.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	conn := &connection{
		connector: c,
		url:       strings.TrimSuffix(c.config.URL, "/") + "/" + c.config.Market,
		ctx:       ctx,
		attempt:   a,
		line:      newLifeline(c.logger, c.config.APIKey),
		resumed:   make(chan struct{}, 1),
	}
	var noRetries uint64
	client, err := polygonws.New(polygonws.Config{
		APIKey:               c.config.APIKey,
		Feed:                 polygonws.Feed(c.config.URL),
		Market:               polygonws.Market(c.config.Market),
		MaxRetries:           &noRetries,
		RawData:              true,
		BypassRawDataRouting: true,
		Log:                  conn.line,
		ReconnectCallback: func(error) {
			select {
			case conn.resumed <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make client: %s", conn.line.text(err.Error()))
	}
	conn.client = client
	if err := conn.dial(); err != nil {
		return nil, err
	}
	groups, err := c.wanted(a)
	if err == nil {
		err = conn.signIn(groups, c.config.AnswerWait)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// connection is one connection to Polygon. Next and Close belong to one
// goroutine.
type connection struct {
	connector *Connector
	url       string
	ctx       context.Context
	attempt   *feeds.Attempt
	client    *polygonws.Client
	line      *lifeline
	resumed   chan struct{} // the library reconnected although it should not
	greeted   bool          // the server has said "connected"
	signedIn  bool
	failed    error // the next Next returns it

	unanswered map[string]bool  // subscriptions without an answer
	overdue    <-chan time.Time // when they are told; nil if there are none
}

// URL returns where the connection goes, without the key: the market at its end
// tells what bare symbols are.
func (c *connection) URL() string { return c.url }

// dial lets the library connect. The library cannot be told to stop dialing:
// if ctx ends first, a goroutine waits for it, 45 s at most, and closes what
// came of it.
func (c *connection) dial() error {
	result := make(chan error, 1)
	go func() { result <- c.client.Connect() }()
	select {
	case <-c.ctx.Done():
		go func() {
			if <-result == nil {
				c.line.end(c.client)
			}
		}()
		return lost("dial: %w", c.ctx.Err())
	case err := <-result:
		if err != nil {
			// The library makes text of the cause; keep the key out of it.
			return lost("%s", c.line.text(err.Error()))
		}
		return nil
	}
}

// signIn reads until the key is accepted, then subscribes.
func (c *connection) signIn(groups []subscription, wait time.Duration) error {
	for !c.signedIn {
		payload, _, err := c.Next()
		if err != nil {
			return err
		}
		c.attempt.Received(payload, false)
	}
	c.unanswered = make(map[string]bool)
	for _, g := range groups {
		for _, t := range g.tickers {
			c.unanswered[answerKey(g.channel+"."+t)] = true
		}
		if err := c.client.Subscribe(g.topic, g.tickers...); err != nil {
			return lost("subscribe: %w", err)
		}
	}
	c.overdue = time.After(wait)
	return nil
}

// answerKey makes the subscription of a pair of currencies equal in its two
// spellings.
func answerKey(subscription string) string { return strings.ReplaceAll(subscription, "/", "-") }

// answered takes note of an answer.
func (c *connection) answered(message string) {
	subscription, ok := strings.CutPrefix(message, "subscribed to: ")
	if !ok || c.overdue == nil {
		return
	}
	delete(c.unanswered, answerKey(strings.TrimSpace(subscription)))
	if len(c.unanswered) == 0 {
		c.overdue = nil
	}
}

// tellUnanswered tells, once, what was subscribed in vain.
func (c *connection) tellUnanswered() {
	c.overdue = nil
	names := slices.Sorted(maps.Keys(c.unanswered))
	text := "no answer to the subscription of " + strings.Join(names[:min(len(names), maxUnanswered)], ", ")
	if n := len(names) - maxUnanswered; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	c.attempt.Problem(text)
}

// Next implements [feeds.Connection]. The library does not tell text from
// binary; the protocol has text only.
func (c *connection) Next() ([]byte, bool, error) {
	if c.failed != nil {
		return nil, false, c.failed
	}
	select { // before all else, because in a flood there is always a frame
	case <-c.ctx.Done():
		c.failed = lost("read: %w", c.ctx.Err())
		return nil, false, c.failed
	default:
	}
	if c.overdue != nil {
		select {
		case <-c.overdue:
			c.tellUnanswered()
		default:
		}
	}
	select { // the way of nearly all frames, cheaper than the one below
	case m, ok := <-c.client.Output():
		return c.take(m, ok)
	default:
	}
	select {
	case m, ok := <-c.client.Output():
		return c.take(m, ok)
	case <-c.ctx.Done():
		c.failed = lost("read: %w", c.ctx.Err())
	case <-c.overdue:
		c.tellUnanswered()
		return c.Next()
	case <-c.line.reader:
		return c.tail()
	case <-c.line.writer:
		return c.tail()
	case err := <-c.client.Error():
		c.failed = lost("%s", c.line.text(err.Error()))
	case <-c.resumed:
		c.failed = lost("the library reconnected by itself")
	}
	return nil, false, c.failed
}

// take looks at a frame and hands it on. What it says of the connection holds
// for the next call.
func (c *connection) take(m any, ok bool) ([]byte, bool, error) {
	if !ok {
		c.failed = lost("the library closed its output")
		return nil, false, c.failed
	}
	payload, isRaw := m.(json.RawMessage)
	if !isRaw {
		c.failed = &feeds.DisconnectError{Cause: feeds.CauseProtocol, Err: fmt.Errorf("the library gave a %T", m)}
		return nil, false, c.failed
	}
	for _, s := range statuses(payload) {
		c.heed(s)
	}
	return payload, false, nil
}

// heed acts on what the server says of the connection
// (https://massive.com/docs/websocket/quickstart).
func (c *connection) heed(s status) {
	message := c.line.text(s.Message)
	switch {
	case c.failed != nil:
	case s.isSignedIn():
		c.signedIn = true
	case s.Status == "connected":
		if c.greeted {
			c.failed = lost("the library reconnected by itself")
		}
		c.greeted = true
	case s.Status == "auth_failed":
		c.failed = &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: errors.New(message)}
	case s.Status == "auth_timeout":
		// Also seen in outages, though the key was sent in time: not a
		// reason to doubt the key.
		c.failed = lost("%s", message)
	case s.Status == "max_connections":
		// Said to the older of two connections: the newest login wins.
		c.failed = &feeds.DisconnectError{Cause: feeds.CauseEvicted, Err: errors.New(message)}
	case s.Status == "success":
		c.answered(s.Message)
	case s.Status == "error":
		// Does not say which subscription it means; the others are served.
		c.attempt.Problem(message)
	}
}

// tail hands on what the library had read before the connection was lost, then
// closes the client and tells why.
func (c *connection) tail() ([]byte, bool, error) {
	quiet := time.NewTimer(tailQuiet)
	defer quiet.Stop()
	select {
	case m, ok := <-c.client.Output():
		return c.take(m, ok)
	case <-c.ctx.Done():
		c.failed = lost("read: %w", c.ctx.Err())
		return nil, false, c.failed
	case <-quiet.C:
	}
	c.Close()
	err := c.line.why()
	c.failed = lost("%w", err)
	if errors.Is(err, websocket.ErrReadLimit) {
		c.failed = &feeds.DisconnectError{Cause: feeds.CauseOversized, Err: errors.New("frame above the library's limit of 1,000,000 bytes")}
	}
	return nil, false, c.failed
}

// Backlog returns how many frames wait in the library's last queue.
func (c *connection) Backlog() int { return len(c.client.Output()) }

// Close implements [feeds.Connection].
func (c *connection) Close() {
	c.line.end(c.client)
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	select {
	case <-c.line.gone:
	case <-wait.C:
	}
}

func lost(format string, args ...any) error {
	return &feeds.DisconnectError{Cause: feeds.CauseLost, Err: fmt.Errorf(format, args...)}
}
