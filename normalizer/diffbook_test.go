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
	if _, _, ok := b.takeImage(diffContiguous, 10); ok {
		t.Error("an image joined changes that are kept no more")
	}
	from, to, ok := b.takeImage(diffContiguous, 9990)
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
