package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/market"
)

// finraFacility is the exchange number of all prints off exchange; trfi tells
// which facility they were reported to.
const finraFacility = 4

// trade reads a T. Late prints, with a q below others of the ticker, are real
// and stay.
func (d *polygon) trade(dst []market.Event) ([]market.Event, *fault) {
	f := &d.f
	l, why := d.symbol(fieldSym, spellPlain)
	if why != nil {
		return dst, why
	}
	t, why := d.time(letter('t'), "t")
	if why != nil {
		return dst, why
	}
	q, why := d.sequence()
	if why != nil {
		return dst, why
	}
	x := letter('x')
	if f.have&(1<<fieldTrfi) != 0 && f.at[fieldTrfi].kind != null {
		if n, ok := d.uint(f.get(x)); ok && n == finraFacility {
			x = fieldTrfi
		}
	}
	venue, why := d.exchange(d.exchangesOf(l.class), x, "x")
	if why != nil {
		return dst, why
	}
	if venue == 0 {
		venue = d.venueOf(l.class)
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Instrument, e.Venue, e.Time, e.Sequence, e.Flags = l.id, venue, t, q, market.FlagLast
	if l.class == market.ClassOption {
		e.Flags |= market.FlagCorrectable // OPRA sends one that is taken back once more
	}
	if why = d.print(e, l.class == market.ClassFuture); why == nil {
		why = d.conditions(e, letter('c'))
	}
	if why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// print reads price, size and identifier of a T or XT. Only spreads of futures
// trade at negative prices, or at zero.
func (d *polygon) print(e *market.Event, signed bool) *fault {
	f, s := &d.f, &d.s
	v := f.get(letter('p'))
	p, decimals, ok := d.decimal(v)
	if !ok || p <= 0 && !signed {
		if v.kind == absent {
			return d.blame(CauseMissingField, "p", v.span)
		}
		return d.blame(CauseBadNumber, "p", v.span)
	}
	e.Price, e.PriceDecimals = market.Price(p), decimals
	size, decimals, why := d.quantity(letter('s'), fieldDs, "s")
	if why != nil {
		return why
	}
	e.Size, e.SizeDecimals = market.Size(size), decimals
	v = f.get(letter('i'))
	switch v.kind {
	case absent:
	case number, text:
		if e.ID, ok = market.MakeTradeID(s.raw(v.span)); !ok {
			return d.blame(CauseOversized, "i", v.span)
		}
	default:
		return d.blame(CauseBadValue, "i", v.span)
	}
	return nil
}

// quantity reads a size. The exact one, a string with fractions of shares, wins
// over the whole number beside it: s is 1 where ds is "0.740474".
func (d *polygon) quantity(whole, exact int, name string) (int64, market.Decimals, *fault) {
	v := d.f.get(exact)
	if v.kind == absent {
		v = d.f.get(whole)
	}
	m, decimals, ok := d.amount(v)
	if !ok {
		if v.kind == absent {
			return 0, 0, d.blame(CauseMissingField, name, v.span)
		}
		return 0, 0, d.blame(CauseBadNumber, name, v.span)
	}
	if decimals > 0 {
		m, decimals = market.Trim(m, decimals, 0)
	}
	return m, decimals, nil
}

// conditions reads codes, an array or, in old frames, one number.
func (d *polygon) conditions(e *market.Event, field int) *fault {
	s := &d.s
	v := d.f.get(field)
	switch v.kind {
	case absent:
		return nil
	case array:
	default:
		return d.condition(e, v.span)
	}
	if n := plainCodes(&e.Conditions, s.raw(v.span)); n >= 0 {
		e.NumConditions = uint8(n)
		return nil
	}
	var why *fault
	back := s.at(v.span)
	s.open('[')
	for s.elem() {
		if why = d.condition(e, s.value()); why != nil {
			break
		}
	}
	s.resume(back)
	return why
}

// plainCodes reads an array as Polygon writes it, "[14,37]", and returns the
// number of conditions; -1 where it is written otherwise or does not fit.
func plainCodes(dst *[market.MaxConditions]market.Condition, b []byte) int {
	n, digits := 0, 0
	code := uint(0)
	for _, c := range b[1:] {
		switch {
		case c-'0' <= 9:
			if digits++; digits > 4 {
				return -1
			}
			code = code*10 + uint(c-'0')
		case (c == ',' || c == ']') && digits > 0 && n < len(dst):
			dst[n] = market.Condition(code)
			n++
			code, digits = 0, 0
		case c == ']' && n == 0:
		default:
			return -1
		}
	}
	return n
}

func (d *polygon) condition(e *market.Event, v span) *fault {
	c, ok := d.s.uint(v)
	switch {
	case !ok || c > math.MaxUint16:
		return d.blame(CauseBadValue, "c", v)
	case int(e.NumConditions) == market.MaxConditions:
		return d.blame(CauseOversized, "c has too many conditions, at", v)
	}
	e.Conditions[e.NumConditions] = market.Condition(c)
	e.NumConditions++
	return nil
}
