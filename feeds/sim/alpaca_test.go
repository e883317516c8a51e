package sim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

const alpacaAuth = `{"action":"auth","key":"k","secret":"s"}`

func openAlpaca(t *testing.T, feed string, cfg Config) (*Server, *client) {
	cfg.Provider, cfg.Market = "alpaca", newMarket(t, 7)
	s := newServer(t, cfg)
	c := dial(t, s.URL()+feed)
	c.want(`[{"T":"success","msg":"connected"}]`)
	c.send(alpacaAuth)
	c.want(`[{"T":"success","msg":"authenticated"}]`)
	return s, c
}

// alpacaEvents splits frames into their messages.
func alpacaEvents(t testing.TB, frames [][]byte) (out []map[string]any) {
	t.Helper()
	for _, f := range frames {
		var es []map[string]any
		decode(t, f, &es)
		out = append(out, es...)
	}
	return out
}

func TestAlpacaSession(t *testing.T) {
	s := newServer(t, Config{Provider: "alpaca", Market: newMarket(t, 1), Keys: []string{"k"}})
	c := dial(t, s.URL()+"/v2/sip")
	c.want(`[{"T":"success","msg":"connected"}]`)
	for _, tc := range []struct{ send, want string }{
		{`{"action":"subscribe","trades":["AAPL"]}`, `[{"T":"error","code":401,"msg":"not authenticated"}]`},
		{`{nonsense`, `[{"T":"error","code":400,"msg":"invalid syntax"}]`},
		{`{"action":"dance"}`, `[{"T":"error","code":400,"msg":"invalid syntax"}]`},
		{alpacaAuth, `[{"T":"success","msg":"authenticated"}]`},
		{alpacaAuth, `[{"T":"error","code":403,"msg":"already authenticated"}]`},
		{`{"action":"subscribe","orderbooks":["BTC/USD"]}`, `[{"T":"error","code":410,"msg":"invalid subscribe action for this feed"}]`},
		{`{"action":"subscribe","trades":["AAPL"],"bars":["*"]}`, `[{"T":"subscription","trades":["AAPL"],"quotes":[],"bars":["*"],"updatedBars":[],"dailyBars":[],"statuses":[],"lulds":[],"imbalances":[],"corrections":["AAPL"],"cancelErrors":["AAPL"]}]`},
		{`{"action":"unsubscribe","bars":["*"]}`, `[{"T":"subscription","trades":["AAPL"],"quotes":[],"bars":[],"updatedBars":[],"dailyBars":[],"statuses":[],"lulds":[],"imbalances":[],"corrections":["AAPL"],"cancelErrors":["AAPL"]}]`},
	} {
		c.send(tc.send)
		c.want(tc.want)
	}
	if got := s.Subscriptions(); !slices.Equal(got, []string{"trades:AAPL"}) {
		t.Errorf("subscriptions %v", got)
	}
	// The older connection keeps the key's place.
	second := dial(t, s.URL()+"/v2/sip")
	second.want(`[{"T":"success","msg":"connected"}]`)
	second.send(alpacaAuth)
	second.want(`[{"T":"error","code":406,"msg":"connection limit exceeded"}]`)
	second.ended()
	for path, want := range map[string]string{"/v2/sip": "402", "/v2/nothing": "409"} {
		other := dial(t, s.URL()+path)
		other.wantPart("connected")
		if want == "402" {
			other.send(`{"action":"auth","key":"other","secret":"s"}`)
		} else {
			other.send(alpacaAuth)
		}
		other.wantPart(`"code":` + want)
		other.ended()
	}
}

func TestAlpacaAuthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := pipeServer(t, Config{Provider: "alpaca", Market: newMarket(t, 1), AuthTimeout: 5 * time.Second})
		began := time.Now()
		c := dial("/v2/iex")
		c.wantPart("connected")
		c.wantPart(`"code":404`)
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

// TestAlpacaStocks: every kind of message comes, with the documented fields, of
// what was asked for.
func TestAlpacaStocks(t *testing.T) {
	fields := map[string][]string{
		"t": {"S", "T", "c", "i", "p", "s", "t", "x", "z"},
		"q": {"S", "T", "ap", "as", "ax", "bp", "bs", "bx", "c", "t", "z"},
		"b": {"S", "T", "c", "h", "l", "n", "o", "t", "v", "vw"},
		"l": {"S", "T", "d", "i", "t", "u", "z"},
		"c": {"S", "T", "cc", "ci", "cp", "cs", "oc", "oi", "op", "os", "t", "x", "z"},
		"x": {"S", "T", "a", "i", "p", "s", "t", "x", "z"},
	}
	s, c := openAlpaca(t, "/v2/sip", Config{})
	c.send(`{"action":"subscribe","trades":["*"],"quotes":["AAPL"],"bars":["*"],"lulds":["*"]}`)
	c.wantPart("subscription")
	seen := map[string]int{}
	for range 62 {
		s.market.Step(time.Second)
		for _, e := range alpacaEvents(t, c.until(s)) {
			typ, _ := e["T"].(string)
			var names []string
			for name := range e {
				names = append(names, name)
			}
			slices.Sort(names)
			if !slices.Equal(names, fields[typ]) {
				t.Fatalf("%s has the fields %v, want %v", typ, names, fields[typ])
			}
			if typ == "q" && e["S"] != "AAPL" {
				t.Fatalf("not subscribed: %v", e)
			}
			seen[typ]++
		}
	}
	for typ := range fields {
		if seen[typ] == 0 {
			t.Errorf("no %s in a minute: %v", typ, seen)
		}
	}
}

