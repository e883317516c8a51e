package normalizer

import "github.com/quotewire/quotewire/market"

// Bitstamp's live_orders tells every order of a pair: created, changed, deleted.
// An order is told before what it trades at once, so that its events are
// piecemeal. The image is the REST order book with group=2, whose rows have the
// order's identifier; within a price they are taken to be in the order of the
// queue. Times of events are cut to milliseconds, so that one which looks a little
// older than the image may be missing in it: those of the last millisecond are
// applied again, which changes nothing where they are in it.
//
// Each message has an event_id and names that of the message before it in the same
// channel, pre_event_id, so that a loss shows; and as an identifier begins with its
// message's time, a loss between the image and the first message does too. None of
// this is documented. Where it is absent, as in older recordings, microtimestamp is
// all there is.

// bitstampCut is by how much an event may be younger than its time, in
// microseconds.
const bitstampCut = 1000

// bitstampChain is where the chain of a channel's messages stands.
type bitstampChain struct {
	id [40]byte
	n  uint8 // 0: no message yet, or it had none
}

// follows takes the next message's identifiers. It reports whether nothing is
// missing before it, and whether it is the last one once more.
func (c *bitstampChain) follows(id, before []byte) (ok, again bool) {
	last := c.id[:c.n]
	if len(last) > 0 && string(last) == string(id) {
		return true, true
	}
	ok = len(last) == 0 || len(before) == 0 || string(before) == string(last)
	if c.n = 0; len(id) <= len(c.id) {
		c.n = uint8(copy(c.id[:], id))
	}
	return ok, false
}

// bitstampEventTime returns the time that an identifier begins with, in
// microseconds: 00065aad-a8b2-4f60 is 1788551766364000.
func bitstampEventTime(id []byte) (micros uint64, ok bool) {
	if len(id) < len("00065aad-a8b2-4f60") {
		return 0, false
	}
	for i, c := range id[:18] {
		switch {
		case i == 8 || i == 13:
			if c != '-' {
				return 0, false
			}
			continue
		case c-'0' <= 9:
			c -= '0'
		case c-'a' < 6:
			c -= 'a' - 10
		default:
			return 0, false
		}
		micros = micros<<4 | uint64(c)
	}
	return micros, true
}

// missed reports whether a message is missing between a book's image and the first
// message that came: the one before it is younger than the image.
func (p *bitstampPair) missed(x diff, id, before []byte) bool {
	if p.chain.n > 0 || !p.book.synced || p.book.heard {
		return false
	}
	own, ok := bitstampEventTime(id)
	if !ok || own != x.last {
		return false // an identifier of another make
	}
	last, ok := bitstampEventTime(before)
	return ok && last > p.book.image+bitstampCut
}

// order handles a message of live_orders.
func (d *bitstamp) order(dst []market.Event, m *bitstampMessage, event, pair []byte) []market.Event {
	p, why := d.seen(pair)
	if why != nil {
		d.refusePart("order", why)
		return d.loseAll(dst)
	}
	if p.images || p.diffs {
		return dst // its book comes over another channel
	}
	p.orders, p.flags = true, market.FlagPiecemeal
	n := len(dst)
	var x diff
	x.last, x.time, why = d.time(m)
	if why == nil {
		dst, why = d.orderEvent(dst, m, event)
	}
	if why != nil {
		d.refusePart("order", why)
		p.chain = bitstampChain{}
		return d.lose(dst[:n], &p.diffSymbol)
	}
	x.received = d.received
	d.clock(x.time)
	id, _ := d.s.str(m.eventID)
	before, _ := d.s.str(m.eventBefore)
	missed := p.missed(x, id, before)
	linked := p.chain.n > 0 && len(before) > 0
	ok, again := p.chain.follows(id, before)
	// Nothing is missing and yet it is older: the venue's clock was set back.
	back := ok && linked && p.book.heard && x.last < p.book.newest.last
	switch {
	case again:
		return dst[:n]
	case !ok || missed || back:
		if back {
			d.setBack(x.time)
		}
		// What follows begins the stream anew.
		d.stamp(dst[n:], &p.diffSymbol, x, 0)
		p.book.begin(&d.held)
		p.book.take(d.rule, x, dst[n:], &d.held)
		p.waiting = true
		return d.gap(dst[:n], p.id, d.venue)
	}
	return d.change(dst, n, &p.diffSymbol, x)
}

// orderEvent reads what happened to an order. A market order, which has no price,
// never rests, and one without an amount is gone.
func (d *bitstamp) orderEvent(dst []market.Event, m *bitstampMessage, event []byte) ([]market.Event, *fault) {
	id := m.idText
	if id.kind == absent {
		id = m.id
	}
	side := market.SideNone
	switch kind, ok := d.s.uint(m.orderType); {
	case ok && kind == 0:
		side = market.SideBid
	case ok && kind == 1:
		side = market.SideAsk
	default:
		return dst, d.blame(missingOr(CauseBadSide, m.orderType), "order_type", m.orderType)
	}
	if string(event) == "order_deleted" {
		return d.deletion(dst, side, id)
	}
	action := market.OrderAdd
	if string(event) == "order_changed" {
		action = market.OrderChange
	}
	n := len(dst)
	dst, why := d.base.order(dst, action, side, m.price, m.size, id)
	if why == nil && len(dst) > n && dst[n].Size == 0 && action == market.OrderAdd {
		dst = dst[:n]
	}
	return dst, why
}
