package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var start = time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)

func newMarket(t testing.TB, seed uint64) *Market {
	t.Helper()
	m, err := NewMarket(MarketConfig{Seed: seed, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client is a bare WebSocket client that reads one frame at a time.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func dial(t testing.TB, url string) *client {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatalf("dial %s: %v", url, err)
	}
	t.Cleanup(func() { ws.Close() })
	return &client{t, ws}
}

func (c *client) send(s string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(s)); err != nil {
		c.t.Fatalf("send %s: %v", s, err)
	}
}

// next reads one frame.
func (c *client) next() []byte {
	c.t.Helper()
	c.ws.SetReadDeadline(time.Now().Add(time.Minute))
	_, b, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return b
}

// want reads one frame and requires it to be this text.
func (c *client) want(text string) {
	c.t.Helper()
	if got := string(c.next()); got != text {
		c.t.Fatalf("got  %s\nwant %s", got, text)
	}
}

// wantPart reads one frame and requires it to contain the parts.
func (c *client) wantPart(parts ...string) string {
	c.t.Helper()
	got := string(c.next())
	for _, p := range parts {
		if !strings.Contains(got, p) {
			c.t.Fatalf("got %s\nwithout %s", got, p)
		}
	}
	return got
}

var sentinels atomic.Int64

// until reads all frames up to a sentinel that the server is told to send now.
func (c *client) until(s *Server) (frames [][]byte) {
	c.t.Helper()
	mine := fmt.Sprintf(`{"sentinel":%d}`, sentinels.Add(1))
	s.SendRaw([]byte(mine))
	for {
		b := c.next()
		if string(b) == mine {
			return frames
		}
		if !bytes.HasPrefix(b, []byte(`{"sentinel"`)) { // of another client
			frames = append(frames, b)
		}
	}
}

// ended requires the connection to end, and returns the close code; 0 means
// that it ended without a close frame.
func (c *client) ended() int {
	c.t.Helper()
	c.ws.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		_, b, err := c.ws.ReadMessage()
		if err == nil {
			c.t.Logf("before the end: %.200s", b)
			continue
		}
		var ce *websocket.CloseError
		switch {
		case errors.As(err, &ce) && ce.Code != websocket.CloseAbnormalClosure:
			return ce.Code
		case errors.As(err, &ce), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "reset"):
			return 0
		}
		c.t.Fatalf("connection did not end: %v", err)
	}
}

// waitFor polls a condition that another goroutine brings about.
func waitFor(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func decode(t testing.TB, b []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatalf("decode %.300s: %v", b, err)
	}
}

// pipeListener hands out in-memory connections, for servers within a synctest
// bubble.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
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
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// pipeServer starts a server without a network and returns how to dial it.
func pipeServer(t *testing.T, cfg Config) (*Server, func(path string) *client) {
	t.Helper()
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	s.Serve(l)
	t.Cleanup(s.Close)
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		a, b := net.Pipe()
		select {
		case l.conns <- b:
			return a, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	return s, func(path string) *client {
		t.Helper()
		ws, _, err := d.Dial("ws://sim"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.Close() })
		return &client{t, ws}
	}
}
