package streamer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/quotewire/quotewire/bus"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// guarded returns the config of a server whose keys are their plans' names.
func guarded(t testing.TB, plans map[string]auth.Plan) (Config, *auth.Guard) {
	t.Helper()
	ac := auth.Config{Plans: plans}
	for name := range plans {
		ac.Keys = append(ac.Keys, auth.Key{Name: name, Hash: auth.HashKey(name), Plan: name})
	}
	g, err := auth.New(context.Background(), ac)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	dir := market.NewDirectory()
	return Config{Directory: dir, Access: g, Delays: ac.Delays(), Heartbeat: time.Hour, ReadTimeout: 3 * time.Hour,
		NewCodec: func() UpdateCodec { return bus.NewCodec(dir) }}, g
}

// page asks the handler for a page with a key, without a network between.
func (s *server) page(path, key string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.ContentLength = 0
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	s.hub.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// refused returns the error that is the next message.
func (c *client) refused(code string, symbols ...string) {
	c.t.Helper()
	e := want[*wire.Error](c)
	if e.Code != code || !slices.Equal(e.Symbols, symbols) {
		c.t.Fatalf("%+v, want %s of %v", e, code, symbols)
	}
}

func TestForbidden(t *testing.T) {
	cfg, _ := guarded(t, map[string]auth.Plan{
		"btc": {Grants: []auth.Grant{{Symbols: []string{"BTC-*"}, Channels: []wire.Channel{wire.ChannelQuote, wire.ChannelBook}, Depth: 2, MinInterval: 250 * time.Millisecond}}},
		"own": {Grants: []auth.Grant{{Symbols: []string{"*"}, Venues: []string{"kraken"}}}},
		"all": {Grants: []auth.Grant{{Symbols: []string{"*"}}}, Admin: true},
	})
	cfg.Lanes = 2
	s := serve(t, cfg)
	for _, symbol := range []string{"BTC-USD", "ETH-USD"} {
		s.book(symbol, "kraken", 1000, 5)
		s.book(symbol, "coinbase", 1001, 5)
	}
	c := s.dial("?key=btc")
	c.send(`{"op":"subscribe","id":1,"channel":"book","symbols":["ETH-USD","BTC-USD","NONE"],"depth":0,"interval":"0"}`)
	ack := want[*wire.Ack](c)
	if len(ack.Streams) != 1 || ack.Streams[0].Symbol != "BTC-USD" || ack.Streams[0].Depth != 2 || ack.Streams[0].Interval != "250ms" {
		t.Errorf("granted %+v", ack.Streams)
	}
	// A symbol that there is not is forbidden like one that there is. The stream's
	// first message may come before the error, or after.
	got := map[string]int{}
	for range 2 {
		switch m, _ := c.read(); m := m.(type) {
		case *wire.Error:
			got[m.Code+fmt.Sprint(m.Symbols)]++
		case *wire.Snapshot:
			got["snapshot"]++
			if len(m.Bids) != 2 {
				t.Errorf("%d levels", len(m.Bids))
			}
		default:
			t.Errorf("got %s", c.last)
		}
	}
	if got["forbidden[ETH-USD NONE]"] != 1 || got["snapshot"] != 1 {
		t.Errorf("got %v", got)
	}
	c.send(`{"op":"update","channel":"book","symbols":["BTC-USD"],"depth":100,"interval":"0"}`)
	if ack := want[*wire.Ack](c); ack.Streams[0].Depth != 2 || ack.Streams[0].Interval != "250ms" {
		t.Errorf("an update got %+v", ack.Streams)
	}
	c.send(`{"op":"subscribe","channel":"trade","symbols":["BTC-USD"]}`)
	c.refused(wire.CodeForbidden, "BTC-USD")
	c.send(`{"op":"subscribe","channel":"quote","symbols":["*"]}`)
	if ack := want[*wire.Ack](c); len(ack.Streams) != 1 || ack.Streams[0].Symbol != "BTC-USD" {
		t.Errorf("a pattern got %+v", ack.Streams)
	}
	want[*wire.Snapshot](c)
	// A symbol that appears later is taken in where it is allowed.
	s.book("ETH-EUR", "kraken", 900, 1)
	s.book("BTC-EUR", "kraken", 900, 1)
	if ack := want[*wire.Ack](c); len(ack.Streams) != 1 || ack.Streams[0].Symbol != "BTC-EUR" {
		t.Errorf("a pattern takes in %+v", ack.Streams)
	}

	own := s.dial("?key=own")
	own.send(`{"op":"subscribe","channel":"quote","symbols":["ETH-USD"]}`)
	own.refused(wire.CodeForbidden, "ETH-USD")
	own.send(`{"op":"subscribe","channel":"quote","symbols":["ETH-USD"],"venue":"coinbase"}`)
	own.refused(wire.CodeForbidden, "ETH-USD")
	own.send(`{"op":"subscribe","channel":"quote","symbols":["ETH-USD"],"venue":"kraken"}`)
	want[*wire.Ack](own)
	want[*wire.Snapshot](own)

	for path, status := range map[string]map[string]int{
		"/v1/snapshot/book/BTC-USD":               {"btc": 200, "own": 403, "all": 200, "": 401, "no": 401},
		"/v1/snapshot/book/ETH-USD":               {"btc": 403, "own": 403, "all": 200},
		"/v1/snapshot/book/NONE":                  {"btc": 403, "own": 403, "all": 404},
		"/v1/snapshot/quote/ETH-USD?venue=kraken": {"btc": 403, "own": 200, "all": 200},
		"/v1/snapshot/trade/BTC-USD":              {"btc": 403, "all": 200},
		"/v1/symbols":                             {"btc": 200, "": 401},
		"/v1/status":                              {"btc": 200, "": 401},
		"/v1/usage":                               {"btc": 403, "own": 403, "all": 200, "": 401},
		"/healthz":                                {"": 200},
	} {
		for key, want := range status {
			if got, body := s.page(path, key); got != want {
				t.Errorf("%s with %q: %d %s, want %d", path, key, got, body, want)
			}
		}
	}
	_, body := s.page("/v1/snapshot/book/BTC-USD?depth=0", "btc")
	if m, _ := wire.Parse([]byte(body)); len(m.(*wire.Snapshot).Bids) != 2 {
		t.Errorf("a snapshot is deeper than the key's right: %s", body)
	}
	for key, not := range map[string]string{"btc": "ETH", "own": "coinbase"} {
		for _, path := range []string{"/v1/symbols", "/v1/status"} {
			if _, body := s.page(path, key); strings.Contains(body, not) {
				t.Errorf("%s with %s tells of %s: %s", path, key, not, body)
			}
		}
	}
	if _, body := s.page("/v1/status", "btc"); strings.Contains(body, "connections") {
		t.Errorf("the operator's part is told: %s", body)
	}
}

// TestSignIn: a connection without a key does nothing until it shows one, and ends
// if it does not.
func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := guarded(t, map[string]auth.Plan{"all": {Grants: []auth.Grant{{Symbols: []string{"*"}}}}, "btc": {Grants: []auth.Grant{{Symbols: []string{"BTC-USD"}}}}})
		s, closeAll := servePipe(t, cfg)
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 1)
		c := s.dial("")
		for _, op := range []string{`"subscribe","channel":"quote","symbols":["BTC-USD"]`, `"resync","sid":1`, `"unsubscribe","sid":1`, `"budget","kbps":1`} {
			c.send(`{"op":%s}`, op)
			c.refused(wire.CodeUnauthorized)
		}
		c.send(`{"op":"ping","id":1}`)
		want[*wire.Pong](c)
		c.send(`{"op":"auth","id":2,"token":"wrong"}`)
		c.refused(wire.CodeUnauthorized)
		c.send(`{"op":"auth","id":3,"token":"all"}`)
		want[*wire.Ack](c)
		c.send(`{"op":"subscribe","channel":"quote","symbols":["BTC-USD"]}`)
		want[*wire.Ack](c)
		want[*wire.Snapshot](c)
		// The same key again is fine, another's is not.
		c.send(`{"op":"auth","token":"all"}`)
		want[*wire.Ack](c)
		c.send(`{"op":"auth","token":"btc"}`)
		c.refused(wire.CodeForbidden)

		late := s.dial("")
		time.Sleep(9 * time.Second)
		late.send(`{"op":"ping"}`)
		want[*wire.Pong](late)
		late.refused(wire.CodeUnauthorized)
		late.wantClose(websocket.ClosePolicyViolation)
		c.send(`{"op":"ping"}`)
		want[*wire.Pong](c)
	})
}

