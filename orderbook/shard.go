package orderbook

import (
	"cmp"
	"slices"
	"time"

	"github.com/quotewire/quotewire/market"
)

// Sink takes the updates of a shard, in the shard's goroutine.
type Sink interface {
	// Update hands over one update. It is borrowed: its slices are overwritten
	// after the call returns.
	Update(u *Update)
	// Flush says that all events at hand have been applied: the moment to pass
	// on what has been collected.
	Flush()
}

// Config is what a shard, or an [Engine] of several, needs. Directory is
// required.
type Config struct {
	Directory *market.Directory
	// Epoch identifies this run of the books; it goes into every Update. Two
	// runs that can be confused must not share one.
	Epoch uint64
	// Sinks get every update, each in turn.
	Sinks []Sink
	// Resync is called, in the shard's goroutine and without waiting for
	// anything, when a feed's book of an instrument must be asked for again. It
	// may be nil. It is repeated while no snapshot comes, see ResyncAgain.
	Resync func(feed market.FeedID, id market.InstrumentID, cause Cause)
	// ResyncAgain is how long, by the events' receive time, an unanswered resync
	// is waited for before it is asked for again; default 5 s.
	ResyncAgain time.Duration
	// Location returns where an instrument's trading day ends at midnight;
	// default UTC for crypto and forex, else New York.
	Location func(market.Class) *time.Location
}

func (c Config) withDefaults() Config {
	if c.ResyncAgain == 0 {
		c.ResyncAgain = 5 * time.Second
	}
	if c.Resync == nil {
		c.Resync = func(market.FeedID, market.InstrumentID, Cause) {}
	}
	if c.Location == nil {
		newYork, err := time.LoadLocation("America/New_York")
		if err != nil {
			newYork = time.UTC
		}
		c.Location = func(class market.Class) *time.Location {
			if class == market.ClassCrypto || class == market.ClassForex || class == market.ClassUnknown {
				return time.UTC
			}
			return newYork
		}
	}
	return c
}

// Shard owns the books of its instruments. It belongs to one goroutine and asks
// no clock: the same events give the same updates.
type Shard struct {
	cfg         Config
	instruments []*instrument // by number; nil where another shard's or unseen
	feeds       []*feedState  // by number
	buf         []byte        // checksum text
}

// feedState is what a shard knows of one feed.
type feedState struct {
	books []*book
	asked map[*book]int64 // when its resync was last asked for
	up    bool
	stale bool
}

// NewShard returns a shard without instruments.
func NewShard(cfg Config) *Shard { return &Shard{cfg: cfg.withDefaults()} }

// Apply applies events in order and hands the updates that result to the sinks.
// All events of one provider message must come in one call. The events are not
// kept.
func (s *Shard) Apply(events []market.Event) {
	for i := range events {
		s.apply(&events[i])
	}
	for _, k := range s.cfg.Sinks {
		k.Flush()
	}
}

func (s *Shard) apply(e *market.Event) {
	f := s.feed(e.Feed)
	if f.stale && e.Kind != market.KindDown && e.Kind != market.KindUp && e.Kind != market.KindStale {
		// The connection speaks again, and over TCP nothing was skipped.
		s.unstale(f, e)
	}
	if e.Instrument == 0 {
		s.applyFeed(f, e)
		return
	}
	in := s.instrument(e.Instrument)
	if e.Kind == market.KindHeartbeat {
		return
	}
	if e.Kind == market.KindGap && e.Venue == 0 {
		for _, b := range f.books {
			if b.stats.Instrument == e.Instrument {
				b.stats.Gaps++
				s.distrust(in, b, CauseGap, e.Received)
			}
		}
		s.emit(in, e)
		return
	}
	v, b, isNew := in.book(e.Feed, e.Venue)
	if isNew {
		f.books = append(f.books, b)
		b.stats.Scale = in.scale
	}
	b.stats.LastMessage = e.Received
	switch e.Kind {
	case market.KindLevel:
		s.level(in, b, e)
	case market.KindClear:
		b.bids.Clear()
		b.asks.Clear()
		b.pend = b.pend[:0]
		b.inSnapshot, b.bookMessage, b.stats.HasBook = true, true, true
		b.depth = int(e.Depth)
	case market.KindChecksum:
		b.hasSum, b.sum, b.bookMessage = true, uint32(e.Sequence), true
	case market.KindQuote:
		s.top(in, v, b, e)
	case market.KindTrade:
		s.trade(in, v, b, e)
	case market.KindStatus:
		b.halted = e.Status != market.StatusTrading && e.Status != market.StatusUnknown
		if v.shown == b {
			in.tellState(v, e.Received)
		}
	case market.KindInstrument:
		b.digits, b.digitsRef = market.Scale{Price: e.PriceDecimals, Size: e.SizeDecimals}, true
	case market.KindGap:
		b.stats.Gaps++
		s.distrust(in, b, CauseGap, e.Received)
	}
	if e.Flags&market.FlagLast == 0 {
		return
	}
	if b.bookMessage {
		s.finish(in, v, b, e)
	}
	s.emit(in, e)
}

