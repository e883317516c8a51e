package orderbook

import (
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/quotewire/quotewire/market"
)

// change is one step of the book workload: 300 levels a side to begin with, 80%
// of the changes within 10 levels of the top, 30% of them removals.
type change struct {
	side  market.Side
	level Level
}

const benchMid = 100_000

func benchWorkload(n int) (start, steps []change) {
	rng := rand.New(rand.NewPCG(1, 2))
	price := func(side market.Side, i int) market.Price {
		if side == market.SideBid {
			return market.Price(benchMid - i)
		}
		return market.Price(benchMid + 1 + i)
	}
	sides := [2]market.Side{market.SideBid, market.SideAsk}
	for _, side := range sides {
		for i := range 300 {
			start = append(start, change{side, Level{price(side, i), market.Size(1 + rng.IntN(1000))}})
		}
	}
	for range n {
		i := rng.IntN(10)
		if rng.IntN(100) >= 80 {
			i = rng.IntN(300)
		}
		side := sides[rng.IntN(2)]
		c := change{side, Level{price(side, i), market.Size(1 + rng.IntN(1000))}}
		if rng.IntN(100) < 30 {
			c.level.Size = 0
		}
		steps = append(steps, c)
	}
	return start, steps
}

const benchSteps = 1 << 14

func benchLadders() (ladders [2]Ladder, steps []change) {
	start, steps := benchWorkload(benchSteps)
	ladders = [2]Ladder{NewLadder(market.SideBid), NewLadder(market.SideAsk)}
	for _, c := range append(start, steps...) {
		ladders[c.side-market.SideBid].Set(c.level.Price, c.level.Size)
	}
	return ladders, steps
}

func BenchmarkLadderSet(b *testing.B) {
	ladders, steps := benchLadders()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := &steps[i%benchSteps]
		ladders[c.side-market.SideBid].Set(c.level.Price, c.level.Size)
	}
}

func BenchmarkLadderSetTop10(b *testing.B) {
	ladders, steps := benchLadders()
	var top [2][]Level
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := &steps[i%benchSteps]
		ladders[c.side-market.SideBid].Set(c.level.Price, c.level.Size)
		top[0] = ladders[0].AppendTop(top[0][:0], 10)
		top[1] = ladders[1].AppendTop(top[1][:0], 10)
	}
}

// BenchmarkMapSetTop10 is the obvious alternative: a map, sorted when read.
func BenchmarkMapSetTop10(b *testing.B) {
	start, steps := benchWorkload(benchSteps)
	books := [2]map[market.Price]market.Size{{}, {}}
	for _, c := range start {
		books[c.side-market.SideBid][c.level.Price] = c.level.Size
	}
	var top []Level
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := &steps[i%benchSteps]
		if c.level.Size == 0 {
			delete(books[c.side-market.SideBid], c.level.Price)
		} else {
			books[c.side-market.SideBid][c.level.Price] = c.level.Size
		}
		for s, book := range books {
			top = top[:0]
			for p, z := range book {
				top = append(top, Level{p, z})
			}
			sort.Slice(top, func(i, j int) bool { return (top[i].Price > top[j].Price) == (s == 0) })
		}
	}
}

func BenchmarkMapSet(b *testing.B) {
	start, steps := benchWorkload(benchSteps)
	books := [2]map[market.Price]market.Size{{}, {}}
	for _, c := range start {
		books[c.side-market.SideBid][c.level.Price] = c.level.Size
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := &steps[i%benchSteps]
		if c.level.Size == 0 {
			delete(books[c.side-market.SideBid], c.level.Price)
		} else {
			books[c.side-market.SideBid][c.level.Price] = c.level.Size
		}
	}
}

// nullSink takes updates and keeps nothing.
type nullSink struct{ n int }

func (s *nullSink) Update(*Update) { s.n++ }
func (s *nullSink) Flush()         {}

// copySink copies each update into one that is reused, as a queue would.
type copySink struct{ u Update }

func (s *copySink) Update(u *Update) { u.CopyTo(&s.u) }
func (s *copySink) Flush()           {}

