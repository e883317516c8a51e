package orderbook

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
)

// tapeRig is a shard with one stock's prints.
type tapeRig struct {
	t     testing.TB
	shard *Shard
	view  View
	id    market.InstrumentID
	n     int
}

func newTapeRig(t testing.TB, cfg Config) *tapeRig {
	r := &tapeRig{t: t}
	cfg.Directory, cfg.Epoch, cfg.Sinks = market.NewDirectory(), 1, []Sink{r}
	var err error
	if r.id, err = cfg.Directory.Instrument("AAPL", market.ClassStock); err != nil {
		t.Fatal(err)
	}
	r.shard = NewShard(cfg)
	return r
}

func (r *tapeRig) Flush() {}

// Update implements Sink.
func (r *tapeRig) Update(u *Update) {
	if err := r.view.Apply(u); err != nil {
		r.t.Fatal(err)
	}
}

var tapeStart = time.Date(2026, 1, 8, 15, 0, 0, 0, time.UTC).UnixNano()

// apply applies an event at a time after tapeStart.
func (r *tapeRig) apply(after time.Duration, e market.Event) {
	e.Feed, e.Venue, e.Instrument, e.Flags = 1, 1, r.id, e.Flags|market.FlagLast
	e.Received = tapeStart + int64(after)
	if e.Time == 0 {
		e.Time = e.Received
	}
	r.shard.Apply([]market.Event{e})
}

// print applies a print, whose identifier counts from 1.
func (r *tapeRig) print(after time.Duration, price market.Price, size market.Size, c ...market.Condition) {
	r.n++
	e := market.Event{Kind: market.KindTrade, Flags: market.FlagCorrectable, Price: price, Size: size}
	e.NumConditions = uint8(copy(e.Conditions[:], c))
	e.ID, _ = market.MakeTradeID(fmt.Sprint(r.n))
	r.apply(after, e)
}

func (r *tapeRig) cancel(after time.Duration, n int, price market.Price, size market.Size) {
	e := market.Event{Kind: market.KindCancel, Price: price, Size: size}
	e.ID, _ = market.MakeTradeID(fmt.Sprint(n))
	r.apply(after, e)
}

func (r *tapeRig) stats() BookStats { return r.shard.Report(0)[0].BookStats }

// TestCorrectionOfAForgottenPrint: of a print that is no longer kept only the sums
// of the day are put right, and that is counted; last, open, high and low stay.
func TestCorrectionOfAForgottenPrint(t *testing.T) {
	r := newTapeRig(t, Config{PrintsKept: chunkPrints})
	r.print(0, 200, 5)
	for i := range 2 * chunkPrints {
		r.print(time.Duration(i+1)*time.Second, 100, 1)
	}
	r.cancel(200*time.Second, 1, 200, 5)
	if k := r.view.Ticker; k.High != 200 || k.Open != 200 || k.Volume != 2*chunkPrints || k.Trades != 2*chunkPrints || k.Notional.Lo != 100*2*chunkPrints {
		t.Errorf("ticker %+v", k)
	}
	if st := r.stats(); st.Corrections != 1 || st.CorrectionsPartial != 1 || st.CorrectionsUnknown != 0 {
		t.Errorf("%+v", st)
	}
	// One that is kept is put right in full, beside what those before it came to.
	r.print(201*time.Second, 300, 1)
	r.cancel(202*time.Second, r.n, 300, 1)
	if k := r.view.Ticker; k.High != 200 || k.Last != 100 || k.Volume != 2*chunkPrints {
		t.Errorf("ticker %+v", k)
	}
	if b := r.view.Bars[Day]; b.High != 200 || b.Close != 100 || b.Volume != 2*chunkPrints {
		t.Errorf("day %+v", b)
	}
}

// TestCancelByCondition: OPRA takes a print back by sending it once more.
func TestCancelByCondition(t *testing.T) {
	r := newTapeRig(t, Config{})
	r.print(0, 100, 5)
	r.print(time.Second, 110, 2)
	r.print(2*time.Second, 110, 2, 203) // last and cancelled
	if k := r.view.Ticker; k.Last != 100 || k.High != 100 || k.Volume != 5 || k.Trades != 1 {
		t.Errorf("ticker %+v", k)
	}
	if last := r.view.LastTrade; last.Kind != TradeCancel || last.Price != 110 {
		t.Errorf("told %+v", last)
	}
}

