package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// get asks a server over HTTP.
func get(t testing.TB, s *Server, path string) (code int, header http.Header, body string) {
	t.Helper()
	res, err := http.Get("http" + strings.TrimPrefix(s.URL(), "ws") + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// restVenue is a provider whose books begin over HTTP, as a client follows it.
type restVenue struct {
	provider, venue, path string // of the socket
	channel               string // of changes of %s, lower case
	subscribe             string // of a list of channels, or one a message
	book                  string // request for the book of %s
	spell                 func(pair string) string
}

var restVenues = []restVenue{
	{Binance, Binance, "/stream", "%s@depth@100ms", `{"method":"SUBSCRIBE","params":["%s"],"id":1}`, "/api/v3/depth?symbol=%s&limit=5000", joined},
	{BinanceUSDM, BinanceUSDM, "/public/stream", "%s@depth@100ms", `{"method":"SUBSCRIBE","params":["%s"],"id":1}`, "/fapi/v1/depth?symbol=%s&limit=1000", joined},
	{Bitstamp, Bitstamp, "/", "diff_order_book_%s", `{"event":"bts:subscribe","data":{"channel":"%s"}}`, "/api/v2/order_book/%s/",
		func(pair string) string { return strings.ToLower(joined(pair)) }},
}

func joined(pair string) string { return strings.Replace(pair, "-", "", 1) }

// restBook is one book that a client follows by the venue's documentation.
type restBook struct {
	textBook
	number int64 // that it has come to
	synced bool
	joined bool
}

// restMessage is a change in any of the shapes.
type restMessage struct {
	Stream, Channel string
	Data            struct {
		Event string     `json:"e"`
		Time  int64      `json:"E"`
		First int64      `json:"U"`
		Last  int64      `json:"u"`
		Prev  int64      `json:"pu"`
		Micro string     `json:"microtimestamp"`
		B     [][]string `json:"b"`
		A     [][]string `json:"a"`
		Bids  [][]string `json:"bids"`
		Asks  [][]string `json:"asks"`
	}
}

func (b *restBook) image(t testing.TB, text string) {
	t.Helper()
	var m struct {
		Last  int64  `json:"lastUpdateId"`
		Micro string `json:"microtimestamp"`
		Bids  [][]string
		Asks  [][]string
	}
	decode(t, []byte(text), &m)
	if m.Micro != "" {
		fmt.Sscan(m.Micro, &m.Last)
	}
	*b = restBook{number: m.Last, synced: true}
	b.levels(m.Bids, m.Asks)
}

func (b *restBook) levels(bids, asks [][]string) {
	for _, l := range bids {
		b.set(true, l[0], l[1])
	}
	for _, l := range asks {
		b.set(false, l[0], l[1])
	}
}

// apply applies a change, by the rule of the provider.
func (b *restBook) apply(t testing.TB, provider string, m *restMessage) {
	t.Helper()
	d := &m.Data
	switch provider {
	case Binance:
		if d.Last <= b.number {
			return
		}
		if d.First > b.number+1 || b.joined && d.First != b.number+1 {
			t.Fatalf("%d-%d follows %d", d.First, d.Last, b.number)
		}
	case BinanceUSDM:
		if d.Last < b.number {
			return
		}
		if b.joined && d.Prev != b.number || !b.joined && d.Prev > b.number {
			t.Fatalf("%d-%d after %d follows %d", d.First, d.Last, d.Prev, b.number)
		}
	default:
		fmt.Sscan(d.Micro, &d.Last)
		if d.Last <= b.number {
			return
		}
	}
	b.number, b.joined = d.Last, true
	b.levels(append(d.B, d.Bids...), append(d.A, d.Asks...))
}

// TestBooksBesideTheStreamAreTrue follows each protocol with books of texts, begun
// over HTTP at odd moments, and holds them against the market.
func TestBooksBesideTheStreamAreTrue(t *testing.T) {
	for _, v := range restVenues {
		t.Run(v.provider, func(t *testing.T) {
			m, s, c := openVenue(t, v.provider, v.path)
			pairs := m.Symbols(v.venue)
			books := map[string]*restBook{}
			for _, p := range pairs {
				c.send(fmt.Sprintf(v.subscribe, fmt.Sprintf(v.channel, strings.ToLower(joined(p)))))
				books[strings.ToLower(joined(p))] = &restBook{}
			}
			waitFor(t, "the subscriptions", func() bool { return len(s.Subscriptions()) == len(pairs) })
			changes := 0
			for step := range 60 {
				m.Step(35 * time.Millisecond) // so that images come between batches
				frames := c.until(s)
				for i, p := range pairs {
					if step == 3*i+1 {
						code, _, body := get(t, s, fmt.Sprintf(v.book, v.spell(p)))
						if code != 200 {
							t.Fatalf("%s: %d %s", p, code, body)
						}
						b := books[strings.ToLower(joined(p))]
						b.image(t, body)
						bids, asks := m.Book(v.venue, p)
						b.same(t, p+" at once", 10000, bids, asks)
					}
				}
				for _, f := range frames {
					var msg restMessage
					decode(t, f, &msg)
					name, _, _ := strings.Cut(msg.Stream, "@")
					if name == "" {
						name = strings.TrimPrefix(msg.Channel, "diff_order_book_")
					}
					if b := books[name]; b != nil && b.synced && len(msg.Data.B)+len(msg.Data.A)+len(msg.Data.Bids)+len(msg.Data.Asks) > 0 {
						b.apply(t, v.provider, &msg)
						changes++
					}
				}
			}
			m.Step(100 * time.Millisecond) // all that is due has come
			frames := c.until(s)
			for _, f := range frames {
				var msg restMessage
				decode(t, f, &msg)
				name, _, _ := strings.Cut(msg.Stream, "@")
				if name == "" {
					name = strings.TrimPrefix(msg.Channel, "diff_order_book_")
				}
				books[name].apply(t, v.provider, &msg)
			}
			// Every batch has just gone out: 60 × 35 ms and 100 ms are whole batches.
			for _, p := range pairs {
				bids, asks := m.Book(v.venue, p)
				books[strings.ToLower(joined(p))].same(t, p+" in the end", 10000, bids, asks)
			}
			if changes < 50 {
				t.Errorf("%d changes", changes)
			}
		})
	}
}

func TestAnswersOverHTTP(t *testing.T) {
	m, s, _ := openVenue(t, Binance, "/stream")
	for _, c := range []struct {
		path string
		code int
		part string
	}{
		{"/api/v3/exchangeInfo", 200, `"symbol":"PEPEUSD"`},
		{"/api/v3/exchangeInfo?symbols=%5B%22BTCUSD%22%5D", 200, `"baseAsset":"BTC","quoteAsset":"USD"`},
		{"/api/v3/exchangeInfo?symbols=%5B%22NOSUCH%22%5D", 400, `{"code":-1121,"msg":"Invalid symbol."}`},
		{"/api/v3/depth?symbol=NOSUCH", 400, "-1121"},
		{"/api/v3/depth?symbol=BTCUSD&limit=1", 200, `"lastUpdateId"`},
		{"/api/v3/nothing", 404, ""},
	} {
		code, _, body := get(t, s, c.path)
		if code != c.code || !strings.Contains(body, c.part) || code == 200 && !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %.200s", c.path, code, body)
		}
	}
	var one struct{ Bids, Asks [][]string }
	_, _, body := get(t, s, "/api/v3/depth?symbol=BTCUSD&limit=1")
	decode(t, []byte(body), &one)
	bids, _ := m.Book(Binance, "BTC-USD")
	if len(one.Bids) != 1 || trimText(one.Bids[0][0]) != trimText(bids[0].Price) || !strings.HasSuffix(one.Bids[0][0], "000000") {
		t.Errorf("%v, truly %v", one, bids[0])
	}
	_, s, _ = openVenue(t, Bitstamp, "/")
	if code, _, body := get(t, s, "/api/v2/order_book/nosuch/"); code != 404 || !strings.Contains(body, "error") {
		t.Errorf("%d %s", code, body)
	}
	if code, _, body := get(t, s, "/api/v2/trading-pairs-info/"); code != 200 || !strings.Contains(body, `"name":"BTC/USD"`) {
		t.Errorf("%d %s", code, body)
	}
	for _, c := range []struct {
		provider, path string
		code           int
		part           string
	}{
		{Bybit, "/v5/market/instruments-info?category=spot", 200, `{"symbol":"PEPEUSD","status":"Trading","baseCoin":"PEPE","quoteCoin":"USD","priceFilter":{"minPrice":"0.0000000001"`},
		{Bybit, "/v5/market/instruments-info?category=spot&symbol=BTCUSD", 200, `"list":[{"symbol":"BTCUSD"`},
		{Bybit, "/v5/market/instruments-info?category=linear&symbol=ETHUSD", 200, `"qtyStep":"0.00000001"}}],"nextPageCursor":""}`},
		{Bybit, "/v5/market/instruments-info?category=linear&limit=3", 200, `"nextPageCursor":"after=3"}`},
		{Bybit, "/v5/market/instruments-info?category=linear&limit=3&cursor=after%3D6", 200, `"nextPageCursor":""}`},
		{Bybit, "/v5/market/instruments-info?category=linear&limit=3&cursor=x", 200, `{"retCode":10001,"retMsg":"params error: cursor invalid"`},
		{Bybit, "/v5/market/instruments-info?category=inverse", 200, `"list":[],"nextPageCursor":""}`},
		{Bybit, "/v5/market/instruments-info?category=spot&symbol=NOPE", 200, `{"retCode":10001,"retMsg":"params error: symbol invalid"`},
		{Bybit, "/v5/market/instruments-info", 200, `{"retCode":10001,`},
		{Bybit, "/v5/nothing", 404, ``},
		{Gemini, "/v1/symbols", 200, `["btcusd",`},
		{Gemini, "/v1/symbols/details/btcusd", 200, `{"symbol":"BTCUSD","base_currency":"BTC","quote_currency":"USD","tick_size":1E-8,"quote_increment":0.01,"min_order_size":"0.00000001","status":"open"`},
		{Gemini, "/v1/symbols/details/PEPEUSD", 200, `"tick_size":1,"quote_increment":1E-10,`},
		{Gemini, "/v1/symbols/details/XRPUSD", 200, `"tick_size":0.000001,"quote_increment":0.0001,`},
		{Gemini, "/v1/symbols/details/nope", 400, `{"result":"error","reason":"InvalidSymbol"`},
		{Gemini, "/v1/nothing", 404, `{"result":"error"`},
	} {
		path := "/v2/marketdata"
		if c.provider == Bybit {
			path = "/v5/public/spot"
		}
		_, s, _ := openVenue(t, c.provider, path)
		code, _, body := get(t, s, c.path)
		if code != c.code || !strings.Contains(body, c.part) || !json.Valid([]byte(body)) {
			t.Errorf("%s %s: %d %.400s", c.provider, c.path, code, body)
		}
	}
	// A provider without any of this refuses what is no upgrade.
	s = newServer(t, Config{Provider: "polygon", Market: newMarket(t, 1)})
	if code, _, _ := get(t, s, "/api/v3/depth?symbol=BTCUSD"); code != 400 {
		t.Errorf("polygon answers %d", code)
	}
}

func TestFaultsOfAnswers(t *testing.T) {
	m, s, _ := openVenue(t, Binance, "/stream")
	const path = "/api/v3/depth?symbol=BTCUSD&limit=1000"
	s.RefuseRequests(429, "7", 2)
	for range 2 {
		if code, h, _ := get(t, s, path); code != 429 || h.Get("Retry-After") != "7" {
			t.Errorf("%d %v", code, h)
		}
	}
	_, _, first := get(t, s, path)
	s.LoseSnapshots("BTC-USD", 1)
	if code, _, _ := get(t, s, path); code != 500 {
		t.Errorf("lost snapshot: %d", code)
	}
	s.FreezeSnapshots("BTC-USD", true)
	if _, _, b := get(t, s, path); b != first {
		t.Error("the book moved by itself")
	}
	m.Step(time.Second)
	if _, _, b := get(t, s, path); b != first {
		t.Error("the book is not frozen")
	}
	if _, _, b := get(t, s, strings.Replace(path, "BTC", "ETH", 1)); strings.HasPrefix(b, first[:20]) {
		t.Error("another book is frozen too")
	}
	s.FreezeSnapshots("BTC-USD", false)
	_, _, second := get(t, s, path)
	if second == first {
		t.Error("the book is frozen for ever")
	}
	for _, late := range []bool{true, false} {
		got := make(chan string, 1)
		if late {
			s.LateAnswers(100 * time.Millisecond)
		} else {
			s.SlowRequests(100 * time.Millisecond)
		}
		n := len(s.Requests())
		go func() { _, _, b := get(t, s, path); got <- b }()
		waitFor(t, "the request", func() bool { return len(s.Requests()) > n })
		m.Step(time.Second)
		if b := <-got; (b == second) != late {
			t.Errorf("late %v: the answer is of the wrong time", late)
		}
		s.LateAnswers(0)
		s.SlowRequests(0)
		_, _, second = get(t, s, path)
	}
	if !slices.Contains(s.Requests(), path) {
		t.Errorf("requests %q", s.Requests())
	}
	// Closing does not wait for answers that are held back.
	s.LateAnswers(time.Hour)
	n := len(s.Requests())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := http.Get("http" + strings.TrimPrefix(s.URL(), "ws") + path); err == nil {
			res.Body.Close()
		}
	}()
	waitFor(t, "the request", func() bool { return len(s.Requests()) > n })
	s.Close()
	<-done
}
