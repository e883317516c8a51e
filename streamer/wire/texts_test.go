package wire

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestTextsOf: a list that is read by hand is what the library reads, and whatever
// is not plain is left to it.
func TestTextsOf(t *testing.T) {
	for raw, plain := range map[string]bool{
		`["BTC-USD"]`:        true,
		`["A","B-*"]`:        true,
		`[ "A" , "B" ]`:      true,
		`["A,B","]"]`:        true,
		`["A" "B"]`:          false,
		`["A"x"B"]`:          false,
		`["A",]`:             false,
		`["A",,"B"]`:         false,
		`["A"`:               false,
		`["A]`:               false,
		`[]`:                 false,
		`[""]`:               false,
		`["A",1]`:            false,
		`["A",["B"]]`:        false,
		`["\u0041"]`:         false,
		`["Ä"]`:              false,
		"[\"A\",\n\"B\"]":    false,
		`"A"`:                false,
		`[`:                  false,
		``:                   false,
		`["A"] `:             false,
		`{"A":"B"}`:          false,
		`["A"]]`:             false,
		`["a\"b"]`:           false,
		`[  "A","B","C-1" ]`: true,
	} {
		got := textsOf(json.RawMessage(raw))
		if (got != nil) != plain {
			t.Errorf("%s gives %q", raw, got)
		}
		checkTexts(t, raw, got)
	}
}

// FuzzTextsOf holds that what is read by hand is what the library reads.
func FuzzTextsOf(f *testing.F) {
	f.Add(`["A", "B"]`)
	f.Fuzz(func(t *testing.T, raw string) { checkTexts(t, raw, textsOf(json.RawMessage(raw))) })
}

func checkTexts(t *testing.T, raw string, got []string) {
	t.Helper()
	var want []string
	if got != nil && (json.Unmarshal([]byte(raw), &want) != nil || !slices.Equal(got, want)) {
		t.Errorf("%s gives %q, want %q", raw, got, want)
	}
}
