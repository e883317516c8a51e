package streamer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
	"github.com/quotewire/quotewire/streamer/wire/wirev1"
)

// server is a running hub behind HTTP, and the shards that feed it.
type server struct {
	t      testing.TB
	hub    *Hub
	dir    *market.Directory
	shards []*orderbook.Shard
	sinks  []orderbook.Sink
	http   string       // http://host:port
	client *http.Client // nil: a plain one
	dialer websocket.Dialer
	stop   func() // ends Run and waits for it
}

// serve runs a hub on a port of its own. It sends no heartbeats of itself: one would
// come between two messages wherever the machine is busy for long enough.
func serve(t testing.TB, cfg Config) *server {
	t.Helper()
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = time.Hour
	}
	s := newServer(t, cfg)
	srv := httptest.NewServer(s.hub.Handler())
	s.http = srv.URL
	t.Cleanup(srv.Close)
	t.Cleanup(s.stop)
	return s
}

// servePipe runs a hub on a network in memory, for synctest bubbles. It is to be
// ended with close.
func servePipe(t *testing.T, cfg Config) (s *server, closeAll func()) {
	t.Helper()
	s = newServer(t, cfg)
	l := newPipeListener()
	srv := &http.Server{Handler: s.hub.Handler()}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	s.http, s.dialer.NetDialContext = "http://server", l.dial
	return s, func() {
		s.stop()
		_ = srv.Close()
		<-served
	}
}

