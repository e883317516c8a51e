package market

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Price is the mantissa of a price. Its value is mantissa × 10^-decimals; the
// decimals travel beside it, in an [Event] or a [Scale].
type Price int64

// Size is the mantissa of a quantity, on the same terms as [Price]. It is a
// type of its own, so that adding a price to a size does not compile.
type Size int64

// Decimals counts the digits after the decimal point that a mantissa carries,
// 0 to [MaxDecimals].
type Decimals int8

// MaxDecimals is the finest scale: 10^18 still fits a signed 64-bit mantissa.
const MaxDecimals Decimals = 18

// Errors of number conversions. They are returned as they are, without
// wrapping, because they occur on the hot path.
var (
	// ErrSyntax means that a text is not a decimal number.
	ErrSyntax = errors.New("market: not a decimal number")
	// ErrRange means that a number does not fit a signed 64-bit mantissa at
	// the scale asked for, or needs more than MaxDecimals decimals.
	ErrRange = errors.New("market: number out of range")
	// ErrInexact means that a number has more decimals than the scale asked
	// for, so that it could only be rounded.
	ErrInexact = errors.New("market: number has more decimals than the scale")
)

// Scale is the pair of exponents that the books of one instrument share.
type Scale struct {
	Price Decimals // decimals of prices
	Size  Decimals // decimals of sizes
}

// Finer returns the scale that holds both s and t exactly.
func (s Scale) Finer(t Scale) Scale {
	return Scale{Price: max(s.Price, t.Price), Size: max(s.Size, t.Size)}
}

// String returns "price decimals/size decimals", for logs.
func (s Scale) String() string { return fmt.Sprintf("%d/%d", s.Price, s.Size) }

var pow10 = [MaxDecimals + 1]int64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

// Pow10 returns 10^d. d must be in 0..MaxDecimals.
func Pow10(d Decimals) int64 { return pow10[d] }

// ParseNumber reads a decimal number: an optional sign, digits with an optional
// point, and an optional exponent ("4.522e-05", "1E-8"), as JSON numbers and
// the text of every provider are written. No float is involved.
//
// The decimals returned are those of the text, trailing zeros included, because
// some venues' checksums are over them: "63499.0" has one. Only where the
// mantissa would not fit are trailing zeros dropped. What still does not fit is
// [ErrRange].
func ParseNumber[T ~string | ~[]byte](s T) (mantissa int64, decimals Decimals, err error) {
	if m, frac, ok := parseShort(s); ok {
		return m, frac, nil
	}
	i, n := 0, len(s)
	neg := false
	if i < n && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	var m uint64
	digits, frac := 0, 0
	point := false
	// zeros counts trailing zeros that have been read but not yet multiplied
	// in, so that "1.000000000000000000000" still fits.
	zeros := 0
	for ; i < n; i++ {
		c := s[i]
		if c == '.' {
			if point {
				return 0, 0, ErrSyntax
			}
			point = true
			continue
		}
		d := c - '0'
		if d > 9 {
			break
		}
		digits++
		if point {
			frac++
		}
		if d == 0 {
			if m != 0 {
				zeros++
			}
			continue
		}
		for ; zeros > 0; zeros-- {
			if m > math.MaxInt64/10 {
				return 0, 0, ErrRange
			}
			m *= 10
		}
		if m > math.MaxInt64/10 {
			return 0, 0, ErrRange
		}
		m = m*10 + uint64(d)
	}
	if digits == 0 {
		return 0, 0, ErrSyntax
	}
	exp := 0
	if i < n {
		if s[i] != 'e' && s[i] != 'E' {
			return 0, 0, ErrSyntax
		}
		i++
		eneg := false
		if i < n && (s[i] == '-' || s[i] == '+') {
			eneg = s[i] == '-'
			i++
		}
		if i == n {
			return 0, 0, ErrSyntax
		}
		for ; i < n; i++ {
			d := s[i] - '0'
			if d > 9 {
				return 0, 0, ErrSyntax
			}
			if exp < 10000 {
				exp = exp*10 + int(d)
			}
		}
		if eneg {
			exp = -exp
		}
	}
	if m > math.MaxInt64 {
		return 0, 0, ErrRange
	}
	if m == 0 {
		// Zero fits any scale; keep the text's decimals within bounds.
		return 0, Decimals(min(max(frac-exp, 0), int(MaxDecimals))), nil
	}
	// value = m × 10^(zeros - frac + exp)
	frac -= exp
	if drop := min(zeros, frac-int(MaxDecimals)); drop > 0 {
		zeros, frac = zeros-drop, frac-drop
	}
	for ; zeros > 0 && m <= math.MaxInt64/10; zeros-- {
		m *= 10
	}
	frac -= zeros // those that did not fit
	for ; frac < 0; frac++ {
		if m > math.MaxInt64/10 {
			return 0, 0, ErrRange
		}
		m *= 10
	}
	for frac > int(MaxDecimals) {
		if m%10 != 0 {
			return 0, 0, ErrRange
		}
		m /= 10
		frac--
	}
	if neg {
		return -int64(m), Decimals(frac), nil
	}
	return int64(m), Decimals(frac), nil
}

