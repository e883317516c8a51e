package orderbook

import (
	"time"

	"github.com/quotewire/quotewire/market"
)

// quoteTally counts how long an instrument's consolidated quote stood how. Times
// are those of the shard's clock.
type quoteTally struct {
	from, since int64 // when counting began; since when the market is as it is
	times       [numMarketStates]int64
	entered     [numMarketStates]uint64
	longest     [numMarketStates]int64
	changes     uint64
}

// enter ends the time in a state; nil counts nothing.
func (t *quoteTally) enter(left MarketState, clock int64) {
	if t == nil {
		return
	}
	d := clock - t.since
	t.times[left] += d
	t.longest[left] = max(t.longest[left], d)
	t.entered[left]++
	t.since = clock
}

// venueTally counts how long a venue was at the best price, by side, and how long
// it was left out, by reason and side.
type venueTally struct {
	at, best [2]int64     // since when it is at the best bid, ask (-1: it is not); how long it was
	why      [2]Exclusion // why its sides are left out, and since when
	since    [2]int64
	out      [2][numExclusions]int64
	started  bool
}

// left notes that the reasons for which a venue's sides are left out changed; nil
// counts nothing.
func (t *venueTally) left(bid, ask Exclusion, clock int64) {
	if t == nil {
		return
	}
	if !t.started {
		t.started, t.at, t.since = true, [2]int64{-1, -1}, [2]int64{clock, clock}
	}
	for i, why := range [2]Exclusion{bid, ask} {
		if why != t.why[i] {
			t.out[i][t.why[i]] += clock - t.since[i]
			t.why[i], t.since[i] = why, clock
		}
	}
}

// stand notes whether the venue is at the best price of a side.
func (t *venueTally) stand(side int, is bool, clock int64) {
	if t == nil || is == (t.at[side] >= 0) {
		return
	}
	if is {
		t.at[side] = clock
		return
	}
	t.best[side] += clock - t.at[side]
	t.at[side] = -1
}

// tallyBest counts a change of the best prices.
func (in *instrument) tallyBest(q *Quote, bids, asks bool, clock int64) {
	in.tally.changes++
	for _, v := range in.venues {
		if bids {
			v.tally.stand(0, v.bid.Size > 0 && v.bid.Price == q.Bid, clock)
		}
		if asks {
			v.tally.stand(1, v.ask.Size > 0 && v.ask.Price == q.Ask, clock)
		}
	}
}

// QuoteReport tells how an instrument's consolidated quote stood over time. Shares
// of times are to be taken of Total.
type QuoteReport struct {
	Instrument market.InstrumentID
	Changes    uint64        // of the best prices or of what stands there
	Total      time.Duration // from the first that was heard of a venue to the last event that the shard saw
	OneSided   time.Duration // a side, or both, absent
	Locked     time.Duration
	Crossed    time.Duration
	// LockedTimes and CrossedTimes are how often, LongestLocked and LongestCrossed
	// for how long at most.
	LockedTimes, CrossedTimes     uint64
	LongestLocked, LongestCrossed time.Duration
	Venues                        []VenueQuoteReport // by number
}

// VenueQuoteReport tells of a venue's part in the consolidated quote.
type VenueQuoteReport struct {
	Venue            market.VenueID
	BestBid, BestAsk time.Duration // at the best price
	// Out is how long it was left out, by reason: the mean over its two sides.
	Out map[Exclusion]time.Duration
	// Why is why it is left out at the end, of its bid or else of its ask.
	Why Exclusion
}

// Quotes reports on the consolidated quotes of all instruments of which some venue
// was heard, not a SIP alone, by number.
func (s *Shard) Quotes() []QuoteReport {
	var out []QuoteReport
	for _, in := range s.instruments {
		if in == nil || in.tally == nil {
			continue
		}
		t := *in.tally
		t.enter(in.market, s.clock)
		r := QuoteReport{
			Instrument: in.upd.Instrument, Changes: t.changes, Total: time.Duration(s.clock - t.from),
			OneSided: time.Duration(t.times[MarketOneSided]),
			Locked:   time.Duration(t.times[MarketLocked]), Crossed: time.Duration(t.times[MarketCrossed]),
			LockedTimes: t.entered[MarketLocked], CrossedTimes: t.entered[MarketCrossed],
			LongestLocked: time.Duration(t.longest[MarketLocked]), LongestCrossed: time.Duration(t.longest[MarketCrossed]),
		}
		for _, v := range in.venues {
			r.Venues = append(r.Venues, v.report(s.clock))
		}
		out = append(out, r)
	}
	return out
}

func (v *venue) report(clock int64) VenueQuoteReport {
	r := VenueQuoteReport{Venue: v.id, Out: map[Exclusion]time.Duration{}, Why: v.bid.why}
	if r.Why == ExcludedNone {
		r.Why = v.ask.why
	}
	if v.tally == nil {
		return r // a SIP
	}
	t := *v.tally
	t.left(numExclusions, numExclusions, clock)
	t.stand(0, false, clock)
	t.stand(1, false, clock)
	r.BestBid, r.BestAsk = time.Duration(t.best[0]), time.Duration(t.best[1])
	for x := ExcludedNone + 1; x < numExclusions; x++ {
		if d := t.out[0][x] + t.out[1][x]; d > 0 {
			r.Out[x] = time.Duration(d / 2)
		}
	}
	return r
}
