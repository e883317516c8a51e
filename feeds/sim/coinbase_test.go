package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type coinbaseMessage struct {
	Type       string
	ProductID  string `json:"product_id"`
	Bids, Asks [][2]string
	Changes    [][3]string
	Time       string
	TradeID    int64 `json:"trade_id"`
	LastTrade  int64 `json:"last_trade_id"`
	Sequence   int64
	Side       string
	Size       string
	Price      string
}

// coinbaseBooks follows the Exchange feed.
type coinbaseBooks struct {
	books      map[string]*textBook
	matches    map[string][]coinbaseMessage
	last       map[string]coinbaseMessage
	heartbeats map[string][]coinbaseMessage
	updates    map[string][]coinbaseMessage
	snapshots  int
	statuses   int
}

func newCoinbaseBooks() *coinbaseBooks {
	return &coinbaseBooks{map[string]*textBook{}, map[string][]coinbaseMessage{}, map[string]coinbaseMessage{}, map[string][]coinbaseMessage{}, map[string][]coinbaseMessage{}, 0, 0}
}

func (k *coinbaseBooks) apply(t testing.TB, frame []byte) {
	t.Helper()
	var m coinbaseMessage
	decode(t, frame, &m)
	switch m.Type {
	case "snapshot":
		k.snapshots++
		b := &textBook{}
		for _, l := range m.Bids {
			b.set(true, l[0], l[1])
		}
		for _, l := range m.Asks {
			b.set(false, l[0], l[1])
		}
		k.books[m.ProductID] = b
	case "l2update":
		b := k.books[m.ProductID]
		if b == nil {
			t.Fatalf("l2update of %s before its snapshot", m.ProductID)
		}
		for _, c := range m.Changes {
			b.set(c[0] == "buy", c[1], c[2])
		}
		k.updates[m.ProductID] = append(k.updates[m.ProductID], m)
	case "match":
		k.matches[m.ProductID] = append(k.matches[m.ProductID], m)
	case "last_match":
		k.last[m.ProductID] = m
	case "heartbeat":
		k.heartbeats[m.ProductID] = append(k.heartbeats[m.ProductID], m)
	case "status":
		k.statuses++
	}
}

func openCoinbase(t *testing.T, seed uint64) (*Market, *Server, *client) {
	m := newMarket(t, seed)
	s := newServer(t, Config{Provider: "coinbase", Market: m})
	return m, s, dial(t, s.URL())
}

func TestCoinbaseBooksAreTrue(t *testing.T) {
	m, s, c := openCoinbase(t, 21)
	m.Step(2 * time.Second)
	pairs := m.Symbols(Coinbase)
	c.send(fmt.Sprintf(`{"type":"subscribe","product_ids":[%s],"channels":["level2_batch","matches","heartbeat"]}`, list(pairs, same)))
	l := list(pairs, same)
	c.want(fmt.Sprintf(`{"type":"subscriptions","channels":[{"name":"level2_50","product_ids":[%s],"account_ids":null},{"name":"matches","product_ids":[%s],"account_ids":null},{"name":"heartbeat","product_ids":[%s],"account_ids":null}]}`, l, l, l))
	before := map[string]int64{}
	for _, p := range pairs {
		before[p] = m.Trades(Coinbase, p)
	}
	k := newCoinbaseBooks()
	for range 25 {
		m.Step(100 * time.Millisecond) // batches end with every other 50 ms
		for _, f := range c.until(s) {
			k.apply(t, f)
		}
		for _, p := range pairs {
			bids, asks := m.Book(Coinbase, p)
			k.books[p].equal(t, p, bids, asks)
		}
	}
	for _, p := range pairs {
		last := k.last[p]
		if last.TradeID == 0 {
			t.Errorf("%s: no last_match", p)
		}
		if n := m.Trades(Coinbase, p) - before[p]; int64(len(k.matches[p])) != n {
			t.Errorf("%s: %d matches, truly %d", p, len(k.matches[p]), n)
		}
		for _, mt := range k.matches[p] {
			if mt.TradeID != last.TradeID+1 || mt.Sequence <= last.Sequence || mt.Time < last.Time {
				t.Fatalf("%s: %+v after %+v", p, mt, last)
			}
			last = mt
		}
		hb := k.heartbeats[p]
		if len(hb) != 2 || !strings.HasSuffix(hb[0].Time, ":03.000000Z") || hb[1].LastTrade > last.TradeID || hb[1].Sequence < hb[0].Sequence {
			t.Errorf("%s: heartbeats %+v", p, hb)
		}
		if n := len(k.updates[p]); n > 50 || p == "BTC-USD" && n < 45 {
			t.Errorf("%s: %d l2updates in 2.5 s of 50 ms batches", p, n)
		}
	}
	if k.snapshots != len(pairs) {
		t.Errorf("%d snapshots", k.snapshots)
	}
}

