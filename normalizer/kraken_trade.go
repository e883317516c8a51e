package normalizer

import "github.com/quotewire/quotewire/market"

// trade reads one element of the trade channel. Its side is the taker's. The
// prints of a snapshot are from before the subscription.
func (d *kraken) trade(dst []market.Event, snapshot bool) []market.Event {
	s := &d.s
	var symbol, side, price, qty, id, timestamp span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "symbol":
			symbol = v
		case "side":
			side = v
		case "price":
			price = v
		case "qty":
			qty = v
		case "trade_id":
			id = v
		case "timestamp":
			timestamp = v
		}
	}
	if s.bad {
		return dst
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Venue = d.venue
	e.Flags = market.FlagLast | market.FlagContiguous
	if snapshot {
		e.Flags |= market.FlagPrior
	}
	p, why := d.seen(symbol)
	if why == nil {
		e.Instrument = p.id
		why = d.fillTrade(e, price, qty, id, timestamp)
	}
	if why == nil {
		e.Side, why = d.takerSide(side)
	}
	if why != nil {
		d.refusePart("trade", why)
		return dst[:n]
	}
	return dst
}

func (d *kraken) takerSide(v span) (market.Side, *fault) {
	b, ok := d.s.str(v)
	switch {
	case !ok:
		return 0, d.blame(CauseMissingField, "side", v)
	case string(b) == "buy":
		return market.SideBid, nil
	case string(b) == "sell":
		return market.SideAsk, nil
	}
	return 0, d.blame(CauseBadSide, "side", v)
}
