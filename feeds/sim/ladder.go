package sim

import "sort"

// level is one price of a book: price in units of 10^-price decimals, size in
// units of 10^-size decimals, size always positive.
type level struct{ price, size int64 }

// ladder is one side of a book, its best price last, because most changes are
// near the best.
type ladder struct {
	bid bool
	lv  []level
}

// better says whether price a comes before b on this side.
func (l *ladder) better(a, b int64) bool {
	if l.bid {
		return a > b
	}
	return a < b
}

func (l *ladder) find(price int64) (int, bool) {
	i := sort.Search(len(l.lv), func(i int) bool { return !l.better(price, l.lv[i].price) })
	return i, i < len(l.lv) && l.lv[i].price == price
}

// set puts the absolute size at a price; 0 removes the price.
func (l *ladder) set(price, size int64) {
	i, found := l.find(price)
	switch {
	case found && size == 0:
		l.lv = append(l.lv[:i], l.lv[i+1:]...)
	case found:
		l.lv[i].size = size
	case size > 0:
		l.lv = append(l.lv, level{})
		copy(l.lv[i+1:], l.lv[i:])
		l.lv[i] = level{price, size}
	}
}

func (l *ladder) size(price int64) int64 {
	if i, found := l.find(price); found {
		return l.lv[i].size
	}
	return 0
}

// best is the best level; the ladder must not be empty.
func (l *ladder) best() level { return l.lv[len(l.lv)-1] }

// at is the i-th level, counted from the best.
func (l *ladder) at(i int) level { return l.lv[len(l.lv)-1-i] }
