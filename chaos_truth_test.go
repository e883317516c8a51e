package quotewire_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// chaosTruth knows every state that each venue's books have been in, and holds
// what the shard tells against it. It is the shard's sink.
type chaosTruth struct {
	w      *chaosWorld
	dir    *market.Directory
	venues map[string]chaosVenue
	ids    map[market.VenueID]string
	views  map[market.InstrumentID]*chaosView
	over   bool // what the end itself brings about is not looked at

	mu    sync.Mutex // the market adds while the shard compares
	books map[chaosKey]*chaosBook
}

type chaosKey struct{ venue, pair string }

// chaosBook is one pair at one venue: what it truly was, and what is shown of it.
type chaosBook struct {
	chaosKey
	depth  int
	price  int // decimals
	size   int
	states []chaosState

	at      int  // which of the states was shown last
	live    bool // it is
	checked bool // since it was live
	whole   bool // piecemeal: it was replaced since it was looked at
	was     bool // it has been live
	lostAt  time.Time
	cause   string
	liveAt  time.Time
}

// chaosState is a state of a book: the sum of the hashes of its levels, and since
// when it was so.
type chaosState struct {
	sum   uint64
	since time.Time
}

type chaosView struct {
	orderbook.View
	pair    string
	updates int
}

func newChaosTruth(w *chaosWorld, dir *market.Directory, venues []chaosVenue) *chaosTruth {
	c := &chaosTruth{w: w, dir: dir, venues: map[string]chaosVenue{}, ids: map[market.VenueID]string{},
		views: map[market.InstrumentID]*chaosView{}, books: map[chaosKey]*chaosBook{}}
	for _, v := range venues {
		c.venues[v.name] = v
	}
	return c
}

