package market

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// roundLotsCSV is the table, with its version and source.
//
//go:embed round_lots.csv
var roundLotsCSV string

// NewListingLot is the round lot, in shares, of a stock that has not been
// evaluated yet.
const NewListingLot = 100

// roundLot is one row of the table.
type roundLot struct {
	from         int // day, as 20251103
	price        Price
	decimals     Decimals
	highest      bool // for all prices
	sharesPerLot int64
}

var roundLots = sync.OnceValue(func() []roundLot {
	rows, err := readRoundLots(roundLotsCSV)
	if err != nil {
		panic("market: round_lots.csv: " + err.Error())
	}
	return rows
})

func readRoundLots(text string) ([]roundLot, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comment, r.FieldsPerRecord = '#', 3
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	var out []roundLot
	for _, row := range rows[1:] {
		day, err1 := time.Parse(time.DateOnly, row[0])
		lot, err2 := strconv.ParseInt(row[2], 10, 32)
		l := roundLot{from: dayNumber(day), highest: row[1] == "", sharesPerLot: lot}
		var err3 error
		if !l.highest {
			l.price, l.decimals, err3 = ParsePrice(row[1])
		}
		if err1 != nil || err2 != nil || err3 != nil || lot < 1 {
			return nil, fmt.Errorf("row %v", row)
		}
		out = append(out, l)
	}
	return out, nil
}

func dayNumber(t time.Time) int { return t.Year()*10000 + int(t.Month())*100 + t.Day() }

// RoundLot returns the round lot in shares of a US stock that was evaluated at a
// price, as in force on the day of the given time, which is in the market's zone.
// Source: Regulation NMS, rule 600(b)(93).
func RoundLot(day time.Time, p Price, d Decimals) int64 {
	rows, n := roundLots(), dayNumber(day)
	from := 0
	for i := range rows {
		if rows[i].from <= n {
			from = max(from, rows[i].from)
		}
	}
	for i := range rows {
		if l := &rows[i]; l.from == from && (l.highest || comparePrices(p, d, l.price, l.decimals) <= 0) {
			return l.sharesPerLot
		}
	}
	return NewListingLot
}

// comparePrices compares prices of different decimals.
func comparePrices(a Price, da Decimals, b Price, db Decimals) int {
	return ToDecimal(a, da).Cmp(ToDecimal(b, db))
}

// RoundLotsUntil returns when the round lots that are in force at a time, which
// is in the market's zone, are assigned anew: the first business day of May or
// November, at midnight. A lot that was assigned stays until then.
func RoundLotsUntil(t time.Time) time.Time {
	for year := t.Year(); ; year++ {
		for _, m := range [...]time.Month{time.May, time.November} {
			day := time.Date(year, m, 1, 0, 0, 0, 0, t.Location())
			for day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
				day = day.AddDate(0, 0, 1)
			}
			if day.After(t) {
				return day
			}
		}
	}
}
