package normalizer

import (
	"strings"
	"testing"
)

// What is spelt the provider's way is the same symbol again when it comes back.
func TestSpell(t *testing.T) {
	for _, c := range []struct{ provider, market, symbol, want string }{
		{"kraken", "", "BTC-USD", "BTC-USD"},
		{"okx", "", "BTC-USDT-SWAP", "BTC-USDT-SWAP"},
		{"bybit", "spot", "BTC-USDT", "BTCUSDT"},
		{"bybit", "linear", "BTC-USDT-PERP", "BTCUSDT"},
		{"bybit", "linear", "BTC-USDC-PERP", "BTCPERP"},
		{"bybit", "linear", "BTC-USDT-26DEC25", "BTCUSDT-26DEC25"},
		{"bybit", "linear", "BTC-USDC-26DEC25", "BTC-26DEC25"},
		{"bybit", "inverse", "BTC-USD-PERP", "BTCUSD"},
		{"bybit", "inverse", "BTC-USD-Z25", "BTCUSDZ25"},
		{"bybit", "spot", "BTCUSDT", "BTCUSDT"},
		{"bitfinex", "", "BTC-USD", "tBTCUSD"},
		{"bitfinex", "", "BTC-USDT", "tBTCUST"},
		{"bitfinex", "", "IOTA-ETH", "tIOTETH"},
		{"bitfinex", "", "DOGE-USD", "tDOGE:USD"},
		{"bitfinex", "", "BTC-USDT-PERP", "tBTCF0:USTF0"},
		{"bitfinex", "", "tBTCUSD", "tBTCUSD"},
		{"gemini", "", "BTC-USD", "BTCUSD"},
		{"binance", "", "BTC-USDT", "BTCUSDT"},
		{"binance", "", "BTCUSDT", "BTCUSDT"},
		{"binance-usdm", "", "BTC-USDT-PERP", "BTCUSDT"},
		{"binance-usdm", "", "BTC-USDT-260327", "BTCUSDT_260327"},
		{"bitstamp", "", "BTC-USD", "btcusd"},
		{"bitstamp", "", "BTC-USD-PERP", "btcusd-perp"},
		{"gemini", "", "BTC-GUSD-PERP", "BTCGUSDPERP"},
	} {
		got, err := Spell(c.provider, c.market, c.symbol)
		if err != nil || got != c.want {
			t.Errorf("%s %s %s: %q, %v, want %q", c.provider, c.market, c.symbol, got, err, c.want)
		}
		if got == c.symbol || strings.HasPrefix(c.provider, "bi") && c.provider != "bitfinex" {
			continue // these learn from the venue what a symbol is
		}
		var back string
		switch c.provider {
		case "bybit":
			back, _, _ = bybitSymbol(bybitCategoryOf(c.market), got)
		case "bitfinex":
			back, _, _ = bitfinexSymbol([]byte(got))
		case "gemini":
			back, _, _ = geminiSymbol(got)
		}
		if back != c.symbol {
			t.Errorf("%s %s: %s comes back as %s", c.provider, c.symbol, got, back)
		}
	}
	for _, c := range []struct{ provider, market, symbol string }{
		{"bybit", "spot", "BTC-USDT-PERP"}, {"bybit", "linear", "BTC-USDT"}, {"bybit", "inverse", "BTC-USDT-PERP"}, {"bybit", "", "BTC-USDT"},
		{"bitfinex", "", "BTC-USD-Z25"}, {"gemini", "", "BTC-USD-Z25"}, {"gemini", "", "-USD"},
		{"binance", "", "BTC-USDT-PERP"}, {"binance-usdm", "", "BTC-USDT"}, {"bitstamp", "", "BTC-"},
		{"bybit", "spot", "BTC-"},
	} {
		if got, err := Spell(c.provider, c.market, c.symbol); err == nil {
			t.Errorf("%+v: %s", c, got)
		}
	}
	seen := map[string]bool{}
	for _, a := range bitfinexAliases {
		if seen[a[0]] || seen[a[1]] || bitfinexAlias(a[0]) != a[1] || bitfinexCode(a[1]) != a[0] {
			t.Errorf("alias %v is not one to one", a)
		}
		seen[a[0]], seen[a[1]] = true, true
	}
}
