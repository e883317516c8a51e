package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Options configure a [Client]. Zero fields mean the defaults named.
type Options struct {
	// Token signs in after the welcome; "" does not sign in.
	Token string
	// TokenSource, if not nil, gives tokens in place of Token, fresh ones before they
	// expire.
	TokenSource TokenSource
	// Format is how messages are encoded: JSON, the zero value, or Protocol Buffers,
	// which are smaller. The updates are the same.
	Format wire.Format
	// Header is sent with the handshake.
	Header http.Header
	// Dialer makes the connection; nil is a plain one that heeds the proxy of the
	// environment. It is copied.
	Dialer *websocket.Dialer
	// Logger hears of lost connections, refusals and repairs; nil none.
	Logger *slog.Logger
	// MinBackoff and MaxBackoff bound the wait before reconnecting, which doubles
	// and is jittered; 0 is 250 ms and 15 s.
	MinBackoff, MaxBackoff time.Duration
	// HandshakeTimeout bounds connecting, the welcome and signing in; 0 is 10 s.
	HandshakeTimeout time.Duration
	// MissedHeartbeats is after how many of the server's heartbeat intervals
	// without any message the connection is given up; 0 is 3.
	MissedHeartbeats int
	// ReadLimit bounds one frame in bytes; 0 is 64 MiB, which a snapshot of all
	// levels of many books fits.
	ReadLimit int64
	// OnUpdate, if not nil, is called with each update, events too, that Next is
	// about to return, by the goroutine that called it: for metrics. It must not keep
	// the goroutine long.
	OnUpdate func(u Update, l Latency)
}

func (o Options) withDefaults() (Options, error) {
	if o.MinBackoff < 0 || o.MaxBackoff < 0 || o.HandshakeTimeout < 0 || o.MissedHeartbeats < 0 || o.ReadLimit < 0 {
		return o, errors.New("options: durations, counts and limits must not be negative")
	}
	if o.Format != wire.FormatJSON && o.Format != wire.FormatProto {
		return o, fmt.Errorf("options: no format %d", o.Format)
	}
	if o.Token != "" && o.TokenSource != nil {
		return o, errors.New("options: either a token or a source of tokens")
	}
	if len(o.Token) > wire.MaxToken {
		return o, fmt.Errorf("options: token of %d bytes, want at most %d", len(o.Token), wire.MaxToken)
	}
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.MinBackoff, 250*time.Millisecond)
	set(&o.MaxBackoff, 15*time.Second)
	set(&o.HandshakeTimeout, 10*time.Second)
	o.MaxBackoff = max(o.MaxBackoff, o.MinBackoff)
	if o.MissedHeartbeats == 0 {
		o.MissedHeartbeats = 3
	}
	if o.ReadLimit == 0 {
		o.ReadLimit = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment}
	if o.Dialer != nil {
		dialer = *o.Dialer
	}
	dialer.Subprotocols = []string{o.Format.String()}
	o.Dialer = &dialer
	return o, nil
}

// Client is a connection to a streamer that is kept up. Its methods may be called
// from any goroutine. One goroutine of its own reads, from Dial to Close.
type Client struct {
	opts      Options
	transport Transport
	ctx       context.Context // ends with Close or a failure for good
	cancel    context.CancelFunc
	done      chan struct{} // closed when the goroutine has ended
	n         counters

	renewAt atomic.Int64  // ns since the Unix epoch; 0 never
	renewed chan struct{} // size 1: renewAt has changed

	// The mutex guards the fields below; it is never held while writing or
	// waiting. A stream's mutex may be taken under it, not the other way round.
	mu      sync.Mutex
	err     error // why the client ended
	session string
	welcome wire.Welcome
	link    *link // nil while disconnected
	lastID  uint64
	kbps    int // budget that the server agreed to; 0 none
	calls   map[uint64]*call
	streams map[*Stream]struct{}
	sids    map[uint64][]route

	// What follows belongs to the reading goroutine.
	broken     map[*symbolState]*Stream // states that wait for a snapshot
	fetches    map[uint64]*fetching     // by sid: whose answer is coming
	retryAfter time.Duration            // the server's hint, of this connection
}

// route is where the messages of a sid go.
type route struct {
	s *Stream
	y *symbolState
}

// call is a request whose answers are awaited. One about a stream stays for the
// connection's life: further acks repeat its id, for symbols that appear later or
// because the server grants symbol by symbol.
type call struct {
	op      wire.Op
	stream  *Stream    // of a subscribe or update, else nil
	answer  chan error // size 1; nil for a subscribe
	fetched *fetching  // of a fetch, else nil
	// agreed, if not nil, notes for reconnects what the server has agreed to. It is
	// called once, by the reading goroutine with c.mu held: no reconnect comes between.
	agreed func()
}

