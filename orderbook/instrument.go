package orderbook

import (
	"slices"
	"time"

	"github.com/quotewire/quotewire/market"
)

// instrument is everything a shard knows of one instrument.
type instrument struct {
	id       market.InstrumentID
	scale    market.Scale
	seq      uint64
	tradeSeq uint64
	venues   []*venue // by number, so that every pass over them has one order

	quote  Quote
	ticker Ticker
	// Quoted by a venue of its own, not only by a SIP: from then on the
	// consolidated quote is ours, and the SIP's is seen under its own venue.
	ownQuotes bool

	location   *time.Location // where its trading day begins and ends
	sessionEnd int64          // ns since the Unix epoch; 0 before the first print

	upd   Update // being put together
	dirty bool   // upd has something to say
}

// venue is one venue's place in an instrument: the books that one or several
// feeds keep of it, and which of them is shown.
type venue struct {
	id    market.VenueID
	books []*book // by feed number: a lower one takes precedence
	shown *book   // the one whose content the Updates carry; nil before any

	state VenueStatus // as last told
	bid   Level       // top as counted in the quote; size 0: not counted
	ask   Level
}

// book returns the book that the feed keeps of the venue, making it if needed.
func (in *instrument) book(feed market.FeedID, id market.VenueID) (*venue, *book, bool) {
	var v *venue
	for _, w := range in.venues {
		if w.id == id {
			v = w
			break
		}
	}
	if v == nil {
		v = &venue{id: id}
		v.state.Venue = id
		i, _ := slices.BinarySearchFunc(in.venues, id, func(w *venue, id market.VenueID) int { return int(w.id) - int(id) })
		in.venues = slices.Insert(in.venues, i, v)
	}
	for _, b := range v.books {
		if b.stats.Feed == feed {
			return v, b, false
		}
	}
	b := newBook(feed, id, in.id)
	i, _ := slices.BinarySearchFunc(v.books, feed, func(b *book, f market.FeedID) int { return int(b.stats.Feed) - int(f) })
	v.books = slices.Insert(v.books, i, b)
	return v, b, true
}

// state returns what is told of the book: a sound book of an instrument that
// does not trade is halted.
func (b *book) told() (State, Cause) {
	if b.stats.State == StateLive && b.halted {
		return StateHalted, CauseTradingHalt
	}
	return b.stats.State, b.stats.Cause
}

// usable reports whether its top may enter the consolidated quote.
func (b *book) usable() bool { return b.live() && !b.halted }

// pick chooses the book that represents the venue: the live one of the first
// feed, else the one shown before. It reports whether the choice changed.
func (v *venue) pick() bool {
	best := v.shown
	if best == nil || !best.live() {
		for _, b := range v.books {
			if b.live() {
				best = b
				break
			}
		}
	} else {
		for _, b := range v.books {
			if b == best {
				break
			}
			if b.live() {
				best = b
				break
			}
		}
	}
	if best == nil {
		for _, b := range v.books {
			if b.stats.State != StateNone {
				best = b
				break
			}
		}
	}
	changed := best != v.shown
	v.shown = best
	return changed
}

// tellState notes the venue's state in the update if it is news.
func (in *instrument) tellState(v *venue, at int64) {
	if v.shown == nil {
		return
	}
	s, c := v.shown.told()
	if v.state.State == s && v.state.Cause == c {
		return
	}
	v.state.State, v.state.Cause, v.state.Since = s, c, at
	in.upd.Venues = append(in.upd.Venues, v.state)
	in.upd.Changed |= ChangedVenues
	in.dirty = true
}

// tellClear notes that the venue shows nothing any longer.
func (in *instrument) tellClear(v *venue) {
	in.upd.Levels = append(in.upd.Levels, LevelChange{Venue: v.id})
	in.upd.Changed |= ChangedLevels
	in.upd.Tops = append(in.upd.Tops, VenueQuote{Venue: v.id})
	in.upd.Changed |= ChangedTops
	in.dirty = true
}

// tellAll notes everything that the venue shows, in place of what it showed.
func (in *instrument) tellAll(v *venue) {
	b := v.shown
	if b.stats.HasBook {
		in.upd.Levels = append(in.upd.Levels, LevelChange{Venue: v.id})
		for _, l := range [2]*Ladder{&b.bids, &b.asks} {
			for _, lv := range l.levels {
				in.upd.Levels = append(in.upd.Levels, LevelChange{v.id, l.side, lv})
			}
		}
		in.upd.Changed |= ChangedLevels
	}
	if b.hasTop && !b.stats.HasBook {
		in.upd.Tops = append(in.upd.Tops, b.top)
		in.upd.Changed |= ChangedTops
	}
	in.dirty = true
}

// rebase makes the instrument's scale finer; false, with nothing changed, if
// something that it holds would not fit.
func (in *instrument) rebase(to market.Scale) bool {
	from := in.scale
	for _, v := range in.venues {
		for _, b := range v.books {
			if !b.fits(from, to) {
				return false
			}
		}
		if !v.bid.fits(from, to) || !v.ask.fits(from, to) {
			return false
		}
	}
	if !in.quote.fits(from, to) || !in.ticker.fits(from, to) {
		return false
	}
	u := &in.upd
	for i := range u.Trades {
		if !(Level{u.Trades[i].Price, u.Trades[i].Size}).fits(from, to) {
			return false
		}
	}
	for _, v := range in.venues {
		for _, b := range v.books {
			b.rescale(from, to)
			b.stats.Scale = to
		}
		v.bid.rescale(from, to)
		v.ask.rescale(from, to)
	}
	in.quote.rescale(from, to)
	in.ticker.rescale(from, to)
	for i := range u.Trades {
		rescalePrice(&u.Trades[i].Price, from, to)
		rescaleSize(&u.Trades[i].Size, from, to)
	}
	for i := range u.Levels {
		u.Levels[i].rescale(from, to)
	}
	for i := range u.Tops {
		u.Tops[i].rescale(from, to)
	}
	in.scale = to
	u.Changed |= ChangedScale
	return true
}
