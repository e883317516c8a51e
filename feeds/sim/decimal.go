package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// appendFixed appends the non-negative v × 10^-decimals with all its decimals,
// trailing zeros included.
func appendFixed(b []byte, v int64, decimals int) []byte {
	if decimals == 0 {
		return strconv.AppendInt(b, v, 10)
	}
	p := int64(1)
	for range decimals {
		p *= 10
	}
	b = strconv.AppendInt(b, v/p, 10)
	b = append(b, '.')
	frac := v % p
	for q := p / 10; q > 0; q /= 10 {
		b = append(b, byte('0'+frac/q%10))
	}
	return b
}

// appendTrim appends v × 10^-decimals without trailing zeros.
func appendTrim(b []byte, v int64, decimals int) []byte {
	for decimals > 0 && v%10 == 0 {
		v /= 10
		decimals--
	}
	return appendFixed(b, v, decimals)
}

// appendNumber appends v × 10^-decimals the way a provider that prints floats
// does: without trailing zeros, and below 0.0001 with an exponent (4.522e-05).
// The digits stay exact, whichever form they take.
func appendNumber(b []byte, v int64, decimals int) []byte {
	for decimals > 0 && v%10 == 0 {
		v /= 10
		decimals--
	}
	digits := 0
	for x := v; x > 0; x /= 10 {
		digits++
	}
	exp := decimals - digits + 1 // value = d.ddd × 10^-exp
	if v == 0 || exp < 5 {
		return appendFixed(b, v, decimals)
	}
	b = appendFixed(b, v, digits-1)
	b = append(b, 'e', '-')
	if exp < 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, int64(exp), 10)
}

// parseFixed reads a plain decimal text as a mantissa at the given decimals. It
// refuses what does not fit instead of rounding it.
func parseFixed(s string, decimals int) (int64, error) {
	whole, frac, _ := strings.Cut(s, ".")
	frac = strings.TrimRight(frac, "0")
	if whole == "" {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	if len(frac) > decimals {
		return 0, fmt.Errorf("%q has more than %d decimals", s, decimals)
	}
	v, err := strconv.ParseUint(whole+frac+strings.Repeat("0", decimals-len(frac)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	return int64(v), nil
}

// appendTime appends RFC 3339 in UTC with microseconds, as Coinbase and Kraken
// print their times.
func appendTime(b []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
}
