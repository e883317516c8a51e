package bus

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// Field numbers of busv1.Update; those of the parts are written where they are
// used, in the order of the schema.
const (
	fieldSymbol = iota + 1
	fieldClass
	fieldNode
	fieldEpoch
	fieldSeq
	fieldTradeSeq
	fieldChanged
	fieldPriceDecimals
	fieldSizeDecimals
	fieldTime
	fieldReceived
	fieldStatuses
	fieldLevels
	fieldTops
	fieldTrades
	fieldQuote
	fieldTicker
	fieldVenues
	fieldStatus
	fieldBars
	fieldWatermark
	fieldRecentBars // by the publisher alone
)

// encoder appends updates as busv1.Update: the same bytes that the generated
// code would make, without its structs, reflection and allocations. It belongs
// to one goroutine.
type encoder struct {
	dir   *market.Directory
	node  string
	names []string         // of venues, by number; filled as they are met
	table []market.VenueID // the venues list of the message under way
}

// update appends u, which is about the instrument with the given symbol.
func (e *encoder) update(b []byte, symbol string, class market.Class, u *orderbook.Update) []byte {
	e.table = e.table[:0]
	b = appendString(b, fieldSymbol, symbol)
	b = appendUint(b, fieldClass, uint64(class))
	b = appendString(b, fieldNode, e.node)
	b = appendFixed(b, fieldEpoch, u.Epoch)
	b = appendUint(b, fieldSeq, u.Seq)
	b = appendUint(b, fieldTradeSeq, u.TradeSeq)
	b = appendUint(b, fieldChanged, uint64(u.Changed))
	b = appendUint(b, fieldPriceDecimals, uint64(u.Scale.Price))
	b = appendUint(b, fieldSizeDecimals, uint64(u.Scale.Size))
	b = appendFixed(b, fieldTime, uint64(u.Time))
	b = appendFixed(b, fieldReceived, uint64(u.Received))
	for i := range u.Venues {
		s := &u.Venues[i]
		var at int
		b, at = open(b, fieldStatuses)
		b = appendUint(b, 1, e.venue(s.Venue))
		b = appendUint(b, 2, uint64(s.State))
		b = appendUint(b, 3, uint64(s.Cause))
		b = appendFixed(b, 4, uint64(s.Since))
		b = closeField(b, at)
	}
	b = e.levels(b, u.Levels)
	for i := range u.Tops {
		t := &u.Tops[i]
		var at int
		b, at = open(b, fieldTops)
		b = appendUint(b, 1, e.venue(t.Venue))
		b = appendInt(b, 2, int64(t.Bid))
		b = appendInt(b, 3, int64(t.BidSize))
		b = appendInt(b, 4, int64(t.Ask))
		b = appendInt(b, 5, int64(t.AskSize))
		b = appendUint(b, 6, e.venue(t.BidVenue))
		b = appendUint(b, 7, e.venue(t.AskVenue))
		b = appendUint(b, 8, uint64(t.BidFirmness))
		b = appendUint(b, 9, uint64(t.AskFirmness))
		b = closeField(b, at)
	}
	for i := range u.Trades {
		b = e.trade(b, &u.Trades[i])
	}
	b = e.quote(b, &u.Quote)
	b = e.ticker(b, &u.Ticker)
	imbalance := e.venue(u.Status.Imbalance.Venue) // before the list of venues, which is before it
	for _, v := range e.table {
		b = protowire.AppendTag(b, fieldVenues, protowire.BytesType)
		b = protowire.AppendString(b, e.name(v))
	}
	if u.Status != (orderbook.Status{}) {
		b = appendStatus(b, &u.Status, imbalance)
	}
	for i := range u.Bars {
		b = appendBar(b, fieldBars, &u.Bars[i])
	}
	return appendFixed(b, fieldWatermark, uint64(u.Watermark))
}

// venue returns a venue's number in the message, from 1.
func (e *encoder) venue(id market.VenueID) uint64 {
	if id == market.Consolidated {
		return 0
	}
	for i, v := range e.table {
		if v == id {
			return uint64(i + 1)
		}
	}
	e.table = append(e.table, id)
	return uint64(len(e.table))
}

func (e *encoder) name(id market.VenueID) string {
	for int(id) >= len(e.names) {
		e.names = append(e.names, "")
	}
	if e.names[id] == "" {
		e.names[id] = e.dir.VenueName(id)
	}
	return e.names[id]
}

