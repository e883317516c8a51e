package normalizer

import (
	"math"
	"time"

	"github.com/quotewire/quotewire/market"
)

// tape returns the message's tape: A and B are CTA's, C and O are UTP's.
func (d *alpaca) tape() (byte, *fault) { return d.letterOf(letter('z'), "z") }

// where returns the venue of a print.
func (d *alpaca) where(c market.Class) (market.VenueID, *fault) {
	x, why := d.letterOf(letter('x'), "x")
	if why != nil || x == 0 {
		return d.venue(c), why
	}
	return d.exchange(x), nil
}

// trade reads a t. A print of crypto tells who took; one of a stock has conditions.
func (d *alpaca) trade(dst []market.Event) ([]market.Event, *fault) {
	f := &d.f
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	venue, why := d.where(l.class)
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, venue, t, market.FlagLast
	if l.class == market.ClassStock {
		e.Flags |= market.FlagCorrectable // corrections and cancelErrors come with the prints
	}
	if why = d.fillPrint(e, f.get(letter('p')), f.get(letter('s')), f.get(letter('i'))); why == nil {
		why = d.conditions(e, letter('c'))
	}
	if v := f.get(alpacaTks); why == nil && v.kind != absent {
		switch b, _ := d.s.str(v); string(b) {
		case "B":
			e.Side = market.SideBid
		case "S":
			e.Side = market.SideAsk
		case "", "-":
		default:
			why = d.blame(CauseBadSide, "tks", v)
		}
	}
	if why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// conditions reads sale conditions, letters of the message's tape: an array of
// texts or, of other feeds, one text.
func (d *alpaca) conditions(e *market.Event, field int) *fault {
	s := &d.s
	v := d.f.get(field)
	if v.kind == absent {
		return nil
	}
	tape, why := d.tape()
	if why != nil {
		return why
	}
	if v.kind != array {
		return d.condition(e, v, tape)
	}
	back := s.at(v)
	s.open('[')
	for s.elem() {
		if why = d.condition(e, s.value(), tape); why != nil {
			break
		}
	}
	s.resume(back)
	return why
}

// quoteConditions reads the conditions of a quote, letters as those of a print.
// One that cannot be read is no reason to lose a quote: it takes it for not firm.
func (d *alpaca) quoteConditions(e *market.Event) {
	v := d.f.get(letter('c'))
	if v.kind == absent {
		return
	}
	tape, why := d.tape()
	if why != nil {
		d.fault.cause = ""
	}
	if v.kind != array {
		d.quoteCondition(e, v, tape)
		return
	}
	back := d.s.at(v)
	d.s.open('[')
	for d.s.elem() {
		d.quoteCondition(e, d.s.value(), tape)
	}
	d.s.resume(back)
}

func (d *alpaca) quoteCondition(e *market.Event, v span, tape byte) {
	b, ok := d.s.str(v)
	if ok && len(b) == 0 {
		return
	}
	c := market.UnknownQuoteCondition
	if ok && len(b) == 1 {
		c = market.QuoteCondition(b[0], tape == 'C' || tape == 'O')
	}
	// The worst counts, so that where there is no room it is worse than any.
	if e.NumConditions == market.MaxConditions {
		e.Conditions[0] = market.UnknownQuoteCondition
		return
	}
	e.Conditions[e.NumConditions] = c
	e.NumConditions++
}

func (d *alpaca) condition(e *market.Event, v span, tape byte) *fault {
	b, ok := d.s.str(v)
	switch {
	case !ok || len(b) > 1:
		return d.blame(CauseBadValue, "c", v)
	case len(b) == 0:
		return nil
	case e.NumConditions == market.MaxConditions:
		return d.blame(CauseOversized, "c has too many conditions, at", v)
	}
	e.Conditions[e.NumConditions] = salePlan(tape).Condition(b[0])
	e.NumConditions++
	return nil
}

// quote reads a q: the national best bid and offer, or the best of the one venue
// that the feed carries.
func (d *alpaca) quote(dst []market.Event) ([]market.Event, *fault) {
	f := &d.f
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	bid, why := d.letterOf(alpacaBx, "bx")
	if why != nil {
		return dst, why
	}
	ask, why := d.letterOf(alpacaAx, "ax")
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindQuote)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, d.venue(l.class), t, market.FlagLast
	if why = d.fillQuote(e, f.get(alpacaBp), f.get(alpacaBs), f.get(alpacaAp), f.get(alpacaAs)); why != nil {
		return dst[:n], why
	}
	if l.class != market.ClassStock {
		return dst, nil
	}
	d.quoteConditions(e)
	if d.lotSize != 1 {
		if max(e.Size, e.AskSize) > market.Size(math.MaxInt64/d.lotSize) {
			return dst[:n], d.blame(CauseBadNumber, "bs", f.get(alpacaBs))
		}
		e.Size, e.AskSize = e.Size*market.Size(d.lotSize), e.AskSize*market.Size(d.lotSize)
	}
	if d.feedKind == alpacaSIP {
		e.Flags |= market.FlagNBBO
		if e.Size > 0 && bid != 0 {
			e.BidVenue = d.exchange(bid)
		}
		if e.AskSize > 0 && ask != 0 {
			e.AskVenue = d.exchange(ask)
		}
	}
	return dst, nil
}

