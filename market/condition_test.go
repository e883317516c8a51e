package market_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

func print(conditions ...market.Condition) market.Event {
	e := market.Event{Kind: market.KindTrade, NumConditions: uint8(len(conditions))}
	copy(e.Conditions[:], conditions)
	return e
}

// word writes what the day's last price, high and low, and volume may take.
func word(el market.Eligibility) string {
	last := "N"
	switch {
	case el.Last:
		last = "Y"
	case el.LastIfFirst:
		last = "1"
	}
	yes := map[bool]string{true: "Y", false: "N"}
	return yes[el.HighLow] + " " + last + " " + yes[el.Volume]
}

// TestPublishedTable holds the tables against the plans' consolidated update
// rules as Polygon's glossary prints them, id by id: high and low, last (1: only
// the first), volume. https://polygon.io/glossary/us/stocks/conditions-indicators
// Where the tapes have letters of their own, CTA's comes first.
func TestPublishedTable(t *testing.T) {
	for _, row := range strings.Split(strings.TrimSpace(`
0   regular               @ @ Y Y Y
1   acquisition           - A Y Y Y
2   average_price         B W N N Y
3   automatic_execution   E - Y Y Y
4   bunched               - B Y Y Y
5   bunched_sold          - G Y 1 Y
7   cash_sale             C C N N Y
8   closing_print         6 6 Y Y Y
9   cross                 X X Y Y Y
10  derivatively_priced   4 4 Y 1 Y
11  distribution          - D Y Y Y
12  form_t                T T N N Y
13  extended_hours_sold_out_of_sequence U U N N Y
14  intermarket_sweep     F F Y Y Y
15  official_close        M M N N N
16  official_open         Q Q N N N
20  next_day              N N N N Y
21  price_variation       H H N N Y
22  prior_reference_price P P Y 1 Y
23  rule_155              K K Y Y Y
25  opening_print         O O Y Y Y
27  stopped_stock         - 1 Y Y Y
28  reopening_print       5 5 Y Y Y
29  seller                R R N N Y
30  sold_last             L L Y Y Y
33  sold_out_of_sequence  Z Z Y 1 Y
34  split_trade           - S Y Y Y
36  yellow_flag           - Y Y Y Y
37  odd_lot               I I N N Y
38  corrected_close       9 9 Y Y N
52  contingent            V V N N Y
53  qualified_contingent  7 7 N N Y
`), "\n") {
		var id uint16
		var name, cta, utp, hl, last, volume string
		if _, err := fmt.Sscan(row, &id, &name, &cta, &utp, &hl, &last, &volume); err != nil {
			t.Fatal(row, err)
		}
		c := market.Condition(id)
		e := print(c)
		if got, want := word(e.Updates()), hl+" "+last+" "+volume; got != want || c.String() != name || !c.Known() {
			t.Errorf("%d %s: %s, want %s %s", id, c, got, name, want)
		}
		for plan, letter := range map[market.Plan]string{market.PlanCTA: cta, market.PlanUTP: utp} {
			if letter != "-" && plan.Condition(letter[0]) != c {
				t.Errorf("%d %s: plan %d has %v for %s", id, name, plan, plan.Condition(letter[0]), letter)
			}
		}
	}
}

// TestPublishedBarRules holds the tables against the rules by which Alpaca makes
// its minute and daily bars, letter by letter and tape by tape, see
// testdata/alpaca_bars.txt.
func TestPublishedBarRules(t *testing.T) {
	n := 0
	for _, row := range tableRows(t, "alpaca_bars.txt") {
		tapes, code, bars, prices, hl, volume := row[0], row[1], row[2], row[3], row[4], row[5]
		if code == "space" {
			code = " "
		}
		for _, tape := range tapes {
			plan := map[rune]market.Plan{'A': market.PlanCTA, 'B': market.PlanCTA, 'C': market.PlanUTP, 'O': market.PlanUTP, 'P': market.PlanOPRA}[tape]
			c := plan.Condition(code[0])
			e := print(c)
			el := e.Updates()
			if plan == market.PlanOPRA && (code == "B" || code == "D" || code == "F") {
				continue // Alpaca drops late prints of options; opra.txt says why we do not
			}
			if yes := volume == "y"; el.Volume != yes || !c.Known() {
				t.Errorf("%c %s (%v): volume %v", tape, code, c, el.Volume)
			}
			if strings.Contains(bars, "D") {
				last := map[string][2]bool{"y": {true, false}, "first": {false, true}, "n": {false, false}}[prices]
				if el.Last != last[0] || el.LastIfFirst != last[1] || el.HighLow != (hl == "y") {
					t.Errorf("%c %s (%v), day: %+v", tape, code, c, el)
				}
			}
			if strings.Contains(bars, "M") {
				if prices != hl || el.Bar != (prices == "y") {
					t.Errorf("%c %s (%v), minute: %+v", tape, code, c, el)
				}
			}
			n++
		}
	}
	if n < 120 {
		t.Errorf("only %d rows", n)
	}
}

