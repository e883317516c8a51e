package orderbook

import "github.com/quotewire/quotewire/market"

// BookStats counts what one feed said of one instrument at one venue.
type BookStats struct {
	Feed       market.FeedID
	Venue      market.VenueID
	Instrument market.InstrumentID

	Messages   uint64 // book messages of the stream applied whole
	Matched    uint64 // venue checksums that agreed
	Mismatched uint64 // venue checksums that did not
	Gaps       uint64 // times that messages were known to be lost
	Resyncs    uint64 // snapshots that ended a distrust
	Crossed    uint64 // messages that left the venue's own book crossed
	Refused    uint64 // events whose numbers did not fit or made no sense
	Ignored    uint64 // changes that came while the book was not trusted
	Quotes     uint64 // top-of-book messages
	Trades     uint64 // prints taken, without those from before the subscription
	TradesLost uint64 // prints missing in the venue's numbering
	TradesDup  uint64 // prints that came twice, or over another feed already
	// Corrections counts prints that the venue corrected or took back. Of these,
	// CorrectionsPartial found the print, or others of its time, no longer kept,
	// so that only sums were put right; CorrectionsUnknown are of prints that were
	// never heard, and changed nothing.
	Corrections, CorrectionsPartial, CorrectionsUnknown uint64
	// LateBars counts prints and corrections that came too late for a bar that is
	// no longer kept.
	LateBars uint64
	// Aggregates counts bars of the provider that were compared with ours once
	// both were final, AggregatesSkipped those that could not be, and
	// AggregatesDiffer, by field, those that said something else.
	Aggregates, AggregatesSkipped uint64
	AggregatesDiffer              [NumAggregateFields]uint64

	Volume      market.Size // sum of the prints' sizes, at Scale; stays at the largest number
	Scale       market.Scale
	State       State
	Cause       Cause
	Since       int64 // receive time of the message that changed State, ns since the Unix epoch
	LastMessage int64 // receive time of the last message, ns since the Unix epoch
	Levels      bool  // it speaks in price levels
	HasBook     bool  // it has, or had, a sound book of them
	Bids, Asks  int   // levels held
	Orders      int   // orders held, where the venue shows each of them
}

// book is what one feed says of one instrument at one venue. It belongs to its
// shard.
//
// While it is live, it is whole: either its levels are (HasBook) or its top is.
// What is not trusted is not kept.
type book struct {
	in    *instrument
	venue *venue
	feed  *feedState
	stats BookStats

	bids, asks Ladder
	next       [2]Ladder  // bids, asks of a snapshot that is coming in
	orders     *orders    // what the levels are made of; nil where the venue does not tell
	nextOrders *orders    // of the snapshot that is coming in, if imageOfOrders
	top        VenueQuote // where the venue sends its top of book as such
	hasTop     bool
	nbbo       bool // top is a SIP's national best, not this venue's own

	levels    bool         // it speaks in levels, so that a resync can be asked for
	depth     int          // levels a side that the venue keeps, 0 all
	digits    market.Scale // decimals the venue writes its numbers with
	digitsRef bool         // digits come from reference data, not from what was seen

	inSnapshot    bool // between KindClear and the message's end
	imageOfOrders bool // the snapshot that is coming in is of orders
	isOpen        bool // the message that is being applied touched the book
	unsound       bool // a part of the message could not be applied
	hasSum        bool // the message carries a checksum
	sumKind       market.Checksum
	sum           uint32
	sumAlone      bool // and nothing else

	held        bool  // kept and not shown: crossed between the parts of one change
	before      State // state before it went stale
	beforeCause Cause
	halted      bool
	askedAt     int64 // receive time when its resync was last asked for; 0 not, or answered

	// Where the book stands beside the venue's other lines, see line.go.
	at        int64 // venue's time of the last message applied; receive time where it tells none
	timed     bool  // at is the venue's own time
	ahead     int64 // not shown: time of its first message that the shown line lacks; 0 none
	claimFrom int64 // not shown: time from which it may take its place back

	lastTrade     uint64 // venue's number of the last print, and its time
	lastTradeTime int64
	freshLine     bool           // no numbered print since the connection came up
	early         []market.Event // prints that wait, see isEarly

	pulse      pulse
	pulseSince int64 // receive time since when it is quiet, suspect or neither
}

