package market

import (
	"strings"
	"testing"
)

func TestFaultyConditionTables(t *testing.T) {
	good := map[string]string{
		"numbers.txt": "0 regular\n37 odd_lot\n",
		"cta.txt":     "@ regular yes yes yes yes\n",
		"utp.txt":     "@ regular yes yes yes yes\nI odd_lot no no yes no odd_lot\n",
		"opra.txt":    "",
		"other.txt":   "",
	}
	read := func(name, more string) error {
		_, err := parseConditions(func(file string) string {
			if file == name {
				return good[file] + more
			}
			return good[file]
		})
		return err
	}
	if err := read("", ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, more, want string }{
		{"numbers.txt", "38 corrected_close\n", "in no table"},
		{"numbers.txt", "37 another\n", "out of order"},
		{"numbers.txt", "40 odd_lot\n", "given twice"},
		{"numbers.txt", "300 letter\n", "not given out"},
		{"numbers.txt", "70000 large\n", "range"},
		{"numbers.txt", "41\n", "want a number"},
		{"cta.txt", "I odd_lot no no yes yes odd_lot\n", "another rule"},
		{"cta.txt", "I odd_lots no no yes no\n", "has no number"},
		{"cta.txt", "I odd_lot no no yes\n", "want letter"},
		{"cta.txt", "I odd_lot no maybe yes no odd_lot\n", "neither yes nor no"},
		{"cta.txt", "I odd_lot no first yes no odd_lot\n", "neither yes nor no"},
		{"cta.txt", "I odd_lot no no yes no odd\n", "unknown"},
		{"cta.txt", "@ regular yes yes yes yes\n", "two rows"},
		{"opra.txt", "ab regular yes yes yes yes\n", "no letter"},
	} {
		if err := read(c.file, c.more); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q: %v, want %q", c.file, c.more, err, c.want)
		}
	}
}
