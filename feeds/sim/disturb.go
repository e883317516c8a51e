package sim

import (
	"bytes"
	"slices"
	"time"
)

// disturbance is what has been ordered for the changes of one symbol's book.
type disturbance struct {
	duplicate, truncate int   // of the next changes
	late, again         int64 // ns of market time; 0 for none
	swap                bool
	held                *late // waits for the one that overtakes it
}

// late is a message on its way. A message that waits for its turn has no due
// time.
type late struct {
	due int64 // market time
	m   message
	to  []*conn
}

// later keeps a message. Its bytes and its addressees are the caller's own, which
// batching protocols use again at once.
func later(due int64, m message, to []*conn) late {
	m.data = bytes.Clone(m.data)
	return late{due, m, slices.Clone(to)}
}

// line is what lies between a server and its clients.
type line struct {
	stalled bool
	lag     int64  // ns of market time
	queue   []late // in the order in which they are to be sent
	strays  []late // that others overtake
}

// deliver sends what has become due. market.mu is held.
func (s *Server) deliver(now int64) {
	l := &s.faults.line
	kept := l.strays[:0]
	for _, d := range l.strays {
		if d.due <= now {
			s.pass(d.m, d.to)
		} else {
			kept = append(kept, d)
		}
	}
	l.strays = kept
	n := 0
	for !l.stalled && n < len(l.queue) && l.queue[n].due <= now {
		s.hand(l.queue[n].m, l.queue[n].to)
		l.queue[n] = late{}
		n++
	}
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
}

// postman is the sink that lets a server's late messages go.
type postman struct{ s *Server }

func (p *postman) onTick(now int64)            { p.s.deliver(now); p.s.deliverREST(now) }
func (p *postman) onBook(*venue, *change)      {}
func (p *postman) onStockTrade(*stock, *print) {}
func (p *postman) onStockQuote(*stock)         {}
func (p *postman) onBar(*stock, bool, bar)     {}

// disturb does to a change of a book what was ordered, and reports whether it is
// still to be sent.
func (s *Server) disturb(m *message, to []*conn) bool {
	d := s.faults.disturbed[m.symbol]
	if d == nil {
		return true
	}
	l := &s.faults.line
	if d.truncate > 0 {
		d.truncate--
		m.data = m.data[:len(m.data)/2]
	}
	if d.again > 0 {
		l.strays = append(l.strays, later(s.market.now+d.again, *m, to))
		d.again = 0
	}
	switch held := d.held; {
	case d.late > 0:
		l.strays = append(l.strays, later(s.market.now+d.late, *m, to))
		d.late = 0
		return false
	case d.swap:
		kept := later(0, *m, to)
		d.swap, d.held = false, &kept
		return false
	case held != nil:
		d.held = nil
		s.pass(*m, to)
		s.pass(held.m, held.to)
		return false
	}
	if d.duplicate > 0 {
		d.duplicate--
		s.pass(*m, to)
	}
	return true
}

// pass puts a message on the line.
func (s *Server) pass(m message, to []*conn) {
	for _, c := range to {
		c.lastSent = s.market.now
	}
	l := &s.faults.line
	if l.stalled || l.lag > 0 || len(l.queue) > 0 {
		l.queue = append(l.queue, later(s.market.now+l.lag, m, to))
		return
	}
	s.hand(m, to)
}

// hand gives a message to the connections.
func (s *Server) hand(m message, to []*conn) {
	for _, c := range to {
		if c.batching {
			c.addToBatch(m)
		} else {
			c.enqueue(m.data)
		}
	}
}

// order changes what is ordered for a symbol.
func (s *Server) order(symbol string, f func(*disturbance)) {
	s.locked(func() {
		symbol = canonical(symbol)
		d := s.faults.disturbed[symbol]
		if d == nil {
			d = &disturbance{}
			if s.faults.disturbed == nil {
				s.faults.disturbed = map[string]*disturbance{}
			}
			s.faults.disturbed[symbol] = d
		}
		f(d)
	})
}

// DuplicateNext sends each of the next n changes of this symbol's book twice.
func (s *Server) DuplicateNext(symbol string, n int) {
	s.order(symbol, func(d *disturbance) { d.duplicate = n })
}

// RepeatNext sends the next change of this symbol's book, and the same again d of
// market time later.
func (s *Server) RepeatNext(symbol string, d time.Duration) {
	s.order(symbol, func(o *disturbance) { o.again = int64(d) })
}

// SwapNext sends the next change of this symbol's book after the one that
// follows it.
func (s *Server) SwapNext(symbol string) {
	s.order(symbol, func(d *disturbance) { d.swap = d.held == nil })
}

// DelayNext sends the next change of this symbol's book d of market time late,
// so that others overtake it.
func (s *Server) DelayNext(symbol string, d time.Duration) {
	s.order(symbol, func(o *disturbance) { o.late = int64(d) })
}

// TruncateNext sends the first half only of each of the next n changes of this
// symbol's book.
func (s *Server) TruncateNext(symbol string, n int) {
	s.order(symbol, func(d *disturbance) { d.truncate = n })
}

// LoseSnapshots silently skips the next n snapshots of this symbol's book.
func (s *Server) LoseSnapshots(symbol string, n int) {
	s.locked(func() {
		if s.faults.lose == nil {
			s.faults.lose = map[string]int{}
		}
		s.faults.lose[canonical(symbol)] = n
	})
}

// Stall keeps sockets open and lets nothing through, as a network does that
// waits for one lost packet. When it ends, everything follows, in order.
func (s *Server) Stall(on bool) { s.locked(func() { s.faults.line.stalled = on }) }

// Lag makes everything arrive d of market time late, in order. 0 ends that.
func (s *Server) Lag(d time.Duration) { s.locked(func() { s.faults.line.lag = int64(d) }) }