func TestOptionConditions(t *testing.T) {
	for letter, want := range map[byte]struct {
		id   market.Condition
		word string
	}{
		'A': {201, "N N N"}, 'B': {202, "Y 1 Y"}, 'C': {203, "N N N"}, 'D': {204, "Y Y Y"}, 'E': {205, "N N N"},
		'F': {206, "Y 1 Y"}, 'G': {207, "N N N"}, 'H': {208, "Y Y Y"}, 'I': {209, "Y Y Y"}, 'J': {210, "Y Y Y"},
		'S': {219, "Y Y Y"}, 'a': {227, "Y Y Y"}, 'f': {232, "Y Y Y"}, 's': {245, "Y Y Y"}, 't': {246, "N N Y"},
		'u': {247, "N N Y"}, 'v': {248, "N N Y"},
	} {
		c := market.PlanOPRA.Condition(letter)
		e := print(c)
		if c != want.id || word(e.Updates()) != want.word {
			t.Errorf("%c: %d %v %s, want %d %s", letter, c, c, word(e.Updates()), want.id, want.word)
		}
	}
}

func TestConditionsTheStrictestWins(t *testing.T) {
	for _, c := range []struct {
		name       string
		conditions []market.Condition
		flags      market.Flags
		word       string
	}{
		{"no condition is a regular print", nil, 0, "Y Y Y"},
		{"sweep of an odd lot: volume only", []market.Condition{14, 37}, 0, "N N Y"},
		{"the order does not matter", []market.Condition{37, 14}, 0, "N N Y"},
		{"the first only, of two", []market.Condition{14, 33}, 0, "Y 1 Y"},
		{"the first only, and never", []market.Condition{33, 12}, 0, "N N Y"},
		{"unknown codes change nothing", []market.Condition{58, 60000}, 0, "Y Y Y"},
		{"trade-through exempt", []market.Condition{14, 41}, 0, "Y Y Y"},
		{"exempt and odd", []market.Condition{41, 37}, 0, "N N Y"},
		{"corrected close out of hours", []market.Condition{38, 12}, 0, "N N N"},
		{"from before the subscription", nil, market.FlagPrior, "N Y N"},
		{"a block beside the book", []market.Condition{market.ConditionBlock}, 0, "N N Y"},
	} {
		e := print(c.conditions...)
		e.Flags = c.flags
		if got := word(e.Updates()); got != c.word {
			t.Errorf("%s: %s, want %s", c.name, got, c.word)
		}
	}
}

// TestStrictestEqualsModel: of any conditions, each field is what a slow reading
// of the single ones says: all must allow, any may tell.
func TestStrictestEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.OneOf(rapid.Uint16Range(0, 60), rapid.Uint16Range(200, 250), rapid.SampledFrom([]uint16{256 + 'j', 1000, 1001, 65535}))
		ids := rapid.SliceOfN(draw, 0, market.MaxConditions).Draw(t, "conditions")
		var list []market.Condition
		var singles []market.Eligibility
		for _, id := range ids {
			list = append(list, market.Condition(id))
			e := print(market.Condition(id))
			singles = append(singles, e.Updates())
		}
		all := func(f func(market.Eligibility) bool) bool {
			return !slices.ContainsFunc(singles, func(el market.Eligibility) bool { return !f(el) })
		}
		any := func(f func(market.Eligibility) bool) bool { return slices.ContainsFunc(singles, f) }
		last := all(func(el market.Eligibility) bool { return el.Last })
		want := market.Eligibility{
			Last:          last,
			LastIfFirst:   !last && all(func(el market.Eligibility) bool { return el.Last || el.LastIfFirst }),
			HighLow:       all(func(el market.Eligibility) bool { return el.HighLow }),
			Volume:        all(func(el market.Eligibility) bool { return el.Volume }),
			Bar:           all(func(el market.Eligibility) bool { return el.Bar }),
			Extended:      any(func(el market.Eligibility) bool { return el.Extended }),
			Late:          any(func(el market.Eligibility) bool { return el.Late }),
			OutOfSequence: any(func(el market.Eligibility) bool { return el.OutOfSequence }),
			OddLot:        any(func(el market.Eligibility) bool { return el.OddLot }),
			Opening:       any(func(el market.Eligibility) bool { return el.Opening }),
			Closing:       any(func(el market.Eligibility) bool { return el.Closing }),
			OfficialOpen:  any(func(el market.Eligibility) bool { return el.OfficialOpen }),
			OfficialClose: any(func(el market.Eligibility) bool { return el.OfficialClose }),
			Canceled:      any(func(el market.Eligibility) bool { return el.Canceled }),
			Unknown:       any(func(el market.Eligibility) bool { return el.Unknown }),
		}
		e := print(list...)
		if got := e.Updates(); got != want {
			t.Fatalf("%v: %+v, want %+v", list, got, want)
		}
	})
}

