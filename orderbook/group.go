package orderbook

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// Group is a price step that levels are grouped by; the zero value groups nothing.
type Group struct {
	Step     market.Price
	Decimals market.Decimals // of Step
}

// Scale returns the scale at which grouped levels are: the view's, or a finer one
// where the step needs it.
func (g Group) Scale(s market.Scale) market.Scale {
	if g.Step > 0 {
		s.Price = max(s.Price, g.Decimals)
	}
	return s
}

// round returns the group that a price at the view's scale belongs to: bids are
// rounded down to a multiple of the step and asks up, so that a group never shows
// a better price than was quoted. It fails where that does not fit.
func (g Group) round(p market.Price, from, to market.Decimals, side market.Side) (market.Price, bool) {
	p, err1 := market.Rescale(p, from, to)
	step, err2 := market.Rescale(g.Step, g.Decimals, to)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	r := p % step
	if r < 0 { // below zero, where spreads trade
		r += step
	}
	p -= r
	if r > 0 && side != market.SideBid {
		if p+step < p {
			return 0, false
		}
		p += step
	}
	return p, true
}

// AppendGrouped is [View.AppendDepth] with levels grouped by a price step, at the
// scale that [Group.Scale] returns: n groups (0: all), each with the sum of its
// levels and its split by venue. With a venue other than [market.Consolidated], it
// is over that venue's levels alone, live or halted. A price that does not fit 64
// bits at that scale is left out.
func (v *View) AppendGrouped(dst []DepthLevel, splits []VenueSize, side market.Side, n int, g Group, venue market.VenueID) ([]DepthLevel, []VenueSize) {
	heads := v.groupHeads(side, venue)
	to := g.Scale(v.Scale).Price
	first, from := len(dst), 0
	for len(heads) > 0 {
		at := 0
		for i := range heads {
			if p, best := heads[i].next.Price, heads[at].next.Price; side == market.SideBid && p > best || side != market.SideBid && p < best {
				at = i
			}
		}
		h := &heads[at]
		lv, from0 := h.next, h.venue
		if !h.advance() {
			heads = slices.Delete(heads, at, at+1)
		}
		p, ok := g.round(lv.Price, v.Scale.Price, to, side)
		if !ok {
			continue
		}
		if len(dst) == first || dst[len(dst)-1].Price != p {
			if n > 0 && len(dst)-first == n {
				break
			}
			dst, from = append(dst, DepthLevel{Level: Level{Price: p}}), len(splits)
		}
		d := &dst[len(dst)-1]
		d.Size = addSize(d.Size, lv.Size)
		i, found := slices.BinarySearchFunc(splits[from:], from0, func(s VenueSize, id market.VenueID) int { return int(s.Venue) - int(id) })
		if found {
			splits[from+i].Size = addSize(splits[from+i].Size, lv.Size)
		} else {
			splits = slices.Insert(splits, from+i, VenueSize{from0, lv.Size})
			d.Venues++
		}
	}
	return dst, splits
}

// groupHeads returns where the merge of the venues' levels begins.
func (v *View) groupHeads(side market.Side, venue market.VenueID) []depthHead {
	heads := v.heads[:0]
	for _, w := range v.Venues {
		if venue == market.Consolidated {
			if !w.usable() || w.Top.BidVenue != 0 || w.Top.AskVenue != 0 || w.firmness(side) == market.NotFirm {
				continue
			}
		} else if w.Venue != venue || !w.usable() && w.State != StateHalted {
			continue
		}
		h := depthHead{venue: w.Venue}
		switch {
		case w.HasBook:
			h.rest = w.ladder(side).levels
			if !h.advance() {
				continue
			}
		case side == market.SideBid:
			h.next = Level{w.Top.Bid, w.Top.BidSize}
		default:
			h.next = Level{w.Top.Ask, w.Top.AskSize}
		}
		if h.next.Size > 0 {
			heads = append(heads, h)
		}
	}
	v.heads = heads
	return heads
}
