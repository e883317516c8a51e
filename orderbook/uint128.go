package orderbook

import (
	"math/bits"

	"github.com/quotewire/quotewire/market"
)

// AddProduct returns u + p×s, false on overflow. Both must not be negative.
func (u Uint128) AddProduct(p market.Price, s market.Size) (Uint128, bool) {
	hi, lo := bits.Mul64(uint64(p), uint64(s))
	lo, carry := bits.Add64(u.Lo, lo, 0)
	hi, carry = bits.Add64(u.Hi, hi, carry)
	return Uint128{hi, lo}, carry == 0
}

// Add returns u + v, false on overflow.
func (u Uint128) Add(v Uint128) (Uint128, bool) {
	lo, carry := bits.Add64(u.Lo, v.Lo, 0)
	hi, carry := bits.Add64(u.Hi, v.Hi, carry)
	return Uint128{hi, lo}, carry == 0
}

// Sub returns u - v, false if that is negative.
func (u Uint128) Sub(v Uint128) (Uint128, bool) {
	lo, borrow := bits.Sub64(u.Lo, v.Lo, 0)
	hi, borrow := bits.Sub64(u.Hi, v.Hi, borrow)
	return Uint128{hi, lo}, borrow == 0
}

// MulPow10 returns u × 10^d, false on overflow.
func (u Uint128) MulPow10(d market.Decimals) (Uint128, bool) {
	f := uint64(market.Pow10(d))
	h1, lo := bits.Mul64(u.Lo, f)
	h2, mid := bits.Mul64(u.Hi, f)
	hi, carry := bits.Add64(h1, mid, 0)
	return Uint128{hi, lo}, h2 == 0 && carry == 0
}

// Div returns u / d rounded half up, false if d is 0 or the result needs more
// than 63 bits.
func (u Uint128) Div(d uint64) (int64, bool) {
	if d == 0 || u.Hi >= d {
		return 0, false
	}
	q, r := bits.Div64(u.Hi, u.Lo, d)
	if q > 1<<63-1 {
		return 0, false // before rounding: the largest of all would wrap to 0
	}
	if r >= d-r {
		q++
	}
	return int64(q), q <= 1<<63-1
}

// VWAPDecimals is how many decimals beyond the price's a VWAP is shown with.
const VWAPDecimals = 2

// VWAP returns the volume-weighted average price and its decimals, rounded half
// up at two decimals more than a price's; false if there is no volume.
func (t *Ticker) VWAP(scale market.Scale) (market.Price, market.Decimals, bool) {
	return vwap(t.Notional, t.Volume, scale)
}

func vwap(notional Uint128, volume market.Size, scale market.Scale) (market.Price, market.Decimals, bool) {
	for extra := market.Decimals(VWAPDecimals); extra >= 0; extra-- {
		if scale.Price+extra > market.MaxDecimals {
			continue
		}
		n, ok := notional.MulPow10(extra)
		if !ok {
			continue
		}
		if v, ok := n.Div(uint64(volume)); ok {
			return market.Price(v), scale.Price + extra, true
		}
	}
	return 0, 0, false
}
