package orderbook

import "github.com/quotewire/quotewire/market"

// MarketState is how the two sides of a quote stand to each other.
type MarketState uint8

// The states of a market.
const (
	MarketOneSided MarketState = iota // a side is absent
	MarketNormal                      // the bid is below the ask
	MarketLocked                      // both at one price
	MarketCrossed                     // the bid is above the ask
	numMarketStates
)

// Market returns how the sides stand to each other.
func (q *Quote) Market() MarketState {
	switch {
	case q.BidSize == 0 || q.AskSize == 0:
		return MarketOneSided
	case q.Bid < q.Ask:
		return MarketNormal
	case q.Bid == q.Ask:
		return MarketLocked
	}
	return MarketCrossed
}

// Locked reports whether both sides are present at one price.
func (q *Quote) Locked() bool { return q.Market() == MarketLocked }

// Crossed reports whether both sides are present and the bid is above the ask.
func (q *Quote) Crossed() bool { return q.Market() == MarketCrossed }

// sound reports whether values may be derived from the quote: of one that is
// crossed, thin or lacks a side they would mean nothing.
func (q *Quote) sound() bool {
	m := q.Market()
	return (m == MarketNormal || m == MarketLocked) && !q.Thin
}

// Spread returns ask minus bid, at the quote's own scale; false where the quote is
// crossed, thin or lacks a side, or the difference does not fit.
func (q *Quote) Spread() (market.Price, bool) {
	d := q.Ask - q.Bid
	return d, q.sound() && d >= 0
}

// Mid returns the middle of bid and ask and its decimals, at most one more than a
// price's: exact. False is as of [Quote.Spread].
func (q *Quote) Mid(scale market.Scale) (market.Price, market.Decimals, bool) {
	spread, ok := q.Spread()
	if !ok {
		return 0, 0, false
	}
	if spread%2 == 0 {
		return q.Bid + spread/2, scale.Price, true
	}
	tenths, err := market.Rescale(q.Bid+spread/2, 0, 1)
	if err != nil || scale.Price == market.MaxDecimals || tenths > 1<<63-6 {
		return 0, 0, false
	}
	return tenths + 5, scale.Price + 1, true
}

// Ratio is a price as an exact rational: (Whole + Num/Den) × 10^-decimals, where
// the decimals are those of the prices that it was made of.
type Ratio struct {
	Whole market.Price
	Num   Uint128
	Den   uint64
}

// Microprice returns the middle weighted by the size on the other side, over all
// venues at the best price: bid + spread × bid size / (bid size + ask size).
// False is as of [Quote.Spread].
func (q *Quote) Microprice() (Ratio, bool) {
	spread, ok := q.Spread()
	if !ok {
		return Ratio{}, false
	}
	n, _ := Uint128{}.AddProduct(spread, q.BidTotal) // two numbers of 63 bits fit
	return Ratio{q.Bid, n, uint64(q.BidTotal) + uint64(q.AskTotal)}, true
}

// MicropriceDecimals is how many decimals beyond the price's a microprice is
// shown with.
const MicropriceDecimals = 4

// Round returns the ratio rounded half up to at most MicropriceDecimals more
// decimals than d, those of the prices that it was made of; fewer where it does
// not fit, false where it never does.
func (r Ratio) Round(d market.Decimals) (market.Price, market.Decimals, bool) {
	for extra := market.Decimals(MicropriceDecimals); extra >= 0; extra-- {
		if d+extra > market.MaxDecimals {
			continue
		}
		whole, err := market.Rescale(r.Whole, 0, extra)
		n, ok := r.Num.MulPow10(extra)
		if err != nil || !ok {
			continue
		}
		part, ok := n.Div(r.Den)
		if p := whole + market.Price(part); ok && p >= whole {
			p, decimals := market.Trim(p, d+extra, d)
			return p, decimals, true
		}
	}
	return 0, 0, false
}
