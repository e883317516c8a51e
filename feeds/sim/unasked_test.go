package sim

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestSkewed(t *testing.T) {
	now := time.Date(2026, 3, 2, 14, 30, 0, 123_456_789, time.UTC).UnixNano()
	for in, want := range map[string]string{
		`"time":"2026-03-02T14:30:00.123456Z"`:      `"time":"2026-03-02T14:30:01.623456Z"`,
		`"time":"2026-03-02T14:30:00Z","x":1`:       `"time":"2026-03-02T14:30:01Z","x":1`,
		`"t":"2026-03-02T14:30:00.123456789Z"`:      `"t":"2026-03-02T14:30:01.623456789Z"`,
		`"event_time":"1970-01-01T00:00:00Z"`:       `"event_time":"1970-01-01T00:00:00Z"`,
		`"t":1772461800123`:                         `"t":1772461801623`,
		`"t":1772461800123456789}`:                  `"t":1772461801623456789}`,
		`"microtimestamp":"1772461800123456"`:       `"microtimestamp":"1772461801623456"`,
		`"timestamp":"1772461800"`:                  `"timestamp":"1772461801"`,
		`"price":0.1772461800,"id":-1772461800`:     `"price":0.1772461800,"id":-1772461800`,
		`"id":"a1772461800","seq":1772461800123456`: `"id":"a1772461800","seq":1772461801623456`,
		`"seq":9876543210,"n":17724618001`:          `"seq":9876543210,"n":17724618001`,
		`"id":1772461800123456,"id_str":"1772461800123456","sell_order_id": 1772461800123456,"U":1772461800123`: `"id":1772461800123456,"id_str":"1772461800123456","sell_order_id": 1772461800123456,"U":1772461801623`,
		`"bid":5,"t":[1772461800123]`: `"bid":5,"t":[1772461801623]`,
		// An order's identifier among those of a book, at Bitstamp.
		`[["94735.43","0.076940","1772461800123456"], ["1772461800","1"]]`: `[["94735.43","0.076940","1772461800123456"], ["1772461800","1"]]`,
		`2026-03-02`: `2026-03-02`,
		`2026`:       `2026`,
		``:           ``,
	} {
		if got := string(skewed([]byte(in), now, int64(1500*time.Millisecond))); got != want {
			t.Errorf("%s becomes\n%s, want\n%s", in, got, want)
		}
	}
}

// The clock of a synctest bubble is skewed as any other.
func TestSkewedInABubble(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 7, 0, time.UTC).UnixNano()
	in := `"t":946684807,"ms":946684807123,"us":"946684807123456","ns":946684807123456789,"n":123456789`
	want := `"t":946684808,"ms":946684808623,"us":"946684808623456","ns":946684808623456789,"n":123456789`
	if got := string(skewed([]byte(in), now, int64(1500*time.Millisecond))); got != want {
		t.Errorf("becomes\n%s, want\n%s", got, want)
	}
}

// TestSkew: what comes is what would have come, at other times.
func TestSkew(t *testing.T) {
	each(t, func(t *testing.T, m *Market, s *Server) {
		c := subscribed(t, s)
		c.until(s)
		s.Skew(-3 * time.Hour)
		m.Step(500 * time.Millisecond)
		times := 0
		for _, f := range c.until(s) {
			for _, right := range []string{"2026-03-02T14:30", fmt.Sprint(start.Unix())[:7]} {
				if strings.Contains(string(f), right) {
					t.Fatalf("a right time: %.300s", f)
				}
			}
			for _, wrong := range []string{"2026-03-02T11:30", fmt.Sprint(start.Add(-3 * time.Hour).Unix())[:7]} {
				times += strings.Count(string(f), wrong)
			}
		}
		if times < 5 {
			t.Errorf("only %d skewed times", times)
		}
	})
}

// Bitstamp's identifiers of events begin with the time, and go by the same clock.
func TestSkewOfEventIdentifiers(t *testing.T) {
	m := newMarket(t, 1)
	s := newServer(t, Config{Provider: "bitstamp", Market: m})
	c := dial(t, s.URL())
	c.send(`{"event":"bts:subscribe","data":{"channel":"live_orders_btcusd"}}`)
	c.wantPart("subscription_succeeded")
	s.Skew(time.Hour)
	m.Step(2 * time.Second)
	n := 0
	for _, f := range c.until(s) {
		var x struct {
			ID   string `json:"event_id"`
			Data struct {
				Micros string `json:"microtimestamp"`
			} `json:"data"`
		}
		decode(t, f, &x)
		if x.ID == "" {
			continue
		}
		n++
		at, err := strconv.ParseInt(strings.ReplaceAll(x.ID[:18], "-", ""), 16, 64)
		if err != nil || fmt.Sprint(at) != x.Data.Micros || at < start.Add(time.Hour).UnixMicro() {
			t.Fatalf("%s at %s", x.ID, x.Data.Micros)
		}
	}
	if n == 0 {
		t.Error("no event")
	}
}

// TestHalfOpen: an open connection is silent for good, pings included; the next
// one is served.
func TestHalfOpen(t *testing.T) {
	each(t, func(t *testing.T, m *Market, s *Server) {
		c := subscribed(t, s)
		c.until(s)
		s.HalfOpen()
		if s.Connections() != 0 || len(s.Subscriptions()) != 0 {
			t.Errorf("%d connections, %v", s.Connections(), s.Subscriptions())
		}
		for range 2 { // what comes is neither answered nor an end
			if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			c.send(`{"action":"subscribe","method":"ping","type":"subscribe"}`)
		}
		m.Step(2 * time.Second)
		subscribed(t, s).until(s)
		c.ws.SetPongHandler(func(string) error { t.Error("pong"); return nil })
		c.ws.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, b, err := c.ws.ReadMessage(); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("%.200s, %v", b, err)
		}
		c.ws.Close()
		waitFor(t, "the connection's end", func() bool {
			s.market.mu.Lock()
			defer s.market.mu.Unlock()
			return len(s.live) == 1
		})
	})
}

// TestCloseEndsHalfOpen: Close waits for nobody who has not noticed.
func TestCloseEndsHalfOpen(t *testing.T) {
	s := newServer(t, Config{Provider: "kraken", Market: newMarket(t, 1)})
	c := subscribed(t, s)
	s.HalfOpen()
	s.Close()
	if code := c.ended(); code != 0 {
		t.Errorf("closed with %d", code)
	}
}

func TestUnasked(t *testing.T) {
	m := newMarket(t, 5)
	for provider, text := range novelties {
		if !strings.Contains(strings.ToLower(text), "novelty") {
			t.Errorf("%s: %s", provider, text)
		}
	}
	k := newServer(t, Config{Provider: "kraken", Market: m, QueueBytes: 1 << 20})
	c := subscribed(t, k)
	c.until(k)
	k.SendUnknown()
	c.want(novelties["kraken"])
	for _, n := range []int{11, 4 << 20} {
		k.SendOversized(n)
		if b := c.next(); len(b) != n || b[len(b)-1] != '}' {
			t.Errorf("%d bytes, want %d", len(b), n)
		}
	}
	if err := k.SecondSnapshot("BTC-USD"); err != nil {
		t.Fatal(err)
	}
	c.wantPart(`"snapshot"`, `"BTC/USD"`)
	c.wantPart(`"snapshot"`, `"BTC/USD"`) // of the other depth
	if left := c.until(k); len(left) != 0 {
		t.Errorf("more: %s", left)
	}
	if err := newServer(t, Config{Provider: "polygon", Market: m}).SecondSnapshot("BTC-USD"); err == nil {
		t.Error("Polygon has images")
	}
}
