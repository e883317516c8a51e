package orderbook

import (
	"errors"
	"testing"

	"github.com/quotewire/quotewire/market"
)

// TestViewPositions: an update applies to the position it continues and to no
// other; what is older is ignored, what is later is refused, and neither changes
// anything; a snapshot replaces everything, unless it is older.
func TestViewPositions(t *testing.T) {
	level := func(p market.Price) []LevelChange {
		return []LevelChange{{Venue: 1, Side: market.SideBid, Level: Level{p, 1}}}
	}
	update := func(epoch, seq uint64, p market.Price) *Update {
		return &Update{Instrument: 1, Epoch: epoch, Seq: seq, Changed: ChangedLevels, Levels: level(p)}
	}
	snapshot := func(epoch, seq uint64, p market.Price) *Update {
		u := update(epoch, seq, p)
		u.Changed |= ChangedSnapshot
		u.Levels = append([]LevelChange{{Venue: 1}}, u.Levels...)
		return u
	}
	type step struct {
		u      *Update
		gap    bool
		levels int // then held
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{update(7, 1, 1), false, 1}, {update(7, 2, 2), false, 2}}},
		{"twice", []step{{update(7, 1, 1), false, 1}, {update(7, 1, 9), false, 1}, {update(7, 2, 2), false, 2}}},
		{"hole", []step{{update(7, 1, 1), false, 1}, {update(7, 3, 3), true, 1}, {update(7, 2, 2), false, 2}}},
		{"late join", []step{{update(7, 5, 5), true, 0}, {snapshot(7, 6, 6), false, 1}, {update(7, 7, 7), false, 2}}},
		{"snapshot over a hole", []step{{update(7, 1, 1), false, 1}, {update(7, 3, 3), true, 1}, {snapshot(7, 4, 4), false, 1}, {update(7, 5, 5), false, 2}}},
		{"old snapshot", []step{{update(7, 1, 1), false, 1}, {update(7, 2, 2), false, 2}, {snapshot(7, 1, 9), false, 2}, {update(7, 3, 3), false, 3}}},
		{"same snapshot", []step{{update(7, 1, 1), false, 1}, {snapshot(7, 1, 1), false, 1}}},
		{"new epoch from its first", []step{{update(7, 1, 1), false, 1}, {update(7, 2, 2), false, 2}, {update(8, 1, 5), false, 1}}},
		{"new epoch from the middle", []step{{update(7, 1, 1), false, 1}, {update(8, 2, 5), true, 1}, {snapshot(8, 2, 5), false, 1}, {update(7, 2, 2), true, 1}}},
		{"epoch 0", []step{{update(0, 1, 1), false, 1}, {update(0, 2, 2), false, 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v View
			for i, s := range c.steps {
				epoch, seq := v.Epoch, v.Seq
				err := v.Apply(s.u)
				var gap *GapError
				if errors.As(err, &gap) != s.gap || err != nil && !s.gap {
					t.Fatalf("step %d: %v", i, err)
				}
				if s.gap && (gap.Epoch != epoch || gap.Seq != seq || gap.GotEpoch != s.u.Epoch || gap.GotUpdate != s.u.Seq || v.Epoch != epoch || v.Seq != seq) {
					t.Fatalf("step %d: %+v from %x/%d, now %x/%d", i, gap, epoch, seq, v.Epoch, v.Seq)
				}
				n := 0
				if w := v.Venue(1); w != nil {
					n = w.Bids.Len()
				}
				if n != s.levels {
					t.Fatalf("step %d: %d levels, want %d", i, n, s.levels)
				}
			}
		})
	}
}

// TestCopyTo: the copy shares no memory with the original.
func TestCopyTo(t *testing.T) {
	u := Update{
		Levels: []LevelChange{{Venue: 1}}, Venues: []VenueStatus{{Venue: 1}}, Tops: []VenueQuote{{Venue: 1}}, Trades: []Trade{{Venue: 1}},
		Quote: Quote{BidVenues: []VenueSize{{1, 1}}, AskVenues: []VenueSize{{1, 1}}},
	}
	var c Update
	u.CopyTo(&c)
	u.Levels[0].Venue, u.Venues[0].Venue, u.Tops[0].Venue, u.Trades[0].Venue = 2, 2, 2, 2
	u.Quote.BidVenues[0].Venue, u.Quote.AskVenues[0].Venue = 2, 2
	if c.Levels[0].Venue != 1 || c.Venues[0].Venue != 1 || c.Tops[0].Venue != 1 || c.Trades[0].Venue != 1 ||
		c.Quote.BidVenues[0].Venue != 1 || c.Quote.AskVenues[0].Venue != 1 {
		t.Errorf("%+v", c)
	}
	var empty Update
	empty.CopyTo(&c)
	if len(c.Levels)+len(c.Venues)+len(c.Tops)+len(c.Trades)+len(c.Quote.BidVenues)+len(c.Quote.AskVenues) != 0 {
		t.Errorf("%+v", c)
	}
}
