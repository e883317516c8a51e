package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/market"
)

// value reads a V, LV or FMV.
func (d *polygon) value(dst []market.Event, what market.ValueKind, symbol, field int) ([]market.Event, *fault) {
	l, why := d.symbol(symbol, spellPlain)
	if why != nil {
		return dst, why
	}
	t, why := d.time(letter('t'), "t")
	if why != nil {
		return dst, why
	}
	v := d.f.get(field)
	p, decimals, ok := d.amount(v)
	if !ok {
		c, name := CauseBadNumber, "val"
		if v.kind == absent {
			c = CauseMissingField
		}
		if field == fieldFmv {
			name = "fmv"
		}
		return dst, d.blame(c, name, v.span)
	}
	dst, e := d.add(dst, market.KindValue)
	e.Instrument, e.Venue, e.Time, e.Flags = l.id, d.venueOf(market.ClassUnknown), t, market.FlagLast
	e.Value, e.Price, e.PriceDecimals = what, market.Price(p), decimals
	return dst, nil
}

// bands reads a LULD. Its symbol is in T, its time in t, in microseconds in the
// documentation and in nanoseconds on the wire.
func (d *polygon) bands(dst []market.Event) ([]market.Event, *fault) {
	l, why := d.symbol(fieldT, spellPlain)
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
	var band [2]int64
	var decimals [2]market.Decimals
	for i, field := range [...]int{letter('h'), letter('l')} {
		v := d.f.get(field)
		var ok bool
		if band[i], decimals[i], ok = d.amount(v); !ok {
			c := CauseBadNumber
			if v.kind == absent {
				c = CauseMissingField
			}
			return dst, d.blame(c, [...]string{"h", "l"}[i], v.span)
		}
	}
	high, low, finest, ok := align(band[0], decimals[0], band[1], decimals[1])
	if !ok {
		return dst, d.blame(CauseBadNumber, "l does not fit beside h", d.f.get(letter('l')).span)
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindLULD)
	e.Instrument, e.Venue, e.Time, e.Sequence, e.Flags = l.id, d.venueOf(l.class), t, q, market.FlagLast
	e.High, e.Low, e.PriceDecimals = market.Price(high), market.Price(low), finest
	if why = d.conditions(e, letter('i')); why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// imbalance reads a NOI, the order imbalance before an auction of NYSE. i is the
// exchange's number of the message, by symbol. The documentation has no side; a
// negative imbalance is read as one of sellers.
func (d *polygon) imbalance(dst []market.Event) ([]market.Event, *fault) {
	f, s := &d.f, &d.s
	l, why := d.symbol(fieldT, spellPlain)
	if why != nil {
		return dst, why
	}
	t, why := d.time(letter('t'), "t")
	if why != nil {
		return dst, why
	}
	venue, why := d.exchange(&d.tapes, letter('x'), "x")
	if why != nil {
		return dst, why
	}
	if venue == 0 {
		venue = d.venueOf(l.class)
	}
	v := f.get(letter('o'))
	size, decimals, ok := d.decimal(v)
	if !ok {
		return dst, d.blame(CauseBadNumber, "o", v.span)
	}
	side := market.SideNone
	if size < 0 {
		side, size = market.SideAsk, -size
	}
	var paired int64
	var pairedDecimals market.Decimals
	if v = f.get(letter('p')); v.kind != absent {
		if paired, pairedDecimals, ok = d.amount(v); !ok {
			return dst, d.blame(CauseBadNumber, "p", v.span)
		}
	}
	if size, paired, decimals, ok = align(size, decimals, paired, pairedDecimals); !ok {
		return dst, d.blame(CauseBadNumber, "p does not fit beside o", v.span)
	}
	var price int64
	var priceDecimals market.Decimals
	if v = f.get(letter('b')); v.kind != absent {
		if price, priceDecimals, ok = d.amount(v); !ok {
			return dst, d.blame(CauseBadNumber, "b", v.span)
		}
	}
	var at, number uint64
	if v = f.get(fieldAt); v.kind != absent {
		if at, ok = d.uint(v); !ok || at > 2359 || at%100 > 59 {
			return dst, d.blame(CauseBadNumber, "at", v.span)
		}
	}
	if v = f.get(letter('i')); v.kind != absent {
		if number, ok = d.uint(v); !ok || number > math.MaxInt64 {
			return dst, d.blame(CauseBadNumber, "i", v.span)
		}
	}
	var auction byte
	if v = f.get(letter('a')); v.kind != absent {
		b, isText := s.str(v.span)
		if !isText || len(b) != 1 || b[0]|0x20 < 'a' || b[0]|0x20 > 'z' {
			return dst, d.blame(CauseBadValue, "a", v.span)
		}
		auction = b[0]
	}
	dst, e := d.add(dst, market.KindImbalance)
	e.Instrument, e.Venue, e.Time, e.Sequence, e.Flags = l.id, venue, t, number, market.FlagLast
	e.Side, e.Size, e.AskSize, e.SizeDecimals = side, market.Size(size), market.Size(paired), decimals
	e.Price, e.PriceDecimals = market.Price(price), priceDecimals
	e.Auction, e.AuctionTime = auction, uint16(at)
	return dst, nil
}
