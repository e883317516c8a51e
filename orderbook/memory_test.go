package orderbook

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/quotewire/quotewire/market"
)

// BenchmarkMemory tells what instruments hold, in bytes of heap each: one that is
// known to the directory alone, one with a top of book and a print, as most of a
// million stocks and options have, and one with a book of 100 levels a side. With
// a view, as a streamer's lane in the same process has, and without.
func BenchmarkMemory(b *testing.B) {
	for _, tt := range []struct {
		name   string
		n      int
		events func(dst []market.Event, id market.InstrumentID) []market.Event
	}{
		{"known", 1_000_000, func(dst []market.Event, _ market.InstrumentID) []market.Event { return dst }},
		{"idle", 1_000_000, idleEvents},
		{"book100", 20_000, bookEvents},
	} {
		for _, seen := range []bool{false, true} {
			name := tt.name
			if seen {
				name += "+view"
			}
			b.Run(name, func(b *testing.B) { benchmarkMemory(b, tt.n, seen, tt.events) })
		}
	}
}

// views holds a view of every instrument.
type views []*View

func (v *views) Update(u *Update) {
	for int(u.Instrument) >= len(*v) {
		*v = append(*v, nil)
	}
	if (*v)[u.Instrument] == nil {
		(*v)[u.Instrument] = &View{}
	}
	if err := (*v)[u.Instrument].Apply(u); err != nil {
		panic(err)
	}
}

func (v *views) Flush() {}

func benchmarkMemory(b *testing.B, n int, seen bool, fill func(dst []market.Event, id market.InstrumentID) []market.Event) {
	for b.Loop() {
		before := heapNow()
		dir := market.NewDirectory()
		held := &views{}
		cfg := Config{Directory: dir}
		if seen {
			cfg.Sinks = []Sink{held}
		}
		s := NewShard(cfg)
		var events []market.Event
		for i := range n {
			id, err := dir.Instrument(fmt.Sprintf("SYM%07d", i), market.ClassStock)
			if err != nil {
				b.Fatal(err)
			}
			events = fill(events[:0], id)
			if len(events) > 0 {
				s.Apply(events)
			}
		}
		b.ReportMetric(float64(heapNow()-before)/float64(n), "B/instrument")
		runtime.KeepAlive(s)
		runtime.KeepAlive(dir)
		runtime.KeepAlive(held)
	}
	b.ReportMetric(0, "ns/op")
}

// heapNow returns the bytes of the heap that are reachable.
func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const memoryDay = int64(1_790_000_000_000_000_000)

func idleEvents(dst []market.Event, id market.InstrumentID) []market.Event {
	head := market.Event{Feed: 1, Venue: 1, Instrument: id, PriceDecimals: 2, Time: memoryDay, Received: memoryDay}
	quote, trade := head, head
	quote.Kind, quote.Flags = market.KindQuote, market.FlagLast
	quote.Price, quote.Size, quote.Ask, quote.AskSize = 1000, 100, 1001, 200
	trade.Kind, trade.Flags, trade.Price, trade.Size = market.KindTrade, market.FlagLast, 1000, 100
	return append(dst, quote, trade)
}

func bookEvents(dst []market.Event, id market.InstrumentID) []market.Event {
	head := market.Event{Feed: 1, Venue: 1, Instrument: id, PriceDecimals: 2, SizeDecimals: 2, Time: memoryDay, Received: memoryDay}
	image := head
	image.Kind, image.Flags = market.KindClear, market.FlagSnapshot
	dst = append(dst, image)
	for i := range 100 {
		for _, side := range [2]market.Side{market.SideBid, market.SideAsk} {
			e := head
			e.Kind, e.Flags, e.Side, e.Size = market.KindLevel, market.FlagSnapshot, side, market.Size(1+i)
			e.Price = market.Price(100_000 + i)
			if side == market.SideBid {
				e.Price = market.Price(99_999 - i)
			}
			dst = append(dst, e)
		}
	}
	dst[len(dst)-1].Flags |= market.FlagLast
	// As many changes as an active book sees within a moment.
	for i := range 100 {
		e := head
		e.Kind, e.Flags, e.Side = market.KindLevel, market.FlagLast, market.SideBid
		e.Price, e.Size = market.Price(99_999-i%20), market.Size(1000+i)
		dst = append(dst, e)
	}
	return dst
}
