package orderbook

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// wire is one of two lines in the test below: what it delivered, and up to where.
type wire struct {
	feed        market.FeedID
	live, known bool
	leaving     bool
	relieved    bool // leaving, and the other has been shown since
	at, image   int  // message applied last; the one that its image was as of
}

// TestTwoLines: two lines deliver one history, each late as it happens, and are
// lost, come back with an image and fall silent. What is shown is a true book of
// the history at every update; it goes back only where the shown line is lost, to
// what the other has; a line that has what the shown one misses is waited for no
// longer than LineLag; one that is leaving is shown no longer than until the other
// has what it has, and its end is then no loss; a line that comes up does not tell
// a print before those that the other is about to bring; and every numbered print that any line brought is there
// once.
func TestTwoLines(t *testing.T) {
	const lag = int64(100 * time.Millisecond)
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, Config{})
		printed, oldest, newest := map[market.TradeID]int{}, 0, 0
		r.onUpdate = func(u *Update) {
			for _, tr := range u.Trades {
				printed[tr.ID]++
				n, _ := strconv.Atoi(tr.ID.String())
				if oldest == 0 {
					oldest = n
				}
				newest = max(newest, n)
			}
		}
		now := int64(1_700_000_000_000_000_000)
		times := []int64{now} // of the history's messages; the i-th sets bid 100 to i+1 and moves a level
		brought := map[market.TradeID]bool{}
		lines := [2]*wire{{feed: 1}, {feed: 2}}
		shown, before := 0, -1
		say := func(l *wire, events ...market.Event) {
			for i := range events {
				e := &events[i]
				e.Feed, e.Received = l.feed, now
				if e.Instrument != 0 {
					e.Venue, e.Time = 1, times[l.at]
				}
			}
			events[len(events)-1].Flags |= market.FlagLast
			r.apply(events)
			if r.err != nil {
				t.Fatal(r.err)
			}
		}
		level := func(side market.Side, p, z int) market.Event {
			return market.Event{Kind: market.KindLevel, Instrument: 1, Side: side, Price: market.Price(p), Size: market.Size(z)}
		}
		book := func(i int) []market.Event {
			out := []market.Event{level(market.SideBid, 100, i+1), level(market.SideAsk, 200, 1)}
			for j := max(0, i-2); j <= i; j++ {
				out = append(out, level(market.SideBid, 1+j%50, j+1))
			}
			return out
		}
		// deliver brings the line its next n messages.
		deliver := func(l *wire, n int) {
			for ; l.live && n > 0 && l.at < len(times)-1; n-- {
				l.at++
				i := l.at
				changes := []market.Event{level(market.SideBid, 100, i+1), level(market.SideBid, 1+i%50, i+1)}
				if old := i - 3; old >= 0 {
					changes = append(changes, level(market.SideBid, 1+old%50, 0))
				}
				say(l, changes...)
				id, _ := market.MakeTradeID(fmt.Sprint(i))
				brought[id] = true
				was := newest
				say(l, market.Event{Kind: market.KindTrade, Flags: market.FlagContiguous, Instrument: 1, Price: 100, Size: 1,
					TradeSequence: uint64(i), ID: id})
				if o := lines[2-l.feed]; was > 0 && newest > was+1 && o.live && o.at > o.image && o.at == was {
					t.Fatalf("print %d is told after %d, though line %d is about to bring %d", newest, was, o.feed, was+1)
				}
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			l := lines[rapid.IntRange(0, 1).Draw(t, "line")]
			lost := false
			switch rapid.SampledFrom([]string{"market", "market", "market", "deliver", "deliver", "deliver", "deliver", "catch up", "wait", "lose", "gap", "leave"}).Draw(t, "what") {
			case "market":
				now += rapid.Int64Range(1, 150).Draw(t, "ms") * int64(time.Millisecond)
				times = append(times, now)
				continue
			case "wait":
				now += int64(time.Second)
				continue
			case "leave":
				if !l.live {
					continue
				}
				l.leaving = true
				say(l, market.Event{Kind: market.KindLeave})
			case "lose", "gap":
				if !l.live {
					// Comes up, with an image as of now or of a while ago.
					l.at = max(l.at, len(times)-1-rapid.IntRange(0, 3).Draw(t, "behind"))
					l.image, l.live, l.known = l.at, true, true
					say(l, market.Event{Kind: market.KindUp})
					clear := market.Event{Kind: market.KindClear, Flags: market.FlagSnapshot, Instrument: 1}
					say(l, append([]market.Event{clear}, book(l.at)...)...)
					break
				}
				l.live, lost = false, true
				if l.relieved || r.shard.Relief(l.feed, 3-l.feed) == (Relief{}) {
					lost = false // another stands for it already
				} else if other := lines[2-l.feed]; l.leaving && !other.leaving && other.live && other.at >= l.at {
					t.Fatalf("line %d is leaving, the other has all that it has: %+v", l.feed, r.shard.Relief(l.feed, 3-l.feed))
				}
				l.leaving = false
				lines[0].relieved, lines[1].relieved = false, false
				say(l, market.Event{Kind: market.KindDown})
			default:
				n := 1
				if l.live && rapid.Bool().Draw(t, "all") {
					n = len(times) - 1 - l.at
				}
				deliver(l, n)
			}
			if !lines[0].live && !lines[1].live {
				if v := r.views[1]; v != nil && len(v.Venues) > 0 && v.Venues[0].State == StateLive {
					t.Fatal("live without a line")
				}
				before = -1
				continue
			}
			w := r.views[1].Venue(1)
			if w == nil || w.State != StateLive {
				t.Fatalf("a line is up and the venue is %+v", w)
			}
			best, _ := w.Bids.Best()
			shown = int(best.Size) - 1
			want := map[string]int{}
			for _, e := range book(shown) {
				want[fmt.Sprint(e.Side, e.Price)] = int(e.Size)
			}
			for _, side := range []*Ladder{&w.Bids, &w.Asks} {
				for _, lv := range side.levels {
					key := fmt.Sprint(side.side, lv.Price)
					if want[key] != int(lv.Size) {
						t.Fatalf("message %d: %s is %d, want %d", shown, key, lv.Size, want[key])
					}
					delete(want, key)
				}
			}
			if len(want) > 0 {
				t.Fatalf("message %d: lacks %v", shown, want)
			}
			if shown < before && !lost {
				t.Fatalf("went back from message %d to %d", before, shown)
			}
			before = shown
			for _, l := range lines {
				o := lines[2-l.feed]
				l.relieved = l.leaving && o.live && !o.leaving && (l.relieved || r.shard.Relief(l.feed, o.feed) == (Relief{}))
				if !l.live || l.at <= shown || l.leaving && o.live {
					continue
				}
				if first := max(shown, l.image) + 1; first <= l.at && times[l.at]-times[first] > lag {
					t.Fatalf("line %d has messages %d to %d, %d is shown", l.feed, first, l.at, shown)
				}
			}
		}
		for _, l := range lines {
			deliver(l, len(times))
		}
		for id := range brought {
			if n, _ := strconv.Atoi(id.String()); n < oldest {
				continue // from before the first one that was told
			}
			if printed[id] != 1 {
				t.Fatalf("print %v was told %d times", id, printed[id])
			}
		}
	})
}

