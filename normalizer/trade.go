package normalizer

import "github.com/quotewire/quotewire/market"

// fillTrade sets price, size, identifier, running number and time of a print
// from a venue whose trade identifiers are numbers that grow by one.
func (d *base) fillTrade(e *market.Event, price, size, id, timestamp span) *fault {
	if why := d.fillNumbered(e, price, size, id); why != nil {
		return why
	}
	b, ok := d.s.str(timestamp)
	if !ok {
		return d.blame(CauseMissingField, "time", timestamp)
	}
	if e.Time, ok = parseTime(b); !ok {
		return d.blame(CauseBadNumber, "time", timestamp)
	}
	return nil
}

// fillNumbered sets price, size, identifier and running number of a print.
func (d *base) fillNumbered(e *market.Event, price, size, id span) *fault {
	s := &d.s
	p, pd, ok := s.decimal(price)
	if !ok || p <= 0 {
		if price.kind == absent {
			return d.blame(CauseMissingField, "price", price)
		}
		return d.blame(CauseBadNumber, "price", price)
	}
	z, zd, ok := s.amount(size)
	if !ok {
		if size.kind == absent {
			return d.blame(CauseMissingField, "size", size)
		}
		return d.blame(CauseBadNumber, "size", size)
	}
	if id.kind == absent {
		return d.blame(CauseMissingField, "trade_id", id)
	}
	n, ok := s.uint(id)
	if !ok {
		return d.blame(CauseBadNumber, "trade_id", id)
	}
	if e.ID, ok = market.MakeTradeID(s.raw(id)); !ok {
		return d.blame(CauseOversized, "trade_id", id)
	}
	e.Price, e.PriceDecimals = market.Price(p), pd
	e.Size, e.SizeDecimals = market.Size(z), zd
	e.TradeSequence = n
	return nil
}
