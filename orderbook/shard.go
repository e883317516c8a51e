package orderbook

import (
	"math"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
)

// Sink takes the updates of a shard, in the shard's goroutine.
type Sink interface {
	// Update hands over one update. It is borrowed, to be read only: it is
	// overwritten after the call returns.
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
	// is waited for before it is asked for again; default 5 s. A fresh
	// connection has that time too before its snapshots are asked for.
	ResyncAgain time.Duration
	// LineLag is by how much, in the venue's own time, the shown one of several
	// books of a venue may be late before another takes its place; default
	// 100 ms.
	LineLag time.Duration
	// Rules returns what an instrument's consolidated quote goes by; nil asks for
	// nothing. It is called once an instrument.
	Rules func(market.Instrument) QuoteRules
	// Calendar returns the calendar of an asset class's trading days; default
	// [calendar.For].
	Calendar func(market.Class) *calendar.Calendar
	// BarLateness is how long after its end, by the clock of receive times, a bar
	// waits for prints that are late before it is final; default 2 s. Longer, and
	// fewer bars are revised; shorter, and they are final sooner.
	BarLateness time.Duration
	// PrintsKept is how many prints a shard keeps in case they are corrected, of
	// all instruments together, 40 bytes each; default 2^21. The oldest are
	// forgotten first: of what is corrected later only the sums are put right.
	PrintsKept int
}