// benchShard returns a shard with a loaded book at each of n venues, and messages
// of one level each that go round the venues.
func benchShard(n int, sink Sink) (*Shard, [][]market.Event) {
	start, steps := benchWorkload(benchSteps)
	s := NewShard(Config{Directory: market.NewDirectory(), Sinks: []Sink{sink}})
	event := func(v int, k market.Kind, c change) market.Event {
		return market.Event{
			Kind: k, Feed: market.FeedID(v), Venue: market.VenueID(v), Instrument: 1, PriceDecimals: 1, SizeDecimals: 8,
			Side: c.side, Price: c.level.Price, Size: c.level.Size, Received: 1, Time: 1,
		}
	}
	for v := 1; v <= n; v++ {
		events := []market.Event{event(v, market.KindClear, change{})}
		events[0].Flags = market.FlagSnapshot
		for _, c := range start {
			events = append(events, event(v, market.KindLevel, c))
		}
		events[len(events)-1].Flags = market.FlagLast
		s.Apply(events)
	}
	var messages [][]market.Event
	for i, c := range steps {
		e := event(1+i%n, market.KindLevel, c)
		e.Flags = market.FlagLast
		messages = append(messages, []market.Event{e})
	}
	for _, m := range messages {
		s.Apply(m)
	}
	return s, messages
}

func BenchmarkShardApply(b *testing.B) {
	for _, bench := range []struct {
		name   string
		venues int
		sink   Sink
	}{
		{"venues=1/sink=none", 1, &nullSink{}},
		{"venues=1/sink=copy", 1, &copySink{}},
		{"venues=8/sink=none", 8, &nullSink{}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s, messages := benchShard(bench.venues, bench.sink)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Apply(messages[i%benchSteps])
			}
		})
	}
}

// BenchmarkRequote is the consolidation alone, after a change at the top of one
// of 8 venues: of the best one's size, and of one that is not the best.
func BenchmarkRequote(b *testing.B) {
	for _, bench := range []struct {
		name string
		best bool
	}{{"best", true}, {"other", false}} {
		b.Run(bench.name, func(b *testing.B) {
			s, _ := benchShard(8, &nullSink{})
			in := s.instruments[1]
			for i, v := range in.venues {
				p := market.Price(benchMid - 10 - i)
				if bench.best && i == 3 {
					p = benchMid
				}
				v.shown.bids.levels = append(v.shown.bids.levels[:0], Level{p, 5})
				v.touch(in)
			}
			in.requote(1, 1, 1)
			v := in.venues[3]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				v.shown.bids.levels[0].Size = market.Size(5 + i&1)
				v.touch(in)
				in.requote(1, 1, 1)
			}
		})
	}
}

func BenchmarkKrakenCRC(b *testing.B) {
	ladders, _ := benchLadders()
	for _, bench := range []struct {
		name          string
		scale, digits market.Scale
	}{
		{"same_scale", market.Scale{Price: 1, Size: 8}, market.Scale{Price: 1, Size: 8}},
		{"finer_scale", market.Scale{Price: 2, Size: 9}, market.Scale{Price: 1, Size: 8}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			l := ladders
			for i := range l {
				l[i].levels = append([]Level(nil), l[i].levels...)
				l[i].rescale(bench.digits, bench.scale)
			}
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				_, buf, _ = krakenCRC(buf, &l[1], &l[0], bench.scale, bench.digits)
			}
		})
	}
}

// benchView returns a view of n venues with full books.
func benchView(n int) (*View, []*Update) {
	s, messages := benchShard(n, &nullSink{})
	c := &collector{}
	s.cfg.Sinks = []Sink{c}
	for _, m := range messages {
		s.Apply(m)
	}
	v := &View{}
	var updates []*Update
	// The view begins where the books stood before the messages; going round
	// them again is sound, for each sets a level absolutely.
	for _, x := range s.instruments[1].venues {
		w := v.venue(x.id)
		w.State, w.HasBook = StateLive, true
		w.Bids.levels = append(w.Bids.levels, x.shown.bids.levels...)
		w.Asks.levels = append(w.Asks.levels, x.shown.asks.levels...)
	}
	updates = c.updates[1]
	return v, updates
}

