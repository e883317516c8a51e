package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// polygon decodes Polygon's (Massive's) WebSocket feed: frames are arrays of
// flat objects that name their type in ev.
type polygon struct {
	*base
	lotSize  int64 // shares in a unit of a stock quote's size
	symbols  listings[polygonListing]
	sip      market.VenueID
	own      market.VenueID
	tapes    polygonVenues
	crypto   polygonVenues
	images   bool // an XL2 was taken: there are books to go wrong
	f        polygonFields
	lastSym  *polygonListing // of the element before: bursts are of one symbol
	lastText [16]byte
	lastLen  int
}

// polygonListing is what is known of one symbol.
type polygonListing struct {
	id     market.InstrumentID
	class  market.Class
	future bool // known, not taken
	quoteQ uint64
	quoteT int64
}

func newPolygon(b *base, cfg Config) (Decoder, error) {
	d := &polygon{base: b, lotSize: 1}
	if cfg.QuoteSizeUnit == RoundLots {
		d.lotSize = 100
	}
	d.tapes = polygonVenues{table: polygonExchanges, prefix: "exchange-"}
	d.crypto = polygonVenues{table: polygonCryptoExchanges, prefix: "crypto-exchange-"}
	return d, nil
}

// The fields of an event by their names. Those of one letter are numbered by
// it, lower case from 0.
const (
	fieldT  = 26 + iota // upper case: LULD, NOI and V keep the symbol in it
	fieldEv             // event type
	fieldSym
	fieldPair
	fieldBp
	fieldBs
	fieldBx
	fieldAp
	fieldAs
	fieldAx
	fieldAv
	fieldVw
	fieldDs
	fieldDv
	fieldDav
	fieldTrfi
	fieldMessage
	fieldStatus
	numFields
	noField = -1
)

// polygonFields holds the places of an event's values until all are read: keys
// come in any order, and what a one-letter key means depends on ev.
type polygonFields struct {
	have uint64
	at   [numFields]span
}

func letter(c byte) int { return int(c - 'a') }

// get returns a field; its kind is absent where it was not sent or is null.
func (f *polygonFields) get(i int) span {
	if f.have&(1<<i) == 0 || f.at[i].kind == null {
		return span{}
	}
	return f.at[i]
}

// polygonField numbers the names other than one lower-case letter.
func polygonField(name []byte) int {
	switch len(name) {
	case 1: // lower case is the caller's
		if name[0] == 'T' {
			return fieldT
		}
	case 2:
		switch uint16(name[0])<<8 | uint16(name[1]) {
		case 'e'<<8 | 'v':
			return fieldEv
		case 'b'<<8 | 'p':
			return fieldBp
		case 'b'<<8 | 's':
			return fieldBs
		case 'b'<<8 | 'x':
			return fieldBx
		case 'a'<<8 | 'p':
			return fieldAp
		case 'a'<<8 | 's':
			return fieldAs
		case 'a'<<8 | 'x':
			return fieldAx
		case 'a'<<8 | 'v':
			return fieldAv
		case 'v'<<8 | 'w':
			return fieldVw
		case 'd'<<8 | 's':
			return fieldDs
		case 'd'<<8 | 'v':
			return fieldDv
		}
	default:
		switch string(name) {
		case "sym":
			return fieldSym
		case "pair":
			return fieldPair
		case "dav":
			return fieldDav
		case "trfi":
			return fieldTrfi
		case "message":
			return fieldMessage
		case "status":
			return fieldStatus
		}
	}
	return noField
}

// Decode implements [Decoder].
//
// The protocol has no sequence that shows a loss: q rises per ticker with holes
// in it (a jump is no gap), so no event of a sound frame is ever a KindGap
// except for an XL2 image that could not be read.
func (d *polygon) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if f.Kind != feeds.Data {
		if f.Kind == feeds.Up || f.Kind == feeds.Down {
			for _, l := range d.symbols.order {
				l.quoteQ, l.quoteT = 0, 0
			}
		}
		return d.control(dst, f)
	}
	if !d.begin(f) {
		return dst, d.err()
	}
	s := &d.s
	if s.peek() == '[' {
		s.open('[')
		for s.elem() {
			dst = d.element(dst)
		}
	} else { // the documentation shows bare objects
		dst = d.element(dst)
	}
	if !s.end() {
		// Elements before the fault are whole and stay. What came after is lost;
		// only a book stays wrong by that.
		d.refuseFault()
		if d.images {
			dst = d.gap(dst, 0, 0)
		}
	}
	return dst, d.err()
}

