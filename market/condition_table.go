package market

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

//go:embed sale_conditions/*.txt
var conditionFiles embed.FS

// rule is a row of the tables: what it allows, and what it tells. Of several
// rows the strictest allows, and all tell.
type rule uint16

const (
	ruleLast        rule = 1 << iota
	ruleLastIfFirst      // set with ruleLast too, so that the stricter of the two remains
	ruleHighLow
	ruleVolume
	ruleBar

	ruleExtended
	ruleLate
	ruleOutOfSequence
	ruleOddLot
	ruleOpening
	ruleClosing
	ruleOfficialOpen
	ruleOfficialClose
	ruleCanceled
	ruleUnknown

	ruleAllows = ruleLast | ruleLastIfFirst | ruleHighLow | ruleVolume | ruleBar
)

// told are the words of a row's end.
var told = map[string]rule{
	"extended": ruleExtended, "late": ruleLate, "out_of_sequence": ruleOutOfSequence, "odd_lot": ruleOddLot,
	"opening": ruleOpening, "closing": ruleClosing, "official_open": ruleOfficialOpen,
	"official_close": ruleOfficialClose, "canceled": ruleCanceled,
}

// set writes field by field where the caller will read them so.
func (el *Eligibility) set(allowed, told rule) {
	el.Last = allowed&ruleLast != 0
	el.LastIfFirst = allowed&(ruleLast|ruleLastIfFirst) == ruleLastIfFirst
	el.HighLow = allowed&ruleHighLow != 0
	el.Volume = allowed&ruleVolume != 0
	el.Bar = allowed&ruleBar != 0
	el.Extended = told&ruleExtended != 0
	el.Late = told&ruleLate != 0
	el.OutOfSequence = told&ruleOutOfSequence != 0
	el.OddLot = told&ruleOddLot != 0
	el.Opening = told&ruleOpening != 0
	el.Closing = told&ruleClosing != 0
	el.OfficialOpen = told&ruleOfficialOpen != 0
	el.OfficialClose = told&ruleOfficialClose != 0
	el.Canceled = told&ruleCanceled != 0
	el.Unknown = told&ruleUnknown != 0
}

// conditionTable is the files of the folder sale_conditions, by number and by letter.
type conditionTable struct {
	rules   []rule // by Condition
	names   []string
	letters [PlanOPRA + 1][256]Condition // one more than the number; 0 none
}

func (t *conditionTable) rule(c Condition) rule {
	if int(c) < len(t.rules) {
		return t.rules[c]
	}
	return ruleAllows | ruleUnknown
}

// conditions reads the data once. That it can be read, a test shows: a failure is
// a programmer's error.
var conditions = sync.OnceValue(func() *conditionTable {
	t, err := parseConditions(func(name string) string {
		text, err := conditionFiles.ReadFile("sale_conditions/" + name)
		if err != nil {
			panic(err)
		}
		return string(text)
	})
	if err != nil {
		panic("market: " + err.Error())
	}
	return t
})

// parseConditions reads the numbers of the meanings, then the plans' tables. A
// meaning that several tables have has the same rule in all.
func parseConditions(file func(name string) string) (*conditionTable, error) {
	t := &conditionTable{}
	numbers := make(map[string]Condition)
	err := rows(file("numbers.txt"), func(row []string) error {
		if len(row) != 2 {
			return fmt.Errorf("want a number and a meaning")
		}
		n, err := strconv.ParseUint(row[0], 10, 16)
		switch _, taken := numbers[row[1]]; {
		case err != nil:
			return err
		case int(n) < len(t.names) || taken:
			return fmt.Errorf("number or meaning is out of order or given twice")
		case n >= uint64(unknownLetter) && n < uint64(unknownLetter)+256:
			return fmt.Errorf("numbers of unknown letters are not given out")
		}
		for len(t.names) < int(n) {
			t.names, t.rules = append(t.names, ""), append(t.rules, ruleAllows|ruleUnknown)
		}
		t.names, t.rules = append(t.names, row[1]), append(t.rules, 0)
		numbers[row[1]] = Condition(n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("numbers.txt: %w", err)
	}
	have := make(map[string]rule)
	for i, name := range [...]string{PlanCTA: "cta.txt", PlanUTP: "utp.txt", PlanOPRA: "opra.txt", PlanOPRA + 1: "other.txt"} {
		err := rows(file(name), func(row []string) error {
			if len(row) < 6 {
				return fmt.Errorf("want letter, meaning, last, hl, volume, bar")
			}
			meaning := row[1]
			c, ok := numbers[meaning]
			if !ok {
				return fmt.Errorf("%s has no number", meaning)
			}
			r, err := parseRule(row[2:])
			if err != nil {
				return err
			}
			if other, ok := have[meaning]; ok && other != r {
				return fmt.Errorf("%s has another rule than before", meaning)
			}
			have[meaning] = r
			t.rules[c] = r
			letter := row[0]
			if letter == "space" {
				letter = " "
			}
			switch {
			case Plan(i) > PlanOPRA:
				return nil
			case len(letter) != 1 || t.letters[i][letter[0]] != 0:
				return fmt.Errorf("%q is no letter, or has two rows", letter)
			}
			t.letters[i][letter[0]] = c + 1
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for meaning, c := range numbers {
		if _, ok := have[meaning]; !ok {
			return nil, fmt.Errorf("numbers.txt: %d %s is in no table", c, meaning)
		}
	}
	return t, nil
}

// rows calls f with the words of each line that is not empty or for readers.
func rows(text string, f func([]string) error) error {
	for i, line := range strings.Split(text, "\n") {
		row := strings.Fields(line)
		if len(row) == 0 || row[0][0] == '#' {
			continue
		}
		if err := f(row); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// parseRule reads a row from the column last on.
func parseRule(row []string) (rule, error) {
	var r rule
	columns := [...]rule{ruleLast | ruleLastIfFirst, ruleHighLow, ruleVolume, ruleBar}
	for i, bit := range columns {
		switch word := row[i]; {
		case word == "yes":
			r |= bit
		case word == "first" && i == 0:
			r |= ruleLastIfFirst
		case word != "no":
			return 0, fmt.Errorf("%q is neither yes nor no", word)
		}
	}
	for _, word := range row[len(columns):] {
		bit, ok := told[word]
		if !ok {
			return 0, fmt.Errorf("%q is unknown", word)
		}
		r |= bit
	}
	return r, nil
}
