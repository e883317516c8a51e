package normalizer

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// Some venues stream the changes of a book only; its image comes as the answer
// to a request beside the stream, and the venue's numbers tell where in the
// stream the image stands. A diffBook does the documented procedure for one
// book: it keeps the newest changes, finds the first one that the image lacks,
// and watches over the numbers from then on.

// diffRule is how a venue numbers the changes of its books.
type diffRule uint8

const (
	// diffContiguous: a diff begins with the number after the last one of the
	// diff before, or earlier. Diffs with last <= the image's number are in the image; the
	// next one must begin at that number + 1 or before. (Binance spot,
	// web-socket-streams.md, "How to manage a local order book correctly".)
	diffContiguous diffRule = iota
	// diffLinked: a diff names the last number of the diff before. Diffs with
	// last < the image's number are dropped; the next one must reach back to it.
	// (Binance USD-M, "How to manage a local order book correctly".) The rule's
	// words are first <= image <= last. A diff that begins later joins just as
	// well where the diff before it ended at the image or earlier: the numbers
	// are shared by all symbols, and between the two nothing was this one's.
	diffLinked
	// diffTimed: a diff has a time only. Diffs that are not later than the image
	// are in it. A lost diff does not show; one that is earlier than the one
	// before does. (Bitstamp, WebSocket API v2 and REST order_book.)
	//
	// A clock that is set forward keeps the order of all that it stamps, and so of
	// images and diffs. One that is set back does not: an image from before may
	// then seem to have diffs that it lacks, and one from after to lack diffs that
	// it has. The first shows where a diff is as late as no stream is (see lateness),
	// the second where an image is as old as none is (see age).
	diffTimed
)

// diff is one message of changes, by the venue's numbers.
type diff struct {
	first, last uint64
	prev        uint64 // diffLinked: last of the diff before
	time        int64  // event time, ns since the Unix epoch
	received    int64  // diffTimed: when it came, ns since the Unix epoch
}

// Bounds of diffTimed, ns. What exceeds them is taken for a clock that was set
// back; a step that is smaller cannot be told from what they allow for.
const (
	// maxLateness is by how much a stream may be later than an answer to a request.
	maxLateness = 10_000_000_000
	// maxAge is how old an image may be when it comes. Bitstamp's were said to be
	// up to ten seconds old (knowm/XChange#1199), and one may take a while.
	maxAge = 30_000_000_000
)

// lateness is by how much more than an image that came at received the diff d was
// delayed, if the image has it and both have the time of one clock, ns. Where the
// clock was set between the two, that is by how much.
func (d diff) lateness(image uint64, received int64) int64 {
	return d.received - received + int64(image-d.last)*1000
}

// age is how long ago an image was made that came at received and lacks the newest
// diff, if both have the time of one clock, ns: by more than since the diff came.
// Where the clock was set back between the two, that is by how much.
func (b *diffBook) age(image uint64, received int64) int64 {
	return received - b.newest.received + int64(b.newest.last-image)*1000
}

// follows reports whether nothing is missing between p and d.
func (r diffRule) follows(p, d diff) bool {
	switch r {
	case diffContiguous:
		// An overlap loses nothing: sizes are absolute.
		return d.first <= p.last+1 && d.last > p.last
	case diffLinked:
		return d.prev == p.last
	}
	return d.last >= p.last
}

// contained reports whether an image has d in it already.
func (r diffRule) contained(d diff, image uint64) bool {
	if r == diffLinked {
		return d.last < image
	}
	return d.last <= image
}

// joins reports whether d, which the image does not contain, is the first such.
// Of a diff that has only a time nobody can tell.
func (r diffRule) joins(d diff, image uint64) bool {
	switch r {
	case diffContiguous:
		return d.first <= image+1
	case diffLinked:
		return d.prev <= image
	}
	return false
}

