package normalizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// slowMembers reads an object as members does, by the scanner alone.
func slowMembers(d *polygon) {
	d.f.have = 0
	for v := (span{}); d.s.member(&v); {
		i := polygonField(d.s.name)
		d.f.at[i] = polygonValue{span: v, decimals: notPlain}
		d.f.have |= 1 << i
	}
}

// checkMembers holds that an object is read by guesses, whatever was learned from
// those before, as it is without.
func checkMembers(t interface{ Fatalf(string, ...any) }, guessing, plain *polygon, object []byte) {
	for _, d := range []*polygon{guessing, plain} {
		d.s.reset(object)
		if !d.s.open('{') {
			return
		}
	}
	guessing.members()
	slowMembers(plain)
	g, p := &guessing.s, &plain.s
	if g.bad != p.bad || g.badAt != p.badAt || g.deep != p.deep || g.i != p.i || !g.bad && g.opened != p.opened {
		t.Fatalf("%q: bad %v at %d, next %d, want %v at %d, next %d", object, g.bad, g.badAt, g.i, p.bad, p.badAt, p.i)
	}
	if p.bad {
		return
	}
	if guessing.f.have != plain.f.have {
		t.Fatalf("%q: fields %b, want %b", object, guessing.f.have, plain.f.have)
	}
	for i := range numFields {
		if guessing.f.have&(1<<i) == 0 {
			continue
		}
		a, b := guessing.f.get(i), plain.f.get(i)
		if a.span != b.span {
			t.Fatalf("%q: field %d is %v, want %v", object, i, a.span, b.span)
		}
		m, decimals, ok := guessing.decimal(a)
		wantM, wantDecimals, wantOK := plain.decimal(b)
		if m != wantM || decimals != wantDecimals || ok != wantOK {
			t.Fatalf("%q: field %d is %d at %d, %v, want %d at %d, %v", object, i, m, decimals, ok, wantM, wantDecimals, wantOK)
		}
		n, ok := guessing.uint(a)
		if want, wantOK := plain.uint(b); n != want || ok != wantOK {
			t.Fatalf("%q: field %d is %d, %v, want %d, %v", object, i, n, ok, want, wantOK)
		}
	}
}

func polygonPair(t testing.TB) (guessing, plain *polygon) {
	return newRig(t, "polygon").d.(*polygon), newRig(t, "polygon").d.(*polygon)
}

// TestMembersAreThoseOfTheScanner draws objects in orders that change, written in
// all the ways of JSON, whole and broken.
func TestMembersAreThoseOfTheScanner(t *testing.T) {
	names := []string{"ev", "sym", "x", "i", "z", "p", "s", "ds", "c", "t", "pt", "q", "bp", "trfi", "message", "unknown", "T", "", `\u0074`, `a\"`}
	values := []string{`"T"`, `"Q"`, `"AAPL"`, `"a\u0041"`, `""`, "0", "0.5", "7", "12345678", "123456789012", "1764599400123", "1764599000223013600",
		"9223372036854775807", "9223372036854775808", "99999999999999999999", "412.08", "123456789.123456789", "1.2345678901234567890", "-5", "1e3",
		"[14,37]", "[]", "[0]", "[1, 2]", "[1,]", "null", "true", `{"ev":"Q"}`, "01", "1.", ".5", `"open`, "[1", "12a", ""}
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		guessing, plain := polygonPair(tb)
		order := rapid.Permutation(names).Draw(t, "order")
		for range rapid.IntRange(1, 6).Draw(t, "objects") {
			if rapid.IntRange(0, 3).Draw(t, "reorder") == 0 {
				order = rapid.Permutation(names).Draw(t, "order")
			}
			n := rapid.IntRange(0, len(order)).Draw(t, "members")
			sound := rapid.IntRange(0, 3).Draw(t, "sound") > 0
			var b bytes.Buffer
			b.WriteByte('{')
			for i, name := range order[:n] {
				if i > 0 {
					b.WriteByte(',')
				}
				spaces := ""
				if rapid.IntRange(0, 9).Draw(t, "space") == 0 {
					spaces = rapid.SampledFrom([]string{" ", "\n", "\t "}).Draw(t, "spaces")
				}
				value := rapid.SampledFrom(values).Draw(t, "value")
				if sound && !json.Valid([]byte(value)) {
					value = "1"
				}
				b.WriteString(spaces + `"` + name + `"` + spaces + ":" + spaces + value + spaces)
			}
			b.WriteString("}")
			object := append(b.Bytes(), rapid.SampledFrom([]string{"", "]", `,{"ev":"T"}]`, "        "}).Draw(t, "after")...)
			if cut := rapid.IntRange(0, 4*len(object)).Draw(t, "cut"); cut < len(object) {
				object = object[:cut]
			}
			checkMembers(t, guessing, plain, object)
		}
	})
}

