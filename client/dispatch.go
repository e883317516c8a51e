package client

import (
	"cmp"
	"errors"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// patience is how long a snapshot that was asked for may take before it is asked
// for again.
const patience = 5 * time.Second

// repairPause is the wait between two repairs, which doubles from one to the next.
const repairPause = 100 * time.Millisecond

// maxPatience bounds the growth of both where snapshot after snapshot turns out wrong.
const maxPatience = time.Minute

// dispatch acts on one message. It and what it calls run in the reading goroutine.
func (c *Client) dispatch(l *link, m wire.Message) {
	if c.fetched(m) {
		return
	}
	switch m := m.(type) {
	case *wire.Ack:
		c.ack(l, m)
	case *wire.Error:
		c.refused(l, m)
	case *wire.Pong:
		c.answered(idOf(m.ID), nil)
	case *wire.Heartbeat:
		c.n.heartbeats.Add(1)
		c.n.lag.Store(m.Lag)
		c.repair(l)
	case *wire.Snapshot:
		c.snapshot(l, m)
	case *wire.Delta:
		c.routed(m.SID, func(r route) { c.delta(l, r, m) })
	case *wire.Trade:
		c.routed(m.SID, func(r route) {
			c.lossless(r, &m.Header, len(m.Events), func(skip int) (Update, error) {
				trades, err := readTrades(m.Events[skip:])
				return &Trades{Meta: r.y.meta, Trades: trades}, err
			})
		})
	case *wire.Bar:
		c.routed(m.SID, func(r route) {
			c.lossless(r, &m.Header, 0, func(int) (Update, error) {
				u, err := readBar(m)
				if u != nil {
					u.Meta = r.y.meta
				}
				return u, err
			})
		})
	case *wire.Status:
		c.routed(m.SID, func(r route) {
			c.lossless(r, &m.Header, 0, func(int) (Update, error) {
				return readStatus(r.y.meta, &m.StatusFields)
			})
		})
	case *wire.Gap:
		c.routed(m.SID, func(r route) { c.gap(r, m) })
	case *wire.Watermark:
		c.watermark(m)
	case *wire.Welcome: // was read by connect
	default:
		c.n.unknown.Add(1)
	}
}

// watermark tells all streams of bars of the interval how far these are.
func (c *Client) watermark(m *wire.Watermark) {
	c.mu.Lock()
	var streams []*Stream
	for s := range c.streams {
		if s.sub.Channel == wire.ChannelBar && barName(s.sub.Bar) == m.Bar {
			streams = append(streams, s)
		}
	}
	c.mu.Unlock()
	for _, s := range streams {
		s.deliver(c.ctx, &Watermark{Meta: Meta{Channel: wire.ChannelBar}, Bar: m.Bar, Until: micros(m.Until)})
	}
}

// barName makes the two spellings of the default interval one.
func barName(bar string) string { return cmp.Or(bar, wire.DefaultBar) }

// routed calls f for each stream that holds the sid.
func (c *Client) routed(sid uint64, f func(route)) {
	c.mu.Lock()
	routes := c.sids[sid] // replaced or filled in place, under the mutex, by bind and unroute
	var few [4]route
	routes = append(few[:0], routes...)
	c.mu.Unlock()
	if len(routes) == 0 {
		c.n.unrouted.Add(1)
	}
	for _, r := range routes {
		f(r)
	}
}

// answered hands an answer to who waits for it.
func (c *Client) answered(id uint64, err error) {
	c.mu.Lock()
	w := c.calls[id]
	if w != nil && w.stream == nil {
		delete(c.calls, id)
	}
	if w != nil && w.agreed != nil {
		if err == nil {
			w.agreed()
		}
		w.agreed = nil // further acks of the same id agree to nothing more
	}
	c.mu.Unlock()
	if w != nil {
		w.reply(err)
	}
}

func (c *Client) ack(l *link, m *wire.Ack) {
	id := idOf(m.ID)
	c.mu.Lock()
	w := c.calls[id]
	c.mu.Unlock()
	if w == nil {
		if m.Op == wire.OpSubscribe {
			// Of a stream that was given up before its ack: nobody holds these.
			for _, g := range m.Streams {
				c.abandon(l, g.SID)
			}
		}
		return
	}
	if w.fetched != nil {
		c.fetchBegins(id, w, m)
		return
	}
	if w.stream != nil {
		for i := range m.Streams {
			c.bind(w.stream, &m.Streams[i])
		}
		if w.op == wire.OpSubscribe {
			w.stream.grant()
		}
	}
	c.answered(id, nil)
}

// abandon unsubscribes from a stream of the server that nobody holds.
func (c *Client) abandon(l *link, sid uint64) {
	c.mu.Lock()
	if len(c.sids[sid]) > 0 {
		c.mu.Unlock()
		return
	}
	r := wire.Request{Op: wire.OpUnsubscribe, SID: sid, Given: wire.FieldSID}
	c.number(&r)
	c.mu.Unlock()
	l.send(&r)
}

// grant tells the stream's Subscribe that the server agreed.
func (s *Stream) grant() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.acked {
		s.acked = true
		close(s.answered)
	}
}