// TestAlpacaIEX: the free feed has one exchange.
func TestAlpacaIEX(t *testing.T) {
	s, c := openAlpaca(t, "/v2/iex", Config{})
	c.send(`{"action":"subscribe","trades":["*"],"quotes":["*"]}`)
	c.wantPart("subscription")
	s.market.Step(5 * time.Second)
	quotes := 0
	for _, e := range alpacaEvents(t, c.until(s)) {
		if e["T"] == "t" && e["x"] != "V" || e["T"] == "q" && (e["bx"] != "V" || e["ax"] != "V") {
			t.Fatalf("of another exchange: %v", e)
		}
		if e["T"] == "q" {
			quotes++
		}
	}
	if quotes == 0 {
		t.Error("no quotes")
	}
}

// TestAlpacaBooksAreTrue follows the order books.
func TestAlpacaBooksAreTrue(t *testing.T) {
	s, c := openAlpaca(t, "/v1beta3/crypto/us", Config{MaxConnections: 2})
	s.market.Step(time.Second)
	c.send(`{"action":"subscribe","orderbooks":["BTC/USD","ETH/USD"],"trades":["BTC/USD"],"quotes":["*"]}`)
	c.wantPart("subscription", `"orderbooks":["BTC/USD","ETH/USD"]`)
	books := map[string]map[bool]map[string]string{}
	images, trades := 0, 0
	for step := range 20 {
		if step > 0 {
			s.market.Step(100 * time.Millisecond)
		}
		for _, e := range alpacaEvents(t, c.until(s)) {
			if e["T"] == "t" {
				trades++
			}
			if e["T"] != "o" {
				continue
			}
			symbol := e["S"].(string)
			if e["r"] == true {
				images++
				books[symbol] = map[bool]map[string]string{true: {}, false: {}}
			}
			for name, bid := range map[string]bool{"b": true, "a": false} {
				for _, l := range e[name].([]any) {
					p, z := l.(map[string]any)["p"].(json.Number).String(), l.(map[string]any)["s"].(json.Number).String()
					if z == "0" {
						delete(books[symbol][bid], p)
					} else {
						books[symbol][bid][p] = z
					}
				}
			}
		}
		for symbol, b := range books {
			bids, asks := s.market.Book(Bitstamp, symbol)
			if len(b[true]) != len(bids) || len(b[false]) != len(asks) {
				t.Fatalf("%s: %d bids and %d asks, truly %d and %d", symbol, len(b[true]), len(b[false]), len(bids), len(asks))
			}
		}
	}
	if images != 2 || trades == 0 {
		t.Errorf("%d images, %d trades", images, trades)
	}
}

// TestAlpacaMessagePack: the same session in MessagePack. What comes is the JSON's
// packing, with T first.
func TestAlpacaMessagePack(t *testing.T) {
	s := newServer(t, Config{Provider: "alpaca", Market: newMarket(t, 7)})
	ws, _, err := websocket.DefaultDialer.Dial(s.URL()+"/v2/sip", http.Header{"Content-Type": {"application/msgpack"}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	next := func() []byte {
		t.Helper()
		ws.SetReadDeadline(time.Now().Add(time.Minute))
		kind, b, err := ws.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			t.Fatalf("kind %d, %v", kind, err)
		}
		return b
	}
	send := func(text string) {
		t.Helper()
		b, err := toMsgpack([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		ws.WriteMessage(websocket.BinaryMessage, b)
	}
	if got := next(); !bytes.Equal(got, []byte("\x91\x82\xa1T\xa7success\xa3msg\xa9connected")) {
		t.Fatalf("greeting %q", got)
	}
	ws.WriteMessage(websocket.BinaryMessage, []byte("\xc1"))
	if got := next(); !strings.Contains(string(got), "invalid syntax") {
		t.Fatalf("%q", got)
	}
	send(alpacaAuth)
	if got := next(); !strings.Contains(string(got), "authenticated") {
		t.Fatalf("%q", got)
	}
	send(`{"action":"subscribe","trades":["*"]}`)
	if got := next(); !bytes.HasPrefix(got, []byte("\x91\x8b\xa1T\xacsubscription")) {
		t.Fatalf("%q", got)
	}
	s.market.Step(time.Second)
	if got := next(); !bytes.Contains(got[:8], []byte("\xa1T\xa1t")) || !bytes.Contains(got, []byte("\xa1t\xd7\xff")) {
		t.Fatalf("%.80q", got)
	}
}

func TestMsgpackBothWays(t *testing.T) {
	for _, text := range []string{`{"action":"auth","key":"k","secret":"` + strings.Repeat("s", 300) + `"}`, `{"bars":["*"],"n":30,"trades":["` + strings.Repeat(`A","`, 40) + `B"]}`} {
		b, err := toMsgpack([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := fromMsgpack(b); err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "\xc1", "\x81", "\x81\x01\x01", "\xdb\xff\xff\xff\xff", "\x91", "\x01\x01", strings.Repeat("\x91", 20)} {
		if got, err := fromMsgpack([]byte(bad)); err == nil {
			t.Errorf("%x became %s", bad, got)
		}
	}
}
