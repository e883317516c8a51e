package bybit_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bybit"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// Bybit wants a ping whether or not anything is traded.
func TestQuietMarketIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := quietPeer(t)
		feedtest.KeepsQuiet(t, p, c, `"op":"ping"`, `{"success":true,"ret_msg":"pong","op":"ping"}`)
	})
}

// Bybit cuts a connection that it does not hear from, however much it says itself.
func TestPingsWhileDataComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := quietPeer(t)
		supervise(t, c, feeds.Policy{Mute: -1})
		synctest.Wait()
		for range 600 {
			p.Say(`{"topic":"orderbook.50.BTCUSDT","type":"delta"}`)
			time.Sleep(100 * time.Millisecond)
		}
		pings := 0
		for _, h := range p.Heard() {
			if strings.Contains(h.Text, `"op":"ping"`) {
				pings++
			}
		}
		if pings < 3 { // every 20 s at least
			t.Errorf("%d pings in a minute", pings)
		}
	})
}

// quietPeer returns a venue that says nothing of itself, and a feed of it.
func quietPeer(t *testing.T) (*feedtest.Peer, feeds.Connector) {
	p := feedtest.NewPeer(t)
	p.REST = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"retCode":0,"result":{"list":[]}}`) }
	c, err := bybit.New(bybit.Config{URL: "ws://peer", Category: bybit.Linear, Symbols: []string{"BTCUSDT"}, Book: true, NetDial: p.Dial})
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}
