package client

import (
	"fmt"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
	"github.com/shopspring/decimal"
)

// Update is what a [Stream] hands out: market data (*Quote, *BookUpdate, *Trades,
// *Ticker, *Bar, *Watermark, *Status) or an event (*Gap, *EpochChange, *Resync, *Disconnected,
// *Reconnected, *Rejected, *Lost). It is the receiver's: nothing changes it later.
type Update interface {
	// About returns what the update is about; the zero Meta for an event of the
	// whole stream.
	About() Meta
}

// Meta is what every update of one symbol carries.
type Meta struct {
	Channel wire.Channel
	Symbol  string
	Venue   string // "*" is the consolidated view
	SID     uint64
	Epoch   string
	Seq     uint64
	// Changes is how many changes the update stands for, conflated by the server
	// and, for a slow reader, here. Span is the time over which they happened.
	Changes uint64
	Span    time.Duration
	// Time is the venue's event time, Received when its frame reached the server,
	// Sent when the server encoded the message. A zero time is unknown.
	Time, Received, Sent time.Time
}

// About returns the Meta itself.
func (m Meta) About() Meta { return m }

// VenueSize is a venue and the size it shows.
type VenueSize struct {
	Venue string
	Size  decimal.Decimal
}

// Side is one side of a quote. Where Present is false there is none and the rest
// is zero.
type Side struct {
	Present bool
	Price   decimal.Decimal
	Size    decimal.Decimal // the largest single venue's
	Total   decimal.Decimal // sum over venues; the size where the server tells none
	Venues  []VenueSize     // at the best price, largest first
	// Slow says that no venue at the price quotes it automatically, so that under
	// Reg NMS it is not protected.
	Slow bool

	summed bool // the server tells Total
}

// Out is a venue that is left out of a consolidated quote.
type Out struct {
	Venue string
	Side  string    // "bid" or "ask"; "" both
	Why   string    // "stale", "halted", "resyncing", "down", or of a live venue "ineligible_condition", "below_round_lot", …
	Cause string    // of a state: "gap", "checksum", "lost", …
	Since time.Time // zero: unknown
}

// Range is the lowest and the highest value within the Span of an update.
type Range struct{ Low, High decimal.Decimal }

// Quote is a best bid and offer.
type Quote struct {
	Meta
	Source                 string // "consolidated", "nbbo", "venue" or "net"
	Bid, Ask               Side
	State                  string // "live", "quiet", "suspect", "stale", "down"
	Locked, Crossed, Stale bool
	InvertedSince          time.Time // since when it is locked or crossed; zero: it is not
	Thin                   bool      // fewer venues take part than the server asks for
	Counted                uint64    // venues that take part; 0 where the quote is not the server's own
	Out                    []Out
	MergedBid, MergedAsk   *Range // nil where nothing was merged
}

// sound reports whether values may be derived from the quote.
func (q *Quote) sound() bool {
	return q.Bid.Present && q.Ask.Present && !q.Crossed && !q.Thin
}

// Mid returns the middle of bid and ask, false where a side is absent or the quote
// is crossed or thin: it would mean nothing.
func (q *Quote) Mid() (decimal.Decimal, bool) {
	if !q.sound() {
		return decimal.Decimal{}, false
	}
	return q.Bid.Price.Add(q.Ask.Price).Mul(decimal.New(5, -1)), true // exact: no division
}

// Spread returns ask minus bid; false is as of [Quote.Mid].
func (q *Quote) Spread() (decimal.Decimal, bool) {
	if !q.sound() {
		return decimal.Decimal{}, false
	}
	return q.Ask.Price.Sub(q.Bid.Price), true
}

// Microprice returns the middle weighted by the size on the other side, over all
// venues at the best price, rounded half up at four decimals more than the prices
// have; false is as of [Quote.Mid].
func (q *Quote) Microprice() (decimal.Decimal, bool) {
	spread, ok := q.Spread()
	size := q.Bid.Total.Add(q.Ask.Total)
	if !ok || size.Sign() <= 0 {
		return decimal.Decimal{}, false
	}
	places := 4 + max(-q.Bid.Price.Exponent(), -q.Ask.Price.Exponent(), 0)
	return q.Bid.Price.Add(spread.Mul(q.Bid.Total).DivRound(size, places)), true
}

// BookUpdate is a whole book, best levels first.
type BookUpdate struct {
	Meta
	Bids, Asks []Level
}

