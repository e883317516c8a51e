package normalizer

import "github.com/quotewire/quotewire/market"

// answer handles the answer to a request: an ack tells the depth of a book, a
// refusal is counted.
func (d *kraken) answer(dst []market.Event, m *krakenMessage) []market.Event {
	s := &d.s
	if m.success.kind == boolFalse || m.success.kind == absent && m.fault.kind != absent {
		// Both texts are copied into the detail one after the other, as either
		// may need the room for escaped text.
		message, _ := s.str(m.fault)
		detail := string(clip(message))
		symbol, _ := s.str(m.symbol)
		d.refuse(CauseProvider, "%q %q", detail, clip(symbol))
		return dst
	}
	method, ok := s.str(m.method)
	if !ok {
		d.refuse(CauseUnknownType, "message without channel and method")
		return dst
	}
	switch string(method) {
	case "subscribe":
		return d.ack(dst, m.result)
	case "unsubscribe":
		return d.left(dst, m.result)
	case "pong":
		return dst
	}
	d.refuse(CauseUnknownType, "method %q", clip(method))
	return dst
}

// left takes note that a book is subscribed no longer: what it holds ages from
// here, and below the levels that the checksum covers nothing would show it once
// it is subscribed again and its snapshot does not come.
func (d *kraken) left(dst []market.Event, result span) []market.Event {
	channel, symbol, _ := d.result(result)
	b, _ := d.s.str(channel)
	kind := krakenBookOf(b)
	if kind == krakenNone {
		return dst
	}
	b, _ = d.s.str(symbol)
	p := d.pairs.by[string(b)]
	// A shallow book is wholly under its checksum.
	if p == nil || p.book != kind || !p.imaged || int(p.depth) <= krakenDepths[0] {
		return dst
	}
	p.imaged = false
	return d.gap(dst, p.id, d.venue)
}

// result reads what an answer says of the subscription.
func (d *kraken) result(v span) (channel, symbol, depth span) {
	if v.kind != object {
		return channel, symbol, depth
	}
	s := &d.s
	back := s.at(v)
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "channel":
			channel = v
		case "symbol":
			symbol = v
		case "depth":
			depth = v
		}
	}
	s.resume(back)
	return channel, symbol, depth
}

// ack takes the depth from the acknowledgement of a book. Where the book began
// before and its depth was guessed wrong, it may lack levels: it is to be asked
// for again.
func (d *kraken) ack(dst []market.Event, result span) []market.Event {
	s := &d.s
	channel, symbol, depth := d.result(result)
	if b, _ := s.str(channel); krakenBookOf(b) == krakenNone {
		return dst
	}
	p, why := d.pair(symbol)
	if why != nil {
		d.refusePart("ack", why)
		return dst
	}
	n, ok := s.uint(depth)
	if !ok || n == 0 || n > uint64(krakenDepths[len(krakenDepths)-1]) {
		d.refusePart("ack", d.blame(CauseBadValue, "depth", depth))
		return dst
	}
	wrong := p.guessed && p.depth != uint16(n)
	p.depth, p.guessed = uint16(n), false
	if wrong {
		return d.gap(dst, p.id, d.venue)
	}
	return dst
}

// system reads one element of the status channel: the state of the venue as a
// whole, which is told of every pair that has been seen.
func (d *kraken) system(dst []market.Event) []market.Event {
	s := &d.s
	var system span
	s.open('{')
	for v := (span{}); s.member(&v); {
		if string(s.name) == "system" {
			system = v
		}
	}
	if s.bad {
		return dst
	}
	b, ok := s.str(system)
	if !ok {
		d.refusePart("status", d.blame(CauseMissingField, "system", system))
		return dst
	}
	d.trading = krakenStatus(b)
	for _, p := range d.pairs.order {
		if p.id != 0 {
			dst = d.news(dst, p)
		}
	}
	return dst
}

// news tells what has changed of a pair by a message of its own.
func (d *kraken) news(dst []market.Event, p *krakenPair) []market.Event {
	n := len(dst)
	dst = d.tell(dst, &p.reference, d.status(p), p.id, d.venue)
	if len(dst) > n {
		dst[len(dst)-1].Flags |= market.FlagLast
	}
	return dst
}

// instruments reads the data of the instrument channel, an object: the
// precisions and the status of every pair, of which all are remembered and those
// that have been seen are told.
func (d *kraken) instruments(dst []market.Event) []market.Event {
	s := &d.s
	if s.peek() != '{' {
		v := s.value()
		d.refuse(CauseBadValue, "instrument: data: %q", clip(s.raw(v)))
		return dst
	}
	s.open('{')
	for s.key() {
		if string(s.name) != "pairs" || s.peek() != '[' {
			s.value()
			continue
		}
		s.open('[')
		for s.elem() {
			dst = d.instrument(dst)
		}
	}
	return dst
}

func (d *kraken) instrument(dst []market.Event) []market.Event {
	s := &d.s
	if s.peek() != '{' {
		v := s.value()
		d.refuse(CauseBadValue, "instrument: %q", clip(s.raw(v)))
		return dst
	}
	var symbol, status, price, qty, tick, lot span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "symbol":
			symbol = v
		case "status":
			status = v
		case "price_precision":
			price = v
		case "qty_precision":
			qty = v
		case "price_increment":
			tick = v
		case "qty_increment":
			lot = v
		}
	}
	if s.bad {
		return dst
	}
	p, why := d.pair(symbol)
	if why != nil {
		d.refusePart("instrument", why)
		return dst
	}
	pd, ok := d.precision(price)
	if !ok {
		d.refusePart("instrument", d.blame(CauseBadNumber, "price_precision", price))
		return dst
	}
	qd, ok := d.precision(qty)
	if !ok {
		d.refusePart("instrument", d.blame(CauseBadNumber, "qty_precision", qty))
		return dst
	}
	p.reference.set(market.Scale{Price: pd, Size: qd}, market.Price(d.step(tick, pd)), market.Size(d.step(lot, qd)))
	if b, ok := s.str(status); ok {
		p.reference.status = krakenStatus(b)
	}
	if p.id != 0 {
		dst = d.news(dst, p)
	}
	return dst
}

// precision reads a number of decimals.
func (d *base) precision(v span) (market.Decimals, bool) {
	n, ok := d.s.uint(v)
	return market.Decimals(n), ok && n <= uint64(market.MaxDecimals)
}

// step reads an increment at the given decimals, 0 where it is not told or does
// not fit them.
func (d *base) step(v span, at market.Decimals) int64 {
	m, dec, ok := d.s.amount(v)
	if !ok {
		return 0
	}
	m, err := market.Rescale(m, dec, at)
	if err != nil {
		return 0
	}
	return m
}
