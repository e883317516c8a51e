package orderbook

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// TestTwoClocks: of two lines to a venue each may have a clock of its own, which is
// set at times. Which line is shown may then be anything, but it is always one that
// is live, as it stands, and never a mixture of the two.
func TestTwoClocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, Config{})
		now := int64(1_700_000_000_000_000_000)
		type clockLine struct {
			feed market.FeedID
			at   int   // change that it delivered last
			off  int64 // of its clock, ns
			live bool
		}
		lines := [2]*clockLine{{feed: 1}, {feed: 2}}
		made := []int64{now} // when the changes were; the i-th makes i+1 of the size at one of three prices
		level := func(i int) market.Event {
			return market.Event{Kind: market.KindLevel, Instrument: 1, Side: market.SideBid, Price: market.Price(100 + i%3), Size: market.Size(i + 1)}
		}
		say := func(l *clockLine, events ...market.Event) {
			for i := range events {
				e := &events[i]
				e.Feed, e.Received = l.feed, now
				if e.Instrument != 0 {
					e.Venue, e.Time = 1, made[l.at]+l.off
				}
			}
			events[len(events)-1].Flags |= market.FlagLast
			r.apply(events)
			if r.err != nil {
				t.Fatal(r.err)
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			l := lines[rapid.IntRange(0, 1).Draw(t, "line")]
			switch rapid.SampledFrom([]string{"market", "market", "deliver", "deliver", "deliver", "gap", "clock"}).Draw(t, "what") {
			case "market":
				now += rapid.Int64Range(1, 150).Draw(t, "ms") * int64(time.Millisecond)
				made = append(made, now)
			case "clock":
				l.off = rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, -time.Hour}).Draw(t, "off").Nanoseconds()
			case "gap":
				if l.live {
					l.live = false
					say(l, market.Event{Kind: market.KindGap, Instrument: 1})
					break
				}
				l.live, l.at = true, len(made)-1
				image := []market.Event{{Kind: market.KindClear, Flags: market.FlagSnapshot, Instrument: 1}}
				for i := max(0, l.at-2); i <= l.at; i++ {
					image = append(image, level(i))
				}
				say(l, image...)
			default:
				if l.live && l.at < len(made)-1 {
					l.at++
					say(l, level(l.at))
				}
			}
			v := r.views[1]
			if v == nil {
				continue
			}
			w := v.Venue(1)
			if w == nil || !lines[0].live && !lines[1].live {
				if w != nil && w.State == StateLive {
					t.Fatal("live without a line")
				}
				continue
			}
			if w.State != StateLive {
				t.Fatalf("a line is live and the venue is %s", w.State)
			}
			shown := 0
			for _, l := range lines {
				same := l.live && w.Bids.Len() == min(3, l.at+1)
				for i := max(0, l.at-2); same && i <= l.at; i++ {
					e := level(i)
					lv, ok := find(&w.Bids, e.Price)
					same = ok && lv.Size == e.Size
				}
				if same {
					shown++
				}
			}
			if shown == 0 {
				t.Fatalf("what is shown is of neither line: %v; lines at %d and %d", w.Bids.levels, lines[0].at, lines[1].at)
			}
		}
	})
}

func find(l *Ladder, p market.Price) (Level, bool) {
	for _, lv := range l.levels {
		if lv.Price == p {
			return lv, true
		}
	}
	return Level{}, false
}
