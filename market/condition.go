package market

// Condition is a sale condition of a print, in a consolidated numbering that
// merges the codes of the CTA, UTP and OPRA plans (one number per meaning,
// whatever the tape's letter; sale_conditions/numbers.txt). Numbers that are not in it are
// kept and shown as "cond_<n>".
type Condition uint16

// ConditionBlock is a trade that a crypto venue prints and that was made beside
// its book, at a price of its own.
const ConditionBlock Condition = 1000

// Plan is whose letters a sale condition is written in.
type Plan uint8

// The plans.
const (
	PlanCTA  Plan = iota // US stocks, tapes A and B
	PlanUTP              // US stocks, tape C, and OTC
	PlanOPRA             // US options
)

// unknownLetter is added to a letter that is in no table: the print is kept, and
// the letter can be told.
const unknownLetter Condition = 256

// Condition returns the condition of a plan's letter; ' ' is a regular print. A
// letter that only the other plan of stocks has means there what it means here.
// One that is in no table gets a number of its own, see [Condition.Known].
func (p Plan) Condition(letter byte) Condition {
	if p > PlanOPRA {
		return unknownLetter + Condition(letter)
	}
	t := conditions()
	if c := t.letters[p][letter]; c != 0 {
		return c - 1
	}
	if p != PlanOPRA {
		if c := t.letters[PlanCTA+PlanUTP-p][letter]; c != 0 {
			return c - 1
		}
	}
	return unknownLetter + Condition(letter)
}

// Eligibility is what a print may update, and what its conditions tell of it.
type Eligibility struct {
	// Last, HighLow and Volume are the figures of the day, which the plans'
	// processing guidelines are about: those of the regular session. Volume is
	// the count of prints as well. LastIfFirst: Last, but only while no other
	// print of the day has set it; never together with Last.
	Last, LastIfFirst, HighLow, Volume bool
	// Bar is the prices (open, high, low, close) of bars shorter than a day, and
	// the last price of extended hours: false where the price was made at
	// another time, or under terms of its own.
	Bar bool

	Extended      bool // of extended hours: out of the day's prices by that alone
	Late          bool // reported late
	OutOfSequence bool // and after later prints
	OddLot        bool // less than a round lot
	Opening       bool // the opening print
	Closing       bool // the closing print
	OfficialOpen  bool // no trade of its own: tells the market's official open
	OfficialClose bool // the market's official close, or the consolidated one, corrected
	Canceled      bool // no trade any longer
	Unknown       bool // some condition is in no table
}

// Known reports whether a condition is in the tables.
func (c Condition) Known() bool { return conditions().rule(c)&ruleUnknown == 0 }

// Append appends the condition's name.
func (c Condition) Append(dst []byte) []byte {
	if t := conditions(); int(c) < len(t.names) && t.names[c] != "" {
		return append(dst, t.names[c]...)
	}
	dst = append(dst, "cond_"...)
	return AppendNumber(dst, int64(c), 0)
}

// String returns the condition's name.
func (c Condition) String() string { return string(c.Append(nil)) }

// Updates returns what the print may update: field by field, what the strictest
// of its conditions allows. An unknown condition allows everything: a print is
// not thrown away for a code that is newer than the tables. It does not
// allocate.
func (e *Event) Updates() (el Eligibility) {
	if e.Kind == KindValue { // no print: an index has no last but its level
		index := e.Value == ValueIndex
		return Eligibility{Last: index || e.Value == ValueLast, HighLow: index, Bar: index}
	}
	if e.NumConditions == 0 && !e.Has(FlagPrior) {
		return Eligibility{Last: true, HighLow: true, Volume: true, Bar: true}
	}
	allowed, told := ruleAllows, rule(0)
	t := conditions()
	for _, c := range e.Conditions[:e.NumConditions] {
		r := t.rule(c)
		allowed &= r
		told |= r
	}
	if e.Has(FlagPrior) {
		allowed &^= ruleHighLow | ruleVolume | ruleBar
	}
	el.set(allowed, told)
	return el
}
