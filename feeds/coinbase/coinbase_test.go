package coinbase_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/coinbase"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, url string, products ...string) *coinbase.Connector {
	tb.Helper()
	c, err := coinbase.New(coinbase.Config{URL: url, Products: products})
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

const bookSnapshot = `"type":"snapshot"`

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "BTC-USD", "ETH-USD"), feeds.Policy{})
	l.await(t, "two books and the status", func(f []string) bool {
		return count(f, bookSnapshot) == 2 && count(f, `"type":"status"`) == 1
	})
	m.Step(2 * time.Second)
	l.await(t, "changes, trades and heartbeats", func(f []string) bool {
		return count(f, `"type":"l2update"`, "ETH-USD") > 0 && count(f, `"type":"match"`) > 0 && count(f, `"type":"heartbeat"`) > 0
	})
	want := []string{"heartbeat:BTC-USD", "heartbeat:ETH-USD", "level2_batch:BTC-USD", "level2_batch:ETH-USD", "matches:BTC-USD", "matches:ETH-USD"}
	got := slices.DeleteFunc(s.Subscriptions(), func(s string) bool { return strings.HasPrefix(s, "status") })
	if !slices.Equal(got, want) {
		t.Errorf("subscribed %q, want %q", got, want)
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

// Coinbase refuses a subscribe with one bad product as a whole; the good ones
// must be subscribed all the same.
func TestUnknownProductsHarmNoOther(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "BTC-USD", "NO-SUCH", "ETH-USD", "AAA-BBB"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, bookSnapshot) == 2 })
	want := []string{"Failed to subscribe: AAA-BBB is not a valid product", "Failed to subscribe: NO-SUCH is not a valid product"}
	if got := l.Status().Problems; !slices.Equal(got, want) {
		t.Errorf("problems %q, want %q", got, want)
	}
	if count(l.all(), `"type":"error"`) != 2 {
		t.Error("the refusals are not in the stream")
	}
}

