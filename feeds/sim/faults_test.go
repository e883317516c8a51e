package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var providers = []string{"polygon", "coinbase", "kraken"}

// subscribed opens a connection of any provider that holds books and trades of
// everything.
func subscribed(t testing.TB, s *Server) *client {
	t.Helper()
	m := s.market
	switch s.cfg.Provider {
	case "polygon":
		c := dial(t, s.URL()+"/crypto")
		c.send(`{"action":"auth","params":"key"}`)
		c.send(`{"action":"subscribe","params":"XT.*,XQ.*,XL2.BTC-USD"}`)
		c.wantPart("connected")
		c.wantPart("auth_success")
		c.wantPart("XL2")
		return c
	case "coinbase":
		c := dial(t, s.URL())
		c.send(fmt.Sprintf(`{"type":"subscribe","product_ids":[%s],"channels":["level2_batch","matches","heartbeat"]}`, list(m.Symbols(Coinbase), same)))
		c.wantPart("subscriptions")
		return c
	default:
		c := dial(t, s.URL())
		c.wantPart("status")
		for _, ch := range []string{`"book","depth":10`, `"book","depth":100`, `"trade"`} {
			c.send(fmt.Sprintf(`{"method":"subscribe","params":{"channel":%s,"symbol":[%s]}}`, ch, list(m.Symbols(Kraken), krakenSymbol)))
			c.wantPart("success")
		}
		waitFor(t, "subscriptions", func() bool { return len(s.Subscriptions()) == 3*len(m.Symbols(Kraken)) })
		return c
	}
}

func each(t *testing.T, f func(t *testing.T, m *Market, s *Server)) {
	for _, p := range providers {
		t.Run(p, func(t *testing.T) {
			m := newMarket(t, 99)
			f(t, m, newServer(t, Config{Provider: p, Market: m}))
		})
	}
}

func TestSameStepsSameFrames(t *testing.T) {
	each(t, func(t *testing.T, m *Market, s *Server) {
		run := func(m *Market, s *Server) (string, int) {
			c := subscribed(t, s)
			h, n := sha256.New(), 0
			for i := range 40 {
				m.Step(time.Duration(i) * 3 * time.Millisecond)
				for _, f := range c.until(s) {
					fmt.Fprintf(h, "%s\n", f)
					n++
				}
			}
			return fmt.Sprintf("%x", h.Sum(nil)), n
		}
		one, n := run(m, s)
		m2 := newMarket(t, 99)
		if two, _ := run(m2, newServer(t, Config{Provider: s.cfg.Provider, Market: m2})); one != two || n < 100 {
			t.Fatalf("%s and %s of %d frames", one, two, n)
		}
	})
}

func TestKill(t *testing.T) {
	each(t, func(t *testing.T, m *Market, s *Server) {
		a, b := subscribed(t, s), dial(t, s.URL()+"/stocks")
		waitFor(t, "two connections", func() bool { return s.Connections() == 2 })
		s.Kill()
		if n := s.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
		if n := len(s.Subscriptions()); n != 0 {
			t.Errorf("%d subscriptions", n)
		}
		for _, c := range []*client{a, b} {
			if code := c.ended(); code != 0 {
				t.Errorf("closed with %d", code)
			}
		}
		m.Step(20 * time.Millisecond)
		subscribed(t, s) // and it serves again
		if n := s.Accepted(); n != 3 {
			t.Errorf("accepted %d", n)
		}
	})
}

func TestCloseAll(t *testing.T) {
	each(t, func(t *testing.T, _ *Market, s *Server) {
		c := subscribed(t, s)
		s.CloseAll(websocket.CloseServiceRestart)
		if code := c.ended(); code != websocket.CloseServiceRestart {
			t.Errorf("code %d", code)
		}
	})
}

func TestEvict(t *testing.T) {
	each(t, func(t *testing.T, _ *Market, s *Server) {
		c := subscribed(t, s)
		c.until(s)
		s.Evict()
		if s.cfg.Provider == "polygon" {
			c.wantPart("max_connections")
		}
		if code := c.ended(); code != websocket.ClosePolicyViolation {
			t.Errorf("code %d", code)
		}
	})
}

