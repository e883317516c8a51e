package sim

import "fmt"

// onOrders tells what happened to the orders of a pair, each by a message of its own
// with the identifier of the one before it, at times cut to milliseconds. A taker's
// order is told before what it trades.
func (p *bitstamp) onOrders(t *tracked, ch *change) {
	channel := "live_orders_" + t.id
	to := p.wanting(channel)
	for i := range t.v.orders.events {
		e := &t.v.orders.events[i]
		var event string
		size := e.size
		switch e.kind {
		case orderReceived:
			if !e.taker {
				continue // orderOpened follows
			}
			event = "order_created"
		case orderOpened:
			event = "order_created"
		case orderMatched:
			// What is left of the maker's order; where that is nothing its end follows.
			if size = e.old; size == 0 {
				continue
			}
			event = "order_changed"
		case orderChanged, orderEnlarged:
			event = "order_changed"
		case orderDone:
			event = "order_deleted"
		}
		micros := ch.time / 1e6 * 1e3
		before := p.chain[t]
		p.events++
		// By the venue's clock, which Skew cannot see in this spelling.
		by := micros + p.s.faults.skew/1e6*1e3
		own := fmt.Sprintf("%08x-%04x-%04x-0000-%012x", by>>32, by>>16&0xffff, by&0xffff, p.events)
		p.chain[t] = own
		if len(to) > 0 {
			p.s.send(message{kindBook, t.v.pair.spec.Pair, p.order(t, channel, event, e, size, micros, before, own)}, to...)
		}
	}
}

func (p *bitstamp) order(t *tracked, channel, event string, e *orderEvent, size, micros int64, before, own string) []byte {
	side := 1
	if e.bid {
		side = 0
	}
	amount, price := appendFixed(nil, size, t.v.spec.SizeDecimals), appendTrim(nil, e.price, t.v.spec.PriceDecimals)
	initial := appendFixed(nil, max(e.initial, size), t.v.spec.SizeDecimals)
	return fmt.Appendf(nil, `{"data":{"id":%d,"id_str":"%d","order_type":%d,"order_subtype":5,"datetime":"%d","microtimestamp":"%d","amount":%s,"amount_str":"%s","amount_traded":"0","amount_at_create":"%s","price":%s,"price_str":"%s","is_liquidation":false},"channel":"%s","event":"%s","event_id":"%s","pre_event_id":"%s","order_source":"orderbook"}`,
		e.id>>12, e.id>>12, side, micros/1e6, micros, amount, amount, initial, price, price, channel, event, own, before)
}

// orderBook is the book of a pair order by order, as an answer over HTTP.
func (p *bitstamp) orderBook(t *tracked, micros int64) []byte {
	orders := t.v.showOrders()
	out := fmt.Appendf(nil, `{"timestamp":"%d","microtimestamp":"%d"`, micros/1e6, micros)
	for _, bid := range []bool{true, false} {
		name := "asks"
		if bid {
			name = "bids"
		}
		out = fmt.Appendf(out, `,"%s":[`, name)
		side := t.v.side(bid)
		first := true
		for i := range side.lv {
			for _, x := range orders.queues[levelKey{bid, side.at(i).price}] {
				if !first {
					out = append(out, ',')
				}
				first = false
				out = append(out, `["`...)
				out = appendFixed(out, side.at(i).price, t.v.spec.PriceDecimals)
				out = append(out, `","`...)
				out = appendFixed(out, x.size, t.v.spec.SizeDecimals)
				out = fmt.Appendf(out, `","%d"]`, x.id>>12)
			}
		}
		out = append(out, ']')
	}
	return append(out, '}')
}
