package normalizer

import (
	"fmt"
	"testing"

	"github.com/quotewire/quotewire/market"
)

func levelEvents(n int) []market.Event {
	events := make([]market.Event, n)
	for i := range events {
		events[i] = market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: market.Price(i + 1), Size: 1}
	}
	return events
}

func TestKeptChangesAreBounded(t *testing.T) {
	var b diffBook
	held := 0
	events := levelEvents(50)
	for i := range uint64(10000) {
		if v := b.take(diffContiguous, diff{first: i + 1, last: i + 1}, events, &held); v != diffWait {
			t.Fatalf("verdict %d", v)
		}
		if n := len(b.levels) - b.base; n > maxWaitingLevels || n != held {
			t.Fatalf("%d levels kept, %d counted", n, held)
		}
	}
	if n := len(b.diffs) - b.head; n != maxWaitingLevels/50 {
		t.Errorf("%d changes kept", n)
	}
	if _, _, ok := b.takeImage(diffContiguous, 10, 0); ok {
		t.Error("an image joined changes that are kept no more")
	}
	from, to, ok := b.takeImage(diffContiguous, 9990, 0)
	if !ok || to-from != 10 {
		t.Errorf("%d changes to apply, %v", to-from, ok)
	}
	for i := from; i < to; i++ {
		if levels, _ := b.levelsOf(i); len(levels) != 50 || b.diffs[i].first != 9991+uint64(i-from) {
			t.Errorf("change %d has %d levels", b.diffs[i].first, len(levels))
		}
	}
	for i := range uint64(1000) {
		if v := b.take(diffContiguous, diff{first: i + 10001, last: i + 10001}, events, &held); v != diffApply {
			t.Fatalf("verdict %d", v)
		}
	}
	if n := len(b.levels) - b.base; n > maxRecentLevels || n != held || cap(b.levels) > 16*maxRecentLevels {
		t.Errorf("%d levels kept, %d counted, room for %d", n, held, cap(b.levels))
	}
	b.begin(&held)
	if held != 0 {
		t.Errorf("%d levels counted of nothing", held)
	}
}

func TestKeptChangesOfAFeedAreBounded(t *testing.T) {
	books := make([]diffBook, 100)
	held := 0
	events := levelEvents(1000)
	for i := range uint64(200) {
		for k := range books {
			books[k].take(diffContiguous, diff{first: i + 1, last: i + 1}, events, &held)
		}
	}
	if held > maxFeedLevels+len(books)*maxRecentLevels {
		t.Errorf("%d levels kept", held)
	}
}

// A venue's clock that is set back: one diff that is too old was late, the second
// is the new time; and an image of the old time, which has all that comes for as
// long as the clock was ahead, is not believed for so long.
func TestClockSetBack(t *testing.T) {
	const s = 1_000_000_000
	events := make([]market.Event, 1)
	held := 0
	b := &diffBook{}
	at := int64(0) // when things come
	take := func(micros uint64, want diffVerdict) {
		t.Helper()
		at += s
		if got := b.take(diffTimed, diff{last: micros, time: int64(micros) * 1000, received: at}, events, &held); got != want {
			t.Errorf("diff of %d: %d, want %d", micros, got, want)
		}
	}
	image := func(micros uint64, want bool) {
		t.Helper()
		if _, _, ok := b.takeImage(diffTimed, micros, at); ok != want {
			t.Errorf("image of %d: %t", micros, ok)
		}
	}
	take(9000, diffWait)
	image(9500, true)
	take(9600, diffApply)
	// Late, and the stream goes on: images of before are of no use.
	take(9550, diffGap)
	image(9560, false)
	take(9700, diffWait)
	image(9710, true)
	take(9720, diffApply)
	// The same late one twice is one.
	take(9550, diffGap)
	take(9550, diffGap)
	image(9560, false)
	// Set back.
	take(1000, diffGap)
	take(1100, diffGap)
	image(1050, false)
	image(1100, true)
	take(1200, diffApply)
	// An image that was on its way has the old time.
	take(900, diffGap)
	take(950, diffGap)
	image(9900, true)
	for i := range uint64(9) {
		take(1300+i, diffIgnore)
	}
	take(1320, diffGap)
	image(1321, true)
	take(1322, diffApply)
	// While nobody knows whether it was the clock, no image will do.
	take(1000, diffGap)
	image(5000, false)
	take(1400, diffWait)
	image(5000, true)
}

