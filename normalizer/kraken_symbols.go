package normalizer

import (
	"strings"

	"github.com/quotewire/quotewire/market"
)

// krakenSymbol makes a pair of WebSocket v2 canonical: "BTC/USD" is BTC-USD. The
// old codes of v1 and REST, XBT and XDG, are taken too.
func krakenSymbol(symbol string) (canonical string, c market.Class, ok bool) {
	i := strings.LastIndexByte(symbol, '/')
	if i <= 0 || i == len(symbol)-1 {
		return "", 0, false
	}
	base, quote := krakenAsset(symbol[:i]), krakenAsset(symbol[i+1:])
	return base + "-" + quote, cryptoClass(base, quote), true
}

func krakenAsset(code string) string {
	switch code {
	case "XBT":
		return "BTC"
	case "XDG":
		return "DOGE"
	}
	return code
}

// krakenStatus maps a pair's status. Only online and limit_only pairs can be
// traded against; a status newer than this list is taken for the worst that
// still has a book.
func krakenStatus(status []byte) market.TradingStatus {
	switch string(status) {
	case "online", "limit_only":
		return market.StatusTrading
	case "maintenance", "work_in_progress":
		return market.StatusHalted
	case "delisted":
		return market.StatusClosed
	}
	return market.StatusRestricted
}

// krakenDepths are the depths that a book can be subscribed with; one of orders not
// with all of them.
var krakenDepths = [...]int{10, 25, 100, 500, 1000}

// krakenDepth guesses the depth of a book from the larger side of its snapshot,
// for a snapshot that came before the ack that tells it.
func krakenDepth(levels int, kind krakenBook) (uint16, bool) {
	for _, d := range krakenDepths {
		if levels <= d && (kind != krakenOrders || d != 25 && d != 500) {
			return uint16(d), true
		}
	}
	return 0, false
}
