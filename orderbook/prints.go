package orderbook

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// trade takes a print.
func (s *Shard) trade(b *book, e *market.Event) {
	if b.freshLine && b.isEarly(e) {
		if b.early = append(b.early, *e); len(b.early) > maxEarly {
			s.releaseAll(b.venue, nil)
		}
		return
	}
	s.takePrint(b, e)
	if len(b.venue.books) > 1 {
		s.release(b.venue)
	}
}

// maxEarly bounds the prints of a line that wait for another's: some seconds of a
// busy symbol, which is how far a line may be behind when another comes up.
const maxEarly = 512

// isEarly reports whether a print of a line that has just come up is ahead of
// those that another line has brought, so that the prints between, from before
// this line's subscription, are still on their way there: then it waits for them.
func (b *book) isEarly(e *market.Event) bool {
	v, n := b.venue, e.TradeSequence
	if e.Flags&market.FlagContiguous == 0 || v.lastTrade == 0 || n <= v.lastTrade+1 {
		return false
	}
	for _, o := range v.books {
		if o != b && !o.freshLine && !o.feed.down && !o.feed.stale {
			return true
		}
	}
	return false
}

// release takes the prints that waited and no longer do.
func (s *Shard) release(v *venue) {
	for _, b := range v.books {
		n := 0
		for n < len(b.early) && b.early[n].TradeSequence <= v.lastTrade+1 {
			s.takePrint(b, &b.early[n])
			n++
		}
		b.early = slices.Delete(b.early, 0, n)
	}
}

// releaseAll takes all prints that waited for the lost book's line: those between
// will not come. The lost book's own wait on for another line.
func (s *Shard) releaseAll(v *venue, lost *book) {
	for _, b := range v.books {
		if b == lost {
			continue
		}
		for i := range b.early {
			s.takePrint(b, &b.early[i])
		}
		b.early = slices.Delete(b.early, 0, len(b.early))
	}
}

// takePrint takes a print whose turn it is.
func (s *Shard) takePrint(b *book, e *market.Event) {
	if !b.newPrint(e) {
		b.stats.TradesDup++
		return
	}
	in := b.in
	price, size, ok := in.fit(e.Price, e.Size, e)
	if !ok || size < 0 {
		b.stats.Refused++
		return
	}
	u := &in.upd
	u.TradeSeq++
	told := Trade{
		Venue: e.Venue, Side: e.Side, Flags: e.Flags &^ (market.FlagLast | market.FlagCorrectable),
		NumConditions: e.NumConditions, Conditions: e.Conditions,
		Price: price, Size: size, Time: e.Time, Received: e.Received, ID: e.ID,
	}
	if e.NumConditions > 0 && e.Updates().Canceled {
		told.Kind, told.Of = TradeCancel, e.ID
		u.Trades = append(u.Trades, told)
		s.cancelByCondition(b, e, price, size)
		return
	}
	u.Trades = append(u.Trades, told)
	if !e.Has(market.FlagPrior) {
		b.stats.Trades++
		b.stats.Volume = addSize(b.stats.Volume, size)
	}
	changed, ok := s.print(b, e, price, size)
	if changed {
		u.Changed |= ChangedTicker
	}
	if !ok {
		b.stats.Refused++
	}
}

// newPrint reports whether a print has not been seen before, and counts the ones
// that the venue's numbering shows to be missing on this feed.
//
// Where several feeds carry a venue and all number its prints, each print is
// taken from whichever feed brings it first: also one that is late because
// another feed, which lost it, brought a later one before. Prints without a
// number cannot be told apart, so that only those of the feed are taken whose
// book is shown, or of the first that is up and has any.
func (b *book) newPrint(e *market.Event) bool {
	v, n := b.venue, e.TradeSequence
	numbered := n != 0 && e.Flags&market.FlagContiguous != 0
	alike := numbered
	for _, other := range v.books {
		alike = alike && (other.stats.Trades == 0 || other.lastTrade != 0)
	}
	if w := v.shown; !alike && w != nil && w != b && w.live() && w.stats.Trades > 0 {
		return false
	}
	for _, other := range v.books {
		if other == b || b == v.shown && b.live() && b.stats.Trades > 0 {
			break
		}
		if other.stats.Trades > 0 && !other.feed.down && !(numbered && other.lastTrade != 0) {
			return false
		}
	}
	if !numbered {
		return true
	}
	fresh, last := b.freshLine, b.lastTrade
	b.freshLine = false
	if last == 0 {
		last = v.lastTrade
	}
	if fresh && n <= b.lastTrade && e.Time > b.lastTradeTime {
		// A lower number at a later time on a new connection: the venue counts
		// anew.
		last, v.lastTrade, v.missing = 0, 0, v.missing[:0]
	}
	if last != 0 && n > last+1 {
		b.stats.TradesLost += n - last - 1
	}
	if n >= last || b.lastTrade == 0 {
		b.lastTrade, b.lastTradeTime = n, e.Time
	}
	if n <= v.lastTrade {
		return v.found(n)
	}
	if v.lastTrade != 0 && n > v.lastTrade+1 {
		v.miss(printRange{v.lastTrade + 1, n - 1})
	}
	v.lastTrade = n
	return true
}

// printRange is numbers of prints, both ends included.
type printRange struct{ first, last uint64 }

// maxMissing bounds what is remembered of prints that no line has brought.
const maxMissing = 16

// miss notes prints that were skipped; the oldest are given up.
func (v *venue) miss(r printRange) {
	if len(v.missing) >= maxMissing {
		v.missing = slices.Delete(v.missing, 0, len(v.missing)-maxMissing+1)
	}
	v.missing = append(v.missing, r)
}

// found reports whether a print had been skipped, and no longer is.
func (v *venue) found(n uint64) bool {
	for i := range v.missing {
		r := &v.missing[i]
		switch {
		case n < r.first || n > r.last:
			continue
		case r.first == r.last:
			v.missing = slices.Delete(v.missing, i, i+1)
		case n == r.first:
			r.first++
		case n == r.last:
			r.last--
		default:
			rest := printRange{n + 1, r.last}
			r.last = n - 1
			v.missing = slices.Insert(v.missing, i+1, rest)
		}
		return true
	}
	return false
}
