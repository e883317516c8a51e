package polygon_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/polygon"
	"github.com/quotewire/quotewire/feeds/sim"
)

// What is wanted is subscribed in each channel, and nothing that the config names;
// what is no longer wanted is left.
func TestDemand(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	c, err := polygon.New(polygon.Config{URL: s.URL(), Market: "stocks", APIKey: key, Subscriptions: []string{"LULD.*"}, Channels: []string{"T", "Q"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &feeds.Demand{Linger: time.Millisecond}
	d.Want("AAPL")
	f := &feeds.Supervisor{Connector: c, Policy: policy, Demand: d}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, func(feeds.Frame) error { return nil }) }()
	defer func() { cancel(); <-done }()
	for _, step := range []struct {
		change func()
		want   []string
	}{
		{func() {}, []string{"Q.AAPL", "T.AAPL"}},
		{func() { d.Want("MSFT") }, []string{"Q.AAPL", "Q.MSFT", "T.AAPL", "T.MSFT"}},
		{func() { d.Release("AAPL") }, []string{"Q.MSFT", "T.MSFT"}},
	} {
		step.change()
		timeout := time.After(time.Minute)
		tick := time.NewTicker(5 * time.Millisecond)
		for !slices.Equal(s.Subscriptions(), step.want) {
			select {
			case <-tick.C:
			case <-timeout:
				t.Fatalf("subscribed %q, want %q; status %+v", s.Subscriptions(), step.want, f.Status())
			}
		}
		tick.Stop()
	}
}
