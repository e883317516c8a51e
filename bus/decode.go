package bus

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// errMalformed is what all errors of decoding wrap.
var errMalformed = errors.New("malformed message")

func malformed(what string) error { return fmt.Errorf("%w: %s", errMalformed, what) }

// updateHead is what a busv1.Update says beside the orderbook.Update. The bytes
// are those of the message.
type updateHead struct {
	symbol, node []byte
	class        market.Class
}

// decoder reads busv1.Update without reflection, and without allocating once
// its buffers have grown. It belongs to one goroutine.
type decoder struct {
	dir    *market.Directory
	venues map[string]market.VenueID // numbers here by name
	names  [][]byte                  // venues list of the message under way
	local  []market.VenueID          // its numbers here, from index 1
	prices []int64                   // columns of the run of levels under way
	sizes  []int64
}

func newDecoder(dir *market.Directory) *decoder {
	return &decoder{dir: dir, venues: make(map[string]market.VenueID)}
}

// update decodes data into u, reusing the memory of u's slices, with venues
// numbered as the directory here does. u.Instrument is left 0. Nothing is
// registered for a message that is refused.
func (d *decoder) update(data []byte, u *orderbook.Update) (updateHead, error) {
	var h updateHead
	*u = orderbook.Update{Levels: u.Levels[:0], Venues: u.Venues[:0], Tops: u.Tops[:0], Trades: u.Trades[:0], Bars: u.Bars[:0],
		Quote: orderbook.Quote{BidVenues: u.Quote.BidVenues[:0], AskVenues: u.Quote.AskVenues[:0], Out: u.Quote.Out[:0]}}
	d.names = d.names[:0]
	for f := (fields{b: data}); ; {
		n, ok, err := f.next()
		if err != nil {
			return h, err
		}
		if !ok {
			break
		}
		switch n {
		case fieldSymbol:
			h.symbol = f.bytes()
		case fieldClass:
			if h.class = market.Class(f.enum()); h.class > market.ClassFuture {
				h.class = market.ClassUnknown
			}
		case fieldNode:
			h.node = f.bytes()
		case fieldEpoch:
			u.Epoch = f.fixed()
		case fieldSeq:
			u.Seq = f.uint()
		case fieldTradeSeq:
			u.TradeSeq = f.uint()
		case fieldChanged:
			u.Changed = orderbook.Changed(f.uint()) // bits unknown here are of parts unknown here
		case fieldPriceDecimals:
			u.Scale.Price = f.decimals()
		case fieldSizeDecimals:
			u.Scale.Size = f.decimals()
		case fieldTime:
			u.Time = int64(f.fixed())
		case fieldReceived:
			u.Received = int64(f.fixed())
		case fieldStatuses:
			u.Venues = append(u.Venues, orderbook.VenueStatus{})
			f.sub(decodeStatus(f.bytes(), &u.Venues[len(u.Venues)-1]))
		case fieldLevels:
			var err error
			u.Levels, err = d.levels(f.bytes(), u.Levels)
			f.sub(err)
		case fieldTops:
			u.Tops = append(u.Tops, orderbook.VenueQuote{})
			f.sub(decodeTop(f.bytes(), &u.Tops[len(u.Tops)-1]))
		case fieldTrades:
			u.Trades = append(u.Trades, orderbook.Trade{})
			f.sub(decodeTrade(f.bytes(), &u.Trades[len(u.Trades)-1]))
		case fieldQuote:
			f.sub(decodeQuote(f.bytes(), &u.Quote))
		case fieldTicker:
			f.sub(decodeTicker(f.bytes(), &u.Ticker))
		case fieldBars:
			u.Bars = append(u.Bars, orderbook.Bar{})
			f.sub(decodeBar(f.bytes(), &u.Bars[len(u.Bars)-1]))
		case fieldWatermark:
			u.Watermark = int64(f.fixed())
		case fieldVenues:
			d.names = append(d.names, f.bytes())
		case fieldStatus:
			f.sub(decodeInstrumentStatus(f.bytes(), &u.Status))
		default:
			f.skip()
		}
		if f.err != nil {
			return h, f.err
		}
	}
	if len(h.symbol) == 0 {
		return h, malformed("no symbol")
	}
	if u.Seq == 0 {
		return h, malformed("no sequence number")
	}
	return h, d.localize(u)
}

