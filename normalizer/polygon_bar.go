package normalizer

import (
	"time"

	"github.com/quotewire/quotewire/market"
)

// bar reads an A, AM, XA, XAS, CA or CAS. A bar of an index has no volume; CA and
// CAS have the number of quotes in its place, which is none. The end may be
// missing: the interval tells it.
func (d *polygon) bar(dst []market.Event, symbol int, how polygonSpelling, interval market.Flags) ([]market.Event, *fault) {
	l, why := d.symbol(symbol, how)
	if why != nil {
		return dst, why
	}
	start, why := d.time(letter('s'), "s")
	if why != nil {
		return dst, why
	}
	end := start + int64(time.Minute)
	if interval == market.FlagBarSecond {
		end = start + int64(time.Second)
	}
	if d.f.get(letter('e')).kind != absent {
		if end, why = d.time(letter('e'), "e"); why != nil {
			return dst, why
		}
	}
	fields := [...]struct {
		field int
		name  string
	}{
		{letter('o'), "o"}, {letter('h'), "h"}, {letter('l'), "l"}, {letter('c'), "c"}, {fieldVw, "vw"},
	}
	var prices [len(fields)]int64
	var decimals [len(fields)]market.Decimals
	finest := market.Decimals(0)
	for i, p := range fields {
		v := d.f.get(p.field)
		if v.kind == absent {
			if p.field == fieldVw {
				continue
			}
			return dst, d.blame(CauseMissingField, p.name, v.span)
		}
		m, dec, ok := d.decimal(v)
		if !ok || m < 0 && l.class != market.ClassFuture {
			return dst, d.blame(CauseBadNumber, p.name, v.span)
		}
		prices[i], decimals[i] = m, dec
		finest = max(finest, dec)
	}
	for i, p := range fields {
		m, err := market.Rescale(prices[i], decimals[i], finest)
		if err != nil {
			return dst, d.blame(CauseBadNumber, p.name, d.f.get(p.field).span)
		}
		prices[i] = m
	}
	var volume, day int64
	var volumeDecimals, dayDecimals market.Decimals
	if l.class != market.ClassIndex && how != spellCurrency {
		if volume, volumeDecimals, why = d.quantity(letter('v'), fieldDv, "v"); why != nil {
			return dst, why
		}
		if d.f.get(fieldAv).kind != absent || d.f.get(fieldDav).kind != absent {
			if day, dayDecimals, why = d.quantity(fieldAv, fieldDav, "av"); why != nil {
				return dst, why
			}
		}
	}
	volume, day, sizeDecimals, ok := align(volume, volumeDecimals, day, dayDecimals)
	if !ok {
		return dst, d.blame(CauseBadNumber, "av does not fit beside v", d.f.get(fieldAv).span)
	}
	dst, e := d.add(dst, market.KindBar)
	e.Instrument, e.Venue, e.Flags = l.id, d.venueOf(l.class), interval|market.FlagLast
	e.Time, e.Start, e.End = end, start, end
	e.PriceDecimals, e.SizeDecimals = finest, sizeDecimals
	e.Price, e.High, e.Low, e.Close, e.VWAP = market.Price(prices[0]), market.Price(prices[1]),
		market.Price(prices[2]), market.Price(prices[3]), market.Price(prices[4])
	e.Size, e.DayVolume = market.Size(volume), market.Size(day)
	return dst, nil
}
