package orderbook

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// requote computes the consolidated quote from the venues' tops and reports
// whether it changed. Only live venues count: one that is down, stale,
// resyncing or halted is out from the very message that made it so.
//
// The best bid is the highest, the best ask the lowest price; sides are
// independent of each other, and a side that nobody quotes is absent. Among the
// venues at the best price the larger size comes first, then the lower venue
// number (Reg NMS ranks by price, then size; time is not kept). An inverted
// market is shown as it is: crossing between venues is normal and a flag, not an
// error.
func (in *instrument) requote(at, received int64) bool {
	tops := false
	for _, v := range in.venues {
		var bid, ask Level
		if b := v.shown; b != nil && b.usable() && !b.nbbo {
			bid, ask = b.best()
			in.ownQuotes = true
		}
		if v.bid != bid || v.ask != ask {
			v.bid, v.ask = bid, ask
			tops = true
		}
	}
	q := &in.quote
	if !in.ownQuotes {
		return in.passNBBO(at, received)
	}
	if !tops && q.Source == SourceConsolidated {
		return false
	}
	q.Source = SourceConsolidated
	q.Bid, q.BidSize, q.BidTotal, q.Ask, q.AskSize, q.AskTotal = 0, 0, 0, 0, 0, 0
	q.BidVenues, q.AskVenues = q.BidVenues[:0], q.AskVenues[:0]
	for _, v := range in.venues {
		if v.bid.Size > 0 {
			if q.BidTotal == 0 || v.bid.Price > q.Bid {
				q.Bid, q.BidTotal, q.BidVenues = v.bid.Price, 0, q.BidVenues[:0]
			}
			if v.bid.Price == q.Bid {
				q.BidTotal = addSize(q.BidTotal, v.bid.Size)
				q.BidVenues = append(q.BidVenues, VenueSize{v.id, v.bid.Size})
			}
		}
		if v.ask.Size > 0 {
			if q.AskTotal == 0 || v.ask.Price < q.Ask {
				q.Ask, q.AskTotal, q.AskVenues = v.ask.Price, 0, q.AskVenues[:0]
			}
			if v.ask.Price == q.Ask {
				q.AskTotal = addSize(q.AskTotal, v.ask.Size)
				q.AskVenues = append(q.AskVenues, VenueSize{v.id, v.ask.Size})
			}
		}
	}
	rankVenues(q.BidVenues)
	rankVenues(q.AskVenues)
	if len(q.BidVenues) > 0 {
		q.BidSize = q.BidVenues[0].Size
	}
	if len(q.AskVenues) > 0 {
		q.AskSize = q.AskVenues[0].Size
	}
	q.Time, q.Received = at, received
	return true
}

// rankVenues sorts by size, larger first, keeping the venues' order among
// equals. Insertion sort: there are a handful.
func rankVenues(vs []VenueSize) {
	for i := 1; i < len(vs); i++ {
		for j := i; j > 0 && vs[j].Size > vs[j-1].Size; j-- {
			vs[j], vs[j-1] = vs[j-1], vs[j]
		}
	}
}

// addSize adds sizes and stays at the largest when the sum does not fit.
func addSize(a, b market.Size) market.Size {
	if c := a + b; c >= a {
		return c
	}
	return 1<<63 - 1
}

// passNBBO makes the quote the SIP's national best, as it came, where no venue's
// own quotes are heard. It is labelled as what it is and never mixed with our
// own consolidation.
func (in *instrument) passNBBO(at, received int64) bool {
	var top VenueQuote
	src := in.quote.Source
	for _, v := range in.venues {
		if b := v.shown; b != nil && b.nbbo {
			src = SourceNBBO
			if b.usable() && b.hasTop {
				top = b.top
			}
			break
		}
	}
	q := &in.quote
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

func sameVenue(vs []VenueSize, v market.VenueID) bool {
	if len(vs) == 0 {
		return v == 0
	}
	return vs[0].Venue == v
}

func (q *Quote) fits(from, to market.Scale) bool {
	ok := Level{q.Bid, q.BidTotal}.fits(from, to) && Level{q.Ask, q.AskTotal}.fits(from, to)
	return ok && !slices.ContainsFunc(q.BidVenues, func(v VenueSize) bool { return !(Level{0, v.Size}).fits(from, to) }) &&
		!slices.ContainsFunc(q.AskVenues, func(v VenueSize) bool { return !(Level{0, v.Size}).fits(from, to) })
}

func (q *Quote) rescale(from, to market.Scale) {
	rescalePrice(&q.Bid, from, to)
	rescalePrice(&q.Ask, from, to)
	for _, s := range [4]*market.Size{&q.BidSize, &q.AskSize, &q.BidTotal, &q.AskTotal} {
		rescaleSize(s, from, to)
	}
	for i := range q.BidVenues {
		rescaleSize(&q.BidVenues[i].Size, from, to)
	}
	for i := range q.AskVenues {
		rescaleSize(&q.AskVenues[i].Size, from, to)
	}
}