// localize puts the numbers that venues have here in place of the message's.
func (d *decoder) localize(u *orderbook.Update) error {
	last := market.VenueID(len(d.names))
	bad := false
	eachVenue(u, func(v *market.VenueID) { bad = bad || *v > last })
	if bad {
		return malformed("venue beyond the list")
	}
	d.local = append(d.local[:0], market.Consolidated)
	for _, name := range d.names {
		id, ok := d.venues[string(name)]
		if !ok {
			if string(name) == "*" {
				return malformed("venue \"*\" in the list")
			}
			var err error
			if id, err = d.dir.Venue(string(name)); err != nil {
				return fmt.Errorf("%w: %w", errMalformed, err)
			}
			d.venues[string(name)] = id
		}
		d.local = append(d.local, id)
	}
	eachVenue(u, func(v *market.VenueID) { *v = d.local[*v] })
	return nil
}

// eachVenue calls fn for every venue number in u.
func eachVenue(u *orderbook.Update, fn func(*market.VenueID)) {
	for i := range u.Venues {
		fn(&u.Venues[i].Venue)
	}
	for i := range u.Levels {
		fn(&u.Levels[i].Venue)
	}
	for i := range u.Tops {
		t := &u.Tops[i]
		fn(&t.Venue)
		fn(&t.BidVenue)
		fn(&t.AskVenue)
	}
	for i := range u.Trades {
		fn(&u.Trades[i].Venue)
	}
	for i := range u.Quote.BidVenues {
		fn(&u.Quote.BidVenues[i].Venue)
	}
	for i := range u.Quote.AskVenues {
		fn(&u.Quote.AskVenues[i].Venue)
	}
	for i := range u.Quote.Out {
		fn(&u.Quote.Out[i].Venue)
	}
	fn(&u.Ticker.LastVenue)
	fn(&u.Status.Imbalance.Venue)
}

func decodeStatus(b []byte, s *orderbook.VenueStatus) error {
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		switch n {
		case 1:
			s.Venue = f.venue()
		case 2:
			// A state of a later version is none that may be shown.
			if s.State = orderbook.State(f.enum()); s.State > orderbook.StateSuspect {
				s.State = orderbook.StateNone
			}
		case 3:
			if s.Cause = orderbook.Cause(f.enum()); s.Cause > orderbook.CauseUnsubscribed {
				s.Cause = orderbook.CauseNone
			}
		case 4:
			s.Since = int64(f.fixed())
		default:
			f.skip()
		}
	}
}

func (d *decoder) levels(b []byte, dst []orderbook.LevelChange) ([]orderbook.LevelChange, error) {
	d.prices, d.sizes = d.prices[:0], d.sizes[:0]
	var venue market.VenueID
	var side market.Side
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil {
			return dst, err
		}
		if !ok {
			break
		}
		switch n {
		case 1:
			venue = f.venue()
		case 2:
			side = f.side()
		case 3:
			d.prices = f.ints(d.prices)
		case 4:
			d.sizes = f.ints(d.sizes)
		default:
			f.skip()
		}
	}
	if len(d.prices) != len(d.sizes) {
		return dst, malformed("levels: prices and sizes differ in number")
	}
	if side == market.SideNone {
		if len(d.prices) > 0 {
			return dst, malformed("levels: no side")
		}
		return append(dst, orderbook.LevelChange{Venue: venue}), nil
	}
	for i, p := range d.prices {
		if d.sizes[i] < 0 {
			return dst, malformed("levels: negative size")
		}
		dst = append(dst, orderbook.LevelChange{Venue: venue, Side: side,
			Level: orderbook.Level{Price: market.Price(p), Size: market.Size(d.sizes[i])}})
	}
	return dst, nil
}

