package orderbook

import (
	"math"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
)

// LimitState tells whether the best bid or offer sits at a price band (LULD plan,
// section VI.B: limit state).
type LimitState uint8

// The limit states.
const (
	LimitNone LimitState = iota
	LimitUp              // the best bid is at the upper band
	LimitDown            // the best ask is at the lower band
)

var limitNames = [...]string{"", "up", "down"}

// String returns "", "up" or "down".
func (l LimitState) String() string {
	if int(l) < len(limitNames) {
		return limitNames[l]
	}
	return "unknown"
}

// Reason is the code of why an instrument does not trade, as the market writes it
// ("T12", "LUDP"), padded with zero bytes.
type Reason [8]byte

// String returns the code, "" for none.
func (r Reason) String() string {
	n := 0
	for n < len(r) && r[n] != 0 {
		n++
	}
	return string(r[:n])
}

// Status is whether and how an instrument trades, apart from its venues' health.
// Its numbers are at the Scale of the Update or View that holds it.
type Status struct {
	// Trading is what a SIP told of all venues, Since when by receive time;
	// StatusUnknown where none did. What one venue told is in its VenueStatus.
	Trading market.TradingStatus
	Limit   LimitState
	Session calendar.Kind // of its market's calendar
	Reason  Reason        // of Trading
	Since   int64         // of Trading, ns since the Unix epoch
	// LimitSince is the receive time since which Limit holds, 0 for LimitNone.
	LimitSince int64
	SessionEnd int64 // when the session ends, ns since the Unix epoch; 0 in a market that never closes
	// BandLow and BandHigh are the LULD bands, 0 without any.
	BandLow, BandHigh market.Price
	Imbalance         Imbalance
}

// Imbalance is what a market told last of an auction to come. The zero value is
// none.
type Imbalance struct {
	Venue        market.VenueID
	Side         market.Side // that is too large; SideNone unknown
	Auction      byte        // its letter, 'O' open, 'M' close, and so on; 0 unknown
	AuctionTime  uint16      // New York's clock, 930 for 9:30; 0 unknown
	Price        market.Price
	Size, Paired market.Size // that find no counterpart, and that do
	Time         int64       // event time, ns since the Unix epoch
}

func (st *Status) fits(from, to market.Scale) bool {
	i := &st.Imbalance
	return Level{st.BandLow, i.Size}.fits(from, to) && Level{st.BandHigh, i.Paired}.fits(from, to) && Level{i.Price, 0}.fits(from, to)
}

func (st *Status) rescale(from, to market.Scale) {
	rescalePrice(&st.BandLow, from, to)
	rescalePrice(&st.BandHigh, from, to)
	rescalePrice(&st.Imbalance.Price, from, to)
	rescaleSize(&st.Imbalance.Size, from, to)
	rescaleSize(&st.Imbalance.Paired, from, to)
}

// halt takes a trading status that holds at all venues. While the instrument does
// not trade no quote counts. Tops of book from before are forgotten, and again
// when it trades on: what counts then are new quotes (orders in books stay).
func (s *Shard) halt(f *feedState, in *instrument, e *market.Event) {
	st := &in.upd.Status
	var reason Reason
	copy(reason[:], e.ID.Append(nil))
	if st.Trading == e.Status && st.Reason == reason {
		return
	}
	st.Trading, st.Reason, st.Since = e.Status, reason, s.clock
	in.upd.Changed |= ChangedStatus
	in.setHalted(!executable(e.Status), e)
	if in.haltedBy != e.Feed {
		in.haltedBy = e.Feed
		f.halts = append(f.halts, in)
	}
}

func (in *instrument) setHalted(halted bool, e *market.Event) {
	if in.halted == halted {
		return
	}
	in.halted = halted
	for _, v := range in.venues {
		for _, b := range v.books {
			if b.stats.HasBook || !b.hasTop {
				continue
			}
			b.top, b.hasTop = VenueQuote{Venue: v.id}, false
			if v.shown == b && b.live() {
				in.tellAll(v)
			}
		}
		if v.shown != nil {
			in.tellState(v, e.Received)
		}
	}
}