// Ticker is the day so far. A value that is not known is not Valid.
type Ticker struct {
	Meta
	Last, LastSize, Open, High, Low, PrevClose, Change, Volume, VWAP decimal.NullDecimal
	LastVenue                                                        string
	Trades                                                           uint64
	MergedLast                                                       *Range // nil where nothing was merged
	// MergedVolume, MergedTrades and MergedVWAP are over the Span of the update.
	// They are not Valid, and 0, where nothing was merged or a part is not known.
	MergedVolume, MergedVWAP decimal.NullDecimal
	MergedTrades             uint64
	// ExtLast is the last price of extended hours, which moves no other, ExtChange
	// how far it is from Last, ExtTime when it was.
	ExtLast, ExtChange decimal.NullDecimal
	ExtTime            time.Time
}

// Trade is one print, or a correction or cancel of one.
type Trade struct {
	Price, Size decimal.Decimal
	Venue, ID   string
	Side        string // that took liquidity: "buy", "sell", "" unknown
	Conditions  []string
	Time        time.Time
	Prior       bool   // from before the server heard the venue; counts in no volume
	Kind        string // "" print, "correction", "cancel"
	Of          string // correction, cancel: the ID of the trade it changes
}

// Trades holds prints in their order. From the snapshot that a stream begins with
// it holds the latest print, if any, and Snapshot is set: after a reconnect it may
// have been seen before.
type Trades struct {
	Meta
	Trades   []Trade
	Snapshot bool
}

// Watermark says that all bars of the interval that end by Until were handed out:
// those that follow and end by then are revisions, or the snapshot of a symbol that
// was taken in later.
type Watermark struct {
	Meta
	Bar   string // "1m"
	Until time.Time
}

// Bar is the open, high, low, close and volume of an interval. In an empty
// interval the prices are not Valid.
type Bar struct {
	Meta
	Bar                                  string // "1m"
	Start                                time.Time
	State                                string // "provisional", "final", "revised"
	Rev                                  int
	Open, High, Low, Close, Volume, VWAP decimal.NullDecimal
	Trades                               uint64
}

// parseDecimal reads the canonical text of a number. Why the bound and no
// exponent: "1e999999999" is a short text and an enormous number.
func parseDecimal(s string) (decimal.Decimal, error) {
	if len(s) > 64 {
		return decimal.Decimal{}, fmt.Errorf("number of %d characters: %w", len(s), market.ErrRange)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && (c != '-' || i > 0) {
			return decimal.Decimal{}, fmt.Errorf("number %q: %w", s, market.ErrSyntax)
		}
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("number %q: %w", s, market.ErrSyntax)
	}
	return d, nil
}

func nullDecimal(s string) (decimal.NullDecimal, error) {
	if s == "" {
		return decimal.NullDecimal{}, nil
	}
	d, err := parseDecimal(s)
	return decimal.NullDecimal{Decimal: d, Valid: err == nil}, err
}

func micros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// reader collects the first fault of several numbers.
type reader struct{ err error }

func (r *reader) number(dst *decimal.Decimal, o *wire.Opt[string]) {
	if !o.Set || r.err != nil {
		return
	}
	if o.Null {
		*dst = decimal.Decimal{}
		return
	}
	*dst, r.err = parseDecimal(o.Value)
}

func (r *reader) null(dst *decimal.NullDecimal, o *wire.Opt[string]) {
	if !o.Set || r.err != nil {
		return
	}
	if o.Null {
		*dst = decimal.NullDecimal{}
		return
	}
	*dst, r.err = nullDecimal(o.Value)
}

func (r *reader) venues(dst *[]VenueSize, o *wire.Opt[map[string]string]) {
	if o.Set && r.err == nil {
		*dst, r.err = venueSizes(o.Value)
	}
}

func (r *reader) side(dst *Side, price, size, total *wire.Opt[string], venues *wire.Opt[map[string]string]) {
	if price.Set && price.Null {
		*dst = Side{} // what else the message says of the side is null too
		return
	}
	if price.Set {
		dst.Present = true
	}
	r.number(&dst.Price, price)
	r.number(&dst.Size, size)
	r.number(&dst.Total, total)
	r.venues(&dst.Venues, venues)
	if total.Set {
		dst.summed = !total.Null
	}
	if !dst.summed {
		dst.Total = dst.Size
	}
}

