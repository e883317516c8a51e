package orderbook

import (
	"cmp"
	"slices"

	"github.com/quotewire/quotewire/market"
)

// order is one resting order.
type order struct {
	id         market.OrderID
	price      market.Price
	size       market.Size // 0: the node is free
	prev, next uint32      // in its queue, towards the front and towards the end; 0 none
	side       market.Side
	aside      bool // it crosses the book and stands in no queue
}

// queue is the orders at one price, the oldest first.
type queue struct{ head, tail, count uint32 }

// orders is the orders of a book whose venue shows each of them. The ladders hold
// what they add up to, a level with the queue of each price; here is what the
// queues are made of, and the way from an identifier to its order. Nodes are used
// again and numbered, so that a book in its steady state allocates nothing and the
// collector has no pointer to follow.
//
// The numbers are those of nodes; 0 is none.
type orders struct {
	nodes  []order
	free   uint32   // first of the free nodes, linked by next
	index  []uint32 // by hash, open addressing; 0 empty
	n      int      // orders held
	asides []asideOrder

	// loose: an image is coming in. Its orders stand in no queue yet, and nodes
	// are not used again, so that their numbers tell who came first.
	loose     bool
	piecemeal bool // orders may be told before what they trade at once
}

// asideOrder is an order that crosses the book, and since when.
type asideOrder struct {
	node  uint32
	since int64 // receive time
}

// asideWait is how long an order may cross the book: it is told before what it
// trades, and that follows at once. One that crosses for longer crosses because
// something was lost.
const asideWait = 2_000_000_000 // ns

// keepOrders is the number of orders up to which memory is kept for the next image.
const keepOrders = 1 << 16

func newOrders() *orders { return &orders{} }

// clear removes all orders and keeps the memory, unless it is much.
func (o *orders) clear() {
	if cap(o.nodes) > keepOrders {
		o.nodes, o.index = nil, nil
	}
	o.nodes = o.nodes[:0]
	clear(o.index)
	o.free, o.n, o.asides, o.loose, o.piecemeal = 0, 0, o.asides[:0], false, false
}

// find returns the order's node, 0 if it is not held.
func (o *orders) find(id market.OrderID) uint32 {
	if len(o.index) == 0 {
		return 0
	}
	mask := len(o.index) - 1
	for i := int(id.Hash()) & mask; ; i = (i + 1) & mask {
		n := o.index[i]
		if n == 0 || o.nodes[n].id == id {
			return n
		}
	}
}

// add makes a node for an order that is not held, in no queue.
func (o *orders) add(id market.OrderID, side market.Side, p market.Price, z market.Size) uint32 {
	if (o.n+1)*8 > len(o.index)*5 {
		o.grow()
	}
	n := o.free
	if n != 0 && !o.loose {
		o.free = o.nodes[n].next
	} else {
		if len(o.nodes) == 0 {
			o.nodes = append(o.nodes, order{})
		}
		o.nodes = append(o.nodes, order{})
		n = uint32(len(o.nodes) - 1)
	}
	o.nodes[n] = order{id: id, side: side, price: p, size: z}
	o.place(n)
	o.n++
	return n
}

// place puts a node in the index.
func (o *orders) place(n uint32) {
	mask := len(o.index) - 1
	i := int(o.nodes[n].id.Hash()) & mask
	for o.index[i] != 0 {
		i = (i + 1) & mask
	}
	o.index[i] = n
}

func (o *orders) grow() {
	old := o.index
	o.index = make([]uint32, max(2*len(old), 64))
	for _, n := range old {
		if n != 0 {
			o.place(n)
		}
	}
}

// remove frees a node that stands in no queue.
func (o *orders) remove(n uint32) {
	mask := len(o.index) - 1
	i := int(o.nodes[n].id.Hash()) & mask
	for o.index[i] != n {
		i = (i + 1) & mask
	}
	// Those behind close up, so that none is cut off from where its hash leads.
	for j := (i + 1) & mask; o.index[j] != 0; j = (j + 1) & mask {
		home := int(o.nodes[o.index[j]].id.Hash()) & mask
		if (j-home)&mask >= (j-i)&mask {
			o.index[i] = o.index[j]
			i = j
		}
	}
	o.index[i] = 0
	o.n--
	o.nodes[n] = order{}
	if !o.loose {
		o.nodes[n].next = o.free
		o.free = n
	}
}

// join puts a node at the end of the queue at its price. It returns the level's new
// size, false if that would not fit.
func (o *orders) join(l *Ladder, n uint32) (market.Size, bool) {
	x := &o.nodes[n]
	x.prev, x.next = 0, 0
	i, ok := l.find(x.price)
	if !ok {
		l.levels = slices.Insert(l.levels, i, Level{x.price, x.size})
		l.queues = slices.Insert(l.queues, i, queue{n, n, 1})
		return x.size, true
	}
	lv, q := &l.levels[i], &l.queues[i]
	if lv.Size+x.size < 0 {
		return 0, false
	}
	lv.Size += x.size
	x.prev = q.tail
	o.nodes[q.tail].next = n
	q.tail = n
	q.count++
	return lv.Size, true
}

