package sim

import "strconv"

// Venues that show their books order by order have orders behind their levels, from
// the moment when somebody asks for them: what a level holds is what its orders
// add up to, and nothing else about the book changes, but that a taker then prints
// once for each order that it meets.

// restingOrder is one order in a queue.
type restingOrder struct {
	id   uint64
	size int64
	time int64 // since when it has its place, ns
}

// What can happen to an order.
type orderEventKind int

const (
	orderReceived orderEventKind = iota // the taker's order came
	orderOpened                         // it rests, at the end of the queue
	orderChanged                        // its size; it keeps its place
	orderEnlarged                       // its size; it goes to the end of the queue
	orderMatched                        // the maker's order traded
	orderDone                           // it is gone: filled, or withdrawn
)

// orderEvent is one thing that happened to an order.
type orderEvent struct {
	kind    orderEventKind
	bid     bool
	id      uint64
	price   int64
	size    int64 // left; of orderReceived that it will take, of orderMatched that traded
	old     int64 // orderChanged, orderEnlarged: before
	initial int64 // what it had to begin with, as far as is known
	filled  bool  // orderDone
	taker   bool  // orderReceived, orderDone: it never rested
	trade   trade // orderMatched
	seq     int64 // Coinbase's
}

// bookOrders is the orders behind a venue's levels.
type bookOrders struct {
	v      *venue
	rnd    random
	next   uint64
	queues map[levelKey][]restingOrder
	events []orderEvent // of the change under way
}

// showOrders puts orders behind the venue's levels, once.
func (v *venue) showOrders() *bookOrders {
	if v.orders != nil {
		return v.orders
	}
	o := &bookOrders{v: v, rnd: newRandom(v.hash, "orders"), queues: map[levelKey][]restingOrder{}}
	v.orders = o
	seq := v.seq // what was there before is no news
	for _, l := range []*ladder{&v.bids, &v.asks} {
		for _, lv := range l.lv {
			left := lv.size
			for left > 0 {
				size := left
				if o.rnd.chance(0.6) && left > 1 {
					size = 1 + o.rnd.Int64N(left)
				}
				o.add(levelKey{l.bid, lv.price}, size, v.lastEvent)
				left -= size
			}
		}
	}
	o.events, v.seq = o.events[:0], seq
	return o
}

// number gives an order its number, which no other order of the venue has.
func (o *bookOrders) number() uint64 {
	o.next++
	return mix(o.v.hash ^ o.next)
}

// tell notes an event, with Coinbase's number.
func (o *bookOrders) tell(e orderEvent) {
	o.v.seq++
	e.seq = o.v.seq
	o.events = append(o.events, e)
}

func (o *bookOrders) add(k levelKey, size, at int64) {
	id := o.number()
	o.queues[k] = append(o.queues[k], restingOrder{id, size, at})
	o.tell(orderEvent{kind: orderReceived, bid: k.bid, id: id, price: k.price, size: size, initial: size})
	o.tell(orderEvent{kind: orderOpened, bid: k.bid, id: id, price: k.price, size: size, initial: size})
}

// remove takes the i-th order of a queue out.
func (o *bookOrders) remove(k levelKey, i int, filled bool) {
	q := o.queues[k]
	x := q[i]
	if filled {
		x.size = 0
	}
	o.tell(orderEvent{kind: orderDone, bid: k.bid, id: x.id, price: k.price, size: x.size, initial: x.size, filled: filled})
	if q = append(q[:i:i], q[i+1:]...); len(q) == 0 {
		delete(o.queues, k)
	} else {
		o.queues[k] = q
	}
}

// resize makes the orders at a price add up to a size.
func (o *bookOrders) resize(bid bool, price, size int64) {
	k := levelKey{bid, price}
	have := int64(0)
	for _, x := range o.queues[k] {
		have += x.size
	}
	for size == 0 && len(o.queues[k]) > 0 {
		o.remove(k, 0, false)
	}
	for have > size && size > 0 {
		q := o.queues[k]
		i := int(o.rnd.Int64N(int64(len(q))))
		if q[i].size <= have-size {
			have -= q[i].size
			o.remove(k, i, false)
			continue
		}
		old := q[i].size
		q[i].size -= have - size
		have = size
		o.tell(orderEvent{kind: orderChanged, bid: bid, id: q[i].id, price: price, size: q[i].size, old: old, initial: old})
	}
	for have < size {
		q := o.queues[k]
		if o.v.spec.Venue == Coinbase && len(q) > 0 && o.rnd.chance(0.1) {
			// Its owner makes an order larger, which costs it its place.
			i := int(o.rnd.Int64N(int64(len(q))))
			x := q[i]
			old := x.size
			x.size, x.time = x.size+size-have, o.v.change.time
			o.queues[k] = append(append(q[:i:i], q[i+1:]...), x)
			have = size
			o.tell(orderEvent{kind: orderEnlarged, bid: bid, id: x.id, price: price, size: x.size, old: old, initial: x.size})
			continue
		}
		n := size - have
		if n > 1 && o.rnd.chance(0.3) {
			n = 1 + o.rnd.Int64N(n)
		}
		o.add(k, n, o.v.change.time)
		have += n
	}
}

// begin tells that a taker's order came; what it takes is known at its end.
func (o *bookOrders) begin(buy bool) (at int, id uint64) {
	id = o.number()
	o.tell(orderEvent{kind: orderReceived, bid: buy, id: id, taker: true})
	return len(o.events) - 1, id
}

// fill lets the first order of a queue trade n, and returns it.
func (o *bookOrders) fill(k levelKey, n int64) (maker uint64) {
	x := &o.queues[k][0]
	x.size -= n
	o.tell(orderEvent{kind: orderMatched, bid: k.bid, id: x.id, price: k.price, size: n, old: x.size})
	return x.id
}

// filled removes the first order of a queue if nothing is left of it.
func (o *bookOrders) filled(k levelKey) {
	if o.queues[k][0].size == 0 {
		o.remove(k, 0, true)
	}
}

// end tells that a taker's order is done, which took so much up to a price.
func (o *bookOrders) end(at int, id uint64, taken, price int64) {
	e := &o.events[at]
	e.size, e.initial, e.price = taken, taken, price
	o.tell(orderEvent{kind: orderDone, bid: e.bid, id: id, price: price, initial: taken, filled: true, taker: true})
}

// appendCode spells an order's number as Kraken does: OXXXXX-XXXXX-XXXXXX.
func appendCode(b []byte, id uint64) []byte {
	text := strconv.FormatUint(id, 36)
	b = append(b, 'O')
	for i := range 16 {
		if i == 5 || i == 10 {
			b = append(b, '-')
		}
		c := byte('0')
		if i < len(text) {
			c = text[i]
		}
		if c >= 'a' {
			c -= 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
