package orderbook

import (
	"math/bits"
	"time"

	"github.com/quotewire/quotewire/market"
)

// Interval is the length of a bar.
type Interval uint8

// The intervals. A bar of a day is the instrument's trading day, up to the end of
// its last session; the others divide the day from its start on, so that none
// lies in two days.
const (
	Second Interval = iota
	Minute
	FiveMinutes
	Hour
	Day
	NumIntervals = 5
)

var intervals = [NumIntervals]struct {
	name   string
	length int64
}{
	{"1s", int64(time.Second)}, {"1m", int64(time.Minute)}, {"5m", int64(5 * time.Minute)},
	{"1h", int64(time.Hour)}, {"1d", int64(24 * time.Hour)},
}

// String returns the interval as the client protocol writes it: "1s" to "1d".
func (i Interval) String() string {
	if int(i) < NumIntervals {
		return intervals[i].name
	}
	return "unknown"
}

// Length returns the interval's length; of [Day] the usual one, for days differ.
func (i Interval) Length() time.Duration { return time.Duration(intervals[i].length) }

// ParseInterval returns the interval with the name, false if there is none.
func ParseInterval(name string) (Interval, bool) {
	for i := range intervals {
		if intervals[i].name == name {
			return Interval(i), true
		}
	}
	return 0, false
}

// BarState is where a bar is in its life: it only goes forward.
type BarState uint8

// The states of a bar.
const (
	BarProvisional BarState = iota // its time runs, or prints of it may be on their way
	BarFinal                       // the watermark passed its end
	BarRevised                     // a late print, a correction or a cancel changed it after that
)

// String returns the state's lower-case name.
func (s BarState) String() string {
	switch s {
	case BarProvisional:
		return "provisional"
	case BarFinal:
		return "final"
	case BarRevised:
		return "revised"
	}
	return "unknown"
}

// Bar is an instrument's prints of one interval. Which prints count in which
// field, their conditions decide, the strictest of several: see
// [market.Eligibility]. The prices of a day are the official ones, of the regular
// session; those of shorter bars are of extended hours too. Its numbers are at
// the Scale of what holds it.
//
// Open is the first eligible print by time, Close the last; of two at one time
// the one that came first is the first. So a bar does not depend on the order in
// which prints came, but for equal times.
//
// An interval without a print has no Bar here. It is known to be empty once the
// watermark has passed its end, see [Bar.Next].
type Bar struct {
	Interval Interval
	HasOpen  bool   // Open and Close are valid: a print was eligible for them
	HasRange bool   // High and Low are valid
	Rev      uint32 // how often it changed after it was final
	Seq      uint64 // changes of this instrument's bars of the interval in this epoch, this one included
	Start    int64  // ns since the Unix epoch
	End      int64  // exclusive
	DayEnd   int64  // end of the last session of the trading day that it is part of
	Open, High, Low,
	Close market.Price
	Volume   market.Size
	Notional Uint128 // sum of price × size mantissas; VWAP = Notional / Volume
	Trades   uint64
}

// State returns where the bar is in its life when the watermark stands at the
// given time.
func (b *Bar) State(watermark int64) BarState {
	switch {
	case b.Rev > 0:
		return BarRevised
	case b.End <= watermark:
		return BarFinal
	}
	return BarProvisional
}

// Next returns the bar of the interval that follows, without prints; false after
// the trading day's last.
func (b *Bar) Next() (Bar, bool) {
	if b.End >= b.DayEnd || b.Interval >= Day {
		return Bar{}, false
	}
	return Bar{Interval: b.Interval, Seq: b.Seq, Start: b.End,
		End: min(b.End+intervals[b.Interval].length, b.DayEnd), DayEnd: b.DayEnd}, true
}

// VWAP returns the volume-weighted average price and its decimals, as
// [Ticker.VWAP] does; false if there is no volume.
func (b *Bar) VWAP(scale market.Scale) (market.Price, market.Decimals, bool) {
	return vwap(b.Notional, b.Volume, scale)
}

