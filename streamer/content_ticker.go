package streamer

import (
	"math/bits"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// tickerContent shows the day so far.
type tickerContent struct {
	format    wire.Format
	lane      *lane
	scale     market.Scale
	sent      orderbook.Ticker
	conflated bool

	// What happened since the last message, for conflated streams.
	notes int              // updates taken note of
	seen  orderbook.Ticker // as of the last of them
	last  priceRange
	sum   orderbook.Ticker // Volume, Notional and Trades of that time
}

func (c *tickerContent) concerns(u *orderbook.Update) bool {
	return u.Changed&(orderbook.ChangedTicker|orderbook.ChangedSnapshot) != 0
}

func (c *tickerContent) note(v *orderbook.View, u *orderbook.Update) {
	if !c.conflated {
		return
	}
	c.notes++
	trades := u.Trades
	if u.Changed&orderbook.ChangedSnapshot != 0 {
		// Its print may be long known, and others are not in it.
		trades = nil
		if v.Ticker.HasLast {
			c.last.add(v.Ticker.Last)
		}
	}
	corrected := false
	for i := range trades {
		// Only prints that may set the last price draw the wick.
		t := &trades[i]
		if t.Kind != orderbook.TradePrint {
			corrected = true
			continue
		}
		e := market.Event{Flags: t.Flags, NumConditions: t.NumConditions, Conditions: t.Conditions}
		if el := e.Updates(); el.Last || el.LastIfFirst && v.Ticker.HasLast && v.Ticker.Last == t.Price {
			c.last.add(t.Price)
		}
	}
	is, was := &v.Ticker, &c.seen
	if is.Day != was.Day {
		was = &orderbook.Ticker{} // another day: its totals began at nothing
	} else if corrected {
		was = is // what totals lose, or gain, by it was not traded in this time
	}
	c.sum.Trades += is.Trades - was.Trades
	if d := is.Volume - was.Volume; c.sum.Volume+d >= c.sum.Volume {
		c.sum.Volume += d
		lo, borrow := bits.Sub64(is.Notional.Lo, was.Notional.Lo, 0)
		hi, _ := bits.Sub64(is.Notional.Hi, was.Notional.Hi, borrow)
		var carry uint64
		c.sum.Notional.Lo, carry = bits.Add64(c.sum.Notional.Lo, lo, 0)
		c.sum.Notional.Hi, _ = bits.Add64(c.sum.Notional.Hi, hi, carry)
	}
	c.seen = *is
}

func (c *tickerContent) rescale(to market.Scale) bool {
	var bad error
	from := c.scale
	c.scale = to
	c.last.rescale(from, to, &bad)
	ok := true
	for _, t := range [3]*orderbook.Ticker{&c.sent, &c.seen, &c.sum} {
		for _, p := range [6]*market.Price{&t.Last, &t.Open, &t.High, &t.Low, &t.PrevClose, &t.ExtLast} {
			rescale(p, from.Price, to.Price, &bad)
		}
		rescale(&t.LastSize, from.Size, to.Size, &bad)
		rescale(&t.Volume, from.Size, to.Size, &bad)
		for _, d := range [2]market.Decimals{to.Price - from.Price, to.Size - from.Size} {
			var fits bool
			t.Notional, fits = t.Notional.MulPow10(d)
			ok = ok && fits
		}
	}
	return ok && bad == nil
}

func (c *tickerContent) load(v *orderbook.View) {
	c.scale, c.sent = v.Scale, v.Ticker
	c.forget()
}

// forget begins the time that the next message stands for.
func (c *tickerContent) forget() {
	c.notes, c.seen, c.last, c.sum = 0, c.sent, priceRange{}, orderbook.Ticker{}
}

func (c *tickerContent) delta(dst []byte, v *orderbook.View) ([]byte, bool) {
	was, is := &c.sent, &v.Ticker
	start := len(dst)
	dst = c.fields(dst, is, was, false)
	wick := c.last.beyond(is.Last)
	changed := len(dst) > start || wick
	if changed {
		if wick || c.notes > 1 {
			dst = c.appendMerged(dst)
		}
		c.sent = *is
		c.forget()
	}
	return dst, changed
}

// appendMerged tells what happened in the time that the message stands for.
func (c *tickerContent) appendMerged(dst []byte) []byte {
	if !c.last.ok && c.sum.Trades == 0 {
		return dst
	}
	f := c.format
	dst, at := f.Open(dst, wire.KeyMerged, false)
	if c.last.ok {
		dst = f.Range(dst, wire.KeyMergedLast, c.last.low, c.last.high, c.scale)
	}
	if c.sum.Trades > 0 {
		dst = f.Size(dst, wire.KeyMergedVolume, c.sum.Volume, c.scale)
		dst = f.Uint(dst, wire.KeyMergedTrades, c.sum.Trades)
		if p, dec, ok := c.sum.VWAP(c.scale); ok {
			dst = f.OwnNumber(dst, wire.KeyMergedVWAP, p, dec)
		}
	}
	return f.Close(dst, at, false)
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
	f := c.format
	price := func(key wire.Key, p market.Price, has bool, q market.Price, had bool) {
		switch {
		case has && (all || !had || p != q):
			dst = f.Price(dst, key, p, c.scale)
		case !has && had && !all:
			dst = f.Null(dst, key)
		}
	}
	price(wire.KeyLast, is.Last, is.HasLast, was.Last, was.HasLast)
	switch {
	case is.HasLast:
		if all || !was.HasLast || is.LastSize != was.LastSize {
			dst = f.Size(dst, wire.KeyLastSize, is.LastSize, c.scale)
		}
		if all || !was.HasLast || is.LastVenue != was.LastVenue {
			dst = f.Word(dst, wire.KeyLastVenue, c.lane.venueName(is.LastVenue))
		}
	case was.HasLast && !all:
		dst = f.Null(f.Null(dst, wire.KeyLastSize), wire.KeyLastVenue)
	}
	price(wire.KeyOpen, is.Open, is.HasOpen, was.Open, was.HasOpen)
	price(wire.KeyHigh, is.High, is.HasRange, was.High, was.HasRange)
	price(wire.KeyLow, is.Low, is.HasRange, was.Low, was.HasRange)
	price(wire.KeyPrevClose, is.PrevClose, is.HasPrevClose, was.PrevClose, was.HasPrevClose)
	d, has := change(is)
	e, had := change(was)
	price(wire.KeyChange, d, has, e, had)
	price(wire.KeyExtLast, is.ExtLast, is.HasExt, was.ExtLast, was.HasExt)
	d, has = is.ExtLast-is.Last, is.HasExt && is.HasLast
	e, had = was.ExtLast-was.Last, was.HasExt && was.HasLast
	price(wire.KeyExtChange, d, has, e, had)
	switch {
	case is.HasExt && (all || !was.HasExt || is.ExtTime != was.ExtTime):
		dst = f.Time(dst, wire.KeyExtTime, is.ExtTime)
	case !is.HasExt && was.HasExt && !all:
		dst = f.Null(dst, wire.KeyExtTime)
	}
	if all || is.Volume != was.Volume {
		dst = f.Size(dst, wire.KeyVolume, is.Volume, c.scale)
	}
	if all || is.Trades != was.Trades {
		dst = f.Uint(dst, wire.KeyTrades, is.Trades)
	}
	if all || is.Notional != was.Notional || is.Volume != was.Volume {
		if p, dec, ok := is.VWAP(c.scale); ok {
			dst = f.OwnNumber(dst, wire.KeyVWAP, p, dec)
		} else if !all {
			dst = f.Null(dst, wire.KeyVWAP)
		}
	}
	return dst
}
