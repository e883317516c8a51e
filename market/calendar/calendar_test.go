package calendar

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// easter returns the date of Easter Sunday (the anonymous Gregorian algorithm,
// as in J. Meeus, "Astronomical Algorithms", chapter 8).
func easter(year int) Day {
	a, b, c := year%19, year/100, year%100
	h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
	l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
	m := (a + 11*h + 22*l) / 451
	return DayOf(year, time.Month((h+l-7*m+114)/31), (h+l-7*m+114)%31+1)
}

// nth returns the n-th such weekday of a month, from its end with n < 0.
func nth(year int, month time.Month, w time.Weekday, n int) Day {
	if n < 0 {
		d := DayOf(year, month+1, 1) - 1
		for d.Weekday() != w {
			d--
		}
		return d
	}
	d := DayOf(year, month, 1)
	for d.Weekday() != w {
		d++
	}
	return d + Day(7*(n-1))
}

// ruled returns the holidays (false) and short days (true) of a year as NYSE Rule
// 7.2 and custom have them: a holiday on a Saturday is kept on the Friday before,
// unless that ends a year, one on a Sunday on the Monday after.
func ruled(year int) map[Day]bool {
	days := make(map[Day]bool)
	closed := func(d Day) { days[d] = false }
	observed := func(month time.Month, date int) {
		d := DayOf(year, month, date)
		switch {
		case d.Weekday() == time.Saturday && month != time.January:
			d--
		case d.Weekday() == time.Sunday:
			d++
		}
		closed(d)
	}
	observed(time.January, 1)
	closed(nth(year, time.January, time.Monday, 3))  // Martin Luther King, Jr. Day
	closed(nth(year, time.February, time.Monday, 3)) // Washington's Birthday
	closed(easter(year) - 2)                         // Good Friday
	closed(nth(year, time.May, time.Monday, -1))     // Memorial Day
	observed(time.June, 19)
	observed(time.July, 4)
	closed(nth(year, time.September, time.Monday, 1))
	thanksgiving := nth(year, time.November, time.Thursday, 4)
	closed(thanksgiving)
	observed(time.December, 25)
	for _, d := range []Day{DayOf(year, time.July, 3), thanksgiving + 1, DayOf(year, time.December, 24)} {
		if _, taken := days[d]; !taken && d.Weekday() != time.Saturday && d.Weekday() != time.Sunday {
			days[d] = true
		}
	}
	for d := range days {
		if w := d.Weekday(); w == time.Saturday || w == time.Sunday {
			delete(days, d) // New Year's Day of 2022, which no day made up for
		}
	}
	// No rule foretells a day of mourning.
	days[DayOf(2025, time.January, 9)] = false
	return days
}

// TestHolidays holds the data of 2024 to 2027 against the rules that holidays
// follow: each finds a slip in the other.
func TestHolidays(t *testing.T) {
	for _, class := range []market.Class{market.ClassStock, market.ClassOption, market.ClassIndex} {
		c := For(class)
		for d := DayOf(2024, time.January, 1); d <= DayOf(2027, time.December, 31); d++ {
			year, _, _ := d.Date()
			half, ruled := ruled(year)[d]
			name, isHalf := c.Holiday(d)
			if ruled != (name != "") || half != isHalf {
				t.Errorf("%v %v: the data say %q (half %v), the rules %v (half %v)", class, d, name, isHalf, ruled, half)
			}
			weekend := d.Weekday() == time.Saturday || d.Weekday() == time.Sunday
			if want := !weekend && (!ruled || half); c.Trades(d) != want {
				t.Errorf("%v %v: trades %v, want %v", class, d, !want, want)
			}
			if !c.Known(d) {
				t.Errorf("%v %v: not known", class, d)
			}
		}
		if c.Known(DayOf(2023, time.December, 31)) || c.Known(DayOf(2028, time.January, 1)) {
			t.Errorf("%v: days are known that there is no data of", class)
		}
	}
}

