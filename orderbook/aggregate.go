package orderbook

import (
	"github.com/quotewire/quotewire/market"
)

// Providers make bars too (Polygon's A and AM, Alpaca's bars and updatedBars).
// They are not ours and never take their place: each is kept until ours of that
// interval is final, then the two are compared and differences are counted by
// field. A difference is no fault by itself: a provider may leave out prints that
// the tape's rules count, or see them later.

// AggregateField is a field in which a provider's bar and ours are compared.
type AggregateField uint8

// The fields that are compared.
const (
	AggregateOpen AggregateField = iota
	AggregateHigh
	AggregateLow
	AggregateClose
	AggregateVolume
	AggregateVWAP
	NumAggregateFields = 6
)

var aggregateFieldNames = [NumAggregateFields]string{"open", "high", "low", "close", "volume", "vwap"}

// String returns the field's lower-case name.
func (f AggregateField) String() string {
	if int(f) < NumAggregateFields {
		return aggregateFieldNames[f]
	}
	return "unknown"
}

// aggregate is a provider's bar that waits for ours to be final.
type aggregate struct {
	book                         *book
	interval                     Interval
	start, end                   int64
	open, high, low, close, vwap market.Price
	volume                       market.Size
	digits                       market.Scale // of its numbers
}

// maxAggregates is how many bars of providers may wait; beyond, the oldest is not
// compared.
const maxAggregates = 16

// aggregate takes a provider's bar. Those of a day are running totals, and not
// compared.
func (s *Shard) aggregate(b *book, e *market.Event) {
	a := aggregate{
		book: b, start: e.Start, end: e.End, open: e.Price, high: e.High, low: e.Low, close: e.Close, vwap: e.VWAP,
		volume: e.Size, digits: market.Scale{Price: e.PriceDecimals, Size: e.SizeDecimals},
	}
	switch {
	case e.Flags&market.FlagBarSecond != 0:
		a.interval = Second
	case e.Flags&market.FlagBarMinute != 0:
		a.interval = Minute
	default:
		return
	}
	t := b.in.tape
	if t == nil || !validDecimals(e) {
		b.stats.AggregatesSkipped++
		return
	}
	waiting := t.aggregates[:0]
	for i := range t.aggregates {
		if w := &t.aggregates[i]; w.end > s.watermark {
			waiting = append(waiting, *w)
		} else {
			b.in.compare(w)
		}
	}
	if t.aggregates = waiting; a.end <= s.watermark {
		b.in.compare(&a)
		return
	}
	if len(t.aggregates) == maxAggregates {
		t.aggregates[0].book.stats.AggregatesSkipped++
		t.aggregates = append(t.aggregates[:0], t.aggregates[1:]...)
	}
	t.aggregates = append(t.aggregates, a)
}

// compare holds a provider's bar against ours. One that began before our first
// print, or that we no longer have, cannot be compared.
func (in *instrument) compare(a *aggregate) {
	t, st := in.tape, &a.book.stats
	ours := Bar{Interval: a.interval, Start: a.start, End: a.end}
	b, kept := in.find(a.interval, a.start)
	if b != nil {
		ours = b.Bar
	}
	if !kept || a.start <= t.since || ours.Start != a.start || ours.End != a.end {
		st.AggregatesSkipped++
		return
	}
	st.Aggregates++
	scale := in.upd.Scale
	differ := func(f AggregateField, is bool) {
		if is {
			st.AggregatesDiffer[f]++
		}
	}
	price := func(p, q market.Price, has bool) bool { return !has || !equal(p, scale.Price, q, a.digits.Price) }
	differ(AggregateOpen, price(ours.Open, a.open, ours.HasOpen))
	differ(AggregateHigh, price(ours.High, a.high, ours.HasRange))
	differ(AggregateLow, price(ours.Low, a.low, ours.HasRange))
	differ(AggregateClose, price(ours.Close, a.close, ours.HasOpen))
	differ(AggregateVolume, !equal(ours.Volume, scale.Size, a.volume, a.digits.Size))
	if a.vwap != 0 {
		p, d, ok := ours.VWAP(scale)
		differ(AggregateVWAP, !ok || !near(p, d, a.vwap, a.digits.Price))
	}
}

// equal reports whether two numbers are equal, whatever their decimals.
func equal[T ~int64](a T, da market.Decimals, b T, db market.Decimals) bool {
	a, da = market.Trim(a, da, 0)
	b, db = market.Trim(b, db, 0)
	return a == b && (da == db || a == 0)
}

// near reports whether two numbers are within one of the coarser one's last digit.
func near(a market.Price, da market.Decimals, b market.Price, db market.Decimals) bool {
	d := min(da, db)
	diff := a/market.Price(market.Pow10(da-d)) - b/market.Price(market.Pow10(db-d))
	return diff >= -1 && diff <= 1
}
