package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/market"
)

// quote reads a Q: the national best bid and offer, not one exchange's. One that
// was overtaken is dropped: its q and its time are not after those of the last.
// Both are looked at, because q starts again each session.
func (d *polygon) quote(dst []market.Event) ([]market.Event, *fault) {
	l, why := d.symbol(fieldSym, spellPlain)
	if why != nil {
		return dst, why
	}
	if l.class == market.ClassFuture {
		return d.futureQuote(dst, l)
	}
	t, why := d.time(letter('t'), "t")
	if why != nil {
		return dst, why
	}
	q, why := d.sequence()
	if why != nil {
		return dst, why
	}
	exchanges := d.exchangesOf(l.class)
	bid, why := d.exchange(exchanges, fieldBx, "bx")
	if why != nil {
		return dst, why
	}
	ask, why := d.exchange(exchanges, fieldAx, "ax")
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindQuote)
	e.Instrument, e.Venue, e.Time, e.Sequence = l.id, d.venueOf(l.class), t, q
	e.BidVenue, e.AskVenue = bid, ask
	e.Flags = market.FlagNBBO | market.FlagLast
	lot := int64(1)
	if l.class == market.ClassStock {
		lot = d.lotSize
		d.quoteCondition(e)
	}
	if why = d.sides(e, lot, false); why != nil {
		return dst[:n], why
	}
	if q != 0 {
		if q <= l.quoteQ && t <= l.quoteT {
			return dst[:n], nil
		}
		l.quoteQ, l.quoteT = q, t
	}
	if e.Size == 0 {
		e.BidVenue = 0
	}
	if e.AskSize == 0 {
		e.AskVenue = 0
	}
	return dst, nil
}

// quoteCondition reads c, one number, of a quote of a stock. What is no number of
// a condition, as -1 ("invalid"), takes the quote for not firm.
func (d *polygon) quoteCondition(e *market.Event) {
	v := d.f.get(letter('c'))
	if v.kind == absent {
		return
	}
	if d.conditions(e, letter('c')) != nil {
		d.fault.cause = ""
		e.Conditions[0], e.NumConditions = market.UnknownQuoteCondition, 1
	}
}

// futureQuote reads a Q of a futures contract: the top of its exchange's book. Its
// sides have times of their own.
func (d *polygon) futureQuote(dst []market.Event, l *polygonListing) ([]market.Event, *fault) {
	var t int64
	if d.f.get(letter('t')).kind == absent {
		for i, field := range [...]int{fieldBt, fieldAt} {
			if d.f.get(field).kind == absent {
				continue
			}
			at, why := d.time(field, [...]string{"bt", "at"}[i])
			if why != nil {
				return dst, why
			}
			t = max(t, at)
		}
	}
	if t == 0 {
		var why *fault
		if t, why = d.time(letter('t'), "t"); why != nil {
			return dst, why
		}
	}
	q, why := d.sequence()
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindQuote)
	e.Instrument, e.Venue, e.Time, e.Sequence, e.Flags = l.id, d.venueOf(l.class), t, q, market.FlagLast
	if why = d.sides(e, 1, true); why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// currencyQuote reads a C, a quote of two currencies, which has no sizes: see
// market.FlagNoSize. x says who made it and is not kept: who quotes at the moment
// is no venue.
func (d *polygon) currencyQuote(dst []market.Event) ([]market.Event, *fault) {
	l, why := d.symbol(letter('p'), spellCurrency)
	if why != nil {
		return dst, why
	}
	t, why := d.time(letter('t'), "t")
	if why != nil {
		return dst, why
	}
	var price [2]int64
	var decimals [2]market.Decimals
	for i, field := range [...]int{letter('b'), letter('a')} {
		v := d.f.get(field)
		if v.kind == absent {
			continue
		}
		var ok bool
		if price[i], decimals[i], ok = d.amount(v); !ok {
			return dst, d.blame(CauseBadNumber, [...]string{"b", "a"}[i], v.span)
		}
	}
	bid, ask, finest, ok := align(price[0], decimals[0], price[1], decimals[1])
	if !ok {
		return dst, d.blame(CauseBadNumber, "a does not fit beside b", d.f.get(letter('a')).span)
	}
	dst, e := d.add(dst, market.KindQuote)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, d.venueOf(l.class), t, market.FlagLast|market.FlagNoSize
	e.Price, e.Ask, e.PriceDecimals = market.Price(bid), market.Price(ask), finest
	e.Size, e.AskSize = market.Size(min(bid, 1)), market.Size(min(ask, 1))
	return dst, nil
}

// sides reads the two sides of a Q or XQ. A side with no price, or price 0, is
// absent; with signed set, as for futures, whose spreads trade at zero and below,
// only one without a size is.
func (d *polygon) sides(e *market.Event, lot int64, signed bool) *fault {
	bid, bidDecimals, bidSize, bidSizeDecimals, why := d.side(fieldBp, fieldBs, "bp", "bs", signed)
	if why != nil {
		return why
	}
	ask, askDecimals, askSize, askSizeDecimals, why := d.side(fieldAp, fieldAs, "ap", "as", signed)
	if why != nil {
		return why
	}
	if lot != 1 {
		if bidSize > math.MaxInt64/lot {
			return d.blame(CauseBadNumber, "bs", d.f.get(fieldBs).span)
		}
		if askSize > math.MaxInt64/lot {
			return d.blame(CauseBadNumber, "as", d.f.get(fieldAs).span)
		}
		bidSize, askSize = bidSize*lot, askSize*lot
	}
	bid, ask, decimals, ok := align(bid, bidDecimals, ask, askDecimals)
	if !ok {
		return d.blame(CauseBadNumber, "ap does not fit beside bp", d.f.get(fieldAp).span)
	}
	e.Price, e.Ask, e.PriceDecimals = market.Price(bid), market.Price(ask), decimals
	bidSize, askSize, decimals, ok = align(bidSize, bidSizeDecimals, askSize, askSizeDecimals)
	if !ok {
		return d.blame(CauseBadNumber, "as does not fit beside bs", d.f.get(fieldAs).span)
	}
	e.Size, e.AskSize, e.SizeDecimals = market.Size(bidSize), market.Size(askSize), decimals
	return nil
}

func (d *polygon) side(p, z int, priceName, sizeName string, signed bool) (price int64, pd market.Decimals, size int64, sd market.Decimals, why *fault) {
	v := d.f.get(p)
	if v.kind == absent {
		return 0, 0, 0, 0, nil
	}
	price, pd, ok := d.decimal(v)
	if !ok || price < 0 && !signed {
		return 0, 0, 0, 0, d.blame(CauseBadNumber, priceName, v.span)
	}
	if price == 0 && !signed {
		return 0, 0, 0, 0, nil
	}
	v = d.f.get(z)
	if v.kind == absent {
		return 0, 0, 0, 0, d.blame(CauseMissingField, sizeName, v.span)
	}
	size, sd, ok = d.amount(v)
	if !ok {
		return 0, 0, 0, 0, d.blame(CauseBadNumber, sizeName, v.span)
	}
	if size == 0 {
		return 0, 0, 0, 0, nil
	}
	return price, pd, size, sd, nil
}