func (c Config) withDefaults() Config {
	if c.ResyncAgain == 0 {
		c.ResyncAgain = 5 * time.Second
	}
	if c.LineLag == 0 {
		c.LineLag = 100 * time.Millisecond
	}
	if c.Resync == nil {
		c.Resync = func(market.FeedID, market.InstrumentID, Cause) {}
	}
	if c.Rules == nil {
		c.Rules = func(market.Instrument) QuoteRules { return QuoteRules{} }
	}
	if c.Calendar == nil {
		c.Calendar = calendar.For
	}
	if c.BarLateness == 0 {
		c.BarLateness = 2 * time.Second
	}
	c.BarLateness = max(c.BarLateness, 0)
	if c.PrintsKept <= 0 {
		c.PrintsKept = 1 << 21
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
	askAt       int64         // receive time from which on an unanswered resync may be due
	clock       int64         // largest receive time seen

	watermark int64           // bars that end by then are final, see watermark.go
	tickAt    int64           // receive time at which it moves on
	marked    []WatermarkSink // of the sinks
	prints    printPool
	levels    []LevelChange // memory for an update's, while nobody has it
	pulseAt   int64         // from which on the books' pulses are felt again
}

// NewShard returns a shard without instruments.
func NewShard(cfg Config) *Shard {
	s := &Shard{cfg: cfg.withDefaults(), askAt: math.MaxInt64}
	for _, k := range s.cfg.Sinks {
		if m, ok := k.(WatermarkSink); ok {
			s.marked = append(s.marked, m)
		}
	}
	s.prints.limit = max(s.cfg.PrintsKept/chunkPrints, 1)
	_, s.tickAt = watermarkAt(0, s.cfg.BarLateness)
	return s
}

// Apply applies events in order and hands the updates that result to the sinks.
// All events of one provider message must come in one call; only a snapshot may
// be spread over several. The events are not kept.
func (s *Shard) Apply(events []market.Event) {
	for i := range events {
		s.apply(&events[i])
	}
	// Not per event: the snapshot that answers may be among them.
	if n := len(events); n > 0 && events[n-1].Received >= s.askAt {
		s.repeatAsks(events[n-1].Received)
	}
	s.feelPulses()
	for _, k := range s.cfg.Sinks {
		k.Flush()
	}
}

func (s *Shard) apply(e *market.Event) {
	s.clock = max(s.clock, e.Received)
	if e.Received >= s.tickAt {
		s.advance(e.Received)
	}
	f := s.feed(e.Feed)
	if f.stale {
		s.unstale(f, e)
	}
	if f.suspect {
		s.unsuspect(f, e)
	}
	if e.Instrument == 0 {
		s.applyFeed(f, e)
		return
	}
	if e.Kind == market.KindHeartbeat {
		return // ends no message either
	}
	in := s.instrument(e.Instrument)
	if e.Venue == 0 {
		s.applyInstrument(f, in, e)
		return
	}
	switch e.Kind {
	case market.KindLevel:
		s.lend(in)
		s.level(s.book(f, in, e), e)
	case market.KindOrder:
		s.lend(in)
		s.order(s.book(f, in, e), e)
	case market.KindClear:
		s.lend(in)
		s.clear(s.book(f, in, e), e)
	case market.KindChecksum:
		b := s.book(f, in, e)
		b.levels, b.hasSum, b.sumKind, b.sum, b.sumAlone = true, true, e.Checksum, uint32(e.Sequence), !b.isOpen
		in.open(b)
	case market.KindQuote:
		s.top(s.book(f, in, e), e)
	case market.KindTrade:
		s.trade(s.book(f, in, e), e)
	case market.KindValue:
		s.value(s.book(f, in, e), e)
	case market.KindBar:
		s.aggregate(s.book(f, in, e), e)
	case market.KindCorrection, market.KindCancel:
		s.correction(s.book(f, in, e), e)
	case market.KindStatus:
		if e.Flags&market.FlagNBBO != 0 {
			s.halt(f, in, e)
		} else {
			s.status(s.book(f, in, e), e)
		}
	case market.KindLULD:
		in.bands(e)
	case market.KindImbalance:
		in.imbalance(e)
	case market.KindInstrument:
		if validDecimals(e) {
			b := s.book(f, in, e)
			b.digits, b.digitsRef = market.Scale{Price: e.PriceDecimals, Size: e.SizeDecimals}, true
		}
	case market.KindGap:
		s.gap(s.book(f, in, e), e)
	}
	if e.Flags&market.FlagLast != 0 {
		s.finish(in, e)
		s.emit(in, e)
	}
}

// applyInstrument applies an event about all that a feed says of an instrument,
// at whatever venue.
func (s *Shard) applyInstrument(f *feedState, in *instrument, e *market.Event) {
	for _, b := range f.books {
		if b.in != in {
			continue
		}
		switch e.Kind {
		case market.KindGap:
			s.gap(b, e)
		case market.KindStatus:
			s.status(b, e)
		case market.KindDown:
			s.lose(b, CauseUnsubscribed, e.Received)
		}
	}
	if e.Kind == market.KindGap || e.Flags&market.FlagLast != 0 {
		s.finish(in, e)
		s.emit(in, e)
	}
}

// emit hands the instrument's update to the sinks if there is one.
func (s *Shard) emit(in *instrument, e *market.Event) {
	u := &in.upd
	s.keepTime(in)
	at := e.Time
	if at == 0 {
		at = in.toldAt // a line was lost: what is told is another's, as of then
	}
	in.toldAt = 0
	if in.touched {
		in.touched = false
		if in.requote(at, e.Received, s.clock) {
			u.Changed |= ChangedQuote
		}
	}
	in.limit(s.clock)
	if len(u.Levels) > 0 {
		u.Changed |= ChangedLevels
	}
	if len(u.Venues) > 0 {
		u.Changed |= ChangedVenues
	}
	if len(u.Tops) > 0 {
		u.Changed |= ChangedTops
	}
	if len(u.Trades) > 0 {
		u.Changed |= ChangedTrades
	}
	if len(u.Bars) > 0 {
		u.Changed |= ChangedBars
	}
	if u.Changed&^ChangedScale == 0 {
		return // a finer scale alone is told with what comes next
	}
	u.Seq++
	u.Time, u.Received, u.Watermark = at, e.Received, s.watermark
	for _, k := range s.cfg.Sinks {
		k.Update(u)
	}
	u.Changed = 0
	u.Levels, u.Venues, u.Tops, u.Trades, u.Bars = u.Levels[:0], u.Venues[:0], u.Tops[:0], u.Trades[:0], u.Bars[:0]
	if n := cap(u.Levels); n > cap(s.levels) && n <= keepLevels {
		s.levels = u.Levels
	}
	u.Levels = nil
}

// keepLevels is how many changes of levels a shard keeps memory for: an image that
// has more gets its own.
const keepLevels = 1 << 16

// lend gives an instrument the memory for changes of levels. Nearly always one at a
// time needs it; another gets new.
func (s *Shard) lend(in *instrument) {
	if in.upd.Levels == nil {
		in.upd.Levels, s.levels = s.levels, nil
	}
}

func (s *Shard) instrument(id market.InstrumentID) *instrument {
	if int(id) < len(s.instruments) {
		if in := s.instruments[id]; in != nil {
			return in
		}
	}
	for int(id) >= len(s.instruments) {
		s.instruments = append(s.instruments, nil)
	}
	known := s.cfg.Directory.InstrumentByID(id)
	in := &instrument{calendar: s.cfg.Calendar(known.Class), settleAt: math.MaxInt64}
	in.isStock = known.Class == market.ClassStock
	in.rules = s.cfg.Rules(known)
	in.measure()
	in.upd.Instrument, in.upd.Epoch = id, s.cfg.Epoch
	s.instruments[id] = in
	return in
}

func (s *Shard) feed(id market.FeedID) *feedState {
	if int(id) < len(s.feeds) {
		if f := s.feeds[id]; f != nil {
			return f
		}
	}
	for int(id) >= len(s.feeds) {
		s.feeds = append(s.feeds, nil)
	}
	f := &feedState{}
	s.feeds[id] = f
	return f
}

// book returns the book that the event is about, making it if it is new.
func (s *Shard) book(f *feedState, in *instrument, e *market.Event) *book {
	v := in.venue(e.Venue)
	b := v.book(e.Feed)
	if b == nil {
		b = newBook(in, v, e.Feed)
		b.feed = f
		v.add(b)
		f.add(b)
	}
	s.listen(b, e.Received)
	return b
}
