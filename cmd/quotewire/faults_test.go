package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds/sim"
)

// quick gives a feed short times, so that a test sees in milliseconds what takes
// minutes in production.
func quick(c feedConfig) feedConfig {
	c.Mute = duration{Duration: 400 * time.Millisecond}
	c.Backoff = duration{Duration: 10 * time.Millisecond}
	c.MaxBackoff = duration{Duration: 50 * time.Millisecond}
	return c
}

// stocks returns the demo's feed that goes through Polygon's own client library.
func stocks(w *demoWorld) feedConfig { return quick(w.feeds()[0]) }

// feedIs returns a condition: the feed is in the state, with the word in its
// cause, and the SIP's quotes are live or not.
func feedIs(s *running, state, cause string, quoting bool) func() error {
	return func() error {
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			return err
		}
		f := body.Feeds[0]
		if f.State != state || !strings.Contains(f.Cause, cause) {
			return fmt.Errorf("feed is %s, %q; want %s, %q", f.State, f.Cause, state, cause)
		}
		if live := body.venue("sip", "live"); live > 0 != quoting {
			return fmt.Errorf("%d of the SIP's quotes are live while the feed is %s", live, f.State)
		}
		return nil
	}
}

// moving lets the market move in real time until the test ends, or until halt is
// called.
func moving(t *testing.T, w *demoWorld) (halt func()) {
	t.Helper()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- w.market.Run(ctx) }()
	halt = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(halt)
	return halt
}

// TestPolygonFaults does to the simulated Polygon what goes wrong with the real
// one. Each fault must lead to its documented reaction, seen in /v1/status, and
// take the quotes out of use.
func TestPolygonFaults(t *testing.T) {
	t.Run("connection killed: reconnects by itself", func(t *testing.T) {
		w := world(t, sim.MarketConfig{Seed: 3, Cryptos: []sim.CryptoSpec{}})
		moving(t, w)
		feed := stocks(w)
		feed.Mute = duration{Duration: time.Minute} // a busy machine is not to be taken for it
		s := start(t, []feedConfig{feed}, nil)
		eventually(t, "live at first", feedIs(s, "live", "", true))
		w.polygon.RefuseConnections(true)
		w.polygon.Kill()
		eventually(t, "down while refused", feedIs(s, "down", "", false))
		w.polygon.RefuseConnections(false)
		eventually(t, "live again", feedIs(s, "live", "", true))
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			t.Fatal(err)
		}
		if f := body.Feeds[0]; f.Reconnects != 1 {
			t.Errorf("%d reconnects, want 1: %+v", f.Reconnects, f)
		}
	})
	t.Run("key refused: does not hammer", func(t *testing.T) {
		w := world(t, sim.MarketConfig{Seed: 3, Cryptos: []sim.CryptoSpec{}})
		moving(t, w)
		w.polygon.RefuseKeys(true)
		s := start(t, []feedConfig{stocks(w)}, nil)
		eventually(t, "refused", feedIs(s, "refused", "authentication failed", false))
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			t.Fatal(err)
		}
		if f := body.Feeds[0]; f.Attempts != 1 || time.Until(time.UnixMicro(f.NextRetry)) < time.Minute {
			t.Errorf("%d attempts, the next in %s; want 1 and minutes", f.Attempts, time.Until(time.UnixMicro(f.NextRetry)))
		}
	})
	t.Run("key accepted later: comes up", func(t *testing.T) {
		w := world(t, sim.MarketConfig{Seed: 3, Cryptos: []sim.CryptoSpec{}})
		moving(t, w)
		w.polygon.RefuseKeys(true)
		feed := stocks(w)
		feed.RefusedRetry = duration{Duration: 50 * time.Millisecond}
		s := start(t, []feedConfig{feed}, nil)
		eventually(t, "refused", feedIs(s, "refused", "authentication failed", false))
		w.polygon.RefuseKeys(false)
		eventually(t, "live", feedIs(s, "live", "", true))
	})
	t.Run("evicted by another login: gives way", func(t *testing.T) {
		w := world(t, sim.MarketConfig{Seed: 3, Cryptos: []sim.CryptoSpec{}})
		moving(t, w)
		s := start(t, []feedConfig{stocks(w)}, nil)
		eventually(t, "live at first", feedIs(s, "live", "", true))
		w.polygon.Evict()
		eventually(t, "evicted", feedIs(s, "evicted", "Maximum number of websocket connections", false))
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			t.Fatal(err)
		}
		if f := body.Feeds[0]; time.Until(time.UnixMicro(f.NextRetry)) < 10*time.Second {
			t.Errorf("comes back in %s; two programs would fight", time.Until(time.UnixMicro(f.NextRetry)))
		}
	})
	t.Run("mute: found and replaced", func(t *testing.T) {
		w := world(t, sim.MarketConfig{Seed: 3, Cryptos: []sim.CryptoSpec{}})
		moving(t, w)
		s := start(t, []feedConfig{stocks(w)}, nil)
		eventually(t, "live at first", feedIs(s, "live", "", true))
		w.polygon.Mute(true)
		eventually(t, "quotes withdrawn", func() error {
			var body statusBody
			if err := get(s.url+"/v1/status", &body); err != nil {
				return err
			}
			if n := body.venue("sip", "live"); n > 0 {
				return fmt.Errorf("%d quotes are still live", n)
			}
			if !strings.Contains(body.Feeds[0].Cause, "mute") && !strings.Contains(body.Feeds[0].Cause, "silent") {
				return fmt.Errorf("feed is %s: %q", body.Feeds[0].State, body.Feeds[0].Cause)
			}
			return nil
		})
		w.polygon.Mute(false)
		eventually(t, "live again", feedIs(s, "live", "", true))
	})
}