func newServer(t testing.TB, cfg Config) *server {
	if cfg.Directory == nil {
		cfg.Directory = market.NewDirectory()
	}
	s := &server{t: t, dir: cfg.Directory, hub: NewHub(cfg)}
	for i := range s.hub.lanes {
		sink := s.hub.Sink(i)
		s.sinks = append(s.sinks, sink)
		s.shards = append(s.shards, orderbook.NewShard(orderbook.Config{Directory: s.dir, Epoch: 0x9f2c, Sinks: []orderbook.Sink{sink}}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.hub.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// apply takes one message of a venue in.
func (s *server) apply(events ...market.Event) {
	s.t.Helper()
	i := int(events[0].Instrument) % len(s.shards)
	for k := range events {
		if events[k].Received == 0 {
			events[k].Received = s.hub.cfg.Now()
		}
	}
	events[len(events)-1].Flags |= market.FlagLast
	s.shards[i].Apply(events)
	s.sinks[i].Flush()
}

// symbol returns an instrument's number.
func (s *server) symbol(name string) market.InstrumentID {
	s.t.Helper()
	id, err := s.dir.Instrument(name, market.ClassCrypto)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// venue returns a venue's number.
func (s *server) venue(name string) market.VenueID {
	s.t.Helper()
	id, err := s.dir.Venue(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// book sends a venue's whole book: n levels a side round the price, in tenths.
func (s *server) book(symbol, venue string, price int64, n int) {
	s.t.Helper()
	events := []market.Event{s.event(market.KindClear, symbol, venue)}
	events[0].Flags = market.FlagSnapshot
	for i := range int64(n) {
		events = append(events, s.level(symbol, venue, market.SideBid, price-1-i, 10+i), s.level(symbol, venue, market.SideAsk, price+1+i, 20+i))
	}
	s.apply(events...)
	s.applied()
}

// applied waits until the lanes have taken in what was applied: a lane may do what
// a session asks before what it was handed earlier.
func (s *server) applied() {
	s.t.Helper()
	for _, l := range s.hub.lanes {
		for empty := false; !empty; {
			if err := s.hub.call(l, func(int64) { empty = len(l.in) == 0 }); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func (s *server) event(k market.Kind, symbol, venue string) market.Event {
	v := s.venue(venue)
	return market.Event{Kind: k, Feed: market.FeedID(v), Venue: v, Instrument: s.symbol(symbol)}
}

func (s *server) level(symbol, venue string, side market.Side, price, size int64) market.Event {
	e := s.event(market.KindLevel, symbol, venue)
	e.Side, e.Price, e.PriceDecimals, e.Size = side, market.Price(price), 1, market.Size(size)
	return e
}

func (s *server) print(symbol, venue string, price, size int64) market.Event {
	e := s.event(market.KindTrade, symbol, venue)
	e.Side, e.Price, e.PriceDecimals, e.Size = market.SideBid, market.Price(price), 1, market.Size(size)
	return e
}

// client is a WebSocket client that reads message by message.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	rest []string
	last string // text of the message read last

	format wire.Format
	reader wire.ProtoReader // of that format
	raw    []byte           // the frame read last
}

func (s *server) dial(query string) *client { return s.dialIn(wire.FormatJSON, query) }

// dialIn connects with the subprotocol of the format; JSON is what none offered
// means.
func (s *server) dialIn(format wire.Format, query string) *client {
	s.t.Helper()
	dialer := s.dialer
	if format != wire.FormatJSON {
		dialer.Subprotocols = []string{format.String()}
	}
	conn, resp, err := dialer.Dial(strings.Replace(s.http, "http", "ws", 1)+"/v1/stream"+query, nil)
	if err != nil {
		s.t.Fatalf("dial: %v %v", err, resp)
	}
	c := &client{t: s.t, conn: conn, format: format}
	s.t.Cleanup(func() { _ = conn.Close() })
	want[*wire.Welcome](c)
	return c
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	text := fmt.Appendf(nil, format, args...)
	requested(c.t, text)
	kind := websocket.TextMessage
	if c.format == wire.FormatProto {
		kind = websocket.BinaryMessage
		if r, bad := wire.ParseRequest(text); bad == nil {
			text = r.AppendProto(nil)
		} else {
			text = looseProto(c.t, text)
		}
	}
	if err := c.conn.WriteMessage(kind, text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// looseProto writes a request that is wrong in Protocol Buffers.
func looseProto(t testing.TB, text []byte) []byte {
	var r struct {
		Op, Channel, Venue *string
		ID, Depth, SID     *uint64
		From, To, Kbps     *uint64
		Symbols            []string
		Interval           string
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return text // no request at all in either format
	}
	p := &wirev1.Request{Op: r.Op, Id: r.ID, Channel: r.Channel, Symbols: r.Symbols, Venue: r.Venue, Depth: r.Depth, Sid: r.SID, From: r.From, To: r.To, Kbps: r.Kbps}
	if r.Interval != "" {
		d, err := time.ParseDuration(r.Interval)
		if err != nil {
			d = -1
		}
		p.Interval = (*int64)(&d)
	}
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read returns the next message, or the error that ended the connection.
func (c *client) read() (wire.Message, error) {
	for len(c.rest) == 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
		kind, b, err := c.conn.ReadMessage()
		if err != nil {
			return nil, err
		}
		c.raw = b
		if (kind == websocket.BinaryMessage) != (c.format == wire.FormatProto) {
			c.t.Fatalf("a frame of kind %d", kind)
		}
		if c.format == wire.FormatProto {
			for rest := b; len(rest) > 0; {
				var msg []byte
				if msg, rest, err = c.reader.Cut(rest); err != nil {
					c.t.Fatal(err)
				}
				c.rest = append(c.rest, string(msg))
			}
			continue
		}
		c.rest = strings.Split(string(b), "\n")
	}
	c.last, c.rest = c.rest[0], c.rest[1:]
	if c.format == wire.FormatProto {
		m, err := c.reader.Parse([]byte(c.last))
		if err != nil {
			c.t.Fatalf("%v in %x", err, c.last)
		}
		if m == nil {
			return c.read() // a scale
		}
		text, err := wire.Append(nil, m)
		if err != nil {
			c.t.Fatal(err)
		}
		c.last = string(text)
		return m, nil
	}
	conforms(c.t, []byte(c.last))
	m, err := wire.Parse([]byte(c.last))
	if err != nil {
		c.t.Fatalf("%v in %s", err, c.last)
	}
	return m, nil
}

// want returns the next message, which must be an M.
func want[M wire.Message](c *client) M {
	c.t.Helper()
	m, err := c.read()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	got, ok := m.(M)
	if !ok {
		c.t.Fatalf("got %s, want a %T", c.last, got)
	}
	return got
}

// wantClose reads until the connection is closed with the code.
func (c *client) wantClose(code int) {
	c.t.Helper()
	for {
		_, err := c.read()
		var closed *websocket.CloseError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &closed) || closed.Code != code:
			c.t.Fatalf("closed with %v, want %d", err, code)
		}
		return
	}
}

// get returns a page's status, headers and body.
func (s *server) get(path string, header ...string) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.http+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return resp.StatusCode, resp.Header, string(body)
}

func decode[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// pipeListener is a network in memory.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newTestDirectory(t testing.TB) *market.Directory {
	t.Helper()
	d := market.NewDirectory()
	if _, err := d.Instrument("BTC-USD", market.ClassCrypto); err != nil {
		t.Fatal(err)
	}
	return d
}