// The orders of the changes that are kept stay with their changes when these are
// moved.
func TestKeptOrdersStayWithTheirChanges(t *testing.T) {
	var b diffBook
	held := 0
	if _, _, ok := b.takeImage(diffContiguous, 0, 0); !ok {
		t.Fatal("the image is of no use")
	}
	for i := range uint64(1000) {
		events := make([]market.Event, 3)
		for k := range events {
			e := &events[k]
			e.Kind, e.Price, e.Size = market.KindOrder, market.Price(i), 1
			id, _ := market.ParseOrderID(fmt.Sprintf("%d-%d", i, k))
			e.SetOrder(id)
		}
		b.take(diffContiguous, diff{first: i + 1, last: i + 1}, events, &held)
		for n := b.head; n < len(b.diffs); n++ {
			levels, orders := b.levelsOf(n)
			if len(levels) != 3 || len(orders) != 3 {
				t.Fatalf("change %d has %d levels and %d orders", b.diffs[n].first, len(levels), len(orders))
			}
			for k, o := range orders {
				if want := fmt.Sprintf("%d-%d", b.diffs[n].first-1, k); o.id.String() != want || uint64(levels[k].price) != b.diffs[n].first-1 {
					t.Fatalf("order %s at %d, want %s", o.id, levels[k].price, want)
				}
			}
		}
	}
}

// After a loss an image is too old that is older than the one before, also where
// no change had come since.
func TestImageAfterALossIsNotOlderThanTheLast(t *testing.T) {
	for _, image := range []uint64{11, 12} {
		var b diffBook
		held := 0
		b.take(diffContiguous, diff{first: 10, last: 10}, nil, &held)
		if _, _, ok := b.takeImage(diffContiguous, 12, 0); !ok {
			t.Fatal("the first image is of no use")
		}
		b.begin(&held)
		if _, _, ok := b.takeImage(diffContiguous, image, 0); ok != (image == 12) {
			t.Errorf("an image of %d after one of 12: taken %t", image, ok)
		}
	}
}

// Images by time are as old as they are in microseconds.
func TestImageThatIsTooOld(t *testing.T) {
	const s, us = 1_000_000_000, 1_000_000
	for _, c := range []struct {
		age  uint64 // s
		want bool
	}{{0, true}, {29, true}, {31, false}} {
		var b diffBook
		held := 0
		b.takeImage(diffTimed, 900*us, 900*s)
		b.take(diffTimed, diff{last: 1000 * us, time: 1000 * s, received: 1000 * s}, levelEvents(1), &held)
		// Only its age is in question: nothing is kept that it could lack.
		b.head, b.base = len(b.diffs), len(b.levels)
		if _, _, ok := b.takeImage(diffTimed, (1000-c.age)*us, 1000*s); ok != c.want {
			t.Errorf("%d s old: taken %t", c.age, ok)
		}
	}
}

// What is dropped because a clock was set forward is not counted any more.
func TestDroppedChangesAreNotCounted(t *testing.T) {
	const s, us = 1_000_000_000, 1_000_000
	var b diffBook
	held := 0
	b.take(diffTimed, diff{last: 1 * us, time: 1 * s, received: 1 * s}, levelEvents(5), &held)
	b.take(diffTimed, diff{last: 3601 * us, time: 3601 * s, received: 2 * s}, levelEvents(3), &held)
	if n := len(b.levels) - b.base; n != 3 || held != n {
		t.Errorf("%d levels kept, %d counted", n, held)
	}
}
