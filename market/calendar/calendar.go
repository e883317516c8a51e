package calendar

import (
	"time"

	"github.com/quotewire/quotewire/market"
)

// Kind is what sort of session it is.
type Kind uint8

// The kinds of sessions.
const (
	Closed     Kind = iota // nothing trades
	Pre                    // extended hours before the regular session
	Regular                // official open, high, low and close are made here
	Post                   // extended hours after the regular session
	Continuous             // a market without hours, such as crypto
)

var kindNames = [...]string{"closed", "pre", "regular", "post", "continuous"}

// String returns the kind's lower-case name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Official reports whether prints of such a session make the day's official
// open, high, low and close: of the regular session, or of a market without any.
func (k Kind) Official() bool { return k == Regular || k == Continuous }

// Extended reports whether it is a session before or after the regular one.
func (k Kind) Extended() bool { return k == Pre || k == Post }

// Day is a date: days since 1970-01-01. Times of a market's clock have no part
// in it: the day that begins on a Sunday evening is a Monday.
type Day int32

// DayOf returns the day of a date.
func DayOf(year int, month time.Month, day int) Day {
	return Day(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// Date returns the day's year, month and day of the month.
func (d Day) Date() (year int, month time.Month, day int) { return d.utc().Date() }

// Weekday returns the day of the week.
func (d Day) Weekday() time.Weekday { return time.Weekday((int(d)%7 + 11) % 7) }

// String returns the day as 2006-01-02.
func (d Day) String() string { return d.utc().Format(time.DateOnly) }

func (d Day) utc() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// Session is a stretch of one kind, and the trading day that it is a part of.
// All times are ns since the Unix epoch; a stretch holds its Start and not its
// End. The zero Session holds no moment.
type Session struct {
	Day        Day
	Kind       Kind
	Start, End int64
	// DayStart is when the trading day begins, which is when the one before it
	// ends: midnight of the market's clock, 17:00 of the evening before for
	// forex and futures. DayClose is the end of its last session; what follows
	// until DayEnd, when the next trading day begins, is closed time.
	DayStart, DayClose, DayEnd int64
}

// Holds reports whether the moment is in the session: whoever keeps the last
// Session asks the calendar again only when it does not.
func (s *Session) Holds(ns int64) bool { return s.Start <= ns && ns < s.End }

// HoldsDay reports whether the moment is in the session's trading day.
func (s *Session) HoldsDay(ns int64) bool { return s.DayStart <= ns && ns < s.DayEnd }

// For returns the calendar of an asset class: US stocks (indices keep their
// hours), US options, US futures, forex, crypto. An unknown class has crypto's,
// in which every moment trades.
func For(class market.Class) *Calendar {
	all := calendars()
	switch class {
	case market.ClassStock, market.ClassIndex:
		return &all.equities
	case market.ClassOption:
		return &all.options
	case market.ClassFuture:
		return &all.futures
	case market.ClassForex:
		return &all.forex
	}
	return &all.crypto
}

// Calendar knows the trading days of a market and their sessions.
type Calendar struct {
	zone       *time.Location
	rolls      clock
	week       [7]bool // by time.Weekday
	full, half []hours
	days       map[Day]special
	from, to   Day // days that the holidays are known of
}

// clock is a time of the market's clock on a day's date, or on the date before
// it.
type clock struct {
	before bool
	minute int
}

type hours struct {
	kind       Kind
	start, end clock
}

// special is a day that is not like the others of its weekday.
type special struct {
	half bool // else closed
	name string
}

// Location returns the zone of the market's clock.
func (c *Calendar) Location() *time.Location { return c.zone }

// Known reports whether the calendar's holidays are complete for the day. Of
// other days it knows the week alone.
func (c *Calendar) Known(d Day) bool { return c.from <= d && d <= c.to }

// Trades reports whether it is a trading day, be it a short one.
func (c *Calendar) Trades(d Day) bool {
	if !c.week[d.Weekday()] {
		return false
	}
	s, ok := c.days[d]
	return !ok || s.half
}

// Holiday returns why the market is closed on the day, or, with half, why it
// closes early; "" on any other day, weekends too.
func (c *Calendar) Holiday(d Day) (name string, half bool) {
	s := c.days[d]
	return s.name, s.half
}

// Session returns the session that the moment, ns since the Unix epoch, is in. It
// does not allocate; it takes about a microsecond, see [Session.Holds].
func (c *Calendar) Session(ns int64) Session {
	year, month, date := time.Unix(0, ns).In(c.zone).Date()
	d := DayOf(year, month, date) + 1 // begins in the evening before, perhaps
	for !c.Trades(d) || c.at(d, c.rolls) > ns {
		d--
	}
	next := d + 1
	for !c.Trades(next) {
		next++
	}
	s := Session{Day: d, DayStart: c.at(d, c.rolls), DayEnd: c.at(next, c.rolls)}
	s.Start, s.End = s.DayStart, s.DayEnd
	list := c.full
	if c.days[d].half {
		list = c.half
	}
	for _, h := range list {
		start, end := c.at(d, h.start), c.at(d, h.end)
		s.DayClose = end
		switch {
		case start <= ns && ns < end:
			s.Kind, s.Start, s.End = h.kind, start, end
		case end <= ns:
			s.Start = max(s.Start, end)
		case ns < start:
			s.End = min(s.End, start)
		}
	}
	return s
}

// at returns when the clock shows that time, ns since the Unix epoch. No market's
// time is in the hour that a change to or from summer time leaves out or
// repeats.
func (c *Calendar) at(d Day, t clock) int64 {
	if t.before {
		d--
	}
	year, month, day := d.Date()
	return time.Date(year, month, day, 0, t.minute, 0, 0, c.zone).UnixNano()
}
