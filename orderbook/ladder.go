package orderbook

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// Ladder is one side of a book: its levels sorted by price with the best last,
// so that the levels that change most are the cheapest to reach. The zero value
// of everything but the side is an empty ladder.
type Ladder struct {
	side   market.Side
	levels []Level // worst first, best last
	// texts tells with how many decimals each of levels was written, where a
	// checksum is over that; else nil.
	texts []market.Scale
	// queues holds the orders of each of levels, where the venue shows them; else
	// it is empty.
	queues []queue
}

// NewLadder returns an empty ladder of bids or asks.
func NewLadder(side market.Side) Ladder { return Ladder{side: side} }

// Len returns the number of levels.
func (l *Ladder) Len() int { return len(l.levels) }

// Best returns the best level, false if there is none.
func (l *Ladder) Best() (Level, bool) {
	if len(l.levels) == 0 {
		return Level{}, false
	}
	return l.levels[len(l.levels)-1], true
}

// At returns the i-th level counted from the best, 0 being the best.
func (l *Ladder) At(i int) Level { return l.levels[len(l.levels)-1-i] }

// AppendTop appends the best n levels, best first; all of them for n = 0.
func (l *Ladder) AppendTop(dst []Level, n int) []Level {
	if n <= 0 || n > len(l.levels) {
		n = len(l.levels)
	}
	for i := len(l.levels) - 1; i >= len(l.levels)-n; i-- {
		dst = append(dst, l.levels[i])
	}
	return dst
}

// better reports whether price a is strictly better than b on this side.
func (l *Ladder) better(a, b market.Price) bool {
	if l.side == market.SideBid {
		return a > b
	}
	return a < b
}

// nearTop is how many levels from the best are tried one by one before the rest
// is searched by halving: most changes are there, and a short scan over adjacent
// memory is quicker than a binary search's jumps.
const nearTop = 12

// find returns the index in levels where the price is, or belongs, and whether
// it is there. Each side has its own loop, so that a step is one comparison.
func (l *Ladder) find(p market.Price) (int, bool) {
	lv := l.levels
	i := len(lv) - 1
	stop := max(i-nearTop, -1)
	if l.side == market.SideBid {
		for i > stop && lv[i].Price > p {
			i--
		}
	} else {
		for i > stop && lv[i].Price < p {
			i--
		}
	}
	if i > stop || i < 0 {
		if i >= 0 && lv[i].Price == p {
			return i, true
		}
		return i + 1, false
	}
	lo, hi := 0, i+1
	if l.side == market.SideBid {
		for lo < hi {
			mid := int(uint(lo+hi) >> 1)
			if lv[mid].Price < p {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
	} else {
		for lo < hi {
			mid := int(uint(lo+hi) >> 1)
			if lv[mid].Price > p {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
	}
	return lo, lo < len(lv) && lv[lo].Price == p
}

// Set gives the level at price the size, adding it if it is new; size 0 removes
// it. It reports whether anything changed: removing a level that is not there is
// normal on some venues.
func (l *Ladder) Set(p market.Price, s market.Size) bool {
	i, ok := l.find(p)
	switch {
	case ok && s == 0:
		l.levels = append(l.levels[:i], l.levels[i+1:]...)
	case ok:
		if l.levels[i].Size == s {
			return false
		}
		l.levels[i].Size = s
	case s == 0:
		return false
	default:
		l.levels = slices.Insert(l.levels, i, Level{p, s})
	}
	return true
}

// keepTexts makes an empty ladder remember how its levels are written, or not.
func (l *Ladder) keepTexts(keep bool) {
	switch {
	case !keep:
		l.texts = nil
	case l.texts == nil:
		l.texts = make([]market.Scale, 0, 64)
	}
}

// setText is Set for a ladder that remembers how its levels are written.
func (l *Ladder) setText(p market.Price, s market.Size, text market.Scale) bool {
	i, had := l.find(p)
	switch {
	case had && s == 0:
		l.texts = append(l.texts[:i], l.texts[i+1:]...)
	case had:
		l.texts[i] = text
	case s != 0:
		l.texts = slices.Insert(l.texts, i, text)
	}
	return l.Set(p, s)
}

// Truncate keeps the best n levels and hands each one that goes to drop, worst
// first.
func (l *Ladder) Truncate(n int, drop func(Level)) {
	over := len(l.levels) - n
	if over <= 0 {
		return
	}
	for _, lv := range l.levels[:over] {
		drop(lv)
	}
	l.levels = append(l.levels[:0], l.levels[over:]...)
	if l.texts != nil {
		l.texts = append(l.texts[:0], l.texts[over:]...)
	}
	if len(l.queues) > 0 {
		l.queues = append(l.queues[:0], l.queues[over:]...)
	}
}

// Clear removes all levels and keeps the memory, unless it is much.
func (l *Ladder) Clear() {
	if cap(l.levels) > 1<<16 {
		l.levels, l.queues = nil, nil
	}
	l.levels, l.queues = l.levels[:0], l.queues[:0]
	if l.texts != nil {
		l.texts = l.texts[:0]
	}
}

// push adds a level without looking for its place; sort must follow.
func (l *Ladder) push(p market.Price, s market.Size) {
	l.levels = append(l.levels, Level{p, s})
}

// sort puts pushed levels in order; of several with one price the last wins, and
// size 0 means none. Sorting once is far cheaper than finding the place of each
// of a snapshot's tens of thousands of levels in the venue's order.
func (l *Ladder) sort() {
	if l.sorted() {
		return
	}
	slices.SortStableFunc(l.levels, func(a, b Level) int {
		switch {
		case a.Price == b.Price:
			return 0
		case l.better(b.Price, a.Price):
			return -1
		}
		return 1
	})
	out := l.levels[:0]
	for i, lv := range l.levels {
		if i+1 < len(l.levels) && l.levels[i+1].Price == lv.Price {
			continue
		}
		if lv.Size != 0 {
			out = append(out, lv)
		}
	}
	l.levels = out
}

// sorted reports whether its levels are in order, each price once and with a
// size. An image that one of ours told is.
func (l *Ladder) sorted() bool {
	for i, lv := range l.levels {
		if lv.Size == 0 || i > 0 && !l.better(lv.Price, l.levels[i-1].Price) {
			return false
		}
	}
	return true
}

// diff hands to set the changes that make l equal to next, worst price first;
// size 0 removes a level.
func (l *Ladder) diff(next *Ladder, set func(Level)) {
	a, b := l.levels, next.levels
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && l.better(b[0].Price, a[0].Price):
			set(Level{a[0].Price, 0})
			a = a[1:]
		case len(a) == 0 || l.better(a[0].Price, b[0].Price):
			set(b[0])
			b = b[1:]
		default:
			if a[0].Size != b[0].Size {
				set(b[0])
			}
			a, b = a[1:], b[1:]
		}
	}
}

// fits reports whether all its numbers can be converted to a finer scale.
func (l *Ladder) fits(from, to market.Scale) bool {
	for _, lv := range l.levels {
		if !lv.fits(from, to) {
			return false
		}
	}
	return true
}

// rescale converts all its numbers to a finer scale that they fit.
func (l *Ladder) rescale(from, to market.Scale) {
	for i := range l.levels {
		l.levels[i].rescale(from, to)
	}
}