// levelSum is the hash of a level.
func levelSum(bid bool, price, size int64) uint64 {
	x := uint64(price)*0x9e3779b97f4a7c15 ^ uint64(size)*0xc2b2ae3d27d4eb4f
	if bid {
		x = ^x
	}
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// note takes down a state of a venue's book. The market calls it, locked.
func (c *chaosTruth) note(ch sim.Change) {
	key := chaosKey{ch.Venue, ch.Pair}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.books[key]
	if b == nil {
		b = &chaosBook{chaosKey: key, depth: c.venues[ch.Venue].depth}
		b.price, b.size = ch.Decimals()
		c.books[key] = b
	}
	var sum uint64
	for _, bid := range [2]bool{true, false} {
		n := ch.Len(bid)
		if b.depth > 0 {
			n = min(n, b.depth)
		}
		for i := range n {
			price, size := ch.Level(bid, i)
			sum += levelSum(bid, price, size)
		}
	}
	if n := len(b.states); n == 0 || b.states[n-1].sum != sum {
		b.states = append(b.states, chaosState{sum, time.Now()})
	}
}

// shown is the hash of what a view shows of a venue.
func (b *chaosBook) shown(v *orderbook.View, w *orderbook.VenueView) (sum uint64, err error) {
	for _, l := range [2]*orderbook.Ladder{&w.Bids, &w.Asks} {
		bid := l == &w.Bids
		for i := range l.Len() {
			lv := l.At(i)
			p, err := market.Rescale(lv.Price, v.Scale.Price, market.Decimals(b.price))
			if err != nil {
				return 0, fmt.Errorf("price %d at %d decimals: %w", lv.Price, v.Scale.Price, err)
			}
			z, err := market.Rescale(lv.Size, v.Scale.Size, market.Decimals(b.size))
			if err != nil {
				return 0, fmt.Errorf("size %d at %d decimals: %w", lv.Size, v.Scale.Size, err)
			}
			sum += levelSum(bid, int64(p), int64(z))
		}
	}
	return sum, nil
}

// Flush implements [orderbook.Sink].
func (c *chaosTruth) Flush() {}

// Update implements [orderbook.Sink]: it is the invariant.
func (c *chaosTruth) Update(u *orderbook.Update) {
	if c.over {
		return
	}
	v := c.views[u.Instrument]
	if v == nil {
		v = &chaosView{pair: strings.TrimSuffix(c.dir.InstrumentByID(u.Instrument).Symbol, "-PERP")}
		c.views[u.Instrument] = v
	}
	c.w.updates++
	if err := v.Apply(u); err != nil {
		c.w.failLocked("%s: %v", v.pair, err)
		return
	}
	v.updates++
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range v.Venues {
		b := c.book(w.Venue, v.pair)
		if b == nil { // junk spoke of it
			if w.State.Live() {
				c.w.failLocked("%s at %s is live and not traded there", v.pair, c.ids[w.Venue])
			}
			continue
		}
		c.follow(b, w)
		if !w.State.Live() {
			if w.Bids.Len() > 0 || w.Asks.Len() > 0 || w.Top.BidSize > 0 || w.Top.AskSize > 0 {
				c.w.failLocked("%s at %s is %s and shows %d bids, %d asks", v.pair, b.venue, w.State, w.Bids.Len(), w.Asks.Len())
			}
			continue
		}
		changed, whole := false, false
		for i := range u.Levels {
			if u.Levels[i].Venue == w.Venue {
				changed = true
				whole = whole || u.Levels[i].Side == market.SideNone
			}
		}
		if c.venues[b.venue].piecemeal {
			b.whole = b.whole || whole
			continue // see settle
		}
		// What an update does not speak of is looked at now and then only.
		if changed || !b.checked || v.updates%32 == 0 {
			c.compare(b, v, w, whole)
		}
	}
	c.quote(v, u)
}

func (c *chaosTruth) book(id market.VenueID, pair string) *chaosBook {
	name := c.ids[id]
	if name == "" {
		name = c.dir.VenueName(id)
		c.ids[id] = name
	}
	return c.books[chaosKey{name, pair}]
}

// follow keeps account of how long a book is trusted.
func (c *chaosTruth) follow(b *chaosBook, w *orderbook.VenueView) {
	live := w.State.Live()
	switch {
	case live == b.live:
		return
	case live:
		if b.was {
			c.w.repairs[b.cause] = append(c.w.repairs[b.cause], time.Since(b.lostAt))
		}
		b.liveAt, b.was = time.Now(), true
	default:
		b.lostAt, b.cause, b.checked = time.Now(), w.Cause.String(), false
		c.w.trusted += time.Since(b.liveAt)
	}
	b.live = live
}

// compare finds the state that is shown among the true ones, not before the one
// that was shown last.
func (c *chaosTruth) compare(b *chaosBook, v *chaosView, w *orderbook.VenueView, whole bool) {
	b.checked = true
	c.w.compared++
	sum, err := b.shown(&v.View, w)
	if err != nil {
		c.w.failLocked("%s at %s: %v", b.pair, b.venue, err)
		return
	}
	if whole && c.w.lines(b.venue) > 1 {
		c.tookOver(b, sum)
	}
	for i := b.at; i < len(b.states); i++ {
		if b.states[i].sum == sum {
			b.at = i
			return
		}
	}
	for i := b.at - 1; i >= 0; i-- {
		if b.states[i].sum == sum {
			c.w.failLocked("%s at %s goes back from state %d to %d, which was over %v before", b.pair, b.venue, b.at, i, b.states[b.at].since.Sub(b.states[i+1].since))
			b.at = i
			return
		}
	}
	c.w.failLocked("%s at %s shows %d bids, %d asks that the venue never had; last sound state %d of %d, %v ago", b.pair, b.venue,
		w.Bids.Len(), w.Asks.Len(), b.at, len(b.states), time.Since(b.states[b.at].since))
}

// tookOver allows for another line that shows the venue from now on: it may be
// behind the one before. A state may recur, so that which one is shown is not
// known: the oldest that the line may be at is taken.
func (c *chaosTruth) tookOver(b *chaosBook, sum uint64) {
	oldest := -1
	for i := len(b.states) - 1; i >= 0; i-- {
		if i+1 < len(b.states) && time.Since(b.states[i+1].since) > c.w.oldest(b.venue) {
			break
		}
		if b.states[i].sum == sum {
			if i >= b.at {
				oldest = b.at // nothing needs to go back
			}
			if oldest < 0 {
				c.w.backs = append(c.w.backs, b.states[b.at].since.Sub(b.states[i+1].since))
			}
			oldest = i
		}
	}
	if oldest >= 0 {
		b.at = min(b.at, oldest)
	}
}

// lines is how many lines lead to a venue.
func (w *chaosWorld) lines(venue string) (n int) {
	for _, f := range w.feeds {
		if f.venue.name == venue {
			n++
		}
	}
	return n
}

// quote works the consolidated quote out again.
func (c *chaosTruth) quote(v *chaosView, u *orderbook.Update) {
	var want orderbook.Quote
	bids, asks := 0, 0
	for _, w := range v.Venues {
		if !w.State.Live() {
			continue
		}
		if l, ok := w.Bids.Best(); ok {
			if bids == 0 || l.Price > want.Bid {
				want.Bid, want.BidSize, want.BidTotal, bids = l.Price, 0, 0, 0
			}
			if l.Price == want.Bid {
				want.BidSize, want.BidTotal = max(want.BidSize, l.Size), want.BidTotal+l.Size
				bids++
			}
		}
		if l, ok := w.Asks.Best(); ok {
			if asks == 0 || l.Price < want.Ask {
				want.Ask, want.AskSize, want.AskTotal, asks = l.Price, 0, 0, 0
			}
			if l.Price == want.Ask {
				want.AskSize, want.AskTotal = max(want.AskSize, l.Size), want.AskTotal+l.Size
				asks++
			}
		}
	}
	q := &u.Quote
	if q.Bid != want.Bid || q.BidSize != want.BidSize || q.BidTotal != want.BidTotal || len(q.BidVenues) != bids ||
		q.Ask != want.Ask || q.AskSize != want.AskSize || q.AskTotal != want.AskTotal || len(q.AskVenues) != asks {
		c.w.failLocked("%s: the quote is %+v, the best of the live venues %+v", v.pair, *q, want)
	}
}

// sorted returns the books in one order.
func (c *chaosTruth) sorted() []*chaosBook {
	return slices.SortedFunc(maps.Values(c.books), func(a, b *chaosBook) int {
		return cmp.Or(cmp.Compare(a.venue, b.venue), cmp.Compare(a.pair, b.pair))
	})
}

// checkLost fails for books that are live though the only line to their venue is
// lost or mute. The caller holds w.mu.
func (w *chaosWorld) checkLost(venue string, k feeds.FrameKind) {
	w.chaosTruth.mu.Lock()
	defer w.chaosTruth.mu.Unlock()
	for _, b := range w.sorted() {
		if b.venue == venue && b.live && !w.over {
			w.failLocked("%s at %s is live while its only line is %s", b.pair, b.venue, k)
		}
	}
}

// oldest is how old a live book of a venue may be: a silence is found after the
// time that the venue may be silent and the tenth that the watch may be late,
// some things come late, a change that is lost shows only with the next one, and
// a Gemini book that was asked for again while it was well stands still for up to
// 8 s until its image comes.
func (w *chaosWorld) oldest(venue string) time.Duration {
	age := time.Duration(0)
	for _, f := range w.feeds {
		if f.venue.name == venue {
			mute := 10 * time.Second
			if m, ok := f.supervisor.Connector.(interface{ Mute() time.Duration }); ok {
				mute = m.Mute()
			}
			age = max(age, mute*11/10+10*time.Second)
		}
	}
	return age
}

// settle looks at the books that come piecemeal.
func (w *chaosWorld) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chaosTruth.mu.Lock()
	defer w.chaosTruth.mu.Unlock()
	for _, v := range w.views {
		for _, vv := range v.Venues {
			b := w.book(vv.Venue, v.pair)
			if b != nil && vv.State.Live() && w.venues[b.venue].piecemeal {
				w.compare(b, v, vv, b.whole)
				b.whole = false
			}
		}
	}
}

