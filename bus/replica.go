package bus

import (
	"fmt"
	"slices"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// replica is an instrument as a subscriber knows it. Its position is what the
// sinks were last given; epoch 0 means that they hold nothing of a feed node.
type replica struct {
	id      market.InstrumentID
	symbol  string
	subject string // of its updates
	class   market.Class
	node    *node // whose updates it follows; nil before any
	epoch   uint64
	seq     uint64

	waits  bool      // for a snapshot; held is what came meanwhile
	since  time.Time // when it began to
	marked int64     // the sinks' watermark then
	want   bool      // in Subscriber.wanted
	held   [][]byte
	bytes  int

	shown bool // the sinks were given something
	down  bool // and last a blank of our own making
	made  uint64

	// What a blank repeats: all that the sinks hold besides quote and levels.
	venues   []market.VenueID
	scale    market.Scale
	tradeSeq uint64
	bars     [orderbook.NumIntervals]uint64 // changes of bars in this epoch, by interval
	source   orderbook.QuoteSource
	ticker   orderbook.Ticker
	trade    orderbook.Trade
}

// replica returns the replica of a symbol, registering it if it is new.
func (s *Subscriber) replica(symbol []byte, class market.Class) (*replica, error) {
	r := s.replicas[string(symbol)]
	if r == nil {
		id, err := s.cfg.Directory.Instrument(string(symbol), class)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		r = &replica{id: id, symbol: string(symbol), class: class}
		r.subject = s.cfg.Subjects.Update(r.symbol)
		s.replicas[r.symbol] = r
	}
	if r.class == market.ClassUnknown && class != market.ClassUnknown {
		r.class = class
		if _, err := s.cfg.Directory.Instrument(r.symbol, class); err != nil {
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
	}
	return r, nil
}

// update takes an update, or, with subject "", the answer to a request.
func (s *Subscriber) update(data []byte, subject string) error {
	u := &s.u
	h, err := s.dec.update(data, u)
	if err != nil {
		return err
	}
	if u.Epoch == 0 || len(h.node) == 0 {
		return malformed("update without an epoch or a node")
	}
	r, err := s.replica(h.symbol, h.class)
	if err != nil {
		return err
	}
	snapshot := u.Changed&orderbook.ChangedSnapshot != 0
	if subject != "" && subject != r.subject {
		return malformed("update of another instrument than its subject's")
	}
	if subject == "" {
		delete(s.asked, r)
		if !snapshot {
			return malformed("answer is not a snapshot")
		}
	}
	n := r.node
	if n == nil || n.name != string(h.node) {
		n = s.node(h.node)
	}
	if s.fenced(r, n, u.Epoch) {
		s.count.Fenced++
		return nil
	}
	s.hear(n)
	switch {
	case r.epoch == u.Epoch && u.Seq <= r.seq:
		// We have it: a repetition, or a snapshot older than where we are.
		s.count.Repeated++
		if r.waits && snapshot && u.Seq == r.seq {
			// Nothing was missed after all.
			s.settle(r)
			s.drain(r)
		}
		return nil
	case snapshot || u.Seq == 1 && u.Epoch != r.epoch:
		// The first update of an epoch is complete too.
		s.accept(r, n, u)
		s.drain(r)
		return nil
	case !r.waits && r.epoch == u.Epoch && u.Seq == r.seq+1:
		if !continues(r, u) {
			s.count.Malformed++
			s.gap(r)
			return nil
		}
		s.hand(r, u)
		return nil
	}
	if !r.waits {
		s.count.Gaps++
	}
	if r.node == nil || r.epoch == 0 {
		r.node = n
	}
	s.gap(r)
	s.hold(r, data)
	return nil
}

// fenced reports whether an epoch is over: of two, the larger counts as long as
// the node that it comes from is heard.
func (s *Subscriber) fenced(r *replica, n *node, epoch uint64) bool {
	return r.epoch > epoch && r.node != nil && r.node.alive
}

// continues reports whether an update that follows says numbers that the state
// before it can be converted to.
func continues(r *replica, u *orderbook.Update) bool {
	if u.Changed&orderbook.ChangedScale == 0 {
		return u.Scale == r.scale
	}
	return r.scale.Finer(u.Scale) == u.Scale
}

// accept takes a complete state.
func (s *Subscriber) accept(r *replica, n *node, u *orderbook.Update) {
	r.node = n
	s.count.Snapshots++
	if r.shown {
		u.Changed |= orderbook.ChangedSnapshot
		s.fill(r, u)
	}
	r.venues = r.venues[:0]
	s.settle(r)
	s.hand(r, u)
}

// hand gives an update to the sinks.
func (s *Subscriber) hand(r *replica, u *orderbook.Update) {
	u.Instrument = r.id
	if r.epoch != u.Epoch {
		r.bars = [orderbook.NumIntervals]uint64{}
	}
	r.epoch, r.seq = u.Epoch, u.Seq
	for i := range u.Bars {
		r.bars[u.Bars[i].Interval] = u.Bars[i].Seq
	}
	r.scale, r.tradeSeq, r.source, r.ticker = u.Scale, u.TradeSeq, u.Quote.Source, u.Ticker
	for i := range u.Venues {
		r.see(u.Venues[i].Venue)
	}
	for i := range u.Levels {
		if i == 0 || u.Levels[i].Venue != u.Levels[i-1].Venue {
			r.see(u.Levels[i].Venue)
		}
	}
	for i := range u.Tops {
		r.see(u.Tops[i].Venue)
	}
	if k := len(u.Trades); k > 0 {
		r.trade = u.Trades[k-1]
	}
	r.shown, r.down = true, false
	s.count.Updates++
	s.emit(u)
}

func (s *Subscriber) emit(u *orderbook.Update) {
	for _, k := range s.cfg.Sinks {
		k.Update(u)
	}
}

func (r *replica) see(v market.VenueID) {
	if !slices.Contains(r.venues, v) {
		r.venues = append(r.venues, v)
	}
}

// behind notes that a node has an instrument at a position, and asks for it if
// we have not got there.
func (s *Subscriber) behind(r *replica, n *node, epoch, seq uint64) {
	if s.fenced(r, n, epoch) || r.epoch == epoch && r.seq >= seq && !r.waits {
		return
	}
	if r.node == nil || r.epoch == 0 {
		r.node = n
	}
	if !r.waits && r.shown && !r.down {
		s.count.Gaps++
	}
	s.gap(r)
}

// gap makes the replica wait for a snapshot.
func (s *Subscriber) gap(r *replica) {
	if !r.waits {
		r.waits, r.since, r.marked = true, s.now(), s.marked
		s.waiting[r] = struct{}{}
	}
	if _, asked := s.asked[r]; !asked {
		s.want(r)
	}
}

// settle ends the wait for a snapshot.
func (s *Subscriber) settle(r *replica) {
	r.waits, r.want = false, false
	delete(s.waiting, r)
}

// hold keeps a message for when the snapshot has come. What does not fit makes
// room for what comes next: the gap shows again then.
func (s *Subscriber) hold(r *replica, data []byte) {
	if len(r.held) == maxHeld || r.bytes+len(data) > maxHeldBytes || s.heldBytes+len(data) > maxHeldTotal {
		s.count.HeldDropped += uint64(len(r.held))
		s.forget(r)
	}
	if s.heldBytes+len(data) > maxHeldTotal {
		s.count.HeldDropped++
		return
	}
	r.held = append(r.held, data)
	r.bytes += len(data)
	s.heldBytes += len(data)
}

func (s *Subscriber) forget(r *replica) {
	s.heldBytes -= r.bytes
	r.held, r.bytes = nil, 0
}

// drain applies what was held while waiting.
func (s *Subscriber) drain(r *replica) {
	if len(r.held) == 0 {
		return
	}
	held := r.held
	s.forget(r)
	for _, data := range held {
		if err := s.update(data, r.subject); err != nil {
			s.malformed(r.subject, data, err)
		}
	}
}

// want puts the replica among those whose snapshot is to be asked for.
func (s *Subscriber) want(r *replica) {
	if r.waits && !r.want {
		r.want = true
		s.wanted = append(s.wanted, r)
	}
}

// ask sends the requests that are due, a bounded number at a time.
func (s *Subscriber) ask() {
	if !s.connected {
		return
	}
	if s.listDue {
		s.askList()
	}
	k := 0
	for _, r := range s.wanted {
		if !r.want || !r.waits {
			r.want = false
			k++
			continue
		}
		if len(s.asked) >= s.cfg.Requests {
			break
		}
		k++
		r.want = false
		s.asked[r] = s.now()
		s.count.Requests++
		// If it fails we are not connected any longer, and begin anew.
		_ = s.nc.PublishRequest(s.cfg.Subjects.Snapshot(r.symbol), s.inbox+".snapshot."+Token(r.symbol), nil)
	}
	s.wanted = slices.Delete(s.wanted, 0, k)
}

// takeDown ends what the replica follows and shows its venues as they are now.
func (s *Subscriber) takeDown(r *replica, state orderbook.State, cause orderbook.Cause) {
	s.forget(r)
	s.settle(r)
	delete(s.asked, r)
	r.node = nil
	s.blank(r, state, cause)
}

// blank gives the sinks a state without quote and levels. Whatever snapshot
// comes next is news to them.
func (s *Subscriber) blank(r *replica, state orderbook.State, cause orderbook.Cause) {
	r.epoch, r.seq = 0, 0
	if !r.shown {
		return
	}
	now := s.now().UnixNano()
	u := &s.u
	r.made++
	*u = orderbook.Update{
		Instrument: r.id, Epoch: s.epoch, Seq: r.made, TradeSeq: r.tradeSeq,
		Changed: orderbook.ChangedSnapshot | orderbook.ChangedLevels | orderbook.ChangedVenues |
			orderbook.ChangedTops | orderbook.ChangedQuote | orderbook.ChangedTicker | orderbook.ChangedScale,
		Scale: r.scale, Received: now,
		Levels: u.Levels[:0], Venues: u.Venues[:0], Tops: u.Tops[:0], Trades: u.Trades[:0],
		Quote: orderbook.Quote{Source: r.source, BidVenues: u.Quote.BidVenues[:0],
			AskVenues: u.Quote.AskVenues[:0], Out: u.Quote.Out[:0], Received: now},
		Ticker: r.ticker,
	}
	for _, v := range r.venues {
		u.Venues = append(u.Venues, orderbook.VenueStatus{Venue: v, State: state, Cause: cause, Since: now})
	}
	if r.tradeSeq > 0 {
		u.Trades = append(u.Trades, r.trade)
		u.Changed |= orderbook.ChangedTrades
	}
	r.down = true
	s.count.Blanks++
	s.emit(u)
}
