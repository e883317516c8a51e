package normalizer

import (
	"slices"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// gemini decodes Gemini's market data v2 and the answers of its REST symbol
// details. The stream has neither sequence nor checksum: what is lost shows only
// where the book crosses.
type gemini struct {
	*base
	venue   market.VenueID
	symbols listings[geminiListing]
}

// geminiListing is what is known of one symbol, subscribed or not.
type geminiListing struct {
	id        market.InstrumentID // 0: no event of it yet
	canonical string              // from reference data; empty: by the symbol's form
	class     market.Class
	reference reference
	lastTrade uint64 // highest identifier of a print
}

func newGemini(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("gemini")
	return &gemini{base: b, venue: venue}, err
}

// geminiMessage holds the places of a message's values.
type geminiMessage struct {
	typ, result, reason, msg, symbol     span
	event, time, price, quantity, side   span
	changes, trades, auctions            span
	base, quote, tick, increment, status span
}

// geminiQuotes are the currencies that pairs are quoted in, longer ones before
// those that they end with.
var geminiQuotes = [...]string{"USDT", "USDC", "USD", "BTC", "ETH", "EUR", "GBP", "SGD", "DAI", "BCH", "LTC", "FIL"}

// geminiSymbol makes a symbol canonical. Gemini writes pairs without a
// separator; where its reference data did not tell the two currencies, they are
// told apart by the quote currencies that it has: BTCUSD is BTC-USD, the
// perpetual BTCGUSDPERP BTC-GUSD-PERP. GUSD is taken for the quote of BTC and ETH
// alone, because other bases end in G.
func geminiSymbol(symbol string) (canonical string, class market.Class, ok bool) {
	symbol = strings.ToUpper(symbol)
	if pair, perpetual := strings.CutSuffix(symbol, "PERP"); perpetual {
		base, quote, ok := splitQuote(pair, []string{"GUSD", "USDC", "USDT", "USD"})
		return base + "-" + quote + "-PERP", market.ClassFuture, ok
	}
	if symbol == "BTCGUSD" || symbol == "ETHGUSD" {
		return symbol[:3] + "-GUSD", market.ClassCrypto, true
	}
	base, quote, ok := splitQuote(symbol, geminiQuotes[:])
	return base + "-" + quote, cryptoClass(base, quote), ok
}

// Decode implements [Decoder].
//
// A frame is one message. A book message that is refused becomes a KindGap of
// its symbol, of all where it breaks off before the name, because nothing else
// would show the loss later.
func (d *gemini) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	switch f.Kind {
	case feeds.Data, feeds.Reply:
	case feeds.Up, feeds.Down:
		for _, l := range d.symbols.order {
			l.reference.forget()
		}
		return d.control(dst, f)
	default:
		return d.control(dst, f)
	}
	if !d.begin(f) {
		return d.gap(dst, 0, d.venue), d.err()
	}
	s := &d.s
	n := len(dst)
	if f.Kind == feeds.Reply && s.peek() != '{' {
		s.value() // the list of symbols, which tells nothing of them
		if !s.end() {
			d.refuseFault()
		}
		return dst, d.err()
	}
	var m geminiMessage
	if s.open('{') {
		for v := (span{}); s.member(&v); {
			m.take(string(s.name), v)
		}
	}
	if !s.end() {
		d.refuseFault()
		if f.Kind == feeds.Reply {
			return dst, d.err()
		}
		typ, ok := s.str(m.typ)
		if !ok || string(typ) == "l2_updates" {
			dst = d.gapOf(dst, &m)
		}
		return dst, d.err()
	}
	if f.Kind == feeds.Reply {
		return d.details(dst, &m), d.err()
	}
	typ, ok := s.str(m.typ)
	switch {
	case !ok:
		if b, _ := s.str(m.result); string(b) == "error" {
			d.reject(&m)
			break
		}
		d.refuse(CauseMissingField, "message without type")
	case string(typ) == "l2_updates":
		dst = d.book(dst, n, &m)
	case string(typ) == "trade":
		dst = d.trade(dst, &m, nil)
	case string(typ) == "heartbeat":
		var e *market.Event
		dst, e = d.add(dst, market.KindHeartbeat)
		e.Venue = d.venue
		e.Time, _ = s.millis(m.time)
	case string(typ) == "error":
		d.reject(&m)
	case strings.HasPrefix(string(typ), "candles_"), strings.HasPrefix(string(typ), "auction_"), string(typ) == "subscription_ack",
		strings.HasPrefix(string(typ), "mark_price"), strings.HasPrefix(string(typ), "funding_"), string(typ) == "block_trade":
		// known, not taken
	default:
		d.refuse(CauseUnknownType, "type %q", clip(typ))
	}
	return dst, d.err()
}

