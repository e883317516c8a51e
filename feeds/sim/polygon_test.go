package sim

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

const connected = `[{"ev":"status","status":"connected","message":"Connected Successfully"}]`
const authenticated = `[{"ev":"status","status":"auth_success","message":"authenticated"}]`

func openPolygon(t *testing.T, market string, cfg Config) (*Server, *client) {
	t.Helper()
	if cfg.Market == nil {
		cfg.Market = newMarket(t, 77)
	}
	cfg.Provider = "polygon"
	s := newServer(t, cfg)
	return s, signIn(t, s, market, "key")
}

func signIn(t *testing.T, s *Server, market, key string) *client {
	t.Helper()
	c := dial(t, s.URL()+"/"+market)
	c.want(connected)
	c.send(fmt.Sprintf(`{"action":"auth","params":%q}`, key))
	c.want(authenticated)
	return c
}

// event is any Polygon event, numbers as they were written.
type event map[string]any

func (e event) num(t testing.TB, k string) *big.Rat {
	t.Helper()
	n, ok := e[k].(json.Number)
	r := new(big.Rat)
	if ok {
		_, ok = r.SetString(n.String())
	}
	if !ok {
		t.Fatalf("%s is %v in %v", k, e[k], e)
	}
	return r
}

func (e event) int(t testing.TB, k string) int64 {
	t.Helper()
	n, ok := e[k].(json.Number)
	i, err := n.Int64()
	if !ok || err != nil || strings.ContainsAny(n.String(), ".eE") {
		t.Fatalf("%s is %v, not an integer, in %v", k, e[k], e)
	}
	return i
}

func events(t testing.TB, frames [][]byte) (out []event) {
	t.Helper()
	for _, f := range frames {
		var es []event
		decode(t, f, &es) // a bare object fails here
		out = append(out, es...)
	}
	return out
}

func TestPolygonSession(t *testing.T) {
	s, c := openPolygon(t, "stocks", Config{Keys: []string{"key"}, NotAuthorized: []string{"A"}})
	cases := []struct{ send, want string }{
		{`{"action":"subscribe","params":"T.AAPL,Q.BRK.B, AM.*"}`,
			`[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"},{"ev":"status","status":"success","message":"subscribed to: Q.BRK.B"},{"ev":"status","status":"success","message":"subscribed to: AM.*"}]`},
		// Unknown channels and what is held already get no answer, an unknown
		// ticker is confirmed.
		{`{"action":"subscribe","params":"ZZ.AAPL,XT.BTC-USD,T.AAPL,T.NOSUCH"}`, `[{"ev":"status","status":"success","message":"subscribed to: T.NOSUCH"}]`},
		// The error does not name what was refused; the rest is confirmed.
		{`{"action":"subscribe","params":"FMV.AAPL,T.MSFT"}`, `[{"ev":"status","status":"error","message":"not authorized"},{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]`},
		{`{"action":"subscribe","params":"A.AAPL"}`, `[{"ev":"status","status":"error","message":"not authorized"}]`},
		{`{"action":"unsubscribe","params":"T.AAPL,T.IBM"}`, `[{"ev":"status","status":"success","message":"unsubscribed to: T.AAPL"}]`},
		{`{nonsense`, `[{"ev":"status","status":"error","message":"invalid message"}]`},
	}
	for _, tc := range cases {
		c.send(tc.send)
		c.want(tc.want)
	}
	if got, want := s.Subscriptions(), []string{"AM.*", "Q.BRK.B", "T.MSFT", "T.NOSUCH"}; !slices.Equal(got, want) {
		t.Errorf("subscriptions %v, want %v", got, want)
	}
	s.market.Step(2 * time.Second)
	for _, e := range events(t, c.until(s)) {
		if e["ev"] == "Q" && e["sym"] != "BRK.B" || e["ev"] == "T" && e["sym"] != "MSFT" {
			t.Fatalf("not subscribed: %v", e)
		}
	}
}

