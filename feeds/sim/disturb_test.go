package sim

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// updates lets the market run for d in small steps and returns the book changes
// that a Kraken client got, after what is still on its way has come.
func updates(t *testing.T, s *Server, m *Market, c *client, d time.Duration) (frames []string) {
	t.Helper()
	for ; d > 0; d -= 10 * time.Millisecond {
		m.Step(10 * time.Millisecond)
	}
	s.Lag(0)
	s.Stall(false)
	s.market.mu.Lock()
	s.deliver(s.market.now + int64(time.Minute))
	s.market.mu.Unlock()
	for _, b := range c.until(s) {
		frames = append(frames, string(b))
	}
	return frames
}

// disturbed returns what two clients of equal markets get, one of them over a
// server with a fault.
func disturbed(t *testing.T, order func(*Server), d time.Duration) (want, got []string) {
	t.Helper()
	for i := range 2 {
		m, err := NewMarket(MarketConfig{Seed: 5, Start: start, Stocks: []StockSpec{}, Cryptos: DefaultCryptos()[:1]})
		if err != nil {
			t.Fatal(err)
		}
		s, dial := pipeServer(t, Config{Provider: "kraken", Market: m})
		c := dial("/v2")
		c.send(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}`)
		for range 3 { // status, ack, snapshot
			c.next()
		}
		if i == 0 {
			want = updates(t, s, m, c, d)
			continue
		}
		order(s)
		got = updates(t, s, m, c, d)
	}
	if len(want) < 20 {
		t.Fatalf("only %d updates in %v", len(want), d)
	}
	return want, got
}

// TestDisturbances orders each fault of the way and compares with what comes
// without it.
func TestDisturbances(t *testing.T) {
	const symbol = "BTC/USD"
	for _, test := range []struct {
		name  string
		order func(*Server)
		want  func(frames []string) []string
	}{
		{"duplicate", func(s *Server) { s.DuplicateNext(symbol, 2) }, func(f []string) []string {
			return slices.Insert(f, 1, f[0], f[1]) // 0 0 1 1 2
		}},
		{"swap", func(s *Server) { s.SwapNext(symbol) }, func(f []string) []string {
			f[0], f[1] = f[1], f[0]
			return f
		}},
		{"truncate", func(s *Server) { s.TruncateNext(symbol, 1) }, func(f []string) []string {
			f[0] = f[0][:len(f[0])/2]
			return f
		}},
		{"lag", func(s *Server) { s.Lag(200 * time.Millisecond) }, func(f []string) []string { return f }},
		{"stall", func(s *Server) { s.Stall(true) }, func(f []string) []string { return f }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, got := disturbed(t, test.order, time.Second)
				if want = test.want(want); !slices.Equal(got, want) {
					t.Errorf("got %d frames, want %d; first difference %s", len(got), len(want), firstDifference(got, want))
				}
			})
		})
	}
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%d: %s, want %s", i, a[i], b[i])
		}
	}
	return "at the end"
}

// TestLateMessages delays one change and repeats another: others overtake them.
func TestLateMessages(t *testing.T) {
	for _, test := range []struct {
		name   string
		order  func(*Server)
		copies int
	}{
		{"delay", func(s *Server) { s.DelayNext("BTC-USD", 100*time.Millisecond) }, 1},
		{"repeat", func(s *Server) { s.RepeatNext("BTC-USD", 100*time.Millisecond) }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, got := disturbed(t, test.order, time.Second)
				late := want[0]
				if i := slices.Index(got[1:], late); i < 3 {
					t.Errorf("the late message came as number %d", i+1)
				}
				rest := slices.DeleteFunc(slices.Clone(got), func(f string) bool { return f == late })
				if len(got)-len(rest) != test.copies || !slices.Equal(rest, want[1:]) {
					t.Errorf("%d copies, %d others; want %d and %d", len(got)-len(rest), len(rest), test.copies, len(want)-1)
				}
			})
		})
	}
}

// TestLine holds everything back for as long as it is told to, acks and
// heartbeats too.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t, 1)
		s, dial := pipeServer(t, Config{Provider: "kraken", Market: m})
		c := dial("/v2")
		c.next()
		got := make(chan string, 100)
		go func() {
			defer close(got)
			for {
				_, b, err := c.ws.ReadMessage()
				if err != nil {
					return
				}
				got <- string(b)
			}
		}()
		count := func() int {
			synctest.Wait()
			n := len(got)
			for range n {
				<-got
			}
			return n
		}
		c.send(`{"method":"subscribe","params":{"channel":"instrument"}}`)
		if n := count(); n != 2 {
			t.Fatalf("%d messages", n)
		}
		s.Stall(true)
		c.send(`{"method":"ping"}`)
		synctest.Wait()
		m.Step(3500 * time.Millisecond)
		if n := count(); n != 0 {
			t.Errorf("%d messages passed a stall", n)
		}
		s.Stall(false)
		m.Step(5 * time.Millisecond)
		if n := count(); n != 4 { // pong, 3 heartbeats
			t.Errorf("%d messages after the stall, want 4", n)
		}
		s.Lag(100 * time.Millisecond)
		c.send(`{"method":"ping"}`)
		synctest.Wait()
		for _, step := range []struct {
			d    time.Duration
			want int
		}{{95 * time.Millisecond, 0}, {5 * time.Millisecond, 1}} {
			m.Step(step.d)
			if n := count(); n != step.want {
				t.Errorf("%d messages after %v more, want %d", n, step.d, step.want)
			}
		}
		s.Close()
		for range got {
		}
	})
}

// TestLoseSnapshots answers a subscription without the snapshot, n times.
func TestLoseSnapshots(t *testing.T) {
	m := newMarket(t, 1)
	s := newServer(t, Config{Provider: "coinbase", Market: m})
	s.LoseSnapshots("BTC-USD", 1)
	c := dial(t, s.URL())
	for i := range 2 {
		c.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2_batch"]}`)
		c.wantPart(`"subscriptions"`)
		if i == 1 {
			c.wantPart(`"snapshot"`)
		} else if frames := c.until(s); len(frames) != 0 {
			t.Fatalf("got %.200s", frames[0])
		}
		c.send(`{"type":"unsubscribe","product_ids":["BTC-USD"],"channels":["level2_batch"]}`)
		c.wantPart(`"subscriptions"`)
	}
}

