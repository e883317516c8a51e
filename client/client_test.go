package client

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestMain fails where a test left a goroutine behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	// The fuzzing engine keeps a goroutine for signals.
	if code == 0 && flag.Lookup("test.fuzz").Value.String() == "" {
		deadline := time.Now().Add(30 * time.Second)
		for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		if n := runtime.NumGoroutine(); n > before {
			buf := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "%d goroutines before the tests, %d after:\n%s\n", before, n, buf[:runtime.Stack(buf, true)])
			code = 1
		}
	}
	os.Exit(code)
}

// pipeListener is a network in memory, for synctest bubbles.
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

// bubble runs f in a synctest bubble with a server on a network in memory.
func bubble(t *testing.T, f func(t *testing.T, l *pipeListener, conns chan *accepted, opts Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		conns := make(chan *accepted, 64)
		srv := &http.Server{Handler: handler(conns)}
		served := make(chan struct{})
		go func() { defer close(served); _ = srv.Serve(l) }()
		f(t, l, conns, Options{Dialer: &websocket.Dialer{NetDialContext: l.dial}})
		_ = srv.Close()
		<-served
	})
}

const helloText = `{"type":"welcome","version":"1","server":"test","session":"s","heartbeat":5000,"limits":{}}`

// start dials and subscribes against a server that grants one stream as sid 1.
func start(t *testing.T, conns chan *accepted, opts Options, sub Subscription) (*Client, *Stream, *accepted) {
	t.Helper()
	ready := make(chan *accepted, 1)
	go func() {
		a := <-conns
		a.send(t, helloText)
		grantOne(t, a, 1)
		ready <- a
	}()
	c, err := Dial(t.Context(), "ws://server", opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Subscribe(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	return c, s, <-ready
}

// grantOne acks the next subscribe.
func grantOne(t *testing.T, a *accepted, sid uint64) wire.Request {
	t.Helper()
	b, ok := <-a.requests
	if !ok {
		t.Error("connection ended before a subscribe")
		return wire.Request{}
	}
	r, err := wire.ParseRequest(b)
	if err != nil || r.Op != wire.OpSubscribe {
		t.Errorf("request %s, want a subscribe: %v", b, err)
	}
	send(t, a, &wire.Ack{ID: r.ID, Op: r.Op, Streams: []wire.Granted{{SID: sid, Channel: r.Channel, Symbol: r.Symbols[0], Depth: r.Depth}}})
	return r
}

func send(t *testing.T, a *accepted, m wire.Message) {
	t.Helper()
	b, err := wire.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	a.send(t, string(b))
}

// want returns the next update, which must be a T.
func want[T Update](t *testing.T, s *Stream) T {
	t.Helper()
	u, err := s.Next(t.Context())
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	v, ok := u.(T)
	if !ok {
		t.Fatalf("Next: %T %+v, want %T", u, u, v)
	}
	return v
}

func TestMuteServer(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"AAPL"}})
		defer c.Close()
		time.Sleep(14 * time.Second) // fake: two heartbeats missed are borne
		a.send(t, `{"type":"heartbeat","tx":1,"lag":70}`)
		synctest.Wait()
		if st := c.Stats(); !st.Connected || st.Heartbeats != 1 || st.Lag != 70*time.Millisecond {
			t.Fatalf("after a late heartbeat: %+v", st)
		}
		begin := time.Now()
		d := want[*Disconnected](t, s)
		if got := time.Since(begin); got != 15*time.Second || !errors.Is(d.Err, errIdle) {
			t.Errorf("given up after %v: %v, want 15s", got, d.Err)
		}
		(<-conns).send(t, helloText)
		if r := want[*Reconnected](t, s); r.Down < 100*time.Millisecond || r.Down > 400*time.Millisecond {
			t.Errorf("down for %v, want about 250 ms", r.Down)
		}
	})
}

