package okx_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/sim"
)

// A storm of repairs uses up the requests that OKX takes from a connection. Then
// a new one brings the books, instead of one every 18 s.
func TestStormOfResyncsEndsWithANewConnection(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s, "BTC-USD", "ETH-USD"), feeds.Policy{InitialBackoff: 10 * time.Millisecond, Mute: -1, ResyncEvery: 1, ResyncGap: time.Microsecond})
	l.await(t, "two books", func(f []string) bool { return count(f, isImage, "BTC-USD") == 1 && count(f, isImage, "ETH-USD") == 1 })
	asked := 1
	l.await(t, "a new connection", func(f []string) bool {
		// Each waits for the answer to the one before, else how many images come
		// before the end depends on who is quicker.
		if count(f, isImage, "BTC-USD") == asked {
			asked++
			l.Resync("BTC-USD")
		}
		m.Step(10 * time.Millisecond)
		return s.Accepted() > 1
	})
	frames := l.all()
	down := slices.IndexFunc(frames, func(f string) bool { return strings.HasPrefix(f, "down") })
	if n := count(frames[:down], isImage, "BTC-USD"); n < 25 || n > 32 {
		t.Errorf("replaced after %d images, want about 30", n)
	}
	if !strings.Contains(frames[down], "no requests are left") {
		t.Errorf("%s", frames[down])
	}
	l.await(t, "both books again", func(f []string) bool {
		return count(f[down:], isImage, "BTC-USD") > 0 && count(f[down:], isImage, "ETH-USD") > 0
	})
}
