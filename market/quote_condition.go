package market

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Firmness is what one side of a quote is worth.
type Firmness uint8

// The kinds of firmness, from the best.
const (
	Firm    Firmness = iota // counts; under Reg NMS it is protected
	Slow                    // counts and is not protected: manual, or slowed by a liquidity replenishment point
	NotFirm                 // does not count: it withdraws the side
)

var firmnessNames = [...]string{"firm", "slow", "no"}

// String returns "firm", "slow" or "no".
func (f Firmness) String() string {
	if int(f) < len(firmnessNames) {
		return firmnessNames[f]
	}
	return "unknown"
}

// QuoteRule says what a quote under a condition is worth.
type QuoteRule struct {
	Name     string
	Bid, Ask Firmness
}

// quoteConditionsCSV is the table, with its version and sources.
//
//go:embed quote_conditions.csv
var quoteConditionsCSV string

// maxQuoteCondition bounds the numbers of quote conditions that have a rule.
const maxQuoteCondition = 128

// UnknownQuoteCondition stands for a condition that could not be read; a letter
// that the table does not have is added to it.
const UnknownQuoteCondition Condition = 256

// quoteTable is the table made ready for look-ups.
type quoteTable struct {
	rules    [maxQuoteCondition]QuoteRule // without a name: no such condition
	cta, utp [128]Condition               // by letter
}

var quoteConditions = sync.OnceValue(func() *quoteTable {
	t, err := readQuoteTable(quoteConditionsCSV)
	if err != nil {
		panic("market: quote_conditions.csv: " + err.Error())
	}
	return t
})

func readQuoteTable(text string) (*quoteTable, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comment, r.FieldsPerRecord = '#', 6
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	t := &quoteTable{}
	for i := range t.cta {
		t.cta[i] = UnknownQuoteCondition + Condition(i)
		t.utp[i] = t.cta[i]
	}
	for _, row := range rows[1:] {
		id, err := strconv.Atoi(row[0])
		if err != nil || id < 0 || id >= maxQuoteCondition || t.rules[id].Name != "" {
			return nil, fmt.Errorf("row %v: id is wrong or there twice", row)
		}
		rule := QuoteRule{Name: row[1]}
		for i, side := range [2]*Firmness{&rule.Bid, &rule.Ask} {
			*side = NotFirm + 1
			for f := Firm; f <= NotFirm; f++ {
				if row[2+i] == f.String() {
					*side = f
				}
			}
			if *side > NotFirm {
				return nil, fmt.Errorf("row %v: want firm, slow or no", row)
			}
		}
		t.rules[id] = rule
		for i, letters := range [2]*[128]Condition{&t.utp, &t.cta} {
			for _, c := range row[4+i] {
				if c >= 128 || letters[c] < UnknownQuoteCondition {
					return nil, fmt.Errorf("row %v: letter %q is wrong or there twice", row, c)
				}
				letters[c] = Condition(id)
			}
		}
	}
	return t, nil
}

// QuoteCondition returns the number of a quote condition by its letter on the
// tapes: UTP's for tape C, CTA's for A and B. A letter that the table does not
// have gets a number of its own, whose rule is that of unknown ones.
func QuoteCondition(letter byte, utp bool) Condition {
	t := quoteConditions()
	switch {
	case letter >= 128:
		return UnknownQuoteCondition + Condition(letter)
	case utp:
		return t.utp[letter]
	}
	return t.cta[letter]
}

// QuoteRule returns what a quote under c is worth. A condition that is newer than
// the table is not taken for firm: the plans list those that are, not those that
// are not.
func (c Condition) QuoteRule() QuoteRule {
	if c < maxQuoteCondition {
		if r := quoteConditions().rules[c]; r.Name != "" {
			return r
		}
	}
	return QuoteRule{Name: "unknown", Bid: NotFirm, Ask: NotFirm}
}

// Firmness returns what the two sides of a quote are worth: of several
// conditions, the worst. A quote without conditions is firm.
func (e *Event) Firmness() (bid, ask Firmness) {
	for _, c := range e.Conditions[:e.NumConditions] {
		r := c.QuoteRule()
		bid, ask = max(bid, r.Bid), max(ask, r.Ask)
	}
	return bid, ask
}
