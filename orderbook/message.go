package orderbook

import (
	"github.com/quotewire/quotewire/market"
)

// clear begins a snapshot, or empties a book that stays trusted.
func (s *Shard) clear(b *book, e *market.Event) {
	b.levels = true
	b.depth = int(e.Depth)
	b.in.open(b)
	if e.Flags&market.FlagSnapshot != 0 {
		// It grows beside the book that is shown, which stays whole while the
		// snapshot comes in, be it in several parts.
		b.inSnapshot, b.imageOfOrders, b.unsound = true, false, false
		for i := range b.next {
			b.next[i].Clear()
			b.next[i].keepTexts(e.Checksum == market.ChecksumTexts)
		}
		return
	}
	b.inSnapshot = false
	b.next[0].Clear()
	b.next[1].Clear()
	if b.kept() {
		b.bids.Clear()
		b.asks.Clear()
		if b.orders != nil {
			b.orders.clear()
		}
		b.note(market.SideNone, 0, 0)
	}
}

// level applies one price level to the message under way.
func (s *Shard) level(b *book, e *market.Event) {
	b.levels = true
	b.in.open(b)
	if !b.inSnapshot && !b.kept() {
		b.stats.Ignored++
		return
	}
	if e.Side != market.SideBid && e.Side != market.SideAsk || e.Size < 0 || b.isOfOrders() {
		b.refuse()
		return
	}
	price, size, ok := b.in.fit(e.Price, e.Size, e)
	if !ok {
		b.refuse()
		return
	}
	b.noteDigits(e.PriceDecimals, e.SizeDecimals)
	switch {
	case b.inSnapshot && b.next[e.Side-market.SideBid].texts != nil:
		b.next[e.Side-market.SideBid].setText(price, size, market.Scale{Price: e.PriceDecimals, Size: e.SizeDecimals})
	case b.inSnapshot:
		b.next[e.Side-market.SideBid].push(price, size)
	case b.ladder(e.Side).texts != nil:
		if b.ladder(e.Side).setText(price, size, market.Scale{Price: e.PriceDecimals, Size: e.SizeDecimals}) {
			b.note(e.Side, price, size)
		}
	case b.ladder(e.Side).Set(price, size):
		b.note(e.Side, price, size)
	}
}

// finish ends the book messages of the feed that are open in the instrument: each
// book is shown if it is sound, and distrusted from this very message if it is
// not.
func (s *Shard) finish(in *instrument, e *market.Event) {
	if len(in.opened) == 0 {
		return
	}
	kept := in.opened[:0]
	for _, b := range in.opened {
		if b.stats.Feed != e.Feed {
			kept = append(kept, b) // part of a snapshot that another feed is sending
			continue
		}
		b.isOpen = false
		s.finishBook(b, e)
		b.endMessage()
	}
	in.opened = kept
}

func (s *Shard) finishBook(b *book, e *market.Event) {
	if !b.inSnapshot && !b.kept() {
		// Changes to a book that we do not have. On a first connection nothing
		// has asked for the snapshot yet that the subscription should bring. A
		// top that the venue sent beside them says nothing of the levels.
		if b.stats.State == StateNone || b.live() {
			b.forget()
			b.setState(StateResyncing, CauseConnected, e.Received)
			s.refresh(b, e.Received)
			s.await(b)
		}
		return
	}
	var what verdict
	what, s.buf = b.judge(s.buf, e.Received)
	switch what {
	case badChecksum:
		s.distrust(b, CauseChecksum, e.Received)
		return
	case crossed, stuck:
		if what == crossed && !b.inSnapshot && e.Flags&market.FlagPiecemeal != 0 {
			s.hold(b, e)
			return
		}
		b.stats.Crossed++
		s.distrust(b, CauseCrossed, e.Received)
		return
	case misfit:
		s.distrust(b, CauseOverflow, e.Received)
		return
	}
	if !b.sumAlone && e.Flags&market.FlagReply == 0 {
		b.stats.Messages++
	}
	b.stands(e)
	first := !b.synced() // an image, then
	switch {
	case b.inSnapshot:
		s.takeSnapshot(b, e)
	case b.held:
		b.held, b.askedAt = false, 0
		b.setState(StateLive, CauseNone, e.Received)
		s.refresh(b, e.Received)
	}
	s.follow(b, first, e.Received)
}