func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, l *pipeListener, conns chan *accepted, opts Options) {
		var times []time.Time
		opts.Dialer.NetDialContext = func(ctx context.Context, n, addr string) (net.Conn, error) {
			times = append(times, time.Now())
			if len(times) > 1 && len(times) < 10 {
				return nil, errors.New("connection refused")
			}
			return l.dial(ctx, n, addr)
		}
		opts.MaxBackoff = 4 * time.Second
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"AAPL"}})
		defer c.Close()
		a.ws.Close()
		want[*Disconnected](t, s)
		(<-conns).send(t, helloText)
		if r := want[*Reconnected](t, s); r.Attempts != 9 {
			t.Errorf("%d attempts, want 9", r.Attempts)
		}
		base := 250 * time.Millisecond
		for i := 1; i < len(times); i++ {
			gap := times[i].Sub(times[i-1])
			if gap < base/2 || gap > base*3/2 {
				t.Errorf("wait %d: %v, want %v ± half", i, gap, base)
			}
			base = min(base*2, opts.MaxBackoff)
		}
		if st := c.Stats(); st.ConnectFailures != 8 || st.Connects != 2 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestShutdownHint(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"AAPL"}})
		defer c.Close()
		send(t, a, &wire.Error{Code: wire.CodeServerShutdown, Message: "restart", RetryAfter: 8000})
		a.ws.Close()
		want[*Disconnected](t, s)
		begin := time.Now()
		(<-conns).send(t, helloText)
		if got := time.Since(begin); got < 8*time.Second || got > 12*time.Second {
			t.Errorf("came back after %v, want 8 s to 12 s", got)
		}
	})
}

func TestSlowReaderConflates(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"AAPL"}})
		defer c.Close()
		a.send(t, `{"type":"snapshot","sid":1,"channel":"quote","symbol":"AAPL","epoch":"e","seq":1,"ts":1000000,"bid":"100","bid_size":"1","ask":"101","ask_size":"1"}`)
		synctest.Wait()
		want[*Quote](t, s)
		for i := range 1000 {
			bid := 100 + i%50 // 100 … 149
			extra := ""
			if i == 500 {
				extra = `,"merged":{"bid":["90","150.5"]}`
			}
			a.send(t, fmt.Sprintf(`{"type":"delta","sid":1,"prev":%d,"seq":%d,"n":2,"ts":%d,"bid":"%d"%s}`, i+1, i+2, 1000000+(i+1)*1000, bid, extra))
		}
		synctest.Wait()
		q := want[*Quote](t, s)
		if q.Seq != 1001 || q.Changes != 2000 || q.Bid.Price.String() != "149" || q.Ask.Price.String() != "101" || q.Span != 999*time.Millisecond {
			t.Errorf("conflated: seq %d, changes %d, bid %v, ask %v, span %v", q.Seq, q.Changes, q.Bid.Price, q.Ask.Price, q.Span)
		}
		if q.MergedBid == nil || q.MergedBid.Low.String() != "90" || q.MergedBid.High.String() != "150.5" || q.MergedAsk.High.String() != "101" {
			t.Errorf("merged: %v %v", q.MergedBid, q.MergedAsk)
		}
		if st := c.Stats(); st.Conflated != 999 || st.Deltas != 1000 {
			t.Errorf("stats: %+v", st)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if u, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing more to read: %v, %v", u, err)
		}
	})
}

// TestFullBacklogStopsReading: prints are never dropped; a program that does not
// read holds up the server, also for longer than the heartbeats' patience.
func TestFullBacklogStopsReading(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelTrade, Symbols: []string{"AAPL"}, Backlog: 10})
		defer c.Close()
		const n = 100
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			a.send(t, `{"type":"snapshot","sid":1,"channel":"trade","symbol":"AAPL","epoch":"e","seq":0}`)
			for i := range n {
				a.send(t, fmt.Sprintf(`{"type":"trade","sid":1,"prev":%d,"seq":%d,"events":[{"price":"%d","size":"1","side":"","id":"%d"}]}`, i, i+1, i, i))
			}
		}()
		time.Sleep(time.Minute)
		select {
		case <-sent:
			t.Fatal("the server could send all: nothing held it up")
		default:
		}
		for i := range n {
			if tr := want[*Trades](t, s); len(tr.Trades) != 1 || tr.Trades[0].ID != fmt.Sprint(i) {
				t.Fatalf("print %d: %+v", i, tr)
			}
		}
		<-sent
		if st := c.Stats(); st.Blocked == 0 || st.Connects != 1 || st.Gaps != 0 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// TestCloseWhileBlocked: Close does not wait for a program that does not read.
