package normalizer

import (
	"bytes"
	"math"
	"slices"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// bitfinexSequence is the flag of a connection whose data messages carry a
// running number (WebSocket v2, "Configuration", SEQ_ALL).
const bitfinexSequence = 1 << 16

// Codes of info events ("Info messages").
const (
	bitfinexPaused  = 20060 // maintenance begins
	bitfinexResumed = 20061 // it has ended
)

// bitfinex decodes Bitfinex's public WebSocket v2: events are objects, data are
// arrays that name their channel by a number that holds for the connection.
type bitfinex struct {
	*base
	venue    market.VenueID
	symbols  listings[bitfinexListing]
	channels map[uint64]*bitfinexChannel

	sequenced bool // messages carry a running number
	known     bool // last is the number of the last one
	last      uint64
}

// bitfinexListing is what is known of one symbol.
type bitfinexListing struct {
	id        market.InstrumentID // 0: no event of it yet
	reference reference
	lastTrade uint64 // highest identifier of a print
	imaged    bool   // its book's image has come and nothing was missed since
}

// forget notes that its book is not to be trusted until the next image, with
// which all is told again.
func (l *bitfinexListing) forget() {
	l.imaged = false
	l.reference.forget()
}

// bitfinexChannel is one subscription of the connection.
type bitfinexChannel struct {
	kind    bitfinexKind
	listing *bitfinexListing
}

type bitfinexKind uint8

const (
	// bitfinexOther is known and not taken. Of these, the ticker's sizes are
	// sums over 25 levels, no top of book.
	bitfinexOther bitfinexKind = iota
	bitfinexBook
	bitfinexTrades
	bitfinexEnded // unsubscribed; a few messages may still come
)

func newBitfinex(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("bitfinex")
	return &bitfinex{base: b, venue: venue, channels: make(map[uint64]*bitfinexChannel)}, err
}

// Decode implements [Decoder].
//
// A frame is one message of one channel. Where it is refused its book gets a
// KindGap. Where the connection's numbering shows that messages were lost, it is
// a KindGap of all books, as any of them may have been meant.
func (d *bitfinex) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if f.Kind == feeds.Reply {
		if !d.begin(f) {
			return dst, d.err()
		}
		d.s.value() // lists of pairs and currencies: nothing that is needed
		if !d.s.end() {
			d.refuseFault()
		}
		return dst, d.err()
	}
	if f.Kind != feeds.Data {
		if f.Kind == feeds.Up || f.Kind == feeds.Down {
			clear(d.channels)
			d.sequenced, d.known = false, false
			for _, l := range d.symbols.order {
				l.reference.status = market.StatusUnknown
				l.forget()
			}
		}
		return d.control(dst, f)
	}
	if !d.begin(f) {
		d.known = false
		return d.gap(dst, 0, d.venue), d.err()
	}
	n := len(dst)
	s := &d.s
	if s.peek() == '{' {
		dst = d.event(dst)
		if !s.end() {
			d.refusal = Refusal{}
			d.refuseFault()
			return dst[:n], d.err()
		}
		return dst, d.err()
	}
	return d.message(dst)
}

// message reads an array: channel, then what it says, then the running number
// where the connection has them.
func (d *bitfinex) message(dst []market.Event) ([]market.Event, error) {
	s := &d.s
	n := len(dst)
	var id, word span
	var ch *bitfinexChannel
	var more [2]span // what follows the word, or the data
	s.open('[')
	for i := 0; s.elem(); i++ {
		switch {
		case i == 0:
			id = s.value()
			if number, ok := s.uint(id); ok {
				ch = d.channels[number]
			}
		case i == 1 && s.peek() == '[':
			dst = d.data(dst, ch)
		case i == 1:
			word = s.value()
		case i-2 < len(more):
			more[i-2] = s.value()
		default:
			s.value() // later additions
		}
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		// Its number is not known, so the next one shows nothing.
		d.known = false
		if ch != nil && ch.kind != bitfinexBook {
			return dst[:n], d.err()
		}
		if ch != nil {
			return d.gap(dst[:n], ch.listing.id, d.venue), d.err()
		}
		return d.gap(dst[:n], 0, d.venue), d.err()
	}
	number := more[0]
	if word.kind != absent {
		var rest span
		dst, rest = d.word(dst, ch, id, word, more)
		number = rest
	} else if ch == nil && id.kind != absent {
		d.refuse(CauseBadValue, "channel %q is not known", clip(s.raw(id)))
	}
	if d.sequenced {
		dst = d.number(dst, n, number)
	}
	return dst, d.err()
}

