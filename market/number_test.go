package market_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

func drawDecimals(t *rapid.T, label string) market.Decimals {
	return market.Decimals(rapid.IntRange(0, int(market.MaxDecimals)).Draw(t, label))
}

// drawMantissa draws from all of int64, with the edges and short numbers often.
func drawMantissa(t *rapid.T) int64 {
	return rapid.OneOf(
		rapid.Int64Range(-math.MaxInt64, math.MaxInt64),
		rapid.Int64Range(-1_000_000, 1_000_000),
		rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, -math.MaxInt64, math.MaxInt64 / 10, math.MaxInt64/10 + 1, 1e18, 9e18}),
	).Draw(t, "mantissa")
}

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]struct {
		m int64
		d market.Decimals
	}{
		"0": {0, 0}, "-0": {0, 0}, "0.00": {0, 2}, "63499.0": {634990, 1}, "0.00100000": {100000, 8}, "007": {7, 0},
		"1.5": {15, 1}, "-1.5": {-15, 1}, "+1.5": {15, 1}, ".5": {5, 1}, "5.": {5, 0},
		"4.522e-05": {4522, 8}, "1E-8": {1, 8}, "1e-8": {1, 8}, "1.5e3": {1500, 0}, "1e+2": {100, 0}, "12e0": {12, 0}, "1.50e1": {150, 1},
		"9223372036854775807": {math.MaxInt64, 0}, "-9223372036854775807": {-math.MaxInt64, 0},
		"9.223372036854775807": {math.MaxInt64, 18}, "0.000000000000000001": {1, 18},
		// BRK.A, and PEPE: ten decimals and sizes in the trillions.
		"750000.00": {75000000, 2}, "0.0000123456": {123456, 10}, "420690000000000.00000000": {4206900000000000000, 4},
		// Zeros that do not fit are dropped, those that do are kept.
		"1.0000000000000000000": {1e18, 18}, "10.000000000000000000": {1e18, 17}, "5000.0000000000000000": {5e18, 15},
		"9223372036854775807.0": {math.MaxInt64, 0}, "1.5e-17": {15, 18}, "100e-20": {1, 18}, "0e99999999999": {0, 0}, "0e-99": {0, 18},
	} {
		m, d, err := market.ParseNumber(text)
		if err != nil || m != want.m || d != want.d {
			t.Errorf("%q: got %d, %d, %v; want %d, %d", text, m, d, err, want.m, want.d)
		}
		if m2, d2, err2 := market.ParseNumber([]byte(text)); m2 != m || d2 != d || err2 != err {
			t.Errorf("%q: bytes and string differ", text)
		}
	}
	for text, want := range map[string]error{
		"": market.ErrSyntax, "-": market.ErrSyntax, ".": market.ErrSyntax, "e5": market.ErrSyntax, "1e": market.ErrSyntax, "1e+": market.ErrSyntax,
		"1.2.3": market.ErrSyntax, "1,5": market.ErrSyntax, " 1": market.ErrSyntax, "1 ": market.ErrSyntax, "NaN": market.ErrSyntax,
		"Infinity": market.ErrSyntax, "0x10": market.ErrSyntax, "1e5.5": market.ErrSyntax, "--1": market.ErrSyntax, "1_000": market.ErrSyntax, "٣": market.ErrSyntax,
		"9223372036854775808": market.ErrRange, "-9223372036854775808": market.ErrRange, "92233720368547758070": market.ErrRange,
		"1e19": market.ErrRange, "1e-19": market.ErrRange, "0.0000000000000000001": market.ErrRange, "1e999999999999": market.ErrRange,
		"1e-999999999999": market.ErrRange, "9.2233720368547758071": market.ErrRange, "1000000000000000000000.5": market.ErrRange,
	} {
		if m, d, err := market.ParseNumber(text); err != want {
			t.Errorf("%q: got %d, %d, %v; want %v", text, m, d, err, want)
		}
	}
}

func TestParseNumberReadsWhatAppendFixedWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, d := drawMantissa(t), drawDecimals(t, "decimals")
		text := string(market.AppendFixed(nil, m, d))
		if want := decimal.New(m, -int32(d)).StringFixed(int32(d)); text != want && m != 0 {
			t.Fatalf("AppendFixed(%d, %d) = %s, want %s", m, d, text, want)
		}
		gotM, gotD, err := market.ParseNumber(text)
		if err != nil || gotM != m || gotD != d {
			t.Fatalf("%s: got %d, %d, %v; want %d, %d", text, gotM, gotD, err, m, d)
		}
	})
}

func TestAppendNumberIsTheShortestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, d := drawMantissa(t), drawDecimals(t, "decimals")
		text := string(market.AppendNumber([]byte("x"), m, d))[1:]
		if want := decimal.New(m, -int32(d)).String(); text != want {
			t.Fatalf("AppendNumber(%d, %d) = %s, want %s", m, d, text, want)
		}
		if market.Format(m, d) != text {
			t.Fatalf("Format(%d, %d) differs", m, d)
		}
	})
	if got := market.Format(int64(math.MinInt64), 18); got != "-9.223372036854775808" {
		t.Errorf("the least mantissa: %s", got)
	}
}

func TestParseNumberAgreesWithShopspring(t *testing.T) {
	// Any decimal text, with exponent or without: the value is the same, or it
	// does not fit a mantissa of 64 bits and 18 decimals.
	text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,21}|0{1,3}[0-9]{1,5})(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,2})?`)
	limit := decimal.New(math.MaxInt64, 0)
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		want, err := decimal.NewFromString(s)
		if err != nil {
			t.Skip()
		}
		m, d, err := market.ParseNumber(s)
		if d < 0 || d > market.MaxDecimals {
			t.Fatalf("%s: decimals %d", s, d)
		}
		if err == nil {
			if got := market.ToDecimal(m, d); !got.Equal(want) {
				t.Fatalf("%s: got %s, want %s", s, got, want)
			}
			return
		}
		// What does not fit needs more than 18 decimals or a larger mantissa at
		// the fewest decimals that hold it.
		if !errors.Is(err, market.ErrRange) {
			t.Fatalf("%s: %v", s, err)
		}
		least := want
		fewest := int32(0)
		for !least.Equal(least.Truncate(0)) {
			least = least.Shift(1)
			fewest++
		}
		if fewest <= int32(market.MaxDecimals) && least.Abs().LessThanOrEqual(limit) {
			t.Fatalf("%s: refused, but %s at %d decimals fits", s, least, fewest)
		}
	})
}

func TestRescaleAgreesWithBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, from, to := drawMantissa(t), drawDecimals(t, "from"), drawDecimals(t, "to")
		got, err := market.Rescale(m, from, to)
		want := big.NewInt(m)
		if to >= from {
			want.Mul(want, big.NewInt(market.Pow10(to-from)))
			if !want.IsInt64() || want.Int64() == math.MinInt64 {
				if err != market.ErrRange {
					t.Fatalf("Rescale(%d, %d, %d) = %d, %v; want ErrRange", m, from, to, got, err)
				}
				return
			}
		} else {
			r := new(big.Int)
			want.QuoRem(want, big.NewInt(market.Pow10(from-to)), r)
			if r.Sign() != 0 {
				if err != market.ErrInexact {
					t.Fatalf("Rescale(%d, %d, %d) = %d, %v; want ErrInexact", m, from, to, got, err)
				}
				return
			}
		}
		if err != nil || got != want.Int64() {
			t.Fatalf("Rescale(%d, %d, %d) = %d, %v; want %s", m, from, to, got, err, want)
		}
	})
}

func TestTrimKeepsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, d, floor := drawMantissa(t), drawDecimals(t, "decimals"), drawDecimals(t, "floor")
		got, gotD := market.Trim(m, d, floor)
		if !market.ToDecimal(got, gotD).Equal(market.ToDecimal(m, d)) {
			t.Fatalf("Trim(%d, %d, %d) = %d, %d: another value", m, d, floor, got, gotD)
		}
		if gotD > d || gotD < min(d, floor) || gotD > floor && got%10 == 0 {
			t.Fatalf("Trim(%d, %d, %d) = %d, %d", m, d, floor, got, gotD)
		}
	})
}

func TestDecimalConversions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, d := drawMantissa(t), drawDecimals(t, "decimals")
		v := market.ToDecimal(market.Price(m), d)
		back, err := market.PriceFromDecimal(v, d)
		if err != nil || int64(back) != m {
			t.Fatalf("%s at %d: got %d, %v; want %d", v, d, back, err, m)
		}
		to := drawDecimals(t, "to")
		want, wantErr := market.Rescale(market.Size(m), d, to)
		got, err := market.SizeFromDecimal(v, to)
		if got != want || err != wantErr {
			t.Fatalf("%s at %d: got %d, %v; Rescale says %d, %v", v, to, got, err, want, wantErr)
		}
	})
	for _, c := range []struct {
		v    decimal.Decimal
		d    market.Decimals
		want error
	}{
		{decimal.New(1, 19), 0, market.ErrRange},
		{decimal.New(1, math.MaxInt32), 18, market.ErrRange},
		{decimal.New(1, math.MinInt32), 18, market.ErrInexact},
		{decimal.New(0, math.MaxInt32), 18, nil},
		{decimal.New(1, -19), 18, market.ErrInexact},
		{decimal.New(math.MaxInt64, 0), 1, market.ErrRange},
	} {
		if _, err := market.PriceFromDecimal(c.v, c.d); err != c.want {
			t.Errorf("%de%d at %d: got %v, want %v", c.v.Coefficient(), c.v.Exponent(), c.d, err, c.want)
		}
	}
}

func TestScaleFiner(t *testing.T) {
	a, b := market.Scale{Price: 2, Size: 8}, market.Scale{Price: 10, Size: 0}
	if got, want := a.Finer(b), (market.Scale{Price: 10, Size: 8}); got != want || got != b.Finer(a) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNumbersDoNotAllocate(t *testing.T) {
	text, buf := []byte("63501.60000000"), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		m, d, err := market.ParseNumber(text)
		if err != nil {
			t.Fatal(err)
		}
		buf = market.AppendFixed(market.AppendNumber(buf[:0], m, d), m, d)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "4.522e-05", "9223372036854775807", "1e19", ".5", "5.", "+", "1.0000000000000000000", "10.000000000000000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, d, err := market.ParseNumber(s)
		if err != nil {
			if err != market.ErrSyntax && err != market.ErrRange {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if d < 0 || d > market.MaxDecimals || m == math.MinInt64 {
			t.Fatalf("%q: mantissa %d, decimals %d", s, m, d)
		}
		if i := strings.IndexAny(s, "eE"); len(s) > 100 || i >= 0 && len(s)-i > 5 {
			return // the oracle would build a huge integer
		}
		want, err := decimal.NewFromString(s)
		if err != nil {
			t.Fatalf("%q: taken as %s, shopspring says %v", s, market.Format(m, d), err)
		}
		if got := market.ToDecimal(m, d); !got.Equal(want) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
		if m2, d2, err := market.ParseNumber(market.AppendFixed(nil, m, d)); err != nil || m2 != m || d2 != d {
			t.Errorf("%q: does not survive its own text: %d, %d, %v", s, m2, d2, err)
		}
	})
}

var benchTexts = []string{"187.23", "63501.6", "0.63889204", "0.0000123456", "750000.00"}

func BenchmarkParse(b *testing.B) {
	b.Run("ParseNumber", func(b *testing.B) {
		b.ReportAllocs()
		texts := make([][]byte, len(benchTexts))
		for i, s := range benchTexts {
			texts[i] = []byte(s)
		}
		i := 0
		for b.Loop() {
			if _, _, err := market.ParseNumber(texts[i%len(texts)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("shopspring", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := decimal.NewFromString(benchTexts[i%len(benchTexts)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	b.Run("AppendNumber", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = market.AppendNumber(buf[:0], int64(63889204), 8)
		}
	})
	b.Run("AppendFixed", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = market.AppendFixed(buf[:0], int64(63889204), 8)
		}
	})
	b.Run("shopspring", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		v := decimal.New(63889204, -8)
		for b.Loop() {
			buf = append(buf[:0], v.String()...)
		}
	})
}
