package orderbook

import (
	"time"

	"github.com/quotewire/quotewire/market"
)

// clockSkew is how far a venue's clock may be ahead of ours before its time is
// not believed: one print dated next year would end the trading day for good.
const clockSkew = int64(time.Hour)

// print applies one trade to the ticker and the bars and reports whether the
// ticker changed, and false in ok if a sum cannot hold it. What a print may touch
// is the strictest of its conditions' rules, see [market.Event.Updates]; one that
// comes late stands at its own time: it does not move last, and one of an earlier
// day leaves this day's figures alone.
func (s *Shard) print(b *book, e *market.Event, price market.Price, size market.Size) (changed, ok bool) {
	in := b.in
	t, k := s.tapeOf(in), &in.upd.Ticker
	at := e.Time
	if at == 0 || e.Received != 0 && at-e.Received > clockSkew {
		at = e.Received
	}
	first := t.day.end == 0
	if first {
		t.since = at
	}
	if at >= t.day.end {
		changed = !first
		in.newDay(at)
	}
	if t.kept == nil && e.Has(market.FlagCorrectable) {
		lost := t.day.end - 1
		if first {
			lost = 0
		}
		in.keep(&s.prints, lost)
	}
	p := tally{at: at, price: price, size: size, venue: e.Venue, may: in.may(e, price)}
	p.multiply()
	today := at >= t.day.start
	ok = today || p.may&mayVolume != 0 || p.may&mayCount == 0
	if today {
		ok = in.addTicker(&p)
		if !ok {
			p.may &^= mayVolume
		}
	}
	if p.may&mayLast != 0 && (!k.HasLast || at >= t.lastAt) {
		k.Last, k.LastSize, k.LastVenue, k.HasLast = price, size, e.Venue, true
		t.lastAt, t.hasLast = at, t.hasLast || today
		changed = true
	}
	if p.may&mayLast != 0 && !today && (!k.HasPrevClose || at >= t.prevAt) {
		k.PrevClose, k.HasPrevClose, t.prevAt = price, true, at
		changed = true
	}
	if p.may != 0 && (today || changed) {
		k.Time, k.Received = e.Time, e.Received
		changed = true
	}
	if e.Kind == market.KindValue && e.Value != market.ValueIndex || e.Has(market.FlagPrior) {
		if t.kept != nil {
			t.kept.last = *later(&t.kept.last, &keptPrint{at: at, price: price, size: size, venue: e.Venue, may: p.may}, mayLast)
		}
		return changed, ok // not what the intervals' trading came to
	}
	all, fits := s.addBars(in, &p)
	if !all {
		b.stats.LateBars++
	}
	if t.kept != nil {
		t.kept.add(&p, printID(e.Venue, &e.ID))
	}
	return changed, ok && fits
}

// tapeOf returns the instrument's tape, making it if it is the first print.
func (s *Shard) tapeOf(in *instrument) *tape {
	if in.tape == nil {
		in.tape = &tape{calendar: in.calendar}
	}
	return in.tape
}

// may returns what the print may update, where it may.
func (in *instrument) may(e *market.Event, price market.Price) may {
	el := e.Updates()
	var m may
	if el.Last || el.LastIfFirst && !in.tape.hasLast {
		m |= mayLast
	}
	if el.HighLow {
		m |= mayRange
	}
	if el.Bar {
		m |= mayBar
		if el.Extended {
			m |= mayExt
		}
	}
	if el.Volume {
		m |= mayCount
		if price >= 0 { // sums are of products that are not negative
			m |= mayVolume
		}
	}
	return m
}

// addTicker counts a print of the day in the ticker, but for its last price;
// false if its sums cannot hold it.
func (in *instrument) addTicker(p *tally) bool {
	t, k := in.tape, &in.upd.Ticker
	if p.may&mayRange != 0 {
		if !k.HasRange {
			k.High, k.Low, k.HasRange = p.price, p.price, true
		}
		k.High, k.Low = max(k.High, p.price), min(k.Low, p.price)
		if p.may&mayLast != 0 && (!k.HasOpen || p.at < t.openAt) {
			k.Open, t.openAt, k.HasOpen = p.price, p.at, true
		}
	}
	if p.may&mayExt != 0 && (!k.HasExt || p.at >= t.extAt) {
		k.ExtLast, k.ExtTime, k.HasExt, t.extAt = p.price, p.at, true, p.at
	}
	if p.may&mayCount != 0 {
		k.Trades++
	}
	if p.may&mayVolume == 0 {
		return p.may&mayCount == 0
	}
	n, ok := k.Notional.Add(p.product)
	if v := k.Volume + p.size; ok && v >= k.Volume {
		k.Volume, k.Notional = v, n
		return true
	}
	return false
}

// newDay begins the trading day that holds the time, ns since the epoch, by the
// calendar of the instrument's class.
func (in *instrument) newDay(at int64) {
	t, k := in.tape, &in.upd.Ticker
	t.day = t.dayOf(at)
	t.hasLast, t.prevAt = false, t.lastAt
	if t.kept != nil {
		t.kept.newDay()
	}
	*k = Ticker{
		Last: k.Last, LastSize: k.LastSize, LastVenue: k.LastVenue, HasLast: k.HasLast,
		PrevClose: k.Last, HasPrevClose: k.HasLast, Time: k.Time, Received: k.Received,
		Day: t.day.start,
	}
}

func (t *Ticker) fits(from, to market.Scale) bool {
	for _, p := range [6]market.Price{t.Last, t.Open, t.High, t.Low, t.PrevClose, t.ExtLast} {
		if !(Level{p, 0}).fits(from, to) {
			return false
		}
	}
	return fitsProduct(t.Notional, from, to) && Level{0, t.LastSize}.fits(from, to) && Level{0, t.Volume}.fits(from, to)
}

func (t *Ticker) rescale(from, to market.Scale) {
	for _, p := range [6]*market.Price{&t.Last, &t.Open, &t.High, &t.Low, &t.PrevClose, &t.ExtLast} {
		rescalePrice(p, from, to)
	}
	rescaleSize(&t.LastSize, from, to)
	rescaleSize(&t.Volume, from, to)
	rescaleProduct(&t.Notional, from, to)
}