// element reads one element of a frame.
func (d *polygon) element(dst []market.Event) []market.Event {
	s := &d.s
	if s.peek() != '{' {
		if v := s.value(); v.kind != absent {
			d.refuse(CauseSyntax, "element is not an object: %q", clip(s.raw(v)))
		}
		return dst
	}
	s.open('{')
	f := &d.f
	f.have = 0
	for v := (span{}); s.member(&v); {
		i := noField
		if len(s.name) == 1 && s.name[0]-'a' < 26 {
			i = int(s.name[0] - 'a')
		} else {
			i = polygonField(s.name)
		}
		if i >= 0 {
			f.at[i] = v
			f.have |= 1 << i
		}
	}
	if s.bad {
		return dst
	}
	ev, ok := s.str(f.get(fieldEv))
	if !ok {
		d.refuse(CauseMissingField, "element without ev")
		return dst
	}
	var why *fault
	switch string(ev) {
	case "T":
		dst, why = d.trade(dst)
		if why != nil {
			d.refusePart("T", why)
		}
	case "Q":
		dst, why = d.quote(dst)
		if why != nil {
			d.refusePart("Q", why)
		}
	case "A":
		dst, why = d.bar(dst, market.FlagBarSecond)
		if why != nil {
			d.refusePart("A", why)
		}
	case "AM":
		dst, why = d.bar(dst, market.FlagBarMinute)
		if why != nil {
			d.refusePart("AM", why)
		}
	case "XT":
		dst, why = d.cryptoTrade(dst)
		if why != nil {
			d.refusePart("XT", why)
		}
	case "XQ":
		dst, why = d.cryptoQuote(dst)
		if why != nil {
			d.refusePart("XQ", why)
		}
	case "XL2":
		dst = d.book(dst)
	case "status":
		d.status()
	case "LULD", "NOI", "FMV", "LV", "V", "C", "CA", "CAS", "XA", "XAS":
		// Known, not taken.
	default:
		d.refuse(CauseUnknownType, "event type %q", clip(ev))
	}
	return dst
}

// status looks at a status message. Signing in is the source's business; what is
// counted here is the provider's refusal of something asked for.
func (d *polygon) status() {
	if v, _ := d.s.str(d.f.get(fieldStatus)); string(v) != "error" {
		return
	}
	message, _ := d.s.str(d.f.get(fieldMessage))
	d.refuse(CauseProvider, "%q", clip(message))
}

// symbol returns what is known of the symbol in field i.
func (d *polygon) symbol(i int) (*polygonListing, *fault) {
	v := d.f.get(i)
	b, ok := d.s.str(v)
	if !ok {
		if i == fieldPair {
			return nil, d.blame(CauseMissingField, "pair", v)
		}
		return nil, d.blame(CauseMissingField, "sym", v)
	}
	if d.lastLen == len(b) && string(b) == string(d.lastText[:d.lastLen]) && d.lastSym != nil {
		return d.lastSym, nil
	}
	l := d.symbols.by[string(b)]
	if l == nil {
		var why *fault
		if l, why = d.newSymbol(b, i == fieldPair, v); why != nil {
			return nil, why
		}
	}
	if len(b) <= len(d.lastText) {
		d.lastSym, d.lastLen = l, copy(d.lastText[:], b)
	}
	return l, nil
}

func (d *polygon) newSymbol(b []byte, pair bool, v span) (*polygonListing, *fault) {
	spelling := string(b)
	canonical, class, ok := polygonSymbol(spelling, pair)
	if !ok || market.CheckSymbol(canonical) != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	l, _ := d.symbols.get(b)
	if l == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
	}
	if class == market.ClassStock && isFuture(b) {
		l.future = true
		return l, nil
	}
	if class == market.ClassCrypto || class == market.ClassForex {
		spelling = canonical // what subscriptions are made of
	}
	id, err := d.register(canonical, spelling, class)
	if err != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	l.id, l.class = id, class
	return l, nil
}

// time reads a time in whatever unit its magnitude tells.
func (d *polygon) time(i int, name string) (int64, *fault) {
	v := d.f.get(i)
	if v.kind == absent {
		return 0, d.blame(CauseMissingField, name, v)
	}
	t, ok := d.s.uint(v)
	if !ok || t == 0 || t > math.MaxInt64 {
		return 0, d.blame(CauseBadNumber, name, v)
	}
	ns := timeByMagnitude(int64(t))
	if ns == 0 {
		return 0, d.blame(CauseBadNumber, name, v)
	}
	return ns, nil
}

