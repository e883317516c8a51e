package market

import (
	"strings"
	"testing"
	"time"
)

// TestQuoteConditions holds the table against the lists of the plans.
func TestQuoteConditions(t *testing.T) {
	// UTP Quotation Data Feed: what enters the national best bid and offer is
	// A, B, H, O, R, Y; of these A, B and H are manual on their side.
	for letter := byte('A'); letter <= 'Z'; letter++ {
		r := QuoteCondition(letter, true).QuoteRule()
		if enters := strings.IndexByte("ABHORY", letter) >= 0; enters != (r.Bid != NotFirm || r.Ask != NotFirm) {
			t.Errorf("UTP %c: %+v", letter, r)
		}
	}
	for _, c := range []struct {
		letter byte
		utp    bool
		id     Condition
		bid    Firmness
		ask    Firmness
	}{
		{'R', true, 0, Firm, Firm}, {'R', false, 0, Firm, Firm}, {'Y', true, 2, Firm, Firm}, {'O', false, 13, Firm, Firm},
		{'A', true, 3, Firm, Slow}, {'B', false, 4, Slow, Firm}, {'H', true, 5, Slow, Slow}, {'W', false, 9, Slow, Slow},
		{'E', false, 6, Slow, Firm}, {'F', false, 7, Firm, Slow}, {'F', true, 17, NotFirm, NotFirm}, {'U', false, 8, Slow, Slow},
		{'U', true, 20, NotFirm, NotFirm}, {'N', false, 20, NotFirm, NotFirm}, {'L', true, 15, NotFirm, NotFirm},
		{'Z', true, 32, NotFirm, NotFirm}, {'C', false, 14, NotFirm, NotFirm}, {'?', true, 256 + '?', NotFirm, NotFirm},
	} {
		id := QuoteCondition(c.letter, c.utp)
		if r := id.QuoteRule(); id != c.id || r.Bid != c.bid || r.Ask != c.ask {
			t.Errorf("%c (UTP %v): %d %+v, want %+v", c.letter, c.utp, id, r, c)
		}
	}
	e := Event{NumConditions: 2, Conditions: [MaxConditions]Condition{3, 20}}
	if bid, ask := e.Firmness(); bid != NotFirm || ask != NotFirm {
		t.Errorf("slow ask and non-firm: %v %v", bid, ask)
	}
	e.NumConditions = 1
	if bid, ask := e.Firmness(); bid != Firm || ask != Slow {
		t.Errorf("slow ask: %v %v", bid, ask)
	}
	for _, bad := range []string{"h,h,h,h,h,h\n0,a,firm,maybe,,\n", "h,h,h,h,h,h\n0,a,no,no,,\n0,b,no,no,,\n", "h,h,h,h,h,h\n0,a,no,no,R,\n1,b,no,no,R,\n", "h\n"} {
		if _, err := readQuoteTable(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestRoundLot(t *testing.T) {
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		day   string
		price string
		lot   int64
	}{
		{"2025-11-02", "9000", 100}, {"2025-11-03", "250", 100}, {"2025-11-03", "250.00", 100}, {"2025-11-03", "250.01", 40},
		{"2026-07-07", "1000", 40}, {"2026-07-07", "1000.0001", 10}, {"2026-07-07", "10000", 10}, {"2026-07-07", "10000.01", 1},
		{"2026-07-07", "0.0001", 100},
	} {
		p, d, err := ParsePrice(c.price)
		if err != nil {
			t.Fatal(err)
		}
		if got := RoundLot(day(c.day), p, d); got != c.lot {
			t.Errorf("%s at %s: %d, want %d", c.price, c.day, got, c.lot)
		}
	}
	// 1 November 2025 and 2026 are a Saturday and a Sunday, 1 May 2026 a Friday.
	for at, want := range map[string]string{"2025-10-31": "2025-11-03", "2025-11-03": "2026-05-01", "2026-05-01": "2026-11-02"} {
		if got := RoundLotsUntil(day(at)); got != day(want) {
			t.Errorf("until after %s: %s, want %s", at, got.Format(time.DateOnly), want)
		}
	}
}
