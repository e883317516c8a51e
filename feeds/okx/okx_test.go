package okx_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/okx"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, s *sim.Server, symbols ...string) *okx.Connector {
	tb.Helper()
	c, err := okx.New(okx.Config{URL: s.URL() + "/ws/v5/public", Instruments: symbols})
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
	return strings.HasPrefix(f, `data {"arg":{"channel":"books","instId":"`+symbol+`"},"action":"snapshot"`)
}

func isChange(f, symbol string) bool {
	return strings.HasPrefix(f, `data {"arg":{"channel":"books","instId":"`+symbol+`"},"action":"update"`)
}

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTC-USD", "ETH-USD", "BTC-USD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTC-USD") == 1 && count(f, isImage, "ETH-USD") == 1 })
	want := []string{"books:BTC-USD", "books:ETH-USD", "instruments:SPOT", "trades:BTC-USD", "trades:ETH-USD"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	m.Step(2 * time.Second)
	l.await(t, "changes", func(f []string) bool { return count(f, isChange, "BTC-USD") > 0 && count(f, isChange, "ETH-USD") > 0 })
	if got := l.all()[0]; got != "up" {
		t.Errorf("the stream begins with %.100q", got)
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestUnknownSymbolHarmsNoOther(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTC-USD", "NO-SUCH", "ETH-USD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTC-USD") > 0 && count(f, isImage, "ETH-USD") > 0 })
	l.await(t, "the problem", func([]string) bool {
		return slices.Contains(l.Status().Problems, "Wrong URL or channel:books,instId:NO-SUCH doesn't exist. Please use the correct URL, channel and parameters referring to API document. (60018)")
	})
	if l.Status().State != feeds.StateLive || s.Accepted() != 1 {
		t.Errorf("status %+v", l.Status())
	}
}

// One symbol's resync is a new image of it, and nothing else for anybody: the
// other symbol's messages are those that a feed without a resync gets.
func TestResyncTouchesOneSymbol(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTC-USD", "ETH-USD"), feeds.Policy{})
	control := supervise(t, connector(t, s, "BTC-USD", "ETH-USD"), feeds.Policy{})
	for _, l := range []*live{l, control} {
		l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTC-USD") == 1 && count(f, isImage, "ETH-USD") == 1 })
	}
	m.Step(time.Second)
	for range 10 {
		l.Resync("BTC-USD")
	}
	l.await(t, "a third book", func(f []string) bool { return count(f, isImage, "BTC-USD") == 2 })
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
	if got, want := of(frames, "ETH-USD"), of(control.all(), "ETH-USD"); !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("the other symbol has %d messages, without a resync %d", len(got), len(want))
	}
	resynced := of(frames, "BTC-USD")
	if !isChange(resynced[len(resynced)-1], "BTC-USD") {
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
		{"upgrade announced", patient, func(s *sim.Server) {
			s.SendRaw([]byte(`{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect."}`))
		}, nil, "down lost: The connection will soon be closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newServer(t, sim.Config{QueueBytes: 64 << 20})
			l := supervise(t, connector(t, s, "BTC-USD"), tt.policy)
			l.await(t, "a book", func(f []string) bool { return count(f, isImage, "BTC-USD") > 0 })
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
			l.await(t, "another book", func(f []string) bool { return count(f[down:], isImage, "BTC-USD") > 0 })
			if !slices.Contains(l.all()[down:], "up") {
				t.Error("no up after down")
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config okx.Config
		errs   []string
	}{
		{"good", okx.Config{Instruments: []string{"BTC-USDT", "BTC-USDT-SWAP"}, Channels: []string{okx.Books, okx.Trades, okx.Tickers}}, nil},
		{"defaults", okx.Config{Instruments: []string{"BTC-USDT"}}, nil},
		{"empty", okx.Config{}, []string{"no instruments"}},
		{"all wrong", okx.Config{URL: "http://x", Instruments: []string{"BTCUSDT", "-USDT"}, Channels: []string{"books", "books5", "dance"}},
			[]string{"ws://host", `"BTCUSDT"`, `"-USDT"`, `"dance"`, "more than one"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := okx.New(tt.config)
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
