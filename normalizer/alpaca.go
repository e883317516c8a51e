package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// alpaca decodes Alpaca's market data streams of stocks and crypto, in JSON and
// in MessagePack: messages are arrays of objects that name their type in T.
type alpaca struct {
	*base
	lotSize   int64 // shares in a unit of a stock quote's size
	feedKind  alpacaFeed
	symbols   listings[alpacaListing]
	exchanges [256]market.VenueID
	venues    [5]market.VenueID
	images    bool // an order book was taken: there are books to go wrong
	f         alpacaFields
	pack      msgpack
}

// alpacaListing is what is known of one symbol.
type alpacaListing struct {
	id     market.InstrumentID
	class  market.Class
	imaged bool // its book's image has come on this connection
	listed bool // its book is subscribed, by the listing in hand
}

func newAlpaca(b *base, cfg Config) (Decoder, error) {
	d := &alpaca{base: b, lotSize: 1}
	if cfg.QuoteSizeUnit == RoundLots {
		d.lotSize = 100
	}
	return d, nil
}

// The fields of a message by their names. Those of one lower-case letter are
// numbered by it. Names that differ by case alone are different fields.
const (
	alpacaType = 26 + iota // T
	alpacaS                // S
	alpacaBp
	alpacaBs
	alpacaBx
	alpacaAp
	alpacaAs
	alpacaAx
	alpacaVw
	alpacaSc
	alpacaRc
	alpacaOi
	alpacaOp
	alpacaOs
	alpacaCi
	alpacaCp
	alpacaCs
	alpacaCc
	alpacaTks
	alpacaMsg
	alpacaCode
	alpacaBooks
	numAlpacaFields
)

// alpacaFields holds the places of a message's values until all are read.
type alpacaFields struct {
	have uint64
	at   [numAlpacaFields]span
}

// get returns a field; its kind is absent where it was not sent or is null.
func (f *alpacaFields) get(i int) span {
	if f.have&(1<<i) == 0 || f.at[i].kind == null {
		return span{}
	}
	return f.at[i]
}

// alpacaField numbers the names other than one lower-case letter.
func alpacaField(name []byte) int {
	switch string(name) {
	case "T":
		return alpacaType
	case "S":
		return alpacaS
	case "bp":
		return alpacaBp
	case "bs":
		return alpacaBs
	case "bx":
		return alpacaBx
	case "ap":
		return alpacaAp
	case "as":
		return alpacaAs
	case "ax":
		return alpacaAx
	case "vw":
		return alpacaVw
	case "sc":
		return alpacaSc
	case "rc":
		return alpacaRc
	case "oi":
		return alpacaOi
	case "op":
		return alpacaOp
	case "os":
		return alpacaOs
	case "ci":
		return alpacaCi
	case "cp":
		return alpacaCp
	case "cs":
		return alpacaCs
	case "cc":
		return alpacaCc
	case "tks":
		return alpacaTks
	case "msg":
		return alpacaMsg
	case "code":
		return alpacaCode
	case "orderbooks":
		return alpacaBooks
	}
	return noField
}

// maxPacked is the longest MessagePack message that is looked at.
const maxPacked = 16 << 20

// Decode implements [Decoder].
//
// The protocol has no sequence: nothing shows a lost message, so no event of a
// sound frame is ever a KindGap, except for an order book that could not be read.
func (d *alpaca) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if f.Kind != feeds.Data {
		if f.Kind == feeds.Up && f.URL != "" {
			d.feedKind = alpacaFeedOf(f.URL)
		}
		if f.Kind == feeds.Up || f.Kind == feeds.Down {
			for _, l := range d.symbols.order {
				l.imaged = false
			}
		}
		return d.control(dst, f)
	}
	if !d.begin(f) {
		return d.lost(dst), d.err()
	}
	s := &d.s
	if f.Binary {
		if len(f.Payload) > maxPacked {
			d.refuse(CauseOversized, "MessagePack of %d bytes", len(f.Payload))
			return d.lost(dst), d.err()
		}
		text, ok := d.pack.convert(f.Payload)
		switch {
		case ok:
		case d.pack.deep:
			d.refuse(CauseOversized, "MessagePack nested deeper than %d at offset %d", maxDepth, d.pack.i)
			return d.lost(dst), d.err()
		case d.pack.i >= len(f.Payload):
			d.refuse(CauseSyntax, "MessagePack of %d bytes ends too early", len(f.Payload))
			return d.lost(dst), d.err()
		default:
			d.refuse(CauseSyntax, "unexpected 0x%02x in MessagePack at offset %d", f.Payload[d.pack.i], d.pack.i)
			return d.lost(dst), d.err()
		}
		s.reset(text)
	}
	if s.peek() == '[' {
		s.open('[')
		for s.elem() {
			dst = d.element(dst)
		}
	} else {
		dst = d.element(dst)
	}
	if !s.end() {
		// Elements before the fault are whole and stay; only a book stays wrong by
		// what came after.
		d.refuseFault()
		dst = d.lost(dst)
	}
	return dst, d.err()
}

