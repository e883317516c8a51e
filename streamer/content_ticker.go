package streamer

import (
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// tickerContent shows the day so far.
type tickerContent struct {
	lane      *lane
	scale     market.Scale
	sent      orderbook.Ticker
	conflated bool
	last      priceRange // since the last message, for conflated streams
}

func (c *tickerContent) concerns(u *orderbook.Update) bool {
	return u.Changed&(orderbook.ChangedTicker|orderbook.ChangedSnapshot) != 0
}

func (c *tickerContent) note(v *orderbook.View, u *orderbook.Update) {
	if !c.conflated {
		return
	}
	c.rescale(v.Scale)
	for i := range u.Trades {
		// Only prints that may set the last price draw the wick.
		e := market.Event{Flags: u.Trades[i].Flags, NumConditions: u.Trades[i].NumConditions, Conditions: u.Trades[i].Conditions}
		if _, last, _ := e.Updates(); last {
			c.last.add(u.Trades[i].Price)
		}
	}
}

func (c *tickerContent) rescale(to market.Scale) {
	if c.scale == to {
		return
	}
	from := c.scale
	c.scale = to
	c.last.rescale(from, to)
	t := &c.sent
	for _, p := range [5]*market.Price{&t.Last, &t.Open, &t.High, &t.Low, &t.PrevClose} {
		*p, _ = market.Rescale(*p, from.Price, to.Price)
	}
	t.LastSize, _ = market.Rescale(t.LastSize, from.Size, to.Size)
	t.Volume, _ = market.Rescale(t.Volume, from.Size, to.Size)
	t.Notional, _ = t.Notional.MulPow10(to.Price - from.Price)
	t.Notional, _ = t.Notional.MulPow10(to.Size - from.Size)
}

func (c *tickerContent) load(v *orderbook.View) {
	c.scale, c.sent, c.last = v.Scale, v.Ticker, priceRange{}
}

func (c *tickerContent) delta(dst []byte, v *orderbook.View) ([]byte, bool) {
	c.rescale(v.Scale)
	was, is := &c.sent, &v.Ticker
	start := len(dst)
	dst = c.fields(dst, is, was, false)
	changed := len(dst) > start
	if c.last.ok && c.conflated && changed {
		dst = wire.AppendField(dst, "merged", "{")
		dst = c.last.append(dst, "last", true, c.scale.Price)
		// Within one day the totals only grow; over its end there is no
		// difference to tell.
		if is.Trades > was.Trades && is.Volume > was.Volume {
			dst = wire.AppendNumber(dst, "volume", is.Volume-was.Volume, c.scale.Size)
			dst = wire.AppendUint(dst, "trades", is.Trades-was.Trades)
		}
		dst = append(dst, '}')
	}
	c.last = priceRange{}
	c.sent = *is
	return dst, changed
}

func (c *tickerContent) snapshot(dst []byte) []byte {
	return c.fields(dst, &c.sent, &orderbook.Ticker{}, true)
}

// change returns how far the last price is from the close before, or, where none
// is known, from the day's open.
func change(t *orderbook.Ticker) (market.Price, bool) {
	switch {
	case t.HasLast && t.HasPrevClose:
		return t.Last - t.PrevClose, true
	case t.HasLast && t.HasOpen:
		return t.Last - t.Open, true
	}
	return 0, false
}

// fields appends what differs between two tickers, or all that is known. What is
// no longer known, at the beginning of a day, becomes null.
func (c *tickerContent) fields(dst []byte, is, was *orderbook.Ticker, all bool) []byte {
	price := func(name string, p market.Price, has bool, q market.Price, had bool) {
		switch {
		case has && (all || !had || p != q):
			dst = wire.AppendNumber(dst, name, p, c.scale.Price)
		case !has && had && !all:
			dst = wire.AppendNull(dst, name)
		}
	}
	price("last", is.Last, is.HasLast, was.Last, was.HasLast)
	if is.HasLast && (all || !was.HasLast || is.LastSize != was.LastSize) {
		dst = wire.AppendNumber(dst, "last_size", is.LastSize, c.scale.Size)
	}
	if is.HasLast && (all || !was.HasLast || is.LastVenue != was.LastVenue) {
		dst = wire.AppendWord(dst, "last_venue", c.lane.venueName(is.LastVenue))
	}
	price("open", is.Open, is.HasOpen, was.Open, was.HasOpen)
	price("high", is.High, is.HasOpen, was.High, was.HasOpen)
	price("low", is.Low, is.HasOpen, was.Low, was.HasOpen)
	price("prev_close", is.PrevClose, is.HasPrevClose, was.PrevClose, was.HasPrevClose)
	d, has := change(is)
	e, had := change(was)
	price("change", d, has, e, had)
	if all || is.Volume != was.Volume {
		dst = wire.AppendNumber(dst, "volume", is.Volume, c.scale.Size)
	}
	if all || is.Trades != was.Trades {
		dst = wire.AppendUint(dst, "trades", is.Trades)
	}
	if all || is.Notional != was.Notional || is.Volume != was.Volume {
		if p, dec, ok := is.VWAP(c.scale); ok {
			dst = wire.AppendNumber(dst, "vwap", p, dec)
		} else if !all {
			dst = wire.AppendNull(dst, "vwap")
		}
	}
	return dst
}