func newBook(in *instrument, v *venue, feed market.FeedID) *book {
	b := &book{in: in, venue: v, freshLine: true}
	for i, side := range [2]market.Side{market.SideBid, market.SideAsk} {
		*b.ladder(side) = NewLadder(side)
		b.next[i] = NewLadder(side)
	}
	b.stats.Feed, b.stats.Venue, b.stats.Instrument = feed, v.id, in.upd.Instrument
	b.stats.Scale = in.upd.Scale
	return b
}

// live reports whether what it holds is current.
func (b *book) live() bool { return b.stats.State == StateLive }

// synced reports whether its levels are whole, so that changes can be applied.
func (b *book) synced() bool { return b.live() && b.stats.HasBook }

// kept reports whether changes are applied: also while it is held.
func (b *book) kept() bool { return b.synced() || b.held }

// trades reports that neither its venue nor a SIP told that it does not trade.
func (b *book) trades() bool { return !b.halted && !b.in.halted }

// usable reports whether its top may enter the consolidated quote.
func (b *book) usable() bool { return b.live() && b.trades() }

// told returns the state that is told of the book: a sound book of an instrument
// that does not trade is halted.
func (b *book) told() (State, Cause) {
	if b.live() && !b.trades() {
		return StateHalted, CauseTradingHalt
	}
	if b.live() {
		switch {
		case b.feed.suspect:
			return StateSuspect, CauseMute
		case b.pulse.closed:
			return StateQuiet, CauseClosed
		case b.pulse.quiet:
			return StateQuiet, CauseCadence
		}
	}
	return b.stats.State, b.stats.Cause
}

// ladder returns the side's ladder; side is bid or ask.
func (b *book) ladder(s market.Side) *Ladder {
	if s == market.SideBid {
		return &b.bids
	}
	return &b.asks
}

// setState changes the state.
func (b *book) setState(s State, c Cause, at int64) {
	if b.stats.State == s && b.stats.Cause == c {
		return
	}
	b.stats.State, b.stats.Cause, b.stats.Since = s, c, at
}

// forget drops what it holds, for it is no longer true.
func (b *book) forget() {
	b.bids.Clear()
	b.asks.Clear()
	if b.orders != nil {
		b.orders.clear()
	}
	b.hasTop, b.held = false, false
	b.top = VenueQuote{}
	b.at, b.timed, b.ahead, b.claimFrom = 0, false, 0, 0
	b.endMessage()
}

// endMessage makes ready for the next message.
func (b *book) endMessage() {
	if b.inSnapshot {
		// Full images are rare or small; the memory of a large one is not kept.
		for i := range b.next {
			b.next[i].Clear()
			if cap(b.next[i].levels) > keepLevels {
				b.next[i].levels, b.next[i].queues = nil, nil
			}
		}
		if b.nextOrders != nil && len(b.nextOrders.nodes) > keepLevels {
			b.nextOrders = nil
		}
	}
	b.inSnapshot, b.imageOfOrders = false, false
	b.unsound, b.hasSum, b.sumAlone = false, false, false
}

// swap puts the snapshot that came in in the place of the levels.
func (b *book) swap() {
	b.bids, b.next[0] = b.next[0], b.bids
	b.asks, b.next[1] = b.next[1], b.asks
	if !b.imageOfOrders {
		b.orders = nil
		return
	}
	b.orders, b.nextOrders = b.nextOrders, b.orders
}

// note records a change of its levels for the update, if the venue shows it.
func (b *book) note(side market.Side, p market.Price, z market.Size) {
	if b.venue.shown != b || b.held {
		return
	}
	b.venue.touch(b.in)
	u := &b.in.upd
	u.Levels = append(u.Levels, LevelChange{b.stats.Venue, side, Level{p, z}})
}

// refuse counts a level that cannot be taken, and with it the whole message.
func (b *book) refuse() {
	b.stats.Refused++
	b.unsound = true
}