// number holds a message's running number against the one before. They grow by
// one with every data message of the connection, heartbeats and checksums
// included (WebSocket v2, "SEQ_ALL"). The same number again is the same message
// again.
func (d *bitfinex) number(dst []market.Event, n int, v span) []market.Event {
	number, ok := d.s.uint(v)
	if !ok {
		d.refusePart("message", d.blame(CauseMissingField, "sequence", v))
		d.known = false
		return d.gap(dst[:n], 0, d.venue)
	}
	last, known := d.last, d.known
	d.last, d.known = number, true
	switch {
	case !known || number == last+1:
		return dst
	case number == last:
		return dst[:n]
	}
	// What was lost came before this message.
	events := slices.Clone(dst[n:])
	return append(d.gap(dst[:n], 0, d.venue), events...)
}

// word reads a message whose second element is a word, and returns the place of
// what follows what the word announces.
func (d *bitfinex) word(dst []market.Event, ch *bitfinexChannel, id, word span, more [2]span) ([]market.Event, span) {
	s := &d.s
	b, _ := s.str(word)
	switch string(b) {
	case "hb":
		// One may come before its channel is acknowledged.
		if ch != nil && ch.kind == bitfinexBook && ch.listing.id != 0 {
			dst = d.beats(dst, ch.listing.id, d.venue, 0)
		} else {
			var e *market.Event
			dst, e = d.add(dst, market.KindHeartbeat)
			e.Venue = d.venue
		}
		return dst, more[0]
	case "cs":
		if ch == nil || ch.kind != bitfinexBook {
			return dst, more[1]
		}
		sum, ok := s.whole(more[0])
		if !ok || sum < math.MinInt32 || sum > math.MaxUint32 {
			d.refusePart("checksum", d.blame(CauseBadNumber, "cs", more[0]))
			return d.gap(dst, ch.listing.id, d.venue), more[1]
		}
		dst, e := d.add(dst, market.KindChecksum)
		e.Sequence, e.Checksum = uint64(uint32(sum)), market.ChecksumNumbers
		e.Instrument, e.Venue, e.Flags = ch.listing.id, d.venue, market.FlagLast|market.FlagPiecemeal
		return dst, more[1]
	case "te":
		if ch != nil && ch.kind == bitfinexTrades && more[0].kind == array {
			back := s.at(more[0])
			s.open('[')
			dst = d.trade(dst, ch.listing, false)
			s.resume(back)
		}
		return dst, more[1]
	case "tu", "fte", "ftu":
		return dst, more[1] // the same print again, a second later
	}
	if ch == nil || ch.kind == bitfinexBook || ch.kind == bitfinexTrades {
		d.refuse(CauseUnknownType, "channel %q says %q", clip(s.raw(id)), clip(b))
	}
	return dst, more[1]
}

// data reads a message whose second element is an array.
func (d *bitfinex) data(dst []market.Event, ch *bitfinexChannel) []market.Event {
	s := &d.s
	if ch == nil {
		s.value()
		return dst
	}
	switch ch.kind {
	case bitfinexBook:
		return d.book(dst, ch.listing)
	case bitfinexTrades:
		return d.printed(dst, ch.listing)
	}
	s.value()
	return dst
}

// book reads an image, an array of levels, or one level. Levels are [price,
// count, amount]: count 0 removes, else amount is all that stands there; it is
// negative for asks.
func (d *bitfinex) book(dst []market.Event, l *bitfinexListing) []market.Event {
	s := &d.s
	n := len(dst)
	s.open('[')
	c := s.peek()
	image := c == '[' || c == ']'
	var why *fault
	if image {
		dst = d.tell(dst, &l.reference, max(l.reference.status, market.StatusTrading), l.id, d.venue)
		dst, _ = d.add(dst, market.KindClear)
		for s.elem() {
			if s.peek() != '[' {
				why = first(why, d.blame(CauseBadValue, "level", s.value()))
				continue
			}
			s.open('[')
			var bad *fault
			dst, bad = d.row(dst)
			why = first(why, bad)
			if len(dst)-n > maxLevels {
				why = first(why, d.blame(CauseOversized, "too many levels", span{}))
			}
		}
	} else {
		dst, why = d.row(dst)
	}
	if s.bad {
		return dst
	}
	if why != nil {
		d.refusePart("book", why)
		l.forget()
		return d.gap(dst[:n], l.id, d.venue)
	}
	l.imaged = l.imaged || image
	dst = d.seal(dst, n, l.id, d.venue, 0, image)
	if !image {
		// A change of several levels is told in as many messages, between which
		// the book may be crossed (api_docs#9).
		dst[len(dst)-1].Flags |= market.FlagPiecemeal
	}
	return dst
}

