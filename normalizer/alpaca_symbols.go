package normalizer

import (
	"strings"

	"github.com/quotewire/quotewire/market"
)

// alpacaFeed is which of Alpaca's feeds a connection carries, by its URL.
type alpacaFeed uint8

const (
	alpacaSIP       alpacaFeed = iota // all US exchanges: quotes are the national best
	alpacaIEX                         // one exchange
	alpacaBOATS                       // one venue
	alpacaOvernight                   // made by Alpaca
)

// alpacaFeedOf reads a connection's URL: wss://stream.data.alpaca.markets/v2/iex.
// Whether symbols are of stocks or of crypto they tell themselves.
func alpacaFeedOf(url string) alpacaFeed {
	url, _, _ = strings.Cut(url, "?")
	switch url = strings.TrimSuffix(url, "/"); url[strings.LastIndexByte(url, '/')+1:] {
	case "iex":
		return alpacaIEX
	case "boats":
		return alpacaBOATS
	case "overnight":
		return alpacaOvernight
	}
	return alpacaSIP
}

// alpacaExchanges names the exchanges by their letters on the tapes, as
// polygonExchanges does by number.
var alpacaExchanges = [...]struct {
	letter byte
	name   string
}{
	{'A', "XASE"}, {'B', "XBOS"}, {'C', "XCIS"}, {'D', "XADF"}, {'H', "EPRL"}, {'I', "XISE"}, {'J', "EDGA"},
	{'K', "EDGX"}, {'L', "LTSE"}, {'M', "XCHI"}, {'N', "XNYS"}, {'P', "ARCX"}, {'Q', "XNAS"}, {'S', "sip"},
	{'T', "XNAS"}, {'U', "MEMX"}, {'V', "IEXG"}, {'W', "CBSX"}, {'X', "XPHL"}, {'Y', "BATY"}, {'Z', "BATS"},
}

// exchange returns the venue of a letter, registering it the first time. One that
// is newer than the table is named after its letter.
func (d *alpaca) exchange(letter byte) market.VenueID {
	if id := d.exchanges[letter]; id != 0 {
		return id
	}
	name := "exchange-" + string(rune(letter))
	for _, x := range alpacaExchanges {
		if x.letter == letter {
			name = x.name
			break
		}
	}
	id, _ := d.dir.Venue(name)
	d.exchanges[letter] = id
	return id
}

// venue returns where quotes, bars and statuses of a class come from.
func (d *alpaca) venue(c market.Class) market.VenueID {
	i, name := 0, ""
	switch {
	case c != market.ClassStock:
		i, name = 1, "alpaca"
	case d.feedKind == alpacaIEX:
		i, name = 2, "IEXG"
	case d.feedKind == alpacaBOATS:
		i, name = 3, "BOATS"
	case d.feedKind == alpacaOvernight:
		i, name = 4, "alpaca-overnight"
	default:
		name = "sip"
	}
	if d.venues[i] == 0 {
		d.venues[i], _ = d.dir.Venue(name)
	}
	return d.venues[i]
}

// salePlan returns whose letters the sale conditions of a tape's prints are: A and
// B are CTA's, C is UTP's, and O, of OTC prints, has letters that are among
// UTP's (https://docs.alpaca.markets/docs/market-data-faq, read 2026-11-26).
func salePlan(tape byte) market.Plan {
	if tape == 'C' || tape == 'O' {
		return market.PlanUTP
	}
	return market.PlanCTA
}

// alpacaSymbol makes a symbol canonical: crypto is BASE/QUOTE, stocks are as they
// are.
func alpacaSymbol(symbol string) (canonical string, c market.Class, ok bool) {
	base, quote, pair := strings.Cut(symbol, "/")
	if !pair {
		return symbol, market.ClassStock, symbol != ""
	}
	if base == "" || quote == "" || strings.Contains(quote, "/") {
		return "", 0, false
	}
	return base + "-" + quote, cryptoClass(base, quote), true
}

// tradingStatus turns the status codes of the tapes into a status, false where a
// code tells nothing of whether the stock trades: price indications, imbalances,
// short-sale restrictions. Codes of the CTA tapes are digits where both have one
// (https://docs.alpaca.markets/docs/real-time-stock-pricing-data#trading-status).
func tradingStatus(code byte) (s market.TradingStatus, known, told bool) {
	switch code {
	case '2', 'H', 'P': // halt, halt, volatility pause
		return market.StatusHalted, true, true
	case '3', 'T': // resume, trading resumption
		return market.StatusTrading, true, true
	case 'Q': // quotes again, no trades yet
		return market.StatusRestricted, true, true
	case '4', '5', '6', '7', '8', '9', 'A', 'C', 'D', 'E', 'F':
		return 0, true, false
	}
	return 0, false, false
}
