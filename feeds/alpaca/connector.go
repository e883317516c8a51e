package alpaca

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

const (
	// readLimit: images of order books and bursts at the open are the largest.
	readLimit = 16 << 20
	// pingEvery: Alpaca has no heartbeat, so that the answers to pings are all
	// that tells a quiet market from a peer that has vanished.
	pingEvery = 5 * time.Second
	// maxUnanswered is how many subscriptions that are not held are named.
	maxUnanswered = 10
)

// Connector makes connections to Alpaca. It is a [feeds.Connector].
type Connector struct{ config Config }

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("alpaca: %w", err)
	}
	return &Connector{c.withDefaults()}, nil
}

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Idle says that the provider has no heartbeat.
func (c *Connector) Idle() bool { return true }

// Connect dials, waits to be greeted, signs in and subscribes.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	url := strings.TrimSuffix(c.config.URL, "/") + paths[c.config.Feed]
	header := http.Header{}
	if c.config.MessagePack {
		header.Set("Content-Type", "application/msgpack")
	}
	ws, err := feeds.DialWS(ctx, feeds.WSConfig{URL: url, Header: header, ReadLimit: readLimit, PingEvery: pingEvery, NetDial: c.config.NetDial})
	if err != nil {
		return nil, err
	}
	conn := &connection{ws: ws, url: url, config: c.config, attempt: a}
	if err := conn.signIn(); err != nil {
		ws.Close()
		return nil, err
	}
	return conn, nil
}

// connection is one connection to Alpaca.
type connection struct {
	ws      *feeds.WS
	url     string
	config  Config
	attempt *feeds.Attempt
	state   string // the last success that the server told
	failed  error  // the next Next returns it

	resyncing atomic.Bool // an order book is being asked for again
}

// URL returns where the connection goes: the feed at its end tells what a quote is.
func (c *connection) URL() string { return c.url }

// signIn waits for the greeting, signs in, and subscribes.
func (c *connection) signIn() error {
	if err := c.await("connected"); err != nil {
		return err
	}
	if err := c.send([][2]string{{"action", "auth"}, {"key", c.config.Key}, {"secret", c.config.Secret}}, nil); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if err := c.await("authenticated"); err != nil {
		return err
	}
	return c.request("subscribe", c.config.Channels, c.config.Symbols)
}

// await reads until the server tells of this success.
func (c *connection) await(success string) error {
	for c.state != success {
		payload, binary, err := c.Next()
		if err != nil {
			return err
		}
		c.attempt.Received(payload, binary)
		if c.failed != nil {
			return c.failed
		}
	}
	return nil
}

func (c *connection) request(action string, channels, symbols []string) error {
	lists := make(map[string][]string, len(channels))
	for _, ch := range channels {
		lists[ch] = symbols
	}
	if err := c.send([][2]string{{"action", action}}, lists); err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}

func (c *connection) send(texts [][2]string, lists map[string][]string) error {
	if c.config.MessagePack {
		return c.ws.WriteBinary(packRequest(texts, lists))
	}
	m := make(map[string]any, len(texts)+len(lists))
	for _, t := range texts {
		m[t[0]] = t[1]
	}
	for name, list := range lists {
		m[name] = list
	}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return c.ws.Write(b)
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
	if m, ok := readControl(payload, binary); ok {
		c.heed(m)
	}
	return payload, binary, nil
}

// heed acts on what the server says of the connection. What it says holds for the
// next call.
func (c *connection) heed(m control) {
	switch m.Type {
	case "success":
		c.state = m.Message
	case "subscription":
		c.subscribed(m.Lists)
	case "error":
		if cause := m.disconnects(); cause != "" {
			c.failed = &feeds.DisconnectError{Cause: cause, Err: errors.New(m.text())}
			return
		}
		c.attempt.Problem(m.text())
	}
}

// subscribed holds the listing of all that is subscribed against what we want.
func (c *connection) subscribed(held map[string][]string) {
	var missing []string
	for _, ch := range c.config.Channels {
		for _, s := range c.config.Symbols {
			if !slices.Contains(held[ch], s) && !slices.Contains(held[ch], "*") {
				missing = append(missing, ch+" "+s)
			}
		}
	}
	if len(missing) == 0 {
		c.resyncing.Store(false)
		return
	}
	// A resync takes order books out for a moment.
	if c.resyncing.Load() && !slices.ContainsFunc(missing, func(s string) bool { return !strings.HasPrefix(s, "orderbooks ") }) {
		return
	}
	text := "not subscribed: " + strings.Join(missing[:min(len(missing), maxUnanswered)], ", ")
	if n := len(missing) - maxUnanswered; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	c.attempt.Problem(text)
}

// Close implements [feeds.Connection].
func (c *connection) Close() { c.ws.Close() }

// Resync asks for the order book of one pair again: unsubscribe, subscribe. The
// first message of a subscription is a whole image. A wildcard can only be taken
// back whole, and then all books come again.
func (c *connection) Resync(pair string) error {
	if !slices.Contains(c.config.Channels, "orderbooks") {
		return errors.New("no books are subscribed")
	}
	symbols := []string{pair}
	if slices.Contains(c.config.Symbols, "*") {
		symbols = []string{"*"}
	}
	c.resyncing.Store(true)
	if err := c.request("unsubscribe", []string{"orderbooks"}, symbols); err != nil {
		return err
	}
	return c.request("subscribe", []string{"orderbooks"}, symbols)
}
