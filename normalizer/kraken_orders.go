package normalizer

import "github.com/quotewire/quotewire/market"

// Kraken shows a book in one of two channels, as levels (book) or as orders
// (level3). Both are read alike: an image, then changes, each with a checksum.

// krakenBook is which of them a pair's book comes over on a connection.
type krakenBook uint8

const (
	krakenNone krakenBook = iota
	krakenLevels
	krakenOrders
)

// krakenBookOf returns which book a channel carries.
func krakenBookOf(channel []byte) krakenBook {
	switch string(channel) {
	case "book":
		return krakenLevels
	case "level3":
		return krakenOrders
	}
	return krakenNone
}

// prices returns the number of different prices of an image's orders, which come
// price by price.
func prices(events []market.Event) (n int) {
	for i := range events {
		if i == 0 || events[i].Price != events[i-1].Price || events[i].PriceDecimals != events[i-1].PriceDecimals {
			n++
		}
	}
	return n
}

// orders reads an array of orders: what happened to each of them, in an image its
// place in the queue. It returns the latest of their times too, because level3
// messages may have none of their own.
func (d *kraken) orders(dst []market.Event, side market.Side, snapshot bool) (_ []market.Event, newest int64, why *fault) {
	s := &d.s
	if s.peek() != '[' {
		return dst, 0, d.blame(CauseBadValue, "orders", s.value())
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			why = first(why, d.blame(CauseBadValue, "order", s.value()))
			continue
		}
		s.open('{')
		var event, id, price, qty, timestamp span
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "event":
				event = v
			case "order_id":
				id = v
			case "limit_price":
				price = v
			case "order_qty":
				qty = v
			case "timestamp":
				timestamp = v
			}
		}
		if s.bad {
			break
		}
		if why != nil {
			continue
		}
		action := market.OrderAdd
		if !snapshot {
			action, why = d.orderAction(event)
		}
		switch {
		case why != nil:
		case action == market.OrderDelete:
			dst, why = d.deletion(dst, side, id)
		default:
			dst, why = d.order(dst, action, side, price, qty, id)
		}
		if timestamp.kind != absent && why == nil {
			b, _ := s.str(timestamp)
			at, ok := parseTime(b)
			if !ok {
				why = d.blame(CauseBadNumber, "timestamp", timestamp)
			}
			newest = max(newest, at)
		}
	}
	return dst, newest, why
}

// orderAction reads what happened to an order. One that is modified keeps its
// place.
func (d *kraken) orderAction(v span) (market.OrderAction, *fault) {
	b, ok := d.s.str(v)
	switch {
	case !ok:
		return 0, d.blame(CauseMissingField, "event", v)
	case string(b) == "add":
		return market.OrderAdd, nil
	case string(b) == "modify":
		return market.OrderChange, nil
	case string(b) == "delete":
		return market.OrderDelete, nil
	}
	return 0, d.blame(CauseBadValue, "event", v)
}