// row reads one level, whose bracket is open.
func (d *bitfinex) row(dst []market.Event) ([]market.Event, *fault) {
	s := &d.s
	var v [3]span
	for i := 0; s.elem(); i++ {
		x := s.value()
		if i < len(v) {
			v[i] = x
		}
	}
	if s.bad {
		return dst, nil
	}
	price, pd, ok := s.decimal(v[0])
	if !ok || price <= 0 {
		return dst, d.blame(CauseBadNumber, "price", v[0])
	}
	count, ok := s.uint(v[1])
	if !ok {
		return dst, d.blame(CauseBadNumber, "count", v[1])
	}
	amount, zd, ok := s.decimal(v[2])
	if !ok || amount == 0 || amount == math.MinInt64 {
		return dst, d.blame(CauseBadNumber, "amount", v[2])
	}
	dst, e := d.add(dst, market.KindLevel)
	e.Side = market.SideBid
	if amount < 0 {
		e.Side, amount = market.SideAsk, -amount
	}
	e.Price, e.PriceDecimals = market.Price(price), pd
	if count > 0 {
		e.Size, e.SizeDecimals = market.Size(amount), zd
	}
	return dst, nil
}

// printed reads the prints from before the subscription, newest first. Those that
// have been told are left out.
func (d *bitfinex) printed(dst []market.Event, l *bitfinexListing) []market.Event {
	s := &d.s
	n := len(dst)
	s.open('[')
	for s.elem() {
		if s.peek() != '[' {
			s.value() // one print without a word is of an older version
			continue
		}
		s.open('[')
		dst = d.trade(dst, l, true)
	}
	if s.bad {
		return dst[:n]
	}
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

// trade reads one print, whose bracket is open: [id, ms, amount, price]. The
// taker bought where the amount is positive.
func (d *bitfinex) trade(dst []market.Event, l *bitfinexListing, prior bool) []market.Event {
	s := &d.s
	var v [4]span
	for i := 0; s.elem(); i++ {
		x := s.value()
		if i < len(v) {
			v[i] = x
		}
	}
	if s.bad {
		return dst
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Instrument, e.Venue, e.Flags, e.Side = l.id, d.venue, market.FlagLast, market.SideBid
	var why *fault
	amount, zd, ok := s.decimal(v[2])
	switch {
	case !ok || amount == 0 || amount == math.MinInt64:
		why = d.blame(CauseBadNumber, "amount", v[2])
	case amount < 0:
		e.Side, amount = market.SideAsk, -amount
	}
	price, pd, ok := s.decimal(v[3])
	if !ok || price <= 0 {
		why = first(why, d.blame(CauseBadNumber, "price", v[3]))
	}
	if e.TradeSequence, ok = s.uint(v[0]); !ok {
		why = first(why, d.blame(CauseBadNumber, "trade id", v[0]))
	}
	if e.Time, ok = s.millis(v[1]); !ok || e.Time == 0 {
		why = first(why, d.blame(CauseBadNumber, "time", v[1]))
	}
	if why == nil {
		if e.ID, ok = market.MakeTradeID(s.raw(v[0])); !ok {
			why = d.blame(CauseOversized, "trade id", v[0])
		}
	}
	if why != nil {
		d.refusePart("trade", why)
		return dst[:n]
	}
	e.Price, e.PriceDecimals = market.Price(price), pd
	e.Size, e.SizeDecimals = market.Size(amount), zd
	if prior {
		e.Flags |= market.FlagPrior
		return dst
	}
	l.lastTrade = max(l.lastTrade, e.TradeSequence)
	return dst
}

// event reads an object: acknowledgements, which tell what the numbers of
// channels stand for, and refusals.
func (d *bitfinex) event(dst []market.Event) []market.Event {
	s := &d.s
	var event, channel, id, symbol, prec, status, flags, code, msg span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "event":
			event = v
		case "channel":
			channel = v
		case "chanId":
			id = v
		case "symbol":
			symbol = v
		case "prec":
			prec = v
		case "status":
			status = v
		case "flags":
			flags = v
		case "code":
			code = v
		case "msg":
			msg = v
		}
	}
	if s.bad {
		return dst
	}
	name, _ := s.str(event)
	switch string(name) {
	case "auth", "unauth":
	case "info":
		switch n, _ := s.uint(code); n {
		case bitfinexPaused:
			dst = d.all(dst, market.StatusHalted)
		case bitfinexResumed:
			dst = d.all(dst, market.StatusTrading)
		}
	case "pong":
		var e *market.Event
		dst, e = d.add(dst, market.KindHeartbeat)
		e.Venue = d.venue
	case "conf":
		if b, _ := s.str(status); string(b) != "OK" {
			d.refuse(CauseProvider, "conf: %q %q", clip(b), clip(s.raw(msg)))
			break
		}
		n, ok := s.uint(flags)
		if !ok {
			d.refusePart("conf", d.blame(CauseBadNumber, "flags", flags))
			break
		}
		d.sequenced, d.known = n&bitfinexSequence != 0, false
	case "subscribed":
		d.subscribed(channel, id, symbol, prec)
	case "unsubscribed":
		if n, ok := s.uint(id); ok {
			if ch := d.channels[n]; ch != nil {
				// What is missed until the next image must not go unseen where
				// that does not come.
				if ch.kind == bitfinexBook && ch.listing.imaged {
					ch.listing.forget()
					dst = d.gap(dst, ch.listing.id, d.venue)
				}
				ch.kind = bitfinexEnded
			}
		}
	case "error":
		text, _ := s.str(msg)
		detail := string(clip(text))
		b, _ := s.str(symbol)
		d.refuse(CauseProvider, "%q %q %s", detail, clip(b), clip(s.raw(code)))
	default:
		d.refuse(CauseUnknownType, "event %q", clip(name))
	}
	return dst
}