func newYork(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestSessions(t *testing.T) {
	const layout = "2006-01-02 15:04:05"
	tests := []struct {
		class      market.Class
		at         string // New York time
		day        string
		kind       Kind
		start, end string // New York time
	}{
		{market.ClassStock, "2026-03-04 03:59:59", "2026-03-04", Closed, "2026-03-04 00:00:00", "2026-03-04 04:00:00"},
		{market.ClassStock, "2026-03-04 04:00:00", "2026-03-04", Pre, "2026-03-04 04:00:00", "2026-03-04 09:30:00"},
		{market.ClassStock, "2026-03-04 09:30:00", "2026-03-04", Regular, "2026-03-04 09:30:00", "2026-03-04 16:00:00"},
		{market.ClassStock, "2026-03-04 15:59:59", "2026-03-04", Regular, "2026-03-04 09:30:00", "2026-03-04 16:00:00"},
		{market.ClassStock, "2026-03-04 16:00:00", "2026-03-04", Post, "2026-03-04 16:00:00", "2026-03-04 20:00:00"},
		{market.ClassStock, "2026-03-04 20:00:00", "2026-03-04", Closed, "2026-03-04 20:00:00", "2026-03-05 00:00:00"},
		// A half day, which is the Friday after Thanksgiving, and the weekend that belongs to it.
		{market.ClassStock, "2026-11-26 12:00:00", "2026-11-25", Closed, "2026-11-25 20:00:00", "2026-11-27 00:00:00"},
		{market.ClassStock, "2026-11-27 12:59:59", "2026-11-27", Regular, "2026-11-27 09:30:00", "2026-11-27 13:00:00"},
		{market.ClassStock, "2026-11-27 13:00:00", "2026-11-27", Post, "2026-11-27 13:00:00", "2026-11-27 17:00:00"},
		{market.ClassStock, "2026-11-29 12:00:00", "2026-11-27", Closed, "2026-11-27 17:00:00", "2026-11-30 00:00:00"},
		{market.ClassIndex, "2026-11-27 13:00:00", "2026-11-27", Post, "2026-11-27 13:00:00", "2026-11-27 17:00:00"},
		// The day of mourning, a Thursday.
		{market.ClassStock, "2025-01-09 11:00:00", "2025-01-08", Closed, "2025-01-08 20:00:00", "2025-01-10 00:00:00"},
		// The clock goes forward on 8 March and back on 1 November 2026, both Sundays.
		{market.ClassStock, "2026-03-09 09:30:00", "2026-03-09", Regular, "2026-03-09 09:30:00", "2026-03-09 16:00:00"},
		{market.ClassStock, "2026-11-02 09:29:59", "2026-11-02", Pre, "2026-11-02 04:00:00", "2026-11-02 09:30:00"},
		{market.ClassForex, "2026-03-08 16:59:59", "2026-03-06", Closed, "2026-03-06 17:00:00", "2026-03-08 17:00:00"},
		{market.ClassForex, "2026-11-01 17:00:00", "2026-11-02", Regular, "2026-11-01 17:00:00", "2026-11-02 17:00:00"},
		{market.ClassForex, "2026-11-03 16:59:59", "2026-11-03", Regular, "2026-11-02 17:00:00", "2026-11-03 17:00:00"},
		{market.ClassForex, "2026-11-03 17:00:00", "2026-11-04", Regular, "2026-11-03 17:00:00", "2026-11-04 17:00:00"},
		{market.ClassFuture, "2026-11-03 17:30:00", "2026-11-04", Closed, "2026-11-03 17:00:00", "2026-11-03 18:00:00"},
		{market.ClassFuture, "2026-11-03 18:00:00", "2026-11-04", Regular, "2026-11-03 18:00:00", "2026-11-04 17:00:00"},
		{market.ClassFuture, "2026-11-07 12:00:00", "2026-11-06", Closed, "2026-11-06 17:00:00", "2026-11-08 17:00:00"},
		{market.ClassFuture, "2026-12-25 12:00:00", "2026-12-24", Closed, "2026-12-24 17:00:00", "2026-12-27 17:00:00"},
		{market.ClassOption, "2026-11-03 09:00:00", "2026-11-03", Closed, "2026-11-03 00:00:00", "2026-11-03 09:30:00"},
		{market.ClassOption, "2026-11-03 16:10:00", "2026-11-03", Post, "2026-11-03 16:00:00", "2026-11-03 16:15:00"},
		{market.ClassOption, "2026-11-27 13:10:00", "2026-11-27", Post, "2026-11-27 13:00:00", "2026-11-27 13:15:00"},
		// A UTC day, of 24 hours on the day that New York's has 25.
		{market.ClassCrypto, "2026-11-01 20:00:00", "2026-11-02", Continuous, "2026-11-01 19:00:00", "2026-11-02 19:00:00"},
		{market.ClassUnknown, "2026-11-01 20:00:00", "2026-11-02", Continuous, "2026-11-01 19:00:00", "2026-11-02 19:00:00"},
		// Beyond the data there are weeks and no holidays.
		{market.ClassStock, "2031-12-25 12:00:00", "2031-12-25", Regular, "2031-12-25 09:30:00", "2031-12-25 16:00:00"},
	}
	loc := newYork(t)
	for _, c := range tests {
		at, err := time.ParseInLocation(layout, c.at, loc)
		if err != nil {
			t.Fatal(err)
		}
		s := For(c.class).Session(at.UnixNano())
		text := func(ns int64) string { return time.Unix(0, ns).In(loc).Format(layout) }
		if s.Day.String() != c.day || s.Kind != c.kind || text(s.Start) != c.start || text(s.End) != c.end {
			t.Errorf("%v at %s: %v %v from %s to %s, want %s %v from %s to %s", c.class, c.at,
				s.Day, s.Kind, text(s.Start), text(s.End), c.day, c.kind, c.start, c.end)
		}
		if !s.Holds(at.UnixNano()) || !s.HoldsDay(at.UnixNano()) {
			t.Errorf("%v at %s: not in its session, or day", c.class, c.at)
		}
	}
}

// TestWithoutGaps walks from session to session through all years of the data:
// each begins where the one before it ends, and so do the days.
func TestWithoutGaps(t *testing.T) {
	loc := newYork(t)
	until := time.Date(2028, time.February, 1, 0, 0, 0, 0, loc).UnixNano()
	for class := market.ClassUnknown; class <= market.ClassFuture; class++ {
		c := For(class)
		s := c.Session(time.Date(2023, time.December, 1, 12, 0, 0, 0, loc).UnixNano())
		for s.End < until {
			next := c.Session(s.End)
			if next.Start != s.End || c.Session(s.End-1) != s || c.Session(s.Start) != s {
				t.Fatalf("%v: after %+v comes %+v", class, s, next)
			}
			if next.Day == s.Day {
				if next.DayStart != s.DayStart || next.DayClose != s.DayClose || next.DayEnd != s.DayEnd {
					t.Fatalf("%v: one day, told twice: %+v and %+v", class, s, next)
				}
			} else if next.Day < s.Day || next.DayStart != s.DayEnd || s.DayEnd != s.End {
				t.Fatalf("%v: the day after %+v is %+v", class, s, next)
			}
			if s.Kind == Closed && s.DayStart != s.Start && s.Start != s.DayClose {
				t.Fatalf("%v: closed in the midst of the day: %+v", class, s)
			}
			s = next
		}
	}
}

// TestSessionEqualsModel compares with what New York's wall clock says.
func TestSessionEqualsModel(t *testing.T) {
	loc := newYork(t)
	from, to := time.Date(2024, 1, 3, 0, 0, 0, 0, loc), time.Date(2027, 12, 31, 0, 0, 0, 0, loc)
	stocks, forex := For(market.ClassStock), For(market.ClassForex)
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64Range(from.UnixNano(), to.UnixNano()).Draw(t, "ns")
		at := time.Unix(0, ns).In(loc)
		minute := at.Hour()*60 + at.Minute()

		// Stocks: the date's own sessions, or the last trading date's closed time.
		date := DayOf(at.Date())
		trades := func(d Day) (yes, half bool) {
			year, _, _ := d.Date()
			half, special := ruled(year)[d]
			w := d.Weekday()
			return w != time.Saturday && w != time.Sunday && (!special || half), half
		}
		day, kind := date, Closed
		yes, half := trades(date)
		for !yes {
			day--
			yes, _ = trades(day)
		}
		if day == date {
			bounds := []int{4 * 60, 9*60 + 30, 16 * 60, 20 * 60}
			if half {
				bounds[2], bounds[3] = 13*60, 17*60
			}
			for i, k := range []Kind{Pre, Regular, Post, Closed} {
				if minute >= bounds[i] {
					kind = k
				}
			}
		}
		if s := stocks.Session(ns); s.Day != day || s.Kind != kind || !s.Holds(ns) {
			t.Fatalf("stocks at %v: %v %v, want %v %v", at, s.Day, s.Kind, day, kind)
		}

		// Forex: closed from Friday's to Sunday's 17:00.
		day, kind = date, Regular
		evening := minute >= 17*60
		switch w := at.Weekday(); {
		case w == time.Friday && evening, w == time.Saturday, w == time.Sunday && !evening:
			for kind = Closed; day.Weekday() != time.Friday; day-- {
			}
		case evening:
			day++
		}
		if s := forex.Session(ns); s.Day != day || s.Kind != kind || !s.Holds(ns) {
			t.Fatalf("forex at %v: %v %v, want %v %v", at, s.Day, s.Kind, day, kind)
		}
	})
}

