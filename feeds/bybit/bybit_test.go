package bybit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bybit"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
)

func connector(tb testing.TB, s *sim.Server, symbols ...string) *bybit.Connector {
	tb.Helper()
	c, err := bybit.New(bybit.Config{URL: s.URL() + "/v5/public", Category: bybit.Linear, Symbols: symbols, Book: true, Trades: true})
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
	return strings.HasPrefix(f, `data {"topic":"orderbook.50.`+symbol+`","type":"snapshot"`)
}

func isChange(f, symbol string) bool {
	return strings.HasPrefix(f, `data {"topic":"orderbook.50.`+symbol+`","type":"delta"`)
}

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD", "ETHUSD", "BTCUSD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTCUSD") == 1 && count(f, isImage, "ETHUSD") == 1 })
	want := []string{"orderbook.50.BTCUSD", "orderbook.50.ETHUSD", "publicTrade.BTCUSD", "publicTrade.ETHUSD"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	m.Step(2 * time.Second)
	l.await(t, "changes", func(f []string) bool { return count(f, isChange, "BTCUSD") > 0 && count(f, isChange, "ETHUSD") > 0 })
	if got := l.all()[:2]; got[0] != "up" || !isInfo(got[1], "linear&limit=1000") {
		t.Errorf("the stream begins with %.200q", got)
	}
	if got := s.Requests(); !slices.Equal(got, []string{"/v5/market/instruments-info?category=linear&limit=1000"}) {
		t.Errorf("asked %q", got)
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestUnknownSymbolHarmsNoOther(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD", "NOPE", "ETHUSD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTCUSD") > 0 && count(f, isImage, "ETHUSD") > 0 })
	l.await(t, "the problem", func([]string) bool {
		return slices.Contains(l.Status().Problems, "subscribe: Invalid topic: [orderbook.50.NOPE]")
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

// isInfo tells the reference data of a category.
func isInfo(f, category string) bool {
	return strings.HasPrefix(f, "reply http://127.0.0.1:") && strings.Contains(f, "/v5/market/instruments-info?category="+category) &&
		strings.Contains(f, `"list":[{`)
}

func infos(frames []string) (n int) {
	for _, f := range frames {
		if isInfo(f, "") {
			n++
		}
	}
	return n
}

// The increments and the status of what is subscribed come out of the decoder
// before its books, by the category of the connection.
func TestInstruments(t *testing.T) {
	for _, category := range []string{bybit.Spot, bybit.Linear} {
		t.Run(category, func(t *testing.T) {
			specs := sim.CryptosFor("bybit")
			for i := range specs {
				specs[i].Pair += "T" // linear has nothing in USD
			}
			s, _ := newServerOf(t, sim.Config{}, specs)
			c, err := bybit.New(bybit.Config{URL: s.URL() + "/v5/public", Category: category, Symbols: []string{"BTCUSDT", "PEPEUSDT"}, Book: true})
			if err != nil {
				t.Fatal(err)
			}
			dir := market.NewDirectory()
			d, err := normalizer.New("bybit", normalizer.Config{Directory: dir, Feed: "test"})
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan market.Event, 16)
			live := superviseTo(t, c, feeds.Policy{}, func(f feeds.Frame) {
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
				case strings.HasPrefix(symbol, "BTC-USDT") && e.PriceDecimals == 2 && e.SizeDecimals == 8 && e.Price == 1 && e.Size == 1:
				case strings.HasPrefix(symbol, "PEPE-USDT") && e.PriceDecimals == 10 && e.SizeDecimals == 0 && e.Price == 1 && e.Size == 1:
				default:
					t.Errorf("%s: %+v", symbol, e)
				}
			}
		})
	}
}

func TestReconnectsDoNotFetchReferenceAgain(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTCUSD"), feeds.Policy{InitialBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	for n := range 4 {
		l.await(t, "a book", func(f []string) bool { return count(f, isImage, "BTCUSD") == n+1 })
		if n < 3 {
			s.Kill()
		}
	}
	if asked, told := len(s.Requests()), infos(l.all()); asked != 1 || told != 4 {
		t.Errorf("fetched %d times, handed on %d times", asked, told)
	}
}

// Requests that are refused or slow cost the stream nothing, and the reference
// data comes when the venue lets it.
func TestFailingReferenceHarmsNoBook(t *testing.T) {
	for _, code := range []int{429, 403, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s, m := newServer(t, sim.Config{})
			s.RefuseRequests(code, "1", 1)
			began := time.Now()
			l := supervise(t, connector(t, s, "BTCUSD"), feeds.Policy{})
			l.await(t, "a book", func(f []string) bool { return count(f, isImage, "BTCUSD") == 1 })
			m.Step(time.Second)
			l.await(t, "changes", func(f []string) bool { return count(f, isChange, "BTCUSD") > 0 })
			p := l.Status().Problems
			if len(p) != 1 || !strings.HasPrefix(p[0], "reference data /v5/market/instruments-info?category=linear&limit=1000: server answered") {
				t.Errorf("problems %q", p)
			}
			if code != 403 { // which means for good, or for ten minutes
				l.await(t, "the reference data", func(f []string) bool { return infos(f) == 1 })
				if d := time.Since(began); d < time.Second {
					t.Errorf("asked again after %v, Retry-After says 1 s", d)
				}
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
		if n := infos(l.all()); n != 0 {
			t.Errorf("%d answers before their time", n)
		}
		m.Step(2 * time.Second)
		l.await(t, "the reference data", func(f []string) bool { return infos(f) == 1 })
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
		config bybit.Config
		errs   []string
	}{
		{"good", bybit.Config{Category: bybit.Spot, Symbols: []string{"BTCUSDT"}, Depth: 1, Book: true}, nil},
		{"empty", bybit.Config{}, []string{`category ""`, "no symbols", "neither book nor trades"}},
		{"all wrong", bybit.Config{URL: "http://x", RESTURL: "ws://x", Category: "dance", Symbols: []string{"BTC/USDT", "btcusdt"}, Depth: 11, Trades: true, RequestsPerMinute: -1},
			[]string{"ws://host", "http://host", "negative", `"dance"`, `"BTC/USDT"`, `"btcusdt"`, "depth 11"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bybit.New(tt.config)
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
