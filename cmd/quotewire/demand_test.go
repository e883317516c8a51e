package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestSubscribesOnDemand: a feed subscribes at its provider what clients subscribe
// here, and leaves it when the last of them has gone.
func TestSubscribesOnDemand(t *testing.T) {
	for _, c := range []struct {
		provider, market string
		feed             feedConfig
		symbols          [2]string
		upstream         [2]string // in the names of the provider's subscriptions
		path             string
	}{
		{provider: "kraken", feed: feedConfig{Channels: []string{"book", "trade"}}, symbols: [2]string{"BTC-USD", "ETH-USD"},
			upstream: [2]string{"BTC/USD", "ETH/USD"}, path: "/v2"},
		{provider: "coinbase", symbols: [2]string{"BTC-USD", "ETH-USD"}, upstream: [2]string{":BTC-USD", ":ETH-USD"}},
		{provider: "binance", symbols: [2]string{"BTC-USD", "ETH-USD"}, upstream: [2]string{"btcusd@", "ethusd@"}},
		{provider: "polygon", feed: feedConfig{Market: "stocks", APIKey: "k", Channels: []string{"T", "Q"}},
			symbols: [2]string{"AAPL", "MSFT"}, upstream: [2]string{"AAPL", "MSFT"}},
	} {
		t.Run(c.provider, func(t *testing.T) {
			cfg := sim.MarketConfig{Seed: 2}
			if c.provider == "binance" {
				cfg.Cryptos = sim.CryptosFor(c.provider)
			}
			m, err := sim.NewMarket(cfg)
			if err != nil {
				t.Fatal(err)
			}
			server, err := sim.NewServer(sim.Config{Provider: c.provider, Market: m})
			if err == nil {
				t.Cleanup(server.Close)
				err = server.Listen("127.0.0.1:0")
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.provider == "binance" {
				for i := range c.symbols {
					c.symbols[i] = m.Symbols(sim.Binance)[i]
					c.upstream[i] = strings.ToLower(strings.ReplaceAll(c.symbols[i], "-", "")) + "@"
				}
			}
			ctx, halt := context.WithCancel(t.Context())
			moved := make(chan error, 1)
			go func() { moved <- m.Run(ctx) }()
			defer func() {
				halt()
				if err := <-moved; err != nil {
					t.Error(err)
				}
			}()
			f := c.feed
			f.Name, f.Provider, f.URL, f.Symbols = "feed", c.provider, server.URL()+c.path, c.symbols[:]
			f.Subscribe, f.Linger = onDemand, duration{Duration: 300 * time.Millisecond}
			f.Backoff = duration{Duration: 10 * time.Millisecond}
			s := start(t, []feedConfig{f}, func(s *service) { s.streamer.Linger = 200 * time.Millisecond })

			// subscribed waits until the provider serves these of the two and no other.
			subscribed := func(what string, want ...int) {
				t.Helper()
				eventually(t, what, func() error {
					subs := server.Subscriptions()
					for i, name := range c.upstream {
						is := slices.ContainsFunc(subs, func(s string) bool { return strings.Contains(s, name) })
						if is != slices.Contains(want, i) {
							return fmt.Errorf("subscribed upstream: %q, want %v of %q", subs, want, c.upstream)
						}
					}
					return nil
				})
			}
			state := func(want string) {
				t.Helper()
				eventually(t, "the feed is "+want, func() error {
					var body statusBody
					if err := get(s.url+"/v1/status", &body); err != nil {
						return err
					}
					if got := body.Feeds[0].State; got != want {
						return fmt.Errorf("it is %s, %s", got, body.Feeds[0].Cause)
					}
					return nil
				})
			}
			watch := func(symbol string) (leave func()) {
				t.Helper()
				conn, err := client.Dial(ctx, s.url, client.Options{})
				if err != nil {
					t.Fatal(err)
				}
				stream, err := conn.Subscribe(ctx, client.Subscription{Channel: wire.ChannelQuote, Symbols: []string{symbol}})
				if err != nil {
					t.Fatal(err)
				}
				for {
					u, err := stream.Next(ctx)
					if err != nil {
						t.Fatal(err)
					}
					if q, ok := u.(*client.Quote); ok && q.Bid.Present && q.Ask.Present {
						return func() { _ = conn.Close() }
					}
				}
			}

			state("idle")
			if n := server.Accepted(); n != 0 {
				t.Errorf("%d connections that nobody wants", n)
			}
			first := watch(c.symbols[0])
			subscribed("the first symbol", 0)
			state("live")
			second, other := watch(c.symbols[0]), watch(c.symbols[1])
			subscribed("both", 0, 1)
			first()
			other()
			subscribed("the first, which one client still wants", 0)
			again := watch(c.symbols[1])
			subscribed("both again", 0, 1)
			if n := server.Accepted(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			server.Kill()
			subscribed("both after a reconnect", 0, 1)
			second()
			again()
			state("idle")
			eventually(t, "no connection", func() error {
				if n := server.Connections(); n != 0 {
					return fmt.Errorf("%d connections", n)
				}
				return nil
			})
			last := watch(c.symbols[1])
			subscribed("the second, on a new connection", 1)
			last()
		})
	}
}

// What cannot be is refused with what could.
func TestDemandIsChecked(t *testing.T) {
	for _, c := range []struct{ feed, want string }{
		{"provider: kraken\n    symbols: [BTC-USD]\n    subscribe: on_demand\n    linger: 1m\n", ""},
		{"provider: kraken\n    symbols: [BTC-USD]\n    subscribe: lazily\n", `q.yaml:4: feeds[0].subscribe: want config or on_demand, not "lazily"`},
		{"provider: okx\n    symbols: [BTC-USDT]\n    subscribe: on_demand\n", "okx subscribes by the config only; on_demand is for binance, binance-usdm, coinbase, kraken, polygon"},
		{"provider: kraken\n    symbols: [BTC-USD]\n    linger: 1m\n", "it is for subscribe: on_demand"},
		{"provider: polygon\n    market: stocks\n    api_key: k\n    channels: [T]\n    symbols: ['*']\n    subscribe: on_demand\n", "list the symbols that may be asked for"},
	} {
		_, err := parseConfig("q.yaml", []byte("feeds:\n  - "+c.feed))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.feed, err, c.want)
		}
	}
}
