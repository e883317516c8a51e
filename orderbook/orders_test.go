package orderbook

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// ordersModel says in the plainest words what a book of orders holds: lists and
// decimals, searched from end to end.
type ordersModel struct {
	live      bool
	depth     int
	piecemeal bool
	orders    []modelOrder // at each price as they stand in the queue
}

type modelOrder struct {
	id          market.OrderID
	side        market.Side
	price, size decimal.Decimal
	aside       bool
}

// better reports whether a comes before b on the side.
func better(side market.Side, a, b decimal.Decimal) bool {
	if side == market.SideBid {
		return a.GreaterThan(b)
	}
	return a.LessThan(b)
}

// prices returns the prices of a side at which orders stand, best first.
func (m *ordersModel) prices(side market.Side) (out []decimal.Decimal) {
	for _, o := range m.orders {
		if o.side == side && !o.aside && !slices.ContainsFunc(out, o.price.Equal) {
			out = append(out, o.price)
		}
	}
	slices.SortFunc(out, func(a, b decimal.Decimal) int {
		if better(side, a, b) {
			return -1
		}
		return 1
	})
	return out
}

func (m *ordersModel) crosses(o modelOrder) bool {
	other := m.prices(o.side.Opposite())
	return len(other) > 0 && (o.price.Equal(other[0]) || better(o.side, o.price, other[0]))
}

// message applies the events of one message and returns whether the book is sound
// after it.
func (m *ordersModel) message(events []market.Event) bool {
	snapshot := events[0].Kind == market.KindClear
	if snapshot {
		m.orders, m.live, m.depth = nil, true, int(events[0].Depth)
	}
	for i := range events {
		e := &events[i]
		if e.Kind != market.KindOrder {
			continue
		}
		price := decimal.New(int64(e.Price), -int32(e.PriceDecimals))
		size := decimal.New(int64(e.Size), -int32(e.SizeDecimals))
		at := slices.IndexFunc(m.orders, func(o modelOrder) bool { return o.id == e.Order() })
		remove := func() { m.orders = slices.Delete(m.orders, at, at+1) }
		put := func(o modelOrder) {
			o.aside = m.piecemeal && !snapshot && m.crosses(o)
			m.orders = append(m.orders, o)
		}
		switch e.Action {
		case market.OrderAdd:
			o := modelOrder{id: e.Order(), side: e.Side, price: price, size: size}
			switch {
			case at >= 0 && m.orders[at].side == o.side && m.orders[at].price.Equal(price):
				m.orders[at].size = size
				continue
			case at >= 0:
				remove()
			}
			put(o)
		case market.OrderChange, market.OrderRequeue:
			if at < 0 {
				continue
			}
			o := m.orders[at]
			switch {
			case size.IsZero():
				remove()
			case o.price.Equal(price) && e.Action == market.OrderChange:
				m.orders[at].size = size
			default:
				remove()
				o.price, o.size, o.aside = price, size, false
				put(o)
			}
		case market.OrderReduce:
			if at < 0 {
				continue
			}
			if m.orders[at].size = m.orders[at].size.Sub(size); m.orders[at].size.IsNegative() {
				return false
			} else if m.orders[at].size.IsZero() {
				remove()
			}
		case market.OrderDelete:
			if at >= 0 {
				remove()
			}
		}
	}
	if m.piecemeal && snapshot {
		// Of those that cross in an image the newest stands aside.
		for {
			bids, asks := m.prices(market.SideBid), m.prices(market.SideAsk)
			if len(bids) == 0 || len(asks) == 0 || bids[0].LessThan(asks[0]) {
				break
			}
			for i := len(m.orders) - 1; i >= 0; i-- {
				if o := &m.orders[i]; !o.aside && (o.side == market.SideBid && o.price.Equal(bids[0]) || o.side == market.SideAsk && o.price.Equal(asks[0])) {
					o.aside = true
					break
				}
			}
		}
	} else {
		var asides []modelOrder
		for _, o := range m.orders {
			if o.aside {
				asides = append(asides, o)
			}
		}
		for _, o := range asides {
			if !m.crosses(o) {
				m.orders = slices.DeleteFunc(m.orders, func(x modelOrder) bool { return x.id == o.id })
				o.aside = false
				m.orders = append(m.orders, o)
			}
		}
	}
	for _, side := range []market.Side{market.SideBid, market.SideAsk} {
		if p := m.prices(side); m.depth > 0 && len(p) > m.depth {
			m.orders = slices.DeleteFunc(m.orders, func(o modelOrder) bool {
				return o.side == side && !o.aside && better(side, p[m.depth-1], o.price)
			})
		}
	}
	bids, asks := m.prices(market.SideBid), m.prices(market.SideAsk)
	return len(bids) == 0 || len(asks) == 0 || bids[0].LessThanOrEqual(asks[0])
}

