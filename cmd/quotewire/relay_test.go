package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
)

// TestPlannedReconnect: connections of three venues live for some seconds each and
// are relieved, over and over. At the output there is no gap, no duplicate, and
// nothing that goes back.
func TestPlannedReconnect(t *testing.T) {
	w := newTwoLines(t, sim.Binance, sim.Coinbase, sim.Kraken)
	m := w.market
	var list []feedConfig
	for _, f := range w.feeds {
		f.Lines, f.URL, f.URLs = 1, f.URLs[0], nil
		f.Lifetime = duration{Duration: 2 * time.Second}
		list = append(list, f)
	}
	symbols := m.Symbols(sim.Kraken)
	moved := make(chan error, 1)
	ctx, halt := context.WithCancel(t.Context())
	go func() { moved <- m.Run(ctx) }()
	defer func() {
		halt()
		if err := <-moved; err != nil {
			t.Error(err)
		}
	}()
	s := start(t, list, nil)
	seen := &witness{lastID: make(map[string]int64), books: make(map[string]*client.BookUpdate), forward: true}
	eventually(t, "books", func() error { return s.liveBooks(t, 3*len(symbols)) })
	seen.subscribe(t, s, symbols, sim.Binance, sim.Coinbase, sim.Kraken)

	turns := func() (n int, states []string, err error) {
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			return 0, nil, err
		}
		for _, f := range body.Feeds {
			n += f.Attempts
			states = append(states, f.Feed+" "+f.State)
		}
		return n, states, nil
	}
	eventually(t, "four times that each line was relieved", func() error {
		if err := seen.err(); err != nil {
			t.Fatal(err)
		}
		n, states, err := turns()
		if err == nil && n < 15 {
			err = fmt.Errorf("%d connections: %q", n, states)
		}
		return err
	})
	_, states, err := turns()
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Clone(states)
	for i := range names {
		names[i], _, _ = strings.Cut(names[i], " ")
	}
	if want := []string{"binance", "binance~", "coinbase", "coinbase~", "kraken", "kraken~"}; !slices.Equal(names, want) {
		t.Errorf("feeds are %q, want %q", names, want)
	}
	for _, state := range states {
		if !strings.HasSuffix(state, " live") && !strings.HasSuffix(state, " standby") && !strings.HasSuffix(state, " connecting") {
			t.Errorf("feed is %s", state)
		}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.errs) > 0 {
		t.Error(errors.Join(seen.errs...))
	}
	if seen.prints < 20 || seen.quotes < 100 {
		t.Errorf("only %d prints and %d quotes", seen.prints, seen.quotes)
	}
	t.Logf("%d prints, %d quotes; %q", seen.prints, seen.quotes, states)
}