func decodeTop(b []byte, t *orderbook.VenueQuote) error {
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		switch n {
		case 1:
			t.Venue = f.venue()
		case 2:
			t.Bid = market.Price(f.int())
		case 3:
			t.BidSize = f.size()
		case 4:
			t.Ask = market.Price(f.int())
		case 5:
			t.AskSize = f.size()
		case 6:
			t.BidVenue = f.venue()
		case 7:
			t.AskVenue = f.venue()
		case 8:
			t.BidFirmness = f.firmness()
		case 9:
			t.AskFirmness = f.firmness()
		default:
			f.skip()
		}
	}
}

func decodeTrade(b []byte, t *orderbook.Trade) error {
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		switch n {
		case 1:
			t.Venue = f.venue()
		case 2:
			t.Side = f.side()
		case 3:
			t.Flags = market.Flags(f.uint())
		case 4:
			f.conditions(t)
		case 5:
			t.Price = market.Price(f.int())
		case 6:
			t.Size = f.size()
		case 7:
			t.Time = int64(f.fixed())
		case 8:
			t.Received = int64(f.fixed())
		case 9:
			var fits bool
			if t.ID, fits = market.MakeTradeID(f.bytes()); !fits {
				f.fail("trade: identifier is too long")
			}
		case 10:
			if t.Kind = orderbook.TradeKind(f.enum()); t.Kind > orderbook.TradeCancel {
				f.fail("trade: unknown kind")
			}
		case 11:
			var fits bool
			if t.Of, fits = market.MakeTradeID(f.bytes()); !fits {
				f.fail("trade: identifier is too long")
			}
		default:
			f.skip()
		}
	}
}

func decodeQuote(b []byte, q *orderbook.Quote) error {
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		switch n {
		case 1:
			if q.Source = orderbook.QuoteSource(f.enum()); q.Source > orderbook.SourceNet {
				q.Source = orderbook.SourceNone
			}
		case 2:
			q.Bid = market.Price(f.int())
		case 3:
			q.BidSize = f.size()
		case 4:
			q.BidTotal = f.size()
		case 5:
			q.Ask = market.Price(f.int())
		case 6:
			q.AskSize = f.size()
		case 7:
			q.AskTotal = f.size()
		case 8:
			q.BidVenues = append(q.BidVenues, orderbook.VenueSize{})
			f.sub(decodeVenueSize(f.bytes(), &q.BidVenues[len(q.BidVenues)-1]))
		case 9:
			q.AskVenues = append(q.AskVenues, orderbook.VenueSize{})
			f.sub(decodeVenueSize(f.bytes(), &q.AskVenues[len(q.AskVenues)-1]))
		case 10:
			q.Time = int64(f.fixed())
		case 11:
			q.Received = int64(f.fixed())
		case 12:
			q.BidSlow = f.uint() != 0
		case 13:
			q.AskSlow = f.uint() != 0
		case 14:
			q.Thin = f.uint() != 0
		case 15:
			q.Counted = uint16(min(f.uint(), math.MaxUint16))
		case 16:
			q.Out = append(q.Out, orderbook.ExcludedVenue{})
			f.sub(decodeExcluded(f.bytes(), &q.Out[len(q.Out)-1]))
		case 17:
			q.Inverted = int64(f.fixed())
		default:
			f.skip()
		}
	}
}

func decodeVenueSize(b []byte, v *orderbook.VenueSize) error {
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		switch n {
		case 1:
			v.Venue = f.venue()
		case 2:
			v.Size = f.size()
		default:
			f.skip()
		}
	}
}

