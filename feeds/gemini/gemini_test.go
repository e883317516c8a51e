package gemini_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/gemini"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, s *sim.Server, symbols ...string) *gemini.Connector {
	tb.Helper()
	c, err := gemini.New(gemini.Config{URL: s.URL() + "/v2/marketdata", Symbols: symbols})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// count returns how many frames are so of the symbol.
func count(frames []string, is func(f, symbol string) bool, symbol string) (n int) {
	for _, f := range frames {
		if is(f, symbol) {
			n++
		}
	}
	return n
}

// isImage and isChange tell the messages of a symbol's book.
func isImage(f, symbol string) bool {
	return strings.HasPrefix(f, `data {"type":"l2_updates","symbol":"`+symbol+`"`) && strings.Contains(f, `"auction_events"`)
}

func isChange(f, symbol string) bool {
	return strings.HasPrefix(f, `data {"type":"l2_updates","symbol":"`+symbol+`"`) && !strings.Contains(f, `"auction_events"`)
}

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD", "ETHUSD", "BTCUSD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTCUSD") == 1 && count(f, isImage, "ETHUSD") == 1 })
	want := []string{"l2:BTCUSD", "l2:ETHUSD"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	m.Step(2 * time.Second)
	l.await(t, "changes", func(f []string) bool { return count(f, isChange, "BTCUSD") > 0 && count(f, isChange, "ETHUSD") > 0 })
	if got := l.all()[0]; got != "up" {
		t.Errorf("the stream begins with %.100q", got)
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestUnknownSymbolHarmsNoOther(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD", "NOPEUSD", "ETHUSD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTCUSD") > 0 && count(f, isImage, "ETHUSD") > 0 })
	l.await(t, "the problem", func([]string) bool {
		return slices.Contains(l.Status().Problems, "InvalidSymbol: unsupported symbol NOPEUSD")
	})
	if l.Status().State != feeds.StateLive || s.Accepted() != 1 {
		t.Errorf("status %+v", l.Status())
	}
}

// One symbol's resync is a new image of it, and nothing else for anybody: the
// other symbol's messages are those that a feed without a resync gets.
func TestResyncTouchesOneSymbol(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD", "ETHUSD"), feeds.Policy{})
	control := supervise(t, connector(t, s, "BTCUSD", "ETHUSD"), feeds.Policy{})
	for _, l := range []*live{l, control} {
		l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTCUSD") == 1 && count(f, isImage, "ETHUSD") == 1 })
	}
	m.Step(time.Second)
	for range 10 {
		l.Resync("BTCUSD")
	}
	l.await(t, "a third book", func(f []string) bool { return count(f, isImage, "BTCUSD") == 2 })
	m.Step(time.Second)
	last := []byte(`{"last":1}`)
	s.SendRaw(last)
	for _, l := range []*live{l, control} {
		l.await(t, "the last message", func(f []string) bool { return slices.Contains(f, "data "+string(last)) })
	}
	of := func(frames []string, symbol string) []string {
		return slices.DeleteFunc(slices.Clone(frames), func(f string) bool { return !isImage(f, symbol) && !isChange(f, symbol) })
	}
	frames := l.all()
	if got, want := of(frames, "ETHUSD"), of(control.all(), "ETHUSD"); !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("the other symbol has %d messages, without a resync %d", len(got), len(want))
	}
	resynced := of(frames, "BTCUSD")
	if !isChange(resynced[len(resynced)-1], "BTCUSD") {
		t.Error("after its image the symbol has no changes")
	}
	if s.Accepted() != 2 || slices.Contains(frames[1:], "up") {
		t.Error("the connection was replaced")
	}
	if st := l.Status(); st.Resyncs != 1 || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestFaults(t *testing.T) {
	patient := feeds.Policy{InitialBackoff: 10 * time.Millisecond, Mute: -1, ConnectTimeout: 3 * time.Second}
	quick := patient
	quick.Mute = 300 * time.Millisecond
	for _, tt := range []struct {
		name   string
		policy feeds.Policy
		fault  func(*sim.Server)
		heal   func(*sim.Server)
		down   string // how the Down frame begins
	}{
		{"kill", patient, (*sim.Server).Kill, nil, "down lost: "},
		{"going away", patient, func(s *sim.Server) { s.CloseAll(1001) }, nil, "down lost: closed by the provider: websocket: close 1001"},
		{"mute", quick, func(s *sim.Server) { s.Mute(true) }, func(s *sim.Server) { s.Mute(false) }, "down mute: no message for 300ms"},
		{"oversized", patient, func(s *sim.Server) { s.SendRaw(make([]byte, 33<<20)) }, nil, "down oversized: "},
		{"restart", patient, func(s *sim.Server) { s.RefuseConnections(true); s.Kill() }, func(s *sim.Server) { s.RefuseConnections(false) }, "down lost: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newServer(t, sim.Config{QueueBytes: 64 << 20})
			l := supervise(t, connector(t, s, "BTCUSD"), tt.policy)
			l.await(t, "a book", func(f []string) bool { return count(f, isImage, "BTCUSD") > 0 })
			from := len(l.all())
			tt.fault(s)
			down := -1
			l.await(t, "down", func(f []string) bool {
				down = indexFrom(f, from, "down")
				return down >= 0
			})
			if got := l.all()[down]; !strings.HasPrefix(got, tt.down) {
				t.Errorf("%.200q, want %q", got, tt.down)
			}
			if tt.heal != nil {
				tt.heal(s)
			}
			l.await(t, "another book", func(f []string) bool { return count(f[down:], isImage, "BTCUSD") > 0 })
			if !slices.Contains(l.all()[down:], "up") {
				t.Error("no up after down")
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config gemini.Config
		errs   []string
	}{
		{"good", gemini.Config{Symbols: []string{"BTCUSD", "ethusd"}}, nil},
		{"empty", gemini.Config{}, []string{"no symbols"}},
		{"all wrong", gemini.Config{URL: "http://x", Symbols: []string{"BTC-USD", "BTC"}}, []string{"ws://host", `"BTC-USD"`, `"BTC"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := gemini.New(tt.config)
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

// Nothing shows that changes are missing between two subscriptions, so that they
// are held back until the image that was asked for has come.
func TestChangesWaitForTheImage(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD", "ETHUSD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTCUSD") == 1 && count(f, isImage, "ETHUSD") == 1 })
	s.LoseSnapshots("BTC-USD", 1)
	l.Resync("BTCUSD")
	l.await(t, "the resync", func([]string) bool { return l.Status().Resyncs == 1 })
	held := len(l.all())
	m.Step(time.Second)
	l.await(t, "changes of the other", func(f []string) bool { return count(f[held:], isChange, "ETHUSD") > 5 })
	m.Step(time.Second)
	last := []byte(`{"type":"heartbeat","timestamp":1}`)
	s.SendRaw(last)
	l.await(t, "the last message", func(f []string) bool { return slices.Contains(f, "data "+string(last)) })
	if n := count(l.all()[held:], isChange, "BTCUSD"); n != 0 {
		t.Errorf("%d changes came without their image", n)
	}
}
