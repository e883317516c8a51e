package sim

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// openVenue starts a server over a market that trades at its venue alone.
func openVenue(t testing.TB, provider, path string) (*Market, *Server, *client) {
	t.Helper()
	m, err := NewMarket(MarketConfig{Seed: 5, Start: start, Stocks: []StockSpec{}, Cryptos: CryptosFor(provider)})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Config{Provider: provider, Market: m})
	return m, s, dial(t, s.URL()+path)
}

// same compares a book of texts with the truth by value: some of these venues
// leave trailing zeros out.
func (b *textBook) same(t testing.TB, what string, depth int, bids, asks []Level) {
	t.Helper()
	trim := func(levels []Level) (out []Level) {
		for _, l := range levels[:min(len(levels), depth)] {
			out = append(out, Level{trimText(l.Price), trimText(l.Size)})
		}
		return out
	}
	x := textBook{trim(b.bids), trim(b.asks)}
	if len(b.bids) > depth || len(b.asks) > depth {
		t.Fatalf("%s: %d and %d levels, want %d at most", what, len(b.bids), len(b.asks), depth)
	}
	x.equal(t, what, trim(bids), trim(asks))
}

func trimText(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// interleaved is the text that OKX's and Bitfinex's checksums are over.
func (b *textBook) interleaved(askSign string) string {
	var parts []string
	for i := range 25 {
		if i < len(b.bids) {
			parts = append(parts, b.bids[i].Price, b.bids[i].Size)
		}
		if i < len(b.asks) {
			parts = append(parts, b.asks[i].Price, askSign+b.asks[i].Size)
		}
	}
	return strings.Join(parts, ":")
}

type okxTestMessage struct {
	Event, Code, Msg, Action string
	Arg                      okxArg
	Data                     []struct {
		Asks, Bids [][]string
		Checksum   int32
		Prev       int64 `json:"prevSeqId"`
		Seq        int64 `json:"seqId"`
		TradeID    string
		AskPx      string
		TickSz     string
	}
}

// TestOKXBooksAreTrue follows the protocol with a book of texts and holds it
// against the market, the chain and the checksums.
func TestOKXBooksAreTrue(t *testing.T) {
	m, s, c := openVenue(t, "okx", "/ws/v5/public")
	s.Checksums(true)
	c.send("ping")
	c.want("pong")
	pairs := m.Symbols(OKX)
	var args []string
	for _, p := range pairs {
		for _, ch := range []string{"books", "trades", "tickers"} {
			args = append(args, fmt.Sprintf(`{"channel":%q,"instId":%q}`, ch, p))
		}
	}
	c.send(`{"id":"1","op":"subscribe","args":[` + strings.Join(append(args, `{"channel":"instruments","instType":"SPOT"}`, `{"channel":"books","instId":"NO-SUCH"}`), ",") + `]}`)
	books := map[string]*textBook{}
	last := map[string]int64{}
	counts := map[string]int{}
	waitFor(t, "the subscriptions", func() bool { return len(s.Subscriptions()) == 3*len(pairs)+1 })
	for step := range 40 {
		if step > 0 {
			m.Step(100 * time.Millisecond)
		}
		for _, f := range c.until(s) {
			var msg okxTestMessage
			decode(t, f, &msg)
			id := msg.Arg.InstID
			counts[msg.Event+msg.Arg.Channel+msg.Action]++
			if msg.Arg.Channel != "books" || msg.Event != "" {
				continue
			}
			d := msg.Data[0]
			if msg.Action == "snapshot" {
				books[id] = &textBook{}
				if d.Prev != -1 {
					t.Fatalf("prevSeqId %d of a snapshot", d.Prev)
				}
			} else if d.Prev != last[id] {
				t.Fatalf("%s: prevSeqId %d follows %d", id, d.Prev, last[id])
			}
			last[id] = d.Seq
			for _, l := range d.Bids {
				books[id].set(true, l[0], l[1])
			}
			for _, l := range d.Asks {
				books[id].set(false, l[0], l[1])
			}
			if got := int32(crc32.ChecksumIEEE([]byte(books[id].interleaved("")))); got != d.Checksum {
				t.Fatalf("%s: checksum %d, told %d", id, got, d.Checksum)
			}
		}
		for _, p := range pairs {
			bids, asks := m.Book(OKX, p)
			books[p].same(t, p, okxDepth, bids, asks)
		}
	}
	for _, what := range []string{"subscribebooks", "bookssnapshot", "booksupdate", "trades", "tickers", "instruments", "error"} {
		if counts[what] == 0 {
			t.Errorf("no %s", what)
		}
	}
	s.Checksums(false)
	m.Step(100 * time.Millisecond)
	for _, f := range c.until(s) {
		var msg okxTestMessage
		decode(t, f, &msg)
		if msg.Arg.Channel == "books" {
			if msg.Data[0].Checksum != 0 {
				t.Fatal("a checksum after there are none any more")
			}
			last[msg.Arg.InstID] = msg.Data[0].Seq
		}
	}
	// The chain stays whole over new numbers; a lost message breaks it.
	s.Renumber("BTC-USD")
	m.Step(200 * time.Millisecond)
	whole := true
	for _, f := range c.until(s) {
		var msg okxTestMessage
		decode(t, f, &msg)
		if msg.Arg.Channel == "books" && msg.Arg.InstID == "BTC-USD" {
			whole = whole && msg.Data[0].Prev == last["BTC-USD"]
			last["BTC-USD"] = msg.Data[0].Seq
		}
	}
	if !whole || last["BTC-USD"] > 1e6 {
		t.Errorf("after new numbers: whole %t, at %d", whole, last["BTC-USD"])
	}
	s.DropNext("BTC-USD", 1)
	m.Step(time.Second)
	broken := 0
	for _, f := range c.until(s) {
		var msg okxTestMessage
		decode(t, f, &msg)
		if msg.Arg.Channel == "books" && msg.Arg.InstID == "BTC-USD" {
			if msg.Data[0].Prev != last["BTC-USD"] {
				broken++
			}
			last["BTC-USD"] = msg.Data[0].Seq
		}
	}
	if broken != 1 {
		t.Errorf("a lost message broke the chain %d times", broken)
	}
}

func TestOKXRefuses(t *testing.T) {
	_, s, c := openVenue(t, "okx", "/ws/v5/public")
	for _, tc := range []struct{ send, want string }{
		{`{"op":"dance","args":[]}`, `"code":"60012"`},
		{`{nonsense`, `"code":"60012"`},
		{`{"id":"7","op":"subscribe","args":[{"channel":"books","instId":"NO-SUCH"}]}`, `NO-SUCH`},
		{`{"id":"7","op":"subscribe","args":[{"channel":"trades","instId":"BTC-USD"}]}`, `"id":"7","event":"subscribe"`},
		{`{"op":"unsubscribe","args":[{"channel":"trades","instId":"BTC-USD"}]}`, `"event":"unsubscribe"`},
	} {
		c.send(tc.send)
		c.wantPart(tc.want)
	}
	if got := s.Subscriptions(); len(got) != 0 {
		t.Errorf("subscriptions %q", got)
	}
}

type bybitTestMessage struct {
	Topic, Type, Op string
	Success         *bool
	RetMsg          string `json:"ret_msg"`
	Data            json.RawMessage
}

type bybitTestBook struct {
	B, A [][]string
	U    int64
}

func TestBybitBooksAreTrue(t *testing.T) {
	m, s, c := openVenue(t, "bybit", "/v5/public/linear")
	c.send(`{"req_id":"2","op":"ping"}`)
	c.wantPart(`"ret_msg":"pong"`, `"op":"ping"`)
	pairs := m.Symbols(Bybit)
	depths := []int{1, 50, 200, 500}
	for _, p := range pairs {
		var args []string
		for _, d := range depths {
			args = append(args, fmt.Sprintf(`"orderbook.%d.%s"`, d, strings.Replace(p, "-", "", 1)))
		}
		args = append(args, fmt.Sprintf(`"publicTrade.%s"`, strings.Replace(p, "-", "", 1)))
		c.send(`{"req_id":"1","op":"subscribe","args":[` + strings.Join(args, ",") + `]}`)
	}
	waitFor(t, "the subscriptions", func() bool { return len(s.Subscriptions()) == 5*len(pairs) })
	books := map[string]*textBook{}
	last := map[string]int64{}
	counts := map[string]int{}
	for step := range 30 {
		if step > 0 {
			m.Step(200 * time.Millisecond)
		}
		for _, f := range c.until(s) {
			var msg bybitTestMessage
			decode(t, f, &msg)
			counts[strings.Split(msg.Topic, ".")[0]+msg.Type]++
			if !strings.HasPrefix(msg.Topic, "orderbook") {
				continue
			}
			var d bybitTestBook
			decode(t, msg.Data, &d)
			one := strings.HasPrefix(msg.Topic, "orderbook.1.")
			if msg.Type == "snapshot" {
				books[msg.Topic] = &textBook{}
			} else if d.U != last[msg.Topic]+1 || one {
				t.Fatalf("%s: u %d follows %d", msg.Topic, d.U, last[msg.Topic])
			}
			last[msg.Topic] = d.U
			for _, l := range d.B {
				books[msg.Topic].set(true, l[0], l[1])
			}
			for _, l := range d.A {
				books[msg.Topic].set(false, l[0], l[1])
			}
		}
		for _, p := range pairs {
			for _, d := range depths {
				bids, asks := m.Book(Bybit, p)
				topic := fmt.Sprintf("orderbook.%d.%s", d, strings.Replace(p, "-", "", 1))
				books[topic].same(t, topic, d, bids, asks)
			}
		}
	}
	if counts["orderbookdelta"] == 0 || counts["publicTradesnapshot"] == 0 {
		t.Errorf("messages %v", counts)
	}
	for _, asDelta := range []bool{false, true} {
		s.Restart("BTC-USD", asDelta)
		ones := 0
		for _, f := range c.until(s) {
			if strings.Contains(string(f), `"u":1,`) {
				ones++
			}
		}
		if ones != len(depths) {
			t.Errorf("%d messages with the number 1, want one for each depth", ones)
		}
	}
}

func TestBybitRefuses(t *testing.T) {
	_, s, c := openVenue(t, "bybit", "/v5/public/spot")
	for _, tc := range []struct{ send, want string }{
		{`{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSD","orderbook.50.NOPE"]}`, `Invalid topic: [orderbook.50.NOPE]`},
		{`{"op":"subscribe","args":["orderbook.7.BTCUSD"]}`, `"success":false`},
		{`{"op":"subscribe","args":[]}`, `"success":false`},
		{`{"op":"subscribe","args":["publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD","publicTrade.BTCUSD"]}`, `args size invalid`},
		{`{"op":"dance"}`, `"success":false`},
		{`{`, `"success":false`},
	} {
		c.send(tc.send)
		c.wantPart(tc.want)
	}
	if got := s.Subscriptions(); len(got) != 0 {
		t.Errorf("subscriptions %q", got)
	}
	if dial(t, s.URL()+"/v5/public/dance").ended() != 0 {
		t.Error("a category that is none was closed politely")
	}
}

func TestBitfinexBooksAreTrue(t *testing.T) {
	m, s, c := openVenue(t, "bitfinex", "/ws/2")
	c.wantPart(`"event":"info"`, `"version":2`)
	c.send(`{"event":"conf","flags":196608}`)
	c.wantPart(`"event":"conf"`, `"status":"OK"`)
	pairs := m.Symbols(Bitfinex)
	symbol := func(pair string) string {
		return s.proto.(*bitfinex).byVenue[m.venue(Bitfinex, pair)].id
	}
	for _, p := range pairs {
		c.send(fmt.Sprintf(`{"event":"subscribe","channel":"book","symbol":%q,"prec":"P0","freq":"F0","len":"100"}`, symbol(p)))
		c.send(fmt.Sprintf(`{"event":"subscribe","channel":"trades","symbol":%q}`, symbol(p)))
	}
	waitFor(t, "the subscriptions", func() bool { return len(s.Subscriptions()) == 2*len(pairs) })
	channels := map[string]string{} // of books
	books := map[string]*textBook{}
	var number uint64
	counts := map[string]int{}
	for step := range 15 {
		if step > 0 {
			m.Step(300 * time.Millisecond)
		}
		for _, f := range c.until(s) {
			if f[0] == '{' {
				var e struct {
					Event, Channel, Symbol string
					ChanID                 json.Number `json:"chanId"`
				}
				decode(t, f, &e)
				if e.Event == "subscribed" && e.Channel == "book" {
					channels[e.ChanID.String()] = e.Symbol
				}
				continue
			}
			var parts []json.RawMessage
			decode(t, f, &parts)
			n, _ := strconv.ParseUint(string(parts[len(parts)-1]), 10, 64)
			if n != number+1 {
				t.Fatalf("number %d follows %d", n, number)
			}
			number = n
			id, ok := channels[string(parts[0])]
			switch {
			case string(parts[1]) == `"hb"`, string(parts[1]) == `"te"`, string(parts[1]) == `"tu"`:
				counts[string(parts[1])]++
			case !ok:
			case string(parts[1]) == `"cs"`:
				counts["cs"]++
				var x textBook
				for _, l := range books[id].bids {
					x.bids = append(x.bids, Level{scripted(l.Price), scripted(l.Size)})
				}
				for _, l := range books[id].asks {
					x.asks = append(x.asks, Level{scripted(l.Price), scripted(l.Size)})
				}
				text := x.interleaved("-")
				if strconv.Itoa(int(int32(crc32.ChecksumIEEE([]byte(text))))) != string(parts[2]) {
					t.Fatalf("%s: checksum %s is not over %.120s", id, parts[2], text)
				}
			default:
				var rows [][]json.Number
				if strings.HasPrefix(string(parts[1]), "[[") {
					books[id] = &textBook{}
					decode(t, parts[1], &rows)
				} else {
					rows = make([][]json.Number, 1)
					decode(t, parts[1], &rows[0])
				}
				for _, r := range rows {
					size, ask := strings.CutPrefix(r[2].String(), "-")
					if r[1] == "0" {
						size = "0"
					}
					books[id].set(!ask, plain(r[0].String()), plain(size))
				}
			}
		}
		for _, p := range pairs {
			bids, asks := m.Book(Bitfinex, p)
			books[symbol(p)].same(t, p, 100, bids, asks)
		}
	}
	if counts[`"te"`] == 0 || counts[`"te"`] != counts[`"tu"`] || counts["cs"] == 0 {
		t.Errorf("messages %v", counts)
	}
}

// A channel without news tells every 15 s that it is alive, with a number.
func TestBitfinexHeartbeat(t *testing.T) {
	m, err := NewMarket(MarketConfig{Seed: 5, Start: start, Stocks: []StockSpec{}, Cryptos: []CryptoSpec{
		{Pair: "BTC-USD", Price: "95000", Venues: []VenueSpec{{Venue: Bitfinex, Size: "1", Levels: 10}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Config{Provider: "bitfinex", Market: m})
	c := dial(t, s.URL())
	c.send(`{"event":"conf","flags":65536}`)
	c.send(`{"event":"subscribe","channel":"trades","symbol":"tBTCUSD"}`)
	waitFor(t, "the subscription", func() bool { return len(s.Subscriptions()) == 1 })
	m.Step(31 * time.Second)
	frames := c.until(s)
	for i, want := range []string{`,"hb",2]`, `,"hb",3]`} {
		if got := string(frames[len(frames)-2+i]); !strings.HasSuffix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// plain writes a number of JSON without an exponent.
func plain(s string) string {
	m, exp, ok := strings.Cut(s, "e-")
	if !ok {
		return s
	}
	n, _ := strconv.Atoi(exp)
	whole, frac, _ := strings.Cut(m, ".")
	return "0." + strings.Repeat("0", n-len(whole)) + whole + frac
}

// scripted writes a plain number as JavaScript does.
func scripted(s string) string {
	frac, small := strings.CutPrefix(s, "0.000000")
	digits := strings.TrimLeft(frac, "0")
	if !small || digits == "" {
		return s
	}
	exp := 7 + len(frac) - len(digits)
	if len(digits) > 1 {
		digits = digits[:1] + "." + digits[1:]
	}
	return digits + "e-" + strconv.Itoa(exp)
}

func TestScriptNumber(t *testing.T) {
	for _, c := range []struct {
		v        int64
		decimals int
		want     string
	}{{60000, 1, "6000"}, {25, 1, "2.5"}, {17, 8, "1.7e-7"}, {1, 7, "1e-7"}, {1, 6, "0.000001"}, {123, 8, "0.00000123"}, {100, 10, "1e-8"}, {98450, 10, "0.000009845"}} {
		if got := string(scriptNumber(nil, c.v, c.decimals)); got != c.want {
			t.Errorf("%d at %d: %s, want %s", c.v, c.decimals, got, c.want)
		}
	}
}

func TestBitfinexRefuses(t *testing.T) {
	_, s, c := openVenue(t, "bitfinex", "/ws/2")
	c.wantPart(`"event":"info"`)
	for _, tc := range []struct{ send, want string }{
		{`{"event":"subscribe","channel":"book","symbol":"tNOPE","prec":"P0"}`, `"symbol: invalid"`},
		{`{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"R0"}`, `"code":10300`},
		{`{"event":"subscribe","channel":"dance","symbol":"tBTCUSD"}`, `"code":10300`},
		{`{"event":"subscribe","channel":"trades","symbol":"tBTCUSD"}`, `"subscribed"`},
		{`{"event":"ping","cid":3}`, `[`},
		{`{"event":"subscribe","channel":"trades","symbol":"tBTCUSD"}`, `"code":10301`},
		{`{"event":"unsubscribe","chanId":1}`, `"code":10400`},
		{`{"event":"dance"}`, `"code":10000`},
		{`{`, `"code":10000`},
	} {
		c.send(tc.send)
		if tc.want == "[" {
			c.next() // the image of the channel before
			c.wantPart(`"pong"`, `"cid":3`)
			continue
		}
		c.wantPart(tc.want)
	}
	if got := s.Subscriptions(); !slices.Equal(got, []string{"trades:tBTCUSD"}) {
		t.Errorf("subscriptions %q", got)
	}
}

func TestGeminiBooksAreTrue(t *testing.T) {
	m, s, c := openVenue(t, "gemini", "/v2/marketdata")
	m.Step(3 * time.Second) // so that there are trades
	pairs := m.Symbols(Gemini)
	c.send(`{"type":"subscribe","subscriptions":[{"name":"l2","symbols":[` + list(pairs, func(p string) string { return strings.Replace(p, "-", "", 1) }) + `]}]}`)
	waitFor(t, "the subscriptions", func() bool { return len(s.Subscriptions()) == len(pairs) })
	books := map[string]*textBook{}
	before := map[string]int64{}
	trades := map[string]int64{}
	for _, p := range pairs {
		before[p] = m.Trades(Gemini, p)
	}
	images, beats := 0, 0
	for step := range 30 {
		if step > 0 {
			m.Step(200 * time.Millisecond)
		}
		for _, f := range c.until(s) {
			var msg struct {
				Type, Symbol string
				Changes      [][]string
				Trades       []struct {
					ID int64 `json:"event_id"`
				}
			}
			decode(t, f, &msg)
			switch msg.Type {
			case "heartbeat":
				beats++
			case "trade":
				trades[msg.Symbol]++
			case "l2_updates":
				if books[msg.Symbol] == nil {
					books[msg.Symbol] = &textBook{}
					images++
					if len(msg.Trades) > 1 && msg.Trades[0].ID <= msg.Trades[1].ID {
						t.Fatal("the trades of an image are not newest first")
					}
				}
				for _, ch := range msg.Changes {
					books[msg.Symbol].set(ch[0] == "buy", ch[1], ch[2])
				}
			}
		}
		for _, p := range pairs {
			bids, asks := m.Book(Gemini, p)
			books[strings.Replace(p, "-", "", 1)].same(t, p, geminiAll, bids, asks)
		}
	}
	for _, p := range pairs {
		if want := m.Trades(Gemini, p) - before[p]; trades[strings.Replace(p, "-", "", 1)] != want {
			t.Errorf("%s: %d trades, truly %d", p, trades[strings.Replace(p, "-", "", 1)], want)
		}
	}
	if images != len(pairs) || beats != 1 {
		t.Errorf("%d images, %d heartbeats in 6 s", images, beats)
	}
	c.send(`{"type":"subscribe","subscriptions":[{"name":"l2","symbols":["NOPE"]}]}`)
	c.wantPart(`"result":"error"`, "NOPE")
	c.send(`{"type":"unsubscribe","subscriptions":[{"name":"l2","symbols":["BTCUSD"]}]}`)
	waitFor(t, "the end of a subscription", func() bool { return len(s.Subscriptions()) == len(pairs)-1 })
}
