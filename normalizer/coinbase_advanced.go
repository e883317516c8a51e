package normalizer

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// coinbaseAdvanced decodes the market data of Coinbase Advanced Trade: envelopes
// that name their channel and hold a list of events. It is the same market as
// Coinbase Exchange, so products, venue and trade numbers are the same.
type coinbaseAdvanced struct {
	coinbase
	next    uint64 // the sequence_num that follows
	counted bool   // next is known
	old     int    // messages in a row whose number had passed

	listing bool // a listing of subscriptions has come on this connection
	partial bool // and it was not of all: what it leaves out came all the same

	// The event_time of the level before, because those of one message are
	// mostly equal.
	timeText [40]byte
	timeLen  int
	timeNs   int64
}

// maxOld is how many messages in a row may carry numbers that have passed before
// they are taken for a new count. A repeated message is dropped; a count that
// began anew without the connection must not freeze the books for good.
const maxOld = 16

func newCoinbaseAdvanced(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("coinbase")
	return &coinbaseAdvanced{coinbase: coinbase{diffDecoder: diffDecoder{base: b, venue: venue}}}, err
}

// The channels by the names under which they arrive.
type advancedChannel uint8

const (
	advancedUnknown advancedChannel = iota
	advancedBook
	advancedTrades
	advancedStatus
	advancedHeartbeat
	advancedListing
	advancedOther // known, not taken
)

// advancedMessage is an envelope.
type advancedMessage struct {
	channelText, timestamp, sequence, events, typ, message span

	number uint64 // sequence_num
	at     int64  // timestamp
	timed  bool   // the timestamp is absent or sound
}

// Decode implements [Decoder].
//
// sequence_num grows by one with every message of a connection, whatever its
// channel, from 0. A jump is a lost message of which nobody knows what it was
// about: a KindGap of the whole feed. So is a frame that cannot be read. A lower
// number is a message that has been seen, and is dropped. There is no checksum.
func (d *coinbaseAdvanced) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if f.Kind != feeds.Data {
		if f.Kind == feeds.Up || f.Kind == feeds.Down {
			for _, p := range d.products.order {
				p.reference.forget()
				p.imaged = false
			}
			d.listing, d.partial = false, false
		}
		if !f.Kind.Continues() {
			d.next, d.counted, d.old = 0, f.Kind == feeds.Up, 0
		}
		return d.control(dst, f)
	}
	if !d.begin(f) {
		return d.lost(dst), d.err()
	}
	n := len(dst)
	var m advancedMessage
	read := false // events
	s := &d.s
	if s.open('{') {
		for s.key() {
			switch string(s.name) {
			case "channel":
				m.channelText = s.value()
			case "timestamp":
				m.timestamp = s.value()
			case "sequence_num":
				m.sequence = s.value()
			case "type":
				m.typ = s.value()
			case "message":
				m.message = s.value()
			case "events":
				// In the order that Coinbase sends them, the rest is known by
				// now and up to 5 MB are read in passing.
				if read || m.channelText.kind == absent || m.sequence.kind == absent || m.timestamp.kind == absent {
					m.events = s.value()
					continue
				}
				read = true
				dst = d.envelope(dst, &m)
			default:
				s.value()
			}
		}
	}
	if !s.end() {
		d.refuseFault()
		return d.lost(dst[:n]), d.err()
	}
	switch {
	case read:
	case m.channelText.kind == absent && m.typ.kind != absent:
		d.complaint(&m)
	case m.channelText.kind == absent || m.sequence.kind == absent || m.events.kind == absent:
		d.refuse(CauseMissingField, "message without channel, sequence_num or events")
		dst = d.lost(dst)
	default:
		back := s.at(m.events)
		dst = d.envelope(dst, &m)
		s.resume(back)
	}
	return dst, d.err()
}

// lost appends the gap of the whole feed and starts the count anew.
func (d *coinbaseAdvanced) lost(dst []market.Event) []market.Event {
	d.counted = false
	for _, p := range d.products.order {
		p.reference.forget()
		p.imaged = false
	}
	return d.gap(dst, 0, d.venue)
}