// places returns what a report should tell.
func (m *ordersModel) places() (out []string) {
	for _, side := range []market.Side{market.SideBid, market.SideAsk} {
		for level, p := range m.prices(side) {
			position, ahead := 0, decimal.Zero
			for _, o := range m.orders {
				if o.side == side && o.price.Equal(p) && !o.aside {
					out = append(out, fmt.Sprintln(o.id, side, p, o.size, position, ahead, level))
					position++
					ahead = ahead.Add(o.size)
				}
			}
		}
	}
	return out
}

// checksum is Kraken's, at four decimals.
func (m *ordersModel) checksum() uint32 {
	var text strings.Builder
	for _, side := range []market.Side{market.SideAsk, market.SideBid} {
		for _, p := range m.prices(side)[:min(len(m.prices(side)), 10)] {
			for _, o := range m.orders {
				if o.side == side && o.price.Equal(p) && !o.aside {
					for _, n := range []decimal.Decimal{p, o.size} {
						text.WriteString(strings.TrimLeft(strings.ReplaceAll(n.StringFixed(4), ".", ""), "0"))
					}
				}
			}
		}
	}
	return crc32.ChecksumIEEE([]byte(text.String()))
}

func showPlace(p OrderPlace, s market.Scale) string {
	d := func(m int64, n market.Decimals) decimal.Decimal { return decimal.New(m, -int32(n)) }
	return fmt.Sprintln(p.ID, p.Side, d(int64(p.Price), s.Price), d(int64(p.Size), s.Size), p.Position, d(int64(p.Ahead), s.Size), p.Level)
}

// drawOrders draws one message about orders.
func drawOrders(t *rapid.T, m *ordersModel, now int64, checksums bool) []market.Event {
	head := market.Event{Feed: 1, Venue: 1, Instrument: 1, Time: now, Received: now}
	if m.piecemeal {
		head.Flags = market.FlagPiecemeal
	}
	var events []market.Event
	add := func(k market.Kind) *market.Event {
		e := head
		e.Kind = k
		events = append(events, e)
		return &events[len(events)-1]
	}
	n := rapid.IntRange(1, 4).Draw(t, "orders")
	if !m.live || rapid.IntRange(0, 19).Draw(t, "image") == 0 {
		head.Flags |= market.FlagSnapshot
		e := add(market.KindClear)
		e.Depth = rapid.SampledFrom([]uint16{0, 0, 2, 4}).Draw(t, "depth")
		if m.piecemeal {
			e.Depth = 0
		}
		n = rapid.IntRange(0, 12).Draw(t, "in image")
	}
	for range n {
		e := add(market.KindOrder)
		id, _ := market.ParseOrderID(fmt.Sprintf("O%d", rapid.IntRange(1, 24).Draw(t, "id")))
		e.SetOrder(id)
		e.Side = rapid.SampledFrom([]market.Side{market.SideBid, market.SideAsk}).Draw(t, "side")
		held := slices.IndexFunc(m.orders, func(o modelOrder) bool { return o.id == id })
		e.Action = rapid.SampledFrom([]market.OrderAction{market.OrderAdd, market.OrderAdd, market.OrderAdd, market.OrderChange,
			market.OrderRequeue, market.OrderReduce, market.OrderDelete}).Draw(t, "action")
		if held >= 0 && e.Action != market.OrderAdd {
			e.Side = m.orders[held].side
		}
		drawNumbers(t, e, e.Side)
		switch {
		case (e.Action == market.OrderChange || e.Action == market.OrderRequeue) && rapid.IntRange(0, 4).Draw(t, "to nothing") == 0:
			e.Size = 0
		case e.Action == market.OrderReduce && rapid.IntRange(0, 19).Draw(t, "too much") > 0:
			// Mostly a part of what is there.
			e.Size, e.SizeDecimals = 1, 4
			if held >= 0 && rapid.Bool().Draw(t, "all") {
				e.Size = market.Size(m.orders[held].size.Shift(4).IntPart())
			}
		}
	}
	if checksums {
		e := add(market.KindChecksum)
		e.Checksum = market.ChecksumOrders
	}
	events[len(events)-1].Flags |= market.FlagLast
	return events
}

