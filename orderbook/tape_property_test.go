package orderbook

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
)

var (
	tapeSeeds = flag.Int("seeds", 0, "random tapes that are held against the model; 0: 10,000, or 500 under the race detector")
	tapeSeed  = flag.Uint64("seed", 0, "the one random tape to run, if not 0")
)

// TestTapeEqualsModel: for random streams of prints under all sorts of
// conditions, late ones, corrections, cancels and changes of the day, ticker and
// bars are those of the model, and no bar goes back in its life. A failure names
// its seed: go test ./orderbook -run TestTapeEqualsModel -seed N.
func TestTapeEqualsModel(t *testing.T) {
	if *tapeSeed != 0 {
		runTape(t, *tapeSeed)
		return
	}
	seeds := *tapeSeeds
	if seeds == 0 {
		if seeds = 10_000; raceEnabled {
			seeds = 500 // tapes have one goroutine
		}
	}
	for seed := range uint64(seeds) {
		if runTape(t, seed+1); t.Failed() {
			return
		}
	}
}

// tapeSink follows the bars that a shard tells.
type tapeSink struct {
	err       error
	watermark int64
	bars      map[tapeBar]Bar
	texts     map[tapeBar]string
	seq       [NumIntervals]uint64
	view      View
}

func (s *tapeSink) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *tapeSink) Flush() {}

// Watermark implements WatermarkSink.
func (s *tapeSink) Watermark(w int64) {
	if w <= s.watermark || w%int64(time.Second) != 0 {
		s.fail("watermark %d after %d", w, s.watermark)
	}
	s.watermark = w
}

// Update implements Sink.
func (s *tapeSink) Update(u *Update) {
	if u.Watermark != s.watermark {
		s.fail("update under watermark %d, told %d", u.Watermark, s.watermark)
	}
	for i := range u.Bars {
		b := &u.Bars[i]
		key := tapeBar{b.Interval, b.Start}
		was, known := s.bars[key]
		s.seq[b.Interval]++
		switch {
		case b.Seq != s.seq[b.Interval]:
			s.fail("%v: change %d, want %d", key, b.Seq, s.seq[b.Interval])
		case b.Rev == 0 && b.End <= s.watermark:
			s.fail("%v changed after it was final at %d and is not revised", key, s.watermark)
		case b.Rev > 0 && b.End > s.watermark:
			s.fail("%v is revised at %d, before it was final", key, s.watermark)
		case b.Rev > 0 && known && b.Rev != was.Rev+1:
			s.fail("%v: revision %d after %d", key, b.Rev, was.Rev)
		case len(u.Trades) == 1 && s.texts[key] == tapeText(b, u.Scale):
			s.fail("%v told again: %s", key, s.texts[key])
		}
		s.bars[key], s.texts[key] = *b, tapeText(b, u.Scale)
	}
	if err := s.view.Apply(u); err != nil {
		s.fail("view: %v", err)
	}
}

func runTape(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	sink := &tapeSink{bars: map[tapeBar]Bar{}, texts: map[tapeBar]string{}}
	dir := market.NewDirectory()
	id, err := dir.Instrument("AAPL", market.ClassStock)
	if err != nil {
		t.Fatal(err)
	}
	s := NewShard(Config{Directory: dir, Epoch: 1, Sinks: []Sink{sink}})
	m := &tapeModel{bars: map[tapeBar]*tapeFigures{}, touched: map[tapeBar]bool{}}
	// A Thursday in January, shortly before regular hours, or before the day's end.
	now := time.Date(2026, 1, 8, 14, 29, 50, 0, time.UTC).UnixNano()
	if rng.IntN(2) == 0 {
		now = time.Date(2026, 1, 9, 0, 59, 55, 0, time.UTC).UnixNano()
	}
	g := &tapeGen{rng: rng, id: id}
	for step := range 4 + rng.IntN(28) {
		now += g.wait()
		events := g.message(now)
		w, _ := watermarkAt(now, 2*time.Second)
		m.watermark = max(m.watermark, w)
		for i := range events {
			m.apply(&events[i])
		}
		m.end()
		if *tapeSeed != 0 {
			for _, e := range events {
				t.Logf("%d: %v %v %v %v@%d %vx%v (%d/%d) %v", step, time.Unix(0, now).UTC(), e.Kind, e.ID, e.Venue, e.Time, e.Price, e.Size, e.PriceDecimals, e.SizeDecimals, e.Conditions[:e.NumConditions])
			}
		}
		s.Apply(events)
		if sink.err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, sink.err)
		}
		if rng.IntN(4) > 0 && step > 2 {
			continue
		}
		if err := compareTape(m, sink, s); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
	}
	if err := compareTape(m, sink, s); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

