package streamer

import (
	"fmt"
	"runtime"
	"testing"
	"weak"

	"github.com/quotewire/quotewire/market"
)

// TestUnsubscribedIsForgotten: a client that keeps one stream of many does not keep
// the memory of all.
func TestUnsubscribedIsForgotten(t *testing.T) {
	const n = 3 * subSlab
	d := newDesk(t)
	for i := range n {
		if _, err := d.dir.Instrument(fmt.Sprintf("T%03d-USD", i), market.ClassCrypto); err != nil {
			t.Fatal(err)
		}
	}
	d.ask(`{"op":"subscribe","channel":"quote","symbols":["T*"]}`)
	d.read()
	if len(d.s.subs) != n {
		t.Fatalf("%d subscriptions", len(d.s.subs))
	}
	held := make([]weak.Pointer[sub], n)
	for i, u := range d.s.subs {
		held[i] = weak.Make(u)
	}
	for i := range n {
		if i != n/2 {
			d.ask(`{"op":"unsubscribe","channel":"quote","symbols":["T%03d-USD"]}`, i)
		}
	}
	d.read()
	if len(d.s.subs) != 1 {
		t.Fatalf("%d subscriptions are left", len(d.s.subs))
	}
	runtime.GC()
	left := 0
	for _, p := range held {
		if p.Value() != nil {
			left++
		}
	}
	if left == 0 || left > subSlab {
		t.Errorf("the memory of %d subscriptions is held, want at most %d", left, subSlab)
	}
	runtime.KeepAlive(d)
}
