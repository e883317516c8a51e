package normalizer

import (
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/market"
)

// provider is one row of the table of providers.
type provider struct {
	name string
	make func(*base, Config) (Decoder, error)
}

// providers lists every provider that has a decoder, in the order of names.
func providers() []provider {
	return []provider{
		{"alpaca", newAlpaca},
		{"binance", newBinance},
		{"binance-usdm", newBinanceFutures},
		{"bitfinex", newBitfinex},
		{"bitstamp", newBitstamp},
		{"bybit", newBybit},
		{"coinbase", newCoinbase},
		{"coinbase-advanced", newCoinbaseAdvanced},
		{"gemini", newGemini},
		{"kraken", newKraken},
		{"okx", newOKX},
		{"polygon", newPolygon},
	}
}

// Providers returns the names that [New] knows, sorted.
func Providers() []string {
	table := providers()
	names := make([]string, len(table))
	for i, p := range table {
		names[i] = p.name
	}
	return names
}

// SizeUnit is what a size in a provider's quotes counts.
type SizeUnit uint8

// The units of quote sizes.
const (
	// Shares: sizes are in shares. The consolidated tapes, and so Polygon's Q,
	// have it since 3 November 2025.
	Shares SizeUnit = iota
	// RoundLots: sizes are in round lots of 100 shares, as recordings of
	// Polygon's Q from before that day have it.
	RoundLots
)

// Config is what a decoder needs to know beside the frames.
type Config struct {
	// Directory gives instruments, venues and feeds their numbers. Required.
	Directory *market.Directory
	// Feed is the name of the feed connection, as in the frames. Required.
	Feed string
	// QuoteSizeUnit is the unit of the sizes in Polygon's and Alpaca's stock quotes. The
	// zero value is Shares. Other providers do not use it.
	QuoteSizeUnit SizeUnit
}

// New returns the decoder of a provider's frames for one feed connection, and
// registers the feed's name in the Directory. It fails on a provider that has no
// decoder, naming those that have one, and on an incomplete Config.
func New(name string, cfg Config) (Decoder, error) {
	for _, p := range providers() {
		if p.name != name {
			continue
		}
		b, err := newBase(cfg)
		if err != nil {
			return nil, fmt.Errorf("make %s decoder: %w", name, err)
		}
		d, err := p.make(b, cfg)
		if err != nil {
			return nil, fmt.Errorf("make %s decoder: %w", name, err)
		}
		return d, nil
	}
	return nil, fmt.Errorf("no decoder for provider %q: known are %s", name, strings.Join(Providers(), ", "))
}
