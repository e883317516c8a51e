package bitstamp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitstamp"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// Bitstamp takes one channel a message, and how many at once is not documented: a
// long list goes out by and by, each once.
func TestSubscriptionsGoOutInPortions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pairs, known []string
		for i := range 130 {
			pairs = append(pairs, fmt.Sprintf("a%03dusd", i))
			known = append(known, fmt.Sprintf(`{"url_symbol":%q}`, pairs[i]))
		}
		p := feedtest.NewPeer(t)
		p.REST = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `[%s]`, strings.Join(known, ",")) }
		c, err := bitstamp.New(bitstamp.Config{URL: "ws://peer", Pairs: pairs, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		supervise(t, c, feeds.Policy{Mute: -1})
		time.Sleep(2 * time.Second)
		seen, at := map[string]bool{}, map[time.Duration]int{}
		for _, h := range p.Heard() {
			if h.Conn >= 0 {
				seen[h.Text] = true
				at[h.At]++
			}
		}
		if len(seen) != 2*len(pairs) {
			t.Errorf("%d channels within 2 s, want %d", len(seen), 2*len(pairs))
		}
		for when, n := range at {
			if n > 50 {
				t.Errorf("%d at once, after %v", n, when)
			}
		}
	})
}
