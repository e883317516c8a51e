package bus

import (
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// An instrument's state holds the latest bar of each interval. Who missed updates may
// have missed changes of others: of one that is over by now, or that was corrected. So
// a publisher keeps the bars that changed last and adds them to a snapshot, and a
// subscriber that has all but a part hands on what of them is news before it.

// recentKept is how many bars of an interval are kept: more than can change in the
// three heartbeats after which a gap is shown as one, at the longest lateness.
var recentKept = [orderbook.NumIntervals]int{
	orderbook.Second: 24, orderbook.Minute: 4, orderbook.FiveMinutes: 3, orderbook.Hour: 3, orderbook.Day: 2}

// recentBars are the bars of one interval that changed last.
type recentBars struct {
	bars  []orderbook.Bar // in the order of their changes
	after uint64          // all whose Seq is larger are there
}

// recent are an instrument's, by interval.
type recent [orderbook.NumIntervals]recentBars

// note keeps the bars of an update that was applied to a state at a scale.
func (r *recent) note(u *orderbook.Update, scale market.Scale) {
	image := u.Changed&orderbook.ChangedSnapshot != 0
	if image || u.Seq == 1 {
		*r = recent{}
	}
	if scale != u.Scale {
		r.rescale(scale, u.Scale)
	}
	for i := range u.Bars {
		b := &u.Bars[i]
		if k := &r[b.Interval]; image {
			k.after = b.Seq // of bars in an image nobody can say which changed last
		} else {
			k.note(b)
		}
	}
}

func (k *recentBars) note(b *orderbook.Bar) {
	n := len(k.bars)
	for i := n - 1; i >= 0; i-- {
		if k.bars[i].Start == b.Start {
			copy(k.bars[i:], k.bars[i+1:])
			k.bars[n-1] = *b
			return
		}
	}
	if n == recentKept[b.Interval] {
		k.after = k.bars[0].Seq
		copy(k.bars, k.bars[1:])
		k.bars[n-1] = *b
		return
	}
	k.bars = append(k.bars, *b)
}

// rescale converts the bars to another scale. Of an interval of which one does not
// fit none is kept.
func (r *recent) rescale(from, to market.Scale) {
	for i := range r {
		k := &r[i]
		if from.Finer(to) != to || slices.ContainsFunc(k.bars, func(b orderbook.Bar) bool { return !b.Fits(from, to) }) {
			if n := len(k.bars); n > 0 {
				k.after = k.bars[n-1].Seq
			}
			k.bars = k.bars[:0]
		}
		for j := range k.bars {
			k.bars[j].Rescale(from, to)
		}
	}
}

// append appends the bars to an update's encoding.
func (r *recent) append(b []byte) []byte {
	for i := range r {
		k := &r[i]
		if len(k.bars) == 0 {
			continue
		}
		var at int
		b, at = open(b, fieldRecentBars)
		b = appendUint(b, 1, uint64(i))
		b = appendUint(b, 2, k.after)
		for j := range k.bars {
			b = appendBar(b, 3, &k.bars[j])
		}
		b = closeField(b, at)
	}
	return b
}

// decode takes the bars of one interval. Of an interval unknown here it takes none.
func (r *recent) decode(b []byte) error {
	var interval uint8
	var k recentBars
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			interval = f.enum()
		case 2:
			k.after = f.uint()
		case 3:
			data := f.bytes()
			if interval >= orderbook.NumIntervals {
				continue
			}
			var w orderbook.Bar
			f.sub(decodeBar(data, &w))
			if n := len(k.bars); n > 0 && w.Seq <= k.bars[n-1].Seq {
				f.fail("recent bars: not in the order of their changes")
			}
			k.bars = append(k.bars, w)
		default:
			f.skip()
		}
	}
	if f.err != nil || interval >= orderbook.NumIntervals {
		return f.err
	}
	for i := range k.bars {
		if k.bars[i].Interval != orderbook.Interval(interval) {
			return malformed("recent bars: of another interval")
		}
	}
	r[interval] = k
	return nil
}

// since appends the bars of an interval that changed after a Seq, false if some of
// them are not there.
func (k *recentBars) since(dst []orderbook.Bar, seq uint64) ([]orderbook.Bar, bool) {
	if len(k.bars) == 0 || seq < k.after {
		return dst, false
	}
	for i := range k.bars {
		if k.bars[i].Seq > seq {
			dst = append(dst, k.bars[i])
		}
	}
	return dst, true
}

// fill hands on which bars changed between where the replica is and a snapshot of
// the same epoch, as far as the node still has all of an interval, as an update of
// its own before the snapshot. If there is no room for one, because the snapshot is
// the very next, and if the one print that may be new is there, then nothing is
// missing, and fill makes the snapshot an update that follows.
func (s *Subscriber) fill(r *replica, u *orderbook.Update) {
	if r.epoch != u.Epoch || r.scale != u.Scale {
		return
	}
	p := &s.filler
	*p = orderbook.Update{Epoch: u.Epoch, Seq: r.seq + 1, TradeSeq: r.tradeSeq, Changed: orderbook.ChangedBars, Scale: u.Scale,
		Time: u.Time, Received: u.Received, Watermark: u.Watermark, Quote: u.Quote, Ticker: u.Ticker, Status: u.Status, Bars: p.Bars[:0]}
	all := true
	for i := range u.Bars {
		b := &u.Bars[i]
		if b.Seq <= r.bars[b.Interval] {
			continue
		}
		var ok bool
		p.Bars, ok = s.dec.recent[b.Interval].since(p.Bars, r.bars[b.Interval])
		all = all && ok
	}
	switch {
	case u.Seq > p.Seq:
		if len(p.Bars) > 0 {
			s.hand(r, p)
		}
	case all && u.TradeSeq <= r.tradeSeq+1:
		u.Changed &^= orderbook.ChangedSnapshot | orderbook.ChangedScale | orderbook.ChangedBars | orderbook.ChangedTrades
		if u.Bars = append(u.Bars[:0], p.Bars...); len(u.Bars) > 0 {
			u.Changed |= orderbook.ChangedBars
		}
		if u.TradeSeq == r.tradeSeq {
			u.Trades = u.Trades[:0]
		} else {
			u.Changed |= orderbook.ChangedTrades
		}
	}
}
