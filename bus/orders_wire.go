package bus

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// appendOrders appends a report as busv1.Orders; feed is the name of its feed.
// Orders that stand one behind the other go as one queue, of which only the first
// says where it stands: a book may have a hundred thousand orders.
func appendOrders(b []byte, feed string, r *orderbook.OrdersReport) []byte {
	b = appendString(b, 3, feed)
	b = appendUint(b, 4, uint64(r.State))
	b = appendUint(b, 5, uint64(r.Cause))
	b = appendUint(b, 6, uint64(r.Scale.Price))
	b = appendUint(b, 7, uint64(r.Scale.Size))
	b = appendFixed(b, 8, uint64(r.Time))
	b = appendUint(b, 9, uint64(r.Total))
	for rest := r.Orders; len(rest) > 0; {
		n := queueLength(rest)
		b = appendQueue(b, rest[:n])
		rest = rest[n:]
	}
	return b
}

// queueLength is how many orders from the first on stand one behind the other.
func queueLength(orders []orderbook.OrderPlace) int {
	for i := 1; i < len(orders); i++ {
		was, o := &orders[i-1], &orders[i]
		if o.Side != was.Side || o.Level != was.Level || o.Price != was.Price ||
			o.Position != was.Position+1 || o.Ahead != was.Ahead+was.Size {
			return i
		}
	}
	return len(orders)
}

func appendQueue(b []byte, orders []orderbook.OrderPlace) []byte {
	b, at := open(b, 10)
	first := &orders[0]
	b = appendUint(b, 1, uint64(first.Side))
	b = appendUint(b, 2, uint64(first.Level))
	b = appendInt(b, 3, int64(first.Price))
	b = appendUint(b, 4, uint64(first.Position))
	b = appendInt(b, 5, int64(first.Ahead))
	b, sizes := open(b, 6)
	for i := range orders {
		b = protowire.AppendVarint(b, protowire.EncodeZigZag(int64(orders[i].Size)))
	}
	b = closeField(b, sizes)
	for i := range orders {
		var id int
		b, id = open(b, 7)
		b = orders[i].ID.Append(b)
		b = closeField(b, id)
	}
	return closeField(b, at)
}

// ordersAnswer is a busv1.Orders as it was read; its texts are parts of the
// message.
type ordersAnswer struct {
	outcome      busv1.OrdersOutcome
	detail, feed []byte
	report       orderbook.OrdersReport // without Feed
}

func decodeOrders(b []byte) (a ordersAnswer, err error) {
	r := &a.report
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			if a.outcome = busv1.OrdersOutcome(f.enum()); busv1.OrdersOutcome_name[int32(a.outcome)] == "" {
				a.outcome = busv1.OrdersOutcome_ORDERS_OUTCOME_FAILED
			}
		case 2:
			a.detail = f.bytes()
		case 3:
			a.feed = f.bytes()
		case 4:
			r.State = f.state()
		case 5:
			r.Cause = f.cause()
		case 6:
			r.Scale.Price = f.decimals()
		case 7:
			r.Scale.Size = f.decimals()
		case 8:
			r.Time = int64(f.fixed())
		case 9:
			r.Total = f.count()
		case 10:
			f.sub(decodeQueue(f.bytes(), r))
		default:
			f.skip()
		}
	}
	return a, f.err
}

// decodeQueue appends the orders of a queue to the report.
func decodeQueue(b []byte, r *orderbook.OrdersReport) error {
	var o orderbook.OrderPlace
	var sizes []int64
	from := len(r.Orders)
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			o.Side = f.side()
		case 2:
			o.Level = f.count()
		case 3:
			o.Price = market.Price(f.int())
		case 4:
			o.Position = f.count()
		case 5:
			o.Ahead = f.size()
		case 6:
			sizes = f.ints(sizes)
		case 7:
			id, ok := market.ParseOrderID(f.bytes())
			if !ok {
				f.fail("orders: no venue names an order like this")
			}
			r.Orders = append(r.Orders, orderbook.OrderPlace{ID: id})
		default:
			f.skip()
		}
	}
	if f.err != nil {
		return f.err
	}
	if o.Side == market.SideNone || len(sizes) != len(r.Orders)-from {
		return malformed("orders: no side, or sizes and identifiers differ in number")
	}
	for i, size := range sizes {
		if size < 0 || o.Ahead+market.Size(size) < o.Ahead {
			return malformed("orders: negative size, or more ahead than a number holds")
		}
		o.ID, o.Size = r.Orders[from+i].ID, market.Size(size)
		r.Orders[from+i] = o
		o.Position++
		o.Ahead += o.Size
	}
	return nil
}
