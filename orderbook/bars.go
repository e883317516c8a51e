package orderbook

import (
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
)

// Of each interval the newest bars are kept, for prints that come late and for
// corrections. A print for one that is not is counted ([BookStats.LateBars]) and
// changes those that are.
var barsKept = [NumIntervals]int{Second: 30, Minute: 30, FiveMinutes: 12, Hour: 12, Day: 2}

// barSlack is by how many bars a series grows beyond what counts as kept before
// they are thrown away together.
const barSlack = 8

// touches is what a print must be allowed to update to touch a bar at all.
var touches = [NumIntervals]may{
	Second: mayBar | mayCount, Minute: mayBar | mayCount, FiveMinutes: mayBar | mayCount, Hour: mayBar | mayCount,
	Day: mayRange | mayCount,
}

// barSeries is an instrument's bars of one interval that hold prints, by start.
type barSeries struct {
	bars []barState
	seq  uint64 // changes told
}

// tape is what an instrument's prints have come to, beside its ticker. An
// instrument has one from its first print on.
type tape struct {
	calendar *calendar.Calendar
	day      tradingDay // of the latest print; the zero one before any

	series [NumIntervals]barSeries

	since   int64 // time of the first print
	lastAt  int64 // time of the print that is the ticker's Last
	openAt  int64 // of the one that is its Open
	prevAt  int64 // of the one that is PrevClose
	extAt   int64 // of the one that is ExtLast
	hasLast bool  // a print of this day has set the last price

	kept       *keptPrints // of instruments whose prints may be corrected, else nil
	aggregates []aggregate // of providers, that wait for ours to be final
}

// tradingDay is an instrument's trading day. Trading is over at close; what comes
// until the next day begins, at end, belongs to it too.
type tradingDay struct{ start, close, end int64 }

// holds reports whether the time is within the day.
func (d *tradingDay) holds(at int64) bool { return at >= d.start && at < d.end }

// dayOf returns the trading day that holds the time.
func (t *tape) dayOf(at int64) tradingDay {
	if t.day.holds(at) {
		return t.day
	}
	s := t.calendar.Session(at)
	return tradingDay{s.DayStart, s.DayClose, s.DayEnd}
}

// newBar returns the bar that holds the time, still empty.
func (t *tape) newBar(i Interval, at int64) barState {
	day := t.dayOf(at)
	b := barState{Bar: Bar{Interval: i, Start: day.start, End: day.close, DayEnd: day.close}, until: day.end}
	if i != Day {
		length := intervals[i].length
		b.Start = at - (at-day.start)%length
		b.End = min(b.Start+length, day.end)
		if b.Start < day.close {
			b.End = min(b.End, day.close)
		}
		b.until = b.End
	}
	return b
}

// find returns the bar that holds the time, nil if there is none; false if it is
// older than what is kept.
func (in *instrument) find(i Interval, at int64) (b *barState, kept bool) {
	r := in.tape.series[i].bars
	n := len(r)
	for n > 0 && r[n-1].Start > at {
		n--
	}
	if n > 0 && r[n-1].holds(at) {
		n--
		b = &r[n]
	}
	// The bars that are newer: with as many as are kept, it is not.
	newer := len(r) - n
	if b != nil {
		newer--
	}
	if newer >= barsKept[i] {
		return nil, false
	}
	return b, true
}

// bar returns the bar that holds the time, making it if it is new, nil if it is
// older than what is kept.
func (in *instrument) bar(i Interval, at int64) *barState {
	r := &in.tape.series[i]
	b, kept := in.find(i, at)
	if b != nil || !kept {
		return b
	}
	if n := len(r.bars); n >= barsKept[i]+barSlack {
		r.bars = slices.Delete(r.bars, 0, n-barsKept[i]+1)
	}
	n := len(r.bars)
	for n > 0 && r.bars[n-1].Start > at {
		n--
	}
	r.bars = slices.Insert(r.bars, n, in.tape.newBar(i, at))
	return &r.bars[n]
}

// tellBar notes in the update that a bar changed. One that was final becomes
// revised, once an update.
func (in *instrument) tellBar(b *barState, watermark int64) {
	in.listBar(b, watermark)
	in.upd.Bars[b.slot] = b.Bar
}

// listBar gives a bar that changed its place among the update's.
func (in *instrument) listBar(b *barState, watermark int64) {
	u := &in.upd
	if b.End <= watermark && b.revised != u.Seq+1 {
		b.Rev++
		b.revised = u.Seq + 1
	}
	if b.told == u.Seq+1 {
		return
	}
	r := &in.tape.series[b.Interval]
	r.seq++
	n := len(u.Bars)
	b.Seq, b.told, b.slot = r.seq, u.Seq+1, n
	if n < cap(u.Bars) {
		u.Bars = u.Bars[:n+1]
		return
	}
	u.Bars = append(u.Bars, Bar{})
}

// addBars counts a print in the bars. all is false if one that holds its time is
// no longer kept, ok if the sums of one cannot hold it.
func (s *Shard) addBars(in *instrument, p *tally) (all, ok bool) {
	all, ok = true, true
	var changed [NumIntervals]*barState
	for i := range Interval(NumIntervals) {
		if p.may&touches[i] == 0 {
			continue
		}
		var b *barState
		if r := in.tape.series[i].bars; len(r) > 0 && r[len(r)-1].holds(p.at) {
			b = &r[len(r)-1] // nearly always
		} else if b = in.bar(i, p.at); b == nil {
			all = false
			continue
		}
		if p.may&mayCount != 0 {
			ok = b.add(p) && ok
		} else {
			was := b.Bar // the level of an index, or a close without a trade: it may be no news
			if b.add(p); b.Bar == was {
				continue
			}
		}
		in.listBar(b, s.watermark)
		changed[i] = b
	}
	// All are copied when all have changed: a processor that copies what it has just
	// written in other pieces waits for it.
	for _, b := range changed {
		if b != nil {
			in.upd.Bars[b.slot] = b.Bar
		}
	}
	return all, ok
}

func (t *tape) fits(from, to market.Scale) bool {
	for i := range t.series {
		for j := range t.series[i].bars {
			if !t.series[i].bars[j].Fits(from, to) {
				return false
			}
		}
	}
	return t.kept == nil || t.kept.fits(from, to)
}

func (t *tape) rescale(from, to market.Scale) {
	for i := range t.series {
		for j := range t.series[i].bars {
			t.series[i].bars[j].Rescale(from, to)
		}
	}
	if t.kept != nil {
		t.kept.rescale(from, to)
	}
}