// bar reads a b, u or d. t is its start; the end of a day is not told.
func (d *alpaca) bar(dst []market.Event, flags market.Flags) ([]market.Event, *fault) {
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	fields := [...]struct {
		field int
		name  string
	}{
		{letter('o'), "o"}, {letter('h'), "h"}, {letter('l'), "l"}, {letter('c'), "c"}, {alpacaVw, "vw"},
	}
	var prices [len(fields)]int64
	var decimals [len(fields)]market.Decimals
	finest := market.Decimals(0)
	for i, p := range fields {
		v := d.f.get(p.field)
		if v.kind == absent && p.field == alpacaVw {
			continue
		}
		m, dec, ok := d.s.amount(v)
		if !ok {
			if v.kind == absent {
				return dst, d.blame(CauseMissingField, p.name, v)
			}
			return dst, d.blame(CauseBadNumber, p.name, v)
		}
		prices[i], decimals[i] = m, dec
		finest = max(finest, dec)
	}
	for i, p := range fields {
		m, err := market.Rescale(prices[i], decimals[i], finest)
		if err != nil {
			return dst, d.blame(CauseBadNumber, p.name, d.f.get(p.field))
		}
		prices[i] = m
	}
	v := d.f.get(letter('v'))
	volume, sizeDecimals, ok := d.s.amount(v)
	if !ok {
		if v.kind == absent {
			return dst, d.blame(CauseMissingField, "v", v)
		}
		return dst, d.blame(CauseBadNumber, "v", v)
	}
	dst, e := d.add(dst, market.KindBar)
	e.Instrument, e.Venue, e.Flags = l.id, d.venue(l.class), flags|market.FlagLast
	e.Time, e.Start = t, t
	if flags&market.FlagBarMinute != 0 && t <= math.MaxInt64-int64(time.Minute) {
		e.End = t + int64(time.Minute)
		e.Time = e.End
	}
	e.PriceDecimals, e.SizeDecimals = finest, sizeDecimals
	e.Price, e.High, e.Low, e.Close, e.VWAP = market.Price(prices[0]), market.Price(prices[1]),
		market.Price(prices[2]), market.Price(prices[3]), market.Price(prices[4])
	e.Size = market.Size(volume)
	return dst, nil
}

