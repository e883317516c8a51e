package main

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/bitfinex"
	"github.com/quotewire/quotewire/feeds/bitstamp"
	"github.com/quotewire/quotewire/feeds/bybit"
	"github.com/quotewire/quotewire/feeds/gemini"
	"github.com/quotewire/quotewire/feeds/okx"
	"github.com/quotewire/quotewire/normalizer"
)

// spelt returns a feed's symbols as its provider spells them.
func spelt(c feedConfig) ([]string, error) {
	var errs []error
	symbols := make([]string, len(c.Symbols))
	for i, s := range c.Symbols {
		var err error
		if symbols[i], err = normalizer.Spell(c.Provider, c.Market, s); err != nil {
			errs = append(errs, err)
		}
	}
	return symbols, errors.Join(errs...)
}

// wants reports whether a feed has a channel.
func wants(c feedConfig, channel string) bool { return slices.Contains(c.Channels, channel) }

func okxAdapter() adapter {
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			return okx.New(okx.Config{URL: c.URL, Instruments: c.Symbols, Channels: c.Channels})
		},
		channels: okx.Channels(),
		defaults: []string{okx.Books, okx.Trades},
		// A connection has 480 requests an hour, repairs included. OKX takes 3
		// connections a second.
		perConnection: symbols(200), dialEvery: 400 * time.Millisecond, dialBurst: 2,
	}
}

func bybitAdapter() adapter {
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			if c.Market == "" {
				return nil, errors.New("market is missing; want spot, linear or inverse, because one symbol means different products in them")
			}
			symbols, err := spelt(c)
			if err != nil {
				return nil, err
			}
			b := bybit.Config{URL: c.URL, Category: c.Market, Symbols: symbols, Depth: c.Depth,
				Book: wants(c, "book"), Trades: wants(c, "trade"), Tickers: wants(c, "ticker")}
			b.REST = c.budgets.rest(c, func() *feeds.REST { return bybit.NewREST(b) })
			return bybit.New(b)
		},
		channels: []string{"book", "trade", "ticker"},
		defaults: []string{"book", "trade"},
		// All topics of a connection have 21,000 characters at most, and one has
		// fewer than 35. Bybit takes 500 connections in five minutes.
		perConnection: func(c feedConfig) int { return 600 / max(len(c.Channels), 1) },
		dialEvery:     time.Second, dialBurst: 10,
	}
}

func bitfinexAdapter() adapter {
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			symbols, err := spelt(c)
			if err != nil {
				return nil, err
			}
			return bitfinex.New(bitfinex.Config{URL: c.URL, Symbols: symbols, Depth: c.Depth,
				Book: wants(c, "book"), Trades: wants(c, "trade")})
		},
		channels: []string{"book", "trade"},
		defaults: []string{"book", "trade"},
		// 25 channels a connection, 20 connections a minute.
		perConnection: func(c feedConfig) int { return 25 / max(len(c.Channels), 1) },
		dialEvery:     4 * time.Second, dialBurst: 5,
	}
}

func geminiAdapter() adapter {
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			symbols, err := spelt(c)
			if err != nil {
				return nil, err
			}
			g := gemini.Config{URL: c.URL, Symbols: symbols}
			g.REST = c.budgets.rest(c, func() *feeds.REST { return gemini.NewREST(g) })
			return gemini.New(g)
		},
		channels: []string{"l2"},
		defaults: []string{"l2"},
		// Nothing is documented.
		perConnection: symbols(100), dialEvery: time.Second, dialBurst: 5,
	}
}

func binanceAdapter(m binance.Market) adapter {
	channels := []string{"depth", "depth@100ms", "depth5", "depth5@100ms", "depth10", "depth10@100ms", "depth20", "depth20@100ms",
		"aggTrade", "trade", "bookTicker"}
	defaults := []string{"depth@100ms", "trade"}
	if m == binance.USDM {
		channels = slices.DeleteFunc(append(channels, "depth@500ms", "depth5@500ms", "depth10@500ms", "depth20@500ms"),
			func(ch string) bool { return ch == "trade" })
		defaults = []string{"depth@100ms", "aggTrade"}
	}
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			symbols, err := spelt(c)
			if err != nil {
				return nil, err
			}
			b := binance.Config{Market: m, URL: c.URL, Symbols: symbols, Channels: c.Channels, Depth: c.Depth}
			b.REST = c.budgets.rest(c, func() *feeds.REST { return binance.NewREST(b) })
			return binance.New(b)
		},
		channels: channels,
		defaults: defaults,
		// So that a connection is one socket (futures: one of each kind); Binance
		// allows 1,024 streams on it, and 300 connections in five minutes.
		demand: func(c feedConfig, symbol string) (string, error) {
			return normalizer.Spell(c.Provider, c.Market, symbol)
		},
		perConnection: func(c feedConfig) int { return binance.StreamsPerSocket / max(len(c.Channels), 1) },
		dialEvery:     time.Second, dialBurst: 10,
	}
}

func bitstampAdapter() adapter {
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			symbols, err := spelt(c)
			if err != nil {
				return nil, err
			}
			b := bitstamp.Config{URL: c.URL, Pairs: symbols, Channels: c.Channels}
			b.REST = c.budgets.rest(c, func() *feeds.REST { return bitstamp.NewREST(b) })
			return bitstamp.New(b)
		},
		channels: []string{bitstamp.DiffOrderBook, bitstamp.OrderBook, bitstamp.LiveOrders, bitstamp.LiveTrades},
		defaults: []string{bitstamp.DiffOrderBook, bitstamp.LiveTrades},
		// Nothing is documented.
		perConnection: symbols(200), dialEvery: time.Second, dialBurst: 5,
	}
}
