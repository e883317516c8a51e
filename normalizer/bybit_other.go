package normalizer

import "github.com/quotewire/quotewire/market"

// trades reads the data of a trade topic. The side is the taker's. A block trade
// was made beside the book.
func (d *bybit) trades(dst []market.Event) []market.Event {
	s := &d.s
	if s.peek() != '[' {
		v := s.value()
		d.refuse(CauseBadValue, "data is not an array: %q", clip(s.raw(v)))
		return dst
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			v := s.value()
			d.refuse(CauseBadValue, "trades hold %q", clip(s.raw(v)))
			continue
		}
		dst = d.trade(dst)
	}
	return dst
}

func (d *bybit) trade(dst []market.Event) []market.Event {
	s := &d.s
	var symbol, id, price, size, side, at, block span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "s":
			symbol = v
		case "i":
			id = v
		case "p":
			price = v
		case "v":
			size = v
		case "S":
			side = v
		case "T":
			at = v
		case "BT":
			block = v
		}
	}
	if s.bad {
		return dst
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Venue, e.Flags = d.venue, market.FlagLast
	var why *fault
	if name, ok := s.str(symbol); !ok {
		why = d.blame(CauseMissingField, "s", symbol)
	} else {
		var l *bybitListing
		if l, why = d.seen(&bybitMessage{symbol: name, topic: symbol}); why == nil {
			e.Instrument = l.id
			why = d.fillPrint(e, price, size, id)
		}
	}
	if why == nil {
		e.Side, why = d.taker(side)
	}
	if why == nil {
		var ok bool
		if e.Time, ok = s.millis(at); !ok || e.Time == 0 {
			why = d.blame(CauseBadNumber, "T", at)
		}
	}
	if why != nil {
		d.refusePart("trade", why)
		return dst[:n]
	}
	if flag(block) {
		e.Conditions[0], e.NumConditions = market.ConditionBlock, 1
	}
	return dst
}

// tick reads the data of a ticker topic: the best bid and ask, which only
// derivatives have. After the first message only what changed is told.
func (d *bybit) tick(dst []market.Event, m *bybitMessage) []market.Event {
	s := &d.s
	var values [4]span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "bid1Price":
			values[0] = v
		case "bid1Size":
			values[1] = v
		case "ask1Price":
			values[2] = v
		case "ask1Size":
			values[3] = v
		}
	}
	if s.bad {
		return dst
	}
	l, why := d.seen(m)
	if why != nil {
		d.refusePart("ticker", why)
		return dst
	}
	t := &l.ticker
	if typ, _ := s.str(m.typ); string(typ) == "snapshot" {
		*t = bybitTicker{}
	}
	changed := false
	for i, v := range values {
		if v.kind == absent {
			continue
		}
		var x int64
		var dec market.Decimals
		if !d.nothing(v) {
			var ok bool
			if x, dec, ok = s.amount(v); !ok {
				d.refusePart("ticker", d.blame(CauseBadNumber, "bid or ask", v))
				*t = bybitTicker{}
				return dst
			}
		}
		t.have[i], t.value[i], t.decimals[i] = true, x, dec
		changed = true
	}
	if !changed || t.have != [4]bool{true, true, true, true} {
		return dst
	}
	bid, ask, pd, ok1 := align(t.value[0], t.decimals[0], t.value[2], t.decimals[2])
	bz, az, zd, ok2 := align(t.value[1], t.decimals[1], t.value[3], t.decimals[3])
	if !ok1 || !ok2 {
		d.refusePart("ticker", d.blame(CauseBadNumber, "bid or ask", span{}))
		return dst
	}
	if bid == 0 || bz == 0 {
		bid, bz = 0, 0
	}
	if ask == 0 || az == 0 {
		ask, az = 0, 0
	}
	dst, e := d.add(dst, market.KindQuote)
	e.Instrument, e.Venue, e.Flags = l.id, d.venue, market.FlagLast
	e.Price, e.Ask, e.PriceDecimals = market.Price(bid), market.Price(ask), pd
	e.Size, e.AskSize, e.SizeDecimals = market.Size(bz), market.Size(az), zd
	return dst
}

// reply reads the answer of GET /v5/market/instruments-info: the currencies,
// steps and status of symbols. It is of one category, which must be the
// connection's.
func (d *bybit) reply(dst []market.Event, category bybitCategory) ([]market.Event, error) {
	s := &d.s
	n := len(dst)
	var code, msg span
	if d.category == bybitUnknown && len(d.symbols.order) == 0 {
		d.category = category
	}
	if s.open('{') {
		for s.key() {
			switch {
			case string(s.name) == "retCode":
				code = s.value()
			case string(s.name) == "retMsg":
				msg = s.value()
			case string(s.name) == "result" && s.peek() == '{' && category == d.category:
				s.open('{')
				for s.key() {
					if string(s.name) != "list" || s.peek() != '[' {
						s.value()
						continue
					}
					s.open('[')
					for s.elem() {
						if s.peek() != '{' {
							s.value()
							continue
						}
						dst = d.instrument(dst)
					}
				}
			default:
				s.value()
			}
		}
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		for _, l := range d.symbols.order {
			l.reference.forget()
		}
		return dst[:n], d.err()
	}
	if b := s.raw(code); code.kind != absent && string(b) != "0" {
		detail, _ := s.str(msg)
		d.refuse(CauseProvider, "reply: %q %q", clip(b), clip(detail))
	}
	return dst, d.err()
}

func (d *bybit) instrument(dst []market.Event) []market.Event {
	s := &d.s
	var symbol, base, quote, status, tick, lot span
	s.open('{')
	for s.key() {
		switch string(s.name) {
		case "symbol":
			symbol = s.value()
		case "baseCoin":
			base = s.value()
		case "quoteCoin":
			quote = s.value()
		case "status":
			status = s.value()
		case "priceFilter":
			tick = d.inner("tickSize", "")
		case "lotSizeFilter":
			lot = d.inner("basePrecision", "qtyStep")
		default:
			s.value()
		}
	}
	if s.bad || symbol.kind == absent {
		return dst // other REST answers
	}
	name, ok := s.str(symbol)
	if !ok || market.CheckSymbol(string(name)) != nil {
		d.refusePart("instrument", d.blame(CauseBadSymbol, "symbol", symbol))
		return dst
	}
	l, _ := d.symbols.get(name)
	if l == nil {
		d.refusePart("instrument", d.blame(CauseOversized, "more symbols than a feed may have, at", symbol))
		return dst
	}
	b, ok1 := s.str(base)
	q, ok2 := s.str(quote)
	if ok1 && ok2 && base.kind == text && quote.kind == text && d.category == bybitSpot && l.id == 0 {
		l.canonical, l.class = string(b)+"-"+string(q), cryptoClass(string(b), string(q))
		if market.CheckSymbol(l.canonical) != nil {
			l.canonical = ""
		}
	}
	if scale, t, z, ok := d.steps(tick, lot); ok {
		l.reference.set(scale, t, z)
	}
	if b, ok := s.str(status); ok {
		l.reference.status = bybitStatus(b)
	}
	if l.id != 0 {
		dst = d.tellNews(dst, &l.reference, l.id, d.venue)
	}
	return dst
}

// inner reads an object and returns one member of it, by its name or another.
func (d *base) inner(name, other string) (v span) {
	s := &d.s
	if s.peek() != '{' {
		s.value()
		return v
	}
	s.open('{')
	for s.key() {
		wanted := string(s.name) == name || string(s.name) == other
		if x := s.value(); wanted {
			v = x
		}
	}
	return v
}
