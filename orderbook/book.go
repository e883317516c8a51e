package orderbook

import "github.com/quotewire/quotewire/market"

// BookStats counts what one feed said of one instrument at one venue.
type BookStats struct {
	Feed       market.FeedID
	Venue      market.VenueID
	Instrument market.InstrumentID

	Messages   uint64 // book messages applied whole
	Matched    uint64 // venue checksums that agreed
	Mismatched uint64 // venue checksums that did not
	Gaps       uint64 // messages known to be lost
	Resyncs    uint64 // snapshots that replaced a book after the first
	Crossed    uint64 // messages that left the venue's own book crossed
	Refused    uint64 // events whose numbers did not fit
	Ignored    uint64 // changes that came while the book was not trusted
	Quotes     uint64 // top-of-book messages
	Trades     uint64 // prints, without those from before the subscription
	TradesLost uint64 // prints missing in the venue's numbering
	TradesDup  uint64 // prints that came twice

	Volume      market.Size // sum of the prints' sizes, at Scale
	Scale       market.Scale
	State       State
	Cause       Cause
	Since       int64 // ns since the Unix epoch
	LastMessage int64 // receive time of the last message, ns since the Unix epoch
	HasBook     bool  // it has price levels
	Bids, Asks  int   // levels held
}

// book is what one feed says of one instrument at one venue. It belongs to its
// shard.
type book struct {
	stats BookStats

	bids, asks Ladder
	pend       []LevelChange // of the message that is being applied
	top        VenueQuote    // where the venue sends its top of book as such
	hasTop     bool
	nbbo       bool // top is a SIP's national best, not this venue's own

	depth     int          // levels a side that the venue keeps, 0 all
	digits    market.Scale // decimals the venue writes its numbers with
	digitsRef bool         // digits come from reference data, not from what was seen

	inSnapshot  bool // between KindClear and the message's end
	bookMessage bool // the message that is being applied touched the book
	unsound     bool // a part of the message could not be applied
	hasSum      bool // the message carries a checksum
	sum         uint32

	before      State // state before it went stale
	beforeCause Cause
	halted      bool

	lastTrade uint64 // venue's number of the last print
	freshLine bool   // no numbered print since the connection came up
}

func newBook(feed market.FeedID, venue market.VenueID, id market.InstrumentID) *book {
	b := &book{bids: NewLadder(market.SideBid), asks: NewLadder(market.SideAsk)}
	b.stats.Feed, b.stats.Venue, b.stats.Instrument = feed, venue, id
	b.freshLine = true
	return b
}

// live reports whether its quotes may be used.
func (b *book) live() bool { return b.stats.State == StateLive }

// ladder returns the side's ladder; side is bid or ask.
func (b *book) ladder(s market.Side) *Ladder {
	if s == market.SideBid {
		return &b.bids
	}
	return &b.asks
}

// setState changes the state; it reports whether it did.
func (b *book) setState(s State, c Cause, at int64) bool {
	if b.stats.State == s && b.stats.Cause == c {
		return false
	}
	b.stats.State, b.stats.Cause, b.stats.Since = s, c, at
	return true
}

// forget drops what it holds, for it is no longer true.
func (b *book) forget() {
	b.bids.Clear()
	b.asks.Clear()
	b.hasTop = false
	b.endMessage()
}

// endMessage makes ready for the next message.
func (b *book) endMessage() {
	b.inSnapshot, b.bookMessage, b.unsound, b.hasSum = false, false, false, false
	b.pend = b.pend[:0]
	if cap(b.pend) > 1<<12 {
		b.pend = nil
	}
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
)

// finish ends a book message: the venue's depth is kept, then the checksum
// compared and the book's own sanity checked. Dropped levels are noted in pend.
func (b *book) finish(buf []byte, scale market.Scale) (verdict, []byte) {
	if b.inSnapshot {
		b.bids.sort()
		b.asks.sort()
	}
	if b.depth > 0 {
		// Fixed-depth books: the venue says nothing of a level that falls off
		// the end, so what is kept beyond the depth would never be removed
		// (Kraken WebSocket v2, book: "truncate to the subscribed depth").
		for _, l := range [2]*Ladder{&b.bids, &b.asks} {
			l.Truncate(b.depth, func(lv Level) {
				if !b.inSnapshot {
					b.pend = append(b.pend, LevelChange{b.stats.Venue, l.side, Level{lv.Price, 0}})
				}
			})
		}
	}
	if b.unsound {
		return misfit, buf
	}
	if b.hasSum {
		sum, buf2, ok := krakenCRC(buf, &b.asks, &b.bids, scale, b.digits)
		buf = buf2
		if !ok || sum != b.sum {
			b.stats.Mismatched++
			return badChecksum, buf
		}
		b.stats.Matched++
	}
	bid, hasBid := b.bids.Best()
	ask, hasAsk := b.asks.Best()
	if hasBid && hasAsk && bid.Price > ask.Price {
		b.stats.Crossed++
		return crossed, buf
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
	if b.hasTop {
		return Level{b.top.Bid, b.top.BidSize}, Level{b.top.Ask, b.top.AskSize}
	}
	return Level{}, Level{}
}

// fits reports whether everything it holds can be converted to a finer scale.
func (b *book) fits(from, to market.Scale) bool {
	ok := b.bids.fits(from, to) && b.asks.fits(from, to) && b.top.fits(from, to)
	for i := range b.pend {
		ok = ok && b.pend[i].fits(from, to)
	}
	_, err := market.Rescale(b.stats.Volume, from.Size, to.Size)
	return ok && err == nil
}

// rescale converts everything it holds to a finer scale that it fits.
func (b *book) rescale(from, to market.Scale) {
	b.bids.rescale(from, to)
	b.asks.rescale(from, to)
	b.top.rescale(from, to)
	for i := range b.pend {
		b.pend[i].rescale(from, to)
	}
	rescaleSize(&b.stats.Volume, from, to)
}

func (t *VenueQuote) fits(from, to market.Scale) bool {
	return Level{t.Bid, t.BidSize}.fits(from, to) && Level{t.Ask, t.AskSize}.fits(from, to)
}

func (t *VenueQuote) rescale(from, to market.Scale) {
	rescalePrice(&t.Bid, from, to)
	rescalePrice(&t.Ask, from, to)
	rescaleSize(&t.BidSize, from, to)
	rescaleSize(&t.AskSize, from, to)
}

func (lv Level) fits(from, to market.Scale) bool {
	_, err1 := market.Rescale(lv.Price, from.Price, to.Price)
	_, err2 := market.Rescale(lv.Size, from.Size, to.Size)
	return err1 == nil && err2 == nil
}