// take keeps the place of a member.
func (m *geminiMessage) take(name string, v span) {
	switch name {
	case "type":
		m.typ = v
	case "symbol":
		m.symbol = v
	case "changes":
		m.changes = v
	case "trades":
		m.trades = v
	case "auction_events":
		m.auctions = v
	case "event_id", "eventid":
		m.event = v
	case "timestamp", "timestampms":
		m.time = v
	case "price":
		m.price = v
	case "quantity":
		m.quantity = v
	case "side":
		m.side = v
	case "result":
		m.result = v
	case "reason":
		m.reason = v
	case "message":
		m.msg = v
	case "base_currency":
		m.base = v
	case "quote_currency":
		m.quote = v
	case "tick_size":
		m.tick = v
	case "quote_increment":
		m.increment = v
	case "status":
		m.status = v
	}
}

// reject counts what Gemini refused.
func (d *gemini) reject(m *geminiMessage) {
	reason, _ := d.s.str(m.reason)
	detail := string(clip(reason))
	text, _ := d.s.str(m.msg)
	d.refuse(CauseProvider, "%q %q", detail, clip(text))
}

// listing returns what is known of the symbol named by v.
func (d *gemini) listing(v span) (*geminiListing, *fault) {
	b, ok := d.s.str(v)
	if !ok {
		return nil, d.blame(CauseMissingField, "symbol", v)
	}
	if l := d.symbols.by[string(b)]; l != nil {
		return l, nil
	}
	if market.CheckSymbol(string(b)) != nil || len(b) > market.MaxSymbol-len("--PERP") {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	// The stream spells BTCUSD, the REST interface both ways.
	upper := strings.ToUpper(string(b))
	l, _ := d.symbols.get([]byte(upper))
	if l == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
	}
	return l, nil
}

// seen is listing for events: it gives the symbol its instrument number.
func (d *gemini) seen(v span) (*geminiListing, *fault) {
	l, why := d.listing(v)
	if why != nil || l.id != 0 {
		return l, why
	}
	b, _ := d.s.str(v)
	symbol := strings.ToUpper(string(b))
	canonical, class, ok := l.canonical, l.class, true
	if canonical == "" {
		canonical, class, ok = geminiSymbol(symbol)
	}
	if !ok {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	id, err := d.register(canonical, symbol, class)
	if err != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	l.id = id
	return l, nil
}

// gapOf appends the gap of the message's symbol, of the whole feed where it has
// none.
func (d *gemini) gapOf(dst []market.Event, m *geminiMessage) []market.Event {
	if l, why := d.seen(m.symbol); why == nil {
		l.reference.forget()
		return d.gap(dst, l.id, d.venue)
	}
	d.fault.cause = ""
	return d.gap(dst, 0, d.venue)
}

// book reads an l2_updates message. The first after a subscription is the whole
// book; it alone has the list of the last prints, by which it is known: where it
// did not come, nothing else may stand for it. The others are changes, absolute
// sizes (API docs, "Market data v2, Level 2 data"). There is no time in it.
func (d *gemini) book(dst []market.Event, n int, m *geminiMessage) []market.Event {
	s := &d.s
	l, why := d.seen(m.symbol)
	if why != nil {
		d.refusePart("book", why)
		return d.gap(dst, 0, d.venue)
	}
	image := m.trades.kind == array || m.auctions.kind == array
	if image {
		dst = d.tell(dst, &l.reference, max(l.reference.status, market.StatusTrading), l.id, d.venue)
		dst, _ = d.add(dst, market.KindClear)
	}
	if m.changes.kind != array {
		why = d.blame(CauseMissingField, "changes", m.changes)
	} else {
		back := s.at(m.changes)
		dst, why = d.changed(dst)
		s.resume(back)
	}
	if why != nil {
		d.refusePart("book", why)
		return d.gapOf(dst[:n], m)
	}
	if len(dst) == n {
		return d.beats(dst, l.id, d.venue, 0)
	}
	dst = d.seal(dst, n, l.id, d.venue, 0, image)
	if m.trades.kind == array {
		dst = d.printed(dst, m, l)
	}
	return dst
}

// changed reads an array of [side, price, size].
func (d *gemini) changed(dst []market.Event) ([]market.Event, *fault) {
	s := &d.s
	var why *fault
	n := len(dst)
	s.open('[')
	for s.elem() {
		if s.peek() != '[' {
			why = first(why, d.blame(CauseBadValue, "change", s.value()))
			continue
		}
		s.open('[')
		var v [3]span
		for i := 0; s.elem(); i++ {
			x := s.value()
			if i < len(v) {
				v[i] = x
			}
		}
		if why != nil {
			continue
		}
		var side market.Side
		if side, why = d.taker(v[0]); why == nil {
			if dst, why = d.level(dst, side, v[1], v[2]); len(dst)-n > maxLevels {
				why = first(why, d.blame(CauseOversized, "too many changes at", v[1]))
			}
		}
	}
	return dst, why
}

// printed reads the prints of an image, newest first. Those that have been told
// are left out.
func (d *gemini) printed(dst []market.Event, m *geminiMessage, l *geminiListing) []market.Event {
	s := &d.s
	n := len(dst)
	back := s.at(m.trades)
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			v := s.value()
			d.refuse(CauseBadValue, "trades hold %q", clip(s.raw(v)))
			continue
		}
		var p geminiMessage
		s.open('{')
		for v := (span{}); s.member(&v); {
			p.take(string(s.name), v)
		}
		p.symbol = m.symbol
		dst = d.trade(dst, &p, l)
	}
	s.resume(back)
	slices.Reverse(dst[n:])
	kept := dst[:n]
	for i := n; i < len(dst); i++ {
		if dst[i].TradeSequence > l.lastTrade {
			l.lastTrade = dst[i].TradeSequence
			kept = append(kept, dst[i])
		}
	}
	return kept
}

