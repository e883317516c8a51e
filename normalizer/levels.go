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

// order appends what one order of a book does, as level does.
func (d *base) order(dst []market.Event, a market.OrderAction, side market.Side, price, size, id span) ([]market.Event, *fault) {
	key, why := d.orderID(id)
	if why != nil {
		return dst, why
	}
	n := len(dst)
	if dst, why = d.level(dst, side, price, size); why == nil && len(dst) > n {
		e := &dst[n]
		e.Kind, e.Action = market.KindOrder, a
		e.SetOrder(key)
	}
	return dst, why
}

// deletion appends the end of an order.
func (d *base) deletion(dst []market.Event, side market.Side, id span) ([]market.Event, *fault) {
	key, why := d.orderID(id)
	if why != nil {
		return dst, why
	}
	dst, e := d.add(dst, market.KindOrder)
	e.Action, e.Side = market.OrderDelete, side
	e.SetOrder(key)
	return dst, nil
}

// orderID reads an order's identifier, a text or a number.
func (d *base) orderID(v span) (market.OrderID, *fault) {
	switch v.kind {
	case absent:
		return market.OrderID{}, d.blame(CauseMissingField, "order id", v)
	case text, number:
		if id, ok := market.ParseOrderID(d.s.raw(v)); ok {
			return id, nil
		}
	}
	return market.OrderID{}, d.blame(CauseBadValue, "order id", v)
}

// pairs reads an array of [price, size] as levels of one side. It reads the
// array to its end also where a level is bad.
func (d *base) pairs(dst []market.Event, side market.Side) ([]market.Event, *fault) {
	return d.rows(dst, side, false)
}

// rows is pairs, or reads an array of [price, size, order id] as orders.
func (d *base) rows(dst []market.Event, side market.Side, orders bool) ([]market.Event, *fault) {
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
		var price, size, id span
		for i := 0; s.elem(); i++ {
			v := s.value()
			switch i {
			case 0:
				price = v
			case 1:
				size = v
			case 2:
				id = v
			}
		}
		if s.bad {
			break
		}
		if why == nil {
			if orders {
				dst, why = d.order(dst, market.OrderAdd, side, price, size, id)
			} else {
				dst, why = d.level(dst, side, price, size)
			}
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
