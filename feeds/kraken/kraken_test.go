package kraken_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/kraken"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, s *sim.Server, symbols ...string) *kraken.Connector {
	tb.Helper()
	c, err := kraken.New(kraken.Config{URL: s.URL() + "/v2", Symbols: symbols, Book: true, Trades: true})
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

const bookSnapshot = `"channel":"book","type":"snapshot"`

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTC/USD", "ETH/USD", "BTC/USD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, bookSnapshot) == 2 })
	want := []string{"book-10:BTC/USD", "book-10:ETH/USD", "instrument", "trade:BTC/USD", "trade:ETH/USD"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	m.Step(2 * time.Second)
	l.await(t, "updates", func(f []string) bool {
		return count(f, `"channel":"book","type":"update"`, "BTC/USD") > 0 && count(f, `"channel":"book","type":"update"`, "ETH/USD") > 0
	})
	frames := l.all()
	if frames[0] != "up" || !strings.Contains(frames[1], `"channel":"status"`) {
		t.Errorf("the stream begins with %.200q", frames[:2])
	}
	if n := count(frames, `"channel":"trade","type":"snapshot"`); n != 0 {
		t.Errorf("%d snapshots of trades came, none was wanted", n)
	}
	if count(frames, `"channel":"instrument","type":"snapshot"`) != 1 {
		t.Error("no instruments")
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestUnknownSymbolHarmsNoOther(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTC/USD", "NO/SUCH", "ETH/USD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, bookSnapshot) == 2 })
	l.await(t, "the problem", func([]string) bool { return len(l.Status().Problems) == 1 })
	if got := l.Status().Problems[0]; got != "subscribe: Currency pair not supported NO/SUCH" {
		t.Errorf("problem %q", got)
	}
	l.await(t, "the refusals in the stream, of book and trades", func(f []string) bool { return count(f, `"error"`) == 2 })
}

// One symbol's resync is a new snapshot of it, and nothing else for anybody: the
// other symbol's messages are those that a feed without a resync gets.
func TestResyncTouchesOneSymbol(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTC/USD", "ETH/USD"), feeds.Policy{})
	control := supervise(t, connector(t, s, "BTC/USD", "ETH/USD"), feeds.Policy{})
	for _, l := range []*live{l, control} {
		l.await(t, "two books", func(f []string) bool { return count(f, bookSnapshot) == 2 })
	}
	m.Step(time.Second)
	for range 10 {
		l.Resync("BTC/USD")
	}
	l.await(t, "a third book", func(f []string) bool { return count(f, bookSnapshot, "BTC/USD") == 2 })
	m.Step(time.Second)
	last := []byte(`{"channel":"last"}`)
	s.SendRaw(last)
	for _, l := range []*live{l, control} {
		l.await(t, "the last message", func(f []string) bool { return slices.Contains(f, "data "+string(last)) })
	}
	frames := l.all()
	of := func(frames []string, symbol string) []string {
		return slices.DeleteFunc(slices.Clone(frames), func(f string) bool { return count([]string{f}, `"channel":"book"`, symbol) == 0 })
	}
	if got, want := of(frames, "ETH/USD"), of(control.all(), "ETH/USD"); !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("the other symbol has %d messages, without a resync %d", len(got), len(want))
	}
	if n := count(frames, bookSnapshot, "BTC/USD"); n != 2 {
		t.Errorf("%d snapshots of the symbol, want one more", n)
	}
	resynced := of(frames, "BTC/USD")
	if !strings.Contains(resynced[len(resynced)-1], "update") {
		t.Error("after its snapshot the symbol has no updates")
	}
	if n := count(frames, `"method":"unsubscribe"`); n != 1 {
		t.Errorf("%d answers to unsubscribe", n)
	}
	if s.Accepted() != 2 || slices.Contains(frames[1:], "up") {
		t.Error("the connection was replaced")
	}
	if st := l.Status(); st.Resyncs != 1 || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestFaults(t *testing.T) {
	quick := feeds.Policy{InitialBackoff: 10 * time.Millisecond, Mute: 300 * time.Millisecond, ConnectTimeout: 3 * time.Second}
	patient := quick
	patient.Mute = -1
	for _, tt := range []struct {
		name   string
		policy feeds.Policy
		fault  func(*sim.Server)
		heal   func(*sim.Server)
		down   string // how the Down frame begins
	}{
		{"kill", patient, (*sim.Server).Kill, nil, "down lost: "},
		{"going away", patient, func(s *sim.Server) { s.CloseAll(1001) }, nil, "down lost: closed by the provider: websocket: close 1001"},
		{"normal closure", patient, func(s *sim.Server) { s.CloseAll(1000) }, nil, "down lost: closed by the provider: websocket: close 1000"},
		{"mute", quick, func(s *sim.Server) { s.Mute(true) }, func(s *sim.Server) { s.Mute(false) }, "down mute: no message for 300ms"},
		{"oversized", patient, func(s *sim.Server) { s.SendRaw(make([]byte, 5<<20)) }, nil, "down oversized: "},
		{"restart", patient, func(s *sim.Server) { s.RefuseConnections(true); s.Kill() }, func(s *sim.Server) { s.RefuseConnections(false) }, "down lost: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, m := newServer(t, sim.Config{})
			l := supervise(t, connector(t, s, "BTC/USD"), tt.policy)
			if tt.policy.Mute > 0 { // then the market must live
				stop := make(chan struct{})
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					for {
						select {
						case <-stop:
							return
						case <-tick.C:
							m.Step(100 * time.Millisecond)
						}
					}
				}()
				defer func() { close(stop); <-stopped }()
			}
			l.await(t, "a book", func(f []string) bool { return count(f, bookSnapshot) > 0 })
			from := len(l.all())
			tt.fault(s)
			down := -1
			l.await(t, "down", func(f []string) bool {
				down = indexFrom(f, from, "down")
				return down >= 0
			})
			if got := l.all()[down]; !strings.HasPrefix(got, tt.down) {
				t.Errorf("%q, want %q", got, tt.down)
			}
			if stale := strings.HasPrefix(l.all()[down-1], "stale"); stale != (tt.name == "mute") {
				t.Errorf("before down came %.100q", l.all()[down-1])
			}
			if tt.heal != nil {
				tt.heal(s)
			}
			l.await(t, "another book", func(f []string) bool { return count(f[down:], bookSnapshot) > 0 })
			frames := l.all()
			if !slices.Contains(frames[down:], "up") {
				t.Error("no up after down")
			}
			// With so little patience a busy machine looks like another silence.
			if st := l.Status(); tt.policy.Mute < 0 && (st.State != feeds.StateLive || st.Reconnects != 1) {
				t.Errorf("status %+v", st)
			}
		})
	}
}

// Until a provider that accepts says something, the feed is not up.
func TestMuteFromTheStart(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	s.Mute(true)
	l := supervise(t, connector(t, s, "BTC/USD"), feeds.Policy{ConnectTimeout: 200 * time.Millisecond})
	l.awaitState(t, feeds.StateDown)
	if got, want := l.all(), []string{"down lost: not signed in within 200ms"}; !slices.Equal(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config kraken.Config
		errs   []string
	}{
		{"good", kraken.Config{Symbols: []string{"BTC/USD"}, Book: true, Depth: 1000}, nil},
		{"empty", kraken.Config{}, []string{"no symbols", "neither book nor trades"}},
		{"all wrong", kraken.Config{URL: "http://x", Symbols: []string{"BTC-USD", "/USD"}, Depth: 11, Trades: true},
			[]string{"ws://host", `"BTC-USD"`, `"/USD"`, "depth 11"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := kraken.New(tt.config)
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
