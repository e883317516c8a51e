package calendar_test

import (
	"fmt"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
)

func ExampleCalendar_Session() {
	stocks := calendar.For(market.ClassStock)
	at := time.Date(2026, time.November, 27, 18, 30, 0, 0, time.UTC).UnixNano()
	s := stocks.Session(at)
	name, _ := stocks.Holiday(s.Day)
	fmt.Println(s.Day, s.Kind, "until", time.Unix(0, s.End).In(stocks.Location()).Format(time.Kitchen))
	fmt.Println(name)
	// Output:
	// 2026-11-27 post until 5:00PM
	// Day after Thanksgiving
}
