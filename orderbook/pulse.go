package orderbook

import (
	"math"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
)

// A live book is quiet when nothing came of it for longer than it usually is
// silent, or while its market is closed: its line is well, for that is what its
// siblings on it, and their heartbeats, show. It is suspect while the line itself
// has been silent for longer than it usually is, which its feed tells
// (KindSuspect). Both stay part of the quote, for nothing is known to be wrong.

// pulse is how often something comes of a book, by receive times.
type pulse struct {
	window          int64 // when the window began
	longest, before int64 // gap of the window and of the one before, ns
	heard           uint8 // messages, up to pulseMessages
	quiet           bool
	closed          bool // quiet because its market is
}

const (
	// pulseWindow is how long a gap is remembered at least, twice that at most: long
	// enough for a symbol with a message in ten minutes.
	pulseWindow = int64(3600e9)
	// pulseMessages is how many messages must have come before a book's cadence is
	// believed; before, it is quiet after quietUnknown.
	pulseMessages = 8
	quietUnknown  = int64(60e9)
	// quietGaps is how many of its longest gaps a book may be silent for before it
	// is quiet, and quietLeast how long whatever its cadence.
	quietGaps  = 2
	quietLeast = int64(5e9)
	// pulseEvery is how often, by receive times, books are looked after.
	pulseEvery = int64(1e9)
)

// beat notes that something came after a gap. A gap beyond what makes the book
// quiet is learned too: that is how a cadence slows down.
func (p *pulse) beat(at, last int64) {
	if last == 0 {
		p.window = at
	} else if gap := at - last; gap > p.longest {
		p.longest = gap
	}
	if p.heard < pulseMessages {
		p.heard++
	}
	if at-p.window > pulseWindow {
		p.before, p.longest, p.window = p.longest, 0, at
	}
}

// patience is the silence after which the book is quiet.
func (p *pulse) patience() int64 {
	if p.heard < pulseMessages {
		return quietUnknown
	}
	longest := max(p.longest, p.before)
	if longest > math.MaxInt64/quietGaps {
		return math.MaxInt64
	}
	return max(quietGaps*longest, quietLeast)
}

// listen notes a message of the book, and that it is quiet no longer.
func (s *Shard) listen(b *book, at int64) {
	if b.stats.LastMessage == at {
		return // an event of the same message
	}
	b.pulse.beat(at, b.stats.LastMessage)
	b.stats.LastMessage = at
	if b.pulse.quiet {
		b.pulse.quiet, b.pulse.closed = false, false
		s.tellPulse(b, at)
	}
}

// feelPulses finds the books that have fallen quiet.
func (s *Shard) feelPulses() {
	if s.clock < s.pulseAt {
		return
	}
	s.pulseAt = s.clock + pulseEvery
	e := market.Event{Kind: market.KindHeartbeat, Received: s.clock}
	for _, f := range s.feeds {
		if f == nil || f.down || f.stale || f.suspect {
			continue // the line is what is silent
		}
		s.eachBook(f, &e, func(b *book) { s.feelPulse(b) })
	}
}

func (s *Shard) feelPulse(b *book) {
	silent := s.clock - b.stats.LastMessage
	if b.pulse.quiet || !b.live() || silent <= quietLeast {
		return
	}
	h := &b.in.hours
	closed := h.Kind == calendar.Closed && h.Holds(s.clock)
	if !closed && silent <= b.pulse.patience() {
		return
	}
	b.pulse.quiet, b.pulse.closed = true, closed
	s.tellPulse(b, s.clock)
}

// suspect marks the feed's books.
func (s *Shard) suspect(f *feedState, e *market.Event) {
	f.suspect = true
	s.eachBook(f, e, func(b *book) { s.tellPulse(b, e.Received) })
}

// unsuspect takes the mark back with what the feed says next. A change of its
// connection tells a state of its own.
func (s *Shard) unsuspect(f *feedState, e *market.Event) {
	switch e.Kind {
	case market.KindSuspect:
	case market.KindStale, market.KindDown, market.KindUp:
		f.suspect = false
	default:
		f.suspect = false
		s.eachBook(f, e, func(b *book) { s.tellPulse(b, e.Received) })
	}
}

func (s *Shard) tellPulse(b *book, at int64) {
	if !b.live() {
		return
	}
	b.pulseSince = at
	if b.venue.shown == b {
		b.in.tellState(b.venue, at)
	}
}
