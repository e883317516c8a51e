package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer/wire"
)

// barFollower holds the bars of a second that a server says are final, as they were
// revised since.
type barFollower struct {
	mu    sync.Mutex
	first time.Time            // of the first that was final
	final map[time.Time]string // by start
	until time.Time            // the watermark
	err   error                // first thing that was wrong
}

func followBars(t *testing.T, url, symbol string) *barFollower {
	t.Helper()
	c, err := client.Dial(t.Context(), url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Subscribe(t.Context(), client.Subscription{Channel: wire.ChannelBar, Symbols: []string{symbol}, Bar: "1s"})
	if err != nil {
		t.Fatal(err)
	}
	f := &barFollower{final: make(map[time.Time]string)}
	var done sync.WaitGroup
	done.Go(func() {
		for u, err := range s.All(context.Background()) {
			if err != nil {
				return
			}
			f.take(u)
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		done.Wait()
	})
	return f
}

func (f *barFollower) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *barFollower) take(u client.Update) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch u := u.(type) {
	case *client.Bar:
		if u.State == "provisional" {
			if !u.Start.Add(time.Second).After(f.until) {
				f.fail("%+v after the watermark %v", u, f.until)
			}
			return
		}
		// One first heard of after its time was over is revised from the start.
		if u.State == "revised" && (f.first.IsZero() || u.Start.Before(f.first)) {
			return
		}
		if f.first.IsZero() {
			f.first = u.Start
		}
		f.final[u.Start] = fmt.Sprint(u.Open.Decimal, u.High.Decimal, u.Low.Decimal, u.Close.Decimal, u.Volume.Decimal, u.VWAP.Decimal, u.Trades)
	case *client.Watermark:
		f.until = u.Until
		for at := f.first; !f.first.IsZero() && !at.Add(time.Second).After(u.Until); at = at.Add(time.Second) {
			if f.final[at] == "" {
				f.fail("the watermark is at %v and the bar of %v has not come", u.Until, at)
			}
		}
	default:
		f.fail("%T %+v", u, u)
	}
}

// TestBarsThroughAGateway: bars come over the bus as they are in the process that
// makes them, one for each second, and the gateway's watermark comes after all that
// it covers. Another process with connections of its own would not do for comparison:
// it may hear of two venues' prints of one moment in another order.
func TestBarsThroughAGateway(t *testing.T) {
	w := world(t, sim.MarketConfig{Seed: 7})
	ctx, cancel := context.WithCancel(t.Context())
	moved := make(chan struct{})
	go func() { defer close(moved); _ = w.market.Run(ctx) }()
	defer func() { cancel(); <-moved }()

	crypto := w.feeds()[2:] // Polygon lets one connection of a key in
	feed := start(t, crypto, func(s *service) {
		s.bus = busOptions{role: "feed", listen: "127.0.0.1:0", node: "a"}
	})
	gateway := start(t, nil, func(s *service) {
		s.bus = busOptions{role: "gateway", url: feed.joined.server.URL()}
	})
	// Until both hear the prints of both venues.
	for _, url := range []string{feed.url, gateway.url} {
		for _, venue := range []string{sim.Coinbase, sim.Kraken} {
			eventually(t, "prints", func() error {
				var snap struct{ Events []struct{ Prior bool } }
				if err := get(url+"/v1/snapshot/trade/BTC-USD?venue="+venue, &snap); err != nil {
					return err
				}
				if len(snap.Events) == 0 || snap.Events[0].Prior {
					return fmt.Errorf("no print of %s at %s yet", venue, url)
				}
				return nil
			})
		}
	}
	from := time.Now().Add(time.Second)
	byFeed, byGateway := followBars(t, feed.url, "BTC-USD"), followBars(t, gateway.url, "BTC-USD")
	eventually(t, "the same bars", func() error {
		for _, f := range []*barFollower{byFeed, byGateway} {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.err != nil {
				t.Fatal(f.err)
			}
		}
		same := 0
		for at, text := range byGateway.final {
			other := byFeed.final[at]
			if at.Before(from) || other == "" {
				continue
			}
			if text != other { // a revision is under way
				return fmt.Errorf("the bar of %v is %s at the gateway and %s at the feed node; %+v", at, text, other, gateway.joined.sub.Status())
			}
			if !at.Add(time.Second).After(byGateway.until) {
				same++
			}
		}
		if same < 3 {
			return fmt.Errorf("%d bars are the same, want 3; the watermark is at %v", same, byGateway.until)
		}
		return nil
	})
}
