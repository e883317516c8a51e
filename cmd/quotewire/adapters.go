package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/alpaca"
	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/coinbase"
	"github.com/quotewire/quotewire/feeds/coinbaseadvanced"
	"github.com/quotewire/quotewire/feeds/kraken"
	"github.com/quotewire/quotewire/feeds/polygon"
)

// adapter makes a provider's connector of a feed's config. Symbols are canonical
// in the config and spelt the provider's way here.
type adapter struct {
	connect func(feedConfig, *slog.Logger) (feeds.Connector, error)
	// channels that the provider has, and those subscribed by default.
	channels, defaults []string
	// wildcard reports whether "*" may stand for all symbols.
	wildcard bool
	// oneConnection says why the provider allows a key one connection only; ""
	// where it allows more.
	oneConnection string
	// perConnection returns how many symbols one connection carries; nil or 0 is
	// any number.
	perConnection func(feedConfig) int
	// demand returns the provider's spelling of a symbol; nil where subscriptions
	// cannot follow what clients want.
	demand func(feedConfig, string) (string, error)
	// dialEvery and dialBurst space the attempts to connect to the provider's own
	// hosts, by what it allows an address; 0 is as they come.
	dialEvery time.Duration
	dialBurst int
}

// canonical is the demand of a provider that spells symbols as we do.
func canonical(_ feedConfig, symbol string) (string, error) { return symbol, nil }

// symbols is a perConnection that no setting changes.
func symbols(n int) func(feedConfig) int { return func(feedConfig) int { return n } }

// adapters are the providers that a config may name.
func adapters() map[string]adapter {
	return map[string]adapter{
		"alpaca": {
			connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
				a := alpaca.Config{URL: c.URL, Feed: c.Market, Key: c.APIKey, Secret: c.APISecret, Channels: c.Channels, MessagePack: c.MessagePack}
				for _, s := range c.Symbols {
					if c.Market == "crypto" {
						s = strings.Replace(s, "-", "/", 1)
					}
					a.Symbols = append(a.Symbols, s)
				}
				return alpaca.New(a)
			},
			channels:      alpaca.Channels(),
			wildcard:      true,
			oneConnection: "Alpaca allows a key one connection a feed and refuses the second",
		},
		"polygon": {
			connect: func(c feedConfig, logger *slog.Logger) (feeds.Connector, error) {
				var subs []string
				for _, ch := range c.Channels {
					for _, s := range c.Symbols {
						subs = append(subs, polygon.Subscription(c.Market, ch, s))
					}
				}
				return polygon.New(polygon.Config{URL: c.URL, Market: c.Market, APIKey: c.APIKey, Subscriptions: subs, Channels: c.Channels}, logger)
			},
			channels:      polygon.Channels(),
			demand:        canonical,
			wildcard:      true,
			oneConnection: "Polygon allows a key one connection a market and evicts the first when a second signs in",
		},
		"coinbase": {
			connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
				return coinbase.New(coinbase.Config{URL: c.URL, Products: c.Symbols, Channels: c.Channels,
					Compress:    c.Compress,
					Credentials: coinbase.Credentials{Key: c.APIKey, Secret: c.APISecret, Passphrase: c.Passphrase}})
			},
			channels: []string{coinbase.Level2Batch, coinbase.Level2, coinbase.Full, coinbase.Matches, coinbase.Heartbeat, coinbase.Status},
			demand:   canonical,
			// Coinbase advises to spread products and names no number. It takes 8
			// connections a second.
			perConnection: symbols(100), dialEvery: 150 * time.Millisecond, dialBurst: 8,
		},
		"coinbase-advanced": {
			connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
				return coinbaseadvanced.New(coinbaseadvanced.Config{URL: c.URL, Products: c.Symbols, Channels: c.Channels})
			},
			channels: coinbaseadvanced.Channels(),
			// As at Coinbase Exchange; and what one lost message costs is the books
			// of a connection.
			perConnection: symbols(100), dialEvery: 150 * time.Millisecond, dialBurst: 8,
		},
		"kraken": {
			connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
				k := kraken.Config{URL: c.URL, Depth: c.Depth}
				if wants(c, "level3") {
					k.Orders, k.Credentials = true, kraken.Credentials{Key: c.APIKey, Secret: c.APISecret}
				}
				for _, s := range c.Symbols {
					k.Symbols = append(k.Symbols, strings.Replace(s, "-", "/", 1))
				}
				for _, ch := range c.Channels {
					k.Book = k.Book || ch == "book"
					k.Trades = k.Trades || ch == "trade"
				}
				return kraken.New(k)
			},
			demand:   func(_ feedConfig, symbol string) (string, error) { return strings.Replace(symbol, "-", "/", 1), nil },
			channels: []string{"book", "level3", "trade"},
			defaults: []string{"book", "trade"},
			// level3 takes 200; no number is documented for books. The door takes about 150
			// connections in ten minutes.
			perConnection: symbols(200), dialEvery: 5 * time.Second, dialBurst: 20,
		},
		"binance":      binanceAdapter(binance.Spot),
		"binance-usdm": binanceAdapter(binance.USDM),
		"bitstamp":     bitstampAdapter(),
		"okx":          okxAdapter(),
		"bybit":        bybitAdapter(),
		"bitfinex":     bitfinexAdapter(),
		"gemini":       geminiAdapter(),
	}
}

// supervise returns the source of one feed.
func supervise(c feedConfig, logger *slog.Logger) (*feeds.Supervisor, error) {
	a, ok := adapters()[c.Provider]
	if !ok {
		return nil, fmt.Errorf("feed %q: no provider %q", c.Name, c.Provider)
	}
	if len(c.Channels) == 0 {
		c.Channels = a.defaults
	}

	connector, err := a.connect(c, logger)
	if err != nil {
		return nil, fmt.Errorf("feed %q: %w", c.Name, err)
	}
	return &feeds.Supervisor{
		Feed: c.Name, Provider: c.Provider, Connector: connector, Logger: logger, Dials: c.budgets.dialing(c, a),
		Policy: feeds.Policy{Lifetime: c.Lifetime.Duration, Closed: closed(c), Mute: c.Mute.Duration, MaxBackoff: c.MaxBackoff.Duration,
			InitialBackoff: c.Backoff.Duration, RefusedRetry: c.RefusedRetry.Duration, EvictedRetry: c.EvictedRetry.Duration},
	}, nil
}