// complaint takes a message outside the count: {"type":"error","message":"…"}.
func (d *coinbaseAdvanced) complaint(m *advancedMessage) {
	typ, _ := d.s.str(m.typ)
	if string(typ) != "error" {
		d.refuse(CauseUnknownType, "type %q", clip(typ))
		return
	}
	message, _ := d.s.str(m.message)
	d.refuse(CauseProvider, "%q", clip(message))
}

// envelope checks the message's number and reads its events, at whose beginning
// the scanner stands.
func (d *coinbaseAdvanced) envelope(dst []market.Event, m *advancedMessage) []market.Event {
	dst, current := d.count(dst, m)
	if !current {
		d.s.value()
		return dst
	}
	text, _ := d.s.str(m.channelText)
	channel := advancedUnknown
	switch string(text) {
	case "l2_data":
		channel = advancedBook
	case "market_trades":
		channel = advancedTrades
	case "heartbeats":
		channel = advancedHeartbeat
	case "status":
		channel = advancedStatus
	case "subscriptions":
		channel = advancedListing
	case "ticker", "ticker_batch", "candles":
		channel = advancedOther
	default:
		d.refuse(CauseUnknownType, "channel %q", clip(text))
	}
	m.timed = true
	if m.timestamp.kind != absent {
		b, _ := d.s.str(m.timestamp)
		m.at, m.timed = parseTime(b)
	}
	if channel == advancedHeartbeat {
		if !m.timed {
			d.refusePart("heartbeat", d.blame(CauseBadNumber, "timestamp", m.timestamp))
		} else {
			var e *market.Event
			dst, e = d.add(dst, market.KindHeartbeat)
			e.Venue, e.Time, e.Sequence, e.Flags = d.venue, m.at, m.number, market.FlagLast
		}
	}
	if channel == advancedUnknown || channel == advancedOther || channel == advancedHeartbeat {
		d.s.value()
		return dst
	}
	return d.list(dst, m, channel)
}

// count holds the message's number against the one that follows the last, and
// reports whether the message is to be read.
func (d *coinbaseAdvanced) count(dst []market.Event, m *advancedMessage) ([]market.Event, bool) {
	num, ok := d.s.uint(m.sequence)
	if !ok {
		d.refusePart("message", d.blame(CauseBadNumber, "sequence_num", m.sequence))
		return d.lost(dst), false
	}
	if d.counted && num != d.next {
		if num < d.next {
			if d.old++; d.old < maxOld {
				return dst, false
			}
		}
		dst = d.lost(dst)
	}
	d.next, d.counted, d.old = num+1, true, 0
	m.number = num
	return dst, true
}

// list reads the events of a message of one of the channels that are taken.
func (d *coinbaseAdvanced) list(dst []market.Event, m *advancedMessage, channel advancedChannel) []market.Event {
	s := &d.s
	if s.peek() != '[' {
		d.refusePart("message", d.blame(CauseBadValue, "events", s.value()))
		return d.gapIn(dst, channel)
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			d.refusePart("message", d.blame(CauseBadValue, "event", s.value()))
			dst = d.gapIn(dst, channel)
			continue
		}
		dst = d.event(dst, m, channel)
	}
	return dst
}

// gapIn appends the gap of the whole feed where what was refused could hold
// levels.
func (d *coinbaseAdvanced) gapIn(dst []market.Event, channel advancedChannel) []market.Event {
	if channel != advancedBook {
		return dst
	}
	for _, p := range d.products.order {
		p.reference.forget()
		p.imaged = false
	}
	return d.gap(dst, 0, d.venue)
}

// event reads one event of a message.
func (d *coinbaseAdvanced) event(dst []market.Event, m *advancedMessage, channel advancedChannel) []market.Event {
	s := &d.s
	n := len(dst)
	var typ, product, body span
	var why *fault
	read := false
	s.open('{')
	for s.key() {
		switch string(s.name) {
		case "type":
			typ = s.value()
		case "product_id":
			product = s.value()
		case "subscriptions":
			if channel != advancedListing {
				s.value()
				continue
			}
			body = s.value()
		case "updates", "trades", "products":
			if read || channel == advancedListing || typ.kind == absent || channel == advancedBook && product.kind == absent {
				body = s.value()
				continue
			}
			read = true
			dst, why = d.body(dst, n, m, channel, typ, product)
		default:
			s.value()
		}
	}
	if s.bad {
		return dst
	}
	switch {
	case read:
	case channel == advancedListing:
		return d.subscribed(dst, body)
	case body.kind == absent && channel == advancedBook:
		why = d.blame(CauseMissingField, "updates", body)
	case body.kind == absent && channel == advancedTrades:
		why = d.blame(CauseMissingField, "trades", body)
	case body.kind == absent:
		why = d.blame(CauseMissingField, "products", body)
	default:
		back := s.at(body)
		dst, why = d.body(dst, n, m, channel, typ, product)
		s.resume(back)
	}
	if channel != advancedBook {
		if why != nil {
			d.refusePart("event", why)
		}
		return dst
	}
	return d.bookEvent(dst, n, m, typ, product, why)
}

