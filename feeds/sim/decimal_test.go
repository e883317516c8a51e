package sim

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDecimalForms(t *testing.T) {
	cases := []struct {
		v                   int64
		decimals            int
		fixed, trim, number string
	}{
		{0, 0, "0", "0", "0"},
		{0, 8, "0.00000000", "0", "0"},
		{10, 1, "1.0", "1", "1"},
		{4522, 8, "0.00004522", "0.00004522", "4.522e-05"},
		{98450, 10, "0.0000098450", "0.000009845", "9.845e-06"},
		{1, 10, "0.0000000001", "0.0000000001", "1e-10"},
		{10000, 8, "0.00010000", "0.0001", "0.0001"},
		{63514600, 3, "63514.600", "63514.6", "63514.6"},
		{120, 0, "120", "120", "120"},
	}
	for _, c := range cases {
		got := [3]string{string(appendFixed(nil, c.v, c.decimals)), string(appendTrim(nil, c.v, c.decimals)), string(appendNumber(nil, c.v, c.decimals))}
		if got != [3]string{c.fixed, c.trim, c.number} {
			t.Errorf("%d at %d: %v", c.v, c.decimals, got)
		}
	}
}

func TestDecimalFormsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, d := rapid.Int64Range(0, 1<<62).Draw(t, "v"), rapid.IntRange(0, 12).Draw(t, "decimals")
		want := new(big.Rat).SetFrac(big.NewInt(v), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d)), nil))
		for _, f := range []func([]byte, int64, int) []byte{appendFixed, appendTrim, appendNumber} {
			s := string(f(nil, v, d))
			if got, ok := new(big.Rat).SetString(s); !ok || got.Cmp(want) != 0 {
				t.Fatalf("%s is not %s", s, want)
			}
		}
		if got, err := parseFixed(string(appendFixed(nil, v, d)), d); err != nil || got != v {
			t.Fatalf("parsed %d of %d: %v", got, v, err)
		}
	})
}

func TestParseFixedRefuses(t *testing.T) {
	for _, s := range []string{"", ".", "-1", "1.234", "1e5", "x", "1.2.3", strings.Repeat("9", 20)} {
		if v, err := parseFixed(s, 2); err == nil {
			t.Errorf("%q is %d", s, v)
		}
	}
}

func TestAverageNeedsMoreThan64Bits(t *testing.T) {
	var s u128
	for range 1000 {
		s.addProduct(6_830_400, 3_000_000_000_000)
		s.addProduct(6_830_600, 1_000_000_000_000)
	}
	if got := s.div(4_000_000_000_000 * 1000); got != 6_830_450 {
		t.Errorf("average %d", got)
	}
}
