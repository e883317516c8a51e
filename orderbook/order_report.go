package orderbook

import (
	"context"
	"errors"
	"fmt"

	"github.com/quotewire/quotewire/market"
)

// OrderQuery says which resting orders of a venue are wanted.
type OrderQuery struct {
	Instrument market.InstrumentID
	Venue      market.VenueID
	// Side limits the answer to one side; SideNone is both.
	Side market.Side
	// Levels is how many of the best prices of a side are told; 0 is all.
	Levels int
	// Order, if not zero, asks for this order alone, wherever it stands.
	Order market.OrderID
}

// OrderPlace is a resting order and where it stands. Its numbers are at the
// report's Scale.
type OrderPlace struct {
	ID       market.OrderID
	Side     market.Side
	Price    market.Price
	Size     market.Size
	Position int         // orders before it at its price; 0 is the next to trade
	Ahead    market.Size // their size
	// Level is how many better prices there are on its side.
	Level int
}

// OrdersReport is the resting orders of a venue, of the book that is shown, or of
// another line where that one does not tell orders.
type OrdersReport struct {
	Feed   market.FeedID
	State  State
	Cause  Cause
	Scale  market.Scale
	Time   int64 // event time of the last message applied, ns since the Unix epoch
	Total  int   // orders held
	Orders []OrderPlace
}

// ErrNoOrders means that no feed tells the single orders of the venue's book.
var ErrNoOrders = errors.New("orderbook: no orders of this venue")

// Orders returns the resting orders of a venue, bids first, by price, then as they
// stand in their queues. An order that crosses the book for the moment is in no
// queue and not told. It fails with [ErrNoOrders].
func (s *Shard) Orders(q OrderQuery) (OrdersReport, error) {
	b := s.bookOfOrders(q)
	if b == nil {
		return OrdersReport{}, ErrNoOrders
	}
	r := OrdersReport{Feed: b.stats.Feed, Scale: b.in.upd.Scale, Time: b.at, Total: b.orders.n}
	r.State, r.Cause = b.told()
	if !q.Order.IsZero() {
		if n := b.orders.find(q.Order); n != 0 && !b.orders.nodes[n].aside {
			r.Orders = append(r.Orders, b.placeOf(n))
		}
		return r, nil
	}
	for _, l := range [2]*Ladder{&b.bids, &b.asks} {
		if q.Side != market.SideNone && q.Side != l.side {
			continue
		}
		n := l.Len()
		if q.Levels > 0 {
			n = min(n, q.Levels)
		}
		for level := range n {
			queue := l.queues[l.Len()-1-level]
			p := OrderPlace{Side: l.side, Price: l.At(level).Price, Level: level}
			for x := queue.head; x != 0; x = b.orders.nodes[x].next {
				p.ID, p.Size = b.orders.nodes[x].id, b.orders.nodes[x].size
				r.Orders = append(r.Orders, p)
				p.Position++
				p.Ahead += p.Size
			}
		}
	}
	return r, nil
}

// bookOfOrders returns the venue's book that tells orders, nil if there is none.
func (s *Shard) bookOfOrders(q OrderQuery) (found *book) {
	if int(q.Instrument) >= len(s.instruments) || s.instruments[q.Instrument] == nil {
		return nil
	}
	for _, v := range s.instruments[q.Instrument].venues {
		if v.id != q.Venue {
			continue
		}
		if v.shown != nil && v.shown.orders != nil {
			return v.shown
		}
		for _, b := range v.books {
			if b.orders != nil && (found == nil || b.live() && !found.live()) {
				found = b
			}
		}
	}
	return found
}

// placeOf tells where an order stands that is in a queue.
func (b *book) placeOf(n uint32) OrderPlace {
	x := &b.orders.nodes[n]
	l := b.ladder(x.side)
	i, _ := l.find(x.price)
	p := OrderPlace{ID: x.id, Side: x.side, Price: x.price, Size: x.size, Level: l.Len() - 1 - i}
	p.Position, p.Ahead = b.orders.ahead(n)
	return p
}

// Orders asks the instrument's shard for [Shard.Orders], as of all that was
// submitted before. It needs Run to be running.
func (e *Engine) Orders(ctx context.Context, q OrderQuery) (OrdersReport, error) {
	type answer struct {
		report OrdersReport
		err    error
	}
	answers := make(chan answer, 1)
	call := func(s *Shard) {
		r, err := s.Orders(q)
		answers <- answer{r, err}
	}
	home := e.shards[int(q.Instrument)%len(e.shards)]
	err := home.send(ctx, &Batch{call: call})
	if err == nil {
		select {
		case a := <-answers:
			return a.report, a.err
		case <-ctx.Done():
			err = ctx.Err()
		case <-home.done:
			err = ErrStopped
		}
	}
	return OrdersReport{}, fmt.Errorf("ask for orders: %w", err)
}
