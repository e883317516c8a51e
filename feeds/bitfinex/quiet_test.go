package bitfinex_test

import (
	"testing"
	"testing/synctest"

	"github.com/quotewire/quotewire/feeds/bitfinex"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// Where nothing is traded and no heartbeat comes, we ask.
func TestQuietMarketIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		p.Greet = func() []string { return []string{`{"event":"info","version":2,"platform":{"status":1}}`} }
		c, err := bitfinex.New(bitfinex.Config{URL: "ws://peer", Symbols: []string{"tBTCUSD"}, Book: true, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		feedtest.KeepsQuiet(t, p, c, `"ping"`, `{"event":"pong","cid":1}`)
	})
}