// TestLateBars: a print for a bar that is no longer kept is counted, and changes
// those that are.
func TestLateBars(t *testing.T) {
	r := newTapeRig(t, Config{})
	for i := range barsKept[Second] + 1 {
		r.print(time.Duration(i)*time.Second, 100, 1)
	}
	r.apply(time.Minute, market.Event{Kind: market.KindTrade, Price: 90, Size: 7, Time: tapeStart})
	if st := r.stats(); st.LateBars != 1 {
		t.Errorf("%+v", st)
	}
	if b := r.view.Bars[Minute]; b.Low != 90 || b.Open != 100 || b.Volume != market.Size(barsKept[Second])+8 {
		t.Errorf("minute %+v", b)
	}
}

// TestAggregates: a provider's bar waits until ours is final and is compared then,
// field by field.
func TestAggregates(t *testing.T) {
	r := newTapeRig(t, Config{})
	r.print(-time.Minute, 100, 1)
	r.print(time.Second, 100, 2)
	r.print(30*time.Second, 104, 2)
	bar := market.Event{Kind: market.KindBar, Flags: market.FlagBarMinute, Start: tapeStart, End: tapeStart + int64(time.Minute),
		Price: 10000, High: 10500, Low: 10000, Close: 10400, VWAP: 10200, PriceDecimals: 2, Size: 4}
	r.apply(61*time.Second, bar)
	if st := r.stats(); st.Aggregates != 0 {
		t.Errorf("compared before ours was final: %+v", st)
	}
	r.apply(70*time.Second, bar)
	st := r.stats()
	want := [NumAggregateFields]uint64{AggregateHigh: 2}
	if st.Aggregates != 2 || st.AggregatesDiffer != want || st.AggregatesSkipped != 0 {
		t.Errorf("%+v", st)
	}
	bar.Start, bar.End = bar.Start-int64(time.Minute), bar.Start // we came in its midst
	r.apply(71*time.Second, bar)
	if st := r.stats(); st.AggregatesSkipped != 1 {
		t.Errorf("%+v", st)
	}
}

// benchTape returns a shard and prints to come: a tenth late, a few of each a bar.
func benchTape(flags market.Flags) (*Shard, []market.Event) {
	s := NewShard(Config{Directory: market.NewDirectory(), Sinks: []Sink{&nullSink{}}, PrintsKept: 1 << 14})
	events := make([]market.Event, benchSteps)
	for i := range events {
		at := tapeStart + int64(i)*int64(7*time.Millisecond)
		events[i] = market.Event{Kind: market.KindTrade, Feed: 1, Venue: 1, Instrument: 1, Flags: flags | market.FlagLast, Received: at, Time: at,
			Price: market.Price(10000 + i*7%50), Size: market.Size(1 + i%300), PriceDecimals: 2, NumConditions: 1}
		events[i].ID, _ = market.MakeTradeID(strconv.Itoa(71675523093 + i))
		if i%10 == 9 {
			events[i].Time -= int64(300 * time.Millisecond)
			events[i].Conditions[0] = 37 // odd lot
		}
	}
	return s, events
}

// BenchmarkPrint is a trade to ticker and bars of all intervals; apply is all that
// a shard does with it, up to the update.
func BenchmarkPrint(b *testing.B) {
	for _, bench := range []struct {
		name  string
		flags market.Flags
		apply bool
	}{{"tape", 0, false}, {"tape_kept", market.FlagCorrectable, false}, {"apply", 0, true}, {"apply_kept", market.FlagCorrectable, true}} {
		b.Run(bench.name, func(b *testing.B) {
			s, events := benchTape(bench.flags)
			for i := range events {
				s.Apply(events[i : i+1])
			}
			book := s.instruments[1].venues[0].books[0]
			u := &s.instruments[1].upd
			round := int64(benchSteps) * int64(7*time.Millisecond)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := i % benchSteps
				e := &events[k]
				e.Time, e.Received = e.Time+round, e.Received+round
				if bench.apply {
					s.Apply(events[k : k+1])
					continue
				}
				s.print(book, e, e.Price, e.Size)
				u.Seq++
				u.Bars, u.Changed = u.Bars[:0], 0
			}
		})
	}
}