// level applies one price level to the message under way.
func (s *Shard) level(in *instrument, b *book, e *market.Event) {
	b.noteDigits(e.PriceDecimals, e.SizeDecimals)
	b.bookMessage, b.stats.HasBook = true, true
	if !b.inSnapshot && !b.live() {
		b.stats.Ignored++
		return
	}
	price, size, ok := s.fit(in, e.Price, e.Size, e)
	if !ok || size < 0 || e.Side == market.SideNone {
		b.stats.Refused++
		b.unsound = true
		return
	}
	l := b.ladder(e.Side)
	if b.inSnapshot {
		l.push(price, size)
		return
	}
	if l.Set(price, size) {
		b.pend = append(b.pend, LevelChange{b.stats.Venue, e.Side, Level{price, size}})
	}
}

// fit converts an event's price and size to the instrument's scale, making that
// finer where the event needs it. It fails where a number would not fit.
func (s *Shard) fit(in *instrument, p market.Price, z market.Size, e *market.Event) (market.Price, market.Size, bool) {
	if e.PriceDecimals == in.scale.Price && e.SizeDecimals == in.scale.Size {
		return p, z, true
	}
	p, pd := market.Trim(p, e.PriceDecimals, in.scale.Price)
	z, zd := market.Trim(z, e.SizeDecimals, in.scale.Size)
	if pd > in.scale.Price || zd > in.scale.Size {
		if !in.rebase(in.scale.Finer(market.Scale{Price: pd, Size: zd})) {
			return 0, 0, false
		}
	}
	p, err1 := market.Rescale(p, pd, in.scale.Price)
	z, err2 := market.Rescale(z, zd, in.scale.Size)
	return p, z, err1 == nil && err2 == nil
}

// finish ends the message's book: it is shown if it is sound, and distrusted
// from this very message if it is not.
func (s *Shard) finish(in *instrument, v *venue, b *book, e *market.Event) {
	wasLive, snapshot := b.live(), b.inSnapshot
	defer b.endMessage()
	if !wasLive && !snapshot {
		// Changes to a book that we do not have. On a first connection nothing
		// has asked for the snapshot yet that the subscription should bring.
		if b.stats.State == StateNone {
			b.setState(StateResyncing, CauseConnected, e.Received)
			v.pick()
			in.tellState(v, e.Received)
		}
		s.askAgain(b, e.Received)
		return
	}
	var what verdict
	what, s.buf = b.finish(s.buf, in.scale)
	switch what {
	case badChecksum:
		s.distrust(in, b, CauseChecksum, e.Received)
		return
	case crossed:
		s.distrust(in, b, CauseCrossed, e.Received)
		return
	case misfit:
		s.distrust(in, b, CauseOverflow, e.Received)
		return
	}
	b.stats.Messages++
	if snapshot {
		if b.stats.State == StateResyncing && b.stats.Cause != CauseConnected {
			b.stats.Resyncs++
		}
		b.setState(StateLive, CauseNone, e.Received)
		delete(s.feed(b.stats.Feed).asked, b)
	}
	switched := v.pick()
	if v.shown != b {
		return
	}
	if snapshot || switched {
		in.tellAll(v)
	} else if len(b.pend) > 0 {
		in.upd.Levels = append(in.upd.Levels, b.pend...)
		in.upd.Changed |= ChangedLevels
		in.dirty = true
	}
	in.tellState(v, e.Received)
}

// distrust takes a book out of use until a snapshot comes, and asks for one.
func (s *Shard) distrust(in *instrument, b *book, cause Cause, at int64) {
	asked := b.stats.State == StateResyncing && b.stats.Cause != CauseConnected
	b.forget()
	b.setState(StateResyncing, cause, at)
	s.refresh(in, b, at)
	switch {
	case !b.stats.HasBook:
		// A top of book needs no resync: the next one is whole.
	case asked:
		s.askAgain(b, at)
	default:
		s.ask(b, at)
	}
}

// ask requests a resync.
func (s *Shard) ask(b *book, at int64) {
	f := s.feed(b.stats.Feed)
	if f.asked == nil {
		f.asked = make(map[*book]int64)
	}
	f.asked[b] = at
	s.cfg.Resync(b.stats.Feed, b.stats.Instrument, b.stats.Cause)
}

