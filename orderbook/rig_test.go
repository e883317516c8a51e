package orderbook

import (
	"fmt"
	"reflect"

	"github.com/quotewire/quotewire/market"
)

// rig is a shard with a view of each instrument fed by its updates, and the
// invariants that must hold between them whatever the events are.
type rig struct {
	dir      *market.Directory
	shard    *Shard
	views    map[market.InstrumentID]*View
	onUpdate func(*Update)
	err      error // first broken invariant
}

func newRig(t interface{ Helper() }, cfg Config) *rig {
	t.Helper()
	r := &rig{dir: market.NewDirectory(), views: map[market.InstrumentID]*View{}}
	cfg.Directory, cfg.Epoch, cfg.Sinks = r.dir, 7, []Sink{r}
	r.shard = NewShard(cfg)
	return r
}

func (r *rig) apply(events []market.Event) {
	r.shard.Apply(events)
	for _, in := range r.shard.instruments {
		if in != nil {
			r.check(checkView(in, r.views[in.upd.Instrument]))
		}
	}
}

func (r *rig) check(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *rig) Flush() {}

// Update implements Sink.
func (r *rig) Update(u *Update) {
	v := r.views[u.Instrument]
	if v == nil {
		v = &View{}
		r.views[u.Instrument] = v
	}
	before := *v
	before.Quote.BidVenues = append([]VenueSize(nil), v.Quote.BidVenues...)
	before.Quote.AskVenues = append([]VenueSize(nil), v.Quote.AskVenues...)
	before.Quote.Out = append([]ExcludedVenue(nil), v.Quote.Out...)
	if u.Epoch != 7 || u.Seq != before.Seq+1 {
		r.check(fmt.Errorf("update %x/%d after %d", u.Epoch, u.Seq, before.Seq))
	}
	r.check(v.Apply(u))
	r.check(checkBits(&before, u))
	// What the view takes over by its bits must be all that changed.
	if !sameQuote(&v.Quote, &u.Quote) || v.Ticker != u.Ticker || v.Status != u.Status {
		r.check(fmt.Errorf("seq %d: quote, ticker or status changed and was not told: %+v, %+v", u.Seq, v, u))
	}
	if in := r.shard.instruments[u.Instrument]; !in.filters && in.rules.Settle == 0 {
		r.check(checkQuote(v))
	}
	if r.onUpdate != nil {
		r.onUpdate(u)
	}
}

// checkBits compares the Changed bits with what changed from the view before.
func checkBits(before *View, u *Update) error {
	bits := []struct {
		bit Changed
		is  bool
	}{
		{ChangedLevels, len(u.Levels) > 0},
		{ChangedVenues, len(u.Venues) > 0},
		{ChangedTops, len(u.Tops) > 0},
		{ChangedTrades, len(u.Trades) > 0},
		{ChangedScale, u.Scale != before.Scale},
		{ChangedSnapshot, false},
	}
	for _, b := range bits {
		if got := u.Changed&b.bit != 0; got != b.is {
			return fmt.Errorf("seq %d: Changed = %b, want bit %b %v", u.Seq, u.Changed, b.bit, b.is)
		}
	}
	was, wasTicker := before.Quote, before.Ticker
	was.rescale(before.Scale, u.Scale)
	wasTicker.rescale(before.Scale, u.Scale)
	if differs := !sameQuote(&was, &u.Quote); differs != (u.Changed&ChangedQuote != 0) {
		return fmt.Errorf("seq %d: Changed = %b, quote was %+v, is %+v", u.Seq, u.Changed, was, u.Quote)
	}
	if wasTicker != u.Ticker && u.Changed&ChangedTicker == 0 {
		return fmt.Errorf("seq %d: Changed = %b, ticker was %+v, is %+v", u.Seq, u.Changed, wasTicker, u.Ticker)
	}
	if before.Seq > 0 {
		wasStatus := before.Status
		wasStatus.rescale(before.Scale, u.Scale)
		if differs := wasStatus != u.Status; differs != (u.Changed&ChangedStatus != 0) {
			return fmt.Errorf("seq %d: Changed = %b, status was %+v, is %+v", u.Seq, u.Changed, wasStatus, u.Status)
		}
	}
	if u.TradeSeq != before.TradeSeq+uint64(len(u.Trades)) {
		return fmt.Errorf("seq %d: trade seq %d after %d with %d trades", u.Seq, u.TradeSeq, before.TradeSeq, len(u.Trades))
	}
	return nil
}