// status reads an s. Codes that tell nothing of whether the stock trades become no
// event.
func (d *alpaca) status(dst []market.Event) ([]market.Event, *fault) {
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	code, why := d.letterOf(alpacaSc, "sc")
	if why != nil {
		return dst, why
	}
	status, known, told := tradingStatus(code)
	if !known {
		return dst, d.blame(CauseBadValue, "sc", d.f.get(alpacaSc))
	}
	if !told {
		return dst, nil
	}
	dst, e := d.add(dst, market.KindStatus)
	e.Instrument, e.Venue, e.Time, e.Status, e.Flags = l.id, d.venue(l.class), t, status, market.FlagLast
	if l.class == market.ClassStock {
		e.Flags |= market.FlagNBBO // the tapes tell it of all venues
		if reason, ok := d.s.str(d.f.get(alpacaRc)); ok {
			e.ID, _ = market.MakeTradeID(reason)
		}
	}
	return dst, nil
}

// bands reads an l. The indicator, a letter, is kept by its code.
func (d *alpaca) bands(dst []market.Event) ([]market.Event, *fault) {
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	high, highDecimals, why := d.positive(letter('u'), "u")
	if why != nil {
		return dst, why
	}
	low, lowDecimals, why := d.positive(letter('d'), "d")
	if why != nil {
		return dst, why
	}
	indicator, why := d.letterOf(letter('i'), "i")
	if why != nil {
		return dst, why
	}
	high, low, decimals, ok := align(high, highDecimals, low, lowDecimals)
	if !ok {
		return dst, d.blame(CauseBadNumber, "d does not fit beside u", d.f.get(letter('d')))
	}
	dst, e := d.add(dst, market.KindLULD)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, d.venue(l.class), t, market.FlagLast
	e.High, e.Low, e.PriceDecimals = market.Price(high), market.Price(low), decimals
	if indicator != 0 {
		e.Conditions[0], e.NumConditions = market.Condition(indicator), 1
	}
	return dst, nil
}

// positive reads a number that must be there and not be negative.
func (d *alpaca) positive(field int, name string) (int64, market.Decimals, *fault) {
	v := d.f.get(field)
	m, decimals, ok := d.s.amount(v)
	if !ok {
		if v.kind == absent {
			return 0, 0, d.blame(CauseMissingField, name, v)
		}
		return 0, 0, d.blame(CauseBadNumber, name, v)
	}
	return m, decimals, nil
}

// imbalance reads an i, which tells a price alone.
func (d *alpaca) imbalance(dst []market.Event) ([]market.Event, *fault) {
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	p, decimals, why := d.positive(letter('p'), "p")
	if why != nil {
		return dst, why
	}
	dst, e := d.add(dst, market.KindImbalance)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, d.venue(l.class), t, market.FlagLast
	e.Price, e.PriceDecimals = market.Price(p), decimals
	return dst, nil
}

// correction reads a c: the print oi was wrong, ci stands in its place.
func (d *alpaca) correction(dst []market.Event) ([]market.Event, *fault) {
	f := &d.f
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	venue, why := d.where(l.class)
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindCorrection)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, venue, t, market.FlagLast
	if why = d.fillPrint(e, f.get(alpacaCp), f.get(alpacaCs), f.get(alpacaCi)); why != nil {
		return dst[:n], why
	}
	number, ok := d.s.uint(f.get(alpacaCi))
	if !ok {
		return dst[:n], d.blame(CauseBadNumber, "ci", f.get(alpacaCi))
	}
	wrong := market.Event{}
	if why = d.fillPrint(&wrong, f.get(alpacaOp), f.get(alpacaOs), f.get(alpacaOi)); why != nil {
		return dst[:n], why
	}
	p, a, pd, ok := align(int64(e.Price), e.PriceDecimals, int64(wrong.Price), wrong.PriceDecimals)
	if !ok {
		return dst[:n], d.blame(CauseBadNumber, "op does not fit beside cp", f.get(alpacaOp))
	}
	z, y, zd, ok := align(int64(e.Size), e.SizeDecimals, int64(wrong.Size), wrong.SizeDecimals)
	if !ok {
		return dst[:n], d.blame(CauseBadNumber, "os does not fit beside cs", f.get(alpacaOs))
	}
	e.Price, e.Ask, e.PriceDecimals = market.Price(p), market.Price(a), pd
	e.Size, e.AskSize, e.SizeDecimals = market.Size(z), market.Size(y), zd
	e.ID, e.TradeSequence = wrong.ID, number
	if why = d.conditions(e, alpacaCc); why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// cancel reads an x: a print is taken back, or was an error.
