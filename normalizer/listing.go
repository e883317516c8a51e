package normalizer

import (
	"strings"

	"github.com/quotewire/quotewire/market"
)

// listings is what a decoder knows of each symbol, by the venue's spelling. L is
// the decoder's own record; it is made once and stays where it is.
type listings[L any] struct {
	by map[string]*L
	// order holds them as they came, so that what is told of all of them is
	// told in the same order at each replay.
	order []*L
}

// get returns the record of a symbol, making it if it is new. It returns nil
// where there are too many.
func (t *listings[L]) get(symbol []byte) (l *L, isNew bool) {
	if l, ok := t.by[string(symbol)]; ok {
		return l, false
	}
	if len(t.order) >= maxSymbols {
		return nil, false
	}
	if t.by == nil {
		t.by = make(map[string]*L)
	}
	l = new(L)
	t.by[string(symbol)] = l
	t.order = append(t.order, l)
	return l, true
}

// register gives a symbol its instrument number and remembers the spelling to be
// used in requests.
func (d *base) register(canonical, spelling string, c market.Class) (market.InstrumentID, error) {
	id, err := d.dir.Instrument(canonical, c)
	if err != nil {
		return 0, err
	}
	d.spelling.LoadOrStore(id, strings.Clone(spelling))
	return id, nil
}

// reference is the reference data of a symbol at its venue, and how much of it
// has been told in events.
type reference struct {
	known      bool
	scale      market.Scale
	tick       market.Price // at scale.Price, 0 unknown
	lot        market.Size  // at scale.Size, 0 unknown
	told       bool         // the above went out since it last changed
	status     market.TradingStatus
	toldStatus market.TradingStatus // StatusUnknown: none went out
}

// forget makes all be told again on a fresh connection.
func (r *reference) forget() { r.told, r.toldStatus = false, market.StatusUnknown }

// setSteps takes over new reference data.
func (r *reference) set(scale market.Scale, tick market.Price, lot market.Size) {
	if r.known && r.scale == scale && r.tick == tick && r.lot == lot {
		return
	}
	r.known, r.scale, r.tick, r.lot, r.told = true, scale, tick, lot, false
}

// tell appends what is known of a symbol and has not been told: its reference
// data, and its status where that is, or was told to be, other than trading.
func (d *base) tell(dst []market.Event, r *reference, status market.TradingStatus, id market.InstrumentID, v market.VenueID) []market.Event {
	if r.known && !r.told {
		r.told = true
		var e *market.Event
		dst, e = d.add(dst, market.KindInstrument)
		e.Instrument, e.Venue = id, v
		e.PriceDecimals, e.SizeDecimals = r.scale.Price, r.scale.Size
		e.Price, e.Size = r.tick, r.lot
	}
	if status != r.toldStatus && !(r.toldStatus == market.StatusUnknown && status <= market.StatusTrading) {
		r.toldStatus = status
		var e *market.Event
		dst, e = d.add(dst, market.KindStatus)
		e.Instrument, e.Venue, e.Status = id, v, status
	}
	return dst
}

// cryptoClass tells currencies against each other from crypto assets, both of
// which the crypto venues list.
func cryptoClass(baseCurrency, quote string) market.Class {
	if isFiat(baseCurrency) && isFiat(quote) {
		return market.ClassForex
	}
	return market.ClassCrypto
}

func isFiat(currency string) bool {
	switch currency {
	case "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD":
		return true
	}
	return false
}
