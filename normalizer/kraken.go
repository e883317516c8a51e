package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// kraken decodes Kraken's WebSocket v2.
type kraken struct {
	*base
	venue   market.VenueID
	pairs   listings[krakenPair]
	trading market.TradingStatus // of the venue as a whole
	current *krakenPair          // whose book the frame in hand changes
}

// krakenPair is what is known of one pair, subscribed or not.
type krakenPair struct {
	id        market.InstrumentID // 0: no event of it yet
	reference reference
	depth     uint16 // of its book as acknowledged or guessed, 0 unknown
	guessed   bool
	imaged    bool // its book's snapshot has come since it was last subscribed
	book      krakenBook
	newest    int64 // time of its book's newest message
}

func newKraken(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("kraken")
	return &kraken{base: b, venue: venue, trading: market.StatusTrading}, err
}

// krakenMessage holds what a message says beside its data.
type krakenMessage struct {
	channel, typ, method, fault, symbol, result, data, success span
	read                                                       bool // the data has been read
}

// Decode implements [Decoder].
//
// A frame is one message. Where it is refused whole, nothing of it becomes an
// event but a KindGap of the book that it would have changed, of all books where
// the message breaks off before its symbol.
func (d *kraken) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if f.Kind != feeds.Data {
		if f.Kind == feeds.Up || f.Kind == feeds.Down {
			d.trading = market.StatusTrading
			for _, p := range d.pairs.order {
				p.depth, p.guessed, p.imaged, p.book = 0, false, false, krakenNone
				p.reference.forget()
			}
		}
		return d.control(dst, f)
	}
	if !d.begin(f) {
		return d.gap(dst, 0, d.venue), d.err()
	}
	n := len(dst)
	d.current = nil
	var m krakenMessage
	s := &d.s
	if s.open('{') {
		for s.key() {
			switch string(s.name) {
			case "channel":
				m.channel = s.value()
			case "type":
				m.typ = s.value()
			case "method":
				m.method = s.value()
			case "error":
				m.fault = s.value()
			case "symbol":
				m.symbol = s.value()
			case "success":
				m.success = s.value()
			case "result":
				m.result = s.value()
			case "data":
				// In the order that Kraken sends them, what data means is known
				// by now and it is read in passing.
				if !m.read && m.channel.kind != absent && m.typ.kind != absent {
					m.read = true
					dst = d.data(dst, &m)
				} else {
					m.data = s.value()
				}
			default:
				s.value()
			}
		}
	}
	if !s.end() {
		return d.broken(dst[:n], &m), d.err()
	}
	if m.channel.kind == absent {
		return d.answer(dst, &m), d.err()
	}
	if !m.read {
		if m.data.kind != absent {
			back := s.at(m.data)
			dst = d.data(dst, &m)
			s.resume(back)
		} else {
			dst = d.dataless(dst, &m)
		}
	}
	return dst, d.err()
}

// broken handles a frame that is not whole. What it told is taken back, and will
// be told again.
func (d *kraken) broken(dst []market.Event, m *krakenMessage) []market.Event {
	d.refusal = Refusal{}
	d.refuseFault()
	for _, p := range d.pairs.order {
		p.reference.forget()
	}
	channel, ok := d.s.str(m.channel)
	switch {
	case d.current != nil:
		d.current.imaged = false
		return d.gap(dst, d.current.id, d.venue)
	case krakenBookOf(channel) != krakenNone, !ok && m.method.kind == absent:
		return d.gap(dst, 0, d.venue)
	}
	return dst
}

// dataless handles a channel's message without data: a heartbeat, or one that is
// broken.
func (d *kraken) dataless(dst []market.Event, m *krakenMessage) []market.Event {
	channel, _ := d.s.str(m.channel)
	switch string(channel) {
	case "heartbeat":
		dst, e := d.add(dst, market.KindHeartbeat)
		e.Venue = d.venue
		return dst
	case "book", "level3":
		d.refuse(CauseMissingField, "%s: data", channel)
		return d.gap(dst, 0, d.venue)
	case "trade", "instrument", "status", "ticker", "ohlc":
		d.refuse(CauseMissingField, "%s: data", channel)
		return dst
	}
	d.refuse(CauseUnknownType, "channel %q", clip(channel))
	return dst
}