// levels appends changes as runs of one venue and side: two packed columns cost
// a third of one message per level.
func (e *encoder) levels(b []byte, changes []orderbook.LevelChange) []byte {
	for i := 0; i < len(changes); {
		first := &changes[i]
		n := 1
		if first.Side != market.SideNone {
			for i+n < len(changes) && changes[i+n].Venue == first.Venue && changes[i+n].Side == first.Side {
				n++
			}
		}
		var at int
		b, at = open(b, fieldLevels)
		b = appendUint(b, 1, e.venue(first.Venue))
		b = appendUint(b, 2, uint64(first.Side))
		if first.Side != market.SideNone {
			run := changes[i : i+n]
			var col int
			b, col = open(b, 3)
			for j := range run {
				b = protowire.AppendVarint(b, protowire.EncodeZigZag(int64(run[j].Price)))
			}
			b = closeField(b, col)
			b, col = open(b, 4)
			for j := range run {
				b = protowire.AppendVarint(b, protowire.EncodeZigZag(int64(run[j].Size)))
			}
			b = closeField(b, col)
		}
		b = closeField(b, at)
		i += n
	}
	return b
}

func (e *encoder) trade(b []byte, t *orderbook.Trade) []byte {
	b, at := open(b, fieldTrades)
	b = appendUint(b, 1, e.venue(t.Venue))
	b = appendUint(b, 2, uint64(t.Side))
	b = appendUint(b, 3, uint64(t.Flags))
	if t.NumConditions > 0 {
		var col int
		b, col = open(b, 4)
		for _, c := range t.Conditions[:t.NumConditions] {
			b = protowire.AppendVarint(b, uint64(c))
		}
		b = closeField(b, col)
	}
	b = appendInt(b, 5, int64(t.Price))
	b = appendInt(b, 6, int64(t.Size))
	b = appendFixed(b, 7, uint64(t.Time))
	b = appendFixed(b, 8, uint64(t.Received))
	if !t.ID.IsZero() {
		var id int
		b, id = open(b, 9)
		b = t.ID.Append(b)
		b = closeField(b, id)
	}
	b = appendUint(b, 10, uint64(t.Kind))
	if !t.Of.IsZero() {
		var id int
		b, id = open(b, 11)
		b = t.Of.Append(b)
		b = closeField(b, id)
	}
	return closeField(b, at)
}

func appendBar(b []byte, field protowire.Number, w *orderbook.Bar) []byte {
	b, at := open(b, field)
	b = appendUint(b, 1, uint64(w.Interval))
	b = appendBool(b, 2, w.HasOpen)
	b = appendBool(b, 3, w.HasRange)
	b = appendUint(b, 4, uint64(w.Rev))
	b = appendUint(b, 5, w.Seq)
	b = appendFixed(b, 6, uint64(w.Start))
	b = appendFixed(b, 7, uint64(w.End))
	b = appendFixed(b, 8, uint64(w.DayEnd))
	b = appendInt(b, 9, int64(w.Open))
	b = appendInt(b, 10, int64(w.High))
	b = appendInt(b, 11, int64(w.Low))
	b = appendInt(b, 12, int64(w.Close))
	b = appendInt(b, 13, int64(w.Volume))
	b = appendUint(b, 14, w.Notional.Hi)
	b = appendUint(b, 15, w.Notional.Lo)
	b = appendUint(b, 16, w.Trades)
	return closeField(b, at)
}

func (e *encoder) quote(b []byte, q *orderbook.Quote) []byte {
	b, at := open(b, fieldQuote)
	b = appendUint(b, 1, uint64(q.Source))
	b = appendInt(b, 2, int64(q.Bid))
	b = appendInt(b, 3, int64(q.BidSize))
	b = appendInt(b, 4, int64(q.BidTotal))
	b = appendInt(b, 5, int64(q.Ask))
	b = appendInt(b, 6, int64(q.AskSize))
	b = appendInt(b, 7, int64(q.AskTotal))
	b = e.venueSizes(b, 8, q.BidVenues)
	b = e.venueSizes(b, 9, q.AskVenues)
	b = appendFixed(b, 10, uint64(q.Time))
	b = appendFixed(b, 11, uint64(q.Received))
	b = appendBool(b, 12, q.BidSlow)
	b = appendBool(b, 13, q.AskSlow)
	b = appendBool(b, 14, q.Thin)
	b = appendUint(b, 15, uint64(q.Counted))
	for i := range q.Out {
		var at int
		b, at = open(b, 16)
		b = appendUint(b, 1, e.venue(q.Out[i].Venue))
		b = appendUint(b, 2, uint64(q.Out[i].Side))
		b = appendUint(b, 3, uint64(q.Out[i].Why))
		b = closeField(b, at)
	}
	b = appendFixed(b, 17, uint64(q.Inverted))
	return closeField(b, at)
}