// askAgain repeats a request that has not been answered for too long. A fresh
// connection is given that time once before anything is asked for at all.
func (s *Shard) askAgain(b *book, at int64) {
	f := s.feed(b.stats.Feed)
	since, ok := f.asked[b]
	if !ok {
		since = b.stats.Since
	}
	if at-since >= int64(s.cfg.ResyncAgain) {
		s.ask(b, at)
	}
}

// refresh tells what a change of a book's state means for its venue: another
// feed's book may take its place, or nothing.
func (s *Shard) refresh(in *instrument, b *book, at int64) {
	v, _, _ := in.book(b.stats.Feed, b.stats.Venue)
	was := v.shown
	switched := v.pick()
	switch {
	case v.shown == nil:
		return
	case switched && v.shown.live():
		in.tellClear(v)
		in.tellAll(v)
	case was == b && !b.live() && (v.state.State == StateLive || v.state.State == StateHalted):
		in.tellClear(v)
	case v.shown == b && b.live():
		in.tellAll(v)
	}
	in.tellState(v, at)
}

// top takes a top of book that the venue, or a SIP, sent as such.
func (s *Shard) top(in *instrument, v *venue, b *book, e *market.Event) {
	b.stats.Quotes++
	// Both sides must fit before either is taken.
	_, _, ok := s.fit(in, e.Price, e.Size, e)
	if ok {
		_, _, ok = s.fit(in, e.Ask, e.AskSize, e)
	}
	if !ok || e.Size < 0 || e.AskSize < 0 {
		b.stats.Refused++
		s.distrust(in, b, CauseOverflow, e.Received)
		return
	}
	t := VenueQuote{Venue: b.stats.Venue, BidVenue: e.BidVenue, AskVenue: e.AskVenue}
	t.Bid, t.BidSize, _ = s.fit(in, e.Price, e.Size, e)
	t.Ask, t.AskSize, _ = s.fit(in, e.Ask, e.AskSize, e)
	b.top, b.hasTop, b.nbbo = t, true, e.Has(market.FlagNBBO)
	if b.stats.HasBook {
		return // its levels tell its top
	}
	b.setState(StateLive, CauseNone, e.Received)
	if switched := v.pick(); v.shown == b {
		if switched {
			in.tellClear(v)
		}
		in.upd.Tops = append(in.upd.Tops, t)
		in.upd.Changed |= ChangedTops
		in.dirty = true
	}
	in.tellState(v, e.Received)
}

// trade takes a print.
func (s *Shard) trade(in *instrument, v *venue, b *book, e *market.Event) {
	if !e.Has(market.FlagPrior) && !s.newPrint(v, b, e) {
		b.stats.TradesDup++
		return
	}
	price, size, ok := s.fit(in, e.Price, e.Size, e)
	if !ok || size < 0 {
		b.stats.Refused++
		return
	}
	if !e.Has(market.FlagPrior) {
		b.stats.Trades++
		b.stats.Volume = addSize(b.stats.Volume, size)
	}
	in.tradeSeq++
	in.upd.Trades = append(in.upd.Trades, Trade{
		Venue: e.Venue, Side: e.Side, Flags: e.Flags &^ market.FlagLast,
		NumConditions: e.NumConditions, Conditions: e.Conditions,
		Price: price, Size: size, Time: e.Time, Received: e.Received, ID: e.ID,
	})
	in.upd.Changed |= ChangedTrades
	if in.print(e, price, size) {
		in.upd.Changed |= ChangedTicker
	}
	in.dirty = true
}

// newPrint reports whether a print has not been seen before, and counts the ones
// that the venue's numbering shows to be missing. Where two feeds carry a venue
// the prints of the first one that is up are taken.
func (s *Shard) newPrint(v *venue, b *book, e *market.Event) bool {
	for _, other := range v.books {
		if other == b {
			break
		}
		if other.stats.Trades > 0 && s.feed(other.stats.Feed).up {
			return false
		}
	}
	if !e.Has(market.FlagContiguous) || e.TradeSequence == 0 {
		return true
	}
	n, last := e.TradeSequence, b.lastTrade
	if last != 0 && n <= last && !b.freshLine {
		return false
	}
	if last != 0 && n > last+1 {
		b.stats.TradesLost += n - last - 1
	}
	b.lastTrade, b.freshLine = n, false
	return true
}

