package normalizer

import (
	"bytes"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// binance decodes Binance's market streams, raw or combined, of the spot market
// and of USD-M futures, with the REST answers that belong to them.
//
// Field names differ by letter case only (b, B; u, U; t, T): everything here
// reads names as they are.
type binance struct {
	diffDecoder
	futures bool
	symbols listings[binanceSymbol]
	upper   []byte
}

// binanceSymbol is what is known of one symbol, subscribed or not.
type binanceSymbol struct {
	diffSymbol
	source binanceBookKind  // where its book comes from on this connection
	tape   binanceTradeKind // where its prints come from
}

// binanceBookKind is the stream that a symbol's book is made of. Where several
// are subscribed, one is taken: the first to come, and diffs before tops.
type binanceBookKind uint8

const (
	bookNone   binanceBookKind = iota
	bookDiffs                  // <symbol>@depth
	bookImages                 // <symbol>@depth5, 10, 20
)

// binanceTradeKind is the stream that a symbol's prints are taken from. The same
// trades are in both and must not count twice.
type binanceTradeKind uint8

const (
	tapeNone binanceTradeKind = iota
	tapeTrades
	tapeAggregates
)

func newBinance(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("binance")
	return &binance{diffDecoder: diffDecoder{base: b, venue: venue, rule: diffContiguous}}, err
}

func newBinanceFutures(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("binance-usdm")
	return &binance{diffDecoder: diffDecoder{base: b, venue: venue, rule: diffLinked}, futures: true}, err
}

// binanceMessage holds what a message says.
type binanceMessage struct {
	stream, event, symbol                span // stream, e, s
	eventTime, tradeTime                 span // E, T
	first, last, prev, lastUpdate        span // U, u, pu, lastUpdateId
	price, size, tradeID, aggID, maker   span // p, q, t, a, m
	bid, bidSize, ask, askSize           span // b, B, a, A
	id, result, code, msg, fault, contra span // id, result, code, msg, error, X
	sides                                [2]bool
	why                                  *fault // of the levels
}

// Decode implements [Decoder].
//
// A frame is one message. A lost or refused diff makes a KindGap of its book, at
// the latest when the next one does not follow; the diffs after it are kept, and
// the next image, a Reply, makes the book whole.
func (d *binance) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	switch f.Kind {
	case feeds.Data:
	case feeds.Reply:
		return d.reply(dst, f)
	default:
		d.reconnected(f.Kind)
		return d.control(dst, f)
	}
	if !d.begin(f) {
		return dst, d.err() // the numbers will tell what was lost
	}
	n := len(dst)
	var m binanceMessage
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
func (d *binance) reconnected(k feeds.FrameKind) {
	if k.Continues() {
		return // the stream goes on where it was
	}
	for _, p := range d.symbols.order {
		if k == feeds.Lost {
			d.lost(&p.diffSymbol)
			continue
		}
		p.book.begin(&d.held)
		p.forget()
		p.source, p.tape = bookNone, tapeNone
	}
}

// members reads the members of an object that was opened into m, the levels of a
// book into dst. The message of a combined stream is in its member data.
func (d *binance) members(dst []market.Event, m *binanceMessage, outer bool) []market.Event {
	s := &d.s
	for s.key() {
		side := -1
		switch string(s.name) {
		case "b", "bids":
			side = 0
		case "a", "asks":
			side = 1
		case "data":
			if outer && s.peek() == '{' {
				s.open('{')
				dst = d.members(dst, m, false)
				s.opened = false
				continue
			}
		}
		if side >= 0 && s.peek() == '[' {
			if m.sides[side] {
				m.why = first(m.why, d.blame(CauseBadValue, "a side twice", span{}))
			}
			m.sides[side] = true
			var bad *fault
			dst, bad = d.pairs(dst, market.SideBid+market.Side(side))
			m.why = first(m.why, bad)
			continue
		}
		v := s.value()
		switch string(s.name) {
		case "stream":
			m.stream = v
		case "e":
			m.event = v
		case "E":
			m.eventTime = v
		case "s":
			m.symbol = v
		case "U":
			m.first = v
		case "u":
			m.last = v
		case "pu":
			m.prev = v
		case "b":
			m.bid = v
		case "B":
			m.bidSize = v
		case "a":
			m.ask, m.aggID = v, v
		case "A":
			m.askSize = v
		case "p":
			m.price = v
		case "q":
			m.size = v
		case "t":
			m.tradeID = v
		case "T":
			m.tradeTime = v
		case "m":
			m.maker = v
		case "X":
			m.contra = v
		case "lastUpdateId":
			m.lastUpdate = v
		case "id":
			m.id = v
		case "result":
			m.result = v
		case "code":
			m.code = v
		case "msg":
			m.msg = v
		case "error":
			m.fault = v
		}
	}
	return dst
}

// broken handles a frame that is not whole. Where it shows which book it would
// have changed, that one is not trusted from now on; else the numbers will tell.
func (d *binance) broken(dst []market.Event, m *binanceMessage) []market.Event {
	if event, _ := d.s.str(m.event); string(event) != "depthUpdate" && !bytes.Contains(d.s.raw(m.stream), []byte("@depth")) {
		return dst
	}
	return d.loseBook(dst, m)
}

// loseBook appends the gap of the message's book, if it is known whose it is.
func (d *binance) loseBook(dst []market.Event, m *binanceMessage) []market.Event {
	p, why := d.seen(m)
	d.fault.cause = ""
	if why != nil {
		return dst
	}
	return d.lose(dst, &p.diffSymbol)
}

// message handles a message that was read to its end. Levels are in dst from n
// on.
func (d *binance) message(dst []market.Event, n int, m *binanceMessage) []market.Event {
	s := &d.s
	images := isPartialDepth(s.raw(m.stream))
	event, ok := s.str(m.event)
	switch {
	case images && (m.lastUpdate.kind != absent || string(event) == "depthUpdate"):
		return d.imageMessage(dst, n, m)
	case !ok && m.lastUpdate.kind != absent:
		d.refuse(CauseMissingField, "partial depth without the name of its stream")
		return dst[:n]
	case !ok && m.last.kind != absent && m.bidSize.kind != absent, string(event) == "bookTicker":
		return d.top(dst[:n], m)
	case !ok:
		return d.answer(dst[:n], m)
	}
	switch string(event) {
	case "depthUpdate":
		return d.diff(dst, n, m)
	case "trade", "aggTrade":
		return d.trade(dst[:n], m, event[0] == 'a')
	case "kline", "continuous_kline", "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker", "avgPrice",
		"markPriceUpdate", "indexPriceUpdate", "forceOrder", "compositeIndex", "contractInfo", "assetIndexUpdate",
		"blockTrade", "referencePrice", "tradingSession", "serverShutdown":
		return dst[:n] // known, not taken
	}
	d.refuse(CauseUnknownType, "event %q", clip(event))
	return dst[:n]
}

// isPartialDepth reports whether a stream is <symbol>@depth<levels>: images of
// the best levels.
func isPartialDepth(stream []byte) bool {
	_, rest, _ := cutDepth(stream)
	return len(rest) > 0 && rest[0]-'0' <= 9
}

// cutDepth cuts the name of a stream at the word that makes it one of books.
func cutDepth(stream []byte) (symbol, rest []byte, ok bool) {
	return bytes.Cut(stream, []byte("@depth"))
}

// answer handles the answer to a request on the socket.
func (d *binance) answer(dst []market.Event, m *binanceMessage) []market.Event {
	s := &d.s
	switch {
	case m.fault.kind == object: // {"error":{"code":2,"msg":"..."},"id":1}
		m.code, m.msg = span{}, span{}
		back := s.at(m.fault)
		s.open('{')
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "code":
				m.code = v
			case "msg":
				m.msg = v
			}
		}
		s.resume(back)
		d.refuseAnswer(m)
	case m.code.kind != absent:
		d.refuseAnswer(m)
	case m.result.kind != absent:
		var e *market.Event
		dst, e = d.add(dst, market.KindHeartbeat)
		e.Venue = d.venue
	default:
		d.refuse(CauseUnknownType, "message without an event type")
	}
	return dst
}

