package normalizer

import (
	"strings"

	"github.com/quotewire/quotewire/market"
)

// okxClass tells an instrument's class by its name, which is canonical as it
// is: BTC-USDT, BTC-USDT-SWAP, BTC-USDT-261225, BTC-USD-261225-90000-C. Swaps
// and futures keep OKX's name because their sizes are in OKX's own contracts,
// which must not be added to another venue's.
func okxClass(symbol string) (market.Class, bool) {
	parts := strings.Count(symbol, "-") + 1
	base, rest, _ := strings.Cut(symbol, "-")
	quote, rest, _ := strings.Cut(rest, "-")
	switch {
	case base == "" || quote == "" || parts > 2 && rest == "" || strings.HasSuffix(rest, "-"):
		return 0, false
	case parts == 2:
		return cryptoClass(base, quote), true
	case parts == 5 && (strings.HasSuffix(rest, "-C") || strings.HasSuffix(rest, "-P")):
		return market.ClassOption, true
	}
	return market.ClassFuture, true
}

// okxStatus maps an instrument's state.
func okxStatus(state []byte) market.TradingStatus {
	switch string(state) {
	case "live":
		return market.StatusTrading
	case "suspend", "rebase":
		return market.StatusHalted
	case "expired", "settlement":
		return market.StatusClosed
	}
	return market.StatusRestricted // preopen, post_only, test, and what is newer
}

// top reads one element of bbo-tbt: the best level of each side.
func (d *okx) top(dst []market.Event, m *okxMessage) []market.Event {
	s := &d.s
	n := len(dst)
	dst, e := d.add(dst, market.KindQuote)
	e.Venue, e.Flags = d.venue, market.FlagLast
	in, why := d.seen(m.instID)
	if why == nil {
		e.Instrument = in.id
	}
	var ts span
	var sides [2][2]span
	s.open('{')
	for s.key() {
		switch string(s.name) {
		case "bids":
			sides[0] = d.firstLevel()
		case "asks":
			sides[1] = d.firstLevel()
		case "ts":
			ts = s.value()
		default:
			s.value()
		}
	}
	if s.bad {
		return dst[:n]
	}
	if why == nil {
		why = d.fillQuote(e, sides[0][0], sides[0][1], sides[1][0], sides[1][1])
	}
	var ok bool
	if e.Time, ok = s.millis(ts); !ok {
		why = first(why, d.blame(CauseBadNumber, "ts", ts))
	}
	if why != nil {
		d.refusePart("bbo-tbt", why)
		return dst[:n]
	}
	return dst
}

// firstLevel reads an array of levels and returns price and size of its first.
func (d *base) firstLevel() (level [2]span) {
	s := &d.s
	if s.peek() != '[' {
		s.value()
		return level
	}
	s.open('[')
	for i := 0; s.elem(); i++ {
		if i > 0 || s.peek() != '[' {
			s.value()
			continue
		}
		s.open('[')
		for j := 0; s.elem(); j++ {
			v := s.value()
			if j < 2 {
				level[j] = v
			}
		}
	}
	return level
}

// trade reads one element of a trade channel. Its side is the taker's. The
// identifiers grow but not by one, as prints are aggregated, so that a lost one
// does not show.
func (d *okx) trade(dst []market.Event) []market.Event {
	s := &d.s
	var inst, id, price, size, side, ts span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "instId":
			inst = v
		case "tradeId":
			id = v
		case "px":
			price = v
		case "sz":
			size = v
		case "side":
			side = v
		case "ts":
			ts = v
		}
	}
	if s.bad {
		return dst
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Venue, e.Flags = d.venue, market.FlagLast
	in, why := d.seen(inst)
	if why == nil {
		e.Instrument = in.id
		why = d.fillPrint(e, price, size, id)
	}
	if why == nil {
		e.Side, why = d.taker(side)
	}
	var ok bool
	if e.Time, ok = s.millis(ts); why == nil && (!ok || e.Time == 0) {
		why = d.blame(CauseBadNumber, "ts", ts)
	}
	if why == nil {
		e.TradeSequence, _ = s.uint(id)
	}
	if why != nil {
		d.refusePart("trade", why)
		return dst[:n]
	}
	return dst
}

// ticker reads one element of the tickers channel: its best bid and ask.
func (d *okx) ticker(dst []market.Event) []market.Event {
	s := &d.s
	var inst, bid, bidSize, ask, askSize, ts span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "instId":
			inst = v
		case "bidPx":
			bid = v
		case "bidSz":
			bidSize = v
		case "askPx":
			ask = v
		case "askSz":
			askSize = v
		case "ts":
			ts = v
		}
	}
	if s.bad {
		return dst
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindQuote)
	e.Venue, e.Flags = d.venue, market.FlagLast
	in, why := d.seen(inst)
	if why == nil {
		e.Instrument = in.id
		why = d.fillQuote(e, bid, bidSize, ask, askSize)
	}
	var ok bool
	if e.Time, ok = s.millis(ts); !ok {
		why = first(why, d.blame(CauseBadNumber, "ts", ts))
	}
	if why != nil {
		d.refusePart("ticker", why)
		return dst[:n]
	}
	return dst
}

// reply reads the answer of GET /api/v5/public/instruments. All of it is
// remembered; what is of instruments that have been seen is told.
func (d *okx) reply(dst []market.Event) ([]market.Event, error) {
	s := &d.s
	n := len(dst)
	var code, msg span
	if s.open('{') {
		for s.key() {
			switch {
			case string(s.name) == "code":
				code = s.value()
			case string(s.name) == "msg":
				msg = s.value()
			case string(s.name) == "data" && s.peek() == '[':
				s.open('[')
				for s.elem() {
					if s.peek() != '{' {
						s.value()
						continue
					}
					dst = d.instrument(dst)
				}
			default:
				s.value()
			}
		}
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		for _, in := range d.instruments.order {
			in.reference.forget()
		}
		return dst[:n], d.err()
	}
	if b := s.raw(code); code.kind != absent && string(b) != "0" {
		text, _ := s.str(msg)
		d.refuse(CauseProvider, "reply: %q %q", clip(b), clip(text))
	}
	return dst, d.err()
}

// instrument reads one element of the instruments channel or of its REST list.
func (d *okx) instrument(dst []market.Event) []market.Event {
	s := &d.s
	var inst, tick, lot, state span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "instId":
			inst = v
		case "tickSz":
			tick = v
		case "lotSz":
			lot = v
		case "state":
			state = v
		}
	}
	if s.bad || inst.kind == absent {
		return dst // other REST lists
	}
	in, why := d.listing(inst)
	if why != nil {
		d.refusePart("instrument", why)
		return dst
	}
	if scale, t, l, ok := d.steps(tick, lot); ok {
		in.reference.set(scale, t, l)
	}
	if b, ok := s.str(state); ok {
		in.reference.status = okxStatus(b)
	}
	if in.id != 0 {
		dst = d.tellNews(dst, &in.reference, in.id, d.venue)
	}
	return dst
}
