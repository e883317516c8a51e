package orderbook

import "github.com/quotewire/quotewire/market"

// order applies one order to the message under way.
func (s *Shard) order(b *book, e *market.Event) {
	b.levels = true
	b.in.open(b)
	if !b.inSnapshot && !b.kept() {
		b.stats.Ignored++
		return
	}
	id := e.Order()
	o := b.ordersFor()
	if o == nil || id.IsZero() || e.Size < 0 {
		b.refuse()
		return
	}
	if e.Flags&market.FlagPiecemeal != 0 {
		o.piecemeal = true
	}
	n := o.find(id)
	switch e.Action {
	case market.OrderAdd, market.OrderChange, market.OrderRequeue:
		if n == 0 && e.Action != market.OrderAdd {
			return
		}
		price, size, ok := b.in.fit(e.Price, e.Size, e)
		if !ok || e.Action == market.OrderAdd && (size == 0 || e.Side != market.SideBid && e.Side != market.SideAsk) {
			b.refuse()
			return
		}
		b.noteDigits(e.PriceDecimals, e.SizeDecimals)
		if e.Action == market.OrderAdd {
			b.addOrder(o, n, id, e.Side, price, size, e.Received)
		} else {
			b.changeOrder(o, n, price, size, e.Action == market.OrderRequeue, e.Received)
		}
	case market.OrderReduce:
		if n == 0 {
			return
		}
		_, size, ok := b.in.fit(0, e.Size, e)
		if !ok || size > o.nodes[n].size {
			b.refuse()
			return
		}
		b.changeOrder(o, n, o.nodes[n].price, o.nodes[n].size-size, false, e.Received)
	case market.OrderDelete:
		if n != 0 {
			b.removeOrder(o, n)
		}
	default:
		b.refuse()
	}
}

// ordersFor returns the orders that the message under way changes, nil if the book
// is one of levels.
func (b *book) ordersFor() *orders {
	if b.inSnapshot {
		if !b.imageOfOrders {
			if b.next[0].Len() > 0 || b.next[1].Len() > 0 {
				return nil
			}
			if b.nextOrders == nil {
				b.nextOrders = newOrders()
			}
			b.nextOrders.clear()
			b.nextOrders.loose = true
			b.imageOfOrders = true
		}
		return b.nextOrders
	}
	if b.orders == nil && b.bids.Len() == 0 && b.asks.Len() == 0 {
		b.orders = newOrders()
	}
	return b.orders
}

// addOrder puts an order behind the others at its price.
func (b *book) addOrder(o *orders, n uint32, id market.OrderID, side market.Side, p market.Price, z market.Size, at int64) {
	if n != 0 {
		if x := &o.nodes[n]; x.side == side && x.price == p {
			b.changeOrder(o, n, p, z, false, at)
			return
		}
		b.removeOrder(o, n)
	}
	b.queueOrder(o, o.add(id, side, p, z), at)
}

// queueOrder puts a node that stands in no queue where it belongs.
func (b *book) queueOrder(o *orders, n uint32, at int64) {
	x := &o.nodes[n]
	if o.loose {
		return
	}
	if o.piecemeal && b.crosses(x.side, x.price) {
		x.aside = true
		o.asides = append(o.asides, asideOrder{n, at})
		return
	}
	level, ok := o.join(b.ladder(x.side), n)
	b.noteOrder(x, level, ok)
}

// noteOrder records what an order makes of its level, if that fits.
func (b *book) noteOrder(x *order, level market.Size, ok bool) {
	if !ok {
		b.refuse()
		return
	}
	b.note(x.side, x.price, level)
}

// crosses reports whether an order would trade at once with what stands on the
// other side.
func (b *book) crosses(side market.Side, p market.Price) bool {
	best, ok := b.ladder(side.Opposite()).Best()
	if !ok {
		return false
	}
	if side == market.SideBid {
		return p >= best.Price
	}
	return p <= best.Price
}

// changeOrder gives an order another size, and another price, at which it is the
// last. With requeue it is that at any rate.
func (b *book) changeOrder(o *orders, n uint32, p market.Price, z market.Size, requeue bool, at int64) {
	x := &o.nodes[n]
	switch {
	case z == 0:
		b.removeOrder(o, n)
	case x.price != p || requeue:
		id, side := x.id, x.side
		b.removeOrder(o, n)
		b.queueOrder(o, o.add(id, side, p, z), at)
	case o.loose || x.aside:
		x.size = z
	case x.size != z:
		level, ok := o.resize(b.ladder(x.side), n, z)
		b.noteOrder(x, level, ok)
	}
}

// removeOrder takes an order out of the book.
func (b *book) removeOrder(o *orders, n uint32) {
	x := &o.nodes[n]
	switch {
	case o.loose:
	case x.aside:
		o.forgetAside(n)
	default:
		side, p := x.side, x.price
		b.note(side, p, o.leave(b.ladder(side), n))
	}
	o.remove(n)
}

// settleOrders ends a message of orders. In an image they get their queues; else
// those that no longer cross the book join it. It reports whether the whole fits.
func (b *book) settleOrders(at int64) bool {
	if b.inSnapshot {
		return !b.imageOfOrders || b.nextOrders.build(&b.next[0], &b.next[1], at)
	}
	o := b.orders
	if o == nil || len(o.asides) == 0 {
		return true
	}
	kept := o.asides[:0]
	for _, a := range o.asides {
		if x := &o.nodes[a.node]; b.crosses(x.side, x.price) {
			kept = append(kept, a)
		} else {
			x.aside = false
			level, ok := o.join(b.ladder(x.side), a.node)
			b.noteOrder(x, level, ok)
		}
	}
	o.asides = kept
	return !b.unsound
}

// stuck reports whether an order crosses the book for longer than it can.
func (b *book) stuck(at int64) bool {
	return !b.inSnapshot && !b.halted && b.orders != nil && len(b.orders.asides) > 0 && at-b.orders.asides[0].since > asideWait
}

// isOfOrders reports whether the message under way is about a book of orders.
func (b *book) isOfOrders() bool {
	if b.inSnapshot {
		return b.imageOfOrders
	}
	return b.orders != nil
}