// lost appends the gap of the whole feed where it has books.
func (d *alpaca) lost(dst []market.Event) []market.Event {
	if !d.images {
		return dst
	}
	return d.gap(dst, 0, 0)
}

// element reads one message.
func (d *alpaca) element(dst []market.Event) []market.Event {
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
			i = alpacaField(s.name)
		}
		if i >= 0 {
			f.at[i] = v
			f.have |= 1 << i
		}
	}
	if s.bad {
		return dst
	}
	typ, ok := s.str(f.get(alpacaType))
	if !ok {
		d.refuse(CauseMissingField, "message without T")
		return dst
	}
	var why *fault
	what := ""
	switch string(typ) {
	case "t":
		what = "trade"
		dst, why = d.trade(dst)
	case "q":
		what = "quote"
		dst, why = d.quote(dst)
	case "b":
		what = "bar"
		dst, why = d.bar(dst, market.FlagBarMinute)
	case "u":
		what = "updated bar"
		dst, why = d.bar(dst, market.FlagBarMinute|market.FlagRevised)
	case "d":
		what = "daily bar"
		dst, why = d.bar(dst, market.FlagBarDay)
	case "s":
		what = "status"
		dst, why = d.status(dst)
	case "l":
		what = "bands"
		dst, why = d.bands(dst)
	case "i":
		what = "imbalance"
		dst, why = d.imbalance(dst)
	case "c":
		what = "correction"
		dst, why = d.correction(dst)
	case "x":
		what = "cancel"
		dst, why = d.cancel(dst)
	case "o":
		return d.book(dst)
	case "error":
		msg, _ := s.str(f.get(alpacaMsg))
		code, _ := s.uint(f.get(alpacaCode))
		d.refuse(CauseProvider, "%d %q", code, clip(msg))
	case "subscription":
		return d.subscribed(dst)
	case "success", "n", "p":
		// Known, not taken: news, and prices of perpetual futures.
	default:
		d.refuse(CauseUnknownType, "type %q", clip(typ))
	}
	if why != nil {
		d.refusePart(what, why)
	}
	return dst
}

// header reads what all messages begin with: symbol and time.
func (d *alpaca) header() (*alpacaListing, int64, *fault) {
	v := d.f.get(alpacaS)
	b, ok := d.s.str(v)
	if !ok {
		return nil, 0, d.blame(CauseMissingField, "S", v)
	}
	l := d.symbols.by[string(b)]
	if l == nil {
		spelling := string(b)
		canonical, class, ok := alpacaSymbol(spelling)
		if !ok || market.CheckSymbol(canonical) != nil {
			return nil, 0, d.blame(CauseBadSymbol, "S", v)
		}
		if l, _ = d.symbols.get(b); l == nil {
			return nil, 0, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
		}
		id, err := d.register(canonical, spelling, class)
		if err != nil {
			return nil, 0, d.blame(CauseBadSymbol, "S", v)
		}
		l.id, l.class = id, class
	}
	v = d.f.get(letter('t'))
	switch v.kind {
	case absent:
		return l, 0, d.blame(CauseMissingField, "t", v)
	case number: // nanoseconds, of MessagePack's timestamp
		if ns, ok := d.s.uint(v); ok && ns > 0 && ns <= math.MaxInt64 {
			return l, int64(ns), nil
		}
	default:
		b, _ := d.s.str(v)
		if ns, ok := parseTime(b); ok && ns > 0 {
			return l, ns, nil
		}
	}
	return l, 0, d.blame(CauseBadNumber, "t", v)
}

// letterOf reads a code of one letter or digit; 0 where the field is absent, empty
// or blank.
func (d *alpaca) letterOf(field int, name string) (byte, *fault) {
	v := d.f.get(field)
	if v.kind == absent {
		return 0, nil
	}
	b, ok := d.s.str(v)
	switch {
	case !ok || len(b) > 1:
		return 0, d.blame(CauseBadValue, name, v)
	case len(b) == 0 || b[0] == ' ':
		return 0, nil
	case b[0]-'0' > 9 && (b[0]|0x20)-'a' >= 26:
		return 0, d.blame(CauseBadValue, name, v)
	}
	return b[0], nil
}
