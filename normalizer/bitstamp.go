package normalizer

import (
	"bytes"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// bitstamp decodes Bitstamp's WebSocket API v2 with the REST answers that belong
// to it: live_trades, diff_order_book, order_book and live_orders.
type bitstamp struct {
	diffDecoder
	known listings[bitstampPair]
}

// bitstampPair is what is known of one pair, subscribed or not.
type bitstampPair struct {
	diffSymbol
	images bool // its book comes as images on this connection,
	diffs  bool // or as changes,
	orders bool // or order by order: the first to come
	chain  bitstampChain
}

func newBitstamp(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("bitstamp")
	// A snapshot may hold a bid at price 0 (gocryptotrader#1319).
	b.skipUnpriced = true
	return &bitstamp{diffDecoder: diffDecoder{base: b, venue: venue, rule: diffTimed}}, err
}

// bitstampMessage holds what a message says.
type bitstampMessage struct {
	event, channel, data                    span
	micro, seconds                          span // microtimestamp, timestamp
	id, idText, price, size, kind           span // id, id_str, price_str, amount_str, type
	orderType, eventID, eventBefore         span // order_type, event_id, pre_event_id
	code, message, status, reason, errorMsg span
	sides                                   [2]bool
	group                                   bool   // bids and asks are orders, with an identifier each
	why                                     *fault // of the levels
}

// The channels that are taken, each followed by the pair.
const (
	bitstampDiffs  = "diff_order_book_"
	bitstampImages = "order_book_"
	bitstampTrades = "live_trades_"
	bitstampOrders = "live_orders_"
)

// Decode implements [Decoder].
//
// A frame is one message. Nothing in it shows that the one before was lost, so
// that a frame which is refused is the loss: it makes a KindGap of its book, of
// all books where it breaks off before the channel.
func (d *bitstamp) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
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
		return d.loseAll(dst), d.err()
	}
	n := len(dst)
	var m bitstampMessage
	s := &d.s
	if s.open('{') {
		dst = d.members(dst, &m, true)
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		return d.broken(dst[:n], &m), d.err()
	}
	return d.message(dst, n, &m), d.err()
}

// reconnected takes note of what happened to the connection.
func (d *bitstamp) reconnected(k feeds.FrameKind) {
	if k.Continues() {
		return // the stream goes on where it was
	}
	for _, p := range d.known.order {
		if k == feeds.Lost {
			d.lost(&p.diffSymbol)
			p.chain = bitstampChain{}
			continue
		}
		p.book.begin(&d.held)
		p.forget()
		p.images, p.diffs, p.orders, p.flags, p.chain = false, false, false, 0, bitstampChain{}
	}
	switch k {
	case feeds.Lost:
		d.judge(&d.loss)
	case feeds.Up:
		d.timed, d.loss = false, diffBook{}
	}
}

// members reads the members of an object that was opened into m, the levels of a
// book into dst. What a channel carries is in the member data, which may come
// before the channel's name.
func (d *bitstamp) members(dst []market.Event, m *bitstampMessage, outer bool) []market.Event {
	s := &d.s
	for s.key() {
		side := -1
		switch string(s.name) {
		case "bids":
			side = 0
		case "asks":
			side = 1
		case "data":
			if outer && s.peek() == '{' {
				s.open('{')
				dst = d.members(dst, m, false)
				s.opened = false
				continue
			}
		}
		if side >= 0 {
			if m.sides[side] {
				m.why = first(m.why, d.blame(CauseBadValue, "a side twice", span{}))
			}
			m.sides[side] = true
			var bad *fault
			dst, bad = d.rows(dst, market.SideBid+market.Side(side), m.group)
			m.why = first(m.why, bad)
			continue
		}
		v := s.value()
		switch string(s.name) {
		case "event":
			m.event = v
		case "channel":
			m.channel = v
		case "data":
			m.data = v
		case "microtimestamp":
			m.micro = v
		case "timestamp":
			m.seconds = v
		case "id":
			m.id = v
		case "id_str":
			m.idText = v
		case "price_str":
			m.price = v
		case "amount_str":
			m.size = v
		case "type":
			m.kind = v
		case "order_type":
			m.orderType = v
		case "event_id":
			m.eventID = v
		case "pre_event_id":
			m.eventBefore = v
		case "code":
			m.code = v
		case "message":
			m.message = v
		case "status":
			m.status = v
		case "reason":
			m.reason = v
		case "error":
			m.errorMsg = v
		}
	}
	return dst
}

// channel splits the message's channel into what it carries and the pair.
func (d *bitstamp) channel(m *bitstampMessage) (kind string, pair []byte) {
	b, _ := d.s.str(m.channel)
	for _, k := range [...]string{bitstampDiffs, bitstampImages, bitstampTrades, bitstampOrders} {
		if rest, ok := bytes.CutPrefix(b, []byte(k)); ok {
			return k, rest
		}
	}
	return "", b
}

// broken handles a frame that is not whole.
func (d *bitstamp) broken(dst []market.Event, m *bitstampMessage) []market.Event {
	if m.channel.kind == absent {
		return d.loseAll(dst)
	}
	switch kind, pair := d.channel(m); kind {
	case bitstampDiffs, bitstampImages, bitstampOrders:
		p, why := d.seen(pair)
		d.fault.cause = ""
		if why != nil {
			return d.loseAll(dst)
		}
		p.chain = bitstampChain{}
		return d.lose(dst, &p.diffSymbol)
	}
	return dst
}

