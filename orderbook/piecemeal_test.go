package orderbook

import (
	"testing"

	"github.com/quotewire/quotewire/market"
)

// piecemeal is a rig with one book of a venue that tells a change level by level.
type piecemeal struct {
	*rig
	t    *testing.T
	base market.Event
	asks []Cause
}

func newPiecemeal(t *testing.T) *piecemeal {
	p := &piecemeal{t: t}
	p.rig = newRig(t, Config{Resync: func(_ market.FeedID, _ market.InstrumentID, c Cause) { p.asks = append(p.asks, c) }})
	id, _ := p.dir.Instrument("BTC-USD", market.ClassCrypto)
	venue, _ := p.dir.Venue("bitfinex")
	feed, _ := p.dir.Feed("bitfinex")
	p.base = market.Event{Feed: feed, Venue: venue, Instrument: id}
	return p
}

func (p *piecemeal) image(at int64, bid, ask market.Price) {
	clear, a, b := p.base, p.base, p.base
	clear.Kind, a.Kind, b.Kind = market.KindClear, market.KindLevel, market.KindLevel
	a.Side, a.Price, a.Size, b.Side, b.Price, b.Size = market.SideBid, bid, 1, market.SideAsk, ask, 1
	events := []market.Event{clear, a, b}
	for i := range events {
		events[i].Received, events[i].Flags = at, market.FlagSnapshot
	}
	events[2].Flags |= market.FlagLast
	p.apply(events)
}

func (p *piecemeal) level(at int64, side market.Side, price market.Price, size market.Size, flags market.Flags) {
	e := p.base
	e.Kind, e.Side, e.Price, e.Size, e.Received, e.Flags = market.KindLevel, side, price, size, at, market.FlagLast|flags
	p.apply([]market.Event{e})
}

func (p *piecemeal) want(what string, state State, cause Cause, bid, ask market.Price) {
	p.t.Helper()
	if p.err != nil {
		p.t.Fatalf("%s: %v", what, p.err)
	}
	v := p.views[p.base.Instrument]
	w := v.Venue(p.base.Venue)
	if w.State != state || w.Cause != cause || v.Quote.Bid != bid || v.Quote.Ask != ask {
		p.t.Errorf("%s: %v %v, quote %d to %d, want %v %v, %d to %d", what, w.State, w.Cause, v.Quote.Bid, v.Quote.Ask, state, cause, bid, ask)
	}
}

const second = int64(1e9)

// Between the parts of one change a crossed book is shown to nobody, and is whole
// again with the last part, without being asked for.
func TestPiecemealBookIsHeldWhileCrossed(t *testing.T) {
	p := newPiecemeal(t)
	p.image(1, 100, 102)
	p.want("image", StateLive, CauseNone, 100, 102)
	p.level(2, market.SideBid, 103, 5, market.FlagPiecemeal)
	p.want("bid over the ask", StateResyncing, CauseCrossed, 0, 0)
	p.level(3, market.SideAsk, 105, 7, market.FlagPiecemeal)
	p.want("still", StateResyncing, CauseCrossed, 0, 0)
	p.level(4, market.SideAsk, 102, 0, market.FlagPiecemeal)
	p.want("the ask is gone", StateLive, CauseNone, 103, 105)
	r := p.shard.Report(5)[0]
	if len(p.asks) != 0 || r.Crossed != 0 || r.Messages != 4 || r.Resyncs != 0 || r.Bids != 2 || r.Asks != 1 {
		t.Errorf("asked for %v, %+v", p.asks, r.BookStats)
	}
	// Every change after it is told as before.
	p.level(5, market.SideAsk, 104, 1, market.FlagPiecemeal)
	p.want("a change", StateLive, CauseNone, 103, 104)
}

// What stays crossed is asked for, and ends with an image.
func TestPiecemealBookThatStaysCrossed(t *testing.T) {
	p := newPiecemeal(t)
	p.image(second, 100, 102)
	p.level(2*second, market.SideBid, 103, 5, market.FlagPiecemeal)
	p.level(6*second, market.SideBid, 99, 5, market.FlagPiecemeal)
	if len(p.asks) != 0 {
		t.Errorf("asked for after 4 s: %v", p.asks)
	}
	p.level(8*second, market.SideBid, 98, 5, market.FlagPiecemeal)
	if len(p.asks) != 1 || p.asks[0] != CauseCrossed {
		t.Errorf("after 6 s asked for %v", p.asks)
	}
	p.image(9*second, 200, 201)
	p.want("image", StateLive, CauseNone, 200, 201)
	p.level(10*second, market.SideBid, 200, 3, market.FlagPiecemeal)
	if v := p.views[p.base.Instrument]; v.Quote.BidSize != 3 {
		t.Errorf("bid size %d after the image", v.Quote.BidSize)
	}
}

// A gap while it is held drops it; a venue that tells changes whole is not
// forgiven.
func TestHeldBookAndGap(t *testing.T) {
	p := newPiecemeal(t)
	p.image(1, 100, 102)
	p.level(2, market.SideBid, 103, 5, market.FlagPiecemeal)
	gap := p.base
	gap.Kind, gap.Received, gap.Flags = market.KindGap, 3, market.FlagLast
	p.apply([]market.Event{gap})
	p.level(4, market.SideAsk, 102, 0, market.FlagPiecemeal)
	p.want("gap", StateResyncing, CauseGap, 0, 0)
	if r := p.shard.Report(1)[0]; r.Ignored != 1 || len(p.asks) != 1 {
		t.Errorf("asked for %v, %+v", p.asks, r.BookStats)
	}
	p.image(5, 100, 102)
	p.level(6, market.SideBid, 103, 5, 0)
	p.want("whole change", StateResyncing, CauseCrossed, 0, 0)
	p.level(7, market.SideAsk, 102, 0, 0)
	p.want("and no more", StateResyncing, CauseCrossed, 0, 0)
}
