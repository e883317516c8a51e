package normalizer

import "github.com/quotewire/quotewire/market"

// trade reads a trade or an aggregate of the trades that one taker made at one
// price. Their numbers grow by one per symbol. m tells whether the buyer was the
// maker: then the seller took.
func (d *binance) trade(dst []market.Event, m *binanceMessage, aggregate bool) []market.Event {
	n := len(dst)
	s := &d.s
	p, why := d.seen(m)
	if why == nil {
		kind := tapeTrades
		if aggregate {
			kind = tapeAggregates
		}
		if p.tape == tapeNone {
			p.tape = kind
		}
		if p.tape != kind {
			return dst
		}
	}
	// The futures' stream of single trades, which is not documented, also has
	// those of the insurance fund and of automatic deleveraging, marked in X.
	if kind, ok := s.str(m.contra); ok && why == nil && string(kind) != "MARKET" {
		return dst
	}
	dst, e := d.add(dst, market.KindTrade)
	e.Venue, e.Flags = d.venue, market.FlagLast
	if aggregate || !d.futures {
		e.Flags |= market.FlagContiguous
	}
	if why == nil {
		e.Instrument = p.id
		id := m.tradeID
		if aggregate {
			id = m.aggID
		}
		why = d.fillNumbered(e, m.price, m.size, id)
	}
	if why == nil {
		trimLevel(e, p.reference.floor())
		e.Time, why = d.time(m, true)
	}
	if why == nil {
		switch m.maker.kind {
		case boolTrue:
			e.Side = market.SideAsk
		case boolFalse:
			e.Side = market.SideBid
		default:
			why = d.blame(CauseBadSide, "m", m.maker)
		}
	}
	if why != nil {
		d.refusePart("trade", why)
		return dst[:n]
	}
	return dst
}

// top reads a bookTicker: the best bid and ask, in real time. It is taken as a
// quote where no book of the symbol is subscribed.
func (d *binance) top(dst []market.Event, m *binanceMessage) []market.Event {
	n := len(dst)
	p, why := d.seen(m)
	if why == nil && p.source != bookNone {
		return dst
	}
	dst, e := d.add(dst, market.KindQuote)
	e.Venue, e.Flags = d.venue, market.FlagLast
	if why == nil {
		e.Instrument = p.id
		why = d.fillTop(e, [4]span{m.bid, m.bidSize, m.ask, m.askSize}, p.reference.floor())
	}
	if why == nil {
		var ok bool
		if e.Sequence, ok = d.s.uint(m.last); !ok {
			why = d.blame(CauseBadNumber, "u", m.last)
		}
	}
	if why == nil {
		e.Time, why = d.time(m, false)
	}
	if why != nil {
		d.refusePart("bookTicker", why)
		return dst[:n]
	}
	return dst
}

// fillTop sets both sides of a quote from bid, its size, ask and its size. All
// must be told; a side of size 0 is not there.
func (d *binance) fillTop(e *market.Event, v [4]span, floor market.Scale) *fault {
	var side [2]market.Event
	for i := range side {
		l, price, size := &side[i], v[2*i], v[2*i+1]
		p, pd, ok := d.s.amount(price)
		if !ok {
			return d.blame(missingOr(CauseBadNumber, price), "price", price)
		}
		z, zd, ok := d.s.amount(size)
		if !ok {
			return d.blame(missingOr(CauseBadNumber, size), "size", size)
		}
		if z == 0 {
			continue
		}
		if p == 0 {
			return d.blame(CauseBadNumber, "price", price)
		}
		l.Price, l.PriceDecimals, l.Size, l.SizeDecimals = market.Price(p), pd, market.Size(z), zd
		trimLevel(l, floor)
	}
	b, a := &side[0], &side[1]
	price, ask, pd, ok := align(int64(b.Price), b.PriceDecimals, int64(a.Price), a.PriceDecimals)
	if !ok {
		return d.blame(CauseBadNumber, "price", v[0])
	}
	size, askSize, zd, ok := align(int64(b.Size), b.SizeDecimals, int64(a.Size), a.SizeDecimals)
	if !ok {
		return d.blame(CauseBadNumber, "size", v[1])
	}
	e.Price, e.Ask, e.PriceDecimals = market.Price(price), market.Price(ask), pd
	e.Size, e.AskSize, e.SizeDecimals = market.Size(size), market.Size(askSize), zd
	return nil
}

// missingOr returns CauseMissingField for an absent value, else c.
func missingOr(c Cause, v span) Cause {
	if v.kind == absent {
		return CauseMissingField
	}
	return c
}
