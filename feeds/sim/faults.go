package sim

import (
	"slices"
	"strings"

	"github.com/gorilla/websocket"
)

// kind says what an outgoing message is, for the faults.
type kind int

const (
	kindControl   kind = iota // acks, errors, statuses
	kindData                  // trades, bars, reference data
	kindSnapshot              // an image of a book
	kindBook                  // a change of a book or quote: the messages that DropNext skips
	kindHeartbeat             // heartbeats and what else only shows life
	kindRaw                   // ordered with SendRaw
)

// message is one message of the protocol before it is framed.
type message struct {
	kind   kind
	symbol string // BASE-QUOTE or a ticker; empty where it is about none
	data   []byte
}

// faults is what has been ordered. Guarded by market.mu.
type faults struct {
	mute              bool
	refuseKeys        bool
	refuseConnections bool
	corrupt           map[string]bool
	drop              map[string]int
	lose              map[string]int // snapshots
	slow              int
	disturbed         map[string]*disturbance
	line              line
	rest              restFaults
	skew              int64 // ns by which the venue's clock runs ahead
}

// checksum is the checksum to send for a symbol.
func (f *faults) checksum(symbol string, sum uint32) uint32 {
	if f.corrupt[symbol] {
		delete(f.corrupt, symbol)
		return ^sum
	}
	return sum
}

// send is the one place through which everything passes that a server sends,
// so this is where faults that concern messages belong. market.mu is held.
func (s *Server) send(m message, to ...*conn) {
	if s.faults.mute && m.kind != kindRaw {
		return
	}
	if s.faults.skew != 0 && m.kind != kindRaw {
		m.data = skewed(m.data, s.market.now, s.faults.skew)
	}
	if m.kind == kindBook && len(to) > 0 {
		if n := s.faults.drop[m.symbol]; n > 1 {
			s.faults.drop[m.symbol] = n - 1
			return
		} else if n == 1 {
			delete(s.faults.drop, m.symbol)
			return
		}
	}
	if n := s.faults.lose[m.symbol]; n > 0 && m.kind == kindSnapshot {
		s.faults.lose[m.symbol] = n - 1
		return
	}
	if m.kind == kindBook && len(to) > 0 && !s.disturb(&m, to) {
		return
	}
	s.pass(m, to)
}

func canonical(symbol string) string { return strings.Replace(symbol, "/", "-", 1) }

// locked runs f with everything standing still.
func (s *Server) locked(f func()) {
	s.market.mu.Lock()
	defer s.market.mu.Unlock()
	f()
}

// Kill drops every TCP connection at once, without a close frame.
func (s *Server) Kill() {
	s.locked(func() {
		for _, c := range slices.Clone(s.conns) {
			s.forget(c)
			c.cut()
		}
	})
}

// CloseAll closes every connection with a close frame of this code.
func (s *Server) CloseAll(code int) {
	s.locked(func() {
		for _, c := range slices.Clone(s.conns) {
			s.forget(c)
			c.finish(endClose, code)
		}
	})
}

// RefuseKeys makes Polygon answer every key with auth_failed, and Coinbase and Kraken
// refuse those who ask for single orders, or ends that.
// Connections that are signed in stay.
func (s *Server) RefuseKeys(on bool) { s.locked(func() { s.faults.refuseKeys = on }) }

// RefuseConnections makes the server answer upgrades with HTTP 503, or ends
// that. Connections that are open stay.
func (s *Server) RefuseConnections(on bool) {
	s.locked(func() { s.faults.refuseConnections = on })
}

// Evict does to every connection what a second login does at Polygon: the
// status max_connections, then a close with code 1008. Other providers' clients
// get the close alone.
func (s *Server) Evict() {
	s.locked(func() {
		for _, c := range slices.Clone(s.conns) {
			s.evict(c)
		}
	})
}

func (s *Server) evict(c *conn) {
	if s.cfg.Provider == "polygon" {
		s.send(message{kindControl, "", polygonStatus("max_connections", "Maximum number of websocket connections exceeded. ")}, c)
		c.flush()
	}
	s.forget(c)
	c.finish(endClose, websocket.ClosePolicyViolation)
}

// Mute keeps sockets open, accepts new ones and answers protocol pings, but
// sends no message of its own: no data, no heartbeat, no ack. What would have
// been sent is lost; subscriptions made while mute hold afterwards.
func (s *Server) Mute(on bool) { s.locked(func() { s.faults.mute = on }) }

// CorruptChecksum makes the next Kraken book update of this symbol (BTC/USD or
// BTC-USD) carry a wrong checksum. With several depths subscribed, one message
// of one depth is hit.
func (s *Server) CorruptChecksum(symbol string) {
	s.locked(func() {
		if s.faults.corrupt == nil {
			s.faults.corrupt = map[string]bool{}
		}
		s.faults.corrupt[canonical(symbol)] = true
	})
}

// DropNext silently skips the next n changes of this symbol's book: Coinbase's
// l2update, Kraken's book update, Polygon's Q, XQ and XL2. A message to several
// connections counts once; snapshots are not skipped. A further call replaces
// what is left of the one before.
func (s *Server) DropNext(symbol string, n int) {
	s.locked(func() {
		if s.faults.drop == nil {
			s.faults.drop = map[string]int{}
		}
		s.faults.drop[canonical(symbol)] = n
		if n <= 0 {
			delete(s.faults.drop, canonical(symbol))
		}
	})
}

// SendRaw sends b as one text frame, as it is, to every connection, even while
// mute. The caller must not change b afterwards.
func (s *Server) SendRaw(b []byte) {
	s.locked(func() {
		s.send(message{kindRaw, "", b}, s.conns...)
	})
}

// Connections is how many connections are open.
func (s *Server) Connections() (n int) {
	s.locked(func() { n = len(s.conns) })
	return n
}

// Accepted is how many connections have been upgraded since the start.
func (s *Server) Accepted() (n int) {
	s.locked(func() { n = s.accepted })
	return n
}

// SlowCuts is how many connections were cut because they did not keep up.
func (s *Server) SlowCuts() (n int) {
	s.locked(func() { n = s.faults.slow })
	return n
}

// Subscriptions is what the open connections hold, sorted, once for each
// connection that holds it: "T.AAPL" and "XQ.*" at Polygon,
// "level2_batch:BTC-USD" at Coinbase, "book-10:BTC/USD", "trade:BTC/USD" and
// "instrument" at Kraken.
func (s *Server) Subscriptions() (subs []string) {
	s.locked(func() { subs = s.proto.subscriptions() })
	slices.Sort(subs)
	return subs
}
