package normalizer

import "github.com/quotewire/quotewire/market"

// maxLevels is how many levels one message may hold. Coinbase's books, the
// deepest, have some 50,000.
const maxLevels = 1_000_000

// level appends one level of a book, whose instrument, venue, time and flags are
// set when the message has been read.
func (d *base) level(dst []market.Event, side market.Side, price, size span) ([]market.Event, *fault) {
	p, pd, ok := d.s.decimal(price)
	if ok && p == 0 && d.skipUnpriced {
		return dst, nil
	}
	if !ok || p <= 0 {
		if price.kind == absent {
			return dst, d.blame(CauseMissingField, "price", price)
		}
		return dst, d.blame(CauseBadNumber, "price", price)
	}
	z, zd, ok := d.s.amount(size)
	if !ok {
		if size.kind == absent {
			return dst, d.blame(CauseMissingField, "size", size)
		}
		return dst, d.blame(CauseBadNumber, "size", size)
	}
	dst, e := d.add(dst, market.KindLevel)
	e.Side = side
	e.Price, e.PriceDecimals = market.Price(p), pd
	e.Size, e.SizeDecimals = market.Size(z), zd
	return dst, nil
}

// pairs reads an array of [price, size] as levels of one side. It reads the
// array to its end also where a level is bad.
func (d *base) pairs(dst []market.Event, side market.Side) ([]market.Event, *fault) {
	s := &d.s
	var why *fault
	n := len(dst)
	if s.peek() != '[' {
		v := s.value()
		return dst, d.blame(CauseBadValue, "levels", v)
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '[' {
			v := s.value()
			why = first(why, d.blame(CauseBadValue, "level", v))
			continue
		}
		s.open('[')
		var price, size span
		for i := 0; s.elem(); i++ {
			v := s.value()
			switch i {
			case 0:
				price = v
			case 1:
				size = v
			}
		}
		if s.bad {
			break
		}
		if why == nil {
			dst, why = d.level(dst, side, price, size)
			if len(dst)-n > maxLevels {
				why = first(why, d.blame(CauseOversized, "too many levels at", price))
			}
		}
	}
	return dst, why
}

// first keeps the first fault of a message.
func first(a, b *fault) *fault {
	if a != nil {
		return a
	}
	return b
}