func TestCloseWhileBlocked(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, _, a := start(t, conns, opts, Subscription{Channel: wire.ChannelTrade, Symbols: []string{"AAPL"}, Backlog: 1})
		for i := range 2 {
			a.send(t, fmt.Sprintf(`{"type":"trade","sid":1,"prev":%d,"seq":%d,"events":[{"price":"1","size":"1","side":""}]}`, i, i+1))
		}
		synctest.Wait()
		if c.Stats().Blocked != 1 {
			t.Errorf("stats: %+v", c.Stats())
		}
		c.Close()
		if !errors.Is(c.Err(), ErrClosed) {
			t.Errorf("Err: %v", c.Err())
		}
	})
}

func TestLostEvents(t *testing.T) {
	s := newStream(&Client{}, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"A"}})
	for range maxEvents + 50 {
		s.event(&Disconnected{})
	}
	for range maxEvents {
		if u, err := s.Next(t.Context()); err != nil || fmt.Sprintf("%T", u) != "*client.Disconnected" {
			t.Fatalf("%T, %v", u, err)
		}
	}
	if l := want[*Lost](t, s); l.Events != 50 {
		t.Errorf("%d events lost, want 50", l.Events)
	}
}

// TestResyncIsRepeated: a snapshot that does not come is asked for again, and one
// that is always wrong not without pause.
func TestResyncIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelBook, Symbols: []string{"A"}})
		defer c.Close()
		model := newModelBook(10)
		model.bids["1"] = "1"
		wrong := model.snapshot()
		wrong.SID = 1
		*wrong.CRC++
		send(t, a, wrong)
		asked := 0
		var last time.Time
		for asked < 5 {
			select {
			case b := <-a.requests:
				if r, err := wire.ParseRequest(b); err != nil || r.Op != wire.OpResync || r.SID != 1 {
					t.Fatalf("request %s, want resync of 1", b)
				}
				if asked > 1 && time.Since(last) < patience {
					t.Errorf("asked again after %v", time.Since(last))
				}
				last = time.Now()
				asked++
			case <-time.After(5 * time.Second):
				a.send(t, `{"type":"heartbeat"}`)
			}
			if time.Since(last) > 10*time.Minute && asked > 0 {
				t.Fatalf("asked %d times only", asked)
			}
		}
		right := model.snapshot()
		right.SID = 1
		send(t, a, right)
		want[*Resync](t, s)
		if u := want[*BookUpdate](t, s); len(u.Bids) != 1 {
			t.Errorf("book: %+v", u)
		}
		for range 100 { // repaired: nothing is asked for any more
			time.Sleep(5 * time.Second)
			a.send(t, `{"type":"heartbeat"}`)
		}
		synctest.Wait()
		if len(a.requests) != 0 {
			t.Errorf("asked again after the repair: %s", <-a.requests)
		}
	})
}

