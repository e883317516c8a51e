package sim

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"
)

// vectorBook is the book of the vendor's published checksum example.
func vectorBook() (asks, bids []level) {
	ask := [][2]string{{"45285.2", "0.00100000"}, {"45286.4", "1.54571953"}, {"45286.6", "1.54571109"}, {"45289.6", "1.54560911"}, {"45290.2", "0.15890660"},
		{"45291.8", "1.54553491"}, {"45294.7", "0.04454749"}, {"45296.1", "0.35380000"}, {"45297.5", "0.09945542"}, {"45299.5", "0.18772827"}}
	bid := [][2]string{{"45283.5", "0.10000000"}, {"45283.4", "1.54582015"}, {"45282.1", "0.10000000"}, {"45281.0", "0.10000000"}, {"45280.3", "1.54592586"},
		{"45279.0", "0.07990000"}, {"45277.6", "0.03310103"}, {"45277.5", "0.30000000"}, {"45277.3", "1.54602737"}, {"45276.6", "0.15445238"}}
	return parseLevels(ask, 1, 8), parseLevels(bid, 1, 8)
}

func parseLevels(rows [][2]string, pd, sd int) (out []level) {
	for _, r := range rows {
		p, err1 := parseFixed(r[0], pd)
		s, err2 := parseFixed(r[1], sd)
		if err1 != nil || err2 != nil {
			panic("test vector")
		}
		out = append(out, level{p, s})
	}
	return out
}

func TestKrakenChecksumVectors(t *testing.T) {
	asks, bids := vectorBook()
	changed := slices.Clone(bids)
	changed[0].size = 25000000
	cases := []struct {
		name       string
		asks, bids []level
		want       uint32
	}{
		{"the vendor's example", asks, bids, 3310070434},
		{"nine bids", asks, bids[1:], 1166728830},
		{"a size changed", asks, changed, 2800903109},
		{"an eleventh ask", slices.Insert(slices.Clone(asks), 0, level{452840, 1_00000000}), bids, 3768705773},
		{"one level", parseLevels([][2]string{{"0.05005", "0.00000500"}}, 5, 8), parseLevels([][2]string{{"0.05000", "0.00000500"}}, 5, 8), 3851508195},
		{"empty", nil, nil, crc32.ChecksumIEEE(nil)},
	}
	for _, c := range cases {
		if got := krakenChecksum(c.asks, c.bids); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func openKraken(t *testing.T, seed uint64) (*Market, *Server, *client) {
	m := newMarket(t, seed)
	s := newServer(t, Config{Provider: "kraken", Market: m})
	c := dial(t, s.URL()+"/v2")
	c.wantPart(`{"channel":"status","type":"update","data":[{`, `"system":"online"`, `"api_version":"v2"`, `"connection_id":`)
	return m, s, c
}

func TestKrakenBooksAreTrue(t *testing.T) {
	for _, depth := range []int{10, 25, 1000} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			m, s, c := openKraken(t, 42)
			pairs := m.Symbols(Kraken)
			if depth == 1000 {
				pairs = pairs[:2]
			}
			m.Step(100 * time.Millisecond)
			c.send(fmt.Sprintf(`{"method":"subscribe","params":{"channel":"book","symbol":[%s],"depth":%d},"req_id":7}`, list(pairs, krakenSymbol), depth))
			for _, p := range pairs {
				c.wantPart(`"method":"subscribe"`, `"req_id":7`, fmt.Sprintf(`"depth":%d`, depth), `"snapshot":true`, `"symbol":"`+krakenSymbol(p)+`"`, `"success":true`, `"time_in":"2026-03-02T14:30:00.100000Z"`)
			}
			k := &krakenBooks{depth: depth, books: map[string]*textBook{}}
			for range 20 {
				m.Step(100 * time.Millisecond)
				for _, f := range c.until(s) {
					k.apply(t, f)
				}
				for _, p := range pairs {
					bids, asks := m.Book(Kraken, p)
					k.books[krakenSymbol(p)].equal(t, p, bids[:min(depth, len(bids))], asks[:min(depth, len(asks))])
				}
			}
			if k.mismatched != 0 || k.updates < 300 || k.snapshots != len(pairs) {
				t.Fatalf("%d checksums matched, %d did not; %d snapshots, %d updates", k.matched, k.mismatched, k.snapshots, k.updates)
			}
			if depth < 1000 && k.fellOff < 20 {
				t.Fatalf("only %d updates pushed a level off the end: cutting does not matter", k.fellOff)
			}
			t.Logf("%d checksums matched in %d updates, %d pushed levels off the end", k.matched, k.updates, k.fellOff)
		})
	}
}

func TestKrakenDepthsAreApart(t *testing.T) {
	m, s, c := openKraken(t, 5)
	c.send(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}`) // depth 10 by default
	c.send(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":25}}`)
	c.wantPart(`"depth":10`, `"success":true`)
	c.wantPart(`"type":"snapshot"`)
	c.wantPart(`"depth":25`, `"success":true`)
	c.wantPart(`"type":"snapshot"`)
	if got := s.Subscriptions(); !slices.Equal(got, []string{"book-10:BTC/USD", "book-25:BTC/USD"}) {
		t.Fatalf("subscriptions %v", got)
	}
	// Without naming the depth it is depth 10 that is meant; the other stays.
	c.send(`{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":3}`)
	c.wantPart(`"method":"unsubscribe"`, `"depth":10`, `"success":true`, `"req_id":3`)
	if got := s.Subscriptions(); !slices.Equal(got, []string{"book-25:BTC/USD"}) {
		t.Fatalf("subscriptions %v", got)
	}
	m.Step(200 * time.Millisecond)
	if len(c.until(s)) == 0 {
		t.Fatal("nothing comes for the depth that is still held")
	}
	c.send(`{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"]}}`)
	c.wantPart(`"error":"Subscription Not Found"`, `"success":false`, `"symbol":"BTC/USD"`)
}

