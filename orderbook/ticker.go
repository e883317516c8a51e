package orderbook

import (
	"time"

	"github.com/quotewire/quotewire/market"
)

// print applies one trade to the ticker and reports whether it changed. What a
// print may touch is the strictest of its conditions' rules, see
// [market.Event.Updates].
func (in *instrument) print(e *market.Event, price market.Price, size market.Size) bool {
	at := e.Time
	if at == 0 {
		at = e.Received
	}
	t := &in.ticker
	if at >= in.sessionEnd {
		in.newSession(at)
	}
	highLow, last, volume := e.Updates()
	if last {
		t.Last, t.LastSize, t.LastVenue, t.HasLast = price, size, e.Venue, true
	}
	if highLow {
		if !t.HasOpen {
			t.Open, t.High, t.Low, t.HasOpen = price, price, price, true
		}
		t.High, t.Low = max(t.High, price), min(t.Low, price)
	}
	if volume && size > 0 && price >= 0 {
		if n, ok := t.Notional.AddProduct(price, size); ok && t.Volume+size > t.Volume {
			t.Volume += size
			t.Notional = n
		}
		t.Trades++
	}
	t.Time, t.Received = e.Time, e.Received
	return last || highLow || volume
}

// newSession begins the trading day that holds the time, ns since the epoch. A
// day ends at midnight where the instrument trades: UTC for crypto, New York for
// the US markets.
func (in *instrument) newSession(at int64) {
	t := &in.ticker
	day := time.Unix(0, at).In(in.location)
	in.sessionEnd = time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, in.location).UnixNano()
	*t = Ticker{
		Last: t.Last, LastSize: t.LastSize, LastVenue: t.LastVenue, HasLast: t.HasLast,
		PrevClose: t.Last, HasPrevClose: t.HasLast,
	}
}

func (t *Ticker) fits(from, to market.Scale) bool {
	ok := true
	for _, p := range [5]market.Price{t.Last, t.Open, t.High, t.Low, t.PrevClose} {
		ok = ok && Level{p, 0}.fits(from, to)
	}
	_, fits := t.Notional.MulPow10(min(to.Price-from.Price+to.Size-from.Size, market.MaxDecimals))
	return ok && fits && Level{0, t.LastSize}.fits(from, to) && Level{0, t.Volume}.fits(from, to)
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