// data reads the data of a message whose channel and type are known.
func (d *kraken) data(dst []market.Event, m *krakenMessage) []market.Event {
	s := &d.s
	channel, _ := s.str(m.channel)
	switch string(channel) {
	case "book", "level3", "trade", "status":
	case "instrument":
		return d.instruments(dst)
	case "heartbeat":
		s.value()
		return d.dataless(dst, m)
	case "ticker", "ohlc":
		s.value() // known, not taken
		return dst
	default:
		d.refuse(CauseUnknownType, "channel %q", clip(channel))
		s.value()
		return dst
	}
	kind, isTrade := krakenBookOf(channel), channel[0] == 't'
	isBook := kind != krakenNone
	typ, _ := s.str(m.typ)
	snapshot := string(typ) == "snapshot"
	if !snapshot && string(typ) != "update" {
		d.refuse(CauseBadValue, "type %q", clip(typ))
		s.value()
		if isBook {
			dst = d.gap(dst, 0, d.venue)
		}
		return dst
	}
	if s.peek() != '[' {
		v := s.value()
		d.refuse(CauseBadValue, "data is not an array: %q", clip(s.raw(v)))
		if isBook {
			dst = d.gap(dst, 0, d.venue)
		}
		return dst
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			v := s.value()
			d.refuse(CauseBadValue, "data holds %q", clip(s.raw(v)))
			if isBook {
				dst = d.gap(dst, 0, d.venue)
			}
			continue
		}
		switch {
		case isBook:
			dst = d.book(dst, snapshot, kind)
		case isTrade:
			dst = d.trade(dst, snapshot)
		default:
			dst = d.system(dst)
		}
	}
	return dst
}

// pair returns what is known of the pair named by v.
func (d *kraken) pair(v span) (*krakenPair, *fault) {
	b, ok := d.s.str(v)
	if !ok {
		return nil, d.blame(CauseMissingField, "symbol", v)
	}
	if p := d.pairs.by[string(b)]; p != nil {
		return p, nil
	}
	canonical, _, ok := krakenSymbol(string(b))
	if !ok || market.CheckSymbol(canonical) != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	p, _ := d.pairs.get(b)
	if p == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
	}
	return p, nil
}

// seen is pair for events: it gives the pair its instrument number.
func (d *kraken) seen(v span) (*krakenPair, *fault) {
	p, why := d.pair(v)
	if why != nil || p.id != 0 {
		return p, why
	}
	b, _ := d.s.str(v)
	spelling := string(b)
	canonical, class, _ := krakenSymbol(spelling)
	id, err := d.register(canonical, spelling, class)
	if err != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	p.id = id
	return p, nil
}

// status returns what holds for a pair: the venue's state where that is not
// plain trading, its own else.
func (d *kraken) status(p *krakenPair) market.TradingStatus {
	if d.trading != market.StatusTrading {
		return d.trading
	}
	return max(p.reference.status, market.StatusTrading) // unknown until told
}