// TestOrdersEqualModel: after every message the orders of a book, their places in
// the queues and the levels that they add up to are those of the model; a message
// that makes no sense takes the book out of use until the next image; and what the
// updates tell is what the ladders hold (rig).
func TestOrdersEqualModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &ordersModel{piecemeal: rapid.IntRange(0, 2).Draw(t, "piecemeal") == 0}
		checksums := !m.piecemeal && rapid.Bool().Draw(t, "checksums")
		r := newRig(t, Config{})
		r.shard.Apply([]market.Event{{Kind: market.KindInstrument, Feed: 1, Venue: 1, Instrument: 1, PriceDecimals: 4, SizeDecimals: 4}})
		for i := range rapid.IntRange(1, 80).Draw(t, "messages") {
			now := int64(i + 1)
			if m.live && rapid.IntRange(0, 29).Draw(t, "gap") == 0 {
				r.apply([]market.Event{{Kind: market.KindGap, Flags: market.FlagLast, Feed: 1, Venue: 1, Instrument: 1, Received: now}})
				m.live, m.orders = false, nil
			}
			events := drawOrders(t, m, now, checksums)
			sound := m.message(events)
			if checksums && sound {
				e := &events[len(events)-1]
				if e.Sequence = uint64(m.checksum()); rapid.IntRange(0, 19).Draw(t, "corrupt") == 0 {
					e.Sequence ^= 1
					sound = false
				}
			}
			r.apply(events)
			if r.err != nil {
				t.Fatal(r.err)
			}
			if !sound {
				m.live, m.orders = false, nil
			}
			b := r.shard.instruments[1].venues[0].books[0]
			if b.live() != m.live {
				t.Fatalf("book is %v %v, want live %v", b.stats.State, b.stats.Cause, m.live)
			}
			if err := compareOrders(r.shard, b, m); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func compareOrders(s *Shard, b *book, m *ordersModel) error {
	if err := checkOrders(b); err != nil {
		return err
	}
	rep, err := s.Orders(OrderQuery{Instrument: 1, Venue: 1})
	if b.orders == nil {
		if len(m.orders) > 0 || err != ErrNoOrders {
			return fmt.Errorf("no orders (%v), want %d", err, len(m.orders))
		}
		return nil
	}
	if err != nil || rep.Total != len(m.orders) {
		return fmt.Errorf("%d orders, %v, want %d", rep.Total, err, len(m.orders))
	}
	var got []string
	for _, p := range rep.Orders {
		got = append(got, showPlace(p, rep.Scale))
		one, err := s.Orders(OrderQuery{Instrument: 1, Venue: 1, Order: p.ID})
		if err != nil || len(one.Orders) != 1 || one.Orders[0] != p {
			return fmt.Errorf("asked for %v: %+v, %v, want %+v", p.ID, one.Orders, err, p)
		}
	}
	if want := m.places(); strings.Join(got, "") != strings.Join(want, "") {
		return fmt.Errorf("orders are\n%swant\n%s", strings.Join(got, ""), strings.Join(want, ""))
	}
	return nil
}

// checkOrders holds a book of orders against itself: the levels are the sums of
// their queues, and every node is free, or in one queue, or aside.
func checkOrders(b *book) error {
	o := b.orders
	if o == nil {
		return nil
	}
	seen := make([]bool, len(o.nodes))
	mark := func(n uint32) error {
		if seen[n] {
			return fmt.Errorf("node %d is in two places", n)
		}
		seen[n] = true
		return nil
	}
	held := 0
	for _, l := range []*Ladder{&b.bids, &b.asks} {
		if len(l.queues) != len(l.levels) {
			return fmt.Errorf("%d levels, %d queues", len(l.levels), len(l.queues))
		}
		for i, q := range l.queues {
			sum, count, before := market.Size(0), uint32(0), uint32(0)
			for n := q.head; n != 0; n = o.nodes[n].next {
				x := &o.nodes[n]
				if x.price != l.levels[i].Price || x.side != l.side || x.prev != before || x.aside || x.size <= 0 || o.find(x.id) != n {
					return fmt.Errorf("node %d %+v does not belong to level %v", n, x, l.levels[i])
				}
				if err := mark(n); err != nil {
					return err
				}
				sum, count, before = sum+x.size, count+1, n
			}
			if sum != l.levels[i].Size || count != q.count || before != q.tail || count == 0 {
				return fmt.Errorf("level %v has %d orders of %d in queue %+v", l.levels[i], count, sum, q)
			}
			held += int(count)
		}
	}
	for _, a := range o.asides {
		if !o.nodes[a.node].aside || o.find(o.nodes[a.node].id) != a.node {
			return fmt.Errorf("node %d is not aside", a.node)
		}
		if err := mark(a.node); err != nil {
			return err
		}
		held++
	}
	for n := o.free; n != 0; n = o.nodes[n].next {
		if err := mark(n); err != nil {
			return err
		}
	}
	for n := 1; n < len(seen); n++ {
		if !seen[n] {
			return fmt.Errorf("node %d is lost", n)
		}
	}
	used := 0
	for _, n := range o.index {
		if n != 0 {
			used++
		}
	}
	if held != o.n || used != o.n {
		return fmt.Errorf("%d orders, %d in their places, %d in the index", o.n, held, used)
	}
	return nil
}