func TestRefuseConnections(t *testing.T) {
	each(t, func(t *testing.T, m *Market, s *Server) {
		c := subscribed(t, s)
		s.RefuseConnections(true)
		_, resp, err := websocket.DefaultDialer.Dial(s.URL()+"/stocks", nil)
		if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("%v, %v", resp, err)
		}
		c.until(s)
		m.Step(time.Second)
		if len(c.until(s)) == 0 {
			t.Error("the open connection fell silent")
		}
		s.RefuseConnections(false)
		dial(t, s.URL()+"/stocks")
	})
}

func TestMute(t *testing.T) {
	each(t, func(t *testing.T, m *Market, s *Server) {
		c := subscribed(t, s)
		c.until(s)
		pongs := 0
		c.ws.SetPongHandler(func(string) error { pongs++; return nil })
		s.Mute(true)
		m.Step(3 * time.Second)
		if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		silent := dial(t, s.URL()+"/stocks") // accepted, never greeted
		waitFor(t, "the second connection", func() bool { return s.Connections() == 2 })
		if frames := c.until(s); len(frames) != 0 {
			t.Errorf("%d frames while mute, the first %.100s", len(frames), frames[0])
		}
		if frames := silent.until(s); len(frames) != 0 {
			t.Errorf("greeted: %s", frames[0])
		}
		c.until(s) // the sentinel of the one before
		s.Mute(false)
		m.Step(time.Second)
		if len(c.until(s)) == 0 {
			t.Error("still mute")
		}
		waitFor(t, "pong", func() bool { c.until(s); return pongs == 1 })
	})
}

