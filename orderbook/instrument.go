package orderbook

import (
	"cmp"
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
)

// instrument is everything a shard knows of one instrument.
type instrument struct {
	venues []*venue // by number, so that every pass over them has one order
	opened []*book  // books that the messages at hand touch

	// upd is the update being put together. Its Quote, Ticker, Scale and
	// positions are the instrument's own and stay from one to the next: nothing
	// is copied that did not change.
	upd     Update
	touched bool  // some venue's top may have changed since the last requote
	toldAt  int64 // venue's time of a book that the update at hand tells whole; 0 none

	// Quoted by a venue of its own, not only by a SIP: from then on the
	// consolidated quote is ours, and the SIP's is seen under its own venue.
	ownQuotes bool
	counted   int             // venues that take part in the quote, on either side
	market    MarketState     // of the quote as last told
	out       []ExcludedVenue // memory of listOut
	tally     *quoteTally     // nil before its first own quote

	rules     QuoteRules
	settleAt  int64       // clock from which on a venue may have settled
	filters   bool        // sizes or bands keep something out
	lot       market.Size // round lot at the scale; 1 or less: none
	minSize   market.Size // QuoteRules.MinSize at the scale
	isStock   bool        // has round lots
	lotKnown  bool        // they go by a price, not by default
	lotShares int64       // round lot in shares
	lotUntil  int64       // when it is assigned anew

	halted   bool          // a SIP told that it does not trade, at any venue
	haltedBy market.FeedID // who told it
	calendar *calendar.Calendar
	hours    calendar.Session // that the last event was in

	tape *tape // what its prints have come to; nil before the first
}

// venue is one venue's place in an instrument: the books that one or several
// feeds keep of it, and which of them is shown.
type venue struct {
	id    market.VenueID
	books []*book // by feed number: a lower one takes precedence
	shown *book   // the one whose content the Updates carry; nil before any

	state     VenueStatus // as last told
	liveSince int64       // receive time since when that is live, quiet or suspect
	told      bool        // content was told that a clear must take back
	toldBook  bool        // in levels, not as a top
	touched   bool        // its top may have changed since the last requote
	bid       top         // as the quote takes it
	ask       top
	tally     *venueTally // nil before the instrument has one

	lastTrade uint64       // venue's number of the last print taken, from any feed
	missing   []printRange // below lastTrade, which another line may still bring
}

// venue returns the venue's place, making it if it is new.
func (in *instrument) venue(id market.VenueID) *venue {
	for _, v := range in.venues {
		if v.id == id {
			return v
		}
	}
	v := &venue{id: id}
	v.state.Venue = id
	i, _ := slices.BinarySearchFunc(in.venues, id, func(w *venue, id market.VenueID) int { return cmp.Compare(w.id, id) })
	in.venues = slices.Insert(in.venues, i, v)
	return v
}

// book returns the book that the feed keeps of the venue, nil if there is none.
func (v *venue) book(feed market.FeedID) *book {
	for _, b := range v.books {
		if b.stats.Feed == feed {
			return b
		}
	}
	return nil
}

func (v *venue) add(b *book) {
	i, _ := slices.BinarySearchFunc(v.books, b.stats.Feed, func(b *book, f market.FeedID) int { return cmp.Compare(b.stats.Feed, f) })
	v.books = slices.Insert(v.books, i, b)
}

// open notes that the message at hand touches the book.
func (in *instrument) open(b *book) {
	if !b.isOpen {
		b.isOpen = true
		in.opened = append(in.opened, b)
	}
}

// touch makes the next requote look at the venue.
func (v *venue) touch(in *instrument) { v.touched, in.touched = true, true }

// pick chooses the book that represents the venue: the shown one while it is
// live (see follow for when it is late), then the live one that is ahead, else
// the one that is nearest to being live. It reports whether the choice changed.
func (v *venue) pick() bool {
	if v.shown != nil && v.shown.live() {
		return false
	}
	var best *book
	for _, b := range v.books {
		// States are in the order of nearness: live, resyncing, stale, down.
		if b.stats.State != StateNone && (best == nil || b.stats.State < best.stats.State ||
			b.live() && best.live() && b.at > best.at) {
			best = b
		}
	}
	if best == v.shown {
		return false
	}
	v.show(best)
	return true
}

// tellState notes the venue's state in the update if it is news.
func (in *instrument) tellState(v *venue, at int64) {
	s, c := v.shown.told()
	if v.state.State == s && v.state.Cause == c {
		return
	}
	v.touch(in)
	if s.Live() && !v.state.State.Live() {
		v.liveSince = at
	}
	v.state.State, v.state.Cause, v.state.Since = s, c, at
	in.upd.Venues = append(in.upd.Venues, v.state)
}

// tellClear takes back what the venue showed.
func (in *instrument) tellClear(v *venue) {
	if !v.told {
		return
	}
	in.untell(v)
	if v.toldBook {
		in.upd.Levels = append(in.upd.Levels, LevelChange{Venue: v.id})
	} else {
		in.upd.Tops = append(in.upd.Tops, VenueQuote{Venue: v.id})
	}
	v.told = false
	v.touch(in)
}

// tellAll notes everything that the venue shows, in place of what it showed.
func (in *instrument) tellAll(v *venue) {
	in.untell(v)
	b := v.shown
	if b.stats.HasBook {
		in.upd.Levels = append(in.upd.Levels, LevelChange{Venue: v.id})
		for _, l := range [2]*Ladder{&b.bids, &b.asks} {
			for _, lv := range l.levels {
				in.upd.Levels = append(in.upd.Levels, LevelChange{v.id, l.side, lv})
			}
		}
	} else {
		in.upd.Tops = append(in.upd.Tops, b.top)
	}
	v.told, v.toldBook = true, b.stats.HasBook
	if b.timed {
		in.toldAt = max(in.toldAt, b.at)
	}
	v.touch(in)
}

// untell removes what the update being put together says of the venue's content,
// because something follows that replaces all of it.
func (in *instrument) untell(v *venue) {
	u := &in.upd
	if len(u.Levels) > 0 {
		u.Levels = slices.DeleteFunc(u.Levels, func(c LevelChange) bool { return c.Venue == v.id })
	}
	if len(u.Tops) > 0 {
		u.Tops = slices.DeleteFunc(u.Tops, func(t VenueQuote) bool { return t.Venue == v.id })
	}
}