func TestDay(t *testing.T) {
	for d := Day(-800); d < 40000; d++ {
		if year, month, date := d.Date(); DayOf(year, month, date) != d || d.utc().Weekday() != d.Weekday() {
			t.Fatalf("day %d is %v, a %v", d, d, d.Weekday())
		}
	}
}

func TestFaultyData(t *testing.T) {
	const good = "zone UTC\nweek Mon Tue\nknown 2024-01-01 2024-12-31\nfull regular 09:00 17:00\n"
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"", "no zone"},
		{"zone UTC\n", "no trading day"},
		{"zone UTC\nweek Mon\n", "no session"},
		{"zone Atlantis\n", "Atlantis"},
		{"week Mo\n", "weekday"},
		{good + "full lunch 18:00 19:00\n", "no such session"},
		{good + "full post 16:00 18:00\n", "order"},
		{good + "full post 18:00 25:00\n", "no time"},
		{good + "2024-01-03 closed A Wednesday\n", "no trading day"},
		{good + "2025-01-06 closed Not known\n", "not a known day"},
		{good + "2024-01-08 closed Once\n2024-01-08 closed Twice\n", "told twice"},
		{good + "2024-01-08 half No hours\n", "no session is told"},
		{good + "holiday\n", "cannot read"},
	} {
		if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("parse(%q): %v, want %q", c.text, err, c.want)
		}
	}
}

func BenchmarkSession(b *testing.B) {
	c := For(market.ClassStock)
	at := time.Date(2026, time.March, 4, 15, 0, 0, 0, time.UTC).UnixNano()
	b.Run("asked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = c.Session(at)
		}
	})
	b.Run("held", func(b *testing.B) {
		b.ReportAllocs()
		s := c.Session(at)
		for b.Loop() {
			if !s.Holds(at) {
				s = c.Session(at)
			}
		}
	})
}
