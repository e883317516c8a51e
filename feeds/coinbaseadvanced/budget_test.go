package coinbaseadvanced_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/coinbaseadvanced"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// A storm of repairs keeps to the messages that Coinbase takes in a second, and
// leaves out no product.
func TestStormOfResyncsKeepsToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		var products []string
		for i := range 60 {
			products = append(products, fmt.Sprintf("A%02d-USD", i))
		}
		c, err := coinbaseadvanced.New(coinbaseadvanced.Config{URL: "ws://peer", Products: products, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		l := supervise(t, c, feeds.Policy{Mute: -1, ResyncGap: time.Millisecond})
		time.Sleep(10 * time.Second)
		subscribed := len(p.Heard())
		asked := map[string]time.Duration{}
		began := time.Now()
		for _, product := range products {
			asked[product] = time.Since(began)
			l.Resync(product)
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		heard := p.Heard()[subscribed:]
		const perSecond, ours = 8, 6 // what Coinbase takes, and what of it repairs may use
		for i := ours; i < len(heard); i++ {
			if d := heard[i].At - heard[i-ours].At; d < time.Second {
				t.Fatalf("%d messages in %v: Coinbase takes %d in a second, of all kinds", ours+1, d, perSecond)
			}
		}
		for product, at := range asked {
			n := 0
			for _, h := range heard {
				if !strings.Contains(h.Text, product) {
					continue
				}
				n++
				if d := h.At - heard[0].At - at; d > time.Second {
					t.Errorf("%s waited for %v", product, d)
				}
			}
			if n != 2 {
				t.Errorf("%s is in %d messages, want one to unsubscribe and one to subscribe", product, n)
			}
		}
	})
}
