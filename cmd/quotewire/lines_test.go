package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer/wire"
)

// twoLines is two simulated servers of each venue over one market.
type twoLines struct {
	market  *sim.Market
	servers map[string][2]*sim.Server
	feeds   []feedConfig
}

func newTwoLines(t *testing.T, venues ...string) *twoLines {
	t.Helper()
	// Half as busy, so that a busy machine can follow with the race detector.
	cfg := sim.MarketConfig{Seed: 5, Stocks: []sim.StockSpec{}, Rate: 0.5}
	for _, c := range sim.DefaultCryptos()[:2] {
		c.Venues = append([]sim.VenueSpec(nil), c.Venues...)
		var kept []sim.VenueSpec
		for _, v := range c.Venues {
			if v.Venue != sim.Kraken {
				continue
			}
			for _, v.Venue = range venues {
				kept = append(kept, v)
			}
		}
		c.Venues = kept
		cfg.Cryptos = append(cfg.Cryptos, c)
	}
	m, err := sim.NewMarket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &twoLines{market: m, servers: make(map[string][2]*sim.Server)}
	for _, venue := range venues {
		f := quick(feedConfig{Name: venue, Provider: venue, Lines: 2, Symbols: m.Symbols(venue)})
		f.Mute = duration{Duration: time.Minute} // the watchdog is not what helps here
		var pair [2]*sim.Server
		for i := range pair {
			if pair[i], err = sim.NewServer(sim.Config{Provider: venue, Market: m}); err == nil {
				t.Cleanup(pair[i].Close)
				err = pair[i].Listen("127.0.0.1:0")
			}
			if err != nil {
				t.Fatal(err)
			}
			url := pair[i].URL()
			if venue == sim.Kraken {
				url += "/v2"
			}
			f.URLs = append(f.URLs, url)
		}
		w.servers[venue] = pair
		w.feeds = append(w.feeds, f)
	}
	return w
}

// each does something to one line of every venue.
func (w *twoLines) each(line int, fn func(*sim.Server)) {
	for _, pair := range w.servers {
		fn(pair[line])
	}
}

// witness takes all that clients are sent and holds it against what must never
// be seen.
type witness struct {
	mu     sync.Mutex
	errs   []error
	lastID map[string]int64 // of prints, by venue and symbol
	prints int
	quotes int
	books  map[string]*client.BookUpdate // by venue and symbol
	// forward says that no book may go back in its venue's time, as it may where
	// a line is lost.
	forward bool
}

func (w *witness) see(u client.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong := func(format string, args ...any) { w.errs = append(w.errs, fmt.Errorf(format, args...)) }
	switch u := u.(type) {
	case *client.Quote:
		w.quotes++
		if u.Stale || len(u.Out) > 0 || !u.Bid.Present || !u.Ask.Present || u.State == "down" || u.State == "stale" {
			wrong("%s quote is %s, without %v", u.Symbol, u.State, u.Out)
		}
	case *client.BookUpdate:
		key := u.Venue + " " + u.Symbol
		if last := w.books[key]; w.forward && last != nil && !u.Time.IsZero() && u.Time.Before(last.Time) {
			wrong("%s book goes back from %s to %s", key, last.Time, u.Time)
		}
		switch last := w.books[key]; {
		case last == nil:
			// The image that a stream begins with has the time of the instrument's
			// latest message, whichever venue's it was.
			u.Time = time.Time{}
		case u.Time.IsZero():
			u.Time = last.Time // a change of its state alone
		}
		w.books[key] = u
		if len(u.Bids) == 0 || len(u.Asks) == 0 {
			wrong("%s %s book is empty", u.Venue, u.Symbol)
		}
	case *client.Trades:
		for _, tr := range u.Trades {
			id, err := strconv.ParseInt(tr.ID, 10, 64)
			key := tr.Venue + " " + u.Symbol
			if last := w.lastID[key]; err != nil || last != 0 && id != last+1 {
				wrong("%s print %s follows %d (%v)", key, tr.ID, last, err)
			}
			w.lastID[key] = id
			w.prints++
		}
	case *client.Status:
	default:
		wrong("%T: %+v", u, u)
	}
}

func (w *witness) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.errs[:min(5, len(w.errs))]...)
}

// counts returns how many prints and quotes were seen. Its subscriptions go on
// until the test ends, so that only it may look.
func (w *witness) counts() (prints, quotes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.prints, w.quotes
}

// newest returns the venue's time of the oldest of the books shown, zero while
// there is one without a time: nothing but its image has come.
func (w *witness) newest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var at time.Time
	for _, b := range w.books {
		if b.Time.IsZero() {
			return b.Time
		}
		if at.IsZero() || b.Time.Before(at) {
			at = b.Time
		}
	}
	return at
}

// subscribe leads every change of quotes, books and prints to the witness until
// the test ends.
func (w *witness) subscribe(t *testing.T, s *running, symbols []string, venues ...string) {
	t.Helper()
	subs := []client.Subscription{{Channel: wire.ChannelQuote}, {Channel: wire.ChannelTrade}}
	for _, venue := range venues {
		subs = append(subs, client.Subscription{Channel: wire.ChannelBook, Venue: venue, Depth: 10})
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, sub := range subs {
		c, err := client.Dial(ctx, s.url, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		sub.Symbols, sub.Interval = symbols, client.EveryChange
		stream, err := c.Subscribe(ctx, sub)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				u, err := stream.Next(ctx)
				if err != nil {
					return
				}
				w.see(u)
			}
		})
	}
}

