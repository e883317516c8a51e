package coinbaseadvanced_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/coinbaseadvanced"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, url string, products ...string) *coinbaseadvanced.Connector {
	tb.Helper()
	c, err := coinbaseadvanced.New(coinbaseadvanced.Config{URL: url, Products: products})
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

const image = `"events":[{"type":"snapshot","product_id"`

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "ETH-USD", "BTC-USD"), feeds.Policy{})
	l.await(t, "two books and the status", func(f []string) bool {
		return count(f, image) == 2 && count(f, `"channel":"status"`) >= 1
	})
	m.Step(2 * time.Second)
	l.await(t, "changes, trades and heartbeats", func(f []string) bool {
		return count(f, `"channel":"l2_data"`, `"update"`, "ETH-USD") > 0 && count(f, `"channel":"market_trades"`) > 0 && count(f, `"channel":"heartbeats"`) > 0
	})
	want := []string{"heartbeats", "level2:BTC-USD", "level2:ETH-USD", "market_trades:BTC-USD", "market_trades:ETH-USD", "status:BTC-USD", "status:ETH-USD"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestUnknownProductsHarmNoOther(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "BTC-USD", "NO-SUCH", "ETH-USD", "AAA-BBB"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, image) == 2 })
	want := []string{"AAA-BBB is not a valid product", "NO-SUCH is not a valid product"}
	l.await(t, "the problems", func([]string) bool { return slices.Equal(l.Status().Problems, want) })
	if l.Status().State != feeds.StateLive {
		t.Errorf("status %+v", l.Status())
	}
}

// After a gap of the whole feed every book asks; the wishes go out together and
// the connection stays.
func TestResyncsGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.NewMarket(sim.MarketConfig{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := sim.NewServer(sim.Config{Provider: "coinbase-advanced", Market: m})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		pipe := feedtest.NewPipe()
		s.Serve(pipe)
		c, err := coinbaseadvanced.New(coinbaseadvanced.Config{URL: "ws://pipe", Products: []string{"BTC-USD", "ETH-USD", "SOL-USD"}, NetDial: pipe.Dial})
		if err != nil {
			t.Fatal(err)
		}
		l := supervise(t, c, feeds.Policy{ResyncGap: time.Millisecond})
		defer l.stop()
		l.await(t, "three books", func(f []string) bool { return count(f, image) == 3 })
		synctest.Wait()
		acks := count(l.all(), `"channel":"subscriptions"`)
		for range 3 {
			l.Resync("BTC-USD")
			l.Resync("ETH-USD")
		}
		l.await(t, "two books again", func(f []string) bool { return count(f, image) == 5 })
		m.Step(time.Second)
		time.Sleep(2 * time.Second) // on the bubble's clock: what else would go out has gone
		frames := l.all()
		if count(frames, image, "SOL-USD") != 1 || count(frames, image, "BTC-USD") != 2 {
			t.Error("not the books that were asked for")
		}
		if n := count(frames, `"channel":"subscriptions"`) - acks; n != 2 {
			t.Errorf("%d requests, want one to unsubscribe and one to subscribe", n)
		}
		if s.Accepted() != 1 {
			t.Error("the connection was replaced")
		}
	})
}

