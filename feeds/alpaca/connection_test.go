package alpaca_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/alpaca"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

const (
	connected     = `[{"T":"success","msg":"connected"}]`
	authenticated = `[{"T":"success","msg":"authenticated"}]`
)

// superviseOver runs a feed against p, in a bubble.
func superviseOver(t *testing.T, p *feedtest.Peer, c alpaca.Config, policy feeds.Policy) *live {
	t.Helper()
	c.URL, c.NetDial = "ws://peer", p.Dial
	l := supervise(t, connector(t, c), policy)
	synctest.Wait()
	return l
}

// signsIn makes p greet and accept every key.
func signsIn(p *feedtest.Peer) {
	p.Greet = func() []string { return []string{connected} }
	p.Answer = func(message string) []string {
		if strings.Contains(message, `"auth"`) {
			return []string{authenticated}
		}
		return nil
	}
}

// told returns what was heard from a place on.
func told(p *feedtest.Peer, from int) (out []string) {
	for _, h := range p.Heard()[from:] {
		out = append(out, h.Text)
	}
	return out
}

// Nothing is sent before its turn, and the subscription names each symbol once, of
// the channels that the feed has unless told otherwise.
func TestSignsInStepByStep(t *testing.T) {
	for _, tt := range []struct {
		config    alpaca.Config
		subscribe string
	}{
		{alpaca.Config{Symbols: []string{"B", "A", "B"}}, `{"action":"subscribe","quotes":["A","B"],"statuses":["A","B"],"trades":["A","B"]}`},
		{alpaca.Config{Feed: "crypto", Symbols: []string{"A/B"}}, `{"action":"subscribe","orderbooks":["A/B"],"trades":["A/B"]}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := feedtest.NewPeer(t)
			l := superviseOver(t, p, tt.config, policy)
			for _, step := range []struct{ say, want string }{
				{"", ""},
				{connected, `{"action":"auth","key":"THEKEY","secret":"TOPSECRET"}`},
				{authenticated, tt.subscribe},
			} {
				from := len(p.Heard())
				if step.say != "" {
					p.Say(step.say)
				}
				time.Sleep(time.Second)
				if got := strings.Join(told(p, from), " "); got != step.want {
					t.Errorf("after %q we sent %q, want %q", step.say, got, step.want)
				}
			}
			if l.Status().State != feeds.StateLive {
				t.Errorf("status %+v", l.Status())
			}
		})
	}
}

// MessagePack goes out as what it is.
func TestPackedRequestsAreBinary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		p.Greet = func() []string { return []string{connected} } // in JSON, which is heard too
		superviseOver(t, p, alpaca.Config{MessagePack: true}, policy)
		if h := p.Heard(); len(h) != 1 || !h[0].Binary || h[0].Text[0]&0xf0 != 0x80 {
			t.Errorf("sent %+v", h)
		}
	})
}

// Which feed it is, is told by the address, without the key.
func TestUpTellsTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		signsIn(p)
		c := connector(t, alpaca.Config{URL: "ws://peer/", Feed: "delayed_sip", NetDial: p.Dial})
		conn, err := c.Connect(t.Context(), &feeds.Attempt{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := conn.(interface{ URL() string }).URL(); got != "ws://peer/v2/delayed_sip" {
			t.Errorf("up with %q", got)
		}
	})
}

// A closed market is silent by right, and so is one that was not busy. Who no longer
// answers pings is gone; so is a busy feed that falls silent, after Mute.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		signsIn(p)
		l := superviseOver(t, p, alpaca.Config{}, feeds.Policy{})
		downs := func() (n int, last string) {
			for _, f := range l.all() {
				if strings.HasPrefix(f, "down") {
					n, last = n+1, f
				}
			}
			return n, last
		}
		time.Sleep(2 * time.Hour)
		if n, last := downs(); n != 0 {
			t.Fatalf("a quiet market: %s", last)
		}
		p.Deaf.Store(true)
		gone := time.Now()
		n, last := 0, ""
		for ; n == 0 && time.Since(gone) < 30*time.Second; n, last = downs() {
			time.Sleep(time.Second)
		}
		if n != 1 || last != "down mute: no answer to a ping for 10s" {
			t.Fatalf("a peer that is gone: %d, %q", n, last)
		}
		p.Deaf.Store(false)
		time.Sleep(10 * time.Second)
		for range 60 {
			p.Say(`[{"T":"t"}]`)
			time.Sleep(time.Second)
		}
		time.Sleep(50 * time.Second)
		if n, last := downs(); n != 1 {
			t.Fatalf("50 s of silence: %s", last)
		}
		time.Sleep(20 * time.Second)
		if n, last := downs(); n != 2 || last != "down mute: no message for 1m0s" {
			t.Errorf("70 s of silence: %d, %q", n, last)
		}
	})
}

// Errors that are about the connection end it, also when it is up.
func TestErrorsOfALiveConnection(t *testing.T) {
	for code, want := range map[int]string{401: "lost", 404: "lost", 406: "evicted", 409: "refused", 500: "lost", 410: "", 405: ""} {
		synctest.Test(t, func(t *testing.T) {
			p := feedtest.NewPeer(t)
			signsIn(p)
			l := superviseOver(t, p, alpaca.Config{}, feeds.Policy{Mute: -1, InitialBackoff: time.Hour})
			text := fmt.Sprintf("%d told so", code)
			message := fmt.Sprintf(`[{"T":"error","code":%d,"msg":"told so"}]`, code)
			from := len(l.all())
			p.Say(message)
			time.Sleep(time.Second)
			frames, problems := []string{"data " + message}, []string{text}
			if want != "" {
				frames, problems = append(frames, "down "+want+": "+text), nil
			}
			if got := l.all()[from:]; !slices.Equal(got, frames) || !slices.Equal(l.Status().Problems, problems) {
				t.Errorf("%d: frames %q, problems %q", code, got, l.Status().Problems)
			}
		})
	}
}

// listing is what the server says is subscribed.
func listing(t *testing.T, lists map[string][]string) string {
	t.Helper()
	m := map[string]any{"T": "subscription"}
	for name, symbols := range lists {
		m[name] = symbols
	}
	b, err := json.Marshal([]any{m}) // T comes first by its letter
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A listing without one of our books is a problem, but for the moment in which that
// book is being asked for again; anything else that is missing then is one all the
// same.
func TestListings(t *testing.T) {
	both, one := []string{"A/B", "C/D"}, []string{"A/B"}
	for _, tt := range []struct {
		name     string
		resync   bool
		listings []map[string][]string
		problems []string
	}{
		{"all", false, []map[string][]string{{"trades": both, "orderbooks": both}}, nil},
		{"a book is missing", false, []map[string][]string{{"trades": both, "orderbooks": one}}, []string{"not subscribed: orderbooks C/D"}},
		{"a book is out for a resync", true, []map[string][]string{{"trades": both, "orderbooks": one}}, nil},
		{"trades are missing then", true, []map[string][]string{{"trades": one, "orderbooks": one}}, []string{"not subscribed: trades C/D, orderbooks C/D"}},
		{"a book is missing after a resync", true, []map[string][]string{{"trades": both, "orderbooks": one}, {"trades": both, "orderbooks": both}, {"trades": both, "orderbooks": one}},
			[]string{"not subscribed: orderbooks C/D"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := feedtest.NewPeer(t)
				signsIn(p)
				l := superviseOver(t, p, alpaca.Config{Feed: "crypto", Symbols: both}, policy)
				if tt.resync {
					l.Resync("C/D")
					synctest.Wait()
				}
				for _, lists := range tt.listings {
					p.Say(listing(t, lists))
				}
				synctest.Wait()
				if got := l.Status().Problems; !slices.Equal(got, tt.problems) {
					t.Errorf("problems %q, want %q", got, tt.problems)
				}
			})
		})
	}
}

func TestManyMissingSubscriptionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		signsIn(p)
		c := alpaca.Config{Channels: []string{"trades"}}
		for i := range 13 {
			c.Symbols = append(c.Symbols, fmt.Sprintf("S%02d", i))
		}
		l := superviseOver(t, p, c, policy)
		p.Say(`[{"T":"subscription","trades":[]}]`)
		synctest.Wait()
		want := []string{"not subscribed: trades S00, trades S01, trades S02, trades S03, trades S04, trades S05, trades S06, trades S07, trades S08, trades S09 and 3 more"}
		if got := l.Status().Problems; !slices.Equal(got, want) {
			t.Errorf("problems %q, want %q", got, want)
		}
	})
}

// A book is asked for again by the name that it was subscribed by; a feed without
// books asks for nothing.
func TestResyncsByName(t *testing.T) {
	for _, tt := range []struct {
		config alpaca.Config
		want   []string
	}{
		{alpaca.Config{Feed: "crypto", Symbols: []string{"A/B", "C/D"}}, []string{`{"action":"unsubscribe","orderbooks":["C/D"]}`, `{"action":"subscribe","orderbooks":["C/D"]}`}},
		{alpaca.Config{Feed: "crypto", Symbols: []string{"*"}}, []string{`{"action":"unsubscribe","orderbooks":["*"]}`, `{"action":"subscribe","orderbooks":["*"]}`}},
		{alpaca.Config{Feed: "crypto", Symbols: []string{"C/D"}, Channels: []string{"trades"}}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := feedtest.NewPeer(t)
			signsIn(p)
			l := superviseOver(t, p, tt.config, policy)
			from := len(p.Heard())
			l.Resync("C/D")
			synctest.Wait()
			if got := told(p, from); !slices.Equal(got, tt.want) || l.Status().Resyncs > 0 != (tt.want != nil) {
				t.Errorf("sent %q, want %q; %d resyncs", got, tt.want, l.Status().Resyncs)
			}
		})
	}
}

// A busy open has messages of many megabytes.
func TestLargeMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		signsIn(p)
		l := superviseOver(t, p, alpaca.Config{}, policy)
		large := `[{"T":"o"` + strings.Repeat(" ", 15<<20) + `}]`
		p.Say(large)
		time.Sleep(time.Second)
		if f := l.all(); f[len(f)-1] != "data "+large {
			t.Errorf("after it comes %.100q", f[len(f)-1])
		}
	})
}
