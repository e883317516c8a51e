package normalizer

import (
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// coinbase decodes the WebSocket feed of Coinbase Exchange, flat objects that
// name themselves in type, and the answers that books of orders begin with.
type coinbase struct {
	diffDecoder
	products listings[coinbaseProduct]
}

// coinbaseProduct is what is known of one product, subscribed or not.
type coinbaseProduct struct {
	diffSymbol      // its book of orders, where it has one
	full       bool // its book comes over the full channel
	imaged     bool // its book's level2 snapshot has come on this connection
	// By the listing in hand, its book is subscribed, as levels and as orders.
	listed, listedFull bool
}

func newCoinbase(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("coinbase")
	return &coinbase{diffDecoder: diffDecoder{base: b, venue: venue, rule: diffContiguous}}, err
}

// coinbaseMessage holds the places of a message's values.
type coinbaseMessage struct {
	typ, product, time, side, size, price, tradeID, lastTradeID, sequence span
	message, reason, products, channels                                   span
	orderID, makerID, remaining, oldSize, newSize, newPrice               span
	levels                                                                [3]span // bids, asks, changes: deferred
	read                                                                  [3]bool
}

// The lists of levels in a message.
const (
	listBids = iota
	listAsks
	listChanges
)

// Decode implements [Decoder].
//
// A frame is one message. A book message that is refused becomes a KindGap of
// its product, of all products where it breaks off before the name, because the
// level2 channel has neither sequence nor checksum to show the loss later.
func (d *coinbase) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	switch f.Kind {
	case feeds.Data:
	case feeds.Reply:
		return d.reply(dst, f)
	default:
		d.received = f.Received
		d.reconnected(f.Kind)
		return d.control(dst, f)
	}
	if !d.begin(f) {
		d.loseFull()
		return d.gap(dst, 0, d.venue), d.err()
	}
	n := len(dst)
	var m coinbaseMessage
	var why *fault // of the levels
	s := &d.s
	if s.open('{') {
		for s.key() {
			list := -1
			switch string(s.name) {
			case "type":
				m.typ = s.value()
			case "product_id":
				m.product = s.value()
			case "time":
				m.time = s.value()
			case "side":
				m.side = s.value()
			case "size":
				m.size = s.value()
			case "price":
				m.price = s.value()
			case "trade_id":
				m.tradeID = s.value()
			case "last_trade_id":
				m.lastTradeID = s.value()
			case "sequence":
				m.sequence = s.value()
			case "order_id":
				m.orderID = s.value()
			case "maker_order_id":
				m.makerID = s.value()
			case "remaining_size":
				m.remaining = s.value()
			case "old_size":
				m.oldSize = s.value()
			case "new_size":
				m.newSize = s.value()
			case "new_price":
				m.newPrice = s.value()
			case "message":
				m.message = s.value()
			case "reason":
				m.reason = s.value()
			case "products":
				m.products = s.value()
			case "channels":
				m.channels = s.value()
			case "bids":
				list = listBids
			case "asks":
				list = listAsks
			case "changes":
				list = listChanges
			default:
				s.value()
			}
			if list < 0 {
				continue
			}
			// In the order that Coinbase sends them, type and product are known
			// by now and the levels are read in passing.
			if m.read[list] || !d.isBook(m.typ) || m.product.kind == absent {
				m.levels[list] = s.value()
				continue
			}
			dst = d.startBook(dst, &m, n)
			m.read[list] = true
			var bad *fault
			dst, bad = d.list(dst, list)
			why = first(why, bad)
		}
	}
	if !s.end() {
		d.refuseFault()
		dst = dst[:n]
		if m.typ.kind == absent {
			d.loseFull()
			return d.gap(dst, 0, d.venue), d.err()
		}
		if d.isBook(m.typ) {
			dst = d.gapOf(dst, &m)
		}
		return d.brokenFull(dst, &m), d.err()
	}
	return d.message(dst, n, &m, why), d.err()
}

// reconnected takes note of what happened to the connection.
func (d *coinbase) reconnected(k feeds.FrameKind) {
	switch k {
	case feeds.Lost:
		d.loseFull()
	case feeds.Up, feeds.Down:
		for _, p := range d.products.order {
			p.book.begin(&d.held)
			p.forget()
			p.full, p.imaged = false, false
		}
	}
}

func (d *coinbase) isBook(typ span) bool {
	b, _ := d.s.str(typ)
	return string(b) == "l2update" || string(b) == "snapshot"
}

