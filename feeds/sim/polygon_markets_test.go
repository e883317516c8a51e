package sim

import (
	"slices"
	"testing"
	"time"
)

// TestPolygonOtherMarkets: every market sends every kind of message that it has,
// with the fields of the published examples, and each to those alone who asked.
func TestPolygonOtherMarkets(t *testing.T) {
	for _, c := range []struct {
		path, subscribe string
		fields          map[string][]string
	}{
		{"stocks", "LULD.AAPL", map[string][]string{"LULD": {"T", "ev", "h", "i", "l", "q", "t", "z"}}},
		{"forex", "C.EUR/USD,CAS.EUR/USD,CA.*", map[string][]string{
			"C":  {"a", "b", "ev", "p", "t", "x"},
			"CA": {"c", "e", "ev", "h", "l", "o", "pair", "s", "v"}, "CAS": {"c", "e", "ev", "h", "l", "o", "pair", "s", "v"}}},
		{"indices", "V.I:SPX,A.I:NDX,AM.*", map[string][]string{
			"V": {"T", "ev", "t", "val"}, "A": {"c", "e", "ev", "h", "l", "o", "s", "sym"}, "AM": {"c", "e", "ev", "h", "l", "o", "s", "sym"}}},
		{"options", "T.*,Q.*", map[string][]string{
			"T": {"c", "ev", "p", "q", "s", "sym", "t", "x"}, "Q": {"ap", "as", "ax", "bp", "bs", "bx", "ev", "q", "sym", "t"}}},
		{"futures/cme", "T.ESZ6,Q.*,A.*,AM.*", map[string][]string{
			"T": {"ev", "p", "q", "s", "sym", "t"}, "Q": {"ap", "as", "at", "bp", "bs", "bt", "ev", "sym", "t"},
			"A": {"c", "dv", "e", "ev", "h", "l", "n", "o", "s", "sym", "v"}, "AM": {"c", "dv", "e", "ev", "h", "l", "n", "o", "s", "sym", "v"}}},
	} {
		t.Run(c.path, func(t *testing.T) {
			s, cl := openPolygon(t, c.path, Config{})
			cl.send(`{"action":"subscribe","params":"` + c.subscribe + `"}`)
			cl.wantPart("subscribed to: ")
			seen := map[string]int{}
			for range 65 {
				s.market.Step(time.Second)
				for _, e := range events(t, cl.until(s)) {
					ev, _ := e["ev"].(string)
					var names []string
					for name := range e {
						names = append(names, name)
					}
					slices.Sort(names)
					if !slices.Equal(names, c.fields[ev]) {
						t.Fatalf("%s has the fields %v, want %v", ev, names, c.fields[ev])
					}
					seen[ev]++
					if c.path == "forex" && ev == "C" && e["p"] != "EUR/USD" || c.path == "indices" && ev == "A" && e["sym"] != "I:NDX" {
						t.Fatalf("not subscribed: %v", e)
					}
				}
			}
			for ev := range c.fields {
				if seen[ev] == 0 {
					t.Errorf("no %s in a minute: %v", ev, seen)
				}
			}
		})
	}
}

func TestPolygonPath(t *testing.T) {
	for path, want := range map[string]string{
		"/stocks": "stocks", "/base/crypto": "crypto", "/futures/cme": "futures", "/x": "", "": "", "/stocks/": "stocks", "/business/forex": "forex",
	} {
		if got := polygonPath(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
