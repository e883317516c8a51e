package normalizer

import (
	"bytes"
	"strings"

	"github.com/quotewire/quotewire/market"
)

// bitfinexSymbol makes a symbol canonical: tBTCUSD is BTC-USD, tDOGE:USD is
// DOGE-USD, the perpetual tBTCF0:USTF0 is BTC-USDT-PERP. Names of six letters are
// two currencies of three; longer ones have a colon.
func bitfinexSymbol(symbol []byte) (canonical string, class market.Class, ok bool) {
	pair, ok := bytes.CutPrefix(symbol, []byte{'t'})
	if !ok {
		return "", 0, false // f… is the funding market
	}
	name := string(pair)
	base, quote, colon := strings.Cut(name, ":")
	if !colon {
		if len(name) != 6 {
			return "", 0, false
		}
		base, quote = name[:3], name[3:]
	}
	if base == "" || quote == "" || strings.Contains(quote, ":") {
		return "", 0, false
	}
	b, perpetual := strings.CutSuffix(base, "F0")
	q, perpetualQuote := strings.CutSuffix(quote, "F0")
	if perpetual && perpetualQuote && b != "" && q != "" {
		return bitfinexAlias(b) + "-" + bitfinexAlias(q) + "-PERP", market.ClassFuture, true
	}
	base, quote = bitfinexAlias(base), bitfinexAlias(quote)
	return base + "-" + quote, cryptoClass(base, quote), true
}

// bitfinexAliases are the currency codes that Bitfinex alone uses and those that
// everybody knows, as GET /v2/conf/pub:map:currency:sym tells them. DOG is a
// million DOGE, and is told apart from that.
var bitfinexAliases = [...][2]string{
	{"UST", "USDT"}, {"UDC", "USDC"}, {"EUT", "EURT"}, {"EUS", "EURS"}, {"TSD", "TUSD"}, {"GSD", "GUSD"},
	{"ALG", "ALGO"}, {"AMP", "AMPL"}, {"ATO", "ATOM"}, {"DAT", "DATA"}, {"DOG", "MDOGE"}, {"DSH", "DASH"},
	{"EDO", "PNT"}, {"GNT", "GLM"}, {"IOT", "IOTA"}, {"MIT", "MITH"}, {"MNA", "MANA"}, {"OMN", "OMNI"},
	{"PAS", "PASS"}, {"POY", "POLY"}, {"QSH", "QASH"}, {"QTM", "QTUM"}, {"RBT", "RBTC"}, {"SNG", "SNGLS"},
	{"SPK", "SPANK"}, {"STJ", "STORJ"}, {"VSY", "VSYS"}, {"WBT", "WBTC"}, {"XCH", "XCHF"}, {"YYW", "YOYOW"},
}

// bitfinexAlias returns the code that everybody knows.
func bitfinexAlias(code string) string {
	for _, a := range bitfinexAliases {
		if a[0] == code {
			return a[1]
		}
	}
	return code
}

// bitfinexCode returns the code that Bitfinex uses.
func bitfinexCode(currency string) string {
	for _, a := range bitfinexAliases {
		if a[1] == currency {
			return a[0]
		}
	}
	return currency
}
