package binance_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, s *sim.Server, m binance.Market, symbols ...string) *binance.Connector {
	tb.Helper()
	c, err := binance.New(binance.Config{Market: m, URL: s.URL(), Symbols: symbols})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// count returns how many frames contain all the parts.
func count(frames []string, parts ...string) (n int) {
	for _, f := range frames {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(f, p) }) {
			n++
		}
	}
	return n
}

func index(frames []string, parts ...string) int {
	return slices.IndexFunc(frames, func(f string) bool { return count([]string{f}, parts...) == 1 })
}

func books(n int) func(f []string) bool {
	return func(f []string) bool { return count(f, "reply ", "/depth?symbol=", `"lastUpdateId"`) == n }
}

func TestSubscribesSpot(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, binance.Spot, "BTCUSD", "ETHUSD", "BTCUSD"), feeds.Policy{})
	l.await(t, "two books", books(2))
	want := []string{"btcusd@depth@100ms", "btcusd@trade", "ethusd@depth@100ms", "ethusd@trade"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	asked := []string{"/api/v3/exchangeInfo?symbols=" + url.QueryEscape(`["BTCUSD","ETHUSD"]`),
		"/api/v3/depth?symbol=BTCUSD&limit=1000", "/api/v3/depth?symbol=ETHUSD&limit=1000"}
	if got := s.Requests(); !slices.Equal(got, asked) {
		t.Errorf("asked %q, want %q", got, asked)
	}
	m.Step(2 * time.Second)
	l.await(t, "changes and trades", func(f []string) bool { return count(f, "btcusd@depth") > 0 && count(f, "ethusd@trade") > 0 })
	frames := l.all()
	if frames[0] != "up" || count(frames[1:2], "reply ", "/exchangeInfo", `"symbols":[`) != 1 {
		t.Errorf("the stream begins with %.200q", frames[:2])
	}
	// A book is asked for only when its stream is acknowledged.
	if ack, book := index(frames, `data {"result":null,"id":1}`), index(frames, "reply ", "/depth"); ack < 0 || book < ack {
		t.Errorf("acknowledged at %d, first book at %d", ack, book)
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

// Futures have one address for books and another for the rest.
func TestSubscribesFuturesOverTwoSockets(t *testing.T) {
	s, m := newServer(t, sim.Config{Provider: sim.BinanceUSDM})
	l := supervise(t, connector(t, s, binance.USDM, "BTCUSD"), feeds.Policy{})
	l.await(t, "a book", books(1))
	if n := s.Connections(); n != 2 {
		t.Errorf("%d sockets", n)
	}
	m.Step(3 * time.Second)
	l.await(t, "changes and trades", func(f []string) bool { return count(f, "btcusd@depth@100ms") > 5 && count(f, "btcusd@aggTrade") > 0 })
	// The loss of one is the loss of all.
	s.Kill()
	l.await(t, "another book", books(2))
	if n := l.Status().Reconnects; n != 1 || s.Connections() != 2 {
		t.Errorf("%d reconnects, %d sockets", n, s.Connections())
	}
}

func TestUnknownSymbolIsNamed(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, binance.Spot, "BTCUSD", "NOSUCH"), feeds.Policy{})
	l.await(t, "a book", books(1))
	if p := l.Status().Problems; !slices.Equal(p, []string{"no symbol NOSUCH"}) {
		t.Errorf("problems %q", p)
	}
	if got := s.Subscriptions(); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "nosuch") }) {
		t.Errorf("subscribed %q", got)
	}
	// One that is unknown makes the request invalid: then all is asked for.
	if got := s.Requests()[1]; got != "/api/v3/exchangeInfo" {
		t.Errorf("second request %s", got)
	}
}

func TestNoSymbolExists(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, binance.Spot, "NOSUCH"), feeds.Policy{})
	l.awaitState(t, feeds.StateRefused)
}

func TestReconnectsDoNotFetchReferenceAgain(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, binance.Spot, "BTCUSD"), feeds.Policy{InitialBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	for n := range 4 {
		l.await(t, "a book", books(n+1))
		if n < 3 {
			s.Kill()
		}
	}
	infos := 0
	for _, r := range s.Requests() {
		if strings.Contains(r, "exchangeInfo") {
			infos++
		}
	}
	if infos != 1 || count(l.all(), "reply ", "/exchangeInfo") != 4 {
		t.Errorf("fetched %d times, handed on %d times", infos, count(l.all(), "reply ", "/exchangeInfo"))
	}
}