// loseAll appends the gap of all books.
func (d *bitstamp) loseAll(dst []market.Event) []market.Event {
	d.judge(&d.loss)
	for _, p := range d.known.order {
		d.lost(&p.diffSymbol)
		p.chain = bitstampChain{}
	}
	return d.gap(dst, 0, d.venue)
}

// message handles a message that was read to its end. Levels are in dst from n
// on.
func (d *bitstamp) message(dst []market.Event, n int, m *bitstampMessage) []market.Event {
	s := &d.s
	event, ok := s.str(m.event)
	if !ok {
		d.refuse(CauseMissingField, "message without event")
		return d.loseAll(dst[:n])
	}
	switch string(event) {
	case "data", "trade", "order_created", "order_changed", "order_deleted":
	case "bts:subscription_succeeded", "bts:unsubscription_succeeded", "bts:request_reconnect", "funding_rate_saved":
		return dst[:n] // known, not taken
	case "bts:heartbeat":
		dst, e := d.add(dst[:n], market.KindHeartbeat)
		e.Venue = d.venue
		return dst
	case "bts:error":
		message, _ := s.str(m.message)
		d.refuse(CauseProvider, "%s %q", clip(s.raw(m.code)), clip(message))
		return dst[:n]
	default:
		d.refuse(CauseUnknownType, "event %q", clip(event))
		return dst[:n]
	}
	kind, pair := d.channel(m)
	if isOrder := event[0] == 'o'; isOrder != (kind == bitstampOrders) && kind != "" {
		d.refuse(CauseUnknownType, "event %q of %q", clip(event), kind)
		return dst[:n]
	}
	switch kind {
	case bitstampOrders:
		return d.order(dst[:n], m, event, pair)
	case bitstampDiffs:
		return d.diff(dst, n, m, pair)
	case bitstampImages:
		return d.wholeBook(dst, n, m, pair)
	case bitstampTrades:
		return d.trade(dst[:n], m, pair)
	}
	switch {
	case m.channel.kind == absent:
		d.refuse(CauseMissingField, "message without channel")
		return d.loseAll(dst[:n])
	case bytes.HasPrefix(pair, []byte("detail_order_book_")):
		return dst[:n] // known, not taken
	}
	d.refuse(CauseUnknownType, "channel %q", clip(pair))
	return dst[:n]
}

// pair returns what is known of a pair.
func (d *bitstamp) pair(b []byte) (*bitstampPair, *fault) {
	if p := d.known.by[string(b)]; p != nil {
		return p, nil
	}
	if market.CheckSymbol(bitstampCanonical(b)) != nil {
		return nil, d.blame(CauseBadSymbol, "pair that cannot be one", span{})
	}
	p, _ := d.known.get(b)
	if p == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have", span{})
	}
	p.book.since, p.book.unsure = d.loss.since, d.loss.unsure
	return p, nil
}

// bitstampCanonical names a pair whose currencies are not known, as the venue
// does. Where its base ends is not guessed.
func bitstampCanonical(pair []byte) string { return string(bytes.ToUpper(pair)) }

// seen is pair for events: it gives the pair its instrument number.
func (d *bitstamp) seen(b []byte) (*bitstampPair, *fault) {
	p, why := d.pair(b)
	if why != nil || p.id != 0 {
		return p, why
	}
	spelling, canonical := string(b), p.canonical
	if canonical == "" {
		canonical = bitstampCanonical(b)
	}
	return p, d.number(&p.diffSymbol, spelling, canonical, p.class())
}

// time returns the message's time in microseconds, the venue's number of a book
// message, and in nanoseconds. Books have to be told apart to the microsecond.
func (d *bitstamp) time(m *bitstampMessage) (micros uint64, ns int64, why *fault) {
	micros, ok := d.s.uint(m.micro)
	if !ok || micros == 0 || micros > 9_223_372_036_854_775 {
		return 0, 0, d.blame(missingOr(CauseBadNumber, m.micro), "microtimestamp", m.micro)
	}
	return micros, int64(micros) * 1000, nil
}

// trade reads a print. Its identifiers grow, but are shared by all pairs; type is
// the taker's side, 0 buys.
func (d *bitstamp) trade(dst []market.Event, m *bitstampMessage, pair []byte) []market.Event {
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Venue, e.Flags = d.venue, market.FlagLast
	p, why := d.seen(pair)
	if why == nil {
		e.Instrument = p.id
		id := m.idText
		if id.kind == absent {
			id = m.id
		}
		why = d.fillPrint(e, m.price, m.size, id)
	}
	if why == nil {
		trimLevel(e, p.reference.floor())
		_, e.Time, why = d.time(m)
		if why == nil {
			d.clock(e.Time)
		}
	}
	if why == nil {
		side, ok := d.s.uint(m.kind)
		switch {
		case ok && side == 0:
			e.Side = market.SideBid
		case ok && side == 1:
			e.Side = market.SideAsk
		default:
			why = d.blame(missingOr(CauseBadSide, m.kind), "type", m.kind)
		}
	}
	if why != nil {
		d.refusePart("trade", why)
		return dst[:n]
	}
	return dst
}
