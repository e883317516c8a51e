package normalizer

import "github.com/quotewire/quotewire/market"

// diff handles a message of changes whose levels are in dst from n on.
func (d *binance) diff(dst []market.Event, n int, m *binanceMessage) []market.Event {
	p, why := d.seen(m)
	if why != nil {
		d.refusePart("depth", why)
		return dst[:n] // the numbers will tell, once the symbol can be read
	}
	if p.source == bookImages {
		return dst[:n]
	}
	p.source = bookDiffs
	x, why := d.numbers(m)
	why = first(m.why, why)
	if why == nil && !m.sides[0] && !m.sides[1] {
		why = d.blame(CauseMissingField, "bids and asks", span{})
	}
	if why != nil {
		d.refusePart("depth", why)
		return d.loseBook(dst[:n], m)
	}
	return d.change(dst, n, &p.diffSymbol, x)
}

// numbers reads the numbers and the time of a diff.
func (d *binance) numbers(m *binanceMessage) (x diff, why *fault) {
	var ok bool
	if x.last, ok = d.s.uint(m.last); !ok || x.last == 0 {
		return x, d.blame(CauseBadNumber, "u", m.last)
	}
	if x.first, ok = d.s.uint(m.first); !ok || x.first > x.last {
		return x, d.blame(CauseBadNumber, "U", m.first)
	}
	if d.rule == diffLinked {
		if x.prev, ok = d.s.uint(m.prev); !ok {
			return x, d.blame(CauseBadNumber, "pu", m.prev)
		}
	}
	x.time, why = d.time(m, true)
	return x, why
}

// imageMessage handles a message of <symbol>@depth<levels>, whose levels are in
// dst from n on: each is a complete image of the best levels.
func (d *binance) imageMessage(dst []market.Event, n int, m *binanceMessage) []market.Event {
	p, why := d.seen(m)
	if why == nil && p.source == bookDiffs {
		return dst[:n]
	}
	var x diff
	if why == nil {
		why = m.why
	}
	if why == nil && !(m.sides[0] && m.sides[1]) {
		why = d.blame(CauseMissingField, "bids or asks", span{})
	}
	if why == nil {
		number := m.lastUpdate // of spot; futures have those of a diff
		if number.kind == absent {
			number = m.last
		}
		var ok bool
		if x.last, ok = d.s.uint(number); !ok {
			why = d.blame(CauseBadNumber, "number", number)
		}
	}
	if why == nil {
		x.time, why = d.time(m, false)
	}
	if why != nil {
		d.refusePart("partial depth", why)
		// The next image heals it; until then the book is not to be trusted.
		if p == nil || p.source != bookImages {
			return dst[:n]
		}
		return d.gap(dst[:n], p.id, d.venue)
	}
	p.source = bookImages
	depth := 0
	_, rest, _ := cutDepth(d.s.raw(m.stream))
	for _, c := range rest {
		if c-'0' > 9 || depth > 1000 {
			break
		}
		depth = depth*10 + int(c-'0')
	}
	return d.image(dst, n, &p.diffSymbol, x, uint16(depth))
}

// bookReply handles the answer to a request for a book, whose levels are in dst
// from n on.
func (d *binance) bookReply(dst []market.Event, n int, m *binanceMessage, symbol string) []market.Event {
	p, why := d.named([]byte(symbol))
	if why == nil && p.id == 0 {
		why = d.enter(p, symbol)
	}
	why = first(why, m.why)
	if why == nil && !(m.sides[0] && m.sides[1]) {
		why = d.blame(CauseMissingField, "bids or asks", span{})
	}
	var x diff
	if why == nil {
		var ok bool
		if x.last, ok = d.s.uint(m.lastUpdate); !ok || x.last == 0 {
			why = d.blame(CauseBadNumber, "lastUpdateId", m.lastUpdate)
		}
	}
	if why == nil {
		x.time, why = d.time(m, false)
	}
	if why != nil {
		d.refusePart("snapshot", why)
		return dst[:n]
	}
	if p.source == bookImages {
		return dst[:n]
	}
	return d.snapshot(dst, n, &p.diffSymbol, x)
}
