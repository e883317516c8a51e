package orderbook

import (
	"testing"

	"github.com/quotewire/quotewire/market"
)

// TestValues: the level of an index makes a ticker without volume; a fair value
// makes none; a correction of a print that was never heard is told and changes none of them.
func TestValues(t *testing.T) {
	r := newRig(t, Config{})
	id, _ := r.dir.Instrument("I:SPX", market.ClassIndex)
	v, _ := r.dir.Venue("polygon")
	event := func(k market.Kind, what market.ValueKind, price market.Price, at int64) market.Event {
		return market.Event{Kind: k, Value: what, Flags: market.FlagLast, Feed: 1, Venue: v, Instrument: id, Time: at, Received: at,
			Price: price, PriceDecimals: 2}
	}
	const at = 1678220098130000000
	r.apply([]market.Event{
		event(market.KindValue, market.ValueIndex, 398850, at),
		event(market.KindValue, market.ValueIndex, 398900, at+1),
		event(market.KindValue, market.ValueIndex, 398800, at+2),
		event(market.KindValue, market.ValueFair, 999999, at+3),
		event(market.KindCorrection, 0, 999990, at+4),
		event(market.KindCancel, 0, 999990, at+5),
	})
	if r.err != nil {
		t.Fatal(r.err)
	}
	tk := r.views[id].Ticker // at one decimal, as all that was seen needs no more
	if !tk.HasLast || tk.Last != 39880 || tk.High != 39890 || tk.Low != 39880 || tk.Open != 39885 || tk.Volume != 0 || tk.Trades != 0 {
		t.Errorf("ticker %+v", tk)
	}
	if n := r.views[id].Seq; n != 5 {
		t.Errorf("%d updates, want 5", n)
	}
	rep := r.shard.Report(1)
	if len(rep) != 1 || rep[0].Corrections != 2 || rep[0].CorrectionsUnknown != 2 || rep[0].Trades != 0 {
		t.Errorf("report %+v", rep)
	}
	r.apply([]market.Event{event(market.KindValue, market.ValueLast, 398850, at+8)})
	if tk := r.views[id].Ticker; tk.Last != 39885 || tk.LastSize != 0 {
		t.Errorf("ticker %+v", tk)
	}
}
