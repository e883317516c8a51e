package streamer

import (
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// tradeContent shows prints, each one of them. They are encoded as they come and
// wait as text.
type tradeContent struct {
	venue   market.VenueID
	lane    *lane
	pending []byte // events not sent yet, comma-separated
	latest  int    // where the last of pending begins
	last    []byte // the latest event that was sent
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
		if len(c.pending) > 0 {
			c.pending = append(c.pending, ',')
		}
		c.latest = len(c.pending)
		c.pending = c.appendEvent(c.pending, t, u.Scale)
	}
}

func (c *tradeContent) appendEvent(dst []byte, t *orderbook.Trade, scale market.Scale) []byte {
	dst = append(dst, `{"price":"`...)
	dst = market.AppendNumber(dst, t.Price, scale.Price)
	dst = append(dst, '"')
	dst = wire.AppendNumber(dst, "size", t.Size, scale.Size)
	dst = wire.AppendWord(dst, "venue", c.lane.venueName(t.Venue))
	if !t.ID.IsZero() {
		var id [48]byte
		dst = wire.AppendText(dst, "id", t.ID.Append(id[:0]))
	}
	dst = wire.AppendWord(dst, "side", t.Side.Aggressor())
	if t.NumConditions > 0 {
		dst = wire.AppendField(dst, "cond", "[")
		for i, cond := range t.Conditions[:t.NumConditions] {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '"')
			dst = cond.Append(dst)
			dst = append(dst, '"')
		}
		dst = append(dst, ']')
	}
	if t.Flags&market.FlagPrior != 0 {
		dst = wire.AppendBool(dst, "prior", true)
	}
	if t.Time != 0 {
		dst = wire.AppendMicros(dst, "ts", t.Time)
	}
	return append(dst, '}')
}

// rescale has nothing to do: events are kept as text.
func (c *tradeContent) rescale(market.Scale) bool { return true }

func (c *tradeContent) delta(dst []byte, _ *orderbook.View) ([]byte, bool) {
	if len(c.pending) == 0 {
		return dst, false
	}
	dst = wire.AppendField(dst, "events", "[")
	dst = append(dst, c.pending...)
	c.last = append(c.last[:0], c.pending[c.latest:]...)
	c.pending = c.pending[:0]
	if cap(c.pending) > 1<<16 {
		c.pending = nil
	}
	return append(dst, ']'), true
}

func (c *tradeContent) load(v *orderbook.View) {
	c.pending, c.last = c.pending[:0], c.last[:0]
	if v.TradeSeq > 0 && (c.venue == market.Consolidated || v.LastTrade.Venue == c.venue) {
		c.last = c.appendEvent(c.last, &v.LastTrade, v.Scale)
	}
}

func (c *tradeContent) snapshot(dst []byte) []byte {
	dst = wire.AppendField(dst, "events", "[")
	dst = append(dst, c.last...)
	return append(dst, ']')
}
