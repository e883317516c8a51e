package orderbook

import (
	"slices"
	"time"

	"github.com/quotewire/quotewire/market"
)

// Exclusion is why a venue, or one side of it, takes no part in the consolidated
// quote.
type Exclusion uint8

// The exclusions. The first four are states, which a VenueStatus tells with their
// cause; the others are of a live venue's quote.
const (
	ExcludedNone      Exclusion = iota
	ExcludedResyncing           // its book waits for a snapshot
	ExcludedStale               // its connection is open and mute
	ExcludedDown                // its connection is lost
	ExcludedHalted              // it does not trade
	ExcludedCondition           // its quote's condition, see [market.Event.Firmness]
	ExcludedRoundLot            // it shows less than a round lot of a US stock
	ExcludedSize                // it shows less than [QuoteRules.MinSize]
	ExcludedBands               // its bid is below, or its ask above, the LULD bands: not executable
	ExcludedSettling            // it has not been live for [QuoteRules.Settle] yet
	numExclusions
)

var exclusionNames = [numExclusions]string{"", "resyncing", "stale", "down", "halted", "ineligible_condition",
	"below_round_lot", "below_min_size", "outside_bands", "settling"}

// String returns the exclusion's lower-case name, "" for none.
func (x Exclusion) String() string {
	if x < numExclusions {
		return exclusionNames[x]
	}
	return "unknown"
}

// ExcludedVenue is a live venue's side that the quote leaves out; SideNone is both.
type ExcludedVenue struct {
	Venue market.VenueID
	Side  market.Side
	Why   Exclusion
}

// QuoteRules are what an instrument's consolidated quote goes by beside the rules
// of its market. The zero value asks for nothing.
type QuoteRules struct {
	// MinVenues is how many venues must take part for the quote not to be Thin.
	MinVenues int
	// MinSize leaves out levels that show less, at MinSizeDecimals.
	MinSize         market.Size
	MinSizeDecimals market.Decimals
	// ReferencePrice, at ReferenceDecimals, is what a US stock's round lot goes
	// by; 0 is its previous close.
	ReferencePrice    market.Price
	ReferenceDecimals market.Decimals
	// Settle is how long, by receive times, a venue must have been live before it
	// counts again.
	Settle time.Duration
}

// stateExclusion returns why a venue in a state does not count.
func stateExclusion(s State) Exclusion {
	switch s {
	case StateStale:
		return ExcludedStale
	case StateDown:
		return ExcludedDown
	case StateHalted:
		return ExcludedHalted
	}
	return ExcludedResyncing
}

// take returns the sides of a venue as the quote takes them, with what keeps them
// out of it. The rules are those of a SIP for US equities where there are any
// (../docs/protocol.md, quote):
//
//   - only a live book counts;
//   - a side whose quote condition is not firm is withdrawn, a slow one counts and
//     is not protected (UTP and CTA quote conditions; Reg NMS 600(b)(70), 611);
//   - a stock's sizes are rounded down to round lots, and what is less is no quote;
//     odd lots of a book are added up from the best price to the one at which they
//     make a round lot (Reg NMS 600(b)(93); UTP vendor alert 2025-18);
//   - a bid below the lower LULD band and an ask above the upper are not executable
//     (LULD plan, section VI.A).
func (in *instrument) take(v *venue, clock int64) (bid, ask top) {
	b := v.shown
	if b == nil || b.nbbo {
		return top{}, top{}
	}
	if in.tally == nil {
		in.tally = &quoteTally{from: clock, since: clock}
	}
	if v.tally == nil {
		v.tally = &venueTally{}
		v.tally.left(v.bid.why, v.ask.why, clock)
	}
	if !b.usable() {
		s, _ := b.told()
		out := top{why: stateExclusion(s)}
		return out, out
	}
	in.ownQuotes = true
	bid.Level, ask.Level = b.best()
	if !b.stats.HasBook {
		bid.judge(b.top.BidFirmness)
		ask.judge(b.top.AskFirmness)
	}
	if in.filters {
		in.filter(b, &bid, market.SideBid)
		in.filter(b, &ask, market.SideAsk)
	}
	if settle := int64(in.rules.Settle); settle > 0 && clock-v.liveSince < settle {
		in.settleAt = min(in.settleAt, v.liveSince+settle)
		bid.exclude(ExcludedSettling)
		ask.exclude(ExcludedSettling)
	}
	return bid, ask
}

// exclude leaves out what is there.
func (t *top) exclude(why Exclusion) {
	if t.Size > 0 {
		*t = top{why: why}
	}
}

