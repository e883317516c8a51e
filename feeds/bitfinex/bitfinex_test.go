package bitfinex_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitfinex"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, s *sim.Server, symbols ...string) *bitfinex.Connector {
	tb.Helper()
	c, err := bitfinex.New(bitfinex.Config{URL: s.URL() + "/ws/2", Symbols: symbols, Book: true, Trades: true})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// books sorts the data of books by symbol: channels have a number of their own in
// each connection and subscription, and messages in each connection. What is
// returned is what they say beside these.
func books(frames []string) (images, changes map[string][]string) {
	images, changes = map[string][]string{}, map[string][]string{}
	channels := map[string]string{}
	data := regexp.MustCompile(`^data \[(\d+),(\[.*\]),\d+\]$`)
	for _, f := range frames {
		if m := data.FindStringSubmatch(f); m != nil && channels[m[1]] != "" {
			if strings.HasPrefix(m[2], "[[") {
				images[channels[m[1]]] = append(images[channels[m[1]]], m[2])
			} else {
				changes[channels[m[1]]] = append(changes[channels[m[1]]], m[2])
			}
			continue
		}
		var e struct {
			Event, Channel, Symbol string
			ChanID                 json.Number `json:"chanId"`
		}
		text, ok := strings.CutPrefix(f, "data {")
		if ok && json.Unmarshal([]byte("{"+text), &e) == nil && e.Event == "subscribed" && e.Channel == "book" {
			channels[e.ChanID.String()] = e.Symbol
		}
	}
	return images, changes
}

func imagesOf(frames []string, symbol string) int {
	images, _ := books(frames)
	return len(images[symbol])
}

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "tBTCUSD", "tETHUSD", "tBTCUSD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return imagesOf(f, "tBTCUSD") == 1 && imagesOf(f, "tETHUSD") == 1 })
	want := []string{"book:tBTCUSD", "book:tETHUSD", "trades:tBTCUSD", "trades:tETHUSD"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	m.Step(2 * time.Second)
	l.await(t, "changes, trades and checksums", func(f []string) bool {
		_, changes := books(f)
		return len(changes["tBTCUSD"]) > 0 && len(changes["tETHUSD"]) > 0 &&
			slices.ContainsFunc(f, func(s string) bool { return strings.Contains(s, `,"te",[`) }) &&
			slices.ContainsFunc(f, func(s string) bool { return strings.Contains(s, `,"cs",`) })
	})
	frames := l.all()
	if frames[0] != "up" || !strings.Contains(frames[1], `"event":"info"`) || !strings.Contains(frames[2], `"event":"conf"`) {
		t.Errorf("the stream begins with %.100q", frames[:3])
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestUnknownSymbolHarmsNoOther(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "tBTCUSD", "tNOPEUSD", "tETHUSD"), feeds.Policy{})
	l.await(t, "two books", func(f []string) bool { return imagesOf(f, "tBTCUSD") == 1 && imagesOf(f, "tETHUSD") == 1 })
	l.await(t, "the problem", func([]string) bool {
		return slices.Contains(l.Status().Problems, "book tNOPEUSD: symbol: invalid (10300)")
	})
	if l.Status().State != feeds.StateLive {
		t.Errorf("status %+v", l.Status())
	}
}