// book reads one element of the book channel, or of level3. Levels or orders, then the checksum over the
// book that they make, which carries FlagLast. Where anything in it is bad, a
// KindGap takes the place of all of it.
func (d *kraken) book(dst []market.Event, snapshot bool, kind krakenBook) []market.Event {
	s := &d.s
	n := len(dst)
	var p *krakenPair
	var why *fault
	var symbol, checksum, timestamp span
	var sides [2]span // deferred: they came before the symbol
	var have [2]bool
	var counts [2]int
	var at int64
	read := func(dst []market.Event, i int) []market.Event {
		before := len(dst)
		side := market.SideBid + market.Side(i)
		var bad *fault
		if kind == krakenOrders {
			var newest int64
			dst, newest, bad = d.orders(dst, side, snapshot)
			at, counts[i] = max(at, newest), prices(dst[before:])
		} else {
			dst, bad = d.levels(dst, side)
			counts[i] = len(dst) - before
		}
		why = first(why, bad)
		have[i] = true
		return dst
	}
	start := func(dst []market.Event) []market.Event {
		p, why = d.seen(symbol)
		if why != nil {
			return dst
		}
		d.current = p
		if !snapshot {
			return dst
		}
		dst = d.tell(dst, &p.reference, d.status(p), p.id, d.venue)
		dst, e := d.add(dst, market.KindClear)
		e.Instrument = p.id
		return dst
	}
	s.open('{')
	for s.key() {
		switch string(s.name) {
		case "symbol":
			v := s.value()
			if symbol.kind == absent && v.kind != absent {
				symbol = v
				dst = start(dst)
			}
		case "bids", "asks":
			i := 0
			if s.name[0] == 'a' {
				i = 1
			}
			switch {
			case symbol.kind == absent:
				sides[i] = s.value()
			case have[i]:
				s.value()
				why = first(why, d.blame(CauseBadValue, "a side twice", span{}))
			default:
				dst = read(dst, i)
			}
		case "checksum":
			checksum = s.value()
		case "timestamp":
			timestamp = s.value()
		default:
			s.value()
		}
	}
	if s.bad {
		return dst
	}
	if symbol.kind == absent {
		why = d.blame(CauseMissingField, "symbol", span{})
	}
	for i, v := range sides {
		if v.kind != absent && !have[i] && p != nil {
			back := s.at(v)
			dst = read(dst, i)
			s.resume(back)
		}
	}
	if !have[0] && !have[1] {
		why = first(why, d.blame(CauseMissingField, "bids and asks", span{}))
	}
	if timestamp.kind != absent {
		b, _ := s.str(timestamp)
		var ok bool
		if at, ok = parseTime(b); !ok {
			why = first(why, d.blame(CauseBadNumber, "timestamp", timestamp))
		}
	}
	var sum uint64
	if checksum.kind != absent {
		var ok bool
		if sum, ok = s.uint(checksum); !ok || sum > math.MaxUint32 {
			why = first(why, d.blame(CauseBadNumber, "checksum", checksum))
		}
	}
	if why == nil && p.book != kind && p.book != krakenNone {
		// Its book comes over the other channel.
		d.refusePart("book", d.blame(CauseBadValue, "second channel of one book", span{}))
		p.reference.forget()
		return dst[:n]
	}
	depth := uint16(0)
	if snapshot && why == nil {
		depth, why = d.depth(p, max(counts[0], counts[1]), kind)
	}
	if why != nil {
		d.refusePart("book", why)
		id := market.InstrumentID(0)
		if p != nil {
			id = p.id
			p.imaged = false
			p.reference.forget()
		}
		return d.gap(dst[:n], id, d.venue)
	}
	if checksum.kind != absent {
		var e *market.Event
		dst, e = d.add(dst, market.KindChecksum)
		e.Sequence = sum
		if kind == krakenOrders {
			e.Checksum = market.ChecksumOrders
		}
	}
	if len(dst) == n {
		return dst
	}
	flags := market.Flags(0)
	if snapshot {
		flags = market.FlagSnapshot
		p.imaged, p.book = true, kind
	}
	// An order's own time may be from before the message.
	if kind == krakenOrders && at < p.newest {
		at = p.newest
	}
	p.newest = at
	for i := n; i < len(dst); i++ {
		e := &dst[i]
		e.Instrument, e.Venue, e.Time, e.Flags = p.id, d.venue, at, flags
		switch e.Kind {
		case market.KindClear:
			e.Depth = depth
		case market.KindInstrument, market.KindStatus:
			e.Flags = 0
		}
	}
	dst[len(dst)-1].Flags |= market.FlagLast
	return dst
}

// depth returns the depth of the book that a snapshot begins. The data message
// does not tell it: it is the ack's, or where that is still on its way the
// smallest that the snapshot's levels fit.
func (d *kraken) depth(p *krakenPair, levels int, kind krakenBook) (uint16, *fault) {
	if p.depth != 0 && !p.guessed && levels <= int(p.depth) {
		return p.depth, nil
	}
	guess, ok := krakenDepth(levels, kind)
	if !ok {
		return 0, d.blame(CauseOversized, "snapshot deeper than any book", span{})
	}
	p.depth, p.guessed = guess, true
	return guess, nil
}

// levels reads an array of {"price","qty"}.
func (d *kraken) levels(dst []market.Event, side market.Side) ([]market.Event, *fault) {
	s := &d.s
	var why *fault
	if s.peek() != '[' {
		return dst, d.blame(CauseBadValue, "levels", s.value())
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			why = first(why, d.blame(CauseBadValue, "level", s.value()))
			continue
		}
		s.open('{')
		var price, qty span
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "price":
				price = v
			case "qty":
				qty = v
			}
		}
		if s.bad {
			break
		}
		if why == nil {
			dst, why = d.level(dst, side, price, qty)
		}
	}
	return dst, why
}