// checkAge fails for live books that have long ceased to be true.
func (w *chaosWorld) checkAge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chaosTruth.mu.Lock()
	defer w.chaosTruth.mu.Unlock()
	for _, b := range w.sorted() {
		if b.live && b.at+1 < len(b.states) {
			if old := time.Since(b.states[b.at+1].since); old > w.oldest(b.venue) {
				w.failLocked("%s at %s is live and has not been true for %v", b.pair, b.venue, old)
			}
		}
	}
}

// checkEnd fails for books that are not live, or not the true ones now.
func (w *chaosWorld) checkEnd() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chaosTruth.mu.Lock()
	defer w.chaosTruth.mu.Unlock()
	w.over = true
	for _, v := range w.views {
		for _, vv := range v.Venues {
			if vv.State.Live() {
				w.compare(w.book(vv.Venue, v.pair), v, vv, false)
			}
		}
	}
	for _, b := range w.sorted() {
		w.lived += chaosEnd
		switch {
		case !b.live:
			w.failLocked("%s at %s is not live %v after the faults: %s", b.pair, b.venue, chaosEnd-chaosCalm, b.cause)
		case b.states[b.at].sum != b.states[len(b.states)-1].sum:
			w.failLocked("%s at %s is at state %d of %d at the end", b.pair, b.venue, b.at, len(b.states))
		}
		if b.live {
			w.trusted += time.Since(b.liveAt)
		}
	}
}