// One symbol's resync is a new image of it, and nothing else for anybody: the
// other symbol's messages are those that a feed without a resync gets.
func TestResyncTouchesOneSymbol(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "tBTCUSD", "tETHUSD"), feeds.Policy{})
	control := supervise(t, connector(t, s, "tBTCUSD", "tETHUSD"), feeds.Policy{})
	for _, l := range []*live{l, control} {
		l.await(t, "two books", func(f []string) bool { return imagesOf(f, "tBTCUSD") == 1 && imagesOf(f, "tETHUSD") == 1 })
	}
	m.Step(time.Second)
	for range 10 {
		l.Resync("tBTCUSD")
	}
	l.await(t, "a third book", func(f []string) bool { return imagesOf(f, "tBTCUSD") == 2 })
	m.Step(time.Second)
	last := []byte(`{"event":"info","code":1}`)
	s.SendRaw(last)
	for _, l := range []*live{l, control} {
		l.await(t, "the last message", func(f []string) bool { return slices.Contains(f, "data "+string(last)) })
	}
	images, changes := books(l.all())
	wantImages, wantChanges := books(control.all())
	if !slices.Equal(changes["tETHUSD"], wantChanges["tETHUSD"]) || len(changes["tETHUSD"]) < 10 || len(images["tETHUSD"]) != len(wantImages["tETHUSD"]) {
		t.Errorf("the other symbol has %d messages, without a resync %d", len(changes["tETHUSD"]), len(wantChanges["tETHUSD"]))
	}
	got, want := changes["tBTCUSD"], wantChanges["tBTCUSD"]
	if len(got) < 10 || !slices.Equal(got[len(got)-5:], want[len(want)-5:]) {
		t.Error("after its image the symbol does not have the changes of the other feed")
	}
	if s.Accepted() != 2 || slices.Contains(l.all()[1:], "up") {
		t.Error("the connection was replaced")
	}
	if st := l.Status(); st.Resyncs != 1 || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
	// Once more: the channel has another number now.
	control.Resync("tETHUSD")
	control.await(t, "its book again", func(f []string) bool { return imagesOf(f, "tETHUSD") == 2 })
}

func TestFaults(t *testing.T) {
	patient := feeds.Policy{InitialBackoff: 10 * time.Millisecond, Mute: -1, ConnectTimeout: 3 * time.Second}
	quick := patient
	quick.Mute = 300 * time.Millisecond
	raw := func(text string) func(*sim.Server) {
		return func(s *sim.Server) { s.SendRaw([]byte(text)) }
	}
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
		{"oversized", patient, func(s *sim.Server) { s.SendRaw(make([]byte, 5<<20)) }, nil, "down oversized: "},
		{"restart", patient, func(s *sim.Server) { s.RefuseConnections(true); s.Kill() }, func(s *sim.Server) { s.RefuseConnections(false) }, "down lost: "},
		{"asked to reconnect", patient, raw(`{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}`), nil, "down lost: info 20051"},
		{"maintenance ended", patient, raw(`{"event":"info","code":20061,"msg":"Maintenance ended"}`), nil, "down lost: info 20061"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newServer(t, sim.Config{})
			l := supervise(t, connector(t, s, "tBTCUSD"), tt.policy)
			l.await(t, "a book", func(f []string) bool { return imagesOf(f, "tBTCUSD") > 0 })
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
			l.await(t, "another book", func(f []string) bool { return imagesOf(f[down:], "tBTCUSD") > 0 })
			if !slices.Contains(l.all()[down:], "up") {
				t.Error("no up after down")
			}
		})
	}
}

// Until a provider that accepts says something, the feed is not up.
func TestMuteFromTheStart(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	s.Mute(true)
	l := supervise(t, connector(t, s, "tBTCUSD"), feeds.Policy{ConnectTimeout: 200 * time.Millisecond})
	l.awaitState(t, feeds.StateDown)
	if got, want := l.all(), []string{"down lost: not signed in within 200ms"}; !slices.Equal(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
}

func TestValidate(t *testing.T) {
	many := make([]string, 13)
	for i := range many {
		many[i] = "tAAA" + string(rune('A'+i)) + "USD"
	}
	for _, tt := range []struct {
		name   string
		config bitfinex.Config
		errs   []string
	}{
		{"good", bitfinex.Config{Symbols: []string{"tBTCUSD", "tDOGE:USD"}, Book: true, Depth: 250}, nil},
		{"empty", bitfinex.Config{}, []string{"no symbols", "neither book nor trades"}},
		{"all wrong", bitfinex.Config{URL: "http://x", Symbols: []string{"BTCUSD", "tBTC"}, Depth: 11, Trades: true},
			[]string{"ws://host", `"BTCUSD"`, `"tBTC"`, "depth 11"}},
		{"too many", bitfinex.Config{Symbols: many, Book: true, Trades: true}, []string{"26 channels are more than the 25"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bitfinex.New(tt.config)
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
