package calendar

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // New York's clock on machines without a zone database
)

//go:embed data/*.txt
var files embed.FS

type set struct{ equities, options, futures, forex, crypto Calendar }

// calendars reads the data once. That it can be read, a test shows: a failure
// is a programmer's error.
var calendars = sync.OnceValue(func() *set {
	return &set{
		equities: must("us-equities.txt"),
		options:  must("us-options.txt"),
		futures:  must("us-futures.txt"),
		forex:    must("forex.txt"),
		crypto:   must("crypto.txt"),
	}
})

func must(name string) Calendar {
	text, err := files.ReadFile("data/" + name)
	if err != nil {
		panic(err)
	}
	c, err := parse(string(text))
	if err != nil {
		panic(fmt.Sprintf("calendar: %s: %v", name, err))
	}
	return c
}

// parse reads a calendar, a line a fact:
//
//	zone  America/New_York                  the market's clock
//	rolls -17:00                            when a trading day begins; "-" on the date before
//	week  Mon Tue                           weekdays that are trading days
//	known 2024-01-01 2027-12-31             days that the holidays below are complete for
//	days  other.txt                         take those days and holidays from another file
//	full  regular 09:30 16:00               a session of a full day, in order of time
//	half  regular 09:30 13:00               a session of a short day
//	2025-01-09 closed National Day of …     a holiday, or with "half" a short day, and its name
//
// What follows a "#" at the beginning of a line is for readers.
func parse(text string) (Calendar, error) {
	c := Calendar{days: make(map[Day]special)}
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := c.fact(words); err != nil {
			return Calendar{}, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	switch {
	case c.zone == nil:
		return Calendar{}, fmt.Errorf("no zone")
	case c.week == [7]bool{}:
		return Calendar{}, fmt.Errorf("no trading day in the week")
	case len(c.full) == 0:
		return Calendar{}, fmt.Errorf("no session")
	}
	for d, s := range c.days {
		if s.half && len(c.half) == 0 {
			return Calendar{}, fmt.Errorf("%v is a short day, of which no session is told", d)
		}
	}
	return c, nil
}

var weekdays = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"} // by time.Weekday

func (c *Calendar) fact(words []string) (err error) {
	switch key, args := words[0], words[1:]; {
	case key == "zone" && len(args) == 1:
		c.zone, err = time.LoadLocation(args[0])
	case key == "rolls" && len(args) == 1:
		c.rolls, err = parseClock(args[0])
	case key == "week":
		for _, w := range args {
			d := slices.Index(weekdays[:], w)
			if d < 0 {
				return fmt.Errorf("no such weekday %q", w)
			}
			c.week[d] = true
		}
	case key == "known" && len(args) == 2:
		if c.from, err = parseDay(args[0]); err == nil {
			c.to, err = parseDay(args[1])
		}
	case key == "days" && len(args) == 1:
		o := must(args[0])
		c.from, c.to, c.days = o.from, o.to, o.days
	case key == "full" && len(args) == 3:
		c.full, err = addHours(c.full, args)
	case key == "half" && len(args) == 3:
		c.half, err = addHours(c.half, args)
	case len(args) >= 2 && (args[0] == "closed" || args[0] == "half"):
		d, err := parseDay(key)
		if err != nil {
			return err
		}
		if _, ok := c.days[d]; ok || d < c.from || d > c.to || !c.week[d.Weekday()] {
			return fmt.Errorf("%v is told twice, not a known day or no trading day", d)
		}
		c.days[d] = special{half: args[0] == "half", name: strings.Join(args[1:], " ")}
	default:
		return fmt.Errorf("cannot read %q", strings.Join(words, " "))
	}
	return err
}

func addHours(list []hours, args []string) ([]hours, error) {
	h := hours{}
	for k, name := range kindNames {
		if name == args[0] {
			h.kind = Kind(k)
		}
	}
	if h.kind == Closed {
		return nil, fmt.Errorf("no such session %q", args[0])
	}
	var err error
	if h.start, err = parseClock(args[1]); err != nil {
		return nil, err
	}
	if h.end, err = parseClock(args[2]); err != nil {
		return nil, err
	}
	if !h.start.less(h.end) || len(list) > 0 && h.start.less(list[len(list)-1].end) {
		return nil, fmt.Errorf("%q is not in order", strings.Join(args, " "))
	}
	return append(list, h), nil
}

func (t clock) less(u clock) bool {
	if t.before != u.before {
		return t.before
	}
	return t.minute < u.minute
}

func parseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	return Day(t.Unix() / 86400), err
}

// parseClock reads 09:30, 24:00 or, on the date before, -17:00.
func parseClock(s string) (clock, error) {
	text, before := strings.CutPrefix(s, "-")
	h, m, ok := strings.Cut(text, ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err1 != nil || err2 != nil || hour > 24 || minute > 59 || hour == 24 && minute > 0 {
		return clock{}, fmt.Errorf("%q is no time of a clock", s)
	}
	return clock{before, int(hour*60 + minute)}, nil
}