func appendStatus(b []byte, st *orderbook.Status, imbalance uint64) []byte {
	b, at := open(b, fieldStatus)
	b = appendUint(b, 1, uint64(st.Trading))
	b = appendUint(b, 2, uint64(st.Limit))
	b = appendUint(b, 3, uint64(st.Session))
	if st.Reason != (orderbook.Reason{}) {
		b = appendString(b, 4, st.Reason.String())
	}
	b = appendFixed(b, 5, uint64(st.Since))
	b = appendFixed(b, 6, uint64(st.LimitSince))
	b = appendFixed(b, 7, uint64(st.SessionEnd))
	b = appendInt(b, 8, int64(st.BandLow))
	b = appendInt(b, 9, int64(st.BandHigh))
	if i := &st.Imbalance; *i != (orderbook.Imbalance{}) {
		var at int
		b, at = open(b, 10)
		b = appendUint(b, 1, imbalance)
		b = appendUint(b, 2, uint64(i.Side))
		b = appendUint(b, 3, uint64(i.Auction))
		b = appendUint(b, 4, uint64(i.AuctionTime))
		b = appendInt(b, 5, int64(i.Price))
		b = appendInt(b, 6, int64(i.Size))
		b = appendInt(b, 7, int64(i.Paired))
		b = appendFixed(b, 8, uint64(i.Time))
		b = closeField(b, at)
	}
	return closeField(b, at)
}

func (e *encoder) venueSizes(b []byte, field protowire.Number, vs []orderbook.VenueSize) []byte {
	for i := range vs {
		var at int
		b, at = open(b, field)
		b = appendUint(b, 1, e.venue(vs[i].Venue))
		b = appendInt(b, 2, int64(vs[i].Size))
		b = closeField(b, at)
	}
	return b
}

func (e *encoder) ticker(b []byte, t *orderbook.Ticker) []byte {
	b, at := open(b, fieldTicker)
	b = appendBool(b, 1, t.HasLast)
	b = appendBool(b, 2, t.HasOpen)
	b = appendBool(b, 3, t.HasPrevClose)
	b = appendInt(b, 4, int64(t.Last))
	b = appendInt(b, 5, int64(t.LastSize))
	b = appendUint(b, 6, e.venue(t.LastVenue))
	b = appendInt(b, 7, int64(t.Open))
	b = appendInt(b, 8, int64(t.High))
	b = appendInt(b, 9, int64(t.Low))
	b = appendInt(b, 10, int64(t.PrevClose))
	b = appendInt(b, 11, int64(t.Volume))
	b = appendUint(b, 12, t.Notional.Hi)
	b = appendUint(b, 13, t.Notional.Lo)
	b = appendUint(b, 14, t.Trades)
	b = appendFixed(b, 15, uint64(t.Time))
	b = appendFixed(b, 16, uint64(t.Received))
	b = appendBool(b, 17, t.HasRange)
	b = appendBool(b, 18, t.HasExt)
	b = appendInt(b, 19, int64(t.ExtLast))
	b = appendFixed(b, 20, uint64(t.ExtTime))
	b = appendFixed(b, 21, uint64(t.Day))
	return closeField(b, at)
}

// The helpers below leave out fields with a zero value, as proto3 does.

func appendUint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendInt(b []byte, field protowire.Number, v int64) []byte {
	return appendUint(b, field, protowire.EncodeZigZag(v))
}

func appendBool(b []byte, field protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendUint(b, field, 1)
}

func appendFixed(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), v)
}

func appendString(b []byte, field protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// open begins a field whose length is not known yet; closeField ends it. One
// byte is kept free for the length, which serves all but long fields: those are
// moved along once.
func open(b []byte, field protowire.Number) ([]byte, int) {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0)
	return b, len(b)
}

func closeField(b []byte, at int) []byte {
	n := len(b) - at
	if n < 1<<7 {
		b[at-1] = byte(n)
		return b
	}
	extra := protowire.SizeVarint(uint64(n)) - 1
	for range extra {
		b = append(b, 0)
	}
	copy(b[at+extra:], b[at:at+n])
	protowire.AppendVarint(b[:at-1], uint64(n))
	return b
}