// Dial connects to a streamer, at a URL such as ws://127.0.0.1:8080/v1/stream (the
// path may be left out, http and https will do), reads its welcome and signs in.
// ctx bounds that only; the Client lives until Close. A refusal by the server is,
// or wraps, a *wire.Error; an HTTP status other than 101 is a *StatusError.
func Dial(ctx context.Context, url string, opts Options) (*Client, error) {
	address, err := streamURL(url)
	if err != nil {
		return nil, err
	}
	opts, err = opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return open(ctx, overWebSocket(address, opts), opts)
}

// Attach is [Dial] over another transport than a WebSocket, most often to a
// streamer.Hub in the same process. Header, Dialer and ReadLimit are not used.
func Attach(ctx context.Context, transport Transport, opts Options) (*Client, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return open(ctx, transport, opts)
}

func open(ctx context.Context, transport Transport, opts Options) (*Client, error) {
	c := &Client{transport: transport, opts: opts, renewed: make(chan struct{}, 1), done: make(chan struct{}), calls: make(map[uint64]*call),
		streams: make(map[*Stream]struct{}), sids: make(map[uint64][]route), broken: make(map[*symbolState]*Stream), fetches: make(map[uint64]*fetching)}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l, err := c.connect(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	go c.run(l)
	return c, nil
}

func streamURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("read url: %w", err)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("read url %q: want ws://host:port/v1/stream, or wss, http or https", text)
	}
	if u.Host == "" {
		return "", fmt.Errorf("read url %q: no host", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/stream"
	}
	return u.String(), nil
}

// Welcome returns what the server said of itself on this connection, or the last
// one.
func (c *Client) Welcome() wire.Welcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.welcome
}

// Subscribe asks for a stream and waits for the server to grant it. A refusal is a
// *wire.Error. While the connection is down it waits for the next one, until ctx
// ends.
func (c *Client) Subscribe(ctx context.Context, sub Subscription) (*Stream, error) {
	if err := sub.Validate(); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s := newStream(c, sub)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.streams[s] = struct{}{}
	l := c.link
	var r wire.Request
	if l != nil {
		r = c.subscribeRequest(s)
	}
	c.mu.Unlock()
	if l != nil {
		l.send(&r)
	}
	select {
	case <-s.answered:
	case <-s.done:
	case <-ctx.Done():
		c.release(s)
		return nil, fmt.Errorf("subscribe: %w", context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe: %w", s.err)
	}
	return s, nil
}

// subscribeRequest gives the stream a request of its own. c.mu is held.
func (c *Client) subscribeRequest(s *Stream) wire.Request {
	r := s.sub.request(wire.OpSubscribe)
	if r.Resume = s.resume(); r.Resume != nil {
		r.Given |= wire.FieldResume
	}
	if s.paused {
		r.Paused, r.Given = true, r.Given|wire.FieldPaused
	}
	s.id = c.expect(&r, &call{op: wire.OpSubscribe, stream: s})
	return r
}

// expect numbers a request and registers who waits for its answer. c.mu is held.
func (c *Client) expect(r *wire.Request, w *call) uint64 {
	id := c.number(r)
	c.calls[id] = w
	return id
}

// number gives a request an id of its own. c.mu is held.
func (c *Client) number(r *wire.Request) uint64 {
	c.lastID++
	r.ID = json.Number(strconv.FormatUint(c.lastID, 10))
	return c.lastID
}

// ask sends a request and waits for its ack. agreed is as in [call].
func (c *Client) ask(ctx context.Context, r wire.Request, s *Stream, agreed func()) error {
	return c.await(ctx, r, &call{op: r.Op, stream: s, answer: make(chan error, 1), agreed: agreed})
}

// await sends a request and waits until the call is answered.
func (c *Client) await(ctx context.Context, r wire.Request, w *call) error {
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	l := c.link
	if l == nil {
		c.mu.Unlock()
		return fmt.Errorf("%s: %w", r.Op, ErrDisconnected)
	}
	id := c.expect(&r, w)
	c.mu.Unlock()
	l.send(&r)
	select {
	case err := <-w.answer:
		if err != nil {
			return fmt.Errorf("%s: %w", r.Op, err)
		}
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.calls, id)
		c.mu.Unlock()
		return fmt.Errorf("%s: %w", r.Op, context.Cause(ctx))
	}
}

