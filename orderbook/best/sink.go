package best

import (
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// source is a market that quotes are made of.
type source struct {
	symbol string
	nets   []*net // that are made of it

	tops    []venueTop // as of the last Step
	at      moment     // of the message that they are from
	version uint64     // grows with tops

	// What came since: under the inbox's mutex.
	next    []venueTop
	nextAt  moment
	isFresh bool
}

// venueTop is what one venue shows of a market, without what the market's own
// consolidated quote leaves out.
type venueTop struct {
	orderbook.VenueStatus
	scale    market.Scale
	bid, ask orderbook.Level // size 0: absent
}

// sink watches the updates of one shard, in the shard's goroutine.
type sink struct {
	c       *Composer
	watched []*watched // by instrument; nil where it is not known whether it matters
	other   watched    // stands for all that do not
	touched []*watched
}

// watched is a market that quotes are made of, as its updates tell it.
type watched struct {
	source  *source
	view    orderbook.View
	touched bool
}

// Sink returns what hands a shard's updates to the composer. Each shard needs one
// of its own. It never waits.
func (c *Composer) Sink() orderbook.Sink { return &sink{c: c} }

// Update implements orderbook.Sink.
func (s *sink) Update(u *orderbook.Update) {
	w := s.watch(u.Instrument)
	if w == &s.other {
		return
	}
	// A shard's updates follow each other. Should one ever not, what is held is
	// no longer true, until a whole one comes.
	if err := w.view.Apply(u); err != nil {
		w.view = orderbook.View{}
	}
	const tops = orderbook.ChangedLevels | orderbook.ChangedTops | orderbook.ChangedVenues |
		orderbook.ChangedQuote | orderbook.ChangedSnapshot
	if u.Changed&tops != 0 && !w.touched {
		w.touched = true
		s.touched = append(s.touched, w)
	}
}

func (s *sink) watch(id market.InstrumentID) *watched {
	for int(id) >= len(s.watched) {
		s.watched = append(s.watched, nil)
	}
	if s.watched[id] == nil {
		s.watched[id] = &s.other
		if m := s.c.markets[s.c.cfg.Directory.Symbol(id)]; m != nil {
			s.watched[id] = &watched{source: m}
		}
	}
	return s.watched[id]
}

// Flush implements orderbook.Sink.
func (s *sink) Flush() {
	if len(s.touched) == 0 {
		return
	}
	in := &s.c.in
	in.mu.Lock()
	for _, w := range s.touched {
		w.touched = false
		m := w.source
		m.next = m.next[:0]
		for _, v := range w.view.Venues {
			if v.Top.BidVenue != 0 || v.Top.AskVenue != 0 {
				continue // a SIP's national best is no venue's to trade with
			}
			t := venueTop{VenueStatus: v.VenueStatus, scale: w.view.Scale}
			t.bid, t.ask = v.Best()
			for _, x := range w.view.Quote.Out {
				if x.Venue == t.Venue && x.Side != market.SideAsk {
					t.bid = orderbook.Level{}
				}
				if x.Venue == t.Venue && x.Side != market.SideBid {
					t.ask = orderbook.Level{}
				}
			}
			m.next = append(m.next, t)
		}
		m.nextAt = moment{w.view.Time, w.view.Received}
		if !m.isFresh {
			m.isFresh = true
			in.fresh = append(in.fresh, m)
		}
	}
	in.mu.Unlock()
	s.touched = s.touched[:0]
	select {
	case in.signal <- struct{}{}:
	default:
	}
}
