package gemini_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/gemini"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
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

// details returns how many frames are the details of a symbol, "" for any.
func details(frames []string, symbol string) (n int) {
	for _, f := range frames {
		if strings.HasPrefix(f, "reply http://127.0.0.1:") && strings.Contains(f, "/v1/symbols/details/"+symbol) && strings.Contains(f, `"quote_increment":`) {
			n++
		}
	}
	return n
}

// The increments and the status of each symbol come out of the decoder, and none
// of its books waits for them.
func TestInstruments(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	dir := market.NewDirectory()
	d, err := normalizer.New("gemini", normalizer.Config{Directory: dir, Feed: "test"})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan market.Event, 16)
	live := superviseTo(t, connector(t, s, "BTCUSD", "PEPEUSD"), feeds.Policy{}, func(f feeds.Frame) {
		events, err := d.Decode(nil, f)
		if err != nil {
			t.Error(err)
		}
		for _, e := range events {
			if e.Kind == market.KindInstrument {
				told <- e
			}
		}
	})
	for range 2 {
		var e market.Event
		select {
		case e = <-told:
		case <-time.After(time.Minute):
			t.Fatalf("no increments; %+v", live.Status())
		}
		switch symbol := dir.Symbol(e.Instrument); {
		case symbol == "BTC-USD" && e.PriceDecimals == 2 && e.SizeDecimals == 8 && e.Price == 1 && e.Size == 1:
		case symbol == "PEPE-USD" && e.PriceDecimals == 10 && e.SizeDecimals == 0 && e.Price == 1 && e.Size == 1:
		default:
			t.Errorf("%s: %+v", symbol, e)
		}
	}
	if got := s.Requests(); !slices.Equal(got, []string{"/v1/symbols/details/btcusd", "/v1/symbols/details/pepeusd"}) {
		t.Errorf("asked %q", got)
	}
}

func TestReconnectsDoNotFetchReferenceAgain(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD", "ETHUSD"), feeds.Policy{InitialBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	for n := range 4 {
		l.await(t, "the details, and a book", func(f []string) bool {
			// The book, because only then the server knows what there is to kill.
			return details(f, "btcusd") == n+1 && details(f, "ethusd") == n+1 && count(f, isImage, "ETHUSD") == n+1
		})
		if n < 3 {
			s.Kill()
		}
	}
	if asked := len(s.Requests()); asked != 2 {
		t.Errorf("fetched %d times", asked)
	}
}

// Requests that are refused or slow cost the stream nothing, and the details come
// when the venue lets them.
func TestFailingReferenceHarmsNoBook(t *testing.T) {
	for _, code := range []int{429, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s, m := newServer(t, sim.Config{})
			s.RefuseRequests(code, "1", 1)
			began := time.Now()
			l := supervise(t, connector(t, s, "BTCUSD", "ETHUSD"), feeds.Policy{})
			l.await(t, "a book", func(f []string) bool { return count(f, isImage, "BTCUSD") == 1 })
			m.Step(time.Second)
			l.await(t, "changes", func(f []string) bool { return count(f, isChange, "BTCUSD") > 0 })
			l.await(t, "the details", func(f []string) bool { return details(f, "btcusd") == 1 && details(f, "ethusd") == 1 })
			if d := time.Since(began); d < time.Second {
				t.Errorf("asked again after %v, Retry-After says 1 s", d)
			}
			p := l.Status().Problems
			if len(p) != 1 || !strings.HasPrefix(p[0], "reference data /v1/symbols/details/btcusd: server answered") {
				t.Errorf("problems %q", p)
			}
			if s.Accepted() != 1 || l.Status().Reconnects != 0 {
				t.Errorf("the connection was replaced: %+v", l.Status())
			}
		})
	}
	t.Run("slow", func(t *testing.T) {
		s, m := newServer(t, sim.Config{})
		s.SlowRequests(time.Second) // of the market, which stands still
		l := supervise(t, connector(t, s, "BTCUSD"), feeds.Policy{})
		l.await(t, "a book", func(f []string) bool { return count(f, isImage, "BTCUSD") == 1 })
		l.await(t, "the request", func([]string) bool { return len(s.Requests()) == 1 })
		if n := details(l.all(), ""); n != 0 {
			t.Errorf("%d answers before their time", n)
		}
		m.Step(2 * time.Second)
		l.await(t, "the details", func(f []string) bool { return details(f, "btcusd") == 1 })
	})
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
		{"all wrong", gemini.Config{URL: "http://x", RESTURL: "ws://x", Symbols: []string{"BTC-USD", "BTC"}, RequestsPerMinute: -1}, []string{"ws://host", "http://host", "negative", `"BTC-USD"`, `"BTC"`}},
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
