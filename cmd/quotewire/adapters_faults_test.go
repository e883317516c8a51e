package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
)

// oneVenue runs one feed of a provider over a market of two symbols, and waits
// until it is live.
func oneVenue(t *testing.T, f feedConfig) (*sim.Market, *sim.Server, *running) {
	t.Helper()
	venue := strings.TrimSuffix(f.Provider, "-advanced")
	cfg := sim.MarketConfig{Seed: 5, Stocks: []sim.StockSpec{}, Cryptos: []sim.CryptoSpec{}}
	if f.Market == "stocks" {
		cfg.Stocks = sim.DefaultStocks()[:2]
	} else {
		for _, c := range sim.DefaultCryptos()[:2] {
			v := c.Venues[1]
			v.Venue = venue
			c.Venues = []sim.VenueSpec{v}
			cfg.Cryptos = append(cfg.Cryptos, c)
		}
	}
	m, err := sim.NewMarket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sim.NewServer(sim.Config{Provider: f.Provider, Market: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	if err := srv.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f = quick(f)
	f.Name, f.URL, f.Mute = f.Provider, srv.URL()+f.URL, duration{Duration: time.Minute}
	if f.Symbols = m.Symbols(venue); f.Market == "stocks" {
		f.Symbols = []string{cfg.Stocks[0].Symbol, cfg.Stocks[1].Symbol}
	}
	for i := range f.Symbols {
		if f.Provider == "binance-usdm" {
			f.Symbols[i] += "-PERP"
		}
	}
	moving(t, &demoWorld{market: m})
	s := start(t, []feedConfig{f}, nil)
	eventually(t, "live", func() error {
		reports, err := s.engine.Report(t.Context(), 0)
		if err != nil {
			return err
		}
		n := 0
		for _, b := range reports {
			if b.State.Live() {
				n++
			}
		}
		if n < 2 {
			return fmt.Errorf("%d instruments are live", n)
		}
		return nil
	})
	return m, srv, s
}

// TestUnknownTypesAtEveryProvider: a message of a type that a provider did not
// have is counted, shown by its name, and harms nothing.
func TestUnknownTypesAtEveryProvider(t *testing.T) {
	covered := map[string]bool{}
	for _, f := range []feedConfig{
		{Provider: "polygon", Market: "stocks", APIKey: "key", Channels: []string{"T", "Q"}},
		{Provider: "alpaca", Market: "crypto", APIKey: "key", APISecret: "secret", Channels: []string{"orderbooks", "trades"}},
		{Provider: "alpaca", Market: "crypto", APIKey: "key", APISecret: "secret", Channels: []string{"orderbooks", "trades"}, MessagePack: true},
		{Provider: "coinbase"},
		{Provider: "coinbase-advanced"},
		{Provider: "kraken", URL: "/v2"},
		{Provider: "okx"},
		{Provider: "bybit", Market: "spot", URL: "/v5/public"},
		{Provider: "bitfinex"},
		{Provider: "gemini", URL: "/v2/marketdata"},
		{Provider: "binance"},
		{Provider: "binance-usdm"},
		{Provider: "bitstamp"},
	} {
		covered[f.Provider] = true
		t.Run(fmt.Sprintf("%s msgpack=%t", f.Provider, f.MessagePack), func(t *testing.T) {
			m, srv, s := oneVenue(t, f)
			const times = 3
			sockets := srv.Connections() // each of which gets it
			for range times {
				srv.SendUnknown()
				s.pass(t, m, 100*time.Millisecond)
			}
			eventually(t, "they are counted and named", func() error {
				var body statusBody
				if err := get(s.url+"/v1/status", &body); err != nil {
					return err
				}
				st := body.Feeds[0]
				if st.Refused["unknown_type"] != uint64(times*sockets) || len(st.Refused) != 1 || st.Reconnects != 0 || st.State != "live" {
					return fmt.Errorf("%s is %s, refused %v, %d reconnects", st.Feed, st.State, st.Refused, st.Reconnects)
				}
				for _, smp := range st.Samples {
					if !strings.Contains(strings.ToLower(smp.Detail), "novelty") {
						return fmt.Errorf("shown as %+v", smp)
					}
				}
				return nil
			})
			s.pass(t, m, 200*time.Millisecond)
			if err := s.trusted(t); err != nil {
				t.Error(err)
			}
		})
	}
	for name := range adapters() {
		if !covered[name] {
			t.Errorf("%s is left out", name)
		}
	}
}

// TestSecondSnapshotsOfMessages: an image again is no reason for distrust where
// messages are numbered by the connection, and where nothing is.
func TestSecondSnapshotsOfMessages(t *testing.T) {
	for _, f := range []feedConfig{
		{Provider: "coinbase-advanced"},
		{Provider: "alpaca", Market: "crypto", APIKey: "key", APISecret: "secret", Channels: []string{"orderbooks", "trades"}},
	} {
		t.Run(f.Provider, func(t *testing.T) {
			m, srv, s := oneVenue(t, f)
			for range 5 {
				for _, pair := range []string{"BTC-USD", "ETH-USD"} {
					if err := srv.SecondSnapshot(pair); err != nil {
						t.Fatal(err)
					}
				}
				s.pass(t, m, 100*time.Millisecond)
			}
			if err := s.trusted(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSkewOfOneOfTwoLines: the clock of one line's server is off, and nothing is
// missing, twice or out of use at the output.
func TestSkewOfOneOfTwoLines(t *testing.T) {
	for _, d := range []time.Duration{30 * time.Hour, 3 * time.Second, -3 * time.Second, -30 * time.Hour} {
		t.Run(d.String(), func(t *testing.T) {
			w := newTwoLines(t, sim.Coinbase, sim.Kraken)
			moving(t, &demoWorld{market: w.market})
			s := start(t, w.feeds, nil)
			symbols := w.market.Symbols(sim.Kraken)
			eventually(t, "both lines of both venues are live", func() error { return s.liveBooks(t, 4*len(symbols)) })
			seen := &witness{lastID: make(map[string]int64), books: make(map[string]*client.BookUpdate)}
			seen.subscribe(t, s, symbols, sim.Coinbase, sim.Kraken)
			more := func(what string) {
				t.Helper()
				prints, quotes := seen.counts()
				eventually(t, what, func() error {
					if p, q := seen.counts(); p < prints+20 || q < quotes+100 {
						return fmt.Errorf("%d prints and %d quotes more", p-prints, q-quotes)
					}
					return nil
				})
				if err := seen.err(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if err := s.trusted(t); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			more("before")
			w.each(0, func(srv *sim.Server) { srv.Skew(d) })
			more("line 1 skewed")
			w.each(1, func(srv *sim.Server) { srv.Skew(-d) })
			more("both skewed")
			w.each(0, func(srv *sim.Server) { srv.Skew(0) })
			w.each(1, func(srv *sim.Server) { srv.Skew(0) })
			more("after")
		})
	}
}