// Bounds of the changes that are kept.
const (
	// While a book waits for its image: at ten messages a second, the first
	// bound is some 25 minutes of a busy book.
	maxWaitingDiffs  = 1 << 14
	maxWaitingLevels = 1 << 17
	// While it has one: enough for an image that was asked for anew to find the
	// changes that came while it was on its way.
	maxRecentDiffs  = 64
	maxRecentLevels = 2048
	// Of all books of a feed together; beyond it, none keeps more than recent
	// ones. 96 MiB.
	maxFeedLevels = 1 << 22
)

// keptOrder is what a keptLevel is about where changes are of single orders.
type keptOrder struct {
	id     market.OrderID
	action market.OrderAction
}

// keptLevel is a level of a diff that is kept.
type keptLevel struct {
	price market.Price
	size  market.Size
	pd    market.Decimals
	sd    market.Decimals
	side  market.Side
}

// keptDiff is a diff that is kept; its levels end before levels[end].
type keptDiff struct {
	diff
	end int
}

// diffBook is where one book stands.
type diffBook struct {
	heard  bool // there was a diff since the stream began, or began anew
	newest diff

	synced bool   // an image was taken and nothing is missing since
	proven bool   // the stream has been seen to join the image
	image  uint64 // number of the image
	taken  int64  // diffTimed: when the image came, ns since the Unix epoch
	clock  uint32 // diffTimed: and the decoder's clocks then

	// diffTimed: the number of a diff that came too late, while none has come
	// since that did not; 0 for none.
	back uint64

	// After a loss and while no diff has come since: an image must not be older
	// than this, which the book has been, or, of diffTimed, cannot be judged at
	// all.
	since  uint64
	unsure bool

	// The newest diffs, without a hole: diffs[head:], levels[base:].
	diffs      []keptDiff
	levels     []keptLevel
	orders     []keptOrder // with each of levels, where changes are of orders; else empty
	head, base int
}

// diffVerdict is what is to be done with a diff.
type diffVerdict uint8

const (
	diffApply  diffVerdict = iota // it changes the book
	diffWait                      // it is kept until the image comes
	diffIgnore                    // it is in the book already
	diffGap                       // messages before it are missing: the book is to be distrusted
)

// take says what is to be done with the next diff of the stream and keeps it.
// events are its levels.
func (b *diffBook) take(r diffRule, d diff, events []market.Event, held *int) diffVerdict {
	verdict := diffWait
	switch {
	case b.heard && !r.follows(b.newest, d):
		// The same once more is no loss. An older number at a newer time is:
		// the venue counts anew.
		if d.last <= b.newest.last && d.time <= b.newest.time && r != diffTimed {
			return diffIgnore
		}
		newest, back := b.newest, b.back
		b.begin(held)
		if r == diffTimed && (back == 0 || d.last <= back) {
			// The one that came too late is no beginning. Where the next one is
			// as old, and follows it, it was not late: the venue's clock was set
			// back, and what it shows now is the time.
			b.heard, b.newest, b.back = true, newest, d.last
			return diffGap
		}
		verdict = diffGap
	case !b.synced:
	case r.contained(d, b.image):
		verdict = diffIgnore
		if r == diffTimed && d.lateness(b.image, b.taken) > maxLateness {
			b.begin(held)
			verdict = diffGap
		}
	case !b.proven && r != diffTimed && !r.joins(d, b.image):
		b.begin(held)
		verdict = diffGap
	default:
		b.proven = true
		verdict = diffApply
	}
	if r == diffTimed && b.heard && d.time-b.newest.time > d.received-b.newest.received+maxLateness {
		// The clock was set forward. Where it had been set back before, an image of
		// before lies between this one and those that are kept, and lacks these.
		*held -= len(b.levels) - b.base
		b.head, b.base = len(b.diffs), len(b.levels)
	}
	b.heard, b.newest, b.back = true, d, 0
	b.keep(d, events, held)
	return verdict
}

// begin forgets the image and what was kept: the stream begins anew.
func (b *diffBook) begin(held *int) {
	*held -= len(b.levels) - b.base
	if b.heard {
		b.since = max(b.since, b.newest.last)
	}
	if b.synced {
		b.since = max(b.since, b.image)
	}
	b.heard, b.synced, b.proven, b.unsure, b.back = false, false, false, false, 0
	b.diffs, b.levels, b.orders, b.head, b.base = b.diffs[:0], b.levels[:0], b.orders[:0], 0, 0
	b.shrink()
}

