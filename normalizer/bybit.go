package normalizer

import (
	"bytes"
	"slices"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// bybit decodes Bybit's public WebSocket v5 and the answers of its REST list of
// instruments. A connection is of one category, which is told by its address.
type bybit struct {
	*base
	venue    market.VenueID
	category bybitCategory
	symbols  listings[bybitListing]
	current  *bybitListing // whose book the frame in hand changes
}

// bybitListing is what is known of one symbol, subscribed or not.
type bybitListing struct {
	id        market.InstrumentID // 0: no event of it yet
	canonical string              // from reference data; empty: by the symbol's form
	class     market.Class
	reference reference

	depth uint64 // of the topic that is its book on this connection; 0 before the first
	u     uint64 // of the book's last message
	known bool   // u is

	ticker bybitTicker
}

// bybitTicker is the state that the changes of a ticker are merged into.
type bybitTicker struct {
	have     [4]bool // bid, its size, ask, its size
	value    [4]int64
	decimals [4]market.Decimals
}

func newBybit(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("bybit")
	return &bybit{base: b, venue: venue}, err
}

// bybitMessage holds what a message says beside its data.
type bybitMessage struct {
	topic, typ, ts, cts, data span
	op, success, retMsg       span
	name                      bybitTopic
	symbol                    []byte
	depth                     uint64
	hasTopic, read            bool
}

type bybitTopic uint8

const (
	bybitNone bybitTopic = iota
	bybitBook
	bybitTrades
	bybitTickers
	bybitOther // known, not taken
)

// topicOf takes a topic apart: orderbook.50.BTCUSDT.
func (m *bybitMessage) topicOf(topic []byte) {
	name, rest, _ := bytes.Cut(topic, []byte{'.'})
	m.name, m.symbol = bybitNone, rest
	switch string(name) {
	case "orderbook":
		depth, symbol, ok := bytes.Cut(rest, []byte{'.'})
		n := uint64(0)
		for _, c := range depth {
			if c-'0' > 9 || n > 1e6 {
				return // orderbook.full, orderbook.rpi: other streams
			}
			n = n*10 + uint64(c-'0')
		}
		if ok && n > 0 && len(symbol) > 0 {
			m.name, m.symbol, m.depth = bybitBook, symbol, n
		}
	case "publicTrade":
		m.name = bybitTrades
	case "tickers":
		m.name = bybitTickers
	case "kline", "liquidation", "allLiquidation", "kline_lt", "tickers_lt", "lt", "insurance", "priceLimit", "adlAlert":
		m.name = bybitOther
	}
}

// Decode implements [Decoder].
//
// A frame is one message of one topic. A book message that is refused, or that
// does not follow the one before, becomes a KindGap of its symbol, of all where
// it breaks off before the topic.
func (d *bybit) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	switch f.Kind {
	case feeds.Data, feeds.Reply:
	case feeds.Up, feeds.Down:
		if c := bybitCategoryOf(f.URL); f.Kind == feeds.Up && c != d.category {
			// The same names mean other products now.
			d.category = c
			d.symbols = listings[bybitListing]{}
		}
		for _, l := range d.symbols.order {
			l.depth, l.known, l.ticker = 0, false, bybitTicker{}
			l.reference.forget()
		}
		return d.control(dst, f)
	default:
		return d.control(dst, f)
	}
	if !d.begin(f) {
		return d.gap(dst, 0, d.venue), d.err()
	}
	if f.Kind == feeds.Reply {
		return d.reply(dst, bybitCategoryOf(f.URL))
	}
	n := len(dst)
	d.current = nil
	var m bybitMessage
	s := &d.s
	if s.open('{') {
		for s.key() {
			switch string(s.name) {
			case "topic":
				m.topic = s.value()
				if b, ok := s.str(m.topic); ok && m.topic.kind == text {
					m.hasTopic = true
					m.topicOf(b)
				}
			case "type":
				m.typ = s.value()
			case "ts":
				m.ts = s.value()
			case "cts":
				m.cts = s.value()
			case "op":
				m.op = s.value()
			case "success":
				m.success = s.value()
			case "ret_msg":
				m.retMsg = s.value()
			case "data":
				// In the order that Bybit sends them, what data means is known by
				// now and it is read in passing.
				if !m.read && m.hasTopic && m.typ.kind != absent {
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
		d.refusal = Refusal{}
		d.refuseFault()
		return d.broken(dst[:n], &m), d.err()
	}
	if !m.hasTopic {
		return d.answer(dst, &m), d.err()
	}
	if !m.read {
		if m.data.kind == absent {
			d.refuse(CauseMissingField, "data")
			return d.broken(dst, &m), d.err()
		}
		back := s.at(m.data)
		dst = d.data(dst, &m)
		s.resume(back)
	}
	return d.timed(dst, n, &m), d.err()
}

// timed gives a book's events their time, which follows the data: that of the
// matching engine where it is told.
func (d *bybit) timed(dst []market.Event, n int, m *bybitMessage) []market.Event {
	if m.name != bybitBook && m.name != bybitTickers || len(dst) == n {
		return dst
	}
	v := m.cts
	if v.kind == absent {
		v = m.ts
	}
	at, ok := d.s.millis(v)
	if !ok && v.kind != absent {
		// What it says of the book holds all the same.
		d.refusePart("book", d.blame(CauseBadNumber, "ts", v))
	}
	for i := n; i < len(dst); i++ {
		dst[i].Time = at
	}
	return dst
}

// broken handles a message that is not whole: its book cannot be trusted.
func (d *bybit) broken(dst []market.Event, m *bybitMessage) []market.Event {
	switch {
	case d.current != nil:
		d.current.reference.forget()
		return d.gap(dst, d.current.id, d.venue)
	case m.name == bybitBook:
		if l, why := d.seen(m); why == nil {
			return d.gap(dst, l.id, d.venue)
		}
		return d.gap(dst, 0, d.venue)
	case !m.hasTopic && m.op.kind == absent:
		return d.gap(dst, 0, d.venue)
	}
	return dst
}

// answer handles the answer to a request: a refusal is counted, a pong is a sign
// of life.
func (d *bybit) answer(dst []market.Event, m *bybitMessage) []market.Event {
	s := &d.s
	op, _ := s.str(m.op)
	switch {
	case m.success.kind == boolFalse:
		detail, _ := s.str(m.retMsg)
		d.refuse(CauseProvider, "%q", clip(detail))
		return dst
	case string(op) == "ping", string(op) == "pong":
		dst, e := d.add(dst, market.KindHeartbeat)
		e.Venue = d.venue
		return dst
	case string(op) == "subscribe", string(op) == "unsubscribe", string(op) == "auth", m.success.kind == boolTrue:
		return dst
	}
	d.refuse(CauseUnknownType, "message without topic, op %q", clip(op))
	return dst
}

// listing returns what is known of a symbol.
func (d *bybit) listing(symbol []byte) (*bybitListing, *fault) {
	if l := d.symbols.by[string(symbol)]; l != nil {
		return l, nil
	}
	canonical, _, ok := bybitSymbol(d.category, string(symbol))
	if !ok || market.CheckSymbol(canonical) != nil || market.CheckSymbol(string(symbol)) != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", span{})
	}
	l, _ := d.symbols.get(symbol)
	if l == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have", span{})
	}
	return l, nil
}

// seen is listing for events: it gives the symbol its instrument number.
func (d *bybit) seen(m *bybitMessage) (*bybitListing, *fault) {
	l, why := d.listing(m.symbol)
	if why != nil || l.id != 0 {
		return l, why
	}
	symbol := string(m.symbol)
	canonical, class := l.canonical, l.class
	if canonical == "" {
		// Reference data lists symbols whose form says nothing too.
		var ok bool
		if canonical, class, ok = bybitSymbol(d.category, symbol); !ok {
			return nil, d.blame(CauseBadSymbol, "symbol", m.topic)
		}
	}
	id, err := d.register(canonical, symbol, class)
	if err != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", m.topic)
	}
	l.id = id
	return l, nil
}

