package best

import (
	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

var one = decimal.NewFromInt(1)

// digits is how many digits a number of a quote has at most. What is not a finite
// decimal (a price over an inverse cross), or is longer, is rounded there: bids
// down and asks up, so that no quote is better than what it is made of.
const digits = 17

// amount is a price and the size that stands there, exact. Without a size it is
// absent.
type amount struct{ price, size decimal.Decimal }

func (a amount) there() bool { return a.size.IsPositive() }

// after returns what a price is worth after a fee: less to who sells at a bid,
// more to who buys at an ask.
func after(l orderbook.Level, s market.Scale, fee decimal.Decimal, side market.Side) amount {
	if l.Size <= 0 || l.Price <= 0 {
		return amount{}
	}
	if side == market.SideBid {
		fee = fee.Neg()
	}
	return amount{market.ToDecimal(l.Price, s.Price).Mul(one.Add(fee)), market.ToDecimal(l.Size, s.Size)}
}

// fee returns a venue's fee.
func (c *Composer) fee(v market.VenueID) (fee decimal.Decimal, ok bool) {
	if fee, ok = c.cfg.Fees[c.cfg.Directory.VenueName(v)]; !ok {
		fee, ok = c.cfg.Fees[AnyVenue]
	}
	return fee, ok
}

// cross is how one currency is turned into another: by the market of the two, or
// by the one that is quoted the other way round, at whichever venue is best.
type cross struct {
	straight, inverse *source
	// rates are what one unit brings and costs, in the currency that the quote
	// is told in, after fees. Its size says only that it is there: whether the
	// cross is deep enough for a trade is for the one who trades.
	bid, ask amount
	versions [2]uint64       // of the markets that it was read off
	version  uint64          // grows with what is told here
	state    orderbook.State // live, or the best state of any venue
	since    int64           // receive time of the message that changed the state
}

// live reports whether anything can be converted.
func (x *cross) live() bool { return x.state.Live() }

// renew reads the rates off the markets, if they changed.
func (x *cross) renew(c *Composer, at moment) {
	now := [2]uint64{x.straight.version, x.inverse.version}
	if x.version > 0 && now == x.versions {
		return
	}
	x.versions = now
	x.version++
	x.bid, x.ask = amount{}, amount{}
	state := orderbook.StateNone
	seen := func(s orderbook.State) {
		// In the order of the states, as a quote's.
		if s != orderbook.StateNone && (state == orderbook.StateNone || s < state) {
			state = s
		}
	}
	for i, m := range [2]*source{x.straight, x.inverse} {
		for _, t := range m.tops {
			fee, ok := c.fee(t.Venue)
			if t.State.Live() && !ok {
				seen(orderbook.StateHalted)
				continue
			}
			bid, ask := after(t.bid, t.scale, fee, market.SideBid), after(t.ask, t.scale, fee, market.SideAsk)
			if i == 1 {
				// Whoever sells the one currency buys the other.
				bid, ask = invert(ask, market.SideBid), invert(bid, market.SideAsk)
			}
			if !t.State.Live() {
				seen(t.State)
				continue
			}
			if bid.there() && (!x.bid.there() || bid.price.GreaterThan(x.bid.price)) {
				x.bid = bid
			}
			if ask.there() && (!x.ask.there() || ask.price.LessThan(x.ask.price)) {
				x.ask = ask
			}
			if bid.there() || ask.there() {
				seen(orderbook.StateLive)
			} else {
				seen(orderbook.StateHalted)
			}
		}
	}
	if state == orderbook.StateNone {
		state = orderbook.StateDown // nothing was heard of it
	}
	if x.state != state {
		x.state, x.since = state, at.received
	}
}

// invert turns a rate round.
func invert(a amount, side market.Side) amount {
	if !a.there() || !a.price.IsPositive() {
		return amount{}
	}
	// As many places as give the result that many significant digits.
	places := max(digits+int32(a.price.NumDigits())+a.price.Exponent(), digits)
	q, rest := one.QuoRem(a.price, places)
	if side == market.SideAsk && !rest.IsZero() {
		q = q.Add(decimal.New(1, -places))
	}
	return amount{q, a.size}
}

// convert turns a leg's amount into the currency of the quote.
func convert(a, rate amount) amount {
	if !a.there() || !rate.there() {
		return amount{}
	}
	return amount{a.price.Mul(rate.price), a.size}
}

// places returns how many decimals a number may have in a quote, so that there is
// room for it to grow a hundred times.
func places(v decimal.Decimal) market.Decimals {
	whole := max(int32(v.NumDigits())+v.Exponent(), 0)
	return market.Decimals(min(max(digits-1-whole, 0), int32(market.MaxDecimals)))
}

// decimalsOf returns how many decimals show the number exactly.
func decimalsOf(v decimal.Decimal) market.Decimals {
	m, d := v.Coefficient(), -v.Exponent()
	if !m.IsInt64() {
		return market.Decimals(min(max(d, 0), int32(market.MaxDecimals))) // more than a quote holds: put says so
	}
	n := m.Int64()
	for d > 0 && n%10 == 0 {
		n, d = n/10, d-1
		if n == 0 {
			return 0
		}
	}
	return market.Decimals(min(max(d, 0), int32(market.MaxDecimals)))
}
