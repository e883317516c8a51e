package best_test

import (
	"fmt"
	"testing"

	"github.com/quotewire/quotewire/orderbook/best"
)

// BenchmarkStep makes one quote anew after one of its 24 legs moved: 8 venues, a
// currency of its own and two that are converted. The books' work is in it.
func BenchmarkStep(b *testing.B) {
	r := newRig(b, map[string]string{"*": "0.0026"}, best.Pair{Symbol: "BTC-USD", Currencies: []string{"USDT", "EUR"}})
	for i := range 8 {
		venue := fmt.Sprintf("venue-%d", i)
		for _, symbol := range []string{"BTC-USD", "BTC-USDT", "BTC-EUR"} {
			r.quote(venue, symbol, "95000.1x2", "95000.2x2")
		}
		r.quote(venue, "USDT-USD", "0.9998x1000", "1.0001x1000")
		r.quote(venue, "EUR-USD", "1.16008x1000", "1.16012x1000")
	}
	r.c.Step()
	prices := [2]string{"95000.1x2", "94999.9x2"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.quote("venue-0", "BTC-USD", prices[i%2], "95000.2x2")
		r.c.Step()
	}
}