// hold keeps a book that is crossed between the parts of one change, and shows it
// to nobody until the rest has come. Where it does not come, the book is asked
// for in the time of any other that is waited for.
func (s *Shard) hold(b *book, e *market.Event) {
	if !b.sumAlone {
		b.stats.Messages++
	}
	b.stands(e)
	if b.held {
		return
	}
	b.held = true
	b.setState(StateResyncing, CauseCrossed, e.Received)
	s.refresh(b, e.Received)
	s.await(b)
}

// takeSnapshot puts a sound snapshot in the place of what the book held.
func (s *Shard) takeSnapshot(b *book, e *market.Event) {
	if b.synced() {
		// An image of a book that is current (some venues send nothing else):
		// only what differs is told.
		for i, l := range [2]*Ladder{&b.bids, &b.asks} {
			l.diff(&b.next[i], func(lv Level) { b.note(l.side, lv.Price, lv.Size) })
		}
		b.swap()
		return
	}
	if b.stats.State == StateResyncing && b.stats.Cause != CauseConnected {
		b.stats.Resyncs++
	}
	b.swap()
	b.stats.HasBook, b.hasTop, b.nbbo, b.held, b.askedAt = true, false, false, false, 0
	b.setState(StateLive, CauseNone, e.Received)
	s.refresh(b, e.Received)
}

// top takes a top of book that the venue, or a SIP, sent as such.
func (s *Shard) top(b *book, e *market.Event) {
	b.stats.Quotes++
	if b.levels {
		return // its levels tell its top, once they are whole
	}
	in := b.in
	ok := e.Size >= 0 && e.AskSize >= 0
	t := VenueQuote{Venue: b.stats.Venue}
	if ok {
		// The second fit may refine the scale under the first.
		_, _, ok = in.fit(e.Price, e.Size, e)
	}
	if ok {
		t.Ask, t.AskSize, ok = in.fit(e.Ask, e.AskSize, e)
	}
	if ok {
		t.Bid, t.BidSize, ok = in.fit(e.Price, e.Size, e)
	}
	if !ok {
		b.stats.Refused++
		s.distrust(b, CauseOverflow, e.Received)
		return
	}
	nbbo := e.Flags&market.FlagNBBO != 0
	if nbbo {
		t.BidVenue, t.AskVenue = e.BidVenue, e.AskVenue
	}
	t.BidFirmness, t.AskFirmness = e.Firmness()
	t.normalize(nbbo)
	if t.BidSize > 0 && t.AskSize > 0 && t.Bid > t.Ask && !nbbo && b.trades() {
		b.stats.Crossed++
		s.distrust(b, CauseCrossed, e.Received)
		return
	}
	b.top, b.hasTop, b.nbbo = t, true, nbbo
	b.stands(e)
	first := !b.live()
	b.setState(StateLive, CauseNone, e.Received)
	s.refresh(b, e.Received)
	s.follow(b, first, e.Received)
}

// normalize makes equal quotes equal: an absent side holds nothing, and a present
// side of a national best names a venue, the SIP itself where it names none.
func (t *VenueQuote) normalize(nbbo bool) {
	if t.BidSize == 0 {
		t.Bid, t.BidVenue, t.BidFirmness = 0, 0, 0
	} else if nbbo && t.BidVenue == 0 {
		t.BidVenue = t.Venue
	}
	if t.AskSize == 0 {
		t.Ask, t.AskVenue, t.AskFirmness = 0, 0, 0
	} else if nbbo && t.AskVenue == 0 {
		t.AskVenue = t.Venue
	}
}

// status takes an instrument's trading status at a venue. Its book is kept and
// told as before; it only takes no part in the quote unless it trades.
func (s *Shard) status(b *book, e *market.Event) {
	b.halted = !executable(e.Status)
	if b.venue.shown == b {
		b.in.tellState(b.venue, e.Received)
	}
}

// executable reports whether quotes under a status can be traded against.
func executable(s market.TradingStatus) bool {
	return s == market.StatusTrading || s == market.StatusUnknown
}