// apply changes the quote by the fields that are there.
func (q *Quote) apply(f *wire.QuoteFields) error {
	var r reader
	r.side(&q.Bid, &f.Bid, &f.BidSize, &f.BidTotal, &f.BidVenues)
	r.side(&q.Ask, &f.Ask, &f.AskSize, &f.AskTotal, &f.AskVenues)
	f.Source.Apply(&q.Source)
	f.State.Apply(&q.State)
	f.Locked.Apply(&q.Locked)
	f.Crossed.Apply(&q.Crossed)
	f.Stale.Apply(&q.Stale)
	f.Thin.Apply(&q.Thin)
	f.Counted.Apply(&q.Counted)
	slow(&q.Bid.Slow, &f.BidProtected)
	slow(&q.Ask.Slow, &f.AskProtected)
	if f.Inverted.Set {
		q.InvertedSince = micros(f.Inverted.Value)
	}
	if f.Out.Set {
		q.Out = nil // a new slice: the one before may be with a receiver
		for _, o := range f.Out.Value {
			q.Out = append(q.Out, Out{Venue: o.Venue, Side: o.Side, Why: o.Why, Cause: o.Cause, Since: micros(o.Since)})
		}
	}
	return r.err
}

// slow takes whether a side is protected, which is told while it is not.
func slow(dst *bool, o *wire.Opt[bool]) {
	if o.Set {
		*dst = !o.Null && !o.Value
	}
}

func (t *Ticker) apply(f *wire.TickerFields) error {
	var r reader
	r.null(&t.Last, &f.Last)
	r.null(&t.LastSize, &f.LastSize)
	r.null(&t.Open, &f.Open)
	r.null(&t.High, &f.High)
	r.null(&t.Low, &f.Low)
	r.null(&t.PrevClose, &f.PrevClose)
	r.null(&t.Change, &f.Change)
	r.null(&t.Volume, &f.Volume)
	r.null(&t.VWAP, &f.VWAP)
	r.null(&t.ExtLast, &f.ExtLast)
	r.null(&t.ExtChange, &f.ExtChange)
	if f.ExtTime.Set {
		t.ExtTime = micros(f.ExtTime.Value)
	}
	f.LastVenue.Apply(&t.LastVenue)
	f.Trades.Apply(&t.Trades)
	return r.err
}

func readTrades(events []wire.TradeEvent) ([]Trade, error) {
	out := make([]Trade, 0, len(events))
	for i := range events {
		e := &events[i]
		t := Trade{Venue: e.Venue, ID: e.ID, Side: e.Side, Conditions: e.Cond, Time: micros(e.TS),
			Prior: e.Prior, Kind: e.Kind, Of: e.Of}
		price, err := nullDecimal(e.Price)
		if err != nil {
			return nil, fmt.Errorf("trade price: %w", err)
		}
		size, err := nullDecimal(e.Size)
		if err != nil {
			return nil, fmt.Errorf("trade size: %w", err)
		}
		if e.Kind == "" && !price.Valid {
			return nil, fmt.Errorf("trade price: %w", market.ErrSyntax)
		}
		t.Price, t.Size = price.Decimal, size.Decimal
		out = append(out, t)
	}
	return out, nil
}

func readBar(m *wire.Bar) (*Bar, error) {
	b := &Bar{Bar: m.Bar, Start: micros(m.Start), State: m.State, Rev: m.Rev, Trades: m.Trades}
	for _, f := range []struct {
		dst  *decimal.NullDecimal
		text string
	}{{&b.Open, m.Open}, {&b.High, m.High}, {&b.Low, m.Low}, {&b.Close, m.Close}, {&b.Volume, m.Volume}, {&b.VWAP, m.VWAP}} {
		var err error
		if *f.dst, err = nullDecimal(f.text); err != nil {
			return nil, fmt.Errorf("bar: %w", err)
		}
	}
	return b, nil
}

// mergedRange reads a range of a message; where it has none, the range is the
// value itself.
func mergedRange(pair *[2]string) (*Range, error) {
	if pair == nil {
		return nil, nil
	}
	low, err := parseDecimal(pair[0])
	if err != nil {
		return nil, err
	}
	high, err := parseDecimal(pair[1])
	return &Range{low, high}, err
}

// widen returns the range over two messages in a row. was and is are the values
// after each, ok whether there was one.
func widen(a, b *Range, was, is decimal.Decimal, hadWas, hasIs bool) *Range {
	var out *Range
	add := func(low, high decimal.Decimal) {
		if out == nil {
			out = &Range{low, high}
			return
		}
		out = &Range{decimal.Min(out.Low, low), decimal.Max(out.High, high)}
	}
	for _, r := range []*Range{a, b} {
		if r != nil {
			add(r.Low, r.High)
		}
	}
	if hadWas {
		add(was, was)
	}
	if hasIs {
		add(is, is)
	}
	return out
}
