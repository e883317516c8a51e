package orderbook

import (
	"fmt"
	"slices"

	"github.com/quotewire/quotewire/market"
)

// GapError says that an [Update] does not continue what a [View] holds. Ask for
// a snapshot.
type GapError struct {
	Instrument          market.InstrumentID
	Epoch, Seq          uint64 // held
	GotEpoch, GotUpdate uint64 // came
}

// Error tells both positions.
func (e *GapError) Error() string {
	return fmt.Sprintf("update %x/%d does not follow %x/%d", e.GotEpoch, e.GotUpdate, e.Epoch, e.Seq)
}

// View is one instrument's state, rebuilt from its Updates: the other end of a
// [Shard], in the same process or on another machine. Its numbers are at Scale.
// It belongs to one goroutine.
type View struct {
	Instrument market.InstrumentID
	Epoch      uint64
	Seq        uint64 // of the last update applied; 0 before any
	TradeSeq   uint64
	Scale      market.Scale
	Time       int64 // event time of the last update, ns since the Unix epoch
	Received   int64
	Quote      Quote
	Ticker     Ticker
	Status     Status
	Venues     []*VenueView // by number

	LastTrade Trade // valid if TradeSeq > 0

	// Bars holds the latest bar of each interval, valid if its BarSeq is not 0:
	// how many changes of bars of the interval there were in this epoch.
	Bars      [NumIntervals]Bar
	BarSeq    [NumIntervals]uint64
	Watermark int64 // as of the last update; bars that end by then are final

	heads []depthHead // memory of AppendDepth
}

// VenueView is one venue's part of a [View].
type VenueView struct {
	VenueStatus
	Bids, Asks Ladder
	Top        VenueQuote // where the venue has no levels
	HasBook    bool       // it is shown in price levels, not by its top
}

// Venue returns the part of one venue, nil if nothing was heard of it.
func (v *View) Venue(id market.VenueID) *VenueView {
	for _, w := range v.Venues {
		if w.Venue == id {
			return w
		}
	}
	return nil
}

func (v *View) venue(id market.VenueID) *VenueView {
	if w := v.Venue(id); w != nil {
		return w
	}
	w := &VenueView{Bids: NewLadder(market.SideBid), Asks: NewLadder(market.SideAsk)}
	w.VenueStatus.Venue, w.Top.Venue = id, id
	i, _ := slices.BinarySearchFunc(v.Venues, id, func(w *VenueView, id market.VenueID) int { return int(w.Venue) - int(id) })
	v.Venues = slices.Insert(v.Venues, i, w)
	return w
}

// Apply brings the view forward by one update. An update that is not the next
// one of the same epoch is refused with a *GapError and changes nothing, unless
// it is a snapshot or the first update of another epoch, which replace
// everything. What has been applied already (an older Seq of the same epoch, be
// it a snapshot) is ignored.
func (v *View) Apply(u *Update) error {
	whole := u.Changed&ChangedSnapshot != 0 || u.Seq == 1 && u.Epoch != v.Epoch
	switch {
	case u.Epoch == v.Epoch && u.Seq <= v.Seq && !(whole && u.Seq == v.Seq):
		return nil
	case whole:
		// The first update of an epoch is complete too: there was nothing before.
		*v = View{
			Venues: v.Venues[:0], heads: v.heads,
			Quote: Quote{BidVenues: v.Quote.BidVenues, AskVenues: v.Quote.AskVenues, Out: v.Quote.Out},
		}
	case u.Epoch != v.Epoch || u.Seq != v.Seq+1:
		return &GapError{u.Instrument, v.Epoch, v.Seq, u.Epoch, u.Seq}
	case u.Changed&ChangedScale != 0 && v.Scale != u.Scale:
		v.rescale(u.Scale)
	}
	v.Instrument, v.Epoch, v.Seq, v.TradeSeq = u.Instrument, u.Epoch, u.Seq, u.TradeSeq
	v.Scale, v.Time, v.Received, v.Watermark = u.Scale, u.Time, u.Received, u.Watermark
	for i := range u.Venues {
		v.venue(u.Venues[i].Venue).VenueStatus = u.Venues[i]
	}
	for i := range u.Tops {
		w := v.venue(u.Tops[i].Venue)
		w.Top = u.Tops[i]
		if w.HasBook {
			w.HasBook = false
			w.Bids.Clear()
			w.Asks.Clear()
		}
	}
	v.applyLevels(u.Levels)
	if whole || u.Changed&(ChangedQuote|ChangedScale) != 0 {
		bids, asks, out := v.Quote.BidVenues, v.Quote.AskVenues, v.Quote.Out
		v.Quote = u.Quote
		v.Quote.Out = append(out[:0], u.Quote.Out...)
		v.Quote.BidVenues = append(bids[:0], u.Quote.BidVenues...)
		v.Quote.AskVenues = append(asks[:0], u.Quote.AskVenues...)
	}
	if whole || u.Changed&(ChangedTicker|ChangedScale) != 0 {
		v.Ticker = u.Ticker
	}
	if whole || u.Changed&(ChangedStatus|ChangedScale) != 0 {
		v.Status = u.Status
	}
	if n := len(u.Trades); n > 0 {
		v.LastTrade = u.Trades[n-1]
	}
	for i := range u.Bars {
		b := &u.Bars[i]
		if b.Start >= v.Bars[b.Interval].Start {
			v.Bars[b.Interval] = *b
		}
		v.BarSeq[b.Interval] = b.Seq
	}
	return nil
}