func TestDialRefusals(t *testing.T) {
	for _, bad := range []string{"", "server", "ftp://server", "ws://", "ws://%zz"} {
		if _, err := Dial(t.Context(), bad, Options{}); err == nil {
			t.Errorf("Dial(%q) succeeded", bad)
		}
	}
	if _, err := Dial(t.Context(), "ws://127.0.0.1:1", Options{ReadLimit: -1}); err == nil {
		t.Error("negative limit was taken")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "pay first", http.StatusPaymentRequired)
	}))
	defer srv.Close()
	var status *StatusError
	if _, err := Dial(t.Context(), srv.URL, Options{}); !errors.As(err, &status) || status.Code != 402 || status.Body != "pay first" {
		t.Errorf("HTTP 402: %v", err)
	}

	url, conns := serveLoopback(t)
	go func() {
		a := <-conns
		a.send(t, helloText)
		r, _ := wire.ParseRequest(<-a.requests)
		if r.Op != wire.OpAuth || r.Token != "wrong" {
			t.Errorf("request %+v, want auth", r)
		}
		send(t, a, &wire.Error{ID: r.ID, Code: wire.CodeUnauthorized, Message: "no such token"})
	}()
	var refused *wire.Error
	if _, err := Dial(t.Context(), url, Options{Token: "wrong"}); !errors.As(err, &refused) || refused.Code != wire.CodeUnauthorized {
		t.Errorf("wrong token: %v", err)
	}

	// Something else than a quotewire server.
	go func() { (<-conns).send(t, `{"type":"heartbeat"}`) }()
	if _, err := Dial(t.Context(), url, Options{}); err == nil || !strings.Contains(err.Error(), "not a quotewire.v1 server") {
		t.Errorf("no welcome: %v", err)
	}
	// A server that says nothing.
	go func() { <-conns }()
	if _, err := Dial(t.Context(), url, Options{HandshakeTimeout: 20 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("mute: %v", err)
	}
}

// TestTokenRevoked: a client that is refused on reconnecting ends for good.
func TestTokenRevoked(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		opts.Token = "t"
		auth := func(a *accepted, reply func(id json.Number) wire.Message) {
			a.send(t, helloText)
			r, _ := wire.ParseRequest(<-a.requests)
			send(t, a, reply(r.ID))
		}
		ready := make(chan *accepted, 1)
		go func() {
			a := <-conns
			auth(a, func(id json.Number) wire.Message { return &wire.Ack{ID: id, Op: wire.OpAuth} })
			grantOne(t, a, 1)
			ready <- a
		}()
		c, err := Dial(t.Context(), "ws://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Subscribe(t.Context(), Subscription{Channel: wire.ChannelQuote, Symbols: []string{"A"}})
		if err != nil {
			t.Fatal(err)
		}
		(<-ready).ws.Close()
		auth(<-conns, func(id json.Number) wire.Message {
			return &wire.Error{ID: id, Code: wire.CodeUnauthorized, Message: "revoked"}
		})
		<-c.Done()
		if !errors.Is(c.Err(), &wire.Error{Code: wire.CodeUnauthorized}) {
			t.Errorf("Err: %v", c.Err())
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, &wire.Error{Code: wire.CodeUnauthorized}) {
			t.Errorf("Next: %v", err)
		}
		if _, err := c.Subscribe(t.Context(), Subscription{Channel: wire.ChannelQuote, Symbols: []string{"A"}}); err == nil {
			t.Error("Subscribe after the end succeeded")
		}
		c.Close()
	})
}