// parseShort is ParseNumber for what nearly every number is: digits with at most
// one point among them, too few of them to overflow.
func parseShort[T ~string | ~[]byte](s T) (mantissa int64, decimals Decimals, ok bool) {
	n := len(s)
	if n > 18 {
		return 0, 0, false
	}
	m, i := int64(0), 0
	for ; i < n && s[i]-'0' <= 9; i++ {
		m = m*10 + int64(s[i]-'0')
	}
	if i == n {
		return m, 0, n > 0
	}
	point := i + 1
	if s[i] != '.' || i == 0 {
		return 0, 0, false
	}
	for i = point; i < n; i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, 0, false
		}
		m = m*10 + int64(d)
	}
	return m, Decimals(n - point), true
}

// ParsePrice is [ParseNumber] for a price.
func ParsePrice[T ~string | ~[]byte](s T) (Price, Decimals, error) {
	m, d, err := ParseNumber(s)
	return Price(m), d, err
}

// ParseSize is [ParseNumber] for a size.
func ParseSize[T ~string | ~[]byte](s T) (Size, Decimals, error) {
	m, d, err := ParseNumber(s)
	return Size(m), d, err
}

// Rescale converts a mantissa from one number of decimals to another. It fails
// with [ErrRange] where the result does not fit, and with [ErrInexact] where
// decimals other than zeros would be lost.
func Rescale[T ~int64](m T, from, to Decimals) (T, error) {
	switch {
	case from == to || m == 0:
		return m, nil
	case from < to:
		p := pow10[to-from]
		u := uint64(m)
		if m < 0 {
			u = -u
		}
		hi, lo := bits.Mul64(u, uint64(p))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, ErrRange
		}
		if m < 0 {
			return -T(lo), nil
		}
		return T(lo), nil
	default:
		p := T(pow10[from-to])
		if m%p != 0 {
			return 0, ErrInexact
		}
		return m / p, nil
	}
}

// Trim drops trailing zeros after the point: 1500 at 3 decimals becomes 15 at 1.
// It never goes below floor decimals.
func Trim[T ~int64](m T, d, floor Decimals) (T, Decimals) {
	if m == 0 {
		return 0, min(d, floor)
	}
	for d > floor && m%10 == 0 {
		m /= 10
		d--
	}
	return m, d
}

// AppendNumber appends the canonical text of a mantissa: no exponent, no
// trailing zeros after the point, "0" for zero.
func AppendNumber[T ~int64](dst []byte, m T, d Decimals) []byte {
	m, d = Trim(m, d, 0)
	return AppendFixed(dst, m, d)
}

// AppendFixed appends the text of a mantissa with exactly d decimals, trailing
// zeros included: 500 at 8 decimals is "0.00000500".
func AppendFixed[T ~int64](dst []byte, m T, d Decimals) []byte {
	u := uint64(m)
	if m < 0 {
		dst = append(dst, '-')
		u = -u
	}
	var buf [24]byte
	i := len(buf)
	for n := Decimals(0); n < d; n++ {
		i--
		buf[i] = byte('0' + u%10)
		u /= 10
	}
	if d > 0 {
		i--
		buf[i] = '.'
	}
	for {
		i--
		buf[i] = byte('0' + u%10)
		u /= 10
		if u == 0 {
			break
		}
	}
	return append(dst, buf[i:]...)
}

// Format returns the canonical text of a mantissa, see [AppendNumber].
func Format[T ~int64](m T, d Decimals) string {
	var buf [24]byte
	return string(AppendNumber(buf[:0], m, d))
}
