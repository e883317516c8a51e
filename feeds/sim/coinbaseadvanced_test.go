package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type advancedTestMessage struct {
	Channel  string
	Sequence uint64 `json:"sequence_num"`
	Events   []struct {
		Type    string
		Product string `json:"product_id"`
		Updates []struct {
			Side  string
			At    string `json:"event_time"`
			Price string `json:"price_level"`
			Size  string `json:"new_quantity"`
		}
		Trades []struct {
			ID      string `json:"trade_id"`
			Product string `json:"product_id"`
			Side    string
		}
		Counter int64 `json:"heartbeat_counter"`
	}
}

func openAdvanced(t *testing.T, seed uint64) (*Market, *Server, *client) {
	m := newMarket(t, seed)
	s := newServer(t, Config{Provider: "coinbase-advanced", Market: m})
	return m, s, dial(t, s.URL())
}

// TestCoinbaseAdvancedBooksAreTrue follows the protocol with a book of texts and
// holds it against the market, and the count against its rule.
func TestCoinbaseAdvancedBooksAreTrue(t *testing.T) {
	m, s, c := openAdvanced(t, 21)
	m.Step(2 * time.Second)
	pairs := m.Symbols(Coinbase)
	trades := map[string]int64{}
	for _, p := range pairs {
		trades[p] = m.Trades(Coinbase, p)
	}
	for _, ch := range advancedChannels {
		c.send(fmt.Sprintf(`{"type":"subscribe","product_ids":[%s],"channel":%q}`, list(pairs, same), ch))
	}
	books := map[string]*textBook{}
	var next uint64
	beats, bought, sold := 0, 0, 0
	last := map[string]int64{}
	count := map[string]int64{}
	waitFor(t, "the subscriptions", func() bool { return len(s.Subscriptions()) == 2*len(pairs)+1+len(pairs) })
	for step := range 26 {
		if step > 0 {
			m.Step(100 * time.Millisecond)
		}
		for _, f := range c.until(s) {
			var msg advancedTestMessage
			decode(t, f, &msg)
			if msg.Sequence != next {
				t.Fatalf("sequence_num %d, want %d", msg.Sequence, next)
			}
			next++
			for _, e := range msg.Events {
				switch msg.Channel {
				case "l2_data":
					b := books[e.Product]
					if b == nil || e.Type == "snapshot" {
						if e.Type != "snapshot" {
							t.Fatalf("update of %s before its image", e.Product)
						}
						b = &textBook{}
						books[e.Product] = b
					}
					for _, u := range e.Updates {
						b.set(u.Side == "bid", u.Price, u.Size)
						if (u.At == "1970-01-01T00:00:00Z") != (e.Type == "snapshot") {
							t.Fatalf("event_time %s in a %s", u.At, e.Type)
						}
					}
				case "heartbeats":
					beats++
				case "market_trades":
					if e.Type == "update" {
						for _, tr := range slices.Backward(e.Trades) {
							id, _ := strconv.ParseInt(tr.ID, 10, 64)
							if l := last[tr.Product]; l != 0 && id != l+1 {
								t.Fatalf("%s: trade %d follows %d", tr.Product, id, l)
							}
							last[tr.Product] = id
							count[tr.Product]++
							if tr.Side == "BUY" {
								sold++
							} else {
								bought++
							}
						}
					} else if n := len(e.Trades); n > 0 {
						last[e.Trades[0].Product], _ = strconv.ParseInt(e.Trades[0].ID, 10, 64)
					}
				}
			}
		}
		for _, p := range pairs {
			bids, asks := m.Book(Coinbase, p)
			books[p].equal(t, p, bids, asks)
		}
	}
	if beats != 2 || bought == 0 || sold == 0 {
		t.Errorf("%d heartbeats in 2.5 s, %d bought, %d sold", beats, bought, sold)
	}
	for _, p := range pairs {
		if n := m.Trades(Coinbase, p) - trades[p]; count[p] > n || p == "BTC-USD" && count[p] < n*8/10 {
			t.Errorf("%s: %d trades told of %d", p, count[p], n)
		}
	}
}

// A change that was dropped shows as a hole in the count, of that connection.
func TestCoinbaseAdvancedDropShowsInTheCount(t *testing.T) {
	m, s, c := openAdvanced(t, 5)
	c.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}`)
	c.wantPart(`"sequence_num":0`, "subscriptions")
	c.wantPart(`"sequence_num":1`, "snapshot")
	s.DropNext("BTC-USD", 1)
	m.Step(200 * time.Millisecond)
	frames := c.until(s)
	if len(frames) < 2 || !strings.Contains(string(frames[0]), `"sequence_num":3,`) {
		t.Fatalf("%d frames, the first %.120s", len(frames), frames[0])
	}
}

func TestCoinbaseAdvancedSubscriptions(t *testing.T) {
	m, s, c := openAdvanced(t, 3)
	c.send(`{"type":"subscribe","product_ids":["NO-SUCH"],"channel":"level2"}`)
	c.want(`{"type":"error","message":"NO-SUCH is not a valid product"}`)
	c.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channel":"full"}`)
	c.want(`{"type":"error","message":"full is not a valid channel"}`)
	c.send(`{"type":"subscribe","channel":"level2"}`)
	c.wantPart(`"type":"error"`)
	c.send(`{`)
	c.wantPart(`"type":"error"`)
	c.send(`{"type":"dance"}`)
	c.wantPart(`"type":"error"`)
	c.send(`{"type":"subscribe","product_ids":["BTC-USDC"],"channel":"level2"}`) // an alias
	c.wantPart(`"sequence_num":0`, `"level2":["BTC-USD"]`)
	c.wantPart(`"snapshot"`, `"product_id":"BTC-USD"`)
	c.send(`{"type":"subscribe","channel":"heartbeats"}`)
	c.wantPart(`"heartbeats":[""]`, `"level2":["BTC-USD"]`)
	if got := s.Subscriptions(); !slices.Equal(got, []string{"heartbeats", "level2:BTC-USD"}) {
		t.Errorf("subscriptions %v", got)
	}
	c.send(`{"type":"unsubscribe","product_ids":["BTC-USD"],"channel":"level2"}`)
	c.wantPart(`{"subscriptions":{"heartbeats":[""]}}`)
	m.Step(500 * time.Millisecond)
	for _, f := range c.until(s) {
		if strings.Contains(string(f), "l2_data") {
			t.Fatalf("after unsubscribe: %s", f)
		}
	}
	c.send(`{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}`)
	c.wantPart("subscriptions")
	c.wantPart(`"snapshot"`)
}

func TestCoinbaseAdvancedCutsTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := pipeServer(t, Config{Provider: "coinbase-advanced", Market: newMarket(t, 1)})
		began := time.Now()
		if code := dial("/").ended(); code != 0 || time.Since(began) != 5*time.Second {
			t.Errorf("ended with %d after %v", code, time.Since(began))
		}
	})
}