// TestSharedStream: two subscriptions of one stream of the server; the second
// begins with what the first holds, and closing one leaves the other.
func TestSharedStream(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		sub := Subscription{Channel: wire.ChannelQuote, Symbols: []string{"AAPL"}}
		c, s1, a := start(t, conns, opts, sub)
		defer c.Close()
		a.send(t, `{"type":"snapshot","sid":1,"channel":"quote","symbol":"AAPL","epoch":"e","seq":1,"bid":"100","bid_size":"1"}`)
		want[*Quote](t, s1)
		go grantOne(t, a, 1)
		s2, err := c.Subscribe(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		if q := want[*Quote](t, s2); q.Bid.Price.String() != "100" || q.Seq != 1 {
			t.Errorf("the second begins with %+v", q)
		}
		a.send(t, `{"type":"delta","sid":1,"prev":1,"seq":2,"bid":"101"}`)
		for _, s := range []*Stream{s1, s2} {
			if q := want[*Quote](t, s); q.Bid.Price.String() != "101" {
				t.Errorf("bid %v", q.Bid.Price)
			}
		}
		s1.Close()
		if _, err := s1.Next(t.Context()); !errors.Is(err, ErrStreamClosed) {
			t.Errorf("Next of a closed stream: %v", err)
		}
		if r, _ := wire.ParseRequest(<-a.requests); r.Op != wire.OpUnsubscribe || r.Symbols[0] != "AAPL" {
			t.Errorf("request %+v, want unsubscribe", r)
		}
		if r := grantOne(t, a, 1); r.Resume["AAPL"] != (wire.Position{Epoch: "e", Seq: 2}) {
			t.Errorf("asked again from %v", r.Resume)
		}
		a.send(t, `{"type":"delta","sid":1,"prev":2,"seq":3,"bid":"102"}`)
		if q := want[*Quote](t, s2); q.Bid.Price.String() != "102" {
			t.Errorf("bid %v", q.Bid.Price)
		}
		s2.Close()
		s2.Close()
		if r, _ := wire.ParseRequest(<-a.requests); r.Op != wire.OpUnsubscribe {
			t.Errorf("request %+v, want unsubscribe", r)
		}
	})
}

func TestSubscribeGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		ready := make(chan *accepted, 1)
		go func() { a := <-conns; a.send(t, helloText); ready <- a }()
		c, err := Dial(t.Context(), "ws://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a := <-ready
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Subscribe(ctx, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"A"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe: %v", err)
		}
		grantOne(t, a, 9) // too late: nobody holds it
		if r, _ := wire.ParseRequest(<-a.requests); r.Op != wire.OpUnsubscribe || r.Symbols[0] != "A" {
			t.Errorf("request %+v, want unsubscribe of A", r)
		}
		if r, _ := wire.ParseRequest(<-a.requests); r.Op != wire.OpUnsubscribe || r.SID != 9 {
			t.Errorf("request %+v, want unsubscribe of 9", r)
		}
	})
}

func TestSetInterval(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"AAPL"}})
		defer c.Close()
		a.send(t, `{"type":"snapshot","sid":1,"channel":"quote","symbol":"AAPL","epoch":"e","seq":1,"bid":"100","bid_size":"1"}`)
		want[*Quote](t, s)
		go func() {
			r, _ := wire.ParseRequest(<-a.requests)
			if r.Op != wire.OpUpdate || r.Interval != time.Second {
				t.Errorf("request %+v, want an update to 1s", r)
			}
			// A server may grant symbol by symbol.
			send(t, a, &wire.Ack{ID: r.ID, Op: r.Op, Streams: []wire.Granted{{SID: 5, Channel: r.Channel, Symbol: "MSFT", Interval: "1s"}}})
			send(t, a, &wire.Ack{ID: r.ID, Op: r.Op, Streams: []wire.Granted{{SID: 2, Channel: r.Channel, Symbol: "AAPL", Interval: "1s"}}})
			a.send(t, `{"type":"delta","sid":2,"prev":1,"seq":5,"bid":"101"}`)
		}()
		if err := s.SetInterval(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if q := want[*Quote](t, s); q.SID != 2 || q.Bid.Price.String() != "101" {
			t.Errorf("%+v", q)
		}
		if g := s.Granted(); len(g) != 2 || g[0].Interval != "1s" || g[0].SID != 2 {
			t.Errorf("granted %+v", g)
		}
		go func() {
			r, _ := wire.ParseRequest(<-a.requests)
			send(t, a, &wire.Error{ID: r.ID, Code: wire.CodeInvalidInterval, Message: "too fast"})
		}()
		if err := s.SetInterval(t.Context(), time.Microsecond); !errors.Is(err, &wire.Error{Code: wire.CodeInvalidInterval}) {
			t.Errorf("refused: %v", err)
		}
		go func() { <-a.requests; s.Close() }()
		if err := s.SetInterval(t.Context(), 2*time.Second); !errors.Is(err, ErrStreamClosed) {
			t.Errorf("closed meanwhile: %v", err)
		}
		<-a.requests // unsubscribe
		go func() { <-a.requests; a.ws.Close() }()
		if _, err := c.Ping(t.Context()); !errors.Is(err, ErrDisconnected) {
			t.Errorf("ping on a connection that is lost: %v", err)
		}
		if _, err := c.Ping(t.Context()); !errors.Is(err, ErrDisconnected) {
			t.Errorf("ping while disconnected: %v", err)
		}
	})
}