// TestPolygonBackToBack: the official client sends auth and subscriptions
// without waiting.
func TestPolygonBackToBack(t *testing.T) {
	s := newServer(t, Config{Provider: "polygon", Market: newMarket(t, 1)})
	c := dial(t, s.URL()+"/some/base/stocks")
	c.send(`{"action":"auth","params":"any"}`)
	c.send(`{"action":"subscribe","params":"T.*"}`)
	c.want(connected)
	c.want(authenticated)
	c.want(`[{"ev":"status","status":"success","message":"subscribed to: T.*"}]`)
	c = dial(t, s.URL()+"/stocks")
	c.want(connected)
	c.send(`{"action":"subscribe","params":"T.*"}`)
	c.want(`[{"ev":"status","status":"error","message":"not authorized"}]`)
}

func TestPolygonAuthFails(t *testing.T) {
	s := newServer(t, Config{Provider: "polygon", Market: newMarket(t, 1), Keys: []string{"right"}})
	failed := func(key string) {
		t.Helper()
		c := dial(t, s.URL()+"/stocks")
		c.want(connected)
		c.send(fmt.Sprintf(`{"action":"auth","params":%q}`, key))
		// This lies unread when the server leaves, and must not cost the answer.
		c.send(`{"action":"subscribe","params":"` + strings.Repeat("T.AAPL,", 40_000) + `"}`)
		c.want(`[{"ev":"status","status":"auth_failed","message":"authentication failed"}]`)
		if code := c.ended(); code != 0 {
			t.Errorf("closed with %d, not dropped", code)
		}
	}
	failed("wrong")
	held := signIn(t, s, "stocks", "right")
	s.RefuseKeys(true)
	failed("right")
	held.send(`{"action":"subscribe","params":"T.AAPL"}`)
	held.wantPart("subscribed to: T.AAPL")
	s.RefuseKeys(false)
	signIn(t, s, "crypto", "right")
}

func TestPolygonAuthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := pipeServer(t, Config{Provider: "polygon", Market: newMarket(t, 1)})
		began := time.Now()
		c := dial("/stocks")
		c.want(connected)
		c.ws.SetReadDeadline(time.Time{})
		_, b, err := c.ws.ReadMessage()
		if string(b) != `[{"ev":"status","status":"auth_timeout","message":"No authentication request received."}]` || time.Since(began) != 10*time.Second {
			t.Fatalf("after %v: %s, %v", time.Since(began), b, err)
		}
		if code := c.ended(); code != 0 {
			t.Errorf("closed with %d", code)
		}
		c = dial("/stocks")
		c.want(connected)
		c.send(`{"action":"auth","params":"key"}`)
		c.want(authenticated)
		time.Sleep(time.Minute) // in the bubble: no real time passes
		c.send(`{"action":"subscribe","params":"T.AAPL"}`)
		c.wantPart("subscribed to: T.AAPL")
	})
}

