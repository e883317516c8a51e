package orderbook

import "github.com/quotewire/quotewire/market"

// top is one side of a venue as the consolidated quote takes it.
type top struct {
	Level           // size 0: it does not count
	slow  bool      // it counts and is not protected
	why   Exclusion // why it does not count
}

// requote brings the consolidated quote up to date with the venues touched and
// reports whether it changed. Only live venues count: one that is down, stale,
// resyncing or halted is out from the very message that made it so; what else
// keeps a venue out is told in eligible.go.
//
// The best bid is the highest, the best ask the lowest price; sides are
// independent of each other, and a side that nobody quotes is absent. Among the
// venues at the best price the larger size comes first, then the lower venue
// number (Reg NMS ranks by price, then size; time is not kept). An inverted
// market is shown as it is: crossing between venues is normal and a flag, not an
// error.
func (in *instrument) requote(at, received, clock int64) bool {
	q := &in.upd.Quote
	var bids, asks bool // sides on which the best may have changed
	var slow, outs bool // what is told beside it may have changed
	counted := in.counted
	for _, v := range in.venues {
		if !v.touched {
			continue
		}
		v.touched = false
		bid, ask := in.take(v, clock)
		if v.bid == bid && v.ask == ask {
			continue
		}
		if v.bid.Size > 0 || v.ask.Size > 0 {
			counted--
		}
		if bid.Size > 0 || ask.Size > 0 {
			counted++
		}
		// A venue matters that was among the best, or is now at least as good.
		if v.bid.Level != bid.Level {
			bids = bids || v.bid.Size > 0 && v.bid.Price == q.Bid ||
				bid.Size > 0 && (q.BidSize == 0 || bid.Price >= q.Bid)
		}
		if v.ask.Level != ask.Level {
			asks = asks || v.ask.Size > 0 && v.ask.Price == q.Ask ||
				ask.Size > 0 && (q.AskSize == 0 || ask.Price <= q.Ask)
		}
		slow = slow || v.bid.slow != bid.slow || v.ask.slow != ask.slow
		if v.bid.why != bid.why || v.ask.why != ask.why {
			outs = true
			v.tally.left(bid.why, ask.why, clock)
		}
		v.bid, v.ask = bid, ask
	}
	if !in.ownQuotes {
		return in.passNBBO(at, received, clock)
	}
	if q.Source != SourceConsolidated {
		q.Source, bids, asks, outs = SourceConsolidated, true, true, true
	}
	bidSlow, askSlow := q.BidSlow, q.AskSlow
	if bids || slow {
		in.bestBids(q)
	}
	if asks || slow {
		in.bestAsks(q)
	}
	changed := bids || asks || counted != in.counted || q.BidSlow != bidSlow || q.AskSlow != askSlow
	in.counted = counted
	q.Counted, q.Thin = uint16(counted), counted < in.rules.MinVenues
	if outs && in.listOut(q) {
		changed = true
	}
	if !changed {
		return false
	}
	if bids || asks {
		in.invert(q, clock)
		if in.tally != nil {
			in.tallyBest(q, bids, asks, clock)
		}
	}
	q.Time, q.Received = at, received
	return true
}

func (in *instrument) bestBids(q *Quote) {
	best := q.BidVenues[:0]
	q.Bid, q.BidSize, q.BidTotal, q.BidSlow = 0, 0, 0, false
	for _, v := range in.venues {
		if v.bid.Size == 0 || len(best) > 0 && v.bid.Price < q.Bid {
			continue
		}
		if len(best) == 0 || v.bid.Price > q.Bid {
			q.Bid, q.BidTotal, q.BidSlow, best = v.bid.Price, 0, true, best[:0]
		}
		q.BidTotal = addSize(q.BidTotal, v.bid.Size)
		q.BidSlow = q.BidSlow && v.bid.slow
		best = rankVenue(best, VenueSize{v.id, v.bid.Size})
	}
	if len(best) > 0 {
		q.BidSize = best[0].Size
	}
	q.BidVenues = best
}

