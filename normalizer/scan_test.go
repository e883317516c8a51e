package normalizer

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// accepts reports whether the scanner takes b for one JSON value.
func accepts(b []byte) bool {
	var s scanner
	s.reset(b)
	s.value()
	return s.end()
}

// acceptsMembers is accepts for an object, read member by member.
func acceptsMembers(b []byte) bool {
	var s scanner
	s.reset(b)
	if s.open('{') {
		for v := (span{}); s.member(&v); {
		}
	}
	return s.end()
}

var jsonTexts = []string{
	``, ` `, `{}`, `[]`, `{`, `}`, `[`, `]`, `null`, `nul`, `nulll`, `true`, `false`, `tru`, `"a"`, `"a`, `"`, `"\`, `"\"`,
	`"\u12"`, `"\u12g4"`, `"\u1234"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\x"`, "\"\n\"", "\"\x00\"", "\"\x7f\"", "\x00", "1\x00",
	`0`, `-`, `-0`, `00`, `01`, `1.`, `.1`, `1.5`, `1e`, `1e+`, `1e+5`, `1E-5`, `1.e5`, `+1`, `1.5.5`, `0x1`, `NaN`, `-Infinity`,
	`{"a":1}`, `{"a":1,}`, `{"a" 1}`, `{"a":}`, `{:1}`, `{a:1}`, `{"a":1 "b":2}`, `{,"a":1}`, `{"a":1}}`, `{"a":1}{}`, `{1:2}`,
	`[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[1,,2]`, `[[[]]]`, `[[[]]`, `{"a":[{"b":{}}]}`, ` { "a" : [ 1 , 2 ] } `, "\t[\r\n1]",
	`{"a":"b","c":"\\","d":"\/"}`, `{"a\"b":1}`, `{"a":"b\"c"}`, `{"a":"b\"}`, `{"a":1.25e3,"b":-2,"c":0}`, `{"a":-}`, `{"a":1`, `{"a":"b`, `{"a`, `{"a"`, `{"a":`, `[{]}`,
}

func TestScannerTakesWhatIsJSONAndNothingElse(t *testing.T) {
	for _, text := range jsonTexts {
		want := json.Valid([]byte(text))
		if got := accepts([]byte(text)); got != want {
			t.Errorf("%q: taken %t, want %t", text, got, want)
		}
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			if got := acceptsMembers([]byte(text)); got != want {
				t.Errorf("%q by members: taken %t, want %t", text, got, want)
			}
		}
	}
}

func TestScannerRefusesEveryTruncation(t *testing.T) {
	for _, whole := range []string{krakenSnapshot, coinbaseUpdate, "[" + polygonT + "," + polygonQ + "]"} {
		for i := range len(whole) {
			if accepts([]byte(whole[:i])) {
				t.Errorf("taken: %q", whole[:i])
			}
		}
		if !accepts([]byte(whole)) {
			t.Errorf("refused: %q", whole)
		}
	}
}

// The name of a member is its own, not one within its value.
func TestMemberKeepsItsName(t *testing.T) {
	for _, text := range []string{`{"a":1,"list":[{"b":{"c":2}}],"o":{"d":3}}`, ` { "a" : 1, "list" : [ {"b":{"c":2}} ], "o" : {"d":3} } `} {
		var s scanner
		s.reset([]byte(text))
		s.open('{')
		var names []string
		for v := (span{}); s.member(&v); {
			names = append(names, string(s.name))
		}
		if !s.end() || strings.Join(names, " ") != "a list o" {
			t.Errorf("%s: names %q", text, names)
		}
	}
}

func TestScannerDepthBound(t *testing.T) {
	for depth, want := range map[int]bool{1: true, maxDepth: true, maxDepth + 1: false, 100_000: false} {
		for _, brackets := range []string{"[]", "{}"} {
			open, end := brackets[:1], brackets[1:]
			if open == "{" {
				open = `{"a":`
			}
			text := strings.Repeat(open, depth-1) + brackets + strings.Repeat(end, depth-1)
			var s scanner
			s.reset([]byte(text))
			s.value()
			if got := s.end(); got != want || s.deep == want {
				t.Errorf("%s nested %d deep: taken %t, want %t", brackets, depth, got, want)
			}
		}
	}
}

func TestStringsAreUnescapedAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOf(rapid.SampledFrom([]string{
			"a", "é", "\\\\", "\\\"", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0041", "\\u00e9", "\\ud83d", "\\ude00", "\\uFFFF", " ",
		})).Draw(t, "body")
		text := `"` + strings.Join(body, "") + `"`
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		var s scanner
		s.reset([]byte(text))
		got, ok := s.str(s.value())
		if !ok || !s.end() || string(got) != want {
			t.Fatalf("%s: got %q, want %q", text, got, want)
		}
	})
}