// rescale converts what updates tell by changes alone to a finer scale.
func (v *View) rescale(to market.Scale) {
	for _, w := range v.Venues {
		w.Bids.rescale(v.Scale, to)
		w.Asks.rescale(v.Scale, to)
		w.Top.rescale(v.Scale, to)
	}
	rescalePrice(&v.LastTrade.Price, v.Scale, to)
	rescaleSize(&v.LastTrade.Size, v.Scale, to)
	for i := range v.Bars {
		v.Bars[i].Rescale(v.Scale, to)
	}
}

// applyLevels applies level changes. What follows a clear is a complete image,
// in order, and is loaded at once.
func (v *View) applyLevels(changes []LevelChange) {
	var w *VenueView
	image := false
	for i := range changes {
		c := &changes[i]
		if w == nil || w.Venue != c.Venue {
			if image {
				w.Bids.sort()
				w.Asks.sort()
				image = false
			}
			w = v.venue(c.Venue)
			if !w.HasBook {
				w.HasBook, w.Top = true, VenueQuote{Venue: c.Venue}
			}
		}
		switch {
		case c.Side == market.SideNone:
			w.Bids.Clear()
			w.Asks.Clear()
			image = true
		case image:
			w.ladder(c.Side).push(c.Price, c.Size)
		default:
			w.ladder(c.Side).Set(c.Price, c.Size)
		}
	}
	if image {
		w.Bids.sort()
		w.Asks.sort()
	}
}

// Snapshot makes dst a complete image of the view, reusing its memory. It holds
// the last trade, if there was one, as its only trade.
func (v *View) Snapshot(dst *Update) {
	bids, asks, out := dst.Quote.BidVenues[:0], dst.Quote.AskVenues[:0], dst.Quote.Out[:0]
	*dst = Update{
		Instrument: v.Instrument, Epoch: v.Epoch, Seq: v.Seq, TradeSeq: v.TradeSeq,
		Changed: ChangedSnapshot | ChangedLevels | ChangedVenues | ChangedTops | ChangedQuote | ChangedTicker | ChangedScale | ChangedStatus,
		Scale:   v.Scale, Time: v.Time, Received: v.Received,
		Levels: dst.Levels[:0], Venues: dst.Venues[:0], Tops: dst.Tops[:0], Trades: dst.Trades[:0],
		Bars: dst.Bars[:0], Watermark: v.Watermark,
		Quote: v.Quote, Ticker: v.Ticker, Status: v.Status,
	}
	dst.Quote.Out = append(out, v.Quote.Out...)
	dst.Quote.BidVenues = append(bids, v.Quote.BidVenues...)
	dst.Quote.AskVenues = append(asks, v.Quote.AskVenues...)
	for _, w := range v.Venues {
		dst.Venues = append(dst.Venues, w.VenueStatus)
		if !w.HasBook {
			dst.Tops = append(dst.Tops, w.Top)
			continue
		}
		dst.Levels = append(dst.Levels, LevelChange{Venue: w.Venue})
		for _, l := range [2]*Ladder{&w.Bids, &w.Asks} {
			for _, lv := range l.levels {
				dst.Levels = append(dst.Levels, LevelChange{w.Venue, l.side, lv})
			}
		}
	}
	if v.TradeSeq > 0 {
		dst.Trades = append(dst.Trades, v.LastTrade)
		dst.Changed |= ChangedTrades
	}
	for i := range v.Bars {
		if v.BarSeq[i] > 0 {
			b := v.Bars[i]
			b.Seq = v.BarSeq[i]
			dst.Bars = append(dst.Bars, b)
			dst.Changed |= ChangedBars
		}
	}
}

// usable reports whether the venue takes part in the consolidated view.
func (w *VenueView) usable() bool { return w.State.Live() }

// firmness returns what the venue's top on a side is worth.
func (w *VenueView) firmness(side market.Side) market.Firmness {
	switch {
	case w.HasBook:
		return market.Firm
	case side == market.SideBid:
		return w.Top.BidFirmness
	}
	return w.Top.AskFirmness
}

// Best returns the venue's best bid and ask; a side with size 0 is absent. It is
// empty where the venue is not live.
func (w *VenueView) Best() (bid, ask Level) {
	if !w.usable() {
		return Level{}, Level{}
	}
	if w.HasBook {
		bid, _ = w.Bids.Best()
		ask, _ = w.Asks.Best()
		return bid, ask
	}
	return Level{w.Top.Bid, w.Top.BidSize}, Level{w.Top.Ask, w.Top.AskSize}
}

func (w *VenueView) ladder(side market.Side) *Ladder {
	if side == market.SideBid {
		return &w.Bids
	}
	return &w.Asks
}
