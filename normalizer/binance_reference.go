package normalizer

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// reply decodes the answer to a REST request: GET /api/v3/depth and /exchangeInfo
// of the spot market, /fapi/v1/depth and /exchangeInfo of USD-M futures.
func (d *binance) reply(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if !d.begin(f) {
		return dst, d.err()
	}
	u, err := url.Parse(f.URL)
	switch {
	case err == nil && strings.HasSuffix(u.Path, "/depth"):
		return d.depthReply(dst, u.Query().Get("symbol")), d.err()
	case err == nil && strings.HasSuffix(u.Path, "/exchangeInfo"):
		return d.exchangeInfo(dst), d.err()
	}
	d.refuse(CauseUnknownType, "answer to %q", clip([]byte(f.URL)))
	return dst, d.err()
}

// depthReply reads the image of one book. The answer does not tell its symbol.
func (d *binance) depthReply(dst []market.Event, symbol string) []market.Event {
	n := len(dst)
	s := &d.s
	var m binanceMessage
	if s.open('{') {
		dst = d.members(dst, &m, false)
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		return dst[:n]
	}
	if m.lastUpdate.kind == absent && m.code.kind != absent {
		d.refuseAnswer(&m)
		return dst[:n]
	}
	return d.bookReply(dst, n, &m, symbol)
}

// exchangeInfo reads the reference data of all symbols. All are remembered; those
// that have been seen are told of.
func (d *binance) exchangeInfo(dst []market.Event) []market.Event {
	n := len(dst)
	s := &d.s
	var m binanceMessage
	found := false
	if s.open('{') {
		for s.key() {
			switch {
			case string(s.name) == "symbols" && s.peek() == '[':
				found = true
				s.open('[')
				for s.elem() {
					dst = d.listing(dst)
				}
			case string(s.name) == "code":
				m.code = s.value()
			case string(s.name) == "msg":
				m.msg = s.value()
			default:
				s.value()
			}
		}
	}
	switch {
	case !s.end():
		d.refusal = Refusal{}
		d.refuseFault()
		for _, p := range d.symbols.order {
			p.reference.forget() // what is taken back here is told again
		}
		return dst[:n]
	case !found && m.code.kind != absent:
		d.refuseAnswer(&m)
	case !found:
		d.refuse(CauseMissingField, "exchangeInfo: symbols")
	}
	return dst
}

// listing reads one symbol of exchangeInfo. One that cannot be named is left
// out: it cannot be subscribed either.
func (d *binance) listing(dst []market.Event) []market.Event {
	s := &d.s
	if s.peek() != '{' {
		v := s.value()
		d.refuse(CauseBadValue, "exchangeInfo: symbol: %q", clip(s.raw(v)))
		return dst
	}
	var symbol, status, base, quote, contract, filters span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "symbol":
			symbol = v
		case "status", "contractStatus":
			status = v
		case "baseAsset":
			base = v
		case "quoteAsset":
			quote = v
		case "contractType":
			contract = v
		case "filters":
			filters = v
		}
	}
	if s.bad {
		return dst
	}
	spelling, ok1 := s.str(symbol)
	name := string(spelling)
	b, ok2 := s.str(base)
	canonical := string(b)
	q, ok3 := s.str(quote)
	if !ok1 || !ok2 || !ok3 {
		d.refuse(CauseMissingField, "exchangeInfo: symbol, baseAsset or quoteAsset")
		return dst
	}
	canonical += "-" + string(q)
	kind, _ := s.str(contract)
	canonical += d.contract(name, string(kind))
	if canonical[0] == '-' || market.CheckSymbol(canonical) != nil || market.CheckSymbol(name) != nil {
		return dst
	}
	tick, lot, why := d.increments(filters)
	if why != nil {
		d.refusePart(fmt.Sprintf("exchangeInfo: %s", name), why)
		return dst
	}
	p, _ := d.symbols.get([]byte(name))
	if p == nil {
		d.refuse(CauseOversized, "more symbols than a feed may have, at %q", clip([]byte(name)))
		return dst
	}
	if p.id == 0 {
		p.canonical = canonical
	}
	p.reference.set(market.Scale{Price: tick.PriceDecimals, Size: lot.SizeDecimals}, tick.Price, lot.Size)
	word, _ := s.str(status)
	p.reference.status = binanceStatus(word)
	if p.id == 0 {
		return dst
	}
	k := len(dst)
	dst = d.tell(dst, &p.reference, p.reference.status, p.id, d.venue)
	if len(dst) > k {
		dst[len(dst)-1].Flags |= market.FlagLast
	}
	return dst
}

// increments reads tick and lot from a symbol's filters; what is absent is 0 with 8
// decimals, the most that Binance has.
func (d *binance) increments(filters span) (tick, lot market.Event, why *fault) {
	s := &d.s
	tick.PriceDecimals, lot.SizeDecimals = 8, 8
	if filters.kind != array {
		return tick, lot, nil
	}
	back := s.at(filters)
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			s.value()
			continue
		}
		var typ, tickSize, stepSize span
		s.open('{')
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "filterType":
				typ = v
			case "tickSize":
				tickSize = v
			case "stepSize":
				stepSize = v
			}
		}
		word, _ := s.str(typ)
		var value span
		switch string(word) {
		case "PRICE_FILTER":
			value = tickSize
		case "LOT_SIZE":
			value = stepSize
		default:
			continue
		}
		m, dec, ok := s.amount(value)
		if !ok {
			why = first(why, d.blame(missingOr(CauseBadNumber, value), "tickSize or stepSize", value))
			continue
		}
		if m == 0 {
			continue // 0 switches a filter off
		}
		m, dec = market.Trim(m, dec, 0)
		if word[0] == 'P' {
			tick.Price, tick.PriceDecimals = market.Price(m), dec
		} else {
			lot.Size, lot.SizeDecimals = market.Size(m), dec
		}
	}
	s.resume(back)
	return tick, lot, why
}

// canonical names a symbol whose assets are not known: as the venue does. Where
// its base ends is not guessed.
func (d *binance) canonical(symbol string) string {
	return symbol + d.contract(symbol, "")
}

// contract returns what tells a contract apart from its underlying pair: its
// delivery date, -PERP for one without.
func (d *binance) contract(symbol, kind string) string {
	if !d.futures {
		return ""
	}
	if i := strings.LastIndexByte(symbol, '_'); i >= 0 {
		if kind == "" {
			return "" // the name has it
		}
		return "-" + symbol[i+1:]
	}
	return "-PERP"
}

// binanceStatus reads the status of a spot symbol or a contract.
func binanceStatus(word []byte) market.TradingStatus {
	switch string(word) {
	case "", "TRADING":
		return market.StatusTrading
	case "END_OF_DAY", "DELIVERED", "SETTLED", "CLOSE":
		return market.StatusClosed
	case "PRE_TRADING", "POST_TRADING", "AUCTION_MATCH", "PENDING_TRADING", "PRE_DELIVERING", "DELIVERING",
		"PRE_SETTLE", "SETTLING", "CANCEL_ONLY":
		return market.StatusRestricted
	}
	return market.StatusHalted // BREAK, HALT and what may be new
}