func TestRefusedSnapshotsAreAskedForAgain(t *testing.T) {
	for _, code := range []int{429, 418, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s, m := newServer(t, sim.Config{})
			l := supervise(t, connector(t, s, binance.Spot, "BTCUSD", "ETHUSD"), feeds.Policy{})
			l.await(t, "two books", books(2))
			s.RefuseRequests(code, "1", 1)
			began := time.Now()
			l.Resync("BTCUSD")
			l.await(t, "a third book", books(3))
			if d := time.Since(began); d < time.Second {
				t.Errorf("asked again after %v, Retry-After says 1 s", d)
			}
			m.Step(time.Second)
			l.await(t, "the stream goes on", func(f []string) bool { return count(f, "ethusd@depth") > 0 })
			if slices.Contains(l.all()[1:], "up") {
				t.Error("the connection was replaced")
			}
			if p := l.Status().Problems; len(p) != 1 || !strings.Contains(p[0], "snapshot of BTCUSD: server answered") {
				t.Errorf("problems %q", p)
			}
		})
	}
}

func TestServerShutdownIsHeeded(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, binance.Spot, "BTCUSD"), feeds.Policy{InitialBackoff: time.Millisecond})
	l.await(t, "a book", books(1))
	farewell := `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`
	s.SendRaw([]byte(farewell))
	l.await(t, "another connection", func(f []string) bool { return count(f, "up") >= 2 })
	frames := l.all()
	i := slices.Index(frames, "data "+farewell)
	if i < 0 || frames[i+1] != "down lost: the server is about to shut down" {
		t.Errorf("the farewell is followed by %q", frames[i+1:])
	}
}

// Of two sockets one goes mute while the other speaks: that is found, though the
// feed as a whole is not silent. Server pings are answered meanwhile.
func TestOneMuteSocketOfTwoIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPipe()
		up := websocket.Upgrader{}
		var wg sync.WaitGroup
		pongs := make(chan string, 100)
		hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "exchangeInfo") {
				fmt.Fprint(w, `{"symbols":[{"symbol":"BTCUSDT"}]}`)
				return
			}
			ws, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer ws.Close()
			ws.SetPongHandler(func(s string) error { pongs <- s; return nil })
			if strings.HasPrefix(r.URL.Path, "/market") {
				wg.Go(func() {
					for range 1000 {
						if ws.WriteMessage(websocket.TextMessage, []byte(`{"stream":"btcusdt@aggTrade","data":{}}`)) != nil ||
							ws.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second)) != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
			}
			for {
				if _, _, err := ws.ReadMessage(); err != nil {
					return
				}
			}
		})}
		wg.Go(func() { _ = hs.Serve(p) })
		c, err := binance.New(binance.Config{Market: binance.USDM, URL: "ws://127.0.0.1:1", Symbols: []string{"BTCUSDT"}, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var down time.Duration
		var text string
		s := &feeds.Supervisor{Feed: "f", Provider: "binance-usdm", Connector: c}
		ctx, cancel := context.WithCancel(t.Context())
		_ = s.Run(ctx, func(f feeds.Frame) error {
			if f.Kind == feeds.Down && down == 0 {
				down, text = time.Since(began), string(f.Payload)
				cancel()
			}
			return nil
		})
		cancel()
		if down < binance.Mute || down > binance.Mute*12/10 || text != "mute: no message for 10s on one of 2 sockets" {
			t.Errorf("down after %v: %s", down, text)
		}
		if len(pongs) < 5 {
			t.Errorf("%d pings answered", len(pongs))
		}
		_ = hs.Close()
		_ = p.Close()
		wg.Wait()
	})
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config binance.Config
		errs   []string
	}{
		{"good", binance.Config{Symbols: []string{"BTCUSDT"}, Depth: 5000}, nil},
		{"good futures", binance.Config{Market: binance.USDM, URL: binance.USDMURL, Symbols: []string{"BTCUSDT_260327"}, Depth: 500, Channels: []string{"depth", "aggTrade"}}, nil},
		{"empty", binance.Config{}, []string{"no symbols"}},
		{"all wrong", binance.Config{Market: "options", URL: "http://x", RESTURL: "ws://x", Symbols: []string{"BTC-USDT", "btcusdt"}, Depth: 5001,
			Channels: []string{"depth", "depth@100ms", "a/b"}, WeightPerMinute: -1},
			[]string{`market "options"`, "ws:// or wss", "http:// or https", `"BTC-USDT"`, `"btcusdt"`, "depth 5001", "more than one channel of changes", `"a/b"`, "negative"}},
		{"depth of futures", binance.Config{Market: binance.USDM, Symbols: []string{"A"}, Depth: 999}, []string{"depth 999"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := binance.New(tt.config)
			if (err == nil) != (len(tt.errs) == 0) {
				t.Fatalf("got %v", err)
			}
			for _, part := range tt.errs {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not tell of %s", err, part)
				}
			}
		})
	}
}
