package orderbook

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// DepthLevel is a level of the consolidated book: the size that all live venues
// show at a price, and how many of the splits that go with it are its own.
type DepthLevel struct {
	Level
	Venues int // number of entries in the splits, in order
}

// depthHead is a venue's place in the merge of the venues' ladders.
type depthHead struct {
	venue market.VenueID
	next  Level
	rest  []Level // after next; best last
}

// AppendDepth appends the best n levels (0: all) of one side over all live
// venues, best first, and the split of each by venue, in the order of the venues'
// numbers, to splits. The venues' ladders are merged on the way: nothing is kept
// that could disagree with them. A venue that sends only its top of book takes
// part with that one level, unless its condition withdraws it. What the quote
// leaves out for its size or for the LULD bands is here: it stands in the books.
func (v *View) AppendDepth(dst []DepthLevel, splits []VenueSize, side market.Side, n int) ([]DepthLevel, []VenueSize) {
	heads := v.heads[:0]
	for _, w := range v.Venues {
		// A SIP's national best repeats what venues show; it is no venue's depth.
		if !w.usable() || w.Top.BidVenue != 0 || w.Top.AskVenue != 0 || w.firmness(side) == market.NotFirm {
			continue
		}
		h := depthHead{venue: w.Venue}
		if w.HasBook {
			h.rest = w.ladder(side).levels
			if !h.advance() {
				continue
			}
		} else {
			h.next = Level{w.Top.Ask, w.Top.AskSize}
			if side == market.SideBid {
				h.next = Level{w.Top.Bid, w.Top.BidSize}
			}
			if h.next.Size == 0 {
				continue
			}
		}
		heads = append(heads, h)
	}
	v.heads = heads
	for count := 0; len(heads) > 0 && (n <= 0 || count < n); count++ {
		best := heads[0].next.Price
		for i := 1; i < len(heads); i++ {
			if p := heads[i].next.Price; side == market.SideBid && p > best || side != market.SideBid && p < best {
				best = p
			}
		}
		d := DepthLevel{Level: Level{Price: best}}
		for i := 0; i < len(heads); {
			h := &heads[i]
			if h.next.Price == best {
				d.Size = addSize(d.Size, h.next.Size)
				d.Venues++
				splits = append(splits, VenueSize{h.venue, h.next.Size})
				if !h.advance() {
					heads = slices.Delete(heads, i, i+1)
					continue
				}
			}
			i++
		}
		dst = append(dst, d)
	}
	return dst, splits
}

// advance goes to the venue's next level; false if there is none.
func (h *depthHead) advance() bool {
	i := len(h.rest) - 1
	if i < 0 {
		return false
	}
	h.next, h.rest = h.rest[i], h.rest[:i]
	return true
}
