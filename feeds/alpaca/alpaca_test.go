package alpaca_test

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
	"github.com/quotewire/quotewire/feeds/alpaca"
	"github.com/quotewire/quotewire/feeds/sim"
)

const secret = "TOPSECRET"

func connector(tb testing.TB, c alpaca.Config) *alpaca.Connector {
	tb.Helper()
	c.Key, c.Secret = "THEKEY", secret
	if len(c.Symbols) == 0 {
		c.Symbols = []string{"*"}
	}
	conn, err := alpaca.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return conn
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

var policy = feeds.Policy{Mute: -1, InitialBackoff: 10 * time.Millisecond}

func TestSubscribes(t *testing.T) {
	for _, packed := range []bool{false, true} {
		t.Run(fmt.Sprintf("msgpack=%t", packed), func(t *testing.T) {
			s, m := newServer(t, sim.Config{})
			l := supervise(t, connector(t, alpaca.Config{URL: s.URL(), Feed: "sip", Symbols: []string{"MSFT", "AAPL"}, MessagePack: packed}), policy)
			l.await(t, "the listing", func(f []string) bool { return count(f, "subscription") == 1 })
			want := []string{"quotes:AAPL", "quotes:MSFT", "statuses:AAPL", "statuses:MSFT", "trades:AAPL", "trades:MSFT"}
			l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
			before := len(l.all())
			m.Step(time.Second)
			l.await(t, "data", func(f []string) bool { return len(f) > before })
			frames := l.all()
			if frames[0] != "up" || count(frames[1:2], "connected") != 1 || count(frames[2:3], "authenticated") != 1 {
				t.Errorf("the stream begins with %.300q", frames[:3])
			}
			if count(frames, secret) != 0 {
				t.Error("the secret is in the stream")
			}
			if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
				t.Errorf("status %+v", st)
			}
		})
	}
}

func TestCryptoBooksAreAskedForAgain(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, alpaca.Config{URL: s.URL(), Feed: "crypto", Symbols: []string{"BTC/USD", "ETH/USD"}}), policy)
	l.await(t, "two books", func(f []string) bool { return count(f, `"r":true`) == 2 })
	m.Step(time.Second)
	l.Resync("BTC/USD")
	l.await(t, "a third", func(f []string) bool { return count(f, `"r":true`, "BTC/USD") == 2 })
	if count(l.all(), `"r":true`, "ETH/USD") != 1 || s.Accepted() != 1 {
		t.Error("the other book was disturbed")
	}
	if st := l.Status(); len(st.Problems) != 0 || st.Resyncs != 1 {
		t.Errorf("status %+v", st)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sim   sim.Config
		state feeds.State
		down  string
	}{
		{"bad key", sim.Config{Keys: []string{"other"}}, feeds.StateRefused, "down refused: 402 auth failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newServer(t, tt.sim)
			l := supervise(t, connector(t, alpaca.Config{URL: s.URL(), Feed: "sip"}), policy)
			l.awaitState(t, tt.state)
			frames := l.all()
			if last := frames[len(frames)-1]; last != tt.down {
				t.Errorf("%q, want %q", last, tt.down)
			}
		})
	}
}

// The older connection keeps the key's place; ours comes back later, and later
// still.
func TestConnectionLimit(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	first := supervise(t, connector(t, alpaca.Config{URL: s.URL(), Feed: "sip"}), policy)
	first.awaitState(t, feeds.StateLive)
	second := supervise(t, connector(t, alpaca.Config{URL: s.URL(), Feed: "sip", MessagePack: true}), policy)
	second.awaitState(t, feeds.StateEvicted)
	if d := time.Until(second.Status().NextRetry); d < 20*time.Second {
		t.Errorf("next attempt in %v", d)
	}
	if first.Status().State != feeds.StateLive {
		t.Error("the first connection is gone")
	}
	other := supervise(t, connector(t, alpaca.Config{URL: s.URL(), Feed: "iex"}), policy) // another feed, another place
	other.awaitState(t, feeds.StateLive)
}