// consolidated returns the venue of the consolidated tape.
func (d *polygon) consolidated() market.VenueID {
	if d.sip == 0 {
		d.sip, _ = d.dir.Venue("sip")
	}
	return d.sip
}

// itself returns the venue of what Polygon makes over venues without a tape.
func (d *polygon) itself() market.VenueID {
	if d.own == 0 {
		d.own, _ = d.dir.Venue("polygon")
	}
	return d.own
}

// exchange reads an exchange's number. An absent one is venue 0.
func (d *polygon) exchange(venues *polygonVenues, i int, name string) (market.VenueID, *fault) {
	v := d.f.get(i)
	if v.kind == absent {
		return 0, nil
	}
	x, ok := d.s.uint(v)
	if !ok {
		return 0, d.blame(CauseBadNumber, name, v)
	}
	if x == 0 {
		return 0, nil
	}
	id, ok := venues.venue(d.dir, x)
	if !ok {
		return 0, d.blame(CauseBadValue, name, v)
	}
	return id, nil
}

// sequence reads q, 0 if absent.
func (d *polygon) sequence() (uint64, *fault) {
	v := d.f.get(letter('q'))
	if v.kind == absent {
		return 0, nil
	}
	q, ok := d.s.uint(v)
	if !ok {
		return 0, d.blame(CauseBadNumber, "q", v)
	}
	return q, nil
}

// finraFacility is the exchange number of all prints off exchange; trfi tells
// which facility they were reported to.
const finraFacility = 4

// trade reads a T. Late prints, with a q below others of the ticker, are real
// and stay.
func (d *polygon) trade(dst []market.Event) ([]market.Event, *fault) {
	f, s := &d.f, &d.s
	l, why := d.symbol(fieldSym)
	if why != nil || l.future {
		return dst, why
	}
	t, why := d.time(letter('t'), "t")
	if why != nil {
		return dst, why
	}
	q, why := d.sequence()
	if why != nil {
		return dst, why
	}
	x := letter('x')
	if f.have&(1<<fieldTrfi) != 0 && f.at[fieldTrfi].kind != null {
		if n, ok := s.uint(f.get(x)); ok && n == finraFacility {
			x = fieldTrfi
		}
	}
	venue, why := d.exchange(&d.tapes, x, "x")
	if why != nil {
		return dst, why
	}
	if venue == 0 {
		venue = d.consolidated()
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindTrade)
	e.Instrument, e.Venue, e.Time, e.Sequence, e.Flags = l.id, venue, t, q, market.FlagLast
	if why = d.print(e); why == nil {
		why = d.conditions(e)
	}
	if why != nil {
		return dst[:n], why
	}
	return dst, nil
}

// print reads price, size and identifier of a T or XT.
func (d *polygon) print(e *market.Event) *fault {
	f, s := &d.f, &d.s
	v := f.get(letter('p'))
	p, decimals, ok := s.decimal(v)
	if !ok || p <= 0 {
		if v.kind == absent {
			return d.blame(CauseMissingField, "p", v)
		}
		return d.blame(CauseBadNumber, "p", v)
	}
	e.Price, e.PriceDecimals = market.Price(p), decimals
	size, decimals, why := d.quantity(letter('s'), fieldDs, "s")
	if why != nil {
		return why
	}
	e.Size, e.SizeDecimals = market.Size(size), decimals
	v = f.get(letter('i'))
	switch v.kind {
	case absent:
	case number, text:
		if e.ID, ok = market.MakeTradeID(s.raw(v)); !ok {
			return d.blame(CauseOversized, "i", v)
		}
	default:
		return d.blame(CauseBadValue, "i", v)
	}
	return nil
}

// quantity reads a size. The exact one, a string with fractions of shares, wins
// over the whole number beside it: s is 1 where ds is "0.740474".
func (d *polygon) quantity(whole, exact int, name string) (int64, market.Decimals, *fault) {
	v := d.f.get(exact)
	if v.kind == absent {
		v = d.f.get(whole)
	}
	m, decimals, ok := d.s.amount(v)
	if !ok {
		if v.kind == absent {
			return 0, 0, d.blame(CauseMissingField, name, v)
		}
		return 0, 0, d.blame(CauseBadNumber, name, v)
	}
	if decimals > 0 {
		m, decimals = market.Trim(m, decimals, 0)
	}
	return m, decimals, nil
}