// forgetHalts takes back what a feed told of halts: what a lost connection said is
// not current.
func (s *Shard) forgetHalts(f *feedState, e *market.Event) {
	for _, in := range f.halts {
		if in.haltedBy != e.Feed {
			continue // another feed has told since
		}
		st := &in.upd.Status
		st.Trading, st.Reason, st.Since = market.StatusUnknown, Reason{}, s.clock
		in.upd.Changed |= ChangedStatus
		in.haltedBy = 0
		in.setHalted(false, e)
		s.emit(in, e)
	}
	f.halts = f.halts[:0]
}

// bands takes LULD bands: they stand until others come, or the session ends.
func (in *instrument) bands(e *market.Event) {
	var low, high market.Price
	_, _, ok := in.fit(e.High, 0, e) // may refine the scale under the other
	if ok {
		low, _, ok = in.fit(e.Low, 0, e)
	}
	if ok {
		high, _, ok = in.fit(e.High, 0, e)
	}
	if ok && low >= 0 && high >= low {
		in.setBands(low, high)
	}
}

func (in *instrument) setBands(low, high market.Price) {
	st := &in.upd.Status
	if st.BandLow == low && st.BandHigh == high {
		return
	}
	st.BandLow, st.BandHigh = low, high
	in.upd.Changed |= ChangedStatus
	in.measure()
	in.touchAll()
}

// imbalance takes what a market tells of an auction to come.
func (in *instrument) imbalance(e *market.Event) {
	_, _, ok := in.fit(e.Price, e.Size, e)
	var i Imbalance
	if ok {
		_, i.Paired, ok = in.fit(e.Price, e.AskSize, e)
	}
	if ok {
		i.Price, i.Size, ok = in.fit(e.Price, e.Size, e)
	}
	if !ok || i.Size < 0 || i.Paired < 0 {
		return
	}
	i.Venue, i.Side, i.Auction, i.AuctionTime, i.Time = e.Venue, e.Side, e.Auction, e.AuctionTime, e.Time
	if in.upd.Status.Imbalance != i {
		in.upd.Status.Imbalance = i
		in.upd.Changed |= ChangedStatus
	}
}

// keepTime does what is due by the shard's clock before the instrument's quote is
// looked at: another session begins, round lots are assigned, a venue has settled.
func (s *Shard) keepTime(in *instrument) {
	if !in.hours.Holds(s.clock) {
		was := in.hours
		in.hours = in.calendar.Session(s.clock)
		st := &in.upd.Status
		end := in.hours.End
		if in.hours.Kind == calendar.Continuous {
			end = 0
		}
		if st.Session != in.hours.Kind || st.SessionEnd != end {
			st.Session, st.SessionEnd = in.hours.Kind, end
			if in.upd.Seq > 0 || in.upd.Changed != 0 {
				in.upd.Changed |= ChangedStatus // else it goes with the first update
			}
		}
		if was.End != 0 {
			in.setBands(0, 0)
		}
	}
	if in.isStock && (s.clock >= in.lotUntil || !in.lotKnown && in.upd.Ticker.HasPrevClose) {
		in.evaluate(s.clock)
	}
	if s.clock >= in.settleAt {
		in.settleAt = math.MaxInt64
		in.touchAll()
	}
}

// limit notes whether the quote is in a limit state.
func (in *instrument) limit(clock int64) {
	st, q := &in.upd.Status, &in.upd.Quote
	if st.BandHigh == 0 && st.Limit == LimitNone {
		return
	}
	l := LimitNone
	switch {
	case st.BandHigh == 0:
	case q.BidSize > 0 && q.Bid >= st.BandHigh:
		l = LimitUp
	case q.AskSize > 0 && q.Ask <= st.BandLow:
		l = LimitDown
	}
	if l == st.Limit {
		return
	}
	st.Limit, st.LimitSince = l, clock
	if l == LimitNone {
		st.LimitSince = 0
	}
	in.upd.Changed |= ChangedStatus
}