func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]struct {
		n  uint64
		ok bool
	}{
		`0`: {0, true}, `7`: {7, true}, `"7"`: {7, true}, `1e3`: {1000, true}, `5.0`: {5, true},
		`18446744073709551615`: {math.MaxUint64, true}, `12393906104898154338`: {12393906104898154338, true},
		`9999999999999999999`: {9999999999999999999, true}, `10000000000000000000`: {10000000000000000000, true},
		`18446744073709551616`: {0, false}, `99999999999999999999`: {0, false}, `100000000000000000000`: {0, false},
		`-1`: {0, false}, `1.5`: {0, false}, `""`: {0, false}, `"x"`: {0, false}, `[1]`: {0, false}, `null`: {0, false}, `true`: {0, false},
	} {
		var s scanner
		s.reset([]byte(text))
		if n, ok := s.uint(s.value()); ok != want.ok || ok && n != want.n {
			t.Errorf("%s: got %d, %t; want %d, %t", text, n, ok, want.n, want.ok)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Uint64().Draw(t, "n")
		var s scanner
		s.reset([]byte(strconv.FormatUint(want, 10)))
		if n, ok := s.uint(s.value()); !ok || n != want {
			t.Fatalf("%d: got %d, %t", want, n, ok)
		}
	})
}

func TestTimesAreReadAsTimeParseDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(0, rapid.Int64Range(0, time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC).UnixNano()).Draw(t, "ns"))
		at = at.In(time.FixedZone("", 60*rapid.IntRange(-23*60, 23*60).Draw(t, "zone")))
		layout := rapid.SampledFrom([]string{time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000000Z07:00", "2006-01-02T15:04:05.000000000Z07:00"}).Draw(t, "layout")
		text := at.Format(layout)
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := parseTime([]byte(text))
		// The years at the two ends are out of our range in some zones.
		if at.Year() < 1970 || at.Year() > 2261 {
			t.Skip()
		}
		if !ok || got != want.UnixNano() {
			t.Fatalf("%s: got %d, %t; want %d", text, got, ok, want.UnixNano())
		}
	})
	for _, text := range []string{
		"", "2026-07-07", "2026-07-07T23:00:03", "2026-07-07T23:00:03.Z", "2026-07-07T23:00:03.1234567890Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "2026-01-01 00:00:00Z",
		"2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00Zx", "20a6-01-01T00:00:00Z", "1970-01-01T00:00:00+01:00",
	} {
		if ns, ok := parseTime([]byte(text)); ok {
			t.Errorf("%q: taken as %d", text, ns)
		}
	}
	if ns, ok := parseTime([]byte("2024-02-29T12:00:00Z")); !ok || ns != 1709208000e9 {
		t.Errorf("leap day: %d, %t", ns, ok)
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026-07-07T23:00:03.977459Z")
	f.Add("2024-02-29T12:00:00+05:30")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseTime([]byte(text))
		if !ok {
			return
		}
		want, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
		if err != nil || want.UnixNano() != got {
			t.Errorf("%q: got %d, time.Parse says %v, %v", text, got, want, err)
		}
	})
}

func FuzzScanner(f *testing.F) {
	for _, text := range jsonTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s scanner
		s.reset(b)
		v := s.value()
		got := s.end()
		want := json.Valid(b)
		if got != want && !s.deep {
			t.Fatalf("%q: taken %t, want %t", b, got, want)
		}
		if !got {
			return
		}
		if v.kind == object && !acceptsMembers(b) {
			t.Errorf("%q: refused by members", b)
		}
		if text, ok := s.str(v); ok && utf8.Valid(b) {
			var want string
			if err := json.Unmarshal(b, &want); err != nil || string(text) != want {
				t.Errorf("%q: got %q, want %q, %v", b, text, want, err)
			}
		}
		if !bytes.Contains(b, s.raw(v)) {
			t.Errorf("%q: raw value %q is not in it", b, s.raw(v))
		}
	})
}

// The name of a member is still known when its value has been read, whatever is
// nested in that.
func TestNameOutlivesNestedValues(t *testing.T) {
	for _, text := range []string{`{"a":{"b":[{"c":1}]},"d":2}`, `{"a" : {"b":1, "\u0063":{}} , "d":2}`, `{"\u0061":{"\u0062":1},"d":2}`} {
		for _, read := range []func(s *scanner, v *span) bool{
			(*scanner).member,
			func(s *scanner, v *span) bool { ok := s.key(); *v = s.value(); return ok },
		} {
			var s scanner
			s.reset([]byte(text))
			s.open('{')
			var v span
			if !read(&s, &v) || string(s.name) != "a" || v.kind != object {
				t.Errorf("%s: name %q", text, s.name)
			}
			if !read(&s, &v) || string(s.name) != "d" || v.kind != number {
				t.Errorf("%s: name %q", text, s.name)
			}
		}
	}
}
