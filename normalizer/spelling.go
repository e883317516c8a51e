package normalizer

import (
	"fmt"
	"strings"
)

// Spell returns how a provider spells a canonical symbol in its requests, the
// inverse of what its decoder does. The market is the provider's product group
// where it has several that spell alike, as Bybit's spot and linear. A symbol
// without a "-" is taken as the provider's own, where that has none.
//
// It fails where the provider, or the market, cannot have such a symbol.
func Spell(provider, market, symbol string) (string, error) {
	switch provider {
	case "binance", "binance-usdm", "bitfinex", "bitstamp", "bybit", "gemini":
	default:
		return symbol, nil
	}
	base, rest, ok := strings.Cut(symbol, "-")
	if !ok {
		return symbol, nil
	}
	quote, kind, _ := strings.Cut(rest, "-")
	spelling := ""
	if base != "" && quote != "" {
		switch provider {
		case "binance":
			if kind == "" {
				spelling = base + quote
			}
		case "binance-usdm":
			spelling = spellBinanceFutures(base, quote, kind)
		case "bitstamp":
			if spelling = strings.ToLower(base + quote); kind != "" {
				spelling += "-" + strings.ToLower(kind)
			}
		case "bybit":
			spelling = spellBybit(market, symbol, base, quote, kind)
		case "bitfinex":
			spelling = spellBitfinex(base, quote, kind)
		case "gemini":
			if kind == "" || kind == "PERP" {
				spelling = base + quote + kind
			}
		}
	}
	if spelling == "" {
		return "", fmt.Errorf("symbol %q: %s %s has none of this form", symbol, provider, market)
	}
	return spelling, nil
}

func spellBybit(market, symbol, base, quote, kind string) string {
	switch bybitCategoryOf(market) {
	case bybitSpot:
		if kind == "" {
			return base + quote
		}
	case bybitLinear:
		switch {
		case kind == "PERP" && quote == "USDC":
			return base + "PERP"
		case kind == "PERP" && quote == "USDT":
			return base + quote
		case kind != "" && quote == "USDC":
			return base + "-" + kind
		case kind != "" && quote == "USDT":
			return base + quote + "-" + kind
		}
	case bybitInverse:
		if kind != "" && quote == "USD" {
			return base + quote + strings.TrimSuffix(kind, "PERP")
		}
	case bybitOption:
		return symbol
	}
	return ""
}

func spellBitfinex(base, quote, kind string) string {
	base, quote = bitfinexCode(base), bitfinexCode(quote)
	switch {
	case kind == "PERP":
		return "t" + base + "F0:" + quote + "F0"
	case kind != "":
		return ""
	case len(base) > 3 || len(quote) > 3:
		return "t" + base + ":" + quote
	}
	return "t" + base + quote
}

// spellBinanceFutures spells a perpetual, BTC-USDT-PERP, or a contract with a
// delivery date, BTC-USDT-260327.
func spellBinanceFutures(base, quote, kind string) string {
	switch kind {
	case "":
		return ""
	case "PERP":
		return base + quote
	}
	return base + quote + "_" + kind
}