func TestCorruptChecksum(t *testing.T) {
	m, s, c := openKraken(t, 42)
	c.send(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"]}}`)
	c.wantPart("success")
	c.wantPart("success")
	k := &krakenBooks{depth: 10, books: map[string]*textBook{}}
	for i := range 20 {
		if i == 10 {
			s.CorruptChecksum("BTC/USD")
		}
		m.Step(50 * time.Millisecond)
		for _, f := range c.until(s) {
			before := k.mismatched
			k.apply(t, f)
			if k.mismatched != before && !strings.Contains(string(f), "BTC/USD") {
				t.Fatalf("the wrong symbol: %s", f)
			}
		}
	}
	if k.mismatched != 1 {
		t.Fatalf("%d checksums wrong, %d right", k.mismatched, k.matched)
	}
}

func TestDropNext(t *testing.T) {
	run := func(s *Server, drop int) map[string]int {
		c := subscribed(t, s)
		for _, m := range []string{"BTC-USD", "BTC/USD"} {
			s.DropNext(m, 0)
		}
		s.DropNext("BTC/USD", drop)
		c.until(s)
		s.market.Step(500 * time.Millisecond)
		n := map[string]int{}
		for _, f := range c.until(s) {
			msgs := []string{string(f)}
			if s.cfg.Provider == "polygon" {
				msgs = strings.Split(string(f), `},{`)
			}
			for _, m := range msgs {
				book := strings.Contains(m, `"XQ"`) || strings.Contains(m, `"XL2"`) || strings.Contains(m, "l2update") || strings.Contains(m, `"book"`)
				btc := strings.Contains(m, "BTC")
				n[fmt.Sprint(book, btc)]++
			}
		}
		return n
	}
	for _, p := range providers {
		t.Run(p, func(t *testing.T) {
			var got [2]map[string]int
			for i, drop := range []int{0, 3} {
				m := newMarket(t, 31)
				got[i] = run(newServer(t, Config{Provider: p, Market: m}), drop)
			}
			if a, b := got[0]["true true"], got[1]["true true"]; b != a-3 || a < 5 {
				t.Errorf("%d messages of the book without, %d with", a, b)
			}
			for _, k := range []string{"true false", "false true", "false false"} {
				if got[0][k] != got[1][k] {
					t.Errorf("others: %v, %v", got[0], got[1])
				}
			}
		})
	}
}

func TestSendRaw(t *testing.T) {
	each(t, func(t *testing.T, _ *Market, s *Server) {
		c := subscribed(t, s)
		c.until(s)
		big := []byte(strings.Repeat("x", 3<<20))
		for _, raw := range [][]byte{[]byte(`{"truncated":`), {}, big} {
			s.SendRaw(raw)
			if got := c.next(); !slices.Equal(got, raw) {
				t.Errorf("%d bytes came of %d", len(got), len(raw))
			}
		}
	})
}

// TestSlowIsCut: a client that does not read is cut once its queue is full, and
// the others do not notice.
func TestSlowIsCut(t *testing.T) {
	each(t, func(t *testing.T, m *Market, _ *Server) {
		s := newServer(t, Config{Provider: t.Name()[len("TestSlowIsCut/"):], Market: m, QueueBytes: 4 << 20, MaxConnections: 2})
		subscribed(t, s) // never reads again
		good := dial(t, s.URL()+"/stocks")
		waitFor(t, "both connections", func() bool { return s.Connections() == 2 })
		good.until(s)
		for i := 0; s.SlowCuts() == 0; i++ {
			if i > 100 {
				t.Fatal("never cut")
			}
			m.Step(100 * time.Millisecond)
			s.SendRaw(make([]byte, 1<<20))
			good.until(s)
		}
		waitFor(t, "the slow one to leave", func() bool { return s.Connections() == 1 })
		good.until(s)
	})
}

// TestFaultsWhileRunning has everything happen at once, for the race detector,
// and Close find all goroutines.
func TestFaultsWhileRunning(t *testing.T) {
	before, began := runtime.NumGoroutine(), time.Now()
	m := newMarket(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	var servers []*Server
	for _, p := range providers {
		s := newServer(t, Config{Provider: p, Market: m})
		servers = append(servers, s)
		for range 3 {
			wg.Go(func() {
				for ctx.Err() == nil {
					ws, _, err := websocket.DefaultDialer.Dial(s.URL()+"/crypto", nil)
					if err != nil {
						continue
					}
					ws.WriteMessage(websocket.TextMessage, []byte(`{"action":"auth","params":"k"}`))
					ws.WriteMessage(websocket.TextMessage, []byte(`{"action":"subscribe","params":"XQ.*"}`))
					ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2"]}`))
					ws.WriteMessage(websocket.TextMessage, []byte(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}`))
					for {
						if _, _, err := ws.ReadMessage(); err != nil {
							break
						}
					}
					ws.Close()
				}
			})
		}
		faults := []func(){s.Kill, s.Evict, func() { s.CloseAll(1001) }, func() { s.Mute(true) }, func() { s.Mute(false) },
			func() { s.DropNext("BTC-USD", 2) }, func() { s.CorruptChecksum("BTC-USD") }, func() { s.SendRaw([]byte("x")) },
			func() { s.RefuseConnections(true) }, func() { s.RefuseConnections(false) }, func() { s.Subscriptions() }}
		wg.Go(func() {
			tick := time.NewTicker(3 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-tick.C
				faults[i%len(faults)]()
			}
		})
	}
	waitFor(t, "300 ms of market time", func() bool { return m.Now().Sub(start) > 300*time.Millisecond })
	if wall := time.Since(began); m.Now().Sub(start) > wall+time.Second {
		t.Errorf("the market is ahead of the clock after %v", wall)
	}
	for _, s := range servers[:2] {
		s.Close() // while all goes on
	}
	cancel()
	servers[2].Close()
	wg.Wait()
	for _, s := range servers {
		if n := s.Connections(); n != 0 {
			t.Errorf("%d connections after Close", n)
		}
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestConfigOfServerRefused(t *testing.T) {
	if _, err := NewServer(Config{Provider: "polygon"}); err == nil {
		t.Error("no market: accepted")
	}
	if _, err := NewServer(Config{Provider: "nasdaq", Market: newMarket(t, 1)}); err == nil {
		t.Error("unknown provider: accepted")
	}
	s, err := NewServer(Config{Provider: "kraken", Market: newMarket(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen("256.0.0.1:0"); err == nil || s.URL() != "" {
		t.Error("listens nowhere")
	}
	s.Close()
}