// TestExpiry: streams end when the rights do, unless they were renewed in time.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plans := map[string]auth.Plan{"all": {Grants: []auth.Grant{{Symbols: []string{"*"}}}}}
		ac := auth.Config{Plans: plans, Keys: []auth.Key{{Name: "k", Hash: auth.HashKey("k"), Plan: "all", Expires: time.Now().Add(time.Minute)}}}
		cfg, g := guarded(t, plans)
		if err := g.Replace(t.Context(), ac); err != nil {
			t.Fatal(err)
		}
		s, closeAll := servePipe(t, cfg)
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 1)
		c := s.dial("?key=k&channel=quote&symbols=BTC-USD")
		want[*wire.Ack](c)
		want[*wire.Snapshot](c)
		// Renewed: what was the end passes.
		ac.Keys[0].Expires = time.Now().Add(2 * time.Minute)
		if err := g.Replace(t.Context(), ac); err != nil {
			t.Fatal(err)
		}
		c.send(`{"op":"auth","token":"k"}`)
		want[*wire.Ack](c)
		time.Sleep(90 * time.Second)
		s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 7))
		want[*wire.Delta](c)
		time.Sleep(30 * time.Second)
		c.refused(wire.CodeUnauthorized)
		s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 8))
		time.Sleep(time.Second)
		c.send(`{"op":"ping"}`)
		want[*wire.Pong](c) // and no delta
		if n := len(s.hub.Usage()); n != 1 || s.hub.Usage()[0].Subscribed != 0 {
			t.Errorf("usage is %+v", s.hub.Usage())
		}
		// A fresh key goes on.
		ac.Keys[0].Expires = time.Time{}
		if err := g.Replace(t.Context(), ac); err != nil {
			t.Fatal(err)
		}
		c.send(`{"op":"auth","token":"k"}`)
		want[*wire.Ack](c)
		c.send(`{"op":"subscribe","channel":"quote","symbols":["BTC-USD"]}`)
		want[*wire.Ack](c)
		want[*wire.Snapshot](c)
		time.Sleep(40 * time.Minute)
		c.send(`{"op":"ping"}`)
		want[*wire.Pong](c)
	})
}

