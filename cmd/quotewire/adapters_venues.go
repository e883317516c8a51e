package main

import (
	"errors"
	"log/slog"
	"slices"

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
			return bybit.New(bybit.Config{URL: c.URL, Category: c.Market, Symbols: symbols, Depth: c.Depth,
				Book: wants(c, "book"), Trades: wants(c, "trade"), Tickers: wants(c, "ticker")})
		},
		channels: []string{"book", "trade", "ticker"},
		defaults: []string{"book", "trade"},
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
	}
}

func geminiAdapter() adapter {
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			symbols, err := spelt(c)
			if err != nil {
				return nil, err
			}
			return gemini.New(gemini.Config{URL: c.URL, Symbols: symbols})
		},
		channels: []string{"l2"},
		defaults: []string{"l2"},
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
			return binance.New(binance.Config{Market: m, URL: c.URL, Symbols: symbols, Channels: c.Channels, Depth: c.Depth})
		},
		channels: channels,
		defaults: defaults,
	}
}

func bitstampAdapter() adapter {
	return adapter{
		connect: func(c feedConfig, _ *slog.Logger) (feeds.Connector, error) {
			symbols, err := spelt(c)
			if err != nil {
				return nil, err
			}
			return bitstamp.New(bitstamp.Config{URL: c.URL, Pairs: symbols, Channels: c.Channels})
		},
		channels: []string{bitstamp.DiffOrderBook, bitstamp.OrderBook, bitstamp.LiveTrades},
		defaults: []string{bitstamp.DiffOrderBook, bitstamp.LiveTrades},
	}
}