// data reads the data of a message whose topic and type are known.
func (d *bybit) data(dst []market.Event, m *bybitMessage) []market.Event {
	s := &d.s
	switch m.name {
	case bybitOther:
		s.value()
		return dst
	case bybitNone:
		s.value()
		d.refuse(CauseUnknownType, "topic %q", clip(s.raw(m.topic)))
		return dst
	case bybitTrades:
		return d.trades(dst)
	}
	if s.peek() != '{' {
		v := s.value()
		d.refuse(CauseBadValue, "data is not an object: %q", clip(s.raw(v)))
		return d.broken(dst, m)
	}
	if m.name == bybitTickers {
		return d.tick(dst, m)
	}
	return d.book(dst, m)
}

// book reads the data of an order book topic. Where anything in it is bad, or
// where it does not follow the message before, a KindGap takes the place of all
// of it.
//
// A snapshot may come at any time and replaces the book. The update number u
// grows by one with every message of a topic; a number of 1 is a snapshot after
// a restart of the service, whatever the type says (Bybit API v5, "Orderbook").
// A change whose number does not follow is taken for a loss: Bybit does not
// promise that none is left out, but a book that is rebuilt too often is better
// than one that is wrong. The same number again is the same message again. A
// book of depth 1 is all snapshots, whose numbers need not follow.
func (d *bybit) book(dst []market.Event, m *bybitMessage) []market.Event {
	s := &d.s
	n := len(dst)
	l, why := d.seen(m)
	typ, _ := s.str(m.typ)
	snapshot := string(typ) == "snapshot"
	if !snapshot && string(typ) != "delta" {
		why = first(why, d.blame(CauseBadValue, "type", m.typ))
	}
	if why == nil {
		d.current = l
		if l.depth != 0 && l.depth != m.depth {
			// Two streams of one book cannot both be followed.
			s.value()
			d.refuse(CauseBadValue, "book: a second depth of the symbol: %q", clip(s.raw(m.topic)))
			return dst
		}
		if snapshot {
			dst = d.clear(dst, l)
		}
	}
	var u span
	var have [2]bool
	s.open('{')
	for s.key() {
		switch string(s.name) {
		case "b", "a":
			i, side := 0, market.SideBid
			if s.name[0] == 'a' {
				i, side = 1, market.SideAsk
			}
			if have[i] || why != nil {
				why = first(why, d.blame(CauseBadValue, "a side twice", s.value()))
				continue
			}
			have[i] = true
			dst, why = d.pairs(dst, side)
		case "u":
			u = s.value()
		default:
			s.value()
		}
	}
	if s.bad {
		return dst
	}
	if !have[0] && !have[1] {
		why = first(why, d.blame(CauseMissingField, "b and a", span{}))
	}
	number, ok := s.uint(u)
	if !ok {
		why = first(why, d.blame(CauseBadNumber, "u", u))
	}
	if why != nil {
		d.refusePart("book", why)
		return d.lose(dst[:n], l)
	}
	if number == 1 && !snapshot {
		snapshot = true
		levels := slices.Clone(dst[n:])
		dst = append(d.clear(dst[:n], l), levels...)
	}
	last, known := l.u, l.known
	l.u, l.known, l.depth = number, true, m.depth
	switch {
	case snapshot || !known:
		// Without a snapshot the book is not trusted, whatever the number.
	case number == last:
		return dst[:n]
	case number != last+1:
		return d.lose(dst[:n], l)
	}
	if len(dst) == n {
		return d.beats(dst, l.id, d.venue, 0)
	}
	return d.seal(dst, n, l.id, d.venue, 0, snapshot)
}

// clear appends what comes before the levels of a snapshot.
func (d *bybit) clear(dst []market.Event, l *bybitListing) []market.Event {
	dst = d.tell(dst, &l.reference, max(l.reference.status, market.StatusTrading), l.id, d.venue)
	dst, _ = d.add(dst, market.KindClear)
	return dst
}

// lose appends the gap of a symbol, of the whole feed where it is not known.
func (d *bybit) lose(dst []market.Event, l *bybitListing) []market.Event {
	if l == nil {
		return d.gap(dst, 0, d.venue)
	}
	l.reference.forget()
	return d.gap(dst, l.id, d.venue)
}
