package bitfinex_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/sim"
)

// A confirmation that is lost must not leave a book without a way to be asked for
// again.
func TestResyncWhoseConfirmationIsLost(t *testing.T) {
	policy := feeds.Policy{InitialBackoff: 10 * time.Millisecond, Mute: -1, ResyncEvery: 1, ResyncGap: time.Millisecond}
	for _, c := range []struct {
		name string
		lost int // requests whose answers are lost
		down bool
	}{
		{"that it was left", 1, false},
		{"that it was subscribed, with its channel's number", 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newServer(t, sim.Config{})
			l := supervise(t, connector(t, s, "tBTCUSD"), policy)
			l.await(t, "the book", func(f []string) bool { return imagesOf(f, "tBTCUSD") == 1 })
			const subscribed = 2 // the book and the trades
			l.await(t, "both channels", func([]string) bool { return len(s.Subscriptions()) == subscribed })
			s.Mute(true)
			for i := range c.lost {
				want := subscribed - 1 + i // left, then subscribed again
				l.Resync("tBTCUSD")
				l.await(t, "what was asked for", func([]string) bool { return len(s.Subscriptions()) == want })
			}
			s.Mute(false)
			from := len(l.all())
			// Once: a flurry of requests may cross their answers, and cost the
			// connection for another reason.
			l.Resync("tBTCUSD")
			l.await(t, "the book again", func(f []string) bool { return imagesOf(f, "tBTCUSD") > 1 })
			down := slices.ContainsFunc(l.all()[from:], func(f string) bool { return strings.HasPrefix(f, "down lost") })
			if down != c.down {
				t.Errorf("the connection was replaced: %t, want %t", down, c.down)
			}
		})
	}
}
