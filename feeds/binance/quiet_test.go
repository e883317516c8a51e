package binance_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// Where nothing is traded, the list of our subscriptions is asked for.
func TestQuietMarketIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		p.REST = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"symbols":[{"symbol":"BTCUSDT"}]}`) }
		c, err := binance.New(binance.Config{URL: "ws://peer", Symbols: []string{"BTCUSDT"}, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		feedtest.KeepsQuiet(t, p, c, "LIST_SUBSCRIPTIONS", `{"result":[],"id":0}`)
	})
}