// liveBooks returns an error unless so many books are live.
func (r *running) liveBooks(t *testing.T, want int) error {
	reports, err := r.engine.Report(t.Context(), 0)
	if err != nil {
		return err
	}
	n := 0
	for _, b := range reports {
		if b.State.Live() && b.HasBook {
			n++
		}
	}
	if n != want {
		return fmt.Errorf("%d books are live, want %d", n, want)
	}
	return nil
}

// TestLosingOneOfTwoLines: cut, held up and silenced lines leave no gap, no
// duplicate and nothing late at the output.
func TestLosingOneOfTwoLines(t *testing.T) {
	w := newTwoLines(t, sim.Coinbase, sim.Kraken)
	symbols := w.market.Symbols(sim.Kraken)
	ctx, halt := context.WithCancel(t.Context())
	moved := make(chan error, 1)
	go func() { moved <- w.market.Run(ctx) }()
	defer halt()
	file := filepath.Join(t.TempDir(), "lines.qwc")
	s := start(t, w.feeds, func(s *service) { s.record = file })
	live := func() error { return s.liveBooks(t, 4*len(symbols)) }
	eventually(t, "both lines of both venues are live", live)
	var body statusBody
	if err := get(s.url+"/v1/status", &body); err != nil {
		t.Fatal(err)
	}
	if len(body.Feeds) != 4 || body.Feeds[0].Feed != "coinbase/1" || body.Feeds[3].Feed != "kraken/2" {
		t.Errorf("feeds are %+v", body.Feeds)
	}
	seen := &witness{lastID: make(map[string]int64), books: make(map[string]*client.BookUpdate)}
	seen.subscribe(t, s, symbols, sim.Coinbase, sim.Kraken)
	// flows waits until a second of the market has been shown whole, from now on.
	flows := func(what string) {
		t.Helper()
		from, began := w.market.Now(), time.Now()
		late := time.Duration(0)
		eventually(t, what, func() error {
			if at := seen.newest(); at.Before(from.Add(time.Second)) {
				if !at.IsZero() {
					late = max(late, w.market.Now().Sub(at))
				}
				return fmt.Errorf("shown is %s, the market is at %s", at, w.market.Now())
			}
			return nil
		})
		t.Logf("%s: a second shown after %s, at most %s behind", what, time.Since(began).Round(time.Millisecond), late.Round(time.Millisecond))
		// A line's own silence would be found after a minute; what a busy machine
		// adds is less.
		if late > 20*time.Second {
			t.Errorf("%s: shown was %s behind", what, late)
		}
		if err := seen.err(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	eventually(t, "the first books", func() error {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if len(seen.books) != 2*len(symbols) {
			return fmt.Errorf("%d books", len(seen.books))
		}
		return nil
	})
	flows("both lines up")
	for line := range 2 {
		name := fmt.Sprintf("line %d", line+1)
		w.each(line, func(srv *sim.Server) { srv.RefuseConnections(true); srv.Kill() })
		flows(name + " cut")
		w.each(line, func(srv *sim.Server) { srv.RefuseConnections(false) })
		eventually(t, name+" is back", live)
		flows(name + " back")
		w.each(line, func(srv *sim.Server) { srv.Stall(true) })
		flows(name + " held up")
		w.each(line, func(srv *sim.Server) { srv.Stall(false) })
		flows(name + " caught up")
	}
	w.each(0, func(srv *sim.Server) { srv.Mute(true) })
	flows("line 1 mute")

	halt()
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	eventually(t, "books are the venues'", func() error {
		// Coinbase batches changes for 50 ms, so that its book is the one of a
		// moment within that.
		truth := make(map[string]map[string]bool)
		for range 60 {
			w.market.Step(time.Millisecond)
			w.truth(truth)
		}
		var err error
		for range 20 {
			if err = seen.compare(truth); err == nil {
				return nil
			}
			<-time.After(5 * time.Millisecond)
		}
		return err
	})
	if err := seen.err(); err != nil {
		t.Error(err)
	}
	if prints, quotes := seen.counts(); prints < 20 || quotes < 100 {
		t.Errorf("only %d prints and %d quotes", prints, quotes)
	} else {
		t.Logf("%d prints, %d quotes", prints, quotes)
	}

	// Which line was shown when, is part of what a replay repeats.
	s.stop()
	args := []string{"replay", file, "--speed", "max", "--channel", "quote,book,trade", "--symbols", "*", "--interval", "0"}
	first, second := run(t, args...), run(t, args...)
	if len(first) < 100_000 || !bytes.Equal(first, second) {
		t.Errorf("replays have %d and %d bytes, equal: %v", len(first), len(second), bytes.Equal(first, second))
	}
}

// truth adds the ten best levels that the venues have now. Kraken's replace what
// was there: it tells each change at once.
func (w *twoLines) truth(all map[string]map[string]bool) {
	for venue := range w.servers {
		for _, symbol := range w.market.Symbols(venue) {
			var text strings.Builder
			bids, asks := w.market.Book(venue, symbol)
			for _, side := range [][]sim.Level{bids, asks} {
				for _, l := range side[:min(10, len(side))] {
					fmt.Fprintln(&text, decimal.RequireFromString(l.Price), decimal.RequireFromString(l.Size))
				}
			}
			key := venue + " " + symbol
			if all[key] == nil || venue == sim.Kraken {
				all[key] = make(map[string]bool)
			}
			all[key][text.String()] = true
		}
	}
}

// compare holds the books shown against the simulator's truth.
func (w *witness) compare(truth map[string]map[string]bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, books := range truth {
		var text strings.Builder
		for _, side := range [][]client.Level{w.books[key].Bids, w.books[key].Asks} {
			for _, l := range side {
				fmt.Fprintln(&text, l.Price, l.Size)
			}
		}
		if !books[text.String()] {
			return fmt.Errorf("%s is none of %d books:\n%s", key, len(books), text.String())
		}
	}
	return nil
}