// TestBadFrames sends each feed what no provider should: it must be counted by
// cause, kept for the operator, and harm nothing else.
func TestBadFrames(t *testing.T) {
	w := world(t, sim.MarketConfig{Seed: 3})
	moving(t, w)
	s := start(t, w.feeds(), nil)
	eventually(t, "feeds live", func() error { return allLive(s, 4) })
	servers := map[string]*sim.Server{"polygon-stocks": w.polygon, "coinbase": w.coinbase, "kraken": w.kraken}
	for name, srv := range servers {
		for _, bad := range []string{
			`{"channel":"book","type":"upda`,
			"\x00\x01\x02",
			`{"type":"novelty","channel":"novelty","ev":"novelty"}`,
			strings.Repeat("[", 10_000),
			`"` + strings.Repeat("x", 500_000) + `"`,
		} {
			srv.SendRaw([]byte(bad))
		}
		eventually(t, name+" counts them", func() error {
			var body statusBody
			if err := get(s.url+"/v1/status", &body); err != nil {
				return err
			}
			for _, f := range body.Feeds {
				if f.Feed != name {
					continue
				}
				var n uint64
				for _, c := range f.Refused {
					n += c
				}
				if n < 5 || f.State != "live" || len(f.Samples) < 5 {
					return fmt.Errorf("%s is %s with %v refused, %d kept", f.Feed, f.State, f.Refused, len(f.Samples))
				}
				for _, smp := range f.Samples {
					if len(smp.Start) > maxSampleBytes || smp.Cause == "" || smp.Detail == "" {
						return fmt.Errorf("kept %+v", smp)
					}
				}
			}
			return nil
		})
	}
	eventually(t, "all books live", func() error {
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			return err
		}
		for _, v := range body.Venues {
			for state, n := range v.Instruments {
				if state != "live" && n > 0 {
					return fmt.Errorf("%s has %d %s", v.Venue, n, state)
				}
			}
		}
		return nil
	})
}

// TestResyncOfOneSymbol corrupts one checksum: that book leaves the consolidated
// quote, is asked for again and comes back, while its neighbour never stops.
func TestResyncOfOneSymbol(t *testing.T) {
	w := world(t, sim.MarketConfig{Seed: 3, Stocks: []sim.StockSpec{}})
	moving(t, w)
	s := start(t, w.feeds()[2:], nil)
	eventually(t, "feeds live", func() error { return allLive(s, 2) })
	eventually(t, "books live", func() error {
		var body statusBody
		if err := get(s.url+"/v1/status", &body); err != nil {
			return err
		}
		if n := body.venue("kraken", "live"); n != len(w.market.Symbols(sim.Kraken)) {
			return fmt.Errorf("%d books live", n)
		}
		return nil
	})
	w.kraken.CorruptChecksum("BTC/USD")
	eventually(t, "one book was repaired", func() error {
		reports, err := s.engine.Report(t.Context(), 0)
		if err != nil {
			return err
		}
		for _, r := range reports {
			if s.dir.FeedName(r.Feed) != "kraken" {
				continue
			}
			want := uint64(0)
			if s.dir.Symbol(r.Instrument) == "BTC-USD" {
				want = 1
			}
			if r.Mismatched != want || r.Resyncs != want || r.State.String() != "live" {
				return fmt.Errorf("%s: %d mismatched, %d resyncs, %s", s.dir.Symbol(r.Instrument), r.Mismatched, r.Resyncs, r.State)
			}
		}
		return nil
	})
}
