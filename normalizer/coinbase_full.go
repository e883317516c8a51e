package normalizer

import (
	"net/url"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// The full channel tells what happens to every order of a product: received, open,
// change, match, done. Its sequence grows by one a message and product, over all
// types. The image is the answer to GET /products/{id}/book?level=3, whose rows
// have the order's identifier; within a price they are taken to be in the order of
// the queue (https://docs.cdp.coinbase.com/exchange/websocket-feed/channels, "Full
// channel").

// isFull reports whether a message can only come over the full channel.
func isFull(typ []byte) bool {
	switch string(typ) {
	case "received", "open", "change", "done", "activate":
		return true
	}
	return false
}

// fullMessage handles a message of the full channel. A print is told whatever
// becomes of the book.
func (d *coinbase) fullMessage(dst []market.Event, m *coinbaseMessage, typ []byte) []market.Event {
	p, why := d.seen(m.product)
	if why != nil {
		d.refusePart("order", why)
		d.loseFull()
		return d.gap(dst, 0, d.venue)
	}
	if p.imaged {
		// Its book comes over level2.
		if typ[0] == 'm' {
			return d.match(dst, m, false)
		}
		return dst
	}
	p.full = true
	n := len(dst)
	x, why := d.fullDiff(m)
	if why == nil {
		dst, why = d.orderEvent(dst, m, typ)
	}
	if why != nil {
		d.refusePart("order", why)
		return d.lose(dst[:n], &p.diffSymbol)
	}
	dst = d.change(dst, n, &p.diffSymbol, x)
	if typ[0] == 'm' {
		dst = d.match(dst, m, false)
	}
	return dst
}

// fullDiff reads where in the stream a message stands.
func (d *coinbase) fullDiff(m *coinbaseMessage) (x diff, why *fault) {
	n, ok := d.s.uint(m.sequence)
	if !ok {
		return x, d.blame(missingOr(CauseBadNumber, m.sequence), "sequence", m.sequence)
	}
	b, _ := d.s.str(m.time)
	at, ok := parseTime(b)
	if !ok {
		return x, d.blame(missingOr(CauseBadNumber, m.time), "time", m.time)
	}
	return diff{first: n, last: n, time: at}, nil
}

// orderEvent reads what a message does to the book. An order is in it from open
// on; what happens to one before, or to one that never rests, has no effect there.
func (d *coinbase) orderEvent(dst []market.Event, m *coinbaseMessage, typ []byte) ([]market.Event, *fault) {
	switch string(typ) {
	case "open":
		side, why := d.side(m.side)
		if why != nil {
			return dst, why
		}
		return d.order(dst, market.OrderAdd, side, m.price, m.remaining, m.orderID)
	case "done":
		side, why := d.side(m.side)
		if why != nil {
			return dst, why
		}
		return d.deletion(dst, side, m.orderID)
	case "change":
		return d.orderChange(dst, m)
	case "match":
		// The maker's order; the taker's is not in the book.
		side, why := d.side(m.side)
		if why != nil {
			return dst, why
		}
		return d.order(dst, market.OrderReduce, side, m.price, m.size, m.makerID)
	}
	return dst, nil
}

// orderChange reads a change, of self-trade prevention or by the order's owner.
// "Modify Order Requests that amend size down will retain queue priority" (Coinbase
// Exchange changelog); others lose it. One of a market order tells its funds.
func (d *coinbase) orderChange(dst []market.Event, m *coinbaseMessage) ([]market.Event, *fault) {
	if m.newSize.kind == absent || m.newSize.kind == null {
		return dst, nil
	}
	price := m.newPrice
	if price.kind == absent || price.kind == null {
		price = m.price
	}
	if price.kind == absent || price.kind == null {
		return dst, nil // of a market order
	}
	side, why := d.side(m.side)
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, why = d.order(dst, market.OrderChange, side, price, m.newSize, m.orderID)
	if why != nil {
		return dst, why
	}
	if old, od, ok := d.s.amount(m.oldSize); ok {
		e := &dst[n]
		if a, b, _, ok := align(old, od, int64(e.Size), e.SizeDecimals); ok && b > a {
			e.Action = market.OrderRequeue
		}
	}
	return dst, nil
}

// loseFull begins all books of orders anew: a message was lost, and nothing tells
// whose it was.
func (d *coinbase) loseFull() {
	for _, p := range d.products.order {
		if p.full {
			d.lost(&p.diffSymbol)
		}
	}
}

// brokenFull handles a message of the full channel that is not whole.
func (d *coinbase) brokenFull(dst []market.Event, m *coinbaseMessage) []market.Event {
	typ, _ := d.s.str(m.typ)
	full, match := isFull(typ), string(typ) == "match"
	if !full && !match {
		return dst
	}
	p, why := d.seen(m.product)
	d.fault.cause = ""
	switch {
	case why == nil && p.full:
		return d.lose(dst, &p.diffSymbol)
	case why != nil && full:
		d.loseFull()
		return d.gap(dst, 0, d.venue)
	}
	return dst
}

// reply decodes the answer to GET /products/{id}/book?level=3.
func (d *coinbase) reply(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if !d.begin(f) {
		return dst, d.err()
	}
	u, err := url.Parse(f.URL)
	if err != nil {
		d.refuse(CauseUnknownType, "answer to %q", clip([]byte(f.URL)))
		return dst, d.err()
	}
	head, ok := strings.CutSuffix(u.Path, "/book")
	_, product, _ := cutLast(head, "/")
	if !ok || u.Query().Get("level") != "3" {
		d.refuse(CauseUnknownType, "answer to %q", clip([]byte(f.URL)))
		return dst, d.err()
	}
	n := len(dst)
	s := &d.s
	var sequence, message, at span
	var why *fault
	var sides [2]bool
	if s.open('{') {
		for s.key() {
			switch string(s.name) {
			case "bids", "asks":
				i := 0
				if s.name[0] == 'a' {
					i = 1
				}
				var bad *fault
				dst, bad = d.rows(dst, market.SideBid+market.Side(i), true)
				why = first(why, bad)
				sides[i] = true
			case "sequence":
				sequence = s.value()
			case "message":
				message = s.value()
			case "time":
				at = s.value()
			default:
				s.value()
			}
		}
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		return dst[:n], d.err()
	}
	return d.bookReply(dst, n, product, sequence, message, at, sides, why), d.err()
}

// bookReply handles an answer whose orders are in dst from n on.
func (d *coinbase) bookReply(dst []market.Event, n int, product string, sequence, message, at span, sides [2]bool, why *fault) []market.Event {
	if text, ok := d.s.str(message); ok && !sides[0] && !sides[1] {
		d.refuse(CauseProvider, "%q", clip(text))
		return dst[:n]
	}
	var p *coinbaseProduct
	if why == nil {
		p, why = d.named(product)
	}
	if why == nil && !(sides[0] && sides[1]) {
		why = d.blame(CauseMissingField, "bids or asks", span{})
	}
	number, ok := d.s.uint(sequence)
	if !ok {
		why = first(why, d.blame(missingOr(CauseBadNumber, sequence), "sequence", sequence))
	}
	if why != nil {
		d.refusePart("snapshot", why)
		return dst[:n]
	}
	if p.imaged {
		return dst[:n] // its book comes over level2
	}
	p.full = true
	x := diff{first: number, last: number}
	if b, ok := d.s.str(at); ok {
		x.time, _ = parseTime(b) // none where it is none
	}
	return d.snapshot(dst, n, &p.diffSymbol, x)
}