// message handles a message that was read to its end. Levels that were read in
// passing are in dst from n on.
func (d *coinbase) message(dst []market.Event, n int, m *coinbaseMessage, why *fault) []market.Event {
	s := &d.s
	typ, ok := s.str(m.typ)
	if !ok {
		d.refuse(CauseMissingField, "message without type")
		return dst[:n]
	}
	switch string(typ) {
	case "snapshot", "l2update":
		return d.book(dst, n, m, why)
	case "received", "open", "change", "done", "activate":
		return d.fullMessage(dst, m, typ)
	case "match":
		if b, _ := s.str(m.product); d.products.by[string(b)] != nil && d.products.by[string(b)].full {
			return d.fullMessage(dst, m, typ)
		}
		return d.match(dst, m, false)
	case "last_match":
		return d.match(dst, m, true)
	case "heartbeat":
		return d.heartbeat(dst, m)
	case "status":
		return d.status(dst, m.products)
	case "subscriptions":
		return d.subscriptions(dst, m.channels)
	case "ticker", "auction", "rfq_match", "rfq_matches":
		return dst // known, not taken
	case "error":
		message, _ := s.str(m.message)
		detail := string(clip(message))
		reason, _ := s.str(m.reason)
		d.refuse(CauseProvider, "%q %q", detail, clip(reason))
		return dst
	}
	d.refuse(CauseUnknownType, "type %q", clip(typ))
	return dst
}

// product returns what is known of the product named by v.
func (d *coinbase) product(v span) (*coinbaseProduct, *fault) {
	b, ok := d.s.str(v)
	if !ok {
		return nil, d.blame(CauseMissingField, "product_id", v)
	}
	return d.productOf(b, v)
}

func (d *coinbase) productOf(b []byte, v span) (*coinbaseProduct, *fault) {
	if p := d.products.by[string(b)]; p != nil {
		return p, nil
	}
	if _, _, ok := coinbaseSymbol(string(b)); !ok || market.CheckSymbol(string(b)) != nil {
		return nil, d.blame(CauseBadSymbol, "product_id", v)
	}
	p, _ := d.products.get(b)
	if p == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
	}
	return p, nil
}

// coinbaseSymbol splits a product's name, which is canonical as it is.
func coinbaseSymbol(symbol string) (base, quote string, ok bool) {
	base, quote, ok = strings.Cut(symbol, "-")
	return base, quote, ok && base != "" && quote != ""
}

// seen is product for events: it gives the product its instrument number.
func (d *coinbase) seen(v span) (*coinbaseProduct, *fault) {
	p, why := d.product(v)
	if why != nil || p.id != 0 {
		return p, why
	}
	b, _ := d.s.str(v)
	return p, d.number(p, string(b), v)
}

// named is seen for a product that a request has named.
func (d *coinbase) named(symbol string) (*coinbaseProduct, *fault) {
	p, why := d.productOf([]byte(symbol), span{})
	if why != nil || p.id != 0 {
		return p, why
	}
	return p, d.number(p, symbol, span{})
}

func (d *coinbase) number(p *coinbaseProduct, symbol string, v span) *fault {
	base, quote, _ := coinbaseSymbol(symbol)
	id, err := d.register(symbol, symbol, cryptoClass(base, quote))
	if err != nil {
		return d.blame(CauseBadSymbol, "product_id", v)
	}
	p.id = id
	return nil
}

// gapOf appends the gap of the message's product, of the whole feed where it has
// none.
func (d *coinbase) gapOf(dst []market.Event, m *coinbaseMessage) []market.Event {
	id := market.InstrumentID(0)
	if p, why := d.seen(m.product); why == nil {
		id = p.id
		p.imaged = false
		p.reference.forget()
	}
	return d.gap(dst, id, d.venue)
}

// startBook appends what comes before the levels of a snapshot, once.
func (d *coinbase) startBook(dst []market.Event, m *coinbaseMessage, n int) []market.Event {
	if typ, _ := d.s.str(m.typ); len(dst) > n || string(typ) != "snapshot" {
		return dst
	}
	p, why := d.seen(m.product)
	if why != nil {
		return dst // found again, and counted, at the message's end
	}
	dst = d.tell(dst, &p.reference, p.reference.status, p.id, d.venue)
	dst, _ = d.add(dst, market.KindClear)
	return dst
}

// list reads one of the lists of levels.
func (d *coinbase) list(dst []market.Event, list int) ([]market.Event, *fault) {
	switch list {
	case listBids:
		return d.pairs(dst, market.SideBid)
	case listAsks:
		return d.pairs(dst, market.SideAsk)
	}
	return d.changes(dst)
}

// changes reads an array of [side, price, size].
func (d *coinbase) changes(dst []market.Event) ([]market.Event, *fault) {
	s := &d.s
	var why *fault
	n := len(dst)
	if s.peek() != '[' {
		return dst, d.blame(CauseBadValue, "changes", s.value())
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '[' {
			why = first(why, d.blame(CauseBadValue, "change", s.value()))
			continue
		}
		s.open('[')
		var side, price, size span
		for i := 0; s.elem(); i++ {
			v := s.value()
			switch i {
			case 0:
				side = v
			case 1:
				price = v
			case 2:
				size = v
			}
		}
		if s.bad {
			break
		}
		if why != nil {
			continue
		}
		var way market.Side
		if way, why = d.side(side); why == nil {
			dst, why = d.level(dst, way, price, size)
			if len(dst)-n > maxLevels {
				why = first(why, d.blame(CauseOversized, "too many changes at", price))
			}
		}
	}
	return dst, why
}