// TestRightsChange: plans that change while clients are connected.
func TestRightsChange(t *testing.T) {
	all := map[string]auth.Plan{"k": {Grants: []auth.Grant{{Symbols: []string{"*"}}}}}
	cfg, g := guarded(t, all)
	s := serve(t, cfg)
	s.book("BTC-USD", "kraken", 1000, 1)
	s.book("ETH-USD", "kraken", 1000, 1)
	c := s.dial("?key=k&channel=quote&symbols=BTC-USD,ETH-USD")
	want[*wire.Ack](c)
	want[*wire.Snapshot](c)
	want[*wire.Snapshot](c)
	ac := auth.Config{Plans: map[string]auth.Plan{"k": {Grants: []auth.Grant{{Symbols: []string{"BTC-*"}}}}},
		Keys: []auth.Key{{Name: "k", Hash: auth.HashKey("k"), Plan: "k"}}}
	if err := g.Replace(t.Context(), ac); err != nil {
		t.Fatal(err)
	}
	s.hub.Reauthorize()
	c.refused(wire.CodeForbidden, "ETH-USD")
	s.apply(s.level("ETH-USD", "kraken", market.SideBid, 999, 7))
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 7))
	if d := want[*wire.Delta](c); d.Bid.Value == "" && d.BidSize.Value == "" {
		t.Errorf("got %s", c.last)
	}
	ac.Keys = nil
	if err := g.Replace(t.Context(), ac); err != nil {
		t.Fatal(err)
	}
	s.hub.Reauthorize()
	c.refused(wire.CodeUnauthorized)
}