// TestWatch sees every state that a server sends, starting with the first.
func TestWatch(t *testing.T) {
	m := newMarket(t, 3)
	type key struct{ venue, pair string }
	seen := map[key]int{}
	var last Change
	stop := m.Watch(func(c Change) {
		seen[key{c.Venue, c.Pair}]++
		if c.Venue == Coinbase && c.Pair == "BTC-USD" {
			last = c
		}
	})
	if n := len(seen); n != 8*4 || seen[key{Coinbase, "BTC-USD"}] != 1 {
		t.Fatalf("%d books at first", n)
	}
	m.Step(time.Second)
	bids, asks := m.Book(Coinbase, "BTC-USD")
	pd, sd := last.Decimals()
	for i, l := range bids {
		p, z := last.Level(true, i)
		if got := (Level{string(appendFixed(nil, p, pd)), string(appendFixed(nil, z, sd))}); got != l {
			t.Fatalf("bid %d is %v, truly %v", i, got, l)
		}
	}
	if last.Len(true) != len(bids) || last.Len(false) != len(asks) || seen[key{Coinbase, "BTC-USD"}] < 10 {
		t.Errorf("%d and %d levels, truly %d and %d, after %d changes", last.Len(true), last.Len(false), len(bids), len(asks), seen[key{Coinbase, "BTC-USD"}])
	}
	stop()
	n := seen[key{Coinbase, "BTC-USD"}]
	m.Step(time.Second)
	if seen[key{Coinbase, "BTC-USD"}] != n {
		t.Error("still told after stop")
	}
}