// One product's resync is a new snapshot of it, and nothing else for anybody:
// the other product's messages are those that a feed without a resync gets.
func TestResyncTouchesOneProduct(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "BTC-USD", "ETH-USD"), feeds.Policy{})
	control := supervise(t, connector(t, s.URL(), "BTC-USD", "ETH-USD"), feeds.Policy{})
	for _, l := range []*live{l, control} {
		l.await(t, "two books", func(f []string) bool { return count(f, bookSnapshot) == 2 })
	}
	m.Step(time.Second)
	for range 10 {
		l.Resync("BTC-USD")
	}
	l.await(t, "a third book", func(f []string) bool { return count(f, bookSnapshot, "BTC-USD") == 2 })
	m.Step(time.Second)
	const last = `{"type":"last"}`
	s.SendRaw([]byte(last))
	for _, l := range []*live{l, control} {
		l.await(t, "the last message", func(f []string) bool { return slices.Contains(f, "data "+last) })
	}
	frames := l.all()
	of := func(frames []string, product string) []string {
		return slices.DeleteFunc(slices.Clone(frames), func(f string) bool {
			return !strings.Contains(f, `"product_id":"`+product+`"`)
		})
	}
	if got, want := of(frames, "ETH-USD"), of(control.all(), "ETH-USD"); !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("the other product has %d messages, without a resync %d", len(got), len(want))
	}
	if n := count(frames, bookSnapshot, "BTC-USD"); n != 2 {
		t.Errorf("%d snapshots of the product, want one more", n)
	}
	resynced := of(frames, "BTC-USD")
	if count(resynced[slices.IndexFunc(resynced, func(f string) bool { return strings.Contains(f, bookSnapshot) }):], "l2update") == 0 {
		t.Error("after its snapshot the product has no changes")
	}
	if s.Accepted() != 2 || slices.Contains(frames[1:], "up") {
		t.Error("the connection was replaced")
	}
	if st := l.Status(); st.Resyncs != 1 || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
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
		{"oversized", patient, func(s *sim.Server) { s.SendRaw(make([]byte, 16<<20+1)) }, "down oversized: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newServer(t, sim.Config{QueueBytes: 64 << 20})
			l := supervise(t, connector(t, s.URL(), "BTC-USD"), tt.policy)
			l.await(t, "a book", func(f []string) bool { return count(f, bookSnapshot) > 0 })
			from := len(l.all())
			tt.fault(s) // the market stands still, so that silence needs no more
			down := -1
			l.await(t, "down, then another book", func(f []string) bool {
				down = indexFrom(f, from, "down")
				return down >= 0 && count(f[down:], bookSnapshot) > 0
			})
			if got := l.all()[down]; !strings.HasPrefix(got, tt.down) {
				t.Errorf("%q, want %q", got, tt.down)
			}
			if got := l.all()[down+1]; got != "up" {
				t.Errorf("after down came %q", got)
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

// The first snapshot of a busy book is larger than what most libraries take.
func TestLargeSnapshot(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"type":"snapshot","product_id":"BTC-USD","bids":[`)
	for i := 0; b.Len() < 5<<20; i++ {
		fmt.Fprintf(&b, `["%d.%02d","0.12345678"],`, 10000+i/100, i%100)
	}
	b.WriteString(`["1.00","1"]],"asks":[]}`)
	url := serve(t, func(c *websocket.Conn) {
		_, _, _ = c.ReadMessage()
		_ = c.WriteMessage(websocket.TextMessage, []byte(b.String()))
		untilClosed(c)
	})
	l := supervise(t, connector(t, url, "BTC-USD"), feeds.Policy{})
	l.await(t, "the snapshot", func(f []string) bool { return len(f) > 1 })
	if got := l.all()[1]; got != "data "+b.String() {
		t.Errorf("%d bytes came, want %d", len(got), b.Len()+5)
	}
}

func TestRefusedCredentials(t *testing.T) {
	url := serve(t, func(c *websocket.Conn) {
		_, _, _ = c.ReadMessage()
		_ = c.WriteMessage(websocket.TextMessage, []byte(`{"type":"error","message":"Authentication Failed","reason":"{}"}`))
		untilClosed(c)
	})
	config := coinbase.Config{URL: url, Products: []string{"BTC-USD"},
		Credentials: coinbase.Credentials{Key: "THEKEY", Passphrase: "THEPHRASE", Secret: "VEhFU0VDUkVU"}}
	c, err := coinbase.New(config)
	if err != nil {
		t.Fatal(err)
	}
	l := supervise(t, c, feeds.Policy{})
	l.awaitState(t, feeds.StateRefused)
	if d := time.Until(l.Status().NextRetry); d < 4*time.Minute {
		t.Errorf("next attempt in %v", d)
	}
	want := []string{"up", `data {"type":"error","message":"Authentication Failed","reason":"{}"}`, "down refused: Authentication Failed: {}"}
	if got := l.all(); !slices.Equal(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
	if shown := fmt.Sprintf("%v %+v %#v", config, config, config); strings.Contains(shown, "THEKEY") || strings.Contains(shown, "VEhF") {
		t.Errorf("the config shows its credentials: %s", shown)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config coinbase.Config
		errs   []string
	}{
		{"good", coinbase.Config{Products: []string{"BTC-USD"}}, nil},
		{"empty", coinbase.Config{}, []string{"no products"}},
		{"all wrong", coinbase.Config{URL: "x", Products: []string{"BTC/USD", "BTC-"}, Credentials: coinbase.Credentials{Key: "k"}},
			[]string{"ws://host", `"BTC/USD"`, `"BTC-"`, "a key, a passphrase and a secret"}},
		{"secret", coinbase.Config{Products: []string{"BTC-USD"}, Credentials: coinbase.Credentials{Key: "k", Passphrase: "p", Secret: "%%%"}},
			[]string{"the secret is not base64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := coinbase.New(tt.config)
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
