package bybit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bybit"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// One request names ten topics at most, which is what spot takes; together they
// name all, each once.
func TestSubscriptionsGoOutInPortions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var symbols, want, got []string
		for i := range 17 {
			s := fmt.Sprintf("A%02dUSDT", i)
			symbols = append(symbols, s)
			want = append(want, "orderbook.50."+s, "publicTrade."+s)
		}
		p := feedtest.NewPeer(t)
		p.REST = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"retCode":0,"result":{"list":[]}}`) }
		c, err := bybit.New(bybit.Config{URL: "ws://peer", Category: bybit.Spot, Symbols: symbols, Book: true, Trades: true, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		supervise(t, c, feeds.Policy{Mute: -1})
		time.Sleep(time.Second)
		for _, h := range p.Heard() {
			var r struct {
				Op   string
				Args []string
			}
			if json.Unmarshal([]byte(h.Text), &r) != nil || r.Op != "subscribe" {
				continue
			}
			if len(r.Args) > 10 {
				t.Errorf("a request names %d topics", len(r.Args))
			}
			got = append(got, r.Args...)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("asked for %q, want %q", got, want)
		}
	})
}
