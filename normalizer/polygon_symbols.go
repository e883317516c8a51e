package normalizer

import (
	"strings"

	"github.com/quotewire/quotewire/market"
)

// exchangeName is a row of Polygon's table of exchanges.
type exchangeName struct {
	id   int
	name string
}

// polygonExchanges names the exchanges of the consolidated tapes by their
// ISO 10383 codes, as GET /v3/reference/exchanges?asset_class=stocks lists them.
// The facilities 201 to 203 are not in a trade's x, which is 4 for them, but in
// its trfi.
var polygonExchanges = []exchangeName{
	{1, "XASE"}, {2, "XBOS"}, {3, "XCIS"}, {4, "XADF"}, {6, "XISE"},
	{7, "EDGA"}, {8, "EDGX"}, {9, "XCHI"}, {10, "XNYS"}, {11, "ARCX"},
	{12, "XNAS"}, {14, "LTSE"}, {15, "IEXG"}, {16, "CBSX"}, {17, "XPHL"},
	{18, "BATY"}, {19, "BATS"}, {20, "EPRL"}, {21, "MEMX"}, {22, "24EQ"},
	{23, "TXSE"}, {62, "OOTC"},
	{201, "FINY"}, // FINRA/NYSE TRF
	{202, "FINN"}, // FINRA/Nasdaq TRF Carteret
	{203, "FINC"}, // FINRA/Nasdaq TRF Chicago
}

// polygonCryptoExchanges names the crypto exchanges, which have numbers of their
// own. The names are those that our own feeds of these venues use.
var polygonCryptoExchanges = []exchangeName{
	{1, "coinbase"}, {2, "bitfinex"}, {6, "bitstamp"}, {10, "binance"}, {23, "kraken"},
}

// maxExchange bounds the numbers of exchanges. The highest known are the 3xx of
// the options exchanges.
const maxExchange = 1024

// polygonVenues turns one of the two numberings into venues.
type polygonVenues struct {
	table  []exchangeName
	prefix string // of an exchange that the table does not have
	ids    [maxExchange]market.VenueID
}

// venue returns the venue with Polygon's number x, registering it the first
// time it is seen. An exchange that is newer than the table is named after its
// number.
func (v *polygonVenues) venue(d *market.Directory, x uint64) (market.VenueID, bool) {
	if x >= maxExchange {
		return 0, false
	}
	if id := v.ids[x]; id != 0 {
		return id, true
	}
	name := string(market.AppendNumber([]byte(v.prefix), int64(x), 0))
	for _, e := range v.table {
		if e.id == int(x) {
			name = e.name
			break
		}
	}
	id, err := d.Venue(name)
	if err != nil {
		return 0, false
	}
	v.ids[x] = id
	return id, true
}

// polygonMarket is a market of Polygon, the last part of a connection's URL.
type polygonMarket uint8

const (
	marketUnknown polygonMarket = iota
	marketOther                 // any but futures: symbols tell their class themselves
	marketFutures
	marketCME
	marketCBOT
	marketNYMEX
	marketCOMEX
)

func (m polygonMarket) isFutures() bool { return m >= marketFutures }

// polygonMarketOf reads a connection's URL: wss://socket.massive.com/stocks,
// wss://socket.massive.com/futures/cme.
func polygonMarketOf(url string) polygonMarket {
	url, _, _ = strings.Cut(url, "?")
	parts := strings.Split(strings.TrimSuffix(url, "/"), "/")
	last, before := parts[len(parts)-1], ""
	if len(parts) > 1 {
		before = parts[len(parts)-2]
	}
	switch {
	case last == "futures":
		return marketFutures
	case before != "futures":
		if last == "stocks" || last == "options" || last == "forex" || last == "crypto" || last == "indices" {
			return marketOther
		}
		return marketUnknown
	case last == "cme":
		return marketCME
	case last == "cbot":
		return marketCBOT
	case last == "nymex":
		return marketNYMEX
	case last == "comex":
		return marketCOMEX
	}
	return marketFutures
}

// polygonVenueKind is a venue for what names no exchange of its own.
type polygonVenueKind uint8