// bind routes a sid to a stream.
func (c *Client) bind(s *Stream, g *wire.Granted) *symbolState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, open := c.streams[s]; !open {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.symbol(g.Symbol, g.Venue)
	old := y.meta.SID
	y.granted = *g
	y.meta.SID = g.SID
	if old != g.SID {
		// Another conflation interval is another stream of the server.
		c.sids[old] = without(c.sids[old], y)
		if len(c.sids[old]) == 0 {
			delete(c.sids, old)
		}
	}
	for _, r := range c.sids[g.SID] {
		if r.y == y {
			return y
		}
	}
	// The server sends a sid once to a connection. One who joins late begins with
	// what the others hold, as the snapshot may not come again.
	for _, r := range c.sids[g.SID] {
		if !y.has {
			s.join(y, r)
			break
		}
	}
	c.sids[g.SID] = append(c.sids[g.SID], route{s, y})
	return y
}

func without(routes []route, y *symbolState) []route {
	var kept []route
	for _, r := range routes {
		if r.y != y {
			kept = append(kept, r)
		}
	}
	return kept
}

// join copies the state of another stream's route. s.mu is held, and no other
// goroutine ever holds two streams' mutexes: only the reading one takes this path.
func (s *Stream) join(y *symbolState, from route) {
	if from.s == s {
		return
	}
	from.s.mu.Lock()
	defer from.s.mu.Unlock()
	o := from.y
	if !o.has || o.broken {
		return
	}
	y.has, y.pos, y.prev = true, o.pos, o.prev
	y.meta.Epoch, y.meta.Seq = o.meta.Epoch, o.meta.Seq
	y.meta.Time, y.meta.Received, y.meta.Sent = o.meta.Time, o.meta.Received, o.meta.Sent
	y.pending = Meta{Changes: 1}
	y.meta.Changes = 1
	y.quote, y.ticker = o.quote, o.ticker
	y.quote.MergedBid, y.quote.MergedAsk, y.ticker.MergedLast = nil, nil, nil
	if o.book != nil {
		y.book = o.book.clone()
	}
	if conflatable(y.meta.Channel) {
		if s.merge {
			s.changed(y)
		} else {
			s.queue = append(s.queue, y.update())
			poke(s.signal)
		}
	}
}

// refused acts on an error message.
func (c *Client) refused(l *link, m *wire.Error) {
	c.n.errors.Add(1)
	c.opts.Logger.Warn("server refused", "id", m.ID, "code", m.Code, "message", m.Message, "symbols", m.Symbols)
	if m.Code == wire.CodeServerShutdown {
		c.retryAfter = m.Wait()
	}
	id := idOf(m.ID)
	c.mu.Lock()
	w := c.calls[id]
	c.mu.Unlock()
	if w == nil {
		if id == 0 && m.Code == wire.CodeUnauthorized && c.opts.TokenSource != nil {
			// The token expired before another was shown. A connection of its own signs in
			// and takes the streams up again.
			_ = l.conn.Close()
		}
		return
	}
	if w.op != wire.OpSubscribe {
		c.answered(id, m)
		return
	}
	s := w.stream
	s.mu.Lock()
	acked := s.acked
	s.mu.Unlock()
	if acked {
		s.event(&Rejected{Err: m})
		return
	}
	c.mu.Lock()
	delete(c.streams, s)
	delete(c.calls, id)
	c.unroute(s)
	c.mu.Unlock()
	s.end(m)
}

// snapshot applies a snapshot for every stream that holds it. One that no ack
// announced is a pattern's new symbol.
func (c *Client) snapshot(l *link, m *wire.Snapshot) {
	c.mu.Lock()
	routes := append([]route(nil), c.sids[m.SID]...)
	var takers []*Stream
	if len(routes) == 0 && m.Symbol != "" {
		for s := range c.streams {
			if s.sub.takes(m.Channel, m.Symbol, m.Venue) {
				takers = append(takers, s)
			}
		}
	}
	c.mu.Unlock()
	for _, s := range takers {
		s.mu.Lock()
		y := s.symbol(m.Symbol, m.Venue)
		g := y.granted
		s.mu.Unlock()
		g.SID = m.SID
		if c.holds(y) {
			continue // it has its own already: this one differs in depth or interval
		}
		if y := c.bind(s, &g); y != nil {
			routes = append(routes, route{s, y})
		}
	}
	if len(routes) == 0 {
		c.n.unrouted.Add(1)
		return
	}
	c.n.snapshots.Add(1)
	for _, r := range routes {
		c.restart(l, r, m)
	}
}

