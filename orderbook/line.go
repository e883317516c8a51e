package orderbook

import "github.com/quotewire/quotewire/market"

// Where several feeds carry a venue, each is a line with a book of its own, and
// one of them is shown. Which one, is a function of the events alone.
//
// A line stands at the venue's own time of the last whole message that it
// applied; at its receive time where the venue tells none. A line that is not
// shown takes the place of the shown one when it brings a message later than all
// that the shown one has, and
//
//   - an earlier message of it, by more than Config.LineLag, is still missing on
//     the shown line, or
//   - its feed comes first. One that was left for being late has to wait
//     claimWait times LineLag, so that a line that is late now and then does not
//     make the venue flip.
//
// It follows that no such change leads back in the venue's time; that a line
// less than half of LineLag late is never left for that; that one more than
// LineLag late is left at the next message of the line that is not; and that a
// symbol with a message a minute does not flip, because what counts is a message
// missed, not the time since the last. Where the shown line is lost, the one that
// is ahead among those left takes over at once, as far behind as it is.
//
// A line that is about to be ended on purpose (KindLeave) comes behind all others:
// its books give way at once where another's is as new by the venue's time, else
// at the message that makes it so. From then on it takes no place of one that
// stays, however late that is: when it ends, nothing shows it any longer.

// claimWait is how many LineLags a line that was late waits before it may take
// its place back.
const claimWait = 10

// stands notes where the book stands after a message.
func (b *book) stands(e *market.Event) {
	b.at, b.timed = e.Time, true
	if e.Time == 0 {
		b.at, b.timed = e.Received, false
	}
}

// show makes the book the one that stands for the venue.
func (v *venue) show(b *book) {
	v.shown = b
	for _, o := range v.books {
		o.ahead = 0
	}
}

// follow shows the book in place of another line's if the message it has just
// applied calls for that. The first one, which made it live, is an image: the
// shown line need not miss a message for having an earlier one.
func (s *Shard) follow(b *book, first bool, at int64) {
	v, w := b.venue, b.venue.shown
	if len(v.books) == 1 || w == nil || !w.live() || !b.live() {
		return
	}
	if b == w {
		for _, o := range v.books {
			switch {
			case o.ahead == 0 || o.ahead > b.at:
			case o.at > b.at:
				o.ahead = b.at + 1 // at the earliest
			default:
				o.ahead = 0
			}
		}
		return
	}
	if w.feed.leaving && !b.feed.leaving {
		if b.reaches(w) {
			s.take(b, at)
		}
		return
	}
	if b.feed.leaving && !w.feed.leaving {
		b.ahead = 0
		return
	}
	comparable := b.timed == w.timed
	if !comparable && !b.timed {
		return // an image without a time may be older than what is shown
	}
	if comparable && b.at <= w.at {
		b.ahead = 0
		return
	}
	if !comparable || b.feed.leaving || b.stats.Feed > w.stats.Feed || b.at < b.claimFrom {
		if first {
			return
		}
		if b.ahead == 0 || b.ahead > b.at {
			b.ahead = b.at
		}
		lag := int64(s.cfg.LineLag)
		if b.at-b.ahead <= lag {
			return
		}
		w.claimFrom = b.at + claimWait*lag
	}
	s.take(b, at)
}

// take shows the book in place of another line's.
func (s *Shard) take(b *book, at int64) {
	b.venue.show(b)
	b.in.tellAll(b.venue)
	b.in.tellState(b.venue, at)
}

// reaches reports whether the book has all that the other line's has, so that it
// can take its place without leading back.
func (b *book) reaches(w *book) bool {
	if b.timed == w.timed {
		return b.at >= w.at
	}
	return b.stats.LastMessage >= w.stats.LastMessage
}

// yield makes a leaving line's book give way to another's that is as new. Where
// there is none yet, the message that makes it so does it, see follow.
func (s *Shard) yield(w *book, at int64) {
	if w.venue.shown != w || !w.live() {
		return
	}
	for _, b := range w.venue.books {
		if b.live() && !b.feed.leaving && b.reaches(w) {
			s.take(b, at)
			return
		}
	}
}

// Relief is how far the books of one feed could do without another's.
type Relief struct {
	Waiting int // books that are live on the feed that is to go, and not on the other
	Shown   int // books shown of the feed that is to go, though the other's are live
}

// Relief returns how far the books of a feed could go for those of another.
func (s *Shard) Relief(from, to market.FeedID) (r Relief) {
	for _, b := range s.feed(from).books {
		if !b.live() {
			continue
		}
		switch o := b.venue.book(to); {
		case o == nil || !o.live():
			r.Waiting++
		case b.venue.shown == b:
			r.Shown++
		}
	}
	return r
}
