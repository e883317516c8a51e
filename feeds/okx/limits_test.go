package okx_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/okx"
)

// superviseOver runs a feed of books against p, in a bubble.
func superviseOver(t *testing.T, p *feedtest.Peer, policy feeds.Policy, symbols ...string) *live {
	t.Helper()
	c, err := okx.New(okx.Config{URL: "ws://peer", Instruments: symbols, Channels: []string{okx.Books}, NetDial: p.Dial})
	if err != nil {
		t.Fatal(err)
	}
	l := supervise(t, c, policy)
	synctest.Wait()
	return l
}

// pong answers pings alone.
func pong(message string) []string {
	if message == "ping" {
		return []string{"pong"}
	}
	return nil
}

// requests returns what a peer heard beside pings.
func requests(p *feedtest.Peer) []feedtest.Heard {
	return slices.DeleteFunc(p.Heard(), func(h feedtest.Heard) bool { return h.Text == "ping" })
}

// OKX takes 480 requests an hour from a connection. A storm and then one repair
// every 18 s may go on for ever; with more of them the connection is replaced
// before the limit is reached.
func TestResyncsKeepToTheHour(t *testing.T) {
	for _, every := range []time.Duration{18 * time.Second, 17 * time.Second, 16 * time.Second, 14 * time.Second, 10 * time.Second} {
		t.Run(every.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := feedtest.NewPeer(t)
				p.Answer = pong
				l := superviseOver(t, p, feeds.Policy{Mute: -1, ResyncEvery: 1, ResyncGap: 1}, "A-USD")
				resync := func(n int, every time.Duration) {
					for range n {
						l.Resync("A-USD")
						time.Sleep(every)
					}
				}
				resync(29, time.Millisecond)
				resync(int(2*time.Hour/every), every)
				heard := requests(p)
				const perHour = 480
				for i := perHour; i < len(heard); i++ {
					if d := heard[i].At - heard[i-perHour].At; heard[i].Conn == heard[i-perHour].Conn && d < time.Hour {
						t.Fatalf("%d requests on a connection in %v", perHour+1, d)
					}
				}
				if n := l.Status().Reconnects; (n > 0) != (every < 18*time.Second) {
					t.Errorf("the connection was replaced %d times", n)
				}
			})
		})
	}
}

// Of two books that are asked for again one is refused. That is told, it is not
// asked for once more, and the other, whose fate is not known, is.
func TestRefusedResyncHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		acknowledges := true
		p.Answer = func(message string) (answers []string) {
			for _, symbol := range []string{"A-USD", "B-USD", "C-USD"} {
				if acknowledges && strings.Contains(message, `"subscribe"`) && strings.Contains(message, symbol) {
					answers = append(answers, fmt.Sprintf(`{"event":"subscribe","arg":{"channel":"books","instId":%q}}`, symbol))
				}
			}
			return append(answers, `{"event":"subscribe","arg":{"channel":"instruments","instType":"SPOT"}}`)
		}
		l := superviseOver(t, p, feeds.Policy{Mute: -1, ResyncGap: time.Millisecond}, "A-USD", "B-USD", "C-USD")
		acknowledges = false
		l.Resync("A-USD")
		l.Resync("B-USD")
		time.Sleep(time.Second)
		from := len(requests(p))
		const refusal = `{"event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:A-USD doesn't exist."}`
		p.Say(refusal)
		p.Say(refusal) // nothing is left to be refused
		time.Sleep(time.Second)
		var got []string
		for _, h := range requests(p)[from:] {
			got = append(got, h.Text)
		}
		if want := []string{`{"op":"subscribe","args":[{"channel":"books","instId":"B-USD"}]}`}; !slices.Equal(got, want) {
			t.Errorf("after the refusal we sent %q, want %q", got, want)
		}
		if st := l.Status(); st.State != feeds.StateLive || st.Reconnects != 0 ||
			!slices.Equal(st.Problems, []string{"Wrong URL or channel:books,instId:A-USD doesn't exist. (60018)"}) {
			t.Errorf("status %+v", st)
		}
	})
}

// OKX cuts a connection on which nothing comes for 30 s: in a market that stands
// still we ask whether it is there, and its answer keeps the feed from being taken
// for mute.
func TestQuietMarketIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		c, err := okx.New(okx.Config{URL: "ws://peer", Instruments: []string{"A-USD"}, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		feedtest.KeepsQuiet(t, p, c, "ping", "pong")
	})
}
