package binance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// Binance cuts a connection that sends more than 5 messages a second, of futures
// 10: requests are spaced, those of a new connection and those that follow what is
// wanted.
func TestRequestsAreSpaced(t *testing.T) {
	for market, perSecond := range map[binance.Market]int{binance.Spot: 5, binance.USDM: 10} {
		t.Run(string(market), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var symbols, known []string
				for i := range 700 {
					symbols = append(symbols, fmt.Sprintf("A%03dUSDT", i))
					known = append(known, fmt.Sprintf(`{"symbol":%q}`, symbols[i]))
				}
				p := feedtest.NewPeer(t)
				p.REST = func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprintf(w, `{"symbols":[%s]}`, strings.Join(known, ","))
				}
				c, err := binance.New(binance.Config{Market: market, URL: "ws://peer", Symbols: symbols, Channels: []string{"bookTicker"}, NetDial: p.Dial})
				if err != nil {
					t.Fatal(err)
				}
				conn, err := c.Connect(t.Context(), &feeds.Attempt{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				d := conn.(feeds.Demander)
				for i := range 10 {
					if err := d.Unsubscribe(symbols[i : i+1]); err != nil {
						t.Error(err)
					}
					if err := d.Subscribe(symbols[i : i+1]); err != nil {
						t.Error(err)
					}
				}
				synctest.Wait()
				conn.Close()
				var last time.Duration
				n := 0
				for _, h := range p.Heard() {
					if !strings.Contains(h.Text, "SUBSCRIBE") {
						continue
					}
					if gap := h.At - last; n > 0 && gap <= time.Second/time.Duration(perSecond) {
						t.Errorf("request %d comes %v after the one before", n, gap)
					}
					n, last = n+1, h.At
				}
				if n != 4+20 { // 200 streams each, then one
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}