func TestAll(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelTrade, Symbols: []string{"A"}})
		for i := range 3 {
			a.send(t, fmt.Sprintf(`{"type":"trade","sid":1,"prev":%d,"seq":%d,"events":[{"price":"1","size":"1","side":""}]}`, i, i+1))
		}
		n := 0
		for _, err := range s.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 3 {
				s.Close()
			}
		}
		if n != 3 {
			t.Errorf("%d updates before the stream was closed", n)
		}
		c.Close()
	})
}

func TestSubscriptionValidate(t *testing.T) {
	ok := Subscription{Channel: wire.ChannelBook, Symbols: []string{"A"}}
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Subscription){
		"channel":  func(s *Subscription) { s.Channel = 0 },
		"symbols":  func(s *Subscription) { s.Symbols = nil },
		"symbol":   func(s *Subscription) { s.Symbols = []string{"A B"} },
		"depth":    func(s *Subscription) { s.Depth = 1001 },
		"interval": func(s *Subscription) { s.Interval = -2 },
		"bar":      func(s *Subscription) { s.Bar = "2m" },
		"until":    func(s *Subscription) { s.Until = time.Now() },
		"speed":    func(s *Subscription) { s.From, s.Speed = time.Now(), -1 },
		"backlog":  func(s *Subscription) { s.Backlog = -1 },
		"policy":   func(s *Subscription) { s.Policy = 9 },
		"conflate": func(s *Subscription) { s.Channel, s.Policy = wire.ChannelTrade, Conflate },
	} {
		bad := ok
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	bad := Subscription{Depth: -5, Weight: -1}
	if err := bad.Validate(); err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("all faults at once: %v", err)
	}
}