func (in *instrument) bestAsks(q *Quote) {
	best := q.AskVenues[:0]
	q.Ask, q.AskSize, q.AskTotal, q.AskSlow = 0, 0, 0, false
	for _, v := range in.venues {
		if v.ask.Size == 0 || len(best) > 0 && v.ask.Price > q.Ask {
			continue
		}
		if len(best) == 0 || v.ask.Price < q.Ask {
			q.Ask, q.AskTotal, q.AskSlow, best = v.ask.Price, 0, true, best[:0]
		}
		q.AskTotal = addSize(q.AskTotal, v.ask.Size)
		q.AskSlow = q.AskSlow && v.ask.slow
		best = rankVenue(best, VenueSize{v.id, v.ask.Size})
	}
	if len(best) > 0 {
		q.AskSize = best[0].Size
	}
	q.AskVenues = best
}

// rankVenue puts a venue behind those with as large a size. There are a handful.
func rankVenue(vs []VenueSize, v VenueSize) []VenueSize {
	vs = append(vs, v)
	for i := len(vs) - 1; i > 0 && vs[i].Size > vs[i-1].Size; i-- {
		vs[i], vs[i-1] = vs[i-1], vs[i]
	}
	return vs
}

// invert notes since when the quote is locked or crossed.
func (in *instrument) invert(q *Quote, clock int64) {
	m := q.Market()
	if m != in.market {
		q.Inverted = 0
		if m == MarketLocked || m == MarketCrossed {
			q.Inverted = clock
		}
		in.tally.enter(in.market, clock)
		in.market = m
	}
}

// passNBBO makes the quote the SIP's national best, as it came, where no venue's
// own quotes are heard. It is labelled as what it is and never mixed with our
// own consolidation. A side whose condition makes it not firm is withdrawn.
func (in *instrument) passNBBO(at, received, clock int64) bool {
	q := &in.upd.Quote
	var best VenueQuote
	src := q.Source
	for _, v := range in.venues {
		if b := v.shown; b != nil && b.nbbo {
			src = SourceNBBO
			if b.usable() {
				best = b.top
				break
			}
		}
	}
	out := [2]ExcludedVenue{}
	n := 0
	for _, side := range [2]struct {
		market.Side
		firmness market.Firmness
	}{{market.SideBid, best.BidFirmness}, {market.SideAsk, best.AskFirmness}} {
		if side.firmness == market.NotFirm {
			out[n] = ExcludedVenue{best.Venue, side.Side, ExcludedCondition}
			n++
		}
	}
	if best.BidFirmness == market.NotFirm {
		best.Bid, best.BidSize, best.BidVenue, best.BidFirmness = 0, 0, 0, 0
	}
	if best.AskFirmness == market.NotFirm {
		best.Ask, best.AskSize, best.AskVenue, best.AskFirmness = 0, 0, 0, 0
	}
	bidSlow, askSlow := best.BidFirmness == market.Slow, best.AskFirmness == market.Slow
	if q.Source == src && q.Bid == best.Bid && q.BidSize == best.BidSize && q.Ask == best.Ask && q.AskSize == best.AskSize &&
		sameVenue(q.BidVenues, best.BidVenue) && sameVenue(q.AskVenues, best.AskVenue) &&
		q.BidSlow == bidSlow && q.AskSlow == askSlow && sameOut(q.Out, out[:n]) {
		return false
	}
	q.Source = src
	q.Bid, q.BidSize, q.BidTotal, q.BidSlow = best.Bid, best.BidSize, best.BidSize, bidSlow
	q.Ask, q.AskSize, q.AskTotal, q.AskSlow = best.Ask, best.AskSize, best.AskSize, askSlow
	q.BidVenues, q.AskVenues = q.BidVenues[:0], q.AskVenues[:0]
	if best.BidSize > 0 {
		q.BidVenues = append(q.BidVenues, VenueSize{best.BidVenue, best.BidSize})
	}
	if best.AskSize > 0 {
		q.AskVenues = append(q.AskVenues, VenueSize{best.AskVenue, best.AskSize})
	}
	q.Out = append(q.Out[:0], out[:n]...)
	in.invert(q, clock)
	q.Time, q.Received = at, received
	return true
}

// sameVenue reports whether a national best's side names the venue; 0 where the
// side is absent.
func sameVenue(vs []VenueSize, v market.VenueID) bool {
	if len(vs) == 0 {
		return v == 0
	}
	return vs[0].Venue == v
}
