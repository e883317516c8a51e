package orderbook

import (
	"cmp"
	"math"
	"slices"

	"github.com/quotewire/quotewire/market"
)

// feedState is what a shard knows of one feed.
type feedState struct {
	books []*book       // by instrument, then venue
	halts []*instrument // whose status at all venues it told
	down  bool          // it was lost and did not come up since
	// suspect: it has been silent for longer than usual; stale: it is mute.
	suspect, stale bool
	// leaving: its connection is about to be ended on purpose, and another feed
	// stands ready.
	leaving bool
}

func (f *feedState) add(b *book) {
	i, _ := slices.BinarySearchFunc(f.books, b, func(a, b *book) int {
		return cmp.Or(cmp.Compare(a.stats.Instrument, b.stats.Instrument), cmp.Compare(a.stats.Venue, b.stats.Venue))
	})
	f.books = slices.Insert(f.books, i, b)
}

// applyFeed applies an event of the whole feed, or of the feed's books at one
// venue.
func (s *Shard) applyFeed(f *feedState, e *market.Event) {
	switch e.Kind {
	case market.KindUp:
		f.down, f.leaving = false, false
		s.eachBook(f, e, func(b *book) {
			s.releaseAll(b.venue, nil)
			b.freshLine, b.askedAt, b.halted = true, 0, false
			b.forget()
			if b.stats.State != StateNone {
				b.setState(StateResyncing, CauseConnected, e.Received)
				s.refresh(b, e.Received)
				s.await(b)
			}
		})
	case market.KindDown:
		f.down, f.stale, f.leaving = true, false, false
		s.eachBook(f, e, func(b *book) { s.lose(b, CauseLost, e.Received) })
	case market.KindLeave:
		f.leaving = true
		s.eachBook(f, e, func(b *book) { s.yield(b, e.Received) })
	case market.KindSuspect:
		if !f.suspect && !f.stale {
			s.suspect(f, e)
		}
	case market.KindStale:
		if f.stale {
			return
		}
		f.stale = true
		s.eachBook(f, e, func(b *book) {
			s.releaseAll(b.venue, b)
			if b.stats.State != StateNone && b.stats.State != StateDown {
				b.before, b.beforeCause = b.stats.State, b.stats.Cause
				b.setState(StateStale, CauseMute, e.Received)
				s.refresh(b, e.Received)
			}
		})
	case market.KindGap:
		s.eachBook(f, e, func(b *book) {
			if e.Venue == 0 || e.Venue == b.stats.Venue {
				s.gap(b, e)
			}
		})
	}
	if e.Kind == market.KindUp || e.Kind == market.KindDown {
		s.forgetHalts(f, e)
	}
}

// lose drops a book whose line, or whose place on it, is no more.
func (s *Shard) lose(b *book, cause Cause, at int64) {
	b.askedAt, b.halted = 0, false
	b.forget()
	s.releaseAll(b.venue, b)
	if b.stats.State != StateNone {
		b.setState(StateDown, cause, at)
		s.refresh(b, at)
	}
}

// unstale returns a feed's books to what they were before it fell silent: the
// connection speaks again, and over TCP nothing was skipped. Only the book whose
// gap is the first word is not shown first to be withdrawn at once.
func (s *Shard) unstale(f *feedState, e *market.Event) {
	if e.Kind == market.KindDown || e.Kind == market.KindUp || e.Kind == market.KindStale {
		f.stale = f.stale && e.Kind == market.KindStale
		return
	}
	f.stale = false
	s.eachBook(f, e, func(b *book) {
		if b.stats.State == StateStale {
			b.setState(b.before, b.beforeCause, e.Received)
			if e.Kind == market.KindGap && (e.Instrument == 0 || e.Instrument == b.stats.Instrument) &&
				(e.Venue == 0 || e.Venue == b.stats.Venue) {
				return // follows at once
			}
			s.refresh(b, e.Received)
			s.await(b)
		}
	})
}

// eachBook calls fn for all books of a feed, then emits what it changed,
// instrument by instrument in the order of their numbers.
func (s *Shard) eachBook(f *feedState, e *market.Event, fn func(*book)) {
	for i, b := range f.books {
		fn(b)
		if i+1 == len(f.books) || f.books[i+1].in != b.in {
			s.emit(b.in, e)
		}
	}
}

// gap takes note that messages of the book were lost.
func (s *Shard) gap(b *book, e *market.Event) {
	if b.stats.State == StateNone || b.stats.State == StateDown {
		return // prints alone have no state, and a lost book cannot lose more
	}
	b.stats.Gaps++
	s.distrust(b, CauseGap, e.Received)
}

// distrust takes a book out of use until a snapshot comes, and asks for one.
func (s *Shard) distrust(b *book, cause Cause, at int64) {
	b.forget()
	b.setState(StateResyncing, cause, at)
	s.refresh(b, at)
	// A top of book needs no resync: the next one is whole. One that has been
	// asked for already is repeated in its time, see repeatAsks.
	if b.levels && b.askedAt == 0 {
		s.ask(b, at)
	}
}

// ask requests a resync.
func (s *Shard) ask(b *book, at int64) {
	b.askedAt = max(at, 1)
	s.await(b)
	s.cfg.Resync(b.stats.Feed, b.stats.Instrument, b.stats.Cause)
}

// await sees to it that a book without a snapshot is asked for in due time.
func (s *Shard) await(b *book) {
	if b.awaiting() {
		s.askAt = min(s.askAt, s.due(b))
	}
}

// awaiting reports whether the book waits for a snapshot.
func (b *book) awaiting() bool { return b.levels && b.stats.State == StateResyncing }

// due returns when the book's snapshot is to be asked for again: a while after
// it was asked for, or after the connection came up that should bring it.
func (s *Shard) due(b *book) int64 {
	since := b.askedAt
	if since == 0 {
		since = b.stats.Since
	}
	if since > math.MaxInt64-int64(s.cfg.ResyncAgain) {
		return math.MaxInt64
	}
	return since + int64(s.cfg.ResyncAgain)
}

// repeatAsks asks again for every snapshot that is due.
func (s *Shard) repeatAsks(now int64) {
	s.askAt = math.MaxInt64
	for _, f := range s.feeds {
		if f == nil {
			continue
		}
		for _, b := range f.books {
			if b.awaiting() {
				if now >= s.due(b) {
					s.ask(b, now)
				}
				s.await(b)
			}
		}
	}
}

// refresh makes the venue show what a change of one of its books leads to:
// another feed's book may take its place, or nothing.
func (s *Shard) refresh(b *book, at int64) {
	v, in := b.venue, b.in
	switched := v.pick()
	switch {
	case v.shown == nil:
		return
	case !v.shown.live():
		in.tellClear(v)
	case switched || v.shown == b:
		in.tellAll(v)
	}
	in.tellState(v, at)
}