// leave takes a node out of its queue. It returns what is left at its price.
func (o *orders) leave(l *Ladder, n uint32) market.Size {
	x := &o.nodes[n]
	i, _ := l.find(x.price)
	q := &l.queues[i]
	if q.count == 1 {
		l.levels = append(l.levels[:i], l.levels[i+1:]...)
		l.queues = append(l.queues[:i], l.queues[i+1:]...)
		return 0
	}
	if x.prev != 0 {
		o.nodes[x.prev].next = x.next
	} else {
		q.head = x.next
	}
	if x.next != 0 {
		o.nodes[x.next].prev = x.prev
	} else {
		q.tail = x.prev
	}
	q.count--
	l.levels[i].Size -= x.size
	return l.levels[i].Size
}

// resize gives a node in its queue another size. It returns the level's, false if
// that would not fit.
func (o *orders) resize(l *Ladder, n uint32, z market.Size) (market.Size, bool) {
	x := &o.nodes[n]
	i, _ := l.find(x.price)
	lv := &l.levels[i]
	rest := lv.Size - x.size
	if rest+z < 0 {
		return 0, false
	}
	x.size = z
	lv.Size = rest + z
	return lv.Size, true
}

// drop frees the orders of a ladder's worst n levels, which are about to go.
func (o *orders) drop(l *Ladder, n int) {
	for _, q := range l.queues[:n] {
		for x := q.head; x != 0; {
			next := o.nodes[x].next
			o.remove(x)
			x = next
		}
	}
}

// forgetAside takes a node off the list of those that cross the book.
func (o *orders) forgetAside(n uint32) {
	o.asides = slices.DeleteFunc(o.asides, func(a asideOrder) bool { return a.node == n })
}

// build makes the queues, and the levels that they add up to, of an image whose
// orders have all come. It reports false if a level's size does not fit.
func (o *orders) build(bids, asks *Ladder, at int64) bool {
	bids.Clear()
	asks.Clear()
	o.loose, o.free = false, 0
	sorted := make([]uint32, 0, o.n)
	for i := len(o.nodes) - 1; i > 0; i-- {
		if o.nodes[i].size == 0 {
			o.nodes[i].next = o.free
			o.free = uint32(i)
		} else {
			sorted = append(sorted, uint32(i))
		}
	}
	// Worst price first, as in a ladder, and at each price who came first.
	slices.SortFunc(sorted, func(a, b uint32) int {
		x, y := &o.nodes[a], &o.nodes[b]
		switch {
		case x.side != y.side:
			return int(x.side) - int(y.side)
		case x.price == y.price:
			return int(a) - int(b)
		case (x.price < y.price) == (x.side == market.SideBid):
			return -1
		}
		return 1
	})
	for _, n := range sorted {
		l := bids
		if o.nodes[n].side == market.SideAsk {
			l = asks
		}
		if k := l.Len() - 1; k < 0 || l.levels[k].Price != o.nodes[n].price {
			l.levels = append(l.levels, Level{o.nodes[n].price, o.nodes[n].size})
			l.queues = append(l.queues, queue{n, n, 1})
			o.nodes[n].prev, o.nodes[n].next = 0, 0
			continue
		}
		if _, ok := o.join(l, n); !ok {
			return false
		}
	}
	if o.piecemeal {
		o.part(bids, asks, at)
	}
	return true
}

// part sets aside the newest of the orders of an image that cross each other.
func (o *orders) part(bids, asks *Ladder, at int64) {
	for bids.Len() > 0 && asks.Len() > 0 && bids.At(0).Price >= asks.At(0).Price {
		l, n := bids, bids.queues[bids.Len()-1].tail
		if a := asks.queues[asks.Len()-1].tail; a > n {
			l, n = asks, a
		}
		o.leave(l, n)
		o.nodes[n].aside = true
		o.asides = append(o.asides, asideOrder{n, at})
	}
	slices.SortFunc(o.asides, func(a, b asideOrder) int { return cmp.Compare(a.node, b.node) })
}

// ahead returns how many orders stand before a node in its queue, and their size.
func (o *orders) ahead(n uint32) (count int, size market.Size) {
	for x := o.nodes[n].prev; x != 0; x = o.nodes[x].prev {
		count++
		size += o.nodes[x].size
	}
	return count, size
}

// fits reports whether all its numbers can be converted to a finer scale.
func (o *orders) fits(from, to market.Scale) bool {
	for i := range o.nodes {
		if x := &o.nodes[i]; !(Level{x.price, x.size}).fits(from, to) {
			return false
		}
	}
	return true
}

// rescale converts all its numbers to a finer scale that they fit.
func (o *orders) rescale(from, to market.Scale) {
	for i := range o.nodes {
		rescalePrice(&o.nodes[i].price, from, to)
		rescaleSize(&o.nodes[i].size, from, to)
	}
}