// body reads an event's list, at whose beginning the scanner stands.
func (d *coinbaseAdvanced) body(dst []market.Event, n int, m *advancedMessage, channel advancedChannel, typ, product span) ([]market.Event, *fault) {
	s := &d.s
	if s.peek() != '[' {
		return dst, d.blame(CauseBadValue, "list", s.value())
	}
	switch channel {
	case advancedBook:
		dst = d.startBook(dst, &coinbaseMessage{typ: typ, product: product}, n)
		return d.updates(dst)
	case advancedTrades:
		kind, _ := s.str(typ)
		dst = d.trades(dst, m, string(kind) == "snapshot")
		inOrder(dst[n:])
		return dst, nil
	}
	s.open('[')
	for s.elem() {
		dst = d.productStatus(dst)
	}
	return dst, nil
}

// updates reads an array of levels. Those of a snapshot have the epoch as their
// event_time; the message's time is put in its place later.
func (d *coinbaseAdvanced) updates(dst []market.Event) ([]market.Event, *fault) {
	s := &d.s
	var why *fault
	n := len(dst)
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			why = first(why, d.blame(CauseBadValue, "update", s.value()))
			continue
		}
		s.open('{')
		var side, at, price, size span
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "side":
				side = v
			case "event_time":
				at = v
			case "price_level":
				price = v
			case "new_quantity":
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
		if way, why = d.levelSide(side); why != nil {
			continue
		}
		if dst, why = d.level(dst, way, price, size); why != nil {
			continue
		}
		if len(dst)-n > maxLevels {
			why = d.blame(CauseOversized, "too many updates at", price)
		} else {
			dst[len(dst)-1].Time, why = d.eventTime(at)
		}
	}
	return dst, why
}

func (d *coinbaseAdvanced) levelSide(v span) (market.Side, *fault) {
	b, ok := d.s.str(v)
	switch {
	case !ok:
		return 0, d.blame(CauseMissingField, "side", v)
	case string(b) == "bid":
		return market.SideBid, nil
	case string(b) == "offer":
		return market.SideAsk, nil
	}
	return 0, d.blame(CauseBadSide, "side", v)
}

// eventTime reads a level's time; 0 is the epoch or none.
func (d *coinbaseAdvanced) eventTime(v span) (int64, *fault) {
	if v.kind == absent {
		return 0, nil
	}
	b, _ := d.s.str(v)
	if len(b) > 0 && bytes.Equal(b, d.timeText[:d.timeLen]) {
		return d.timeNs, nil
	}
	ns, ok := parseTime(b)
	if !ok {
		return 0, d.blame(CauseBadNumber, "event_time", v)
	}
	if len(b) <= len(d.timeText) {
		d.timeLen, d.timeNs = copy(d.timeText[:], b), ns
	}
	return ns, nil
}

// bookEvent ends a snapshot or an update of one product. Where anything in it is
// bad, a KindGap takes the place of all of it.
func (d *coinbaseAdvanced) bookEvent(dst []market.Event, n int, m *advancedMessage, typ, product span, why *fault) []market.Event {
	p, bad := d.seen(product)
	if bad != nil {
		d.refusePart("book", first(why, bad))
		return d.gapIn(dst[:n], advancedBook)
	}
	kind, _ := d.s.str(typ)
	snapshot := string(kind) == "snapshot"
	if !snapshot && string(kind) != "update" {
		why = first(why, d.blame(CauseBadValue, "type", typ))
	}
	if !m.timed {
		why = first(why, d.blame(CauseBadNumber, "timestamp", m.timestamp))
	}
	if why != nil {
		d.refusePart("book", why)
		p.reference.forget()
		p.imaged = false
		return d.gap(dst[:n], p.id, d.venue)
	}
	if !snapshot && d.listing && !p.listed {
		d.partial = true
	}
	if len(dst) > n {
		d.stamp(dst[n:], p, m.at, snapshot)
		for i := n; i < len(dst); i++ {
			dst[i].Sequence = m.number
		}
	}
	return dst
}

