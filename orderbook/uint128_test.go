package orderbook

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

func (u Uint128) big() *big.Int {
	return new(big.Int).Add(new(big.Int).Lsh(new(big.Int).SetUint64(u.Hi), 64), new(big.Int).SetUint64(u.Lo))
}

// TestUint128 holds the arithmetic against math/big.
func TestUint128(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	number := rapid.OneOf(rapid.Uint64(), rapid.Uint64Max(9), rapid.Uint64Min(math.MaxUint64-9))
	rapid.Check(t, func(t *rapid.T) {
		u := Uint128{number.Draw(t, "hi"), number.Draw(t, "lo")}
		p := rapid.OneOf(rapid.Int64Min(0), rapid.Int64Min(math.MaxInt64-9)).Draw(t, "price")
		s := rapid.OneOf(rapid.Int64Min(0), rapid.Int64Min(math.MaxInt64-9)).Draw(t, "size")
		want := new(big.Int).Mul(big.NewInt(p), big.NewInt(s))
		want.Add(want, u.big())
		got, ok := u.AddProduct(market.Price(p), market.Size(s))
		if ok != (want.Cmp(limit) < 0) || ok && got.big().Cmp(want) != 0 {
			t.Fatalf("%v + %d × %d = %v, %v, want %s", u, p, s, got, ok, want)
		}
		d := market.Decimals(rapid.IntRange(0, int(market.MaxDecimals)).Draw(t, "decimals"))
		want = new(big.Int).Mul(u.big(), big.NewInt(market.Pow10(d)))
		got, ok = u.MulPow10(d)
		if ok != (want.Cmp(limit) < 0) || ok && got.big().Cmp(want) != 0 {
			t.Fatalf("%v × 10^%d = %v, %v, want %s", u, d, got, ok, want)
		}
		by := number.Draw(t, "divisor")
		if rapid.Bool().Draw(t, "small") {
			u.Hi = u.Hi % max(by, 1)
		}
		q, ok := u.Div(by)
		if by == 0 {
			if ok {
				t.Fatal("divided by zero")
			}
			return
		}
		// Rounded half up: floor((2u + by) / 2by).
		want = new(big.Int).Lsh(u.big(), 1)
		want.Add(want, new(big.Int).SetUint64(by))
		want.Quo(want, new(big.Int).Lsh(new(big.Int).SetUint64(by), 1))
		if ok != want.IsInt64() || ok && want.Int64() != q {
			t.Fatalf("%v / %d = %d, %v, want %s", u, by, q, ok, want)
		}
	})
}