func (b *diffBook) keep(d diff, events []market.Event, held *int) {
	before := len(b.levels) - b.base
	for i := range events {
		e := &events[i]
		b.levels = append(b.levels, keptLevel{e.Price, e.Size, e.PriceDecimals, e.SizeDecimals, e.Side})
		if e.Kind == market.KindOrder {
			b.orders = append(b.orders, keptOrder{e.Order(), e.Action})
		}
	}
	b.diffs = append(b.diffs, keptDiff{d, len(b.levels)})
	// From now on the diffs tell which image will do, also where the venue has
	// come to count anew.
	b.since, b.unsure = 0, false
	diffs, levels := maxWaitingDiffs, maxWaitingLevels
	if b.synced || *held > maxFeedLevels {
		diffs, levels = maxRecentDiffs, maxRecentLevels
	}
	for len(b.diffs)-b.head > diffs || len(b.levels)-b.base > levels {
		b.base = b.diffs[b.head].end
		b.head++
	}
	// Moved down once half is free, so that each is moved once on average.
	if b.head > len(b.diffs)/2 {
		b.diffs = append(b.diffs[:0], b.diffs[b.head:]...)
		b.levels = append(b.levels[:0], b.levels[b.base:]...)
		if len(b.orders) > 0 {
			b.orders = append(b.orders[:0], b.orders[b.base:]...)
		}
		for i := range b.diffs {
			b.diffs[i].end -= b.base
		}
		b.head, b.base = 0, 0
		b.shrink()
	}
	*held += len(b.levels) - b.base - before
}

// shrink gives the memory of a long wait back.
func (b *diffBook) shrink() {
	if cap(b.levels) > 16*maxRecentLevels && len(b.levels) <= maxRecentLevels {
		b.levels = append(make([]keptLevel, 0, 2*maxRecentLevels), b.levels...)
		b.orders = slices.Clone(b.orders)
		b.diffs = append(make([]keptDiff, 0, 2*maxRecentDiffs), b.diffs...)
	}
}

// takeImage takes an image with the given number, which came at received. It
// returns which of the kept diffs are to be applied to it, and false for an image
// that is of no use: it is older than the diffs that are kept, so that others are
// missing between them, or by another clock.
func (b *diffBook) takeImage(r diffRule, image uint64, received int64) (from, to int, ok bool) {
	if r == diffTimed {
		switch {
		case b.back != 0:
			// Whether it was the clock the next diff tells. If so, the image may be
			// from before, and lack the one that came too late.
			return 0, 0, false
		case b.heard && image < b.newest.last && b.age(image, received) > maxAge:
			// The newest diffs have been in it for long, or it is useless anyway.
			return 0, 0, false
		}
	}
	i := b.head
	for i < len(b.diffs) && r.contained(b.diffs[i].diff, image) {
		i++
	}
	known := len(b.diffs) > b.head
	switch {
	case known && i == b.head && !r.joins(b.diffs[i].diff, image):
		return 0, 0, false
	case !known && (b.unsure || image < b.since):
		return 0, 0, false
	case r == diffTimed && i > b.head && b.diffs[i-1].lateness(image, received) > maxLateness:
		// It may lack what it seems to have. If the clock was set forward instead,
		// the next diff tells.
		return 0, 0, false
	}
	b.synced, b.image, b.taken = true, image, received
	// That the diffs follow one another proves that those after the image join
	// it, be they kept or still to come.
	b.proven = known
	return i, len(b.diffs), true
}

// levelsOf returns the levels of a kept diff, and the orders where it is of those.
func (b *diffBook) levelsOf(i int) ([]keptLevel, []keptOrder) {
	from := b.base
	if i > b.head {
		from = b.diffs[i-1].end
	}
	if len(b.orders) == 0 {
		return b.levels[from:b.diffs[i].end], nil
	}
	return b.levels[from:b.diffs[i].end], b.orders[from:b.diffs[i].end]
}