// holds reports whether a sid of this connection leads to the state.
func (c *Client) holds(y *symbolState) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.sids[y.meta.SID] {
		if r.y == y {
			return true
		}
	}
	return false
}

// restart replaces a state by a snapshot.
func (c *Client) restart(l *link, r route, m *wire.Snapshot) {
	s, y := r.s, r.y
	s.mu.Lock()
	before := y.pos
	known := before.Epoch != ""
	if m.Channel == wire.ChannelNone {
		m.Channel = y.meta.Channel
	}
	err := error(nil)
	if m.Channel != y.meta.Channel {
		err = errors.New("snapshot of channel " + m.Channel.String() + " for a stream of " + y.meta.Channel.String())
		y.has = false
	} else {
		err = y.snapshot(m)
	}
	y.resumes = false
	meta := y.meta
	var latest Update
	if err == nil {
		y.broken = false
		delete(c.broken, y)
		if y.attempts > 0 {
			// Repaired. Should it break again, that is asked for soon, but the later
			// the more often it did.
			y.retryAt = time.Now().Add(min(repairPause<<min(y.attempts, 16), maxPatience))
		}
		latest, err = y.first(m)
	}
	s.mu.Unlock()
	if known && before.Epoch != m.Epoch {
		c.n.epochChanges.Add(1)
		s.event(&EpochChange{Meta: meta, From: before.Epoch, To: m.Epoch})
	} else if known && !conflatable(meta.Channel) && m.Seq > before.Seq {
		// Prints between the two positions were not sent and will not be.
		c.n.gaps.Add(1)
		s.event(&Gap{Meta: meta, From: before.Seq + 1, To: m.Seq, Reason: "snapshot"})
	}
	if err != nil {
		c.distrust(l, r, err)
		return
	}
	c.publish(s, y, latest)
}

// first returns what a snapshot of a stream of events shows: the latest event.
func (y *symbolState) first(m *wire.Snapshot) (Update, error) {
	switch m.Channel {
	case wire.ChannelTrade:
		if len(m.Events) == 0 {
			return nil, nil
		}
		trades, err := readTrades(m.Events)
		return &Trades{Meta: y.meta, Trades: trades, Snapshot: true}, err
	case wire.ChannelBar, wire.ChannelStatus:
		return y.firstRaw(m)
	}
	return nil, nil
}

// publish hands the program what has changed: an event, or the state.
func (c *Client) publish(s *Stream, y *symbolState, event Update) {
	if event != nil {
		s.deliver(c.ctx, event)
		return
	}
	s.mu.Lock()
	if !conflatable(y.meta.Channel) || s.closed {
		s.mu.Unlock()
		return
	}
	if s.merge {
		s.changed(y)
		s.mu.Unlock()
		return
	}
	u := y.update()
	s.mu.Unlock()
	s.deliver(c.ctx, u)
}

// delta applies a delta of a state.
func (c *Client) delta(l *link, r route, m *wire.Delta) {
	s, y := r.s, r.y
	s.mu.Lock()
	switch {
	case y.broken:
		again := time.Now().After(y.retryAt)
		s.mu.Unlock()
		if again {
			c.resync(l, r)
		}
		return
	case y.has && m.Seq == y.pos.Seq && m.Prev == y.prev && m.Seq != m.Prev && !y.resumes:
		s.mu.Unlock()
		c.n.duplicates.Add(1)
		return
	case !y.has:
		s.mu.Unlock()
		c.distrust(l, r, ErrNoSnapshot)
		return
	// A delta from a position to itself answers a resume: nothing happened; or it
	// says that a quote has become old.
	case !y.follows(m.Prev) || m.Seq < m.Prev || m.Seq == m.Prev && m.N != 0:
		err := &SequenceError{Have: y.pos.Seq, Prev: m.Prev, Seq: m.Seq}
		s.mu.Unlock()
		c.distrust(l, r, err)
		return
	}
	resumed := y.resumes
	y.resumes = false
	// What a paused stream stands at is news to nobody.
	same := resumed && y.granted.Paused && m.Seq == m.Prev
	err := y.delta(m)
	if err == nil && y.attempts > 0 && time.Now().After(y.retryAt) {
		y.attempts = 0
	}
	s.mu.Unlock()
	if err != nil {
		c.distrust(l, r, err)
		return
	}
	c.n.deltas.Add(1)
	if resumed {
		c.n.resumed.Add(1)
	}
	if !same {
		c.publish(s, y, nil)
	}
}

