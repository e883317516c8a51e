package normalizer

import "github.com/quotewire/quotewire/market"

// cryptoHeader reads what all crypto events of Polygon begin with.
func (d *polygon) cryptoHeader() (l *polygonListing, v market.VenueID, t int64, why *fault) {
	if l, why = d.symbol(fieldPair, spellCrypto); why != nil {
		return nil, 0, 0, why
	}
	if v, why = d.exchange(&d.crypto, letter('x'), "x"); why != nil {
		return l, 0, 0, why
	}
	if v == 0 {
		v = d.venueOf(market.ClassCrypto)
	}
	t, why = d.time(letter('t'), "t")
	return l, v, t, why
}

// cryptoTrade reads an XT. Its conditions are not sale conditions: 1 says that
// the seller took, 2 that the buyer did.
func (d *polygon) cryptoTrade(dst []market.Event) ([]market.Event, *fault) {
	l, venue, t, why := d.cryptoHeader()
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, venue, t, market.FlagLast
	if why = d.print(e, false); why == nil {
		why = d.conditions(e, letter('c'))
	}
	if why != nil {
		return dst[:n], why
	}
	for _, c := range e.Conditions[:e.NumConditions] {
		switch c {
		case 1:
			e.Side = market.SideAsk
		case 2:
			e.Side = market.SideBid
		}
	}
	e.Conditions, e.NumConditions = [market.MaxConditions]market.Condition{}, 0
	return dst, nil
}

// cryptoQuote reads an XQ: the top of one exchange's book.
func (d *polygon) cryptoQuote(dst []market.Event) ([]market.Event, *fault) {
	l, venue, t, why := d.cryptoHeader()
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindQuote)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, venue, t, market.FlagLast
	if why = d.sides(e, 1, false); why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// book reads an XL2: a whole image of up to 100 levels a side each time. Where
// it cannot be read, the book of before is no longer current either.
func (d *polygon) book(dst []market.Event) []market.Event {
	d.images = true
	l, venue, t, why := d.cryptoHeader()
	if l == nil {
		d.refusePart("XL2", why)
		return dst
	}
	n := len(dst)
	if why == nil {
		dst, why = d.image(dst, l, venue, t)
	}
	if why != nil {
		d.refusePart("XL2", why)
		return d.gap(dst[:n], l.id, venue)
	}
	dst[len(dst)-1].Flags |= market.FlagLast
	return dst
}

func (d *polygon) image(dst []market.Event, l *polygonListing, venue market.VenueID, t int64) ([]market.Event, *fault) {
	dst, e := d.add(dst, market.KindClear)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, venue, t, market.FlagSnapshot
	for _, side := range [...]struct {
		field int
		name  string
		side  market.Side
	}{{letter('b'), "b", market.SideBid}, {letter('a'), "a", market.SideAsk}} {
		v := d.f.get(side.field)
		if v.kind != array {
			return dst, d.blame(CauseMissingField, side.name, v.span)
		}
		n := len(dst)
		var why *fault
		back := d.s.at(v.span)
		dst, why = d.pairs(dst, side.side)
		d.s.resume(back)
		if why != nil {
			return dst, why
		}
		for i := n; i < len(dst); i++ {
			e := &dst[i]
			e.Instrument, e.Venue, e.Time, e.Flags = l.id, venue, t, market.FlagSnapshot
		}
	}
	return dst, nil
}