const (
	polygonTape     polygonVenueKind = iota // the consolidated tapes of stocks and options
	polygonItself                           // what Polygon makes over venues without a tape
	polygonCurrency                         // currencies, which have no exchange
	polygonFutures
	polygonVenueKinds
)

// futuresVenues names the exchanges of the futures markets by their ISO 10383
// codes.
var futuresVenues = map[polygonMarket]string{
	marketCME: "XCME", marketCBOT: "XCBT", marketNYMEX: "XNYM", marketCOMEX: "XCEC",
}

// venueOf returns the venue of what an exchange does not name.
func (d *polygon) venueOf(c market.Class) market.VenueID {
	k := polygonItself
	switch c {
	case market.ClassStock, market.ClassOption:
		k = polygonTape
	case market.ClassForex:
		k = polygonCurrency
	case market.ClassFuture:
		k = polygonFutures
	}
	if d.venues[k] == 0 {
		name := [...]string{"sip", "polygon", "forex", "futures"}[k]
		if exchange, ok := futuresVenues[d.market]; ok && k == polygonFutures {
			name = exchange
		}
		d.venues[k], _ = d.dir.Venue(name)
	}
	return d.venues[k]
}

// polygonSpelling says how a field spells its symbols.
type polygonSpelling uint8

const (
	spellPlain    polygonSpelling = iota // with the prefix of its class
	spellCrypto                          // a pair of crypto, without a prefix
	spellCurrency                        // a pair of currencies, without a prefix
)

// polygonSymbol makes a symbol of the stream canonical and tells its class by
// its prefix, or by the field that it came from where it has none. Stocks and
// futures are taken as they are ("BRK.B", "ESZ6"), options and indices keep
// their prefix ("O:SPY261218C00700000", "I:SPX"), pairs are written BASE-QUOTE
// whatever their form ("X:BTC-USD", "X:BTCUSD", "C:EURUSD", "EUR/USD").
func polygonSymbol(symbol string, how polygonSpelling) (canonical string, c market.Class, ok bool) {
	prefix, rest, found := strings.Cut(symbol, ":")
	switch {
	case !found && how == spellCrypto:
		canonical, ok = splitPair(symbol)
		return canonical, market.ClassCrypto, ok
	case !found && how == spellCurrency:
		canonical, ok = splitPair(symbol)
		return canonical, market.ClassForex, ok
	case !found:
		return symbol, market.ClassStock, symbol != ""
	}
	switch prefix {
	case "O":
		return symbol, market.ClassOption, rest != ""
	case "I":
		return symbol, market.ClassIndex, rest != ""
	case "X":
		canonical, ok = splitPair(rest)
		return canonical, market.ClassCrypto, ok
	case "C":
		canonical, ok = splitPair(rest)
		return canonical, market.ClassForex, ok
	}
	return "", 0, false
}

// currencySpelling returns how a subscription spells a pair of currencies.
func currencySpelling(canonical string) string { return strings.Replace(canonical, "-", "/", 1) }

// pairQuotes are the quote currencies that are looked for at the end of a pair
// without a separator, longer ones first.
var pairQuotes = [...]string{"USDT", "USDC", "USD", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "NZD", "CNH", "BTC", "ETH"}

// splitPair writes "BTC-USD", "EUR/USD" or "BTCUSD" as BASE-QUOTE.
func splitPair(s string) (string, bool) {
	if i := strings.LastIndexAny(s, "-/"); i >= 0 {
		if i == 0 || i == len(s)-1 {
			return "", false
		}
		return s[:i] + "-" + s[i+1:], true
	}
	if len(s) == 6 { // two ISO 4217 codes, or what looks like them
		return s[:3] + "-" + s[3:], true
	}
	for _, q := range pairQuotes {
		if b, ok := strings.CutSuffix(s, q); ok && b != "" {
			return b + "-" + q, true
		}
	}
	return "", false
}

// isFuture tells a futures contract ("ESZ6") from a stock where the connection's
// market is not known: they share event types and have no prefix, but tickers of
// US stocks hold no digit.
func isFuture(symbol []byte) bool {
	for _, c := range symbol {
		if c == ':' {
			return false
		}
		if c-'0' <= 9 {
			return true
		}
	}
	return false
}
