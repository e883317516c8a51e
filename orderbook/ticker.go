package orderbook

import (
	"time"

	"github.com/quotewire/quotewire/market"
)

// clockSkew is how far a venue's clock may be ahead of ours before its time is
// not believed: one print dated next year would end the trading day for good.
const clockSkew = int64(time.Hour)

// print applies one trade to the ticker and reports whether it changed, and
// false in ok if the day's volume cannot hold it. What a print may touch is the
// strictest of its conditions' rules, see [market.Event.Updates]; one of an
// earlier day touches nothing.
func (in *instrument) print(e *market.Event, price market.Price, size market.Size) (changed, ok bool) {
	at := e.Time
	if at == 0 || e.Received != 0 && at-e.Received > clockSkew {
		at = e.Received
	}
	t := &in.upd.Ticker
	if at >= in.sessionEnd {
		changed = in.sessionEnd != 0
		in.newSession(at)
	}
	if at < in.sessionStart {
		return changed, true
	}
	el := e.Updates()
	last := el.Last || el.LastIfFirst && !in.hasLast
	if e.Flags&market.FlagPrior != 0 && t.HasLast && e.Time < t.Time {
		last = false // what was heard since, perhaps elsewhere, is newer
	}
	if last {
		in.hasLast = true
		t.Last, t.LastSize, t.LastVenue, t.HasLast = price, size, e.Venue, true
	}
	if el.HighLow {
		if !t.HasOpen {
			t.Open, t.High, t.Low, t.HasOpen = price, price, price, true
		}
		t.High, t.Low = max(t.High, price), min(t.Low, price)
	}
	ok = true
	if el.Volume {
		if t.Volume+size >= t.Volume && price >= 0 {
			var n Uint128
			if n, ok = t.Notional.AddProduct(price, size); ok {
				t.Notional = n
				t.Volume += size
			}
		} else {
			ok = false
		}
		t.Trades++
	}
	if last || el.HighLow || el.Volume {
		t.Time, t.Received = e.Time, e.Received
		changed = true
	}
	return changed, ok
}

// newSession begins the trading day that holds the time, ns since the epoch. A
// day ends at midnight where the instrument trades: UTC for crypto, New York for
// the US markets.
func (in *instrument) newSession(at int64) {
	t := &in.upd.Ticker
	in.hasLast = false
	day := time.Unix(0, at).In(in.location)
	in.sessionStart = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, in.location).UnixNano()
	in.sessionEnd = time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, in.location).UnixNano()
	*t = Ticker{
		Last: t.Last, LastSize: t.LastSize, LastVenue: t.LastVenue, HasLast: t.HasLast,
		PrevClose: t.Last, HasPrevClose: t.HasLast, Time: t.Time, Received: t.Received,
	}
}

func (t *Ticker) fits(from, to market.Scale) bool {
	for _, p := range [5]market.Price{t.Last, t.Open, t.High, t.Low, t.PrevClose} {
		if !(Level{p, 0}).fits(from, to) {
			return false
		}
	}
	n, ok := t.Notional.MulPow10(to.Price - from.Price)
	if ok {
		_, ok = n.MulPow10(to.Size - from.Size)
	}
	return ok && Level{0, t.LastSize}.fits(from, to) && Level{0, t.Volume}.fits(from, to)
}

func (t *Ticker) rescale(from, to market.Scale) {
	for _, p := range [5]*market.Price{&t.Last, &t.Open, &t.High, &t.Low, &t.PrevClose} {
		rescalePrice(p, from, to)
	}
	rescaleSize(&t.LastSize, from, to)
	rescaleSize(&t.Volume, from, to)
	t.Notional, _ = t.Notional.MulPow10(to.Price - from.Price)
	t.Notional, _ = t.Notional.MulPow10(to.Size - from.Size)
}
