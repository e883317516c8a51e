package bitstamp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitstamp"
	"github.com/quotewire/quotewire/feeds/sim"
)

func connector(tb testing.TB, s *sim.Server, pairs ...string) *bitstamp.Connector {
	tb.Helper()
	c, err := bitstamp.New(bitstamp.Config{URL: s.URL(), Pairs: pairs})
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

func books(n int) func(f []string) bool {
	return func(f []string) bool { return count(f, "reply ", "/order_book/", `"bids"`) == n }
}

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "btcusd", "ethusd", "btcusd"), feeds.Policy{})
	l.await(t, "two books", books(2))
	want := []string{"diff_order_book_btcusd", "diff_order_book_ethusd", "live_trades_btcusd", "live_trades_ethusd"}
	l.await(t, "the subscriptions", func([]string) bool { return slices.Equal(s.Subscriptions(), want) })
	if got, want := s.Requests(), []string{"/api/v2/trading-pairs-info/", "/api/v2/order_book/btcusd/", "/api/v2/order_book/ethusd/"}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	m.Step(3 * time.Second)
	l.await(t, "changes and trades", func(f []string) bool {
		return count(f, "diff_order_book_ethusd", `"bids"`) > 0 && count(f, "live_trades", "price_str") > 0
	})
	frames := l.all()
	if frames[0] != "up" || count(frames[1:2], "reply ", "/trading-pairs-info/", `"url_symbol"`) != 1 {
		t.Errorf("the stream begins with %.200q", frames[:2])
	}
	ack := slices.IndexFunc(frames, func(f string) bool {
		return count([]string{f}, "subscription_succeeded", "diff_order_book_btcusd") == 1
	})
	book := slices.IndexFunc(frames, func(f string) bool { return count([]string{f}, "reply ", "/order_book/btcusd") == 1 })
	if ack < 0 || book < ack {
		t.Errorf("acknowledged at %d, book at %d", ack, book)
	}
}

func TestUnknownPairIsNamed(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "btcusd", "nosuch"), feeds.Policy{})
	l.await(t, "a book", books(1))
	if p := l.Status().Problems; !slices.Equal(p, []string{"no pair nosuch"}) {
		t.Errorf("problems %q", p)
	}
	l = supervise(t, connector(t, s, "nosuch"), feeds.Policy{})
	l.awaitState(t, feeds.StateRefused)
}

// A change that is lost shows in nothing: books are asked for again by and by.
func TestBooksAreRechecked(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	c, err := bitstamp.New(bitstamp.Config{URL: s.URL(), Pairs: []string{"btcusd"}, Recheck: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l := supervise(t, c, feeds.Policy{})
	l.await(t, "four books", func(f []string) bool { return count(f, "reply ", "/order_book/btcusd") >= 4 })
	if l.Status().Reconnects != 0 || len(l.Status().Problems) != 0 {
		t.Errorf("status %+v", l.Status())
	}
}

func TestReconnectsWhenAsked(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "btcusd"), feeds.Policy{InitialBackoff: time.Millisecond})
	l.await(t, "a book", books(1))
	farewell := `{"event":"bts:request_reconnect","channel":"","data":""}`
	s.SendRaw([]byte(farewell))
	l.await(t, "another book", books(2))
	frames := l.all()
	i := slices.Index(frames, "data "+farewell)
	if i < 0 || frames[i+1] != "down lost: the server asks us to reconnect" {
		t.Errorf("the request is followed by %q", frames[i+1:])
	}
}

func TestRefusalsAreProblems(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "btcusd"), feeds.Policy{})
	l.await(t, "a book", books(1))
	s.SendRaw([]byte(`{"event":"bts:error","channel":"","data":{"code":4009,"message":"Connection is unauthorized."}}`))
	l.await(t, "the problem", func([]string) bool { return len(l.Status().Problems) > 0 })
	if p := l.Status().Problems; !slices.Equal(p, []string{"Connection is unauthorized. (4009)"}) {
		t.Errorf("problems %q", p)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config bitstamp.Config
		errs   []string
	}{
		{"good", bitstamp.Config{Pairs: []string{"btcusd", "btcusd-perp"}, Channels: []string{bitstamp.OrderBook}}, nil},
		{"empty", bitstamp.Config{}, []string{"no pairs"}},
		{"all wrong", bitstamp.Config{URL: "http://x", RESTURL: "ws://x", Pairs: []string{"BTCUSD", "btc/usd"}, Channels: []string{"news"}, RequestsPerMinute: -1},
			[]string{"ws:// or wss", "http:// or https", `"BTCUSD"`, `"btc/usd"`, `no channel "news"`, "negative"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bitstamp.New(tt.config)
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