// noteDigits learns from a number on the wire how the venue writes them.
func (b *book) noteDigits(p, s market.Decimals) {
	if !b.digitsRef {
		b.digits = b.digits.Finer(market.Scale{Price: p, Size: s})
	}
}

// verdict is what a whole book message turned out to be.
type verdict uint8

const (
	sound verdict = iota
	badChecksum
	crossed
	misfit
	stuck
)

// judge ends a book message: the venue's depth is kept, then the checksum
// compared and the book's own sanity checked. Where a snapshot is coming in, that
// is what is judged.
func (b *book) judge(buf []byte, at int64) (verdict, []byte) {
	bids, asks, held := &b.bids, &b.asks, b.orders
	if b.inSnapshot {
		bids, asks, held = &b.next[0], &b.next[1], nil
		if b.imageOfOrders {
			held = b.nextOrders
		} else {
			bids.sort()
			asks.sort()
		}
	}
	if !b.settleOrders(at) {
		return misfit, buf
	}
	if b.depth > 0 {
		// Fixed-depth books: the venue says nothing of a level that falls off
		// the end, so what is kept beyond the depth would never be removed
		// (Kraken WebSocket v2, book: "truncate to the subscribed depth").
		for _, l := range [2]*Ladder{bids, asks} {
			if l.Len() > b.depth {
				if held != nil {
					held.drop(l, l.Len()-b.depth)
				}
				l.Truncate(b.depth, func(lv Level) {
					if !b.inSnapshot {
						b.note(l.side, lv.Price, 0)
					}
				})
			}
		}
	}
	if b.unsound {
		return misfit, buf
	}
	if b.hasSum {
		var sum uint32
		var ok bool
		switch b.sumKind {
		case market.ChecksumDigits:
			sum, buf, ok = krakenCRC(buf, asks, bids, b.in.upd.Scale, b.digits)
		case market.ChecksumTexts:
			sum, buf, ok = textCRC(buf, asks, bids, b.in.upd.Scale)
		case market.ChecksumNumbers:
			sum, buf, ok = numberCRC(buf, asks, bids, b.in.upd.Scale)
		case market.ChecksumOrders:
			sum, buf, ok = ordersCRC(buf, asks, bids, held, b.in.upd.Scale, b.digits)
		}
		if !ok || sum != b.sum {
			b.stats.Mismatched++
			return badChecksum, buf
		}
		b.stats.Matched++
	}
	bid, hasBid := bids.Best()
	ask, hasAsk := asks.Best()
	// In an auction orders cross on purpose until it is held.
	if hasBid && hasAsk && bid.Price > ask.Price && b.trades() {
		return crossed, buf
	}
	if b.stuck(at) {
		return stuck, buf
	}
	return sound, buf
}

// best returns the venue's own best bid and ask; a side with size 0 is absent.
func (b *book) best() (bid, ask Level) {
	if b.stats.HasBook {
		bid, _ = b.bids.Best()
		ask, _ = b.asks.Best()
		return bid, ask
	}
	return Level{b.top.Bid, b.top.BidSize}, Level{b.top.Ask, b.top.AskSize}
}

// fits reports whether everything it holds can be converted to a finer scale.
func (b *book) fits(from, to market.Scale) bool {
	return b.bids.fits(from, to) && b.asks.fits(from, to) && b.top.fits(from, to) &&
		b.next[0].fits(from, to) && b.next[1].fits(from, to) &&
		(b.orders == nil || b.orders.fits(from, to)) && (!b.imageOfOrders || b.nextOrders.fits(from, to))
}

// rescale converts everything it holds to a finer scale that it fits.
func (b *book) rescale(from, to market.Scale) {
	b.bids.rescale(from, to)
	b.asks.rescale(from, to)
	b.next[0].rescale(from, to)
	b.next[1].rescale(from, to)
	if b.orders != nil {
		b.orders.rescale(from, to)
	}
	if b.imageOfOrders {
		b.nextOrders.rescale(from, to)
	}
	b.top.rescale(from, to)
	b.stats.Volume = saturate(b.stats.Volume, from, to)
	b.stats.Scale = to
}
