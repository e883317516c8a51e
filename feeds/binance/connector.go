package binance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/feeds"
)

const (
	readLimit = 4 << 20
	pingEvery = 4 * time.Second
	// infoFresh is how long reference data is used before it is fetched again.
	infoFresh = time.Hour
	// perInfo is how many symbols a request for reference data names; for more,
	// all is fetched.
	perInfo = 100
)

// Connector makes connections to Binance. It is a [feeds.Connector].
type Connector struct {
	config Config
	rest   *feeds.REST

	mu      sync.Mutex
	info    []byte // the last answer to exchangeInfo, and what was asked
	infoURL string
	infoAt  time.Time
}

// New returns a Connector, or all that is wrong with c.
func New(c Config) (*Connector, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("binance: %w", err)
	}
	c = c.withDefaults()
	if c.REST == nil {
		c.REST = NewREST(c)
	}
	return &Connector{config: c, rest: c.REST}, nil
}

// NewREST returns what spends the request weight of a valid c.
func NewREST(c Config) *feeds.REST {
	c = c.withDefaults()
	return feeds.NewREST(feeds.RESTConfig{
		PerMinute: c.WeightPerMinute,
		// A tenth of a minute's, or one request where that costs more.
		Burst:   max(c.WeightPerMinute/10, c.Market.weight(c.Depth), c.Market.infoWeight()),
		MaxBody: 64 << 20, // the whole of the spot market's reference data has some 20 MB
		NetDial: c.NetDial,
	})
}

// Lifetime returns the constant of that name.
func (c *Connector) Lifetime() time.Duration { return Lifetime }

// Mute returns the constant of that name.
func (c *Connector) Mute() time.Duration { return Mute }

// Connect fetches the reference data if it has none that is fresh, dials and
// subscribes. A symbol that Binance does not have becomes a problem of a, because
// a subscription of it would be acknowledged and stay silent. A book's snapshot
// is asked for once its stream is acknowledged.
func (c *Connector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	symbols, err := c.reference(ctx, a)
	if err != nil {
		return nil, err
	}
	conn := &connection{connector: c, attempt: a, asked: make(map[int][]string),
		pace: rate.NewLimiter(rate.Every(c.config.Market.spec().subscribeEvery), 1)}
	conn.ctx, conn.cancel = context.WithCancel(ctx)
	conn.snapshots = &feeds.Snapshots{REST: c.rest, Attempt: a, URL: c.depthURL, Weight: c.config.Market.weight(c.config.Depth)}
	for _, p := range plans(c.config, symbols) {
		if err := conn.dial(p); err != nil {
			conn.Close()
			return nil, err
		}
	}
	conn.start()
	return conn, nil
}

// depthURL is the request for a symbol's book.
func (c *Connector) depthURL(symbol string) string {
	return fmt.Sprintf("%s%s?symbol=%s&limit=%d", c.config.RESTURL, c.config.Market.spec().depth, url.QueryEscape(symbol), c.config.Depth)
}

// reference hands on the reference data and returns the symbols that are in it.
func (c *Connector) reference(ctx context.Context, a *feeds.Attempt) ([]string, error) {
	body, from, err := c.exchangeInfo(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.Reply(from, body); err != nil {
		return nil, fmt.Errorf("hand on the reference data: %w", err)
	}
	var info struct {
		Symbols []struct {
			Symbol string `json:"symbol"`
		} `json:"symbols"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, &feeds.DisconnectError{Cause: feeds.CauseProtocol, Err: fmt.Errorf("read exchangeInfo: %w", err)}
	}
	known := make(map[string]bool, len(info.Symbols))
	for _, s := range info.Symbols {
		known[s.Symbol] = true
	}
	var symbols []string
	for _, s := range a.Symbols(c.config.Symbols) {
		if known[s] {
			symbols = append(symbols, s)
		} else {
			a.Problem(fmt.Sprintf("no symbol %s", s))
		}
	}
	if len(symbols) == 0 {
		return nil, &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: errors.New("none of the symbols exists")}
	}
	return symbols, nil
}

// exchangeInfo returns reference data and what was asked for it. What was fetched
// a short while ago serves again: a hundred reconnects are not a hundred requests.
func (c *Connector) exchangeInfo(ctx context.Context) (body []byte, from string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.info != nil && time.Since(c.infoAt) < infoFresh {
		return c.info, c.infoURL, nil
	}
	all := c.config.RESTURL + c.config.Market.spec().info
	from = all
	if c.config.Market == Spot && len(c.config.Symbols) <= perInfo {
		list, _ := json.Marshal(c.config.Symbols)
		from += "?symbols=" + url.QueryEscape(string(list))
	}
	body, err = c.rest.Get(ctx, from, c.config.Market.infoWeight())
	if status, ok := errors.AsType[*feeds.StatusError](err); ok && status.Code == http.StatusBadRequest && from != all {
		// One unknown symbol makes all of the request invalid.
		from = all
		body, err = c.rest.Get(ctx, from, c.config.Market.infoWeight())
	}
	switch {
	case err == nil:
		c.info, c.infoURL, c.infoAt = body, from, time.Now()
	case c.info != nil: // better than none
		return c.info, c.infoURL, nil
	default:
		return nil, "", restError(fmt.Errorf("fetch exchangeInfo: %w", err))
	}
	return body, from, nil
}

// restError says what a failed request means for the connection.
func restError(err error) error {
	d := &feeds.DisconnectError{Cause: feeds.CauseLost, Err: err}
	if status, ok := errors.AsType[*feeds.StatusError](err); ok {
		d.RetryAfter = status.RetryAfter
		switch status.Code {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusUnavailableForLegalReasons:
			d.Cause = feeds.CauseRefused
		}
	}
	return d
}

// symbolOf returns the symbol of a stream's name.
func symbolOf(stream string) string {
	name, _, _ := strings.Cut(stream, "@")
	return strings.ToUpper(name)
}
