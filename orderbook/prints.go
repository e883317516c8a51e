package orderbook

import "github.com/quotewire/quotewire/market"

// trade takes a print.
func (s *Shard) trade(b *book, e *market.Event) {
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
	if !e.Has(market.FlagPrior) {
		b.stats.Trades++
		b.stats.Volume = addSize(b.stats.Volume, size)
	}
	u := &in.upd
	u.TradeSeq++
	u.Trades = append(u.Trades, Trade{
		Venue: e.Venue, Side: e.Side, Flags: e.Flags &^ market.FlagLast,
		NumConditions: e.NumConditions, Conditions: e.Conditions,
		Price: price, Size: size, Time: e.Time, Received: e.Received, ID: e.ID,
	})
	changed, ok := in.print(e, price, size)
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
// taken from whichever feed brings it first. Prints without a number cannot be
// told apart, so that only the first feed's are taken that is up and has any.
func (b *book) newPrint(e *market.Event) bool {
	v, n := b.venue, e.TradeSequence
	numbered := n != 0 && e.Flags&market.FlagContiguous != 0
	for _, other := range v.books {
		if other == b {
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
		last, v.lastTrade = 0, 0
	}
	if last != 0 && n > last+1 {
		b.stats.TradesLost += n - last - 1
	}
	if n >= last {
		b.lastTrade, b.lastTradeTime = n, e.Time
	}
	if n <= v.lastTrade {
		return false
	}
	v.lastTrade = n
	return true
}
