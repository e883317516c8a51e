package bus

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// markSink is a sink that keeps the watermarks that it is given.
type markSink struct {
	*views
	mu    sync.Mutex
	marks []int64
}

func (s *markSink) Watermark(until int64) {
	s.mu.Lock()
	s.marks = append(s.marks, until)
	s.mu.Unlock()
}

// saw waits until the sink was given these watermarks and no others.
func (s *markSink) saw(t testing.TB, what string, marks ...int64) {
	t.Helper()
	var got []int64
	s.wait(t, what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		got = slices.Clone(s.marks)
		return len(got) >= len(marks)
	})
	if !slices.Equal(got, marks) {
		t.Fatalf("%s: watermarks %v, want %v", what, got, marks)
	}
}

// A gateway hears how far bars are final though there is no update to tell it.
func TestWatermarkWithoutUpdates(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	f := startFeed(t, srv.URL(), 7, nil)
	marks := &markSink{}
	g := startGateway(t, srv.URL(), func(c *SubscriberConfig) {
		marks.views = newViews(t, c.Directory)
		c.Sinks = []orderbook.Sink{marks}
	})
	alive := func(names ...string) func() bool {
		return func() bool {
			var list []string
			for _, n := range g.sub.Status().Nodes {
				if n.Alive {
					list = append(list, n.Node)
				}
			}
			return slices.Equal(list, names)
		}
	}
	marks.wait(t, "the node", alive("feed-1"))
	at := func(second int64) { // the feed's heartbeat
		f.shard.Apply([]market.Event{{Kind: market.KindHeartbeat, Feed: feedBook, Received: second * int64(time.Second)}})
	}
	const second = int64(time.Second)
	at(12)
	marks.saw(t, "first", 10*second)
	at(12)
	at(15)
	marks.saw(t, "next", 10*second, 13*second)
	if n := marks.updatesNow(); n != 0 {
		t.Errorf("%d updates, want none", n)
	}

	// Another shard of the node holds the watermark up.
	other := f.pub.Sink()
	mark := func(until int64) {
		other.(orderbook.WatermarkSink).Watermark(until * second)
		other.Flush()
	}
	mark(14) // at 13 as yet
	at(30)   // 28
	marks.saw(t, "the other shard's", 10*second, 13*second, 14*second)
	mark(20)
	marks.saw(t, "the other shard's next", 10*second, 13*second, 14*second, 20*second)

	// So does another node, as long as it lives.
	late := startFeed(t, srv.URL(), 8, func(c *PublisherConfig, _ *Publisher) { c.Node = "feed-2" })
	marks.wait(t, "both nodes", alive("feed-1", "feed-2"))
	late.shard.Apply([]market.Event{{Kind: market.KindHeartbeat, Feed: feedBook, Received: 23 * second}}) // 21
	late.message(mustLookup(t, late.dir, "BTC-USD"))
	marks.wait(t, "what follows the other's watermark", func() bool { return marks.updates > 0 })
	mark(25)
	marks.saw(t, "the other node's", 10*second, 13*second, 14*second, 20*second, 21*second)
	late.stop()
	marks.wait(t, "one node", alive("feed-1"))
	mark(26)
	marks.saw(t, "after it has gone", 10*second, 13*second, 14*second, 20*second, 21*second, 26*second)
}