func TestFaults(t *testing.T) {
	patient := feeds.Policy{InitialBackoff: 10 * time.Millisecond, Mute: -1}
	quick := patient
	quick.Mute = 300 * time.Millisecond
	for _, tt := range []struct {
		name   string
		policy feeds.Policy
		fault  func(*sim.Server)
		down   string
	}{
		{"kill", patient, (*sim.Server).Kill, "down lost: "},
		{"slow consumer", patient, func(s *sim.Server) { s.CloseAll(1008) }, "down lost: closed by the provider: websocket: close 1008"},
		{"mute", quick, func(s *sim.Server) { s.Mute(true); s.Mute(false) }, "down mute: no message for 300ms"},
		{"oversized", patient, func(s *sim.Server) { s.SendRaw(make([]byte, 32<<20+1)) }, "down oversized: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newServer(t, sim.Config{QueueBytes: 64 << 20})
			l := supervise(t, connector(t, s.URL(), "BTC-USD"), tt.policy)
			l.await(t, "a book", func(f []string) bool { return count(f, image) > 0 })
			from := len(l.all())
			tt.fault(s)
			down := -1
			l.await(t, "down, then another book", func(f []string) bool {
				down = indexFrom(f, from, "down")
				return down >= 0 && count(f[down:], image) > 0
			})
			if got := l.all()[down]; !strings.HasPrefix(got, tt.down) {
				t.Errorf("%q, want %q", got, tt.down)
			}
		})
	}
}

// serve runs f for each connection and returns the address.
func serve(tb testing.TB, f func(c *websocket.Conn)) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		f(c)
	}))
	tb.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func untilClosed(c *websocket.Conn) {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

// The image of BTC-USD has 5 MB.
func TestLargeImage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"channel":"l2_data","client_id":"","timestamp":"2026-07-07T22:58:17Z","sequence_num":0,"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[`)
	for i := 0; b.Len() < 6<<20; i++ {
		fmt.Fprintf(&b, `{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"%d.%02d","new_quantity":"0.12345678"},`, 10000+i/100, i%100)
	}
	b.WriteString(`{"side":"bid","price_level":"1","new_quantity":"1"}]}]}`)
	url := serve(t, func(c *websocket.Conn) {
		_, _, _ = c.ReadMessage()
		_ = c.WriteMessage(websocket.TextMessage, []byte(b.String()))
		untilClosed(c)
	})
	l := supervise(t, connector(t, url, "BTC-USD"), feeds.Policy{})
	l.await(t, "the image", func(f []string) bool { return len(f) > 1 })
	if got := l.all()[1]; got != "data "+b.String() {
		t.Errorf("%d bytes came, want %d", len(got), b.Len()+5)
	}
}

func TestOneChannelAMessage(t *testing.T) {
	got := make(chan string, 10)
	url := serve(t, func(c *websocket.Conn) {
		for {
			_, b, err := c.ReadMessage()
			if err != nil {
				return
			}
			got <- string(b)
		}
	})
	c, err := coinbaseadvanced.New(coinbaseadvanced.Config{URL: url, Products: []string{"B-USD", "A-USD", "B-USD"}, Channels: []string{"level2"}})
	if err != nil {
		t.Fatal(err)
	}
	l := supervise(t, c, feeds.Policy{})
	for _, want := range []string{
		`{"type":"subscribe","product_ids":["A-USD","B-USD"],"channel":"level2"}`,
		`{"type":"subscribe","channel":"heartbeats"}`,
	} {
		if g := <-got; g != want {
			t.Errorf("sent %s, want %s", g, want)
		}
	}
	l.awaitState(t, feeds.StateLive)
}

func TestRefusedAccess(t *testing.T) {
	url := serve(t, func(c *websocket.Conn) {
		_, _, _ = c.ReadMessage()
		_ = c.WriteMessage(websocket.TextMessage, []byte(`{"type":"error","message":"authentication failure"}`))
		untilClosed(c)
	})
	l := supervise(t, connector(t, url, "BTC-USD"), feeds.Policy{})
	l.awaitState(t, feeds.StateRefused)
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config coinbaseadvanced.Config
		errs   []string
	}{
		{"good", coinbaseadvanced.Config{Products: []string{"BTC-USD"}}, nil},
		{"empty", coinbaseadvanced.Config{}, []string{"no products"}},
		{"all wrong", coinbaseadvanced.Config{URL: "x", Products: []string{"BTC/USD", "BTC-"}, Channels: []string{"full"}},
			[]string{"ws://host", `"BTC/USD"`, `"BTC-"`, `"full"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := coinbaseadvanced.New(tt.config)
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