func TestLimits(t *testing.T) {
	cfg, _ := guarded(t, map[string]auth.Plan{"k": {Grants: []auth.Grant{{Symbols: []string{"*"}}}, Limits: auth.Limits{Connections: 2, Subscriptions: 3}},
		"l": {Grants: []auth.Grant{{Symbols: []string{"*"}}}}})
	cfg.PerAddress = auth.Limits{Connections: 4}
	s := serve(t, cfg)
	for i := range 4 {
		s.book(fmt.Sprintf("C%d-USD", i), "kraken", 1000, 1)
	}
	a, b := s.dial("?key=k"), s.dial("?key=k")
	refusedDial := func(key string) int {
		_, resp, err := s.dialer.Dial(strings.Replace(s.http, "http", "ws", 1)+"/v1/stream?key="+key, nil)
		if err == nil {
			t.Fatal("let in")
		}
		return resp.StatusCode
	}
	if code := refusedDial("k"); code != http.StatusTooManyRequests {
		t.Errorf("a third connection: %d", code)
	}
	a.send(`{"op":"subscribe","channel":"quote","symbols":["C0-USD","C1-USD"],"interval":"1s"}`)
	want[*wire.Ack](a)
	b.send(`{"op":"subscribe","channel":"quote","symbols":["C0-USD","C1-USD"],"interval":"1s"}`)
	b.refused(wire.CodeTooManySubscriptions)
	b.send(`{"op":"subscribe","channel":"quote","symbols":["C2-USD"],"interval":"1s"}`)
	want[*wire.Ack](b)
	// Twice the same is once.
	a.send(`{"op":"subscribe","channel":"quote","symbols":["C0-USD"],"interval":"1s"}`)
	for {
		m, err := a.read()
		if err != nil {
			t.Fatal(err)
		}
		if ack, ok := m.(*wire.Ack); ok && len(ack.Streams) == 1 {
			break
		}
	}
	a.send(`{"op":"unsubscribe","channel":"quote","symbols":["C0-USD"]}`)
	for _, u := range s.hub.Usage() {
		if u.Name == "k" && (u.Connected != 2 || u.Refused < 2) {
			t.Errorf("usage is %+v", u)
		}
	}
	s.dial("?key=l")
	s.dial("?key=l")
	if code := refusedDial("l"); code != http.StatusTooManyRequests {
		t.Errorf("a fifth connection from the address: %d", code)
	}
}

// TestBytesPerSecond: who may take so much gets no more, misses nothing of the
// state, and is not disconnected.
func TestBytesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 2000
		cfg, _ := guarded(t, map[string]auth.Plan{"k": {Grants: []auth.Grant{{Symbols: []string{"*"}}}, Limits: auth.Limits{Bytes: perSecond}}})
		s, closeAll := servePipe(t, cfg)
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 1)
		c := s.dial("?key=k&channel=quote&symbols=BTC-USD&interval=5ms")
		got, last := make(chan int, 100_000), make(chan string, 100_000)
		go func() {
			defer close(got)
			for {
				m, err := c.read()
				if err != nil {
					return
				}
				got <- len(c.last)
				switch m := m.(type) {
				case *wire.Snapshot:
					last <- m.BidSize.Value
				case *wire.Delta:
					last <- m.BidSize.Value
				}
			}
		}()
		for i := range 2000 {
			s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, int64(100+i)))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		total := 0
		for len(got) > 0 {
			total += <-got
		}
		if most := perSecond * 26; total > most || total < perSecond*10 {
			t.Errorf("%d bytes in 25 s at %d a second", total, perSecond)
		}
		size := ""
		for len(last) > 0 {
			size = <-last
		}
		if size != "2099" {
			t.Errorf("the last size is %s", size)
		}
	})
}

func TestWrongKeysAreSlowedDown(t *testing.T) {
	cfg, _ := guarded(t, map[string]auth.Plan{"k": {Grants: []auth.Grant{{Symbols: []string{"*"}}}}})
	s := serve(t, cfg)
	codes := map[int]int{}
	for range failureBurst + 5 {
		code, _ := s.page("/v1/symbols", "guess")
		codes[code]++
	}
	if codes[401] < failureBurst || codes[429] < 4 {
		t.Errorf("answers are %v", codes)
	}
}

func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5000":               "192.0.2.1",
		"[::ffff:192.0.2.1]:5000":      "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:5000":  "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5000":          "fe80::/64",
		"192.0.2.1":                    "192.0.2.1",
		"pipe":                         "pipe",
		"[2001:db8:1:2:ffff::1]:65000": "2001:db8:1:2::/64",
	} {
		if got := address(remote); got != want {
			t.Errorf("%s is counted under %s, want %s", remote, got, want)
		}
	}
}

// counterValue reads a counter or gauge.
func counterValue(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}