func (d *alpaca) cancel(dst []market.Event) ([]market.Event, *fault) {
	f := &d.f
	l, t, why := d.header()
	if why != nil {
		return dst, why
	}
	venue, why := d.where(l.class)
	if why != nil {
		return dst, why
	}
	action, why := d.letterOf(letter('a'), "a")
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindCancel)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, venue, t, market.FlagLast
	switch action {
	case 'C':
	case 'E':
		e.Flags |= market.FlagError
	default:
		return dst[:n], d.blame(CauseBadValue, "a", f.get(letter('a')))
	}
	if why = d.fillPrint(e, f.get(letter('p')), f.get(letter('s')), f.get(letter('i'))); why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// book reads an o: with r set a whole image, else the levels that changed. Where it
// cannot be read, the book is no longer current.
func (d *alpaca) book(dst []market.Event) []market.Event {
	d.images = true
	n := len(dst)
	l, t, why := d.header()
	if l == nil {
		d.refusePart("order book", why)
		return d.gap(dst, 0, 0)
	}
	whole := flag(d.f.get(letter('r')))
	if why == nil && whole {
		dst, _ = d.add(dst, market.KindClear)
	}
	if why == nil {
		dst, why = d.levels(dst, letter('b'), "b", market.SideBid, whole)
	}
	if why == nil {
		dst, why = d.levels(dst, letter('a'), "a", market.SideAsk, whole)
	}
	if why != nil {
		d.refusePart("order book", why)
		l.imaged = false
		return d.gap(dst[:n], l.id, d.venue(l.class))
	}
	if whole {
		l.imaged = true
	}
	return d.seal(dst, n, l.id, d.venue(l.class), t, whole)
}

// subscribed reads the listing of all that is subscribed, which answers each
// request. A book that is no longer in it gets no changes, and once it is
// subscribed again only its next image can be trusted.
func (d *alpaca) subscribed(dst []market.Event) []market.Event {
	s := &d.s
	for _, l := range d.symbols.order {
		l.listed = false
	}
	all := false
	if v := d.f.get(alpacaBooks); v.kind == array {
		back := s.at(v)
		s.open('[')
		for s.elem() {
			b, _ := s.str(s.value())
			all = all || string(b) == "*"
			if l := d.symbols.by[string(b)]; l != nil {
				l.listed = true
			}
		}
		s.resume(back)
	}
	for _, l := range d.symbols.order {
		if l.imaged && !l.listed && !all {
			l.imaged = false
			dst = d.gap(dst, l.id, d.venue(l.class))
		}
	}
	return dst
}

// levels reads an array of {"p":…,"s":…}. Only a change may leave a side out.
func (d *alpaca) levels(dst []market.Event, field int, name string, side market.Side, needed bool) ([]market.Event, *fault) {
	s := &d.s
	v := d.f.get(field)
	if v.kind == absent && !needed {
		return dst, nil
	}
	if v.kind != array {
		c := CauseBadValue
		if v.kind == absent {
			c = CauseMissingField
		}
		return dst, d.blame(c, name, v)
	}
	var why *fault
	n := len(dst)
	back := s.at(v)
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			why = first(why, d.blame(CauseBadValue, "level", s.value()))
			continue
		}
		var price, size span
		s.open('{')
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "p":
				price = v
			case "s":
				size = v
			}
		}
		if why == nil {
			dst, why = d.level(dst, side, price, size)
			if len(dst)-n > maxLevels {
				why = first(why, d.blame(CauseOversized, "too many levels at", price))
			}
		}
	}
	s.resume(back)
	return dst, why
}