// subscribed reads the listing of all that is subscribed on the connection, which
// answers each request: {"level2":["BTC-USD"],"heartbeats":[…]}. A book that is no
// longer in it gets no changes, and no number tells of those: once it is
// subscribed again, only its next snapshot can be trusted. Should a listing turn
// out not to be of all, because a book that it leaves out changes all the same,
// nothing is concluded from listings on this connection.
func (d *coinbaseAdvanced) subscribed(dst []market.Event, body span) []market.Event {
	s := &d.s
	if body.kind != object {
		d.refusePart("subscriptions", d.blame(CauseMissingField, "subscriptions", body))
		return dst
	}
	for _, p := range d.products.order {
		p.listed = false
	}
	d.listing = true
	back := s.at(body)
	s.open('{')
	for s.key() {
		books := string(s.name) == "level2"
		v := s.value()
		if !books || v.kind != array {
			continue
		}
		next := s.at(v)
		s.open('[')
		for s.elem() {
			if p, why := d.product(s.value()); why == nil {
				p.listed = true
			} else {
				d.refusePart("subscriptions", why)
			}
		}
		s.resume(next)
	}
	s.resume(back)
	for _, p := range d.products.order {
		if p.imaged && !p.listed && !d.partial {
			p.imaged = false
			p.reference.forget()
			dst = d.gap(dst, p.id, d.venue)
		}
	}
	return dst
}

// trades reads an array of prints. Those of a snapshot are from before the
// subscription. Their side is the maker's, as on the Exchange feed, so the
// aggressor's is the other one. trade_id is the matching engine's own and grows
// by one per product.
func (d *coinbaseAdvanced) trades(dst []market.Event, m *advancedMessage, prior bool) []market.Event {
	s := &d.s
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			d.refusePart("trade", d.blame(CauseBadValue, "trade", s.value()))
			continue
		}
		s.open('{')
		var id, product, price, size, side, at span
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "trade_id":
				id = v
			case "product_id":
				product = v
			case "price":
				price = v
			case "size":
				size = v
			case "side":
				side = v
			case "time":
				at = v
			}
		}
		if s.bad {
			break
		}
		n := len(dst)
		var e *market.Event
		dst, e = d.add(dst, market.KindTrade)
		e.Venue, e.Sequence = d.venue, m.number
		e.Flags = market.FlagLast | market.FlagContiguous
		if prior {
			e.Flags |= market.FlagPrior
		}
		p, why := d.seen(product)
		if why == nil {
			e.Instrument = p.id
			why = d.fillTrade(e, price, size, id, at)
		}
		if why == nil {
			e.Side, why = d.aggressor(side)
		}
		if why != nil {
			d.refusePart("trade", why)
			dst = dst[:n]
		}
	}
	return dst
}

func (d *coinbaseAdvanced) aggressor(maker span) (market.Side, *fault) {
	b, ok := d.s.str(maker)
	switch {
	case !ok:
		return 0, d.blame(CauseMissingField, "side", maker)
	case string(b) == "BUY":
		return market.SideAsk, nil
	case string(b) == "SELL":
		return market.SideBid, nil
	case string(b) == "UNKNOWN_ORDER_SIDE":
		return market.SideNone, nil
	}
	return 0, d.blame(CauseBadSide, "side", maker)
}

// inOrder puts the prints of one event in the order in which they happened:
// lists begin with the newest. A lower number after a higher one would be taken
// for a print that was told before.
func inOrder(prints []market.Event) {
	byNumber := func(a, b market.Event) int { return cmp.Compare(a.TradeSequence, b.TradeSequence) }
	if len(prints) > 1 && !slices.IsSortedFunc(prints, byNumber) {
		slices.SortStableFunc(prints, byNumber)
	}
}
