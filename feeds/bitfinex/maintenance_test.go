package bitfinex_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitfinex"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// subscriptions returns how many channels were subscribed, over all connections.
func subscriptions(p *feedtest.Peer) (n int) {
	for _, h := range p.Heard() {
		if strings.Contains(h.Text, `"subscribe"`) {
			n++
		}
	}
	return n
}

// A platform in maintenance says so in its greeting: nothing is subscribed, and the
// feed is not up until a greeting says otherwise. Where maintenance begins later
// ("Info codes", 20060), what is told until its end is still the stream; its end
// means to subscribe everything anew.
func TestMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := feedtest.NewPeer(t)
		var status atomic.Int32
		p.Greet = func() []string {
			return []string{fmt.Sprintf(`{"event":"info","version":2,"platform":{"status":%d}}`, status.Load())}
		}
		c, err := bitfinex.New(bitfinex.Config{URL: "ws://peer", Symbols: []string{"tBTCUSD"}, Book: true, NetDial: p.Dial})
		if err != nil {
			t.Fatal(err)
		}
		l := supervise(t, c, feeds.Policy{Mute: -1})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := subscriptions(p); n != 0 {
			t.Errorf("%d subscriptions at a platform in maintenance", n)
		}
		frames := l.all()
		if slices.Contains(frames, "up") || !slices.Contains(frames, "down lost: the platform is in maintenance") {
			t.Errorf("frames %q", frames)
		}

		status.Store(1)
		time.Sleep(2 * time.Minute) // the next attempt is later than the first
		synctest.Wait()
		if st := l.Status(); st.State != feeds.StateLive {
			t.Fatalf("after maintenance %+v", st)
		}
		from := len(l.all())
		p.Say(`{"event":"info","code":20060,"msg":"Entering maintenance"}`)
		p.Say(`[1,"hb",7]`)
		time.Sleep(10 * time.Minute)
		if got := l.all()[from:]; len(got) != 2 || got[1] != `data [1,"hb",7]` {
			t.Errorf("after it has begun come %q", got)
		}
		p.Say(`{"event":"info","code":20061,"msg":"Maintenance ended"}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.ContainsFunc(l.all()[from:], func(f string) bool { return strings.HasPrefix(f, "down lost: info 20061") }) ||
			l.Status().State != feeds.StateLive || subscriptions(p) != 2 {
			t.Errorf("after its end %q and %d subscriptions, status %+v", l.all()[from:], subscriptions(p), l.Status())
		}
	})
}
