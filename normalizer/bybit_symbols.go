package normalizer

import (
	"strings"

	"github.com/quotewire/quotewire/market"
)

// bybitCategory is a product group of Bybit, each with connections of its own.
// A symbol means different products in two of them: BTCUSDT is the pair in spot
// and the perpetual in linear.
type bybitCategory uint8

const (
	bybitUnknown bybitCategory = iota
	bybitSpot
	bybitLinear
	bybitInverse
	bybitOption
)

// bybitCategoryOf reads the category off the address of a connection,
// wss://stream.bybit.com/v5/public/linear, or off the query of a REST request.
func bybitCategoryOf(address string) bybitCategory {
	address, query, _ := strings.Cut(address, "?")
	name := strings.TrimSuffix(address, "/")
	name = name[strings.LastIndexByte(name, '/')+1:]
	for part := range strings.SplitSeq(query, "&") {
		if v, ok := strings.CutPrefix(part, "category="); ok {
			name = v
		}
	}
	switch name {
	case "spot":
		return bybitSpot
	case "linear":
		return bybitLinear
	case "inverse":
		return bybitInverse
	case "option":
		return bybitOption
	}
	return bybitUnknown
}

// bybitQuotes are the currencies that spot pairs are quoted in, longer ones
// before those that they end with.
var bybitQuotes = [...]string{"USDT", "USDC", "USDE", "USDQ", "USDR", "USD1", "EURQ", "BRL", "BRZ", "TRY", "PLN", "ARS", "EUR", "GBP", "DAI", "MNT", "ETH", "BTC", "SOL", "USD"}

// bybitSymbol makes a symbol canonical. Bybit writes pairs without a separator;
// where its reference data did not tell the two currencies, they are told apart
// by the quote currencies that it has.
//
//	spot      BTCUSDT          BTC-USDT
//	linear    BTCUSDT          BTC-USDT-PERP
//	          BTCPERP          BTC-USDC-PERP
//	          BTCUSDT-26DEC25  BTC-USDT-26DEC25
//	          BTC-26DEC25      BTC-USDC-26DEC25
//	inverse   BTCUSD           BTC-USD-PERP, sizes in USD
//	          BTCUSDZ25        BTC-USD-Z25
//	option    BTC-26DEC25-90000-C as it is
//
// On a connection of unknown category the name stays as it is, so that a
// perpetual is never taken for its pair.
func bybitSymbol(c bybitCategory, symbol string) (canonical string, class market.Class, ok bool) {
	switch c {
	case bybitSpot:
		base, quote, ok := splitQuote(symbol, bybitQuotes[:])
		return base + "-" + quote, cryptoClass(base, quote), ok
	case bybitLinear:
		name, expiry, dated := strings.Cut(symbol, "-")
		if !dated {
			if base, ok := strings.CutSuffix(name, "PERP"); ok && base != "" {
				return base + "-USDC-PERP", market.ClassFuture, true
			}
			expiry = "PERP"
		} else if expiry == "" || strings.Contains(expiry, "-") {
			return "", 0, false
		}
		base, quote, ok := splitQuote(name, bybitQuotes[:2])
		if !ok && dated && name != "" {
			base, quote, ok = name, "USDC", true
		}
		return base + "-" + quote + "-" + expiry, market.ClassFuture, ok
	case bybitInverse:
		i := strings.LastIndex(symbol, "USD")
		if i <= 0 {
			return "", 0, false
		}
		expiry := symbol[i+len("USD"):]
		if expiry == "" {
			expiry = "PERP"
		}
		return symbol[:i] + "-USD-" + expiry, market.ClassFuture, true
	case bybitOption:
		return symbol, market.ClassOption, strings.Count(symbol, "-") >= 3
	}
	return symbol, market.ClassUnknown, symbol != ""
}

// splitQuote splits a pair that is written without a separator by the quote
// currency that it ends with, the first that fits.
func splitQuote(pair string, quotes []string) (base, quote string, ok bool) {
	for _, q := range quotes {
		if base, ok := strings.CutSuffix(pair, q); ok && base != "" {
			return base, q, true
		}
	}
	return "", "", false
}

// bybitStatus maps an instrument's status.
func bybitStatus(status []byte) market.TradingStatus {
	switch string(status) {
	case "Trading":
		return market.StatusTrading
	case "Closed", "Delivering":
		return market.StatusClosed
	}
	return market.StatusRestricted // PreLaunch, Settling, and what is newer
}