func decodeTicker(b []byte, t *orderbook.Ticker) error {
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		switch n {
		case 1:
			t.HasLast = f.uint() != 0
		case 2:
			t.HasOpen = f.uint() != 0
		case 3:
			t.HasPrevClose = f.uint() != 0
		case 4:
			t.Last = market.Price(f.int())
		case 5:
			t.LastSize = f.size()
		case 6:
			t.LastVenue = f.venue()
		case 7:
			t.Open = market.Price(f.int())
		case 8:
			t.High = market.Price(f.int())
		case 9:
			t.Low = market.Price(f.int())
		case 10:
			t.PrevClose = market.Price(f.int())
		case 11:
			t.Volume = f.size()
		case 12:
			t.Notional.Hi = f.uint()
		case 13:
			t.Notional.Lo = f.uint()
		case 14:
			t.Trades = f.uint()
		case 15:
			t.Time = int64(f.fixed())
		case 16:
			t.Received = int64(f.fixed())
		case 17:
			t.HasRange = f.uint() != 0
		case 18:
			t.HasExt = f.uint() != 0
		case 19:
			t.ExtLast = market.Price(f.int())
		case 20:
			t.ExtTime = int64(f.fixed())
		case 21:
			t.Day = int64(f.fixed())
		default:
			f.skip()
		}
	}
}

func decodeBar(b []byte, w *orderbook.Bar) error {
	f := fields{b: b}
	for {
		n, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		switch n {
		case 1:
			if w.Interval = orderbook.Interval(f.enum()); w.Interval >= orderbook.NumIntervals {
				w.Interval = 0
				f.fail("bar: unknown interval")
			}
		case 2:
			w.HasOpen = f.uint() != 0
		case 3:
			w.HasRange = f.uint() != 0
		case 4:
			w.Rev = uint32(min(f.uint(), math.MaxUint32))
		case 5:
			w.Seq = f.uint()
		case 6:
			w.Start = int64(f.fixed())
		case 7:
			w.End = int64(f.fixed())
		case 8:
			w.DayEnd = int64(f.fixed())
		case 9:
			w.Open = market.Price(f.int())
		case 10:
			w.High = market.Price(f.int())
		case 11:
			w.Low = market.Price(f.int())
		case 12:
			w.Close = market.Price(f.int())
		case 13:
			w.Volume = f.size()
		case 14:
			w.Notional.Hi = f.uint()
		case 15:
			w.Notional.Lo = f.uint()
		case 16:
			w.Trades = f.uint()
		default:
			f.skip()
		}
	}
}

// fields walks over the fields of one protobuf message: next tells a field's
// number, then exactly one of the other methods takes its value. A method that
// meets a wrong type or value notes the error, which next returns.
type fields struct {
	b     []byte
	field protowire.Number
	typ   protowire.Type
	err   error
}

var (
	errTag   = malformed("bad field tag")
	errType  = malformed("field of a wrong type")
	errShort = malformed("field is cut short")
)

// all yields the number of each field in turn, to be taken; f.err is what ended it
// before the end. It is for range: a loop's body costs no allocation.
func (f *fields) all(yield func(protowire.Number) bool) {
	for {
		n, ok, err := f.next()
		f.sub(err)
		if !ok || err != nil || !yield(n) {
			return
		}
	}
}

func (f *fields) next() (field protowire.Number, ok bool, err error) {
	if f.err != nil || len(f.b) == 0 {
		return 0, false, f.err
	}
	field, typ, n := protowire.ConsumeTag(f.b)
	if n < 0 {
		return 0, false, errTag
	}
	f.b, f.field, f.typ = f.b[n:], field, typ
	return field, true, nil
}

// sub notes the error of a message inside.
func (f *fields) sub(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) fail(what string) { f.sub(malformed(what)) }

// advance drops n bytes; a negative n is protowire's word for an error.
func (f *fields) advance(n int) bool {
	if n < 0 {
		f.sub(errShort)
		f.b = nil
		return false
	}
	f.b = f.b[n:]
	return true
}

