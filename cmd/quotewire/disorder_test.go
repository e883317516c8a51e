package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/feeds/sim"
)

// cryptoWorld runs Coinbase's and Kraken's feeds, and waits for their books. The
// market moves until halt is called.
func cryptoWorld(t *testing.T) (w *demoWorld, s *running, halt func()) {
	t.Helper()
	w = world(t, sim.MarketConfig{Seed: 3, Stocks: []sim.StockSpec{}, Cryptos: sim.DefaultCryptos()[:2]})
	halt = moving(t, w)
	s = start(t, w.feeds()[2:], nil)
	eventually(t, "books live", func() error { return s.liveBooks(t, 4) })
	return w, s, halt
}

// trusted returns an error where a book was ever not trusted since it was live.
func (r *running) trusted(t *testing.T) error {
	reports, err := r.engine.Report(t.Context(), 0)
	if err != nil {
		return err
	}
	for _, b := range reports {
		if b.Levels && (b.Gaps+b.Resyncs+b.Mismatched+b.Refused > 0 || !b.State.Live()) {
			return fmt.Errorf("%s at %s: %s, %d gaps, %d resyncs, %d mismatched, %d refused", r.dir.Symbol(b.Instrument), r.dir.FeedName(b.Feed),
				b.State, b.Gaps, b.Resyncs, b.Mismatched, b.Refused)
		}
	}
	return nil
}

// pass waits until so much more of the market has been taken.
func (r *running) pass(t *testing.T, m *sim.Market, d time.Duration) {
	t.Helper()
	until := m.Now().Add(d)
	eventually(t, "the market moves on", func() error {
		if now := m.Now(); now.Before(until) {
			return fmt.Errorf("it is at %s, want %s", now, until)
		}
		return nil
	})
}

// TestHalfOpen: a connection whose peer has vanished is found and replaced.
func TestHalfOpen(t *testing.T) {
	w, s, _ := cryptoWorld(t)
	for _, srv := range []*sim.Server{w.coinbase, w.kraken} {
		srv.HalfOpen()
	}
	eventually(t, "both lines are new", func() error {
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			return err
		}
		for _, f := range body.Feeds {
			if f.Reconnects != 1 || f.State != "live" {
				return fmt.Errorf("%s is %s after %d reconnects: %s", f.Feed, f.State, f.Reconnects, f.Cause)
			}
			if want := "no message for"; !strings.Contains(f.Cause, want) {
				t.Fatalf("%s was lost for %q, want %q", f.Feed, f.Cause, want)
			}
		}
		return s.liveBooks(t, 4)
	})
}

// TestSkewedClocks: a venue whose clock is off by more than a day, either way, is
// not distrusted for it, and ends no trading day.
func TestSkewedClocks(t *testing.T) {
	from := time.Now()
	w, s, _ := cryptoWorld(t)
	type figures struct {
		Start  int64 `json:"start"`
		Trades int64 `json:"trades"`
	}
	today := func() (k figures, err error) {
		err = get(s.url+"/v1/snapshot/bar/BTC-USD?bar=1d", &k)
		return k, err
	}
	var last figures
	eventually(t, "prints", func() (err error) {
		if last, err = today(); err == nil && last.Trades == 0 {
			err = fmt.Errorf("none")
		}
		return err
	})
	for _, d := range []time.Duration{30 * time.Hour, -30 * time.Hour, 0} {
		w.coinbase.Skew(d)
		w.kraken.Skew(-d)
		before := w.market.Trades(sim.Coinbase, "BTC-USD") + w.market.Trades(sim.Kraken, "BTC-USD")
		eventually(t, "prints", func() error {
			if n := w.market.Trades(sim.Coinbase, "BTC-USD") + w.market.Trades(sim.Kraken, "BTC-USD") - before; n < 20 {
				return fmt.Errorf("only %d", n)
			}
			return nil
		})
		s.pass(t, w.market, time.Second)
		if err := s.trusted(t); err != nil {
			t.Errorf("%s ahead: %v", d, err)
		}
		// Prints go on in a day that truly is, and the same day does not begin again.
		eventually(t, fmt.Sprintf("%s ahead: the day goes on from %+v", d, last), func() error {
			now, err := today()
			if err != nil {
				return err
			}
			start := time.UnixMicro(now.Start).UTC()
			if start.Before(from.UTC().Truncate(24*time.Hour)) || start.After(time.Now()) || now.Start < last.Start ||
				now.Start == last.Start && now.Trades < last.Trades {
				t.Fatalf("%s ahead: the day is %+v, before %+v", d, now, last)
			}
			if now.Start == last.Start && now.Trades < last.Trades+20 || now.Trades == 0 {
				return fmt.Errorf("it is %+v", now)
			}
			last = now
			return nil
		})
	}
}