func (d *coinbase) side(v span) (market.Side, *fault) {
	b, ok := d.s.str(v)
	switch {
	case !ok:
		return 0, d.blame(CauseMissingField, "side", v)
	case string(b) == "buy":
		return market.SideBid, nil
	case string(b) == "sell":
		return market.SideAsk, nil
	}
	return 0, d.blame(CauseBadSide, "side", v)
}

// book ends a snapshot or l2update. A snapshot has no time. Where anything in the
// message is bad, a KindGap takes the place of all of it.
func (d *coinbase) book(dst []market.Event, n int, m *coinbaseMessage, why *fault) []market.Event {
	s := &d.s
	typ, _ := s.str(m.typ)
	snapshot := string(typ) == "snapshot"
	p, bad := d.seen(m.product)
	if bad != nil {
		d.refusePart("book", bad)
		return d.gap(dst[:n], 0, d.venue)
	}
	dst = d.startBook(dst, m, n)
	for list, v := range m.levels {
		if v.kind == absent {
			continue
		}
		if m.read[list] {
			why = first(why, d.blame(CauseBadValue, "a list twice", v))
			continue
		}
		m.read[list] = true
		back := s.at(v)
		dst, bad = d.list(dst, list)
		s.resume(back)
		why = first(why, bad)
	}
	switch {
	case snapshot && !(m.read[listBids] && m.read[listAsks]):
		why = first(why, d.blame(CauseMissingField, "bids or asks", span{}))
	case !snapshot && !m.read[listChanges]:
		why = first(why, d.blame(CauseMissingField, "changes", span{}))
	case snapshot == m.read[listChanges]:
		why = first(why, d.blame(CauseBadValue, "levels of another type", span{}))
	}
	var at int64
	if m.time.kind != absent {
		b, _ := s.str(m.time)
		var ok bool
		if at, ok = parseTime(b); !ok {
			why = first(why, d.blame(CauseBadNumber, "time", m.time))
		}
	}
	if why != nil {
		d.refusePart("book", why)
		return d.gapOf(dst[:n], m)
	}
	if len(dst) == n {
		return dst
	}
	d.stamp(dst[n:], p, at, snapshot)
	return dst
}

// stamp completes the events of one book message: what they are about, when, and
// which is the last. A level that has a time of its own keeps it.
func (d *coinbase) stamp(events []market.Event, p *coinbaseProduct, at int64, snapshot bool) {
	flags := market.Flags(0)
	if snapshot {
		flags = market.FlagSnapshot
		p.imaged = true
	}
	floor := p.reference.floor()
	for i := range events {
		e := &events[i]
		e.Instrument, e.Venue, e.Flags = p.id, d.venue, flags
		if e.Time == 0 {
			e.Time = at
		}
		switch e.Kind {
		case market.KindLevel:
			trimLevel(e, floor)
		case market.KindInstrument, market.KindStatus:
			e.Flags = 0
		}
	}
	events[len(events)-1].Flags |= market.FlagLast
}

// match reads a match. Its side is the maker's, so the aggressor's is the other
// one. trade_id grows by one per product; a jump is a lost print, not a lost
// level. A last_match is from before the subscription.
func (d *coinbase) match(dst []market.Event, m *coinbaseMessage, prior bool) []market.Event {
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Venue = d.venue
	e.Flags = market.FlagLast | market.FlagContiguous
	if prior {
		e.Flags |= market.FlagPrior
	}
	p, why := d.seen(m.product)
	if why == nil {
		e.Instrument = p.id
		why = d.fillTrade(e, m.price, m.size, m.tradeID, m.time)
	}
	if why == nil {
		var maker market.Side
		maker, why = d.side(m.side)
		e.Side = maker.Opposite()
	}
	if why == nil {
		e.Sequence, why = d.optional(m.sequence, "sequence")
	}
	if why != nil {
		d.refusePart("match", why)
		return dst[:n]
	}
	return dst
}

// heartbeat reads a heartbeat: the last trade_id shows whether prints were lost.
func (d *coinbase) heartbeat(dst []market.Event, m *coinbaseMessage) []market.Event {
	n := len(dst)
	dst, e := d.add(dst, market.KindHeartbeat)
	e.Venue, e.Flags = d.venue, market.FlagLast
	p, why := d.seen(m.product)
	if why == nil {
		e.Instrument = p.id
		e.TradeSequence, why = d.optional(m.lastTradeID, "last_trade_id")
	}
	if why == nil {
		e.Sequence, why = d.optional(m.sequence, "sequence")
	}
	if why == nil && m.time.kind != absent {
		b, _ := d.s.str(m.time)
		var ok bool
		if e.Time, ok = parseTime(b); !ok {
			why = d.blame(CauseBadNumber, "time", m.time)
		}
	}
	if why != nil {
		d.refusePart("heartbeat", why)
		return dst[:n]
	}
	return dst
}

// optional reads a whole number that may be absent.
func (d *coinbase) optional(v span, name string) (uint64, *fault) {
	if v.kind == absent || v.kind == null {
		return 0, nil
	}
	n, ok := d.s.uint(v)
	if !ok {
		return 0, d.blame(CauseBadNumber, name, v)
	}
	return n, nil
}