// What the server does not subscribe is named.
func TestMissingSubscriptionsAreNamed(t *testing.T) {
	url := serve(t, func(c *websocket.Conn) {
		say := func(text string) { _ = c.WriteMessage(websocket.TextMessage, []byte(text)) }
		say(`[{"T":"success","msg":"connected"}]`)
		_, _, _ = c.ReadMessage()
		say(`[{"T":"success","msg":"authenticated"}]`)
		_, _, _ = c.ReadMessage()
		say(`[{"T":"error","code":405,"msg":"symbol limit exceeded"}]`)
		say(`[{"T":"subscription","trades":["A"],"quotes":["*"]}]`)
		say(`[{"T":"error","code":407,"msg":"slow client"}]`)
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	})
	l := supervise(t, connector(t, alpaca.Config{URL: url, Symbols: []string{"B", "A"}, Channels: []string{"trades", "quotes"}}), policy)
	want := []string{"405 symbol limit exceeded", "not subscribed: trades B", "407 slow client"}
	l.await(t, "the problems", func([]string) bool { return slices.Equal(l.Status().Problems, want) })
	if l.Status().State != feeds.StateLive {
		t.Errorf("status %+v", l.Status())
	}
}

func TestFaults(t *testing.T) {
	quick := policy
	quick.Mute = 300 * time.Millisecond
	for _, tt := range []struct {
		name   string
		policy feeds.Policy
		fault  func(*sim.Server)
		down   string
	}{
		{"kill", policy, (*sim.Server).Kill, "down lost: "},
		{"slow consumer", policy, func(s *sim.Server) { s.CloseAll(1008) }, "down lost: closed by the provider: websocket: close 1008"},
		{"mute", quick, func(s *sim.Server) {}, "down mute: no message for 300ms"},
		{"oversized", policy, func(s *sim.Server) { s.SendRaw(make([]byte, 16<<20+1)) }, "down oversized: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newServer(t, sim.Config{QueueBytes: 64 << 20, MaxConnections: 9})
			l := supervise(t, connector(t, alpaca.Config{URL: s.URL(), Feed: "crypto", Symbols: []string{"BTC/USD"}}), tt.policy)
			l.await(t, "a book", func(f []string) bool { return count(f, `"r":true`) > 0 })
			from := len(l.all())
			tt.fault(s)
			down := -1
			l.await(t, "down, then another book", func(f []string) bool {
				down = indexFrom(f, from, "down")
				return down >= 0 && count(f[down:], `"r":true`) > 0
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

func TestValidate(t *testing.T) {
	good := alpaca.Config{Key: "k", Secret: secret, Symbols: []string{"AAPL"}}
	with := func(change func(*alpaca.Config)) alpaca.Config {
		c := good
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name   string
		config alpaca.Config
		errs   []string
	}{
		{"good", good, nil},
		{"crypto", with(func(c *alpaca.Config) {
			c.Feed, c.Symbols, c.Channels = "crypto", []string{"BTC/USD", "*"}, []string{"orderbooks"}
		}), nil},
		{"empty", alpaca.Config{}, []string{"no key or no secret", "no symbols"}},
		{"unknown feed", with(func(c *alpaca.Config) { c.Feed = "opra" }), []string{`feed "opra" is none of [boats crypto`}},
		{"all wrong", with(func(c *alpaca.Config) {
			c.URL, c.Symbols, c.Channels = "x", []string{"BTC/USD"}, []string{"orderbooks"}
		}), []string{"ws://host", `"orderbooks": iex has the channels`, `"BTC/USD"`}},
		{"stock at crypto", with(func(c *alpaca.Config) { c.Feed = "crypto" }), []string{`"AAPL" is not spelt as crypto has it`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := alpaca.New(tt.config)
			if (err == nil) != (len(tt.errs) == 0) {
				t.Fatalf("got %v", err)
			}
			for _, part := range tt.errs {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not tell of %s", err, part)
				}
			}
			if shown := fmt.Sprintf("%v %+v %#v %v", tt.config, tt.config, tt.config, err); strings.Contains(shown, secret) {
				t.Errorf("the secret is shown: %s", shown)
			}
		})
	}
	if f, ch := alpaca.Feeds(), alpaca.Channels(); !slices.Contains(f, "delayed_sip") || !slices.Contains(ch, "lulds") || !slices.IsSorted(ch) {
		t.Errorf("feeds %v, channels %v", f, ch)
	}
}