// TestUnaskedMessages: an image that nobody asked for replaces the book, a message
// of an unknown type is counted and harms nothing, and one that is too large costs
// the connection alone.
func TestUnaskedMessages(t *testing.T) {
	w, s, halt := cryptoWorld(t)
	servers := []*sim.Server{w.coinbase, w.kraken}
	for range 5 {
		for _, srv := range servers {
			for _, symbol := range w.market.Symbols(sim.Kraken) {
				if err := srv.SecondSnapshot(symbol); err != nil {
					t.Fatal(err)
				}
			}
			srv.SendUnknown()
		}
		s.pass(t, w.market, 100*time.Millisecond)
	}
	eventually(t, "unknown types are counted", func() error {
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			return err
		}
		for _, f := range body.Feeds {
			if f.Refused["unknown_type"] != 5 || len(f.Refused) != 1 || f.Reconnects != 0 {
				return fmt.Errorf("%s: %v, %d reconnects", f.Feed, f.Refused, f.Reconnects)
			}
		}
		return nil
	})
	if err := s.trusted(t); err != nil {
		t.Error(err)
	}
	// A busy machine comes up with a market that stands still.
	halt()
	eventually(t, "Kraken's book is the true one", func() error {
		reports, err := s.engine.Report(t.Context(), 10)
		if err != nil {
			return err
		}
		bids, asks := w.market.Book(sim.Kraken, "BTC-USD")
		for _, b := range reports {
			if s.dir.FeedName(b.Feed) != "kraken" || s.dir.Symbol(b.Instrument) != "BTC-USD" {
				continue
			}
			var got, want []string
			for i := range 10 {
				for _, l := range []struct {
					have, truth string
				}{{decimal.New(int64(b.TopBids[i].Price), -int32(b.Scale.Price)).String(), bids[i].Price}, {decimal.New(int64(b.TopAsks[i].Price), -int32(b.Scale.Price)).String(), asks[i].Price}} {
					got = append(got, decimal.RequireFromString(l.have).String())
					want = append(want, decimal.RequireFromString(l.truth).String())
				}
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("%v, truly %v", got, want)
			}
			return nil
		}
		return errors.New("it is not kept")
	})
	moving(t, w)
	for _, srv := range servers {
		srv.SendOversized(17 << 20)
	}
	eventually(t, "both lines are new", func() error {
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			return err
		}
		for _, f := range body.Feeds {
			if f.Reconnects != 1 || f.State != "live" {
				return fmt.Errorf("%s is %s after %d reconnects: %s", f.Feed, f.State, f.Reconnects, f.Cause)
			}
		}
		return s.liveBooks(t, 4)
	})
}

// TestSecondSnapshots: an image again is no reason for distrust at the other venues
// either.
func TestSecondSnapshots(t *testing.T) {
	venues := []string{sim.OKX, sim.Bybit, sim.Bitfinex, sim.Gemini}
	w := newTwoLines(t, venues...)
	var list []feedConfig
	for _, f := range w.feeds {
		f.Lines, f.URL, f.URLs = 1, f.URLs[0], nil
		switch f.Provider {
		case sim.Bybit:
			f.Market, f.URL = "spot", f.URL+"/v5/public/spot"
		case sim.Gemini:
			f.URL += "/v2/marketdata"
		}
		list = append(list, f)
	}
	moving(t, &demoWorld{market: w.market})
	s := start(t, list, nil)
	eventually(t, "books live", func() error { return s.liveBooks(t, 2*len(venues)) })
	for range 5 {
		for _, venue := range venues {
			for _, symbol := range w.market.Symbols(venue) {
				if err := w.servers[venue][0].SecondSnapshot(symbol); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.pass(t, w.market, 200*time.Millisecond)
	}
	if err := s.trusted(t); err != nil {
		t.Error(err)
	}
}