// lossless passes on a message of an event stream. read makes its update, without
// the first skip events.
func (c *Client) lossless(r route, h *wire.Header, events int, read func(skip int) (Update, error)) {
	s, y := r.s, r.y
	s.mu.Lock()
	skip := 0
	var gap *Gap
	switch {
	case y.has && h.Seq <= y.pos.Seq:
		s.mu.Unlock()
		c.n.duplicates.Add(1)
		return
	case !y.has || y.follows(h.Prev):
	case h.Prev > y.pos.Seq:
		gap = &Gap{Meta: y.meta, From: y.pos.Seq + 1, To: h.Prev, Reason: "sequence"}
	case h.Seq-h.Prev == uint64(events):
		// One number per event, so the part that was seen can be told from the rest.
		skip = int(y.pos.Seq - h.Prev)
	}
	y.meta.Changes, y.meta.Span = max(h.N, uint64(max(events-skip, 1))), time.Duration(h.Span)*time.Microsecond
	y.meta.Seq = h.Seq
	y.meta.Time, y.meta.Received, y.meta.Sent = micros(h.TS), micros(h.RX), micros(h.TX)
	resumed := y.resumes && gap == nil
	y.has, y.resumes, y.jumped = true, false, false
	y.pos.Seq, y.prev = h.Seq, h.Prev
	u, err := read(skip)
	meta := y.meta
	s.mu.Unlock()
	if resumed {
		c.n.resumed.Add(1)
	}
	if gap != nil {
		c.n.sequenceErrors.Add(1)
		c.n.gaps.Add(1)
		s.event(gap)
	}
	if err != nil {
		c.n.malformed.Add(1)
		c.n.gaps.Add(1)
		s.event(&Gap{Meta: meta, From: h.Prev + 1, To: h.Seq, Reason: "malformed: " + err.Error()})
		return
	}
	c.n.events.Add(uint64(max(events-skip, 1)))
	s.deliver(c.ctx, u)
}

// gap acts on a gap that the server tells.
func (c *Client) gap(r route, m *wire.Gap) {
	s, y := r.s, r.y
	s.mu.Lock()
	u := &Gap{Meta: y.meta, From: m.From, To: m.To, Reason: m.Reason}
	if conflatable(y.meta.Channel) {
		// A snapshot follows by itself; should it not, it is asked for.
		y.broken = true
		y.retryAt = time.Now().Add(patience)
		c.broken[y] = s
		s.unread(y)
	} else if m.To > y.pos.Seq {
		y.jump, y.jumped = y.pos.Seq, true
		y.pos.Seq = m.To
	}
	s.mu.Unlock()
	c.n.gaps.Add(1)
	s.event(u)
}

// distrust takes a state back that cannot be the server's and asks for a snapshot.
func (c *Client) distrust(l *link, r route, cause error) {
	var sequence *SequenceError
	var checksum *ChecksumError
	switch {
	case errors.As(cause, &sequence), errors.Is(cause, ErrNoSnapshot):
		c.n.sequenceErrors.Add(1)
	case errors.As(cause, &checksum):
		c.n.checksumErrors.Add(1)
	default:
		c.n.malformed.Add(1)
	}
	s, y := r.s, r.y
	s.mu.Lock()
	y.broken, y.has = true, false
	c.broken[y] = s
	s.unread(y)
	now := !time.Now().Before(y.retryAt)
	meta := y.meta
	s.mu.Unlock()
	c.opts.Logger.Warn("state does not match the server's", "channel", meta.Channel.String(), "symbol", meta.Symbol, "cause", cause)
	s.event(&Resync{Meta: meta, Cause: cause})
	if now {
		c.resync(l, r)
	}
}

// resync asks for a snapshot. The wait before the next time grows where snapshots
// do not help.
func (c *Client) resync(l *link, r route) {
	r.s.mu.Lock()
	y := r.y
	y.retryAt = time.Now().Add(min(patience<<min(y.attempts, 8), maxPatience))
	y.attempts++
	sid := y.meta.SID
	r.s.mu.Unlock()
	c.n.resyncs.Add(1)
	req := wire.Request{Op: wire.OpResync, SID: sid, Given: wire.FieldSID}
	c.mu.Lock()
	c.number(&req)
	c.mu.Unlock()
	l.send(&req)
}

// repair asks again for the snapshots that did not come.
func (c *Client) repair(l *link) {
	now := time.Now()
	for y, s := range c.broken {
		s.mu.Lock()
		gone, due := s.closed, now.After(y.retryAt)
		s.mu.Unlock()
		switch {
		case gone:
			delete(c.broken, y)
		case due:
			c.resync(l, route{s, y})
		}
	}
}