// trade reads a print. Its side is the taker's. With the listing it is from
// before the subscription. The identifiers grow, but not by one.
func (d *gemini) trade(dst []market.Event, m *geminiMessage, prior *geminiListing) []market.Event {
	s := &d.s
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Venue, e.Flags = d.venue, market.FlagLast
	l, why := d.seen(m.symbol)
	if why == nil {
		e.Instrument = l.id
		why = d.fillPrint(e, m.price, m.quantity, m.event)
	}
	if why == nil {
		e.Side, why = d.geminiSide(m.side)
	}
	var ok bool
	if e.Time, ok = s.millis(m.time); why == nil && (!ok || e.Time == 0) {
		why = d.blame(CauseBadNumber, "timestamp", m.time)
	}
	if e.TradeSequence, ok = s.uint(m.event); why == nil && !ok {
		why = d.blame(CauseBadNumber, "event_id", m.event)
	}
	if why != nil {
		d.refusePart("trade", why)
		return dst[:n]
	}
	if prior != nil {
		e.Flags |= market.FlagPrior
	} else {
		l.lastTrade = max(l.lastTrade, e.TradeSequence)
	}
	return dst
}

// geminiSide is taker for prints of auctions and block trades too, which have no
// taker.
func (d *gemini) geminiSide(v span) (market.Side, *fault) {
	if b, _ := d.s.str(v); string(b) == "auction" || string(b) == "block" {
		return market.SideNone, nil
	}
	return d.taker(v)
}

// details reads the answer of GET /v1/symbols/details/{symbol}. tick_size is the
// step of the quantity there, quote_increment that of the price.
func (d *gemini) details(dst []market.Event, m *geminiMessage) []market.Event {
	s := &d.s
	if b, _ := s.str(m.result); string(b) == "error" {
		d.reject(m)
		return dst
	}
	if m.symbol.kind == absent {
		return dst // other REST answers
	}
	upper, _ := s.str(m.symbol)
	l := d.symbols.by[strings.ToUpper(string(upper))]
	if l == nil {
		var why *fault
		if l, why = d.listing(m.symbol); why != nil {
			d.refusePart("details", why)
			return dst
		}
	}
	b, ok1 := s.str(m.base)
	q, ok2 := s.str(m.quote)
	if ok1 && ok2 && m.base.kind == text && m.quote.kind == text && l.id == 0 {
		base, quote := strings.ToUpper(string(b)), strings.ToUpper(string(q))
		l.canonical, l.class = base+"-"+quote, cryptoClass(base, quote)
		symbol, _ := s.str(m.symbol)
		if strings.HasSuffix(strings.ToUpper(string(symbol)), "PERP") {
			l.canonical, l.class = l.canonical+"-PERP", market.ClassFuture
		}
		if market.CheckSymbol(l.canonical) != nil {
			l.canonical = ""
		}
	}
	if scale, t, z, ok := d.steps(m.increment, m.tick); ok {
		l.reference.set(scale, t, z)
	}
	if b, ok := s.str(m.status); ok {
		switch string(b) {
		case "open":
			l.reference.status = market.StatusTrading
		case "closed":
			l.reference.status = market.StatusClosed
		default:
			l.reference.status = market.StatusRestricted
		}
	}
	if l.id != 0 {
		dst = d.tellNews(dst, &l.reference, l.id, d.venue)
	}
	return dst
}