// FuzzPolygonMembers reads the two objects that a zero byte parts one after the
// other, so that the second meets what was learned from the first.
func FuzzPolygonMembers(f *testing.F) {
	for _, pair := range [][2]string{
		{polygonT, polygonT},
		{polygonT, strings.Replace(polygonT, "412.08", "-412.08", 1)},
		{polygonQ, polygonT},
		{`{"t":1,"t":2,"ev":"T"}`, `{"t":01,"t":2}`},
		{`{"c":[1,2],"ev":""}`, `{"c":[1,],"ev":`},
	} {
		f.Add([]byte(pair[0] + "\x00" + pair[1]))
	}
	addCorpus(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		first, second, _ := bytes.Cut(input, []byte{0})
		guessing, plain := polygonPair(t)
		for _, object := range [][]byte{first, second, first, second} {
			checkMembers(t, guessing, plain, object)
		}
	})
}

// TestGuessesAreUsed: an event that is written as the one before is read without
// the scanner. Were it not, only the speed would tell.
func TestGuessesAreUsed(t *testing.T) {
	d, _ := polygonPair(t)
	for range 2 {
		for _, object := range []string{polygonT, polygonQ} {
			d.s.reset([]byte(object + "]"))
			d.s.name = nil
			d.s.open('{')
			d.members()
		}
	}
	for _, object := range []string{polygonT, polygonQ} {
		d.s.reset([]byte(object + "]"))
		d.s.name = nil
		d.s.open('{')
		d.members()
		if string(d.s.name) != "" || d.s.bad || d.s.i != len(object) {
			t.Errorf("%s: the scanner read %q and stands at %d, bad %v", object, d.s.name, d.s.i, d.s.bad)
		}
	}
}

// TestEightDigits holds both functions against strconv and a bytewise check.
func TestEightDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(rapid.StringMatching(`[0-9]{8}`).Draw(t, "digits"))
		if rapid.Bool().Draw(t, "spoil") {
			b[rapid.IntRange(0, 7).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		var w uint64
		for i, c := range b {
			w |= uint64(c) << (8 * i)
		}
		want, err := strconv.ParseUint(string(b), 10, 64)
		if err != nil && !bytes.ContainsFunc(b, func(r rune) bool { return r < '0' || r > '9' }) {
			t.Fatal(err)
		}
		if got := eightDigits(w); got != (err == nil) {
			t.Fatalf("%q: %v", b, got)
		}
		if err == nil && eightDigitsValue(w) != want {
			t.Fatalf("%q: %d", b, eightDigitsValue(w))
		}
	})
}

// TestPlainNumbersAreExact holds the numbers that are read on the way against
// math/big.
func TestPlainNumbersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?`).Draw(t, "number")
		var v polygonValue
		end := v.plain([]byte(s+","), 0)
		whole, fraction, _ := strings.Cut(s, ".")
		want, _ := new(big.Int).SetString(whole+fraction, 10)
		if end == 0 {
			if len(s) <= 18 {
				t.Fatalf("%s is not plain", s)
			}
			return
		}
		if end != len(s) || big.NewInt(v.mantissa).Cmp(want) != 0 || v.decimals != market.Decimals(len(fraction)) {
			t.Fatalf("%s: %d at %d, ends at %d", s, v.mantissa, v.decimals, end)
		}
	})
}

// TestManySymbols: each of more symbols than are found without the map is taken for
// itself, though some must share a place there.
func TestManySymbols(t *testing.T) {
	r := newRig(t, "polygon")
	const n = 3 * recentSymbols
	for range 2 {
		for i := range n {
			symbol := fmt.Sprintf("%c%c%c%c", 'A'+i%26, 'A'+i/26%26, 'A'+i/676%26, 'Z'-i%3)
			events := r.decode("[" + strings.Replace(polygonT, "MSFT", symbol, 1) + "]")
			if len(events) != 1 || r.dir.Symbol(events[0].Instrument) != symbol {
				t.Fatalf("%s is taken for %s", symbol, r.dir.Symbol(events[0].Instrument))
			}
		}
	}
}