func (d *binance) refuseAnswer(m *binanceMessage) {
	msg, _ := d.s.str(m.msg)
	d.refuse(CauseProvider, "%s %q", clip(d.s.raw(m.code)), clip(msg))
}

// symbol returns what is known of the symbol of m: its field s or, of images, the
// beginning of the stream's name, which is in lower case.
func (d *binance) symbol(m *binanceMessage) (*binanceSymbol, []byte, *fault) {
	b, ok := d.s.str(m.symbol)
	if !ok {
		name, _ := d.s.str(m.stream)
		name, _, ok = bytes.Cut(name, []byte("@"))
		if !ok {
			return nil, nil, d.blame(CauseMissingField, "symbol", m.symbol)
		}
		d.upper = append(d.upper[:0], name...)
		for i, c := range d.upper {
			if c-'a' < 26 {
				d.upper[i] = c - 'a' + 'A'
			}
		}
		b = d.upper
	}
	p, why := d.named(b)
	return p, b, why
}

// named returns what is known of a symbol.
func (d *binance) named(b []byte) (*binanceSymbol, *fault) {
	if p := d.symbols.by[string(b)]; p != nil {
		return p, nil
	}
	if market.CheckSymbol(d.canonical(string(b))) != nil {
		return nil, d.blame(CauseBadSymbol, "symbol that cannot be one", span{})
	}
	p, _ := d.symbols.get(b)
	if p == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have", span{})
	}
	return p, nil
}

// seen is symbol for events: it gives the symbol its instrument number.
func (d *binance) seen(m *binanceMessage) (*binanceSymbol, *fault) {
	p, b, why := d.symbol(m)
	if why != nil || p.id != 0 {
		return p, why
	}
	return p, d.enter(p, string(b))
}

// enter gives a symbol its instrument number.
func (d *binance) enter(p *binanceSymbol, spelling string) *fault {
	canonical := p.canonical
	if canonical == "" {
		canonical = d.canonical(spelling)
	}
	class := market.ClassCrypto
	if d.futures {
		class = market.ClassFuture
	}
	return d.number(&p.diffSymbol, spelling, canonical, class)
}

// time returns the message's event time: of the matching engine where it is told.
func (d *binance) time(m *binanceMessage, needed bool) (int64, *fault) {
	v := m.tradeTime
	if v.kind == absent {
		v = m.eventTime
	}
	if v.kind == absent && !needed {
		return 0, nil
	}
	// Milliseconds, or microseconds where the connection asked for them.
	t, ok := d.s.uint(v)
	if !ok || t == 0 || t > 1<<62 {
		return 0, d.blame(CauseBadNumber, "time", v)
	}
	ns := timeByMagnitude(int64(t))
	if ns == 0 {
		return 0, d.blame(CauseBadNumber, "time", v)
	}
	return ns, nil
}