func (t *top) judge(f market.Firmness) {
	switch f {
	case market.Slow:
		t.slow = t.Size > 0
	case market.NotFirm:
		t.exclude(ExcludedCondition)
	}
}

// filter applies the rules of size and bands to a side.
func (in *instrument) filter(b *book, t *top, side market.Side) {
	if t.Size == 0 {
		return
	}
	if lot := in.lot; lot > 1 {
		switch {
		case t.Size >= lot:
			t.Size -= t.Size % lot
		case b.stats.HasBook:
			t.Level = b.ladder(side).roundLot(lot)
		default:
			t.Size = 0
		}
		if t.Size == 0 {
			*t = top{why: ExcludedRoundLot}
			return
		}
	}
	if t.Size < in.minSize {
		if b.stats.HasBook {
			t.Level = b.ladder(side).atLeast(in.minSize)
		} else {
			t.Size = 0
		}
		if t.Size == 0 {
			*t = top{why: ExcludedSize}
			return
		}
	}
	if st := &in.upd.Status; side == market.SideBid && t.Price < st.BandLow || side == market.SideAsk && st.BandHigh > 0 && t.Price > st.BandHigh {
		*t = top{why: ExcludedBands}
	}
}

// roundLot returns the best price at which the orders from the best on make a
// round lot, with their size in whole lots; size 0 if they do not.
func (l *Ladder) roundLot(lot market.Size) Level {
	var sum market.Size
	for i := len(l.levels) - 1; i >= 0; i-- {
		if sum = addSize(sum, l.levels[i].Size); sum >= lot {
			return Level{l.levels[i].Price, sum - sum%lot}
		}
	}
	return Level{}
}

// atLeast returns the best level with as large a size; size 0 if there is none.
func (l *Ladder) atLeast(z market.Size) Level {
	for i := len(l.levels) - 1; i >= 0; i-- {
		if l.levels[i].Size >= z {
			return l.levels[i]
		}
	}
	return Level{}
}

// listOut lists the sides of live venues that are left out, in the venues' order,
// and reports whether the list changed.
func (in *instrument) listOut(q *Quote) bool {
	in.out = in.out[:0]
	for _, v := range in.venues {
		b, a := v.bid.why, v.ask.why
		switch {
		case b == a && b >= ExcludedCondition:
			in.out = append(in.out, ExcludedVenue{v.id, market.SideNone, b})
			continue
		case b >= ExcludedCondition:
			in.out = append(in.out, ExcludedVenue{v.id, market.SideBid, b})
		}
		if b != a && a >= ExcludedCondition {
			in.out = append(in.out, ExcludedVenue{v.id, market.SideAsk, a})
		}
	}
	if sameOut(q.Out, in.out) {
		return false
	}
	q.Out = append(q.Out[:0], in.out...)
	return true
}

func sameOut(a, b []ExcludedVenue) bool { return slices.Equal(a, b) }

// touchAll makes the next requote look at every venue: what they are judged by
// has changed.
func (in *instrument) touchAll() {
	for _, v := range in.venues {
		v.touch(in)
	}
}

// measure brings what sizes are held against to the instrument's scale.
func (in *instrument) measure() {
	d := in.upd.Scale.Size
	in.lot = 0
	if in.lotShares > 1 {
		in.lot = scaledUp(market.Size(in.lotShares), 0, d)
	}
	in.minSize = scaledUp(in.rules.MinSize, in.rules.MinSizeDecimals, d)
	in.filters = in.lot > 1 || in.minSize > 0 || in.upd.Status.BandHigh > 0
}

// scaledUp converts a size that sizes are held against, rounded up: what the
// scale cannot show no size can be.
func scaledUp(z market.Size, from, to market.Decimals) market.Size {
	if from > to {
		f := market.Size(market.Pow10(from - to))
		return z/f + min(z%f, 1)
	}
	r, err := market.Rescale(z, from, to)
	if err != nil {
		return maxSize
	}
	return r
}

// evaluate gives a US stock its round lot: at first, when its previous close
// becomes known, and when round lots are assigned anew.
func (in *instrument) evaluate(clock int64) {
	p, d := in.rules.ReferencePrice, in.rules.ReferenceDecimals
	if p <= 0 && in.upd.Ticker.HasPrevClose {
		p, d = in.upd.Ticker.PrevClose, in.upd.Scale.Price
	}
	now := time.Unix(0, clock).In(in.calendar.Location())
	lot := int64(market.NewListingLot)
	if p > 0 {
		lot = market.RoundLot(now, p, d)
	}
	in.lotUntil, in.lotKnown = market.RoundLotsUntil(now).UnixNano(), p > 0
	if lot != in.lotShares {
		in.lotShares = lot
		in.measure()
		in.touchAll()
	}
}
