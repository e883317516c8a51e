package orderbook

import (
	"cmp"
	"slices"
	"sort"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/tidwall/btree"

	"github.com/quotewire/quotewire/market"
)

// The alternatives to the ladder and to the consolidation, on the same workload in
// the same run.

// sliceBook is the usual generic sorted slice: best first, binary search with a
// comparison function.
type sliceBook[P any] struct {
	cmp    func(a, b P) int
	levels [2][]sliceLevel[P] // bids, asks
}

type sliceLevel[P any] struct {
	price P
	size  market.Size
}

func (b *sliceBook[P]) set(side int, p P, z market.Size) {
	l := b.levels[side]
	i, ok := slices.BinarySearchFunc(l, p, func(e sliceLevel[P], p P) int {
		if side == 0 {
			return b.cmp(p, e.price)
		}
		return b.cmp(e.price, p)
	})
	switch {
	case ok && z == 0:
		l = slices.Delete(l, i, i+1)
	case ok:
		l[i].size = z
	case z != 0:
		l = slices.Insert(l, i, sliceLevel[P]{p, z})
	}
	b.levels[side] = l
}

func (b *sliceBook[P]) top(dst []sliceLevel[P], side, n int) []sliceLevel[P] {
	return append(dst, b.levels[side][:min(n, len(b.levels[side]))]...)
}

// BenchmarkBookTop10Peers sets a level and reads the best 10 of both sides, at 300
// levels a side; LadderSetTop10 is ours.
func BenchmarkBookTop10Peers(b *testing.B) {
	start, steps := benchWorkload(benchSteps)
	all := append(start, steps...)
	b.Run("slice", func(b *testing.B) {
		book := &sliceBook[market.Price]{cmp: cmp.Compare[market.Price]}
		for _, c := range all {
			book.set(int(c.side-market.SideBid), c.level.Price, c.level.Size)
		}
		var top [2][]sliceLevel[market.Price]
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c := &steps[i%benchSteps]
			book.set(int(c.side-market.SideBid), c.level.Price, c.level.Size)
			top[0], top[1] = book.top(top[0][:0], 0, 10), book.top(top[1][:0], 1, 10)
		}
	})
	b.Run("btree", func(b *testing.B) {
		var sides [2]btree.Map[market.Price, market.Size]
		set := func(c *change) {
			m, p := &sides[c.side-market.SideBid], c.level.Price
			if c.side == market.SideBid {
				p = -p // best first
			}
			if c.level.Size == 0 {
				m.Delete(p)
			} else {
				m.Set(p, c.level.Size)
			}
		}
		for i := range all {
			set(&all[i])
		}
		var top []Level
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			set(&steps[i%benchSteps])
			for s := range sides {
				top = top[:0]
				sides[s].Scan(func(p market.Price, z market.Size) bool {
					top = append(top, Level{p, z})
					return len(top) < 10
				})
			}
		}
	})
	b.Run("decimal", func(b *testing.B) {
		book := &sliceBook[decimal.Decimal]{cmp: decimal.Decimal.Cmp}
		prices := make([]decimal.Decimal, len(all)) // parsed beforehand
		for i, c := range all {
			prices[i] = market.ToDecimal(c.level.Price, 1)
			book.set(int(c.side-market.SideBid), prices[i], c.level.Size)
		}
		prices = prices[len(start):]
		var top [2][]sliceLevel[decimal.Decimal]
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c := &steps[i%benchSteps]
			book.set(int(c.side-market.SideBid), prices[i%benchSteps], c.level.Size)
			top[0], top[1] = book.top(top[0][:0], 0, 10), book.top(top[1][:0], 1, 10)
		}
	})
}

// BenchmarkRequotePeers brings the best bid over 8 venues up to date after the best
// one's size changed; Requote/best is ours, which also keeps the ask, who is left
// out, and how long all stood.
func BenchmarkRequotePeers(b *testing.B) {
	type bid struct {
		venue int
		price market.Price
		size  market.Size
	}
	var bids [8]bid
	for i := range bids {
		bids[i] = bid{i, market.Price(benchMid - 10 - i), 5}
	}
	bids[3].price = benchMid
	b.Run("sort", func(b *testing.B) { // copy and sort
		all := make([]bid, 0, len(bids))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			bids[3].size = market.Size(5 + i&1)
			all = append(all[:0], bids[:]...)
			sort.Slice(all, func(i, j int) bool {
				if all[i].price != all[j].price {
					return all[i].price > all[j].price
				}
				return all[i].size > all[j].size
			})
		}
	})
	b.Run("btree", func(b *testing.B) { // a tree of all venues' bids
		t := btree.NewBTreeGOptions(func(x, y bid) bool {
			if x.price != y.price {
				return x.price > y.price
			}
			if x.size != y.size {
				return x.size > y.size
			}
			return x.venue < y.venue
		}, btree.Options{NoLocks: true})
		for _, x := range bids {
			t.Set(x)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			t.Delete(bids[3])
			bids[3].size = market.Size(5 + i&1)
			t.Set(bids[3])
			if best, _ := t.Min(); best.venue != 3 {
				b.Fatal(best)
			}
		}
	})
	b.Run("decimal", func(b *testing.B) { // a scan over decimals
		var prices, sizes [8]decimal.Decimal
		for i, x := range bids {
			prices[i], sizes[i] = market.ToDecimal(x.price, 1), market.ToDecimal(x.size, 0)
		}
		two := [2]decimal.Decimal{decimal.NewFromInt(5), decimal.NewFromInt(6)}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			sizes[3] = two[i&1]
			best, total := 0, decimal.Zero
			for j := range prices {
				switch c := prices[j].Cmp(prices[best]); {
				case c > 0:
					best, total = j, sizes[j]
				case c == 0:
					total = total.Add(sizes[j])
				}
			}
			if best != 3 {
				b.Fatal(best)
			}
		}
	})
}
