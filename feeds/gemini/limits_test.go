package gemini_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/feeds/gemini"
)

// superviseOver runs a feed against p, in a bubble.
func superviseOver(t *testing.T, p *feedtest.Peer, policy feeds.Policy, symbols ...string) *live {
	t.Helper()
	p.REST = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }
	c, err := gemini.New(gemini.Config{URL: "ws://peer", Symbols: symbols, NetDial: p.Dial})
	if err != nil {
		t.Fatal(err)
	}
	l := supervise(t, c, policy)
	synctest.Wait()
	return l
}

// sent returns what went out over the stream.
func sent(p *feedtest.Peer) (out []string) {
	for _, h := range p.Heard() {
		if h.Conn >= 0 {
			out = append(out, h.Text)
		}
	}
	return out
}

func request(typ, symbol string) string {
	return fmt.Sprintf(`{"type":%q,"subscriptions":[{"name":"l2","symbols":[%q]}]}`, typ, symbol)
}

// Each symbol is asked for alone, as Gemini spells it, and a book again by leaving
// it first.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		l := superviseOver(t, p, feeds.Policy{Mute: -1}, "ethusd", "BTCUSD")
		l.Resync("ETHUSD")
		synctest.Wait()
		want := []string{request("subscribe", "BTCUSD"), request("subscribe", "ETHUSD"), request("unsubscribe", "ETHUSD"), request("subscribe", "ETHUSD")}
		if got := sent(p); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		l.stop()
		if n := p.Open(); n != 0 {
			t.Errorf("%d connections are left open", n)
		}
	})
}

// Details are asked for one by one: Gemini takes a request a second, and queues five.
func TestDetailsKeepToTheirBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		symbols := make([]string, 60)
		for i := range symbols {
			symbols[i] = fmt.Sprintf("A%02dUSD", i)
		}
		p := feedtest.NewPeer(t)
		superviseOver(t, p, feeds.Policy{Mute: -1}, symbols...)
		time.Sleep(time.Minute)
		n := 0
		for _, h := range p.Heard() {
			if h.Conn >= 0 {
				continue
			}
			if soonest := time.Duration(n-4) * time.Second; h.At < soonest {
				t.Fatalf("request %d came after %v, want %v or later", n, h.At, soonest)
			}
			n++
		}
		if n != len(symbols) {
			t.Errorf("%d requests in a minute, want %d", n, len(symbols))
		}
	})
}

// The wait for an image begins when the book is first asked for again, however often
// that is repeated; then the connection is given up.
func TestImageThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		l := superviseOver(t, p, feeds.Policy{ResyncEvery: 1, InitialBackoff: time.Hour}, "BTCUSD")
		began := time.Now()
		for l.Status().State == feeds.StateLive && time.Since(began) < time.Minute {
			l.Resync("BTCUSD")
			p.Say(`{"type":"heartbeat","timestamp":1}`)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if d := time.Since(began); d < 8*time.Second || d > 12*time.Second {
			t.Errorf("given up after %v", d)
		}
		if f := l.all(); f[len(f)-1] != "down lost: no book of BTCUSD came 8s after it was asked for" {
			t.Errorf("the stream ends with %q", f[len(f)-1])
		}
	})
}

// The first message of a busy book has many megabytes.
func TestLargeImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		l := superviseOver(t, p, feeds.Policy{Mute: -1}, "BTCUSD")
		large := `{"type":"l2_updates"` + strings.Repeat(" ", 30<<20) + `}`
		p.Say(large)
		time.Sleep(2 * time.Second)
		if f := l.all(); !slices.Contains(f, "data "+large) {
			t.Errorf("the stream ends with %.100q", f[len(f)-1])
		}
	})
}

// muteConn cannot be written to, but for the upgrade.
type muteConn struct {
	net.Conn
	writes int
}

func (c *muteConn) Write(b []byte) (int, error) {
	if c.writes++; c.writes > 1 {
		return 0, errors.New("broken")
	}
	return c.Conn.Write(b)
}

// A connection that breaks while it is subscribed is closed.
func TestBrokenWhileSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		c, err := gemini.New(gemini.Config{URL: "ws://peer", Symbols: []string{"BTCUSD"}, NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := p.Dial(ctx, network, addr)
			return &muteConn{Conn: conn}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Connect(t.Context(), &feeds.Attempt{}); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("got %v", err)
		}
		if n := p.Open(); n != 0 {
			t.Errorf("%d connections are left open", n)
		}
	})
}
