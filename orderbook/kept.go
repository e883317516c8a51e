package orderbook

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// keptPrint is a print as it is kept in case that it is corrected, 40 bytes.
type keptPrint struct {
	id    uint64 // of venue and identifier, see printID; 0 none
	at    int64
	price market.Price
	size  market.Size
	venue market.VenueID
	may   may
	gone  bool // it was taken back
}

func (k *keptPrint) tally() tally {
	p := tally{at: k.at, price: k.price, size: k.size, venue: k.venue, may: k.may}
	p.multiply()
	return p
}

// printID returns a number that stands for a venue's identifier of a print, 0 for
// none. Two of one instrument that get the same number by chance would have to be
// told apart by price and size.
func printID(venue market.VenueID, id *market.TradeID) uint64 {
	if id.IsZero() {
		return 0
	}
	return max(id.Hash(uint64(venue)), 1)
}

// chunkPrints is how many prints are kept, and thrown away, together.
const chunkPrints = 64

type printChunk struct {
	owner  *keptPrints
	n      int
	prints [chunkPrints]keptPrint
}

// printPool bounds what a shard's instruments keep: when it is full the oldest
// chunk of all, whosever it is, is used again.
type printPool struct {
	queue []*printChunk // by age, a ring once it is full
	limit int
	next  int
}

// take returns an empty chunk.
func (p *printPool) take(owner *keptPrints) *printChunk {
	if len(p.queue) < p.limit {
		c := &printChunk{owner: owner}
		p.queue = append(p.queue, c)
		return c
	}
	c := p.queue[p.next]
	p.next = (p.next + 1) % len(p.queue)
	c.owner.evict(c)
	c.owner, c.n = owner, 0
	return c
}

// keptPrints are an instrument's prints in the order in which they came.
type keptPrints struct {
	pool   *printPool
	in     *instrument
	chunks []*printChunk
	first  int // of chunks: those before it are gone

	// What is no longer kept. Prints with a time after lost are all kept. day is
	// what those of the trading day that are not came to, and last the latest of
	// all that may set the ticker's last price.
	lost int64
	day  barState
	last keptPrint
	ext  keptPrint // the same of the trading day's extended hours

	recent  [16]uint64 // corrections that were taken lately
	recentN int
}

// keep begins to keep the instrument's prints.
func (in *instrument) keep(pool *printPool, lost int64) {
	t := &in.upd.Ticker
	k := &keptPrints{pool: pool, in: in, lost: lost}
	k.newDay()
	if b := in.today(); b != nil {
		k.day = *b
	}
	if t.HasLast {
		k.last = keptPrint{at: in.tape.lastAt, price: t.Last, size: t.LastSize, venue: t.LastVenue, may: mayLast}
	}
	if t.HasExt {
		k.ext = keptPrint{at: in.tape.extAt, price: t.ExtLast, may: mayExt}
	}
	in.tape.kept = k
}

// today returns the bar of the running trading day, nil if it has none.
func (in *instrument) today() *barState {
	if r := in.tape.series[Day].bars; len(r) > 0 && r[len(r)-1].Start == in.tape.day.start {
		return &r[len(r)-1]
	}
	return nil
}

func (k *keptPrints) add(p *tally, id uint64) {
	var c *printChunk
	if n := len(k.chunks); n > k.first {
		c = k.chunks[n-1]
	}
	if c == nil || c.n == chunkPrints {
		c = k.pool.take(k)
		k.chunks = append(k.chunks, c)
	}
	c.prints[c.n] = keptPrint{id: id, at: p.at, price: p.price, size: p.size, venue: p.venue, may: p.may}
	c.n++
}

// evict takes a chunk, the oldest, out of what is kept and remembers what its
// prints came to.
func (k *keptPrints) evict(c *printChunk) {
	lost, last, ext, day := k.lost, &k.last, &k.ext, k.in.tape.day
	for i := range c.prints[:c.n] {
		p := &c.prints[i]
		if p.gone {
			continue
		}
		lost = max(lost, p.at)
		last = later(last, p, mayLast)
		if day.holds(p.at) {
			t := p.tally()
			k.day.add(&t)
			ext = later(ext, p, mayExt)
		}
	}
	k.lost, k.last, k.ext = lost, *last, *ext
	k.chunks[k.first] = nil
	k.first++
	if k.first > 32 && k.first > len(k.chunks)/2 {
		k.chunks = slices.Delete(k.chunks, 0, k.first)
		k.first = 0
	}
}

// later returns which of two prints set a last price, the latter being the one
// that came later.
func later(was, p *keptPrint, what may) *keptPrint {
	if p.may&what != 0 && (was.may == 0 || p.at >= was.at) {
		return p
	}
	return was
}

// latest returns the last of the prints before a time that may set the ticker's
// last price, with no may if there is none.
func (k *keptPrints) latest(before int64) keptPrint {
	last := &keptPrint{}
	if k.last.at < before {
		last = &k.last
	}
	k.each(func(p *keptPrint) {
		if p.at < before {
			last = later(last, p, mayLast)
		}
	})
	return *last
}

// latestExt returns the day's last print of extended hours, as latest does.
func (k *keptPrints) latestExt() keptPrint {
	ext := &k.ext
	k.each(func(p *keptPrint) {
		if k.in.tape.day.holds(p.at) {
			ext = later(ext, p, mayExt)
		}
	})
	return *ext
}

// newDay begins another trading day.
func (k *keptPrints) newDay() { k.day, k.ext = barState{Bar: Bar{Interval: Day}}, keptPrint{} }

// each calls fn for every print that is kept and not taken back, in their order.
func (k *keptPrints) each(fn func(p *keptPrint)) {
	for _, c := range k.chunks[k.first:] {
		for i := range c.prints[:c.n] {
			if !c.prints[i].gone {
				fn(&c.prints[i])
			}
		}
	}
}

// find returns the newest print for which is holds, nil if there is none.
func (k *keptPrints) find(is func(p *keptPrint) bool) *keptPrint {
	for _, c := range slices.Backward(k.chunks[k.first:]) {
		for i := c.n - 1; i >= 0; i-- {
			if p := &c.prints[i]; is(p) {
				return p
			}
		}
	}
	return nil
}

// again reports whether a correction was taken lately, and notes it.
func (k *keptPrints) again(h uint64) bool {
	if slices.Contains(k.recent[:], h) {
		return true
	}
	k.recent[k.recentN%len(k.recent)] = h
	k.recentN++
	return false
}

func (k *keptPrints) fits(from, to market.Scale) bool {
	ok := k.day.Fits(from, to) && Level{k.last.price, k.last.size}.fits(from, to) && Level{k.ext.price, 0}.fits(from, to)
	k.each(func(p *keptPrint) { ok = ok && Level{p.price, p.size}.fits(from, to) })
	return ok
}

func (k *keptPrints) rescale(from, to market.Scale) {
	k.day.Rescale(from, to)
	rescalePrice(&k.last.price, from, to)
	rescaleSize(&k.last.size, from, to)
	rescalePrice(&k.ext.price, from, to)
	k.each(func(p *keptPrint) {
		rescalePrice(&p.price, from, to)
		rescaleSize(&p.size, from, to)
	})
}