// applyFeed applies an event of the whole feed.
func (s *Shard) applyFeed(f *feedState, e *market.Event) {
	switch e.Kind {
	case market.KindUp:
		f.up, f.stale = true, false
		clear(f.asked)
		s.eachBook(f, e, func(in *instrument, b *book) {
			b.freshLine = true
			b.forget()
			if b.stats.State != StateNone {
				b.setState(StateResyncing, CauseConnected, e.Received)
				s.refresh(in, b, e.Received)
			}
		})
	case market.KindDown:
		f.up, f.stale = false, false
		s.eachBook(f, e, func(in *instrument, b *book) {
			b.forget()
			if b.stats.State != StateNone {
				b.setState(StateDown, CauseLost, e.Received)
				s.refresh(in, b, e.Received)
			}
		})
	case market.KindStale:
		f.stale = true
		s.eachBook(f, e, func(in *instrument, b *book) {
			if b.stats.State != StateNone && b.stats.State != StateStale {
				b.before, b.beforeCause = b.stats.State, b.stats.Cause
				b.setState(StateStale, CauseMute, e.Received)
				s.refresh(in, b, e.Received)
			}
		})
	case market.KindGap:
		s.eachBook(f, e, func(in *instrument, b *book) {
			if b.stats.State != StateNone {
				b.stats.Gaps++
				s.distrust(in, b, CauseGap, e.Received)
			}
		})
	}
}

// unstale returns a feed's books to what they were before it fell silent.
func (s *Shard) unstale(f *feedState, e *market.Event) {
	f.stale = false
	s.eachBook(f, e, func(in *instrument, b *book) {
		if b.stats.State == StateStale {
			b.setState(b.before, b.beforeCause, e.Received)
			s.refresh(in, b, e.Received)
		}
	})
}

// eachBook calls fn for all books of a feed, then emits what it changed,
// instrument by instrument in the order of their numbers.
func (s *Shard) eachBook(f *feedState, e *market.Event, fn func(*instrument, *book)) {
	slices.SortStableFunc(f.books, func(a, b *book) int { return cmp.Compare(a.stats.Instrument, b.stats.Instrument) })
	var last *instrument
	for _, b := range f.books {
		in := s.instruments[b.stats.Instrument]
		if last != nil && in != last {
			s.emit(last, e)
		}
		fn(in, b)
		last = in
	}
	if last != nil {
		s.emit(last, e)
	}
}

// emit hands the instrument's update to the sinks if there is one.
func (s *Shard) emit(in *instrument, e *market.Event) {
	u := &in.upd
	if u.Changed&(ChangedLevels|ChangedTops|ChangedVenues|ChangedScale) != 0 {
		if in.requote(e.Time, e.Received) {
			u.Changed |= ChangedQuote
			in.dirty = true
		}
	}
	if !in.dirty {
		return
	}
	in.seq++
	u.Instrument, u.Epoch, u.Seq, u.TradeSeq = in.id, s.cfg.Epoch, in.seq, in.tradeSeq
	u.Scale, u.Time, u.Received = in.scale, e.Time, e.Received
	u.Quote, u.Ticker = in.quote, in.ticker
	for _, k := range s.cfg.Sinks {
		k.Update(u)
	}
	*u = Update{Levels: u.Levels[:0], Venues: u.Venues[:0], Tops: u.Tops[:0], Trades: u.Trades[:0]}
	if cap(u.Levels) > 1<<12 {
		u.Levels = nil
	}
	in.dirty = false
}

func (s *Shard) instrument(id market.InstrumentID) *instrument {
	for int(id) >= len(s.instruments) {
		s.instruments = append(s.instruments, nil)
	}
	in := s.instruments[id]
	if in == nil {
		in = &instrument{id: id, location: s.cfg.Location(s.cfg.Directory.InstrumentByID(id).Class)}
		s.instruments[id] = in
	}
	return in
}

func (s *Shard) feed(id market.FeedID) *feedState {
	for int(id) >= len(s.feeds) {
		s.feeds = append(s.feeds, nil)
	}
	f := s.feeds[id]
	if f == nil {
		f = &feedState{}
		s.feeds[id] = f
	}
	return f
}

// BookReport is a book's counters with its best levels, for people and tools.
type BookReport struct {
	BookStats
	TopBids, TopAsks []Level
}

// Report returns the counters and the best n levels a side of every book, by
// instrument, venue and feed.
func (s *Shard) Report(n int) []BookReport {
	var out []BookReport
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		for _, v := range in.venues {
			for _, b := range v.books {
				r := BookReport{BookStats: b.stats}
				r.State, r.Cause = b.told()
				r.Scale, r.Bids, r.Asks = in.scale, b.bids.Len(), b.asks.Len()
				r.TopBids = b.bids.AppendTop(nil, n)
				r.TopAsks = b.asks.AppendTop(nil, n)
				out = append(out, r)
			}
		}
	}
	return out
}