func compareTape(m *tapeModel, sink *tapeSink, s *Shard) error {
	v := &sink.view
	if len(m.prints) > 0 {
		if got, want := tapeTicker(&v.Ticker, v.Scale), m.ticker(); got != want {
			return fmt.Errorf("ticker is\n%s, want\n%s", got, want)
		}
	}
	if len(sink.bars) != len(m.bars) {
		return fmt.Errorf("%d bars, want %d", len(sink.bars), len(m.bars))
	}
	for key, f := range m.bars {
		b := sink.bars[key]
		if sink.texts[key] != f.text || int(b.Rev) != f.rev {
			return fmt.Errorf("%v %v is\n%s rev %d, want\n%s rev %d", key.interval, time.Unix(0, key.start).UTC(), sink.texts[key], b.Rev, f.text, f.rev)
		}
		if _, end := m.barOf(key.interval, key.start); b.End != end {
			return fmt.Errorf("%v %v ends at %v", key.interval, key.start, b.End)
		}
		if latest := v.Bars[key.interval]; latest.Start < key.start || latest.Start == key.start && latest.Rev != b.Rev {
			return fmt.Errorf("%v: the view has %+v, told was %+v", key, latest, b)
		}
	}
	var late, unknown, partial uint64
	for _, r := range s.Report(0) {
		late, unknown, partial = late+r.LateBars, unknown+r.CorrectionsUnknown, partial+r.CorrectionsPartial
	}
	if v.TradeSeq != uint64(m.entries) || late != uint64(m.lateBars) || unknown != uint64(m.unknown) || partial != 0 {
		return fmt.Errorf("%d entries, %d late, %d unknown, %d partial, want %d, %d, %d, 0", v.TradeSeq, late, unknown, partial,
			m.entries, m.lateBars, m.unknown)
	}
	return nil
}

// tapeGen makes up messages.
type tapeGen struct {
	rng   *rand.Rand
	id    market.InstrumentID
	n     uint64
	known []market.Event // prints, and prints that took their place
	again market.Event   // the last correction or cancel
}

// wait returns how long until the next message: mostly within the second,
// sometimes minutes, hours, the night.
func (g *tapeGen) wait() int64 {
	switch r := g.rng.IntN(100); {
	case r < 70:
		return g.rng.Int64N(int64(900 * time.Millisecond))
	case r < 85:
		return g.rng.Int64N(int64(5 * time.Second))
	case r < 92:
		return g.rng.Int64N(int64(10 * time.Minute))
	case r < 97:
		return g.rng.Int64N(int64(5 * time.Hour))
	}
	return int64(15*time.Hour) + g.rng.Int64N(int64(40*time.Hour))
}

// late returns how long before a message its print happened.
func (g *tapeGen) late() int64 {
	switch r := g.rng.IntN(100); {
	case r < 60:
		return 0
	case r < 80:
		return g.rng.Int64N(int64(4 * time.Second))
	case r < 90:
		return g.rng.Int64N(int64(3 * time.Minute))
	case r < 97:
		return g.rng.Int64N(int64(6 * time.Hour))
	}
	return g.rng.Int64N(int64(40 * time.Hour))
}

func (g *tapeGen) message(now int64) []market.Event {
	var events []market.Event
	for range 1 + g.rng.IntN(3) {
		events = append(events, g.event(now))
	}
	events[len(events)-1].Flags |= market.FlagLast
	return events
}

func (g *tapeGen) event(now int64) market.Event {
	if g.rng.IntN(20) == 0 && g.again.Kind != 0 {
		e := g.again // over another line
		e.Received = now
		return e
	}
	g.n++
	e := market.Event{Kind: market.KindTrade, Feed: 1, Venue: market.VenueID(1 + g.rng.IntN(3)), Instrument: g.id, Received: now,
		Flags: market.FlagCorrectable}
	g.numbers(&e)
	e.Time = now - g.late()
	if g.rng.IntN(8) == 0 {
		e.Time = e.Time / int64(time.Second) * int64(time.Second) // several at one time, on the border
	}
	e.ID, _ = market.MakeTradeID(fmt.Sprint(g.n))
	switch r := g.rng.IntN(12); {
	case r < 2 && len(g.known) > 0:
		was := g.known[g.rng.IntN(len(g.known))]
		e.Kind, e.ID, e.Venue = market.KindCancel, was.ID, was.Venue
		if e.NumConditions = 0; g.rng.IntN(8) == 0 {
			e.ID, _ = market.MakeTradeID(fmt.Sprint("never heard ", g.n))
		}
		e.Price, e.PriceDecimals, e.Size, e.SizeDecimals = was.Price, was.PriceDecimals, was.Size, was.SizeDecimals
		g.again = e
		return e
	case r < 4 && len(g.known) > 0:
		was := g.known[g.rng.IntN(len(g.known))]
		e.Kind, e.ID, e.Venue = market.KindCorrection, was.ID, was.Venue
		e.TradeSequence = g.n
		e.Ask, e.AskSize = 1, 1 // what it was is known by the identifier
		next := e
		next.ID, _ = market.MakeTradeID(fmt.Sprint(g.n))
		g.known = append(g.known, next)
		g.again = e
		return e
	}
	g.known = append(g.known, e)
	return e
}

// numbers sets price, size and conditions.
func (g *tapeGen) numbers(e *market.Event) {
	e.PriceDecimals, e.SizeDecimals = market.Decimals(g.rng.IntN(4)), market.Decimals(g.rng.IntN(3))
	e.Price = market.Price((95 + g.rng.Int64N(10)) * market.Pow10(e.PriceDecimals))
	if g.rng.IntN(3) == 0 {
		e.Price += market.Price(g.rng.Int64N(market.Pow10(e.PriceDecimals)))
	}
	e.Size = market.Size(g.rng.Int64N(5) * market.Pow10(e.SizeDecimals))
	if g.rng.IntN(3) == 0 {
		e.Size++
	}
	for range max(0, g.rng.IntN(5)-2) {
		conditions := []market.Condition{0, 2, 12, 12, 13, 15, 32, 32, 37, 37, 38}
		e.Conditions[e.NumConditions] = conditions[g.rng.IntN(len(conditions))]
		e.NumConditions++
	}
}
