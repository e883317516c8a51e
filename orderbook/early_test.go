package orderbook

import (
	"testing"

	"github.com/quotewire/quotewire/market"
)

// TestEarlyPrintsAreBounded: the prints of a line that came up ahead wait for
// those of the line behind, up to a bound. Beyond, all are told at once in their
// order, nothing waits any more, and what the line behind brings then is told as
// late as it is, each print once.
func TestEarlyPrintsAreBounded(t *testing.T) {
	r := newRig(t, Config{})
	venue, err := r.dir.Venue("v")
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.dir.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	var feeds [2]market.FeedID
	for i, name := range []string{"v/1", "v/2"} {
		if feeds[i], err = r.dir.Feed(name); err != nil {
			t.Fatal(err)
		}
	}
	var told []uint64
	r.onUpdate = func(u *Update) {
		for i := range u.Trades {
			told = append(told, uint64(u.Trades[i].Price))
		}
	}
	print := func(line int, n uint64) {
		r.apply([]market.Event{{Kind: market.KindTrade, Flags: market.FlagLast | market.FlagContiguous, Feed: feeds[line], Venue: venue, Instrument: id,
			TradeSequence: n, Price: market.Price(n), Size: 1, Time: int64(n), Received: int64(n)}})
	}
	up := func(line int) {
		r.apply([]market.Event{{Kind: market.KindUp, Flags: market.FlagLast, Feed: feeds[line], Received: 1}})
	}
	want := func(what string, first, last uint64) {
		t.Helper()
		if uint64(len(told)) != last-first+1 || len(told) > 0 && (told[0] != first || told[len(told)-1] != last) {
			t.Fatalf("%s: %d prints told, %v…, want %d to %d", what, len(told), told[:min(len(told), 3)], first, last)
		}
		for i, n := range told {
			if n != first+uint64(i) {
				t.Fatalf("%s: print %d is told in the place of %d", what, n, first+uint64(i))
			}
		}
		told = told[:0]
	}
	up(0)
	for n := range uint64(10) {
		print(0, 1+n)
	}
	want("one line", 1, 10)
	up(1)
	const ahead = 1000 // where the second line begins
	for n := range uint64(maxEarly) {
		print(1, ahead+n)
	}
	want("the bound is reached", 1, 0) // none
	print(0, 11)
	want("the line behind", 11, 11)
	print(1, ahead+maxEarly)
	want("the bound is exceeded", ahead, ahead+maxEarly)
	print(1, ahead+maxEarly+1)
	want("nothing waits", ahead+maxEarly+1, ahead+maxEarly+1)
	for n := range uint64(ahead - 12) {
		print(0, 12+n)
	}
	want("late", 12, ahead-1)
	for n := range uint64(maxEarly) {
		print(0, ahead+n)
	}
	want("again", 1, 0)
	if r.err != nil {
		t.Error(r.err)
	}
}