// TestWhatConditionsTell holds what else the tables say.
func TestWhatConditionsTell(t *testing.T) {
	for c, want := range map[market.Condition]market.Eligibility{
		12:  {Volume: true, Bar: true, Extended: true},
		13:  {Volume: true, Extended: true, Late: true, OutOfSequence: true},
		15:  {OfficialClose: true},
		16:  {OfficialOpen: true},
		25:  {Last: true, HighLow: true, Volume: true, Bar: true, Opening: true},
		30:  {Last: true, HighLow: true, Volume: true, Bar: true, Late: true},
		33:  {LastIfFirst: true, HighLow: true, Volume: true, Late: true, OutOfSequence: true},
		37:  {Volume: true, OddLot: true},
		38:  {Last: true, HighLow: true, OfficialClose: true},
		8:   {Last: true, HighLow: true, Volume: true, Bar: true, Closing: true},
		58:  {Last: true, HighLow: true, Volume: true, Bar: true, Unknown: true},
		203: {Canceled: true},
	} {
		e := print(c)
		if got := e.Updates(); got != want {
			t.Errorf("%v: %+v, want %+v", c, got, want)
		}
	}
}

func TestLetters(t *testing.T) {
	for _, c := range []struct {
		plan   market.Plan
		letter byte
		want   market.Condition
	}{
		{market.PlanCTA, 'B', 2}, {market.PlanUTP, 'B', 4}, {market.PlanUTP, 'W', 2},
		{market.PlanCTA, ' ', 0}, {market.PlanUTP, ' ', 0},
		{market.PlanCTA, 'W', 2}, // UTP's alone, and clear all the same
		{market.PlanCTA, '1', 41}, {market.PlanUTP, '1', 27},
		{market.PlanCTA, 'E', 3}, {market.PlanUTP, 'E', 56},
		{market.PlanUTP, 'j', 256 + 'j'}, {market.PlanOPRA, 'j', 236}, {market.PlanOPRA, '@', 256 + '@'},
		{market.PlanCTA, 255, 511}, {market.Plan(9), 'A', 256 + 'A'},
	} {
		if got := c.plan.Condition(c.letter); got != c.want {
			t.Errorf("plan %d, %q: %d, want %d", c.plan, c.letter, got, c.want)
		}
	}
}

func TestValuesUpdateNoVolume(t *testing.T) {
	for v, want := range map[market.ValueKind]market.Eligibility{
		market.ValueIndex: {Last: true, HighLow: true, Bar: true}, market.ValueLast: {Last: true},
		market.ValueFair: {}, market.ValueNone: {},
	} {
		e := market.Event{Kind: market.KindValue, Value: v}
		if got := e.Updates(); got != want {
			t.Errorf("%v: %+v, want %+v", v, got, want)
		}
	}
	if s := market.ValueFair.String() + market.ValueKind(99).String(); s != "fairunknown" {
		t.Error(s)
	}
}

func TestConditionNames(t *testing.T) {
	for c, want := range map[market.Condition]string{0: "regular", 37: "odd_lot", 41: "trade_through_exempt", 58: "cond_58",
		248: "extended_hours_option", 300: "cond_300", market.ConditionBlock: "block_trade", 65535: "cond_65535"} {
		if got := c.String(); got != want || c.Known() != !strings.HasPrefix(want, "cond_") {
			t.Errorf("%d: %q, want %q; known %v", uint16(c), got, want, c.Known())
		}
	}
}

func TestUpdatesDoesNotAllocate(t *testing.T) {
	e := print(14, 37, 58, 60000)
	var el market.Eligibility
	if n := testing.AllocsPerRun(100, func() { el = e.Updates() }); n != 0 || !el.Unknown {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUpdates(b *testing.B) {
	for _, c := range []struct {
		name string
		e    market.Event
	}{{"none", print()}, {"three", print(14, 37, 41)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if el := c.e.Updates(); el.Unknown {
					b.Fatal("unknown")
				}
			}
		})
	}
}

// tableRows returns the rows of a file of testdata, as words.
func tableRows(t *testing.T, name string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			rows = append(rows, words)
		}
	}
	return rows
}