func (f *fields) skip() { f.advance(protowire.ConsumeFieldValue(f.field, f.typ, f.b)) }

// is checks the field's type; a field of another type is skipped.
func (f *fields) is(t protowire.Type) bool {
	if f.typ == t {
		return true
	}
	f.sub(errType)
	f.skip()
	return false
}

func (f *fields) uint() uint64 {
	if !f.is(protowire.VarintType) {
		return 0
	}
	v, n := protowire.ConsumeVarint(f.b)
	f.advance(n)
	return v
}

func (f *fields) int() int64 { return protowire.DecodeZigZag(f.uint()) }

// enum returns an enum's number; one that does not fit a byte as 255, which no
// enum here has.
func (f *fields) enum() uint8 { return uint8(min(f.uint(), 255)) }

// count returns a number of things.
func (f *fields) count() int {
	v := f.uint()
	if v > math.MaxInt32 {
		f.fail("more than can be")
		v = 0
	}
	return int(v)
}

// state returns a state; one of a later version is none that may be shown.
func (f *fields) state() orderbook.State {
	s := orderbook.State(f.enum())
	if s > orderbook.StateSuspect {
		return orderbook.StateNone
	}
	return s
}

// cause returns a cause, none for one of a later version.
func (f *fields) cause() orderbook.Cause {
	c := orderbook.Cause(f.enum())
	if c > orderbook.CauseUnsubscribed {
		return orderbook.CauseNone
	}
	return c
}

func (f *fields) size() market.Size {
	v := f.int()
	if v < 0 {
		f.fail("negative size")
	}
	return market.Size(v)
}

func (f *fields) side() market.Side {
	v := f.uint()
	if v > uint64(market.SideAsk) {
		f.fail("unknown side")
		v = 0
	}
	return market.Side(v)
}

// firmness takes what this version does not know for the worst.
func (f *fields) firmness() market.Firmness {
	return market.Firmness(min(f.uint(), uint64(market.NotFirm)))
}

func (f *fields) decimals() market.Decimals {
	v := f.uint()
	if v > uint64(market.MaxDecimals) {
		f.fail("more than 18 decimals")
		v = 0
	}
	return market.Decimals(v)
}

// venue returns a number into the message's list of venues.
func (f *fields) venue() market.VenueID {
	v := f.uint()
	if v > 1<<16-1 {
		f.fail("venue beyond the list")
		v = 0
	}
	return market.VenueID(v)
}

func (f *fields) fixed() uint64 {
	if !f.is(protowire.Fixed64Type) {
		return 0
	}
	v, n := protowire.ConsumeFixed64(f.b)
	f.advance(n)
	return v
}

// bytes returns a part of the message, not a copy.
func (f *fields) bytes() []byte {
	if !f.is(protowire.BytesType) {
		return nil
	}
	v, n := protowire.ConsumeBytes(f.b)
	f.advance(n)
	return v
}

// ints appends a repeated sint64, packed or, as protobuf wants readers to take
// too, not.
func (f *fields) ints(dst []int64) []int64 {
	if f.typ == protowire.VarintType {
		return append(dst, f.int())
	}
	for b := f.bytes(); len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.sub(errShort)
			break
		}
		dst = append(dst, protowire.DecodeZigZag(v))
		b = b[n:]
	}
	return dst
}

func (f *fields) conditions(t *orderbook.Trade) {
	one := func(v uint64) {
		if int(t.NumConditions) == len(t.Conditions) || v > 1<<16-1 {
			f.fail("trade: too many or unknown conditions")
			return
		}
		t.Conditions[t.NumConditions] = market.Condition(v)
		t.NumConditions++
	}
	if f.typ == protowire.VarintType {
		one(f.uint())
		return
	}
	for b := f.bytes(); len(b) > 0 && f.err == nil; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.sub(errShort)
			break
		}
		one(v)
		b = b[n:]
	}
}
