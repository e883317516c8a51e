package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/market"
)

// decimal reads a price or size, written as a number or as a string.
func (s *scanner) decimal(v span) (m int64, d market.Decimals, ok bool) {
	switch v.kind {
	case number, text:
		m, d, err := market.ParseNumber(s.raw(v))
		return m, d, err == nil
	}
	return 0, 0, false
}

// amount is decimal for what cannot be negative.
func (s *scanner) amount(v span) (m int64, d market.Decimals, ok bool) {
	m, d, ok = s.decimal(v)
	return m, d, ok && m >= 0
}

// uint reads a whole number that is not negative, written as a number or as a
// string of digits. It takes all of 64 bits.
func (s *scanner) uint(v span) (n uint64, ok bool) {
	if v.kind != number && v.kind != text {
		return 0, false
	}
	b := s.raw(v)
	if len(b) == 0 {
		return 0, false
	}
	if len(b) > 19 { // 19 digits always fit
		return s.slowUint(b)
	}
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return s.slowUint(b)
		}
		n = n*10 + uint64(c)
	}
	return n, true
}

// slowUint is uint for numbers with a point or exponent and for the last few
// that fit 64 bits.
func (s *scanner) slowUint(b []byte) (uint64, bool) {
	if len(b) == 20 && digits(b, 0) == 20 {
		var n uint64
		for _, c := range b[:19] {
			n = n*10 + uint64(c-'0')
		}
		if low := uint64(b[19] - '0'); n <= (math.MaxUint64-low)/10 {
			return n*10 + low, true
		}
		return 0, false
	}
	m, d, err := market.ParseNumber(b)
	if err != nil || m < 0 {
		return 0, false
	}
	m, err = market.Rescale(m, d, 0)
	return uint64(m), err == nil
}

// flag reads a boolean; whatever else stands there is false.
func flag(v span) bool { return v.kind == boolTrue }

// align brings two mantissas to the finer of their decimals.
func align(a int64, da market.Decimals, b int64, db market.Decimals) (x, y int64, d market.Decimals, ok bool) {
	if da == db {
		return a, b, da, true
	}
	d = max(da, db)
	x, err := market.Rescale(a, da, d)
	if err != nil {
		return 0, 0, 0, false
	}
	y, err = market.Rescale(b, db, d)
	return x, y, d, err == nil
}
