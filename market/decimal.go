package market

import (
	"math/big"

	"github.com/shopspring/decimal"
)

// ToDecimal returns the exact value of a mantissa, for people and for
// computations off the hot path.
func ToDecimal[T ~int64](m T, d Decimals) decimal.Decimal {
	return decimal.New(int64(m), -int32(d))
}

// PriceFromDecimal returns the price with d decimals that equals v. It fails with
// [ErrInexact] where v has more decimals and [ErrRange] where it does not fit.
func PriceFromDecimal(v decimal.Decimal, d Decimals) (Price, error) {
	m, err := fromDecimal(v, d)
	return Price(m), err
}

// SizeFromDecimal is [PriceFromDecimal] for a size.
func SizeFromDecimal(v decimal.Decimal, d Decimals) (Size, error) {
	m, err := fromDecimal(v, d)
	return Size(m), err
}

func fromDecimal(v decimal.Decimal, d Decimals) (int64, error) {
	coef, exp := v.Coefficient(), int64(v.Exponent())+int64(d)
	if coef.Sign() == 0 {
		return 0, nil
	}
	// 10^±(64 digits) is beyond any mantissa; do not let an absurd exponent
	// build an absurd integer.
	if exp > 64 {
		return 0, ErrRange
	}
	if exp < 0 {
		if exp < -4096 {
			return 0, ErrInexact
		}
		q, r := new(big.Int).QuoRem(coef, pow10Big(-exp), new(big.Int))
		if r.Sign() != 0 {
			return 0, ErrInexact
		}
		coef = q
	} else if exp > 0 {
		coef = new(big.Int).Mul(coef, pow10Big(exp))
	}
	if !coef.IsInt64() {
		return 0, ErrRange
	}
	return coef.Int64(), nil
}

func pow10Big(n int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil)
}
