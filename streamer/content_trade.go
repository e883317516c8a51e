package streamer

import (
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// tradeContent shows prints, each one of them. They are encoded as they come and
// wait as bytes.
type tradeContent struct {
	format  wire.Format
	venue   market.VenueID
	lane    *lane
	pending []byte          // events not sent yet
	waits   orderbook.Trade // the last of pending
	last    orderbook.Trade // the latest that was sent
	has     bool            // last is one
	scale   market.Scale    // of waits and last
}

func (c *tradeContent) concerns(u *orderbook.Update) bool {
	if u.Changed&orderbook.ChangedTrades == 0 {
		return false
	}
	if c.venue == market.Consolidated {
		return true
	}
	for i := range u.Trades {
		if u.Trades[i].Venue == c.venue {
			return true
		}
	}
	return false
}

func (c *tradeContent) note(_ *orderbook.View, u *orderbook.Update) {
	for i := range u.Trades {
		t := &u.Trades[i]
		if c.venue != market.Consolidated && t.Venue != c.venue {
			continue
		}
		c.pending = c.appendEvent(c.pending, t)
		c.waits = *t
	}
}

func (c *tradeContent) appendEvent(dst []byte, t *orderbook.Trade) []byte {
	f := c.format
	dst, at := f.Element(dst, wire.KeyEvents)
	dst = f.Price(dst, wire.KeyEventPrice, t.Price, c.scale)
	dst = f.Size(dst, wire.KeyEventSize, t.Size, c.scale)
	dst = f.Word(dst, wire.KeyEventVenue, c.lane.venueName(t.Venue))
	if !t.ID.IsZero() {
		var id [48]byte
		dst = f.Text(dst, wire.KeyEventID, t.ID.Append(id[:0]))
	}
	dst = f.Word(dst, wire.KeyEventSide, t.Side.Aggressor())
	if t.NumConditions > 0 {
		dst = f.List(dst, wire.KeyEventCond)
		for _, cond := range t.Conditions[:t.NumConditions] {
			var word [32]byte
			dst = f.WordElement(dst, wire.KeyEventCond, cond.Append(word[:0]))
		}
		dst = f.EndList(dst)
	}
	if t.Flags&market.FlagPrior != 0 {
		dst = f.Bool(dst, wire.KeyEventPrior, true)
	}
	if t.Time != 0 {
		dst = f.Time(dst, wire.KeyEventTS, t.Time)
	}
	if t.Kind != orderbook.TradePrint {
		dst = f.Word(dst, wire.KeyEventKind, t.Kind.String())
		var id [48]byte
		dst = f.Text(dst, wire.KeyEventOf, t.Of.Append(id[:0]))
	}
	return f.Close(dst, at, false)
}

// rescale converts the latest events. Those that wait stay as they are: text has
// no scale, and what has one was sent before.
func (c *tradeContent) rescale(to market.Scale) bool {
	var bad error
	for _, t := range [2]*orderbook.Trade{&c.last, &c.waits} {
		rescale(&t.Price, c.scale.Price, to.Price, &bad)
		rescale(&t.Size, c.scale.Size, to.Size, &bad)
	}
	c.scale = to
	return bad == nil
}

func (c *tradeContent) delta(dst []byte, _ *orderbook.View) ([]byte, bool) {
	if len(c.pending) == 0 {
		return dst, false
	}
	dst = c.format.List(dst, wire.KeyEvents)
	dst = append(dst, c.pending...)
	c.last, c.has = c.waits, true
	c.pending = c.pending[:0]
	if cap(c.pending) > 1<<16 {
		c.pending = nil
	}
	return c.format.EndList(dst), true
}

func (c *tradeContent) load(v *orderbook.View) {
	c.pending, c.scale = c.pending[:0], v.Scale
	c.waits, c.last = orderbook.Trade{}, orderbook.Trade{}
	if c.has = v.TradeSeq > 0 && (c.venue == market.Consolidated || v.LastTrade.Venue == c.venue); c.has {
		c.last = v.LastTrade
	}
}

func (c *tradeContent) snapshot(dst []byte) []byte {
	dst = c.format.List(dst, wire.KeyEvents)
	if c.has {
		dst = c.appendEvent(dst, &c.last)
	}
	return c.format.EndList(dst)
}
