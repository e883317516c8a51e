package normalizer

import (
	"encoding/binary"
	"math"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// polygon decodes Polygon's (Massive's) WebSocket feed: frames are arrays of
// flat objects that name their type in ev.
type polygon struct {
	*base
	lotSize int64         // shares in a unit of a stock quote's size
	market  polygonMarket // what the connection carries; unknown without a URL
	symbols listings[polygonListing]
	venues  [polygonVenueKinds]market.VenueID
	tapes   polygonVenues
	options polygonVenues
	crypto  polygonVenues
	images  bool // an XL2 was taken: there are books to go wrong
	f       polygonFields
	guesses [guessTypes]memberGuesses
	recent  [recentSymbols]recentSymbol
}

// polygonListing is what is known of one symbol.
type polygonListing struct {
	id     market.InstrumentID
	class  market.Class
	quoteQ uint64
	quoteT int64
}

func newPolygon(b *base, cfg Config) (Decoder, error) {
	d := &polygon{base: b, lotSize: 1}
	if cfg.QuoteSizeUnit == RoundLots {
		d.lotSize = 100
	}
	d.tapes = polygonVenues{table: polygonExchanges, prefix: "exchange-"}
	d.options = polygonVenues{prefix: "exchange-"} // a numbering of its own, from 300; to be asked for at run time
	d.crypto = polygonVenues{table: polygonCryptoExchanges, prefix: "crypto-exchange-"}
	return d, nil
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
		if f.Kind == feeds.Up && f.URL != "" {
			d.market = polygonMarketOf(f.URL)
			d.venues[polygonFutures] = 0
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
	d.members()
	if s.bad {
		return dst
	}
	ev, ok := s.str(f.get(fieldEv).span)
	if !ok {
		d.refuse(CauseMissingField, "element without ev")
		return dst
	}
	var why *fault
	switch string(ev) {
	case "T":
		dst, why = d.trade(dst)
	case "Q":
		dst, why = d.quote(dst)
	case "A":
		dst, why = d.bar(dst, fieldSym, spellPlain, market.FlagBarSecond)
	case "AM":
		dst, why = d.bar(dst, fieldSym, spellPlain, market.FlagBarMinute)
	case "XT":
		dst, why = d.cryptoTrade(dst)
	case "XQ":
		dst, why = d.cryptoQuote(dst)
	case "XL2":
		dst = d.book(dst)
	case "XA":
		dst, why = d.bar(dst, fieldPair, spellCrypto, market.FlagBarMinute)
	case "XAS":
		dst, why = d.bar(dst, fieldPair, spellCrypto, market.FlagBarSecond)
	case "C":
		dst, why = d.currencyQuote(dst)
	case "CA":
		dst, why = d.bar(dst, fieldPair, spellCurrency, market.FlagBarMinute)
	case "CAS":
		dst, why = d.bar(dst, fieldPair, spellCurrency, market.FlagBarSecond)
	case "V":
		dst, why = d.value(dst, market.ValueIndex, fieldT, fieldVal)
	case "LV":
		dst, why = d.value(dst, market.ValueLast, fieldSym, fieldVal)
	case "FMV":
		dst, why = d.value(dst, market.ValueFair, fieldSym, fieldFmv)
	case "LULD":
		dst, why = d.bands(dst)
	case "NOI":
		dst, why = d.imbalance(dst)
	case "status":
		d.status()
	default:
		d.refuse(CauseUnknownType, "event type %q", clip(ev))
	}
	if why != nil {
		ev, _ = s.str(f.get(fieldEv).span)
		d.refusePart(string(ev), why)
	}
	return dst
}

// status looks at a status message. Signing in is the source's business; what is
// counted here is the provider's refusal of something asked for.
func (d *polygon) status() {
	if v, _ := d.s.str(d.f.get(fieldStatus).span); string(v) != "error" {
		return
	}
	message, _ := d.s.str(d.f.get(fieldMessage).span)
	d.refuse(CauseProvider, "%q", clip(message))
}

// symbol returns what is known of the symbol in field i, which is spelt as how
// says.
func (d *polygon) symbol(i int, how polygonSpelling) (*polygonListing, *fault) {
	v := d.f.get(i)
	b, ok := d.s.str(v.span)
	if !ok {
		name := "sym"
		switch i {
		case fieldPair:
			name = "pair"
		case fieldT:
			name = "T"
		case letter('p'):
			name = "p"
		}
		return nil, d.blame(CauseMissingField, name, v.span)
	}
	// Nearly all symbols fit eight bytes, and most of the traffic is of few.
	word, fits := d.word(v.span)
	r := &d.recent[word*0x9e3779b97f4a7c15>>(64-recentBits)]
	if fits && r.word == word && r.l != nil {
		return r.l, nil
	}
	l := d.symbols.by[string(b)]
	if l == nil {
		var why *fault
		if l, why = d.newSymbol(b, how, v.span); why != nil {
			return nil, why
		}
	}
	if fits {
		*r = recentSymbol{word, l}
	}
	return l, nil
}

// recentSymbols is how many symbols are found without a look into the map.
const (
	recentBits    = 10
	recentSymbols = 1 << recentBits
)

// recentSymbol is a symbol of up to eight bytes.
type recentSymbol struct {
	word uint64
	l    *polygonListing
}

// word returns a symbol that stands in the frame without escapes as one number,
// and whether it is short enough for that. It holds no zero byte, which JSON
// does not allow.
func (d *polygon) word(v span) (uint64, bool) {
	b, n := d.s.b[v.from+1:], v.to-v.from-2
	if v.kind != text || n-1 > 7 || len(b) < 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b) & (^uint64(0) >> (64 - 8*n)), true
}

func (d *polygon) newSymbol(b []byte, how polygonSpelling, v span) (*polygonListing, *fault) {
	spelling := string(b)
	canonical, class, ok := polygonSymbol(spelling, how)
	if !ok || market.CheckSymbol(canonical) != nil {
		return nil, d.blame(CauseBadSymbol, "symbol", v)
	}
	l, _ := d.symbols.get(b)
	if l == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
	}
	switch class {
	case market.ClassStock:
		if d.market.isFutures() || d.market == marketUnknown && isFuture(b) {
			class = market.ClassFuture
		}
	case market.ClassCrypto:
		spelling = canonical // what subscriptions are made of
	case market.ClassForex:
		spelling = currencySpelling(canonical)
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
		return 0, d.blame(CauseMissingField, name, v.span)
	}
	t, ok := d.uint(v)
	if !ok || t == 0 || t > math.MaxInt64 {
		return 0, d.blame(CauseBadNumber, name, v.span)
	}
	ns := timeByMagnitude(int64(t))
	if ns == 0 {
		return 0, d.blame(CauseBadNumber, name, v.span)
	}
	return ns, nil
}

// exchange reads an exchange's number. An absent one is venue 0.
func (d *polygon) exchange(venues *polygonVenues, i int, name string) (market.VenueID, *fault) {
	v := d.f.get(i)
	if v.kind == absent {
		return 0, nil
	}
	x, ok := d.uint(v)
	if !ok {
		return 0, d.blame(CauseBadNumber, name, v.span)
	}
	if x == 0 {
		return 0, nil
	}
	id, ok := venues.venue(d.dir, x)
	if !ok {
		return 0, d.blame(CauseBadValue, name, v.span)
	}
	return id, nil
}

// exchangesOf returns the numbering of the exchanges that trade a class.
func (d *polygon) exchangesOf(c market.Class) *polygonVenues {
	if c == market.ClassOption {
		return &d.options
	}
	return &d.tapes
}

// sequence reads q, 0 if absent.
func (d *polygon) sequence() (uint64, *fault) {
	v := d.f.get(letter('q'))
	if v.kind == absent {
		return 0, nil
	}
	q, ok := d.uint(v)
	if !ok {
		return 0, d.blame(CauseBadNumber, "q", v.span)
	}
	return q, nil
}