// all tells the status of all symbols that have been seen.
func (d *bitfinex) all(dst []market.Event, status market.TradingStatus) []market.Event {
	for _, l := range d.symbols.order {
		l.reference.status = status
		dst = d.tellNews(dst, &l.reference, l.id, d.venue)
	}
	return dst
}

// subscribed notes what a channel's number stands for.
func (d *bitfinex) subscribed(channel, id, symbol, prec span) {
	s := &d.s
	n, ok := s.uint(id)
	if !ok {
		d.refusePart("subscribed", d.blame(CauseBadNumber, "chanId", id))
		return
	}
	ch := &bitfinexChannel{}
	name, _ := s.str(channel)
	switch string(name) {
	case "book":
		ch.kind = bitfinexBook
		if b, _ := s.str(prec); bytes.HasPrefix(b, []byte{'R'}) {
			d.refuse(CauseUnknownType, "book of single orders, %q", clip(b))
			ch.kind = bitfinexOther
		}
	case "trades":
		ch.kind = bitfinexTrades
	}
	if ch.kind == bitfinexBook || ch.kind == bitfinexTrades {
		if b, _ := s.str(symbol); bytes.HasPrefix(b, []byte{'f'}) {
			ch.kind = bitfinexOther // the funding market
		} else {
			var why *fault
			if ch.listing, why = d.seen(symbol); why != nil {
				d.refusePart("subscribed", why)
				ch.kind = bitfinexOther
			}
		}
	}
	if d.channels[n] == nil && len(d.channels) >= maxSymbols {
		for n, c := range d.channels {
			if c.kind == bitfinexEnded {
				delete(d.channels, n)
			}
		}
		if len(d.channels) >= maxSymbols {
			d.refuse(CauseOversized, "more channels than a feed may have")
			return
		}
	}
	d.channels[n] = ch
}

// seen returns what is known of a symbol, with its instrument number.
func (d *bitfinex) seen(v span) (*bitfinexListing, *fault) {
	b, ok := d.s.str(v)
	if !ok {
		return nil, d.blame(CauseMissingField, "symbol", v)
	}
	if l := d.symbols.by[string(b)]; l != nil {
		return l, nil
	}
	spelling := string(b)
	canonical, class, ok := bitfinexSymbol(b)
	if !ok || market.CheckSymbol(canonical) != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	l, _ := d.symbols.get(b)
	if l == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
	}
	id, err := d.register(canonical, spelling, class)
	if err != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	l.id = id
	return l, nil
}