func BenchmarkViewApply(b *testing.B) {
	v, updates := benchView(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		u := updates[i%len(updates)]
		v.Epoch, v.Seq = u.Epoch, u.Seq-1
		if err := v.Apply(u); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendDepth10(b *testing.B) {
	for _, bench := range []struct {
		name   string
		venues int
	}{{"venues=1", 1}, {"venues=8", 8}} {
		b.Run(bench.name, func(b *testing.B) {
			v, _ := benchView(bench.venues)
			var levels []DepthLevel
			var splits []VenueSize
			b.ReportAllocs()
			for b.Loop() {
				levels, splits = v.AppendDepth(levels[:0], splits[:0], market.SideBid, 10)
				levels, splits = v.AppendDepth(levels[:0], splits[:0], market.SideAsk, 10)
			}
		})
	}
}

// TestNoAllocations: the hot path allocates nothing in the steady state.
func TestNoAllocations(t *testing.T) {
	check := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	for _, venues := range []int{1, 8} {
		s, messages := benchShard(venues, &copySink{})
		i := 0
		check("Shard.Apply", func() {
			s.Apply(messages[i%benchSteps])
			i++
		})
	}
	v, updates := benchView(8)
	i := 0
	check("View.Apply", func() {
		u := updates[i%len(updates)]
		v.Epoch, v.Seq = u.Epoch, u.Seq-1
		_ = v.Apply(u)
		i++
	})
	var levels []DepthLevel
	var splits []VenueSize
	depth := func() { levels, splits = v.AppendDepth(levels[:0], splits[:0], market.SideBid, 10) }
	depth()
	check("AppendDepth", depth)
	ladders, _ := benchLadders()
	var buf []byte
	crc := func() {
		_, buf, _ = krakenCRC(buf, &ladders[1], &ladders[0], market.Scale{Price: 1, Size: 8}, market.Scale{Price: 1, Size: 8})
	}
	crc()
	check("krakenCRC", crc)

	// A Kraken message whole: levels, truncation, checksum.
	s, messages := benchShard(1, &copySink{})
	kraken := s.instruments[1].venues[0].shown
	kraken.depth, kraken.digits = 100, market.Scale{Price: 1, Size: 8}
	in := s.instruments[1]
	message := make([]market.Event, 2)
	i = 0
	check("Shard.Apply of a checked message", func() {
		message[0] = messages[i%benchSteps][0]
		message[0].Flags = 0
		message[1] = message[0]
		message[1].Kind, message[1].Flags = market.KindChecksum, market.FlagLast
		// What the sum will be: the change is applied beforehand, to the same end.
		kraken.ladder(message[0].Side).Set(message[0].Price, message[0].Size)
		sum, _, _ := krakenCRC(s.buf, &kraken.asks, &kraken.bids, in.upd.Scale, kraken.digits)
		message[1].Sequence = uint64(sum)
		s.Apply(message)
		i++
	})
	if kraken.stats.Mismatched != 0 || kraken.stats.Matched == 0 {
		t.Errorf("%+v", kraken.stats)
	}
	trade := []market.Event{{Kind: market.KindTrade, Feed: 1, Venue: 1, Instrument: 1, Flags: market.FlagLast | market.FlagContiguous,
		PriceDecimals: 1, SizeDecimals: 8, Price: 5, Size: 5, Time: 1, Received: 1}}
	s.Apply(trade)
	check("Shard.Apply of a print", func() {
		trade[0].TradeSequence++
		s.Apply(trade)
	})
	quote := []market.Event{{Kind: market.KindQuote, Feed: 2, Venue: 9, Instrument: 2, Flags: market.FlagLast | market.FlagNBBO,
		Price: 5, Size: 5, Ask: 6, AskSize: 5, BidVenue: 3, AskVenue: 4}}
	s.Apply(quote)
	check("Shard.Apply of a quote", func() {
		quote[0].Size++
		s.Apply(quote)
	})
}