// conditions reads the sale conditions, an array or, in old frames, one number.
func (d *polygon) conditions(e *market.Event) *fault {
	s := &d.s
	v := d.f.get(letter('c'))
	switch v.kind {
	case absent:
		return nil
	case array:
	default:
		return d.condition(e, v)
	}
	if n := plainCodes(&e.Conditions, s.raw(v)); n >= 0 {
		e.NumConditions = uint8(n)
		return nil
	}
	var why *fault
	back := s.at(v)
	s.open('[')
	for s.elem() {
		if why = d.condition(e, s.value()); why != nil {
			break
		}
	}
	s.resume(back)
	return why
}

// plainCodes reads an array as Polygon writes it, "[14,37]", and returns the
// number of conditions; -1 where it is written otherwise or does not fit.
func plainCodes(dst *[market.MaxConditions]market.Condition, b []byte) int {
	n, digits := 0, 0
	code := uint(0)
	for _, c := range b[1:] {
		switch {
		case c-'0' <= 9:
			if digits++; digits > 4 {
				return -1
			}
			code = code*10 + uint(c-'0')
		case (c == ',' || c == ']') && digits > 0 && n < len(dst):
			dst[n] = market.Condition(code)
			n++
			code, digits = 0, 0
		case c == ']' && n == 0:
		default:
			return -1
		}
	}
	return n
}

func (d *polygon) condition(e *market.Event, v span) *fault {
	c, ok := d.s.uint(v)
	switch {
	case !ok || c > math.MaxUint16:
		return d.blame(CauseBadValue, "c", v)
	case int(e.NumConditions) == market.MaxConditions:
		return d.blame(CauseOversized, "c has too many conditions, at", v)
	}
	e.Conditions[e.NumConditions] = market.Condition(c)
	e.NumConditions++
	return nil
}

// quote reads a Q: the national best bid and offer, not one exchange's. One that
// was overtaken is dropped: its q and its time are not after those of the last.
// Both are looked at, because q starts again each session.
func (d *polygon) quote(dst []market.Event) ([]market.Event, *fault) {
	l, why := d.symbol(fieldSym)
	if why != nil || l.future {
		return dst, why
	}
	t, why := d.time(letter('t'), "t")
	if why != nil {
		return dst, why
	}
	q, why := d.sequence()
	if why != nil {
		return dst, why
	}
	bid, why := d.exchange(&d.tapes, fieldBx, "bx")
	if why != nil {
		return dst, why
	}
	ask, why := d.exchange(&d.tapes, fieldAx, "ax")
	if why != nil {
		return dst, why
	}
	n := len(dst)
	dst, e := d.add(dst, market.KindQuote)
	e.Instrument, e.Venue, e.Time, e.Sequence = l.id, d.consolidated(), t, q
	e.BidVenue, e.AskVenue = bid, ask
	e.Flags = market.FlagNBBO | market.FlagLast
	lot := int64(1)
	if l.class == market.ClassStock {
		lot = d.lotSize
	}
	if why = d.sides(e, lot); why != nil {
		return dst[:n], why
	}
	if q != 0 {
		if q <= l.quoteQ && t <= l.quoteT {
			return dst[:n], nil
		}
		l.quoteQ, l.quoteT = q, t
	}
	if e.Size == 0 {
		e.BidVenue = 0
	}
	if e.AskSize == 0 {
		e.AskVenue = 0
	}
	return dst, nil
}

// sides reads the two sides of a Q or XQ. A side with no price, or price 0, is
// absent.
func (d *polygon) sides(e *market.Event, lot int64) *fault {
	bid, bidDecimals, bidSize, bidSizeDecimals, why := d.side(fieldBp, fieldBs, "bp", "bs")
	if why != nil {
		return why
	}
	ask, askDecimals, askSize, askSizeDecimals, why := d.side(fieldAp, fieldAs, "ap", "as")
	if why != nil {
		return why
	}
	if lot != 1 {
		if bidSize > math.MaxInt64/lot {
			return d.blame(CauseBadNumber, "bs", d.f.get(fieldBs))
		}
		if askSize > math.MaxInt64/lot {
			return d.blame(CauseBadNumber, "as", d.f.get(fieldAs))
		}
		bidSize, askSize = bidSize*lot, askSize*lot
	}
	bid, ask, decimals, ok := align(bid, bidDecimals, ask, askDecimals)
	if !ok {
		return d.blame(CauseBadNumber, "ap does not fit beside bp", d.f.get(fieldAp))
	}
	e.Price, e.Ask, e.PriceDecimals = market.Price(bid), market.Price(ask), decimals
	bidSize, askSize, decimals, ok = align(bidSize, bidSizeDecimals, askSize, askSizeDecimals)
	if !ok {
		return d.blame(CauseBadNumber, "as does not fit beside bs", d.f.get(fieldAs))
	}
	e.Size, e.AskSize, e.SizeDecimals = market.Size(bidSize), market.Size(askSize), decimals
	return nil
}