// TestCoinbaseMakerSide: a match with side sell lifted an ask, so the sizes that
// trade away on the sell side are those of the book's asks.
func TestCoinbaseMakerSide(t *testing.T) {
	m, s, c := openCoinbase(t, 4)
	truth := &sides{}
	m.attach(truth)
	c.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["matches"]}`)
	c.wantPart("subscriptions")
	m.Step(2 * time.Second)
	k := newCoinbaseBooks()
	for _, f := range c.until(s) {
		k.apply(t, f)
	}
	var got []bool
	for _, mt := range k.matches["BTC-USD"] {
		got = append(got, mt.Side == "sell")
	}
	if len(got) < 10 || !slices.Equal(got, truth.takerBought) {
		t.Fatalf("%d matches: maker sold %v, taker bought %v", len(got), got, truth.takerBought)
	}
}

type sides struct {
	coinbase    // for the methods that do nothing
	takerBought []bool
}

func (s *sides) onTick(int64) {}
func (s *sides) onBook(v *venue, c *change) {
	if v.spec.Venue == Coinbase && v.pair.spec.Pair == "BTC-USD" {
		for _, tr := range c.trades {
			s.takerBought = append(s.takerBought, tr.buy)
		}
	}
}

func TestCoinbaseSubscriptions(t *testing.T) {
	m, s, c := openCoinbase(t, 3)
	c.send(`{"type":"subscribe","product_ids":["BTC-XXX"],"channels":["matches"]}`)
	c.want(`{"type":"error","message":"Failed to subscribe","reason":"BTC-XXX is not a valid product"}`)
	c.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["full"]}`)
	c.wantPart(`"type":"error"`, "Authentication Failed")
	c.send(`{"type":"dance"}`)
	c.wantPart(`"type":"error"`)
	c.send(`{`)
	c.wantPart(`"type":"error"`)
	c.send(`{"type":"subscribe","channels":["level2"]}`)
	c.wantPart(`"type":"error"`)
	c.send(`{"type":"subscribe","channels":[{"name":"level2","product_ids":["ETH-USD"]}]}`)
	c.wantPart(`{"type":"subscriptions","channels":[{"name":"level2","product_ids":["ETH-USD"]`)
	first := c.wantPart(`"type":"snapshot"`, "ETH-USD")
	// The answer lists all that is held, not only what was asked for last.
	c.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["heartbeat"]}`)
	c.wantPart(`{"name":"level2","product_ids":["ETH-USD"]`, `{"name":"heartbeat","product_ids":["BTC-USD"]`)
	if got := s.Subscriptions(); !slices.Equal(got, []string{"heartbeat:BTC-USD", "level2:ETH-USD"}) {
		t.Fatalf("subscriptions %v", got)
	}
	m.Step(time.Second)
	if n := len(c.until(s)); n < 10 {
		t.Fatalf("%d frames in a second", n)
	}
	c.send(`{"type":"unsubscribe","product_ids":["ETH-USD"],"channels":["level2"]}`)
	c.want(`{"type":"subscriptions","channels":[{"name":"heartbeat","product_ids":["BTC-USD"],"account_ids":null}]}`)
	m.Step(time.Second)
	for _, f := range c.until(s) {
		if strings.Contains(string(f), "ETH-USD") {
			t.Fatalf("after unsubscribe: %s", f)
		}
	}
	// Subscribing again gives a new snapshot: the documented resync.
	c.send(`{"type":"subscribe","product_ids":["ETH-USD"],"channels":["level2"]}`)
	c.wantPart("subscriptions")
	second := c.wantPart(`"type":"snapshot"`)
	k := newCoinbaseBooks()
	k.apply(t, []byte(second))
	bids, asks := m.Book(Coinbase, "ETH-USD")
	k.books["ETH-USD"].equal(t, "resync", bids, asks)
	if first == second {
		t.Error("the second snapshot is the first")
	}
}

func TestCoinbaseStatus(t *testing.T) {
	m, s, c := openCoinbase(t, 3)
	c.send(`{"type":"subscribe","channels":["status"]}`)
	c.wantPart(`{"name":"status","product_ids":[]`)
	c.wantPart(`"type":"status"`, `{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01"`, `"status":"online"`, `"currencies":[`)
	m.Step(10 * time.Second)
	if n := len(c.until(s)); n != 2 {
		t.Errorf("%d statuses in 10 s", n)
	}
}

func TestCoinbaseCutsTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial := pipeServer(t, Config{Provider: "coinbase", Market: newMarket(t, 1)})
		began := time.Now()
		silent, speaks := dial("/"), dial("/")
		speaks.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["heartbeat"]}`)
		speaks.wantPart("subscriptions")
		if code := silent.ended(); code != 0 || time.Since(began) != 5*time.Second {
			t.Errorf("ended with %d after %v", code, time.Since(began))
		}
		time.Sleep(time.Minute) // in the bubble: no real time passes
		s.market.Step(time.Second)
		speaks.wantPart("heartbeat")
	})
}
