package coinbase_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/coinbase"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// superviseOrders runs a feed of the full channel against p, in a bubble.
func superviseOrders(t *testing.T, p *feedtest.Peer, products ...string) *live {
	t.Helper()
	p.REST = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }
	c, err := coinbase.New(coinbase.Config{URL: "ws://peer", Products: products, Channels: []string{coinbase.Full}, NetDial: p.Dial,
		Credentials: coinbase.Credentials{Key: "k", Passphrase: "p", Secret: "c2VjcmV0"}})
	if err != nil {
		t.Fatal(err)
	}
	l := supervise(t, c, feeds.Policy{Mute: -1})
	synctest.Wait()
	return l
}

// listing is what Coinbase says is subscribed.
func listing(products ...string) string {
	b, _ := json.Marshal(products)
	return fmt.Sprintf(`{"type":"subscriptions","channels":[{"name":"full","product_ids":%s}]}`, b)
}

// books returns when which books were asked for.
func books(p *feedtest.Peer) (asked []feedtest.Heard) {
	return slices.DeleteFunc(p.Heard(), func(h feedtest.Heard) bool { return h.Conn >= 0 })
}

// However many products there are, and however often the connection is lost, no
// more books are asked for than Coinbase wants to give.
func TestBooksOfOrdersKeepToTheirBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		products := make([]string, 100)
		for i := range products {
			products[i] = fmt.Sprintf("A%02d-USD", i)
		}
		p := feedtest.NewPeer(t)
		superviseOrders(t, p, products...)
		p.Say(listing(products...))
		time.Sleep(100 * time.Second)
		asked := books(p)
		if len(asked) != len(products) {
			t.Fatalf("%d books were asked for in 100 s, want %d", len(asked), len(products))
		}
		const burst, every = 5, time.Second
		for i, h := range asked {
			if soonest := time.Duration(i-burst+1) * every; h.At < soonest {
				t.Fatalf("book %d was asked for after %v, want %v or later", i, h.At, soonest)
			}
		}
	})
}

// A product that leaves the listing and comes back has a new stream, which needs a
// new book. Who stays is not asked for again.
func TestProductListedAgainNeedsItsBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		superviseOrders(t, p, "A-USD", "B-USD")
		var got []string
		for _, products := range [][]string{{"A-USD"}, {"A-USD", "B-USD"}, {"A-USD"}, {"A-USD", "B-USD"}, {"A-USD", "B-USD"}} {
			p.Say(listing(products...))
			time.Sleep(10 * time.Second)
		}
		for _, h := range books(p) {
			got = append(got, h.Text)
		}
		a, b := "/products/A-USD/book?level=3", "/products/B-USD/book?level=3"
		if want := []string{a, b, b}; !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
	})
}
