package normalizer

import (
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