// TestLeavingLineTakesNoPlaceBack: once a line that leaves was relieved it may end at
// any moment, and then nothing may lead back: it is not shown again, by however much
// the other is late.
func TestLeavingLineTakesNoPlaceBack(t *testing.T) {
	r := newRig(t, Config{})
	at := int64(1_700_000_000_000_000_000)
	say := func(line market.FeedID, events ...market.Event) {
		t.Helper()
		for i := range events {
			e := &events[i]
			e.Feed, e.Received = line, at
			if e.Instrument != 0 {
				e.Venue, e.Time = 1, at
			}
		}
		events[len(events)-1].Flags |= market.FlagLast
		if r.apply(events); r.err != nil {
			t.Fatal(r.err)
		}
	}
	bid := func(size market.Size) market.Event {
		return market.Event{Kind: market.KindLevel, Instrument: 1, Side: market.SideBid, Price: 100, Size: size}
	}
	shows := func(want market.Size) {
		t.Helper()
		w := r.views[1].Venue(1)
		if best, ok := w.Bids.Best(); !ok || best.Size != want || w.State != StateLive {
			t.Fatalf("%v with %v, want %d", w.State, best, want)
		}
	}
	for line := range market.FeedID(2) {
		say(line+1, market.Event{Kind: market.KindUp})
		say(line+1, market.Event{Kind: market.KindClear, Flags: market.FlagSnapshot, Instrument: 1}, bid(1))
	}
	say(1, market.Event{Kind: market.KindLeave})
	if got := r.shard.Relief(1, 2); got != (Relief{}) {
		t.Fatalf("not relieved: %+v", got)
	}
	for size := range market.Size(3) {
		at += int64(time.Second)
		say(1, bid(size+2))
		shows(1)
	}
	say(1, market.Event{Kind: market.KindDown})
	shows(1)
	say(2, bid(4))
	shows(4)
}
