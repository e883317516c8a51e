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

// bitfinexAlias maps the currency codes that Bitfinex alone uses to those that
// everybody knows, as GET /v2/conf/pub:map:currency:sym tells them. DOG is a
// million DOGE, and stays what it is.
func bitfinexAlias(code string) string {
	switch code {
	case "UST":
		return "USDT"
	case "UDC":
		return "USDC"
	case "EUT":
		return "EURT"
	case "EUS":
		return "EURS"
	case "TSD":
		return "TUSD"
	case "GSD":
		return "GUSD"
	case "ALG":
		return "ALGO"
	case "AMP":
		return "AMPL"
	case "ATO":
		return "ATOM"
	case "DAT":
		return "DATA"
	case "DOG":
		return "MDOGE"
	case "DSH":
		return "DASH"
	case "EDO":
		return "PNT"
	case "GNT":
		return "GLM"
	case "IOT":
		return "IOTA"
	case "MIT":
		return "MITH"
	case "MNA":
		return "MANA"
	case "OMN":
		return "OMNI"
	case "PAS":
		return "PASS"
	case "POY":
		return "POLY"
	case "QSH":
		return "QASH"
	case "QTM":
		return "QTUM"
	case "RBT":
		return "RBTC"
	case "SNG":
		return "SNGLS"
	case "SPK":
		return "SPANK"
	case "STJ":
		return "STORJ"
	case "VSY":
		return "VSYS"
	case "WBT":
		return "WBTC"
	case "XCH":
		return "XCHF"
	case "YYW":
		return "YOYOW"
	}
	return code
}
