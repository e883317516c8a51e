package orderbook

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/quotewire/quotewire/market"
)

// benchOrders is a book of n orders on 300 levels a side, in a shard that nobody
// listens to, and what makes events of it.
type benchOrders struct {
	shard *Shard
	ids   []market.OrderID
	event market.Event
}

func newBenchOrders(n int) *benchOrders {
	o := &benchOrders{shard: NewShard(Config{Directory: market.NewDirectory()}),
		event: market.Event{Feed: 1, Venue: 1, Instrument: 1, Kind: market.KindOrder}}
	rng := rand.New(rand.NewPCG(1, 2))
	events := []market.Event{o.event}
	events[0].Kind = market.KindClear
	for i := range 2 * n {
		var raw [16]byte
		binary.BigEndian.PutUint64(raw[:], rng.Uint64())
		binary.BigEndian.PutUint64(raw[8:], rng.Uint64())
		id, _ := market.ParseOrderID(fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], append([]byte{raw[8] | 0x80}, raw[9]), raw[10:]))
		o.ids = append(o.ids, id)
		if i < n {
			e := o.event
			e.Action = market.OrderAdd
			o.at(&e, i)
			events = append(events, e)
		}
	}
	for i := range events {
		events[i].Flags = market.FlagSnapshot
	}
	events[len(events)-1].Flags |= market.FlagLast
	o.shard.Apply(events)
	return o
}

// at makes the event about the i-th order: most of them stand near the top.
func (o *benchOrders) at(e *market.Event, i int) {
	e.SetOrder(o.ids[i])
	h := o.ids[i].Hash()
	level := market.Price(h >> 8 % 10)
	if h>>16%10 >= 8 {
		level = market.Price(h >> 8 % 300)
	}
	e.Side, e.Price = market.SideBid, benchMid-level
	if h>>32&1 == 1 {
		e.Side, e.Price = market.SideAsk, benchMid+1+level
	}
	e.Size = market.Size(100 + h>>40%1000)
	e.Flags = market.FlagLast
}

// BenchmarkOrders is what one message costs a shard with everything that belongs
// to it: the order, its level, the quote and the update.
func BenchmarkOrders(b *testing.B) {
	const n = 20_000
	for _, c := range []struct {
		name string
		does func(o *benchOrders, e *market.Event, i int)
	}{
		{"add+delete", func(o *benchOrders, e *market.Event, i int) {
			// Orders come and go, so that nodes are used again.
			k := i >> 1
			if i&1 == 0 {
				e.Action = market.OrderAdd
				o.at(e, (k+n)%(2*n))
			} else {
				e.Action = market.OrderDelete
				e.SetOrder(o.ids[k%(2*n)])
			}
		}},
		{"change", func(o *benchOrders, e *market.Event, i int) {
			e.Action = market.OrderChange
			o.at(e, i%n)
			e.Size += market.Size(i & 15)
		}},
		{"reduce", func(o *benchOrders, e *market.Event, i int) {
			// A message that takes 1 and one that gives it back.
			o.at(e, i>>1%n)
			e.Action = market.OrderChange
			if i&1 == 1 {
				e.Action, e.Size = market.OrderReduce, 1
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := newBenchOrders(n)
			events := []market.Event{o.event}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.does(o, &events[0], i)
				events[0].Flags = market.FlagLast
				o.shard.Apply(events)
			}
			if bk := o.shard.instruments[1].venues[0].books[0]; !bk.live() || bk.stats.Refused > 0 {
				b.Fatalf("%+v", bk.stats)
			}
		})
	}
}

// BenchmarkOrdersChecksum is Kraken's checksum over ten levels a side with the
// orders that stand there.
func BenchmarkOrdersChecksum(b *testing.B) {
	o := newBenchOrders(60)
	bk := o.shard.instruments[1].venues[0].books[0]
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		_, buf, _ = ordersCRC(buf, &bk.asks, &bk.bids, bk.orders, market.Scale{}, market.Scale{})
	}
	b.ReportMetric(float64(len(buf)), "digits")
}

// BenchmarkOrderPosition is the query of one order's place.
func BenchmarkOrderPosition(b *testing.B) {
	o := newBenchOrders(20_000)
	for i := 0; b.Loop(); i++ {
		n := o.shard.instruments[1].venues[0].books[0].orders.find(o.ids[i%20_000])
		o.shard.instruments[1].venues[0].books[0].orders.ahead(n)
	}
}

// BenchmarkOrdersMemory reports what a book of 100,000 orders holds, per order.
func BenchmarkOrdersMemory(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		var before, after runtime.MemStats
		probe := newBenchOrders(1)
		runtime.GC()
		runtime.ReadMemStats(&before)
		o := newBenchOrders(n)
		o.ids = nil
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/order")
		runtime.KeepAlive(o)
		runtime.KeepAlive(probe)
	}
}
