package sim

// Names of venues that the default market leaves out, because it is busy enough
// without them; CryptosFor has them.
const (
	OKX    = "okx"
	Bybit  = "bybit"
	Gemini = "gemini"

	Binance     = "binance"
	BinanceUSDM = "binance-usdm"
)

// CryptosFor is the default pairs as the one venue trades them, with the
// increments that they have at Coinbase; nil, which is the default market, for a
// provider whose venue is in that.
func CryptosFor(provider string) []CryptoSpec {
	switch provider {
	case OKX, Bybit, Gemini, Binance, BinanceUSDM:
	default:
		return nil
	}
	specs := DefaultCryptos()
	for i := range specs {
		v := specs[i].Venues[0]
		v.Venue = provider
		specs[i].Venues = []VenueSpec{v}
	}
	return specs
}