// TestBookSurvivesFaults: a server with a book that changes, over a network that
// loses messages, doubles them and breaks; the client's book is the server's
// whenever the client says so, and at the end.
func TestBookSurvivesFaults(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
				rng := rand.New(rand.NewPCG(seed, 7))
				depth := []int{AllLevels, 3, 10}[seed%3]
				model := newModelBook(max(depth, 0))
				var mu sync.Mutex // guards the three below
				history := map[string][2][]wire.PriceLevel{}
				var order []string              // its keys, oldest first
				last := ""                      // position after which nothing is lost any more
				log := map[uint64]*wire.Delta{} // by prev, of this epoch
				record := func() {
					bids, asks := model.top()
					mu.Lock()
					defer mu.Unlock()
					order = append(order, fmt.Sprint(model.epoch, model.seq))
					history[fmt.Sprint(model.epoch, model.seq)] = [2][]wire.PriceLevel{bids, asks}
				}
				change := func() *wire.Delta {
					d := model.change(func(bids, asks map[string]string) {
						for range 1 + rng.IntN(3) {
							side := []map[string]string{bids, asks}[rng.IntN(2)]
							p := market.Format(market.Price(1+rng.IntN(40)), market.Decimals(rng.IntN(2)))
							if rng.IntN(3) == 0 {
								delete(side, p)
							} else {
								side[p] = market.Format(market.Size(1+rng.IntN(1e6)), 4)
							}
						}
					})
					log[d.Prev] = d
					record()
					return d
				}
				record()
				over := make(chan struct{})
				serverDone := make(chan struct{})
				go func() { // the server
					defer close(serverDone)
					var a *accepted
					subscribed := false
					snapshot := func() {
						_ = a.ws.WriteMessage(websocket.TextMessage, mustAppend(model.snapshot()))
					}
					final := false
					epochs := 1
					for step := 0; ; {
						if a == nil {
							select {
							case a = <-conns:
							case <-over:
								return
							}
							subscribed = false
							_ = a.ws.WriteMessage(websocket.TextMessage, []byte(helloText))
						}
						select {
						case b, ok := <-a.requests:
							if !ok {
								a = nil
								continue
							}
							r, err := wire.ParseRequest(b)
							switch {
							case err != nil:
								t.Errorf("request %s: %v", b, err)
							case r.Op == wire.OpSubscribe:
								_ = a.ws.WriteMessage(websocket.TextMessage, mustAppend(&wire.Ack{ID: r.ID, Op: r.Op,
									Streams: []wire.Granted{{SID: 12, Channel: r.Channel, Symbol: "BTC-USD", Depth: r.Depth}}}))
								subscribed = true
								at, ok := r.Resume["BTC-USD"]
								if !ok || at.Epoch != model.epoch || rng.IntN(3) == 0 {
									snapshot()
									continue
								}
								for at.Seq != model.seq { // the chain that leads here
									_ = a.ws.WriteMessage(websocket.TextMessage, mustAppend(log[at.Seq]))
									at.Seq = log[at.Seq].Seq
								}
							case r.Op == wire.OpResync:
								if !final && rng.IntN(3) == 0 {
									continue // the request or its answer is lost
								}
								snapshot()
							}
						case <-time.After(100 * time.Millisecond):
							if !subscribed {
								continue
							}
							select {
							case <-over:
								return
							default:
							}
							if step++; step > 300 {
								if !final {
									final = true
									mu.Lock()
									last = fmt.Sprint(model.epoch, model.seq)
									mu.Unlock()
								}
								_ = a.ws.WriteMessage(websocket.TextMessage, mustAppend(change())) // shows an earlier loss
								_ = a.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"heartbeat"}`))
								continue
							}
							d := change()
							text := mustAppend(d)
							switch rng.IntN(20) {
							case 0: // lost
							case 1:
								_ = a.ws.WriteMessage(websocket.TextMessage, text)
								_ = a.ws.WriteMessage(websocket.TextMessage, text)
							case 2:
								a.ws.Close()
							case 3:
								if rng.IntN(3) == 0 {
									epochs++
									model.epoch = fmt.Sprintf("e%d-", epochs)
									model.seq = 1
									clear(log)
									record()
									snapshot()
								} else {
									_ = a.ws.WriteMessage(websocket.TextMessage, text)
								}
							default:
								_ = a.ws.WriteMessage(websocket.TextMessage, text)
							}
						}
					}
				}()
				c, err := Dial(t.Context(), "ws://server", opts)
				if err != nil {
					t.Fatal(err)
				}
				s, err := c.Subscribe(t.Context(), Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}, Depth: depth})
				if err != nil {
					t.Fatal(err)
				}
				good := 0
				for good < 20 {
					u, err := s.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					b, ok := u.(*BookUpdate)
					if !ok {
						continue
					}
					at := fmt.Sprint(b.Epoch, b.Seq)
					mu.Lock()
					want, ok := history[at]
					settled := last != "" && ok && slices.Index(order, at) > slices.Index(order, last)
					mu.Unlock()
					if !ok || !sameLevels(b.Bids, want[0]) || !sameLevels(b.Asks, want[1]) {
						t.Fatalf("at %s %d:\n got %v %v\nwant %v", b.Epoch, b.Seq, b.Bids, b.Asks, want)
					}
					if settled {
						good++
					}
				}
				st := c.Stats()
				if st.Resyncs == 0 || st.Connects < 2 || st.SequenceErrors == 0 || st.ChecksumErrors != 0 || st.Duplicates == 0 {
					t.Errorf("the faults did not happen: %+v", st)
				}
				close(over)
				c.Close()
				<-serverDone
			})
		})
	}
}

func mustAppend(m wire.Message) []byte {
	b, err := wire.Append(nil, m)
	if err != nil {
		panic(err)
	}
	return b
}
