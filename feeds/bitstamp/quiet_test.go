package bitstamp_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/quotewire/quotewire/feeds/bitstamp"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// Bitstamp has no heartbeat but the one that we ask for.
func TestQuietMarketIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		p.REST = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[{"url_symbol":"btcusd"}]`) }
		c, err := bitstamp.New(bitstamp.Config{URL: "ws://peer", Pairs: []string{"btcusd"}, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		feedtest.KeepsQuiet(t, p, c, "bts:heartbeat", `{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}`)
	})
}