func TestKrakenErrorsAndPing(t *testing.T) {
	_, s, c := openKraken(t, 5)
	cases := []struct{ send, want string }{
		{`{"method":"ping","req_id":101}`, `"method":"pong","req_id":101`},
		{`{"method":"subscribe","params":{"channel":"book","symbol":["XYZ/USD"],"depth":10},"req_id":1}`, `{"error":"Currency pair not supported XYZ/USD","method":"subscribe","req_id":1,"success":false,"symbol":"XYZ/USD"`},
		{`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":11}}`, `"success":false`},
		{`{"method":"subscribe","params":{"channel":"nonsense","symbol":["BTC/USD"]}}`, `"success":false`},
		{`{"method":"subscribe","params":{"channel":"trade"}}`, `"success":false`},
		{`{"method":"subscribe","params":{"channel":"book","symbol":[""]}}`, `"success":false`},
		{`{"method":"dance"}`, `"success":false`},
		{`{nonsense`, `"error":"Malformed request"`},
		{`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":false},"req_id":0}`, `"req_id":0`},
		{`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}`, `"error":"Already subscribed"`},
	}
	for _, tc := range cases {
		c.send(tc.send)
		c.wantPart(tc.want)
	}
	if got := s.Subscriptions(); !slices.Equal(got, []string{"trade:BTC/USD"}) {
		t.Fatalf("subscriptions %v", got)
	}
	// One bad symbol does not harm the others of the request.
	c.send(`{"method":"subscribe","params":{"channel":"trade","symbol":["NO/USD","ETH/USD"]}}`)
	c.wantPart(`"success":false`, `NO/USD`)
	c.wantPart(`"success":true`, `ETH/USD`)
}

func TestKrakenTradesInstrumentHeartbeat(t *testing.T) {
	m, s, c := openKraken(t, 9)
	c.send(`{"method":"subscribe","params":{"channel":"instrument"},"req_id":1}`)
	c.wantPart(`"channel":"instrument"`, `"success":true`)
	got := c.wantPart(`{"channel":"instrument","type":"snapshot","data":{"assets":[`, `"price_precision":1,"price_increment":0.1,"qty_precision":8,"qty_increment":1e-08`)
	if n := strings.Count(got, `"symbol":`); n != len(m.Symbols(Kraken)) {
		t.Errorf("%d instruments", n)
	}
	// Nothing else is subscribed: a heartbeat a second is all that comes.
	m.Step(5 * time.Second)
	if frames := c.until(s); len(frames) != 5 || string(frames[0]) != `{"channel":"heartbeat"}` {
		t.Fatalf("%d frames in 5 idle seconds", len(frames))
	}
	before := m.Trades(Kraken, "BTC-USD")
	c.send(`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":true}}`)
	c.wantPart(`"success":true`)
	snap := c.wantPart(`"channel":"trade","type":"snapshot"`)
	if n := strings.Count(snap, `"trade_id"`); n != 50 {
		t.Errorf("snapshot of %d trades, %d were made", n, before)
	}
	k := &krakenBooks{books: map[string]*textBook{}}
	k.apply(t, []byte(snap))
	m.Step(3 * time.Second)
	for _, f := range c.until(s) {
		k.apply(t, f)
	}
	ts := k.trades["BTC/USD"]
	if want := m.Trades(Kraken, "BTC-USD") - before; int64(len(ts)-50) != want {
		t.Errorf("%d trades, truly %d", len(ts)-50, want)
	}
	for i := range ts[1:] {
		if ts[i+1].TradeID != ts[i].TradeID+1 {
			t.Fatalf("trade ids %d, %d", ts[i].TradeID, ts[i+1].TradeID)
		}
	}
	if k.heartbeats != 0 {
		t.Errorf("%d heartbeats while trades came", k.heartbeats)
	}
}

// TestKrakenTakerSide holds the side of trades against the book: a taker who
// buys removes asks.
func TestKrakenTakerSide(t *testing.T) {
	m, s, c := openKraken(t, 11)
	c.send(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}`)
	c.wantPart(`"success":true`)
	c.send(`{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}`)
	k := &krakenBooks{depth: 10, books: map[string]*textBook{}}
	seen := 0
	for range 100 {
		m.Step(20 * time.Millisecond)
		for _, f := range c.until(s) {
			had := len(k.trades["BTC/USD"])
			b := k.books["BTC/USD"]
			k.apply(t, f)
			for i, tr := range k.trades["BTC/USD"][had:] {
				if i > 0 {
					continue // only the first of an order meets the best level
				}
				want := b.asks[0].Price
				if tr.Side == "sell" {
					want = b.bids[0].Price
				}
				// A trade is told before the book that it changed.
				if tr.Price.String() != want {
					t.Fatalf("%s at %s, the best level there was %s", tr.Side, tr.Price, want)
				}
				seen++
			}
		}
	}
	if seen < 20 {
		t.Fatalf("only %d trades", seen)
	}
}