func (d *polygon) side(p, z int, priceName, sizeName string) (price int64, pd market.Decimals, size int64, sd market.Decimals, why *fault) {
	s := &d.s
	v := d.f.get(p)
	if v.kind == absent {
		return 0, 0, 0, 0, nil
	}
	price, pd, ok := s.amount(v)
	if !ok {
		return 0, 0, 0, 0, d.blame(CauseBadNumber, priceName, v)
	}
	if price == 0 {
		return 0, 0, 0, 0, nil
	}
	v = d.f.get(z)
	if v.kind == absent {
		return 0, 0, 0, 0, d.blame(CauseMissingField, sizeName, v)
	}
	size, sd, ok = s.amount(v)
	if !ok {
		return 0, 0, 0, 0, d.blame(CauseBadNumber, sizeName, v)
	}
	if size == 0 {
		return 0, 0, 0, 0, nil
	}
	return price, pd, size, sd, nil
}

// bar reads an A or AM. A bar of an index has no volume.
func (d *polygon) bar(dst []market.Event, interval market.Flags) ([]market.Event, *fault) {
	l, why := d.symbol(fieldSym)
	if why != nil || l.future {
		return dst, why
	}
	start, why := d.time(letter('s'), "s")
	if why != nil {
		return dst, why
	}
	end, why := d.time(letter('e'), "e")
	if why != nil {
		return dst, why
	}
	fields := [...]struct {
		field int
		name  string
	}{
		{letter('o'), "o"}, {letter('h'), "h"}, {letter('l'), "l"}, {letter('c'), "c"}, {fieldVw, "vw"},
	}
	var prices [len(fields)]int64
	var decimals [len(fields)]market.Decimals
	finest := market.Decimals(0)
	for i, p := range fields {
		v := d.f.get(p.field)
		if v.kind == absent {
			if p.field == fieldVw {
				continue
			}
			return dst, d.blame(CauseMissingField, p.name, v)
		}
		m, dec, ok := d.s.amount(v)
		if !ok {
			return dst, d.blame(CauseBadNumber, p.name, v)
		}
		prices[i], decimals[i] = m, dec
		finest = max(finest, dec)
	}
	for i, p := range fields {
		m, err := market.Rescale(prices[i], decimals[i], finest)
		if err != nil {
			return dst, d.blame(CauseBadNumber, p.name, d.f.get(p.field))
		}
		prices[i] = m
	}
	var volume, day int64
	var volumeDecimals, dayDecimals market.Decimals
	if l.class != market.ClassIndex {
		if volume, volumeDecimals, why = d.quantity(letter('v'), fieldDv, "v"); why != nil {
			return dst, why
		}
		if d.f.get(fieldAv).kind != absent || d.f.get(fieldDav).kind != absent {
			if day, dayDecimals, why = d.quantity(fieldAv, fieldDav, "av"); why != nil {
				return dst, why
			}
		}
	}
	volume, day, sizeDecimals, ok := align(volume, volumeDecimals, day, dayDecimals)
	if !ok {
		return dst, d.blame(CauseBadNumber, "av does not fit beside v", d.f.get(fieldAv))
	}
	dst, e := d.add(dst, market.KindBar)
	e.Instrument, e.Flags = l.id, interval|market.FlagLast
	if l.class == market.ClassStock || l.class == market.ClassOption {
		e.Venue = d.consolidated()
	} else {
		e.Venue = d.itself()
	}
	e.Time, e.Start, e.End = end, start, end
	e.PriceDecimals, e.SizeDecimals = finest, sizeDecimals
	e.Price, e.High, e.Low, e.Close, e.VWAP = market.Price(prices[0]), market.Price(prices[1]),
		market.Price(prices[2]), market.Price(prices[3]), market.Price(prices[4])
	e.Size, e.DayVolume = market.Size(volume), market.Size(day)
	return dst, nil
}
