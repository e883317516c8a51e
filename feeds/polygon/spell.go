package polygon

import (
	"maps"
	"slices"
	"strings"
)

// Markets returns the markets that a connection can carry, sorted.
func Markets() []string { return slices.Sorted(maps.Keys(channels)) }

// Channels returns the channels of all markets, sorted.
func Channels() []string {
	all := make(map[string]bool)
	for _, market := range channels {
		for name := range market {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Subscription spells the subscription of a canonical symbol (AAPL, EUR-USD,
// BTC-USD, I:SPX, ESZ6, or * for all) the provider's way: C.EUR/USD for quotes and
// bars of currencies, LV.C:EUR-USD and FMV.X:BTC-USD for the channels that all
// markets share.
func Subscription(market, channel, symbol string) string {
	shared := channel == "AM" || channel == "LV" || channel == "FMV"
	switch {
	case symbol == "*":
	case market == "forex" && shared:
		symbol = "C:" + symbol
	case market == "crypto" && shared:
		symbol = "X:" + symbol
	case market == "forex":
		symbol = strings.Replace(symbol, "-", "/", 1)
	}
	return channel + "." + symbol
}
