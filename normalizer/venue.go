package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/market"
)

// Parts that the decoders of several crypto venues share.

// millis reads a time in milliseconds since the Unix epoch, as a number or as
// text, into nanoseconds.
func (s *scanner) millis(v span) (ns int64, ok bool) {
	n, ok := s.uint(v)
	if !ok || n > math.MaxInt64/1_000_000 {
		return 0, false
	}
	return int64(n) * 1e6, true
}

// whole reads a whole number with its sign, as a number or as text.
func (s *scanner) whole(v span) (n int64, ok bool) {
	m, d, ok := s.decimal(v)
	if !ok {
		return 0, false
	}
	n, err := market.Rescale(m, d, 0)
	return n, err == nil
}

// taker reads the side of a trade that took: buy or sell, whatever the case of
// the first letter.
func (d *base) taker(v span) (market.Side, *fault) {
	b, ok := d.s.str(v)
	switch {
	case !ok:
		return 0, d.blame(CauseMissingField, "side", v)
	case string(b) == "buy", string(b) == "Buy":
		return market.SideBid, nil
	case string(b) == "sell", string(b) == "Sell":
		return market.SideAsk, nil
	}
	return 0, d.blame(CauseBadSide, "side", v)
}

// fillPrint sets price, size and identifier of a print whose identifiers are
// names and no running numbers.
func (d *base) fillPrint(e *market.Event, price, size, id span) *fault {
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
	switch id.kind {
	case number, text:
	case absent:
		return d.blame(CauseMissingField, "trade id", id)
	default:
		return d.blame(CauseBadValue, "trade id", id)
	}
	if e.ID, ok = market.MakeTradeID(s.raw(id)); !ok {
		return d.blame(CauseOversized, "trade id", id)
	}
	e.Price, e.PriceDecimals = market.Price(p), pd
	e.Size, e.SizeDecimals = market.Size(z), zd
	return nil
}

// fillQuote sets the two sides of a top of book. A side of which price and size
// are absent, null, empty or zero is not there.
func (d *base) fillQuote(e *market.Event, bid, bidSize, ask, askSize span) *fault {
	bp, bpd, bz, bzd, why := d.quoteSide("bid", bid, bidSize)
	if why != nil {
		return why
	}
	ap, apd, az, azd, why := d.quoteSide("ask", ask, askSize)
	if why != nil {
		return why
	}
	p, a, pd, ok := align(bp, bpd, ap, apd)
	if !ok {
		return d.blame(CauseBadNumber, "prices", bid)
	}
	z, y, zd, ok := align(bz, bzd, az, azd)
	if !ok {
		return d.blame(CauseBadNumber, "sizes", bidSize)
	}
	e.Price, e.Ask, e.PriceDecimals = market.Price(p), market.Price(a), pd
	e.Size, e.AskSize, e.SizeDecimals = market.Size(z), market.Size(y), zd
	return nil
}

func (d *base) quoteSide(name string, price, size span) (p int64, pd market.Decimals, z int64, zd market.Decimals, why *fault) {
	if d.nothing(price) || d.nothing(size) {
		return 0, 0, 0, 0, nil
	}
	p, pd, ok := d.s.amount(price)
	if !ok {
		return 0, 0, 0, 0, d.blame(CauseBadNumber, name, price)
	}
	z, zd, ok = d.s.amount(size)
	if !ok {
		return 0, 0, 0, 0, d.blame(CauseBadNumber, name, size)
	}
	if p == 0 || z == 0 {
		return 0, 0, 0, 0, nil
	}
	return p, pd, z, zd, nil
}

// nothing reports whether a value is a provider's way to say none.
func (d *base) nothing(v span) bool {
	return v.kind == absent || v.kind == null || v.kind == text && v.to-v.from == 2
}

// seal ends a book message: what is in dst from n on gets its instrument, venue,
// time and flags, and the last of it FlagLast.
func (d *base) seal(dst []market.Event, n int, id market.InstrumentID, v market.VenueID, at int64, snapshot bool) []market.Event {
	if len(dst) == n {
		return dst
	}
	flags := market.Flags(0)
	if snapshot {
		flags = market.FlagSnapshot
	}
	for i := n; i < len(dst); i++ {
		e := &dst[i]
		e.Instrument, e.Venue, e.Time, e.Flags = id, v, at, flags
		if e.Kind == market.KindInstrument || e.Kind == market.KindStatus {
			e.Flags = 0
		}
	}
	dst[len(dst)-1].Flags |= market.FlagLast
	return dst
}

// beats appends the sign of life of one instrument's book that did not change.
func (d *base) beats(dst []market.Event, id market.InstrumentID, v market.VenueID, at int64) []market.Event {
	dst, e := d.add(dst, market.KindHeartbeat)
	e.Instrument, e.Venue, e.Time, e.Flags = id, v, at, market.FlagLast
	return dst
}

// tellNews tells what has changed of an instrument's reference data or status by a
// message of its own.
func (d *base) tellNews(dst []market.Event, r *reference, id market.InstrumentID, v market.VenueID) []market.Event {
	n := len(dst)
	dst = d.tell(dst, r, max(r.status, market.StatusTrading), id, v)
	if len(dst) > n {
		dst[len(dst)-1].Flags |= market.FlagLast
	}
	return dst
}

// steps reads tick and lot as reference data. It reports false, and blames
// nothing, where either is not told.
func (d *base) steps(tick, lot span) (sc market.Scale, t market.Price, l market.Size, ok bool) {
	tm, td, ok1 := d.s.amount(tick)
	lm, ld, ok2 := d.s.amount(lot)
	if !ok1 || !ok2 || tm == 0 || lm == 0 {
		return sc, 0, 0, false
	}
	tm, td = market.Trim(tm, td, 0)
	lm, ld = market.Trim(lm, ld, 0)
	return market.Scale{Price: td, Size: ld}, market.Price(tm), market.Size(lm), true
}
