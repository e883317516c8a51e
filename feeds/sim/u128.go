package sim

import "math/bits"

// u128 sums price × size, which passes 64 bits within a busy day.
type u128 struct{ hi, lo uint64 }

func (s *u128) addProduct(a, b int64) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	var c uint64
	s.lo, c = bits.Add64(s.lo, lo, 0)
	s.hi, _ = bits.Add64(s.hi, hi, c)
}

// div is the rounded quotient; it must fit 64 bits, as an average of prices does.
func (s u128) div(d int64) int64 {
	lo, c := bits.Add64(s.lo, uint64(d)/2, 0)
	q, _ := bits.Div64(s.hi+c, lo, uint64(d))
	return int64(q)
}