// sameQuote compares all but the times.
func sameQuote(a, b *Quote) bool {
	x, y := *a, *b
	x.Time, x.Received, y.Time, y.Received = 0, 0, 0, 0
	x.BidVenues, y.BidVenues = nil, nil
	x.AskVenues, y.AskVenues = nil, nil
	x.Out, y.Out = nil, nil
	return sameOut(a.Out, b.Out) && reflect.DeepEqual(x, y) && sameVenues(a.BidVenues, b.BidVenues) && sameVenues(a.AskVenues, b.AskVenues)
}

func sameVenues(a, b []VenueSize) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// checkQuote holds a view's quote against its own venues: no venue that is not
// live is in it, and it is the best of those that are.
func checkQuote(v *View) error {
	q := &v.Quote
	if q.Source != SourceConsolidated {
		return nil
	}
	var want Quote
	for _, w := range v.Venues {
		if w.Top.BidVenue != 0 || w.Top.AskVenue != 0 {
			continue
		}
		bid, ask := w.Best()
		if w.firmness(market.SideBid) == market.NotFirm {
			bid = Level{}
		}
		if w.firmness(market.SideAsk) == market.NotFirm {
			ask = Level{}
		}
		if bid.Size > 0 && (want.BidSize == 0 || bid.Price > want.Bid) {
			want.Bid, want.BidSize = bid.Price, bid.Size
		} else if bid.Size > want.BidSize && bid.Price == want.Bid {
			want.BidSize = bid.Size
		}
		if ask.Size > 0 && (want.AskSize == 0 || ask.Price < want.Ask) {
			want.Ask, want.AskSize = ask.Price, ask.Size
		} else if ask.Size > want.AskSize && ask.Price == want.Ask {
			want.AskSize = ask.Size
		}
	}
	if q.Bid != want.Bid || q.BidSize != want.BidSize || q.Ask != want.Ask || q.AskSize != want.AskSize {
		return fmt.Errorf("seq %d: quote %+v, its venues' best %+v", v.Seq, q, want)
	}
	return nil
}

// checkView compares a view with the shard's own books.
func checkView(in *instrument, v *View) error {
	if v == nil {
		v = &View{}
	}
	if v.Seq != in.upd.Seq || v.TradeSeq != in.upd.TradeSeq {
		return fmt.Errorf("view at %d, shard at %d", v.Seq, in.upd.Seq)
	}
	for _, x := range in.venues {
		for _, b := range x.books {
			if s := b.stats.State; (s == StateResyncing || s == StateDown) && !b.held && (b.bids.Len() > 0 || b.asks.Len() > 0 || b.hasTop) {
				return fmt.Errorf("venue %d: feed %d is %v and kept %+v", x.id, b.stats.Feed, s, b)
			}
		}
		w := v.Venue(x.id)
		if x.shown == nil {
			if w != nil {
				return fmt.Errorf("venue %d told and not shown", x.id)
			}
			continue
		}
		state, cause := x.shown.told()
		if w == nil || w.State != state || w.Cause != cause {
			return fmt.Errorf("venue %d is %v %v, told %+v", x.id, state, cause, w)
		}
		bids, asks := &x.shown.bids, &x.shown.asks
		hasBook, top := x.shown.stats.HasBook, x.shown.top
		if !x.shown.live() {
			// A mute feed's book is kept and not shown.
			bids, asks, top = &Ladder{}, &Ladder{}, VenueQuote{}
			hasBook = w.HasBook
		}
		top.Venue = x.id
		if w.HasBook != hasBook {
			return fmt.Errorf("venue %d: has book %v, told %v", x.id, hasBook, w.HasBook)
		}
		if hasBook {
			top = VenueQuote{Venue: x.id}
		}
		wtop := w.Top
		wtop.Venue = x.id
		if err := sameLadder(bids, &w.Bids, in.upd.Scale, v.Scale); err != nil {
			return fmt.Errorf("venue %d bids: %w", x.id, err)
		}
		if err := sameLadder(asks, &w.Asks, in.upd.Scale, v.Scale); err != nil {
			return fmt.Errorf("venue %d asks: %w", x.id, err)
		}
		wtop.rescale(v.Scale, in.upd.Scale)
		if top != wtop {
			return fmt.Errorf("venue %d: top %+v, told %+v", x.id, top, wtop)
		}
	}
	return nil
}

func sameLadder(own, told *Ladder, ownScale, toldScale market.Scale) error {
	if own.Len() != told.Len() {
		return fmt.Errorf("%d levels, told %d", own.Len(), told.Len())
	}
	for i := range own.Len() {
		a, b := own.At(i), told.At(i)
		b.rescale(toldScale, ownScale) // a finer scale may not have been told yet
		if a != b {
			return fmt.Errorf("level %d is %v, told %v", i, a, b)
		}
		if a.Size <= 0 || i > 0 && !own.better(own.At(i-1).Price, a.Price) {
			return fmt.Errorf("level %d, %v, is out of place", i, a)
		}
	}
	return nil
}