// Ping returns how long the server takes to answer. Messages that wait to be read
// before the answer count: it measures how late this client is.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	err := c.ask(ctx, wire.Request{Op: wire.OpPing}, nil, nil)
	return time.Since(start), err
}

// Budget bounds what the connection takes, in kilobits per second, also after
// reconnects; 0 lifts the bound.
func (c *Client) Budget(ctx context.Context, kbps int) error {
	if kbps < 0 {
		return fmt.Errorf("budget: %d kbps: want 0 or more", kbps)
	}
	return c.ask(ctx, budgetRequest(kbps), nil, func() { c.kbps = kbps })
}

func budgetRequest(kbps int) wire.Request {
	return wire.Request{Op: wire.OpBudget, Kbps: kbps, Given: wire.FieldKbps}
}

// SetInterval changes the stream's conflation interval, also for reconnects;
// EveryChange is none. The stream's Policy stays.
func (s *Stream) SetInterval(ctx context.Context, d time.Duration) error {
	s.c.mu.Lock()
	next := s.sub
	s.c.mu.Unlock()
	next.Interval = d
	if d == 0 {
		return errors.New("set interval: want more than 0, or EveryChange")
	}
	if err := next.Validate(); err != nil {
		return fmt.Errorf("set interval: %w", err)
	}
	r := wire.Request{Op: wire.OpUpdate, Channel: next.Channel, Symbols: next.Symbols, Interval: max(d, 0),
		Given: wire.FieldChannel | wire.FieldSymbols | wire.FieldInterval}
	if venueName(s.sub.Venue) != wire.Consolidated {
		r.Venue, r.Given = s.sub.Venue, r.Given|wire.FieldVenue
	}
	return s.c.ask(ctx, r, s, func() { s.sub.Interval = d })
}

// release closes a stream for its user.
func (c *Client) release(s *Stream) {
	if !s.end(ErrStreamClosed) {
		return
	}
	c.mu.Lock()
	_, known := c.streams[s]
	delete(c.streams, s)
	maps.DeleteFunc(c.calls, func(_ uint64, w *call) bool {
		if w.stream == s {
			w.reply(ErrStreamClosed)
		}
		return w.stream == s
	})
	shared := c.unroute(s)
	l := c.link
	var requests []wire.Request
	if l != nil && known && s.id != 0 {
		r := s.sub.request(wire.OpUnsubscribe)
		c.number(&r)
		requests = append(requests, r)
		// The names in it may also stand for streams that others hold; those are
		// asked for again, from where they are.
		for other := range shared {
			requests = append(requests, c.subscribeRequest(other))
		}
	}
	c.mu.Unlock()
	for i := range requests {
		l.send(&requests[i])
	}
}

// unroute removes a stream from the sids and returns the other streams that hold
// one of its symbols at the same venue. c.mu is held.
func (c *Client) unroute(s *Stream) map[*Stream]struct{} {
	for sid, routes := range c.sids {
		kept := routes[:0]
		for _, r := range routes {
			if r.s != s {
				kept = append(kept, r)
			}
		}
		if len(kept) == 0 {
			delete(c.sids, sid)
		} else {
			c.sids[sid] = kept
		}
	}
	s.mu.Lock()
	symbols := make([]string, 0, len(s.symbols))
	for symbol := range s.symbols {
		symbols = append(symbols, symbol)
	}
	s.mu.Unlock()
	shared := make(map[*Stream]struct{})
	for other := range c.streams {
		if other == s {
			continue
		}
		for _, symbol := range symbols {
			if other.sub.takes(s.sub.Channel, symbol, s.sub.Venue) {
				shared[other] = struct{}{}
				break
			}
		}
	}
	return shared
}

// Close ends all streams and the connection, and waits until the client's
// goroutine has ended. Streams then return [ErrClosed].
func (c *Client) Close() error {
	c.fail(ErrClosed)
	<-c.done
	return nil
}

// Done is closed when the client has ended, by Close or for good.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client ended, nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the client with err, unless it has ended.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	err = c.err
	streams := c.streams
	calls := c.calls
	c.streams, c.calls = make(map[*Stream]struct{}), make(map[uint64]*call)
	c.sids = make(map[uint64][]route)
	c.mu.Unlock()
	for s := range streams {
		s.end(err)
	}
	for _, w := range calls {
		w.reply(err)
	}
	c.cancel()
}

func (w *call) reply(err error) {
	if w.answer != nil {
		select {
		case w.answer <- err:
		default: // answered before
		}
	}
}
