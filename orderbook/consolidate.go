package orderbook

import "github.com/quotewire/quotewire/market"

// requote brings the consolidated quote up to date with the venues touched and
// reports whether it changed. Only live venues count: one that is down, stale,
// resyncing or halted is out from the very message that made it so.
//
// The best bid is the highest, the best ask the lowest price; sides are
// independent of each other, and a side that nobody quotes is absent. Among the
// venues at the best price the larger size comes first, then the lower venue
// number (Reg NMS ranks by price, then size; time is not kept). An inverted
// market is shown as it is: crossing between venues is normal and a flag, not an
// error.
func (in *instrument) requote(at, received int64) bool {
	q := &in.upd.Quote
	var bids, asks bool // sides on which the best may have changed
	for _, v := range in.venues {
		if !v.touched {
			continue
		}
		v.touched = false
		var bid, ask Level
		if b := v.shown; b != nil && b.usable() && !b.nbbo {
			bid, ask = b.best()
			in.ownQuotes = true
		}
		// A venue matters that was among the best, or is now at least as good.
		if v.bid != bid {
			bids = bids || v.bid.Size > 0 && v.bid.Price == q.Bid ||
				bid.Size > 0 && (q.BidSize == 0 || bid.Price >= q.Bid)
			v.bid = bid
		}
		if v.ask != ask {
			asks = asks || v.ask.Size > 0 && v.ask.Price == q.Ask ||
				ask.Size > 0 && (q.AskSize == 0 || ask.Price <= q.Ask)
			v.ask = ask
		}
	}
	if !in.ownQuotes {
		return in.passNBBO(at, received)
	}
	if q.Source != SourceConsolidated {
		q.Source, bids, asks = SourceConsolidated, true, true
	}
	if bids {
		in.bestBids(q)
	}
	if asks {
		in.bestAsks(q)
	}
	if !bids && !asks {
		return false
	}
	q.Time, q.Received = at, received
	return true
}

func (in *instrument) bestBids(q *Quote) {
	best := q.BidVenues[:0]
	q.Bid, q.BidSize, q.BidTotal = 0, 0, 0
	for _, v := range in.venues {
		if v.bid.Size == 0 || len(best) > 0 && v.bid.Price < q.Bid {
			continue
		}
		if len(best) == 0 || v.bid.Price > q.Bid {
			q.Bid, q.BidTotal, best = v.bid.Price, 0, best[:0]
		}
		q.BidTotal = addSize(q.BidTotal, v.bid.Size)
		best = rankVenue(best, VenueSize{v.id, v.bid.Size})
	}
	if len(best) > 0 {
		q.BidSize = best[0].Size
	}
	q.BidVenues = best
}

func (in *instrument) bestAsks(q *Quote) {
	best := q.AskVenues[:0]
	q.Ask, q.AskSize, q.AskTotal = 0, 0, 0
	for _, v := range in.venues {
		if v.ask.Size == 0 || len(best) > 0 && v.ask.Price > q.Ask {
			continue
		}
		if len(best) == 0 || v.ask.Price < q.Ask {
			q.Ask, q.AskTotal, best = v.ask.Price, 0, best[:0]
		}
		q.AskTotal = addSize(q.AskTotal, v.ask.Size)
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

// passNBBO makes the quote the SIP's national best, as it came, where no venue's
// own quotes are heard. It is labelled as what it is and never mixed with our
// own consolidation.
func (in *instrument) passNBBO(at, received int64) bool {
	q := &in.upd.Quote
	var top VenueQuote
	src := q.Source
	for _, v := range in.venues {
		if b := v.shown; b != nil && b.nbbo {
			src = SourceNBBO
			if b.usable() {
				top = b.top
				break
			}
		}
	}
	if q.Source == src && q.Bid == top.Bid && q.BidSize == top.BidSize && q.Ask == top.Ask && q.AskSize == top.AskSize &&
		sameVenue(q.BidVenues, top.BidVenue) && sameVenue(q.AskVenues, top.AskVenue) {
		return false
	}
	q.Source = src
	q.Bid, q.BidSize, q.BidTotal = top.Bid, top.BidSize, top.BidSize
	q.Ask, q.AskSize, q.AskTotal = top.Ask, top.AskSize, top.AskSize
	q.BidVenues, q.AskVenues = q.BidVenues[:0], q.AskVenues[:0]
	if top.BidSize > 0 {
		q.BidVenues = append(q.BidVenues, VenueSize{top.BidVenue, top.BidSize})
	}
	if top.AskSize > 0 {
		q.AskVenues = append(q.AskVenues, VenueSize{top.AskVenue, top.AskSize})
	}
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