// Fits reports whether its numbers can be converted to a finer scale.
func (b *Bar) Fits(from, to market.Scale) bool {
	for _, p := range [4]market.Price{b.Open, b.High, b.Low, b.Close} {
		if !(Level{p, 0}).fits(from, to) {
			return false
		}
	}
	return fitsProduct(b.Notional, from, to) && Level{0, b.Volume}.fits(from, to)
}

// Rescale converts its numbers to a finer scale that they fit.
func (b *Bar) Rescale(from, to market.Scale) {
	for _, p := range [4]*market.Price{&b.Open, &b.High, &b.Low, &b.Close} {
		rescalePrice(p, from, to)
	}
	rescaleSize(&b.Volume, from, to)
	rescaleProduct(&b.Notional, from, to)
}

func fitsProduct(n Uint128, from, to market.Scale) bool {
	n, ok := n.MulPow10(to.Price - from.Price)
	if ok {
		_, ok = n.MulPow10(to.Size - from.Size)
	}
	return ok
}

func rescaleProduct(n *Uint128, from, to market.Scale) {
	*n, _ = n.MulPow10(to.Price - from.Price)
	*n, _ = n.MulPow10(to.Size - from.Size)
}

// may is what a print may update.
type may uint8

const (
	mayLast   may = 1 << iota // last, and with mayRange the day's open and close
	mayRange                  // the day's high and low
	mayBar                    // the prices of shorter bars
	mayExt                    // last price of extended hours
	mayCount                  // number of trades
	mayVolume                 // volume and notional
)

// tally is one print as the ticker and the bars take it.
type tally struct {
	at      int64 // the time that it is sorted by, ns since the Unix epoch
	price   market.Price
	size    market.Size
	venue   market.VenueID
	may     may
	product Uint128 // price × size, if it may update the volume
}

// multiply sets the product.
func (p *tally) multiply() {
	if p.may&mayVolume != 0 {
		p.product.Hi, p.product.Lo = bits.Mul64(uint64(p.price), uint64(p.size))
	}
}

// barState is a bar as its shard keeps it.
type barState struct {
	Bar
	until           int64  // prints before it belong to the bar
	openAt, closeAt int64  // times of the prints that are open and close
	told            uint64 // the update that lists it, at slot
	revised         uint64 // the update that its last revision is of
	slot            int
}

// holds reports whether a print of the time belongs to the bar.
func (b *barState) holds(at int64) bool { return at >= b.Start && at < b.until }

// add counts a print in; false, and then its volume does not, if the sums cannot
// hold it.
func (b *barState) add(p *tally) bool {
	ranges, lasts := p.may&mayBar != 0, p.may&mayBar != 0
	if b.Interval == Day {
		ranges, lasts = p.may&mayRange != 0, p.may&(mayLast|mayRange) == mayLast|mayRange
	}
	if ranges {
		if !b.HasRange {
			b.High, b.Low, b.HasRange = p.price, p.price, true
		}
		b.High, b.Low = max(b.High, p.price), min(b.Low, p.price)
		if lasts {
			if !b.HasOpen {
				b.HasOpen = true
				b.Open, b.openAt, b.Close, b.closeAt = p.price, p.at, p.price, p.at
			}
			if p.at < b.openAt {
				b.Open, b.openAt = p.price, p.at
			}
			if p.at >= b.closeAt {
				b.Close, b.closeAt = p.price, p.at
			}
		}
	}
	if p.may&mayCount != 0 {
		b.Trades++
	}
	if p.may&mayVolume != 0 {
		v := b.Volume + p.size
		n, ok := b.Notional.Add(p.product)
		if !ok || v < b.Volume {
			return false
		}
		b.Volume, b.Notional = v, n
	}
	return true
}

// subtract takes a print's size out of the sums, as far as they hold it.
func (b *barState) subtract(p *tally) bool {
	n, ok := b.Notional.Sub(p.product)
	if !ok || p.size > b.Volume || b.Trades == 0 {
		return false
	}
	b.Notional, b.Volume = n, b.Volume-p.size
	b.Trades--
	return true
}
