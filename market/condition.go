package market

// Condition is a sale condition of a print, in the consolidated numbering that
// merges the codes of the CTA and UTP plans (one number per meaning, whatever
// the tape's letter). Numbers without a name here are kept and shown as
// "cond_<n>".
type Condition uint16

// ConditionBlock is a trade that a crypto venue prints and that was made beside
// its book, at a price of its own.
const ConditionBlock Condition = 1000

// ConditionRule says what a print under a condition updates in the
// consolidated tape. With several conditions a field is updated only if every
// one of them allows it. Source: CTA and UTP trade-condition tables,
// "consolidated processing guidelines".
type ConditionRule struct {
	Name    string
	HighLow bool
	Last    bool
	Volume  bool
}

// conditionRules holds the rows of the published table. Rows that allow "last"
// only when no other print has qualified yet (prior reference price, sold out
// of sequence, derivatively priced) are read as not updating it.
var conditionRules = map[Condition]ConditionRule{
	0:  {"regular", true, true, true},
	1:  {"acquisition", true, true, true},
	2:  {"average_price", false, false, true},
	3:  {"automatic_execution", true, true, true},
	4:  {"bunched", true, true, true},
	5:  {"bunched_sold", true, false, true},
	7:  {"cash_sale", false, false, true},
	8:  {"closing_print", true, true, true},
	9:  {"cross", true, true, true},
	10: {"derivatively_priced", true, false, true},
	11: {"distribution", true, true, true},
	12: {"form_t", false, false, true},
	13: {"extended_hours_sold_out_of_sequence", false, false, true},
	14: {"intermarket_sweep", true, true, true},
	15: {"official_close", false, false, false},
	16: {"official_open", false, false, false},
	17: {"opening_trade", true, true, true},
	18: {"reopening_trade", true, true, true},
	19: {"closing_trade", true, true, true},
	20: {"next_day", false, false, true},
	21: {"price_variation", false, false, true},
	22: {"prior_reference_price", true, false, true},
	23: {"rule_155", true, true, true},
	25: {"opening_print", true, true, true},
	27: {"stopped_stock", true, true, true},
	28: {"reopening_print", true, true, true},
	29: {"seller", false, false, true},
	30: {"sold_last", true, true, true},
	32: {"sold_out_of_sequence", true, false, true},
	33: {"sold_out_of_sequence", true, false, true},
	34: {"split_trade", true, true, true},
	36: {"yellow_flag", true, true, true},
	37: {"odd_lot", false, false, true},
	38: {"corrected_close", true, true, false},
	41: {"trade_through_exempt", true, true, true}, // no sale condition: says nothing of the price
	52: {"contingent", false, false, true},
	53: {"qualified_contingent", false, false, true},
	59: {"placeholder_611_exempt", true, true, true},

	// Of options, where OPRA sends a cancelled print once more. One that came
	// late and out of sequence is not the last.
	201: {"canceled", false, false, false},
	202: {"late_out_of_sequence", true, false, true},
	203: {"last_and_canceled", false, false, false},
	204: {"late", true, true, true},
	205: {"opening_trade_and_canceled", false, false, false},
	206: {"opening_trade_late_out_of_sequence", true, false, true},
	207: {"only_trade_and_canceled", false, false, false},
	208: {"opening_trade_and_late", true, true, true},
	209: {"automatic_execution_option", true, true, true},
	210: {"reopening_trade_option", true, true, true},
	219: {"intermarket_sweep_option", true, true, true},

	// Not of the tapes, which stay far below.
	ConditionBlock: {"block_trade", false, false, true},
}

// Rule returns what a print under c updates. An unknown condition changes
// nothing but the name: a print is not thrown away for a code that is newer
// than this table.
func (c Condition) Rule() ConditionRule {
	if r, ok := conditionRules[c]; ok {
		return r
	}
	return ConditionRule{HighLow: true, Last: true, Volume: true}
}

// Append appends the condition's name.
func (c Condition) Append(dst []byte) []byte {
	if r, ok := conditionRules[c]; ok {
		return append(dst, r.Name...)
	}
	dst = append(dst, "cond_"...)
	return AppendNumber(dst, int64(c), 0)
}

// String returns the condition's name.
func (c Condition) String() string { return string(c.Append(nil)) }

// Updates returns what the print may update: the strictest of its conditions'
// rules, field by field.
func (e *Event) Updates() (highLow, last, volume bool) {
	highLow, last, volume = true, true, true
	if e.Kind == KindValue { // no print: an index has no last but its level
		index := e.Value == ValueIndex
		return index, index || e.Value == ValueLast, false
	}
	for _, c := range e.Conditions[:e.NumConditions] {
		r := c.Rule()
		highLow = highLow && r.HighLow
		last = last && r.Last
		volume = volume && r.Volume
	}
	if e.Has(FlagPrior) {
		highLow, volume = false, false
	}
	return highLow, last, volume
}