func TestPolygonNewestLoginWins(t *testing.T) {
	s, old := openPolygon(t, "stocks", Config{})
	crypto := signIn(t, s, "crypto", "key") // another market is another allowance
	other := signIn(t, s, "stocks", "other")
	signIn(t, s, "stocks", "key")
	old.want(`[{"ev":"status","status":"max_connections","message":"Maximum number of websocket connections exceeded. "}]`)
	if code := old.ended(); code != websocket.ClosePolicyViolation {
		t.Errorf("closed with %d", code)
	}
	for _, c := range []*client{crypto, other} {
		c.send(`{"action":"subscribe","params":"T.X,XT.X"}`)
		c.wantPart("subscribed to")
	}
	if n := s.Connections(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

func TestPolygonStocks(t *testing.T) {
	m, err := NewMarket(MarketConfig{Seed: 5, Start: start, Rate: 0.4, Cryptos: []CryptoSpec{}, Stocks: []StockSpec{
		{"AAPL", "272.35", 3, 40, 0.8}, {"BRK.B", "498.20", 1, 30, 0.5}, {"F", "13.27", 1, 30, 0.9},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, c := openPolygon(t, "stocks", Config{Market: m})
	c.send(`{"action":"subscribe","params":"T.*,Q.*,A.*,AM.*"}`)
	c.wantPart("T.*", "AM.*")
	truth := &recorder{m: m, only: "none"}
	m.attach(truth)
	var all []event
	var largest, frames int
	for range 62 {
		m.Step(time.Second)
		fs := c.until(s)
		for _, f := range fs {
			largest = max(largest, len(f))
		}
		frames += len(fs)
		all = append(all, events(t, fs)...)
	}
	type sum struct{ trades, quotes, bars, minutes int }
	var n sum
	var odd, iso, offEx, fraction, subPenny int
	seq := map[string]int64{}
	quote := map[string]event{}
	volume := map[string]*big.Rat{}   // of a second, by symbol and start
	priced := map[string][]*big.Rat{} // the prices of its trades that are no odd lots
	for _, e := range all {
		sym, _ := e["sym"].(string)
		switch e["ev"] {
		case "T":
			n.trades++
			e.int(t, "s")
			at, q := e.int(t, "t"), e.int(t, "q")
			if q <= seq["T"+sym] {
				t.Fatalf("%s: q %d after %d", sym, q, seq["T"+sym])
			}
			seq["T"+sym] = q
			if _, ok := e["i"].(string); !ok {
				t.Fatalf("i is not text: %v", e)
			}
			ds, ok := new(big.Rat).SetString(e["ds"].(string))
			if !ok || !strings.Contains(e["ds"].(string), ".") {
				t.Fatalf("ds: %v", e)
			}
			if !ds.IsInt() {
				fraction++
			}
			k := fmt.Sprint(sym, at/1000)
			if volume[k] == nil {
				volume[k] = new(big.Rat)
			}
			volume[k].Add(volume[k], ds)
			cs, _ := e["c"].([]any)
			if !slices.Contains(cs, any(json.Number("37"))) {
				priced[k] = append(priced[k], e.num(t, "p"))
			}
			for _, cond := range cs {
				switch cond.(json.Number).String() {
				case "37":
					odd++
				case "14":
					iso++
				default:
					t.Fatalf("condition %v", cond)
				}
			}
			if e.int(t, "x") == trf {
				offEx++
				if f := e.int(t, "trfi"); f != 201 && f != 202 || e.int(t, "trft") > at {
					t.Fatalf("off exchange: %v", e)
				}
			} else if e["trfi"] != nil {
				t.Fatalf("trfi on an exchange: %v", e)
			}
			if cents := new(big.Rat).Mul(e.num(t, "p"), big.NewRat(100, 1)); !cents.IsInt() {
				subPenny++
			}
		case "Q":
			n.quotes++
			if q := e.int(t, "q"); q <= seq["Q"+sym] {
				t.Fatalf("%s: q %d after %d", sym, q, seq["Q"+sym])
			}
			seq["Q"+sym] = e.int(t, "q")
			e.int(t, "bs")
			e.int(t, "as")
			if e.num(t, "bp").Cmp(e.num(t, "ap")) >= 0 {
				t.Fatalf("crossed: %v", e)
			}
			quote[sym] = e
		case "A":
			n.bars++
			start, end := e.int(t, "s"), e.int(t, "e")
			if end-start != 1000 || start%1000 != 0 {
				t.Fatalf("times: %v", e)
			}
			// Every trade of the second has come before its bar, none after.
			dv, _ := new(big.Rat).SetString(e["dv"].(string))
			if v := volume[fmt.Sprint(sym, start/1000)]; v == nil || v.Cmp(dv) != 0 {
				t.Fatalf("volume of the trades is %v: %v", v, e)
			}
			// Odd lots count in the volume alone.
			ps := priced[fmt.Sprint(sym, start/1000)]
			if len(ps) == 0 {
				t.Fatalf("a bar of odd lots: %v", e)
			}
			high, low := slices.MaxFunc(ps, (*big.Rat).Cmp), slices.MinFunc(ps, (*big.Rat).Cmp)
			for key, want := range map[string]*big.Rat{"o": ps[0], "c": ps[len(ps)-1], "h": high, "l": low} {
				if e.num(t, key).Cmp(want) != 0 {
					t.Fatalf("%s of the trades is %s: %v", key, want.FloatString(4), e)
				}
			}
			e.int(t, "v")
			e.int(t, "av")
			e.int(t, "z")
		case "AM":
			n.minutes++
			if e.int(t, "e")-e.int(t, "s") != 60000 {
				t.Fatalf("times: %v", e)
			}
		default:
			t.Fatalf("%v", e)
		}
	}
	if n.trades != truth.trades || n.quotes != truth.quotes || n.bars+n.minutes != truth.bars || n.minutes != 3 {
		t.Errorf("%+v, truly %d trades, %d quotes, %d bars", n, truth.trades, truth.quotes, truth.bars)
	}
	for name, have := range map[string]int{"odd lots": odd, "sweeps": iso, "off exchange": offEx, "fractions": fraction, "below a cent": subPenny} {
		if have*100 < n.trades {
			t.Errorf("%s: %d of %d trades", name, have, n.trades)
		}
	}
	for sym, e := range quote {
		bids, asks := m.Book(NBBO, sym)
		for _, p := range []struct {
			key, want string
		}{{"bp", bids[0].Price}, {"bs", bids[0].Size}, {"ap", asks[0].Price}, {"as", asks[0].Size}} {
			if want, _ := new(big.Rat).SetString(p.want); e.num(t, p.key).Cmp(want) != 0 {
				t.Errorf("%s %s is %v, truly %s", sym, p.key, e[p.key], p.want)
			}
		}
	}
	if len(quote) != len(m.Symbols(NBBO)) {
		t.Errorf("quotes of %d stocks", len(quote))
	}
	if len(all) < frames*5/4 || largest > 1_000_000 {
		t.Errorf("%d events in %d frames, the largest of %d bytes", len(all), frames, largest)
	}
}

func TestPolygonCrypto(t *testing.T) {
	m := newMarket(t, 6)
	s, c := openPolygon(t, "crypto", Config{Market: m})
	c.send(`{"action":"subscribe","params":"XT.*,XQ.*,XL2.BTC-USD,XL2.PEPE-USD"}`)
	c.wantPart("XT.*", "XL2.PEPE-USD")
	m.Step(5 * time.Second)
	venue := map[int64]string{2: Bitfinex, 6: Bitstamp}
	trades := map[string]int64{}
	quote, image := map[string]event{}, map[string]event{}
	for _, e := range events(t, c.until(s)) {
		pair := e["pair"].(string)
		v := venue[e.int(t, "x")]
		k := v + " " + pair
		if v == "" || e.int(t, "r") <= e.int(t, "t") {
			t.Fatalf("%v", e)
		}
		switch e["ev"] {
		case "XT":
			trades[k]++
			side := e["c"].([]any)[0].(json.Number).String()
			if _, ok := e["i"].(string); !ok || side != "1" && side != "2" || e.num(t, "s").Sign() <= 0 {
				t.Fatalf("%v", e)
			}
		case "XQ":
			quote[k] = e
		case "XL2":
			image[k] = e
		}
	}
	for _, pair := range m.Symbols(Bitfinex) {
		for _, v := range venue {
			k := v + " " + pair
			if want := m.Trades(v, pair); trades[k] != want {
				t.Errorf("%s: %d trades, truly %d", k, trades[k], want)
			}
			bids, asks := m.Book(v, pair)
			if e := quote[k]; e == nil {
				t.Errorf("%s: no quote", k)
			} else {
				for key, text := range map[string]string{"bp": bids[0].Price, "bs": bids[0].Size, "ap": asks[0].Price, "as": asks[0].Size} {
					if want, _ := new(big.Rat).SetString(text); e.num(t, key).Cmp(want) != 0 {
						t.Errorf("%s: %s is %v, truly %s", k, key, e[key], text)
					}
				}
			}
			if e := image[k]; e == nil != (pair != "BTC-USD" && pair != "PEPE-USD") {
				t.Errorf("%s: image %v", k, e)
			} else if e != nil {
				if b, a := e["b"].([]any), e["a"].([]any); len(b) != 100 || len(a) != 100 {
					t.Errorf("%s: image of %d and %d levels", k, len(b), len(a))
				}
			}
		}
	}
}
