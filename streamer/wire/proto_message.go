package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire/wirev1"
)

// appendProto appends a control message as one message of a frame.
func appendProto(dst []byte, m Message) ([]byte, error) {
	var p wirev1.Message
	switch m := m.(type) {
	case *Welcome:
		p.Body = &wirev1.Message_Welcome{Welcome: &wirev1.Welcome{
			Version: m.Version, Server: m.Server, Session: m.Session, Heartbeat: m.Heartbeat,
			Limits: &wirev1.Limits{Subscriptions: int64(m.Limits.Subscriptions), MinInterval: nanos(m.Limits.MinInterval),
				Symbols: int64(m.Limits.Symbols), RequestBytes: int64(m.Limits.RequestBytes)},
		}}
	case *Ack:
		a := &wirev1.Ack{Id: idNumber(m.ID), Op: string(m.Op), From: m.From, To: m.To}
		if m.Messages != nil {
			a.Messages = proto.Uint32(uint32(*m.Messages))
		}
		for i := range m.Streams {
			a.Streams = append(a.Streams, protoGranted(&m.Streams[i]))
		}
		p.Body = &wirev1.Message_Ack{Ack: a}
	case *Error:
		p.Body = &wirev1.Message_Error{Error: &wirev1.Error{Id: idNumber(m.ID), Code: m.Code, Message: m.Message,
			Symbols: m.Symbols, RetryAfter: m.RetryAfter}}
	case *Heartbeat:
		p.Body = &wirev1.Message_Heartbeat{Heartbeat: &wirev1.Heartbeat{Tx: m.TX * 1000, Lag: m.Lag, Interval: nanos(m.Interval)}}
	case *Pong:
		p.Body = &wirev1.Message_Pong{Pong: &wirev1.Pong{Id: idNumber(m.ID), Tx: m.TX * 1000}}
	case *Gap:
		p.Body = &wirev1.Message_Gap{Gap: &wirev1.Gap{Sid: m.SID, From: m.From, To: m.To, Reason: m.Reason}}
	case *Watermark:
		p.Body = &wirev1.Message_Watermark{Watermark: &wirev1.Watermark{Sid: m.SID, Bar: m.Bar, Until: m.Until * 1000}}
	default:
		return dst, fmt.Errorf("encode %s: it has no form of its own in Protocol Buffers", m.Type())
	}
	dst = protowire.AppendTag(dst, frameMessages, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(proto.Size(&p)))
	dst, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, &p)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", m.Type(), err)
	}
	return dst, nil
}

func protoGranted(g *Granted) *wirev1.Granted {
	p := &wirev1.Granted{Sid: g.SID, Channel: g.Channel.String(), Symbol: g.Symbol, Venue: g.Venue, Depth: uint32(g.Depth),
		Interval: nanos(g.Interval), Venues: g.Venues, Bar: g.Bar, Delay: nanos(g.Delay), TickSize: g.TickSize, Group: g.Group, MaxAge: nanos(g.MaxAge), Paused: g.Paused}
	if r := g.Requested; r != nil {
		p.Requested = &wirev1.Requested{}
		if r.Interval != "" {
			p.Requested.Interval = proto.Int64(nanos(r.Interval))
		}
		if r.Depth != nil {
			p.Requested.Depth = proto.Uint32(uint32(*r.Depth))
		}
	}
	if g.PriceDecimals != nil {
		p.PriceDecimals = proto.Uint32(uint32(*g.PriceDecimals))
	}
	if g.SizeDecimals != nil {
		p.SizeDecimals = proto.Uint32(uint32(*g.SizeDecimals))
	}
	return p
}

func idNumber(id json.Number) uint64 {
	n, _ := strconv.ParseUint(string(id), 10, 64)
	return n
}

func nanos(text string) int64 {
	d, _ := time.ParseDuration(text)
	return int64(d)
}

// ProtoReader reads a connection's frames in Protocol Buffers into the same
// messages that JSON gives. It knows the decimals of every stream that it has
// heard of, so there is one for each connection. The zero value is ready.
type ProtoReader struct {
	scales map[uint64]market.Scale
}

// ErrFrame means that a binary frame is not made of messages.
var ErrFrame = errors.New("frame is not made of messages")

// Cut returns the first message of a frame, still encoded, and what follows it.
func (*ProtoReader) Cut(frame []byte) (message, rest []byte, err error) {
	n, kind, size := protowire.ConsumeTag(frame)
	if size < 0 || n != frameMessages || kind != protowire.BytesType {
		return nil, nil, ErrFrame
	}
	message, length := protowire.ConsumeBytes(frame[size:])
	if length < 0 {
		return nil, nil, ErrFrame
	}
	return message, frame[size+length:], nil
}

// Parse reads one message that [ProtoReader.Cut] returned. A Scale is kept and
// gives nil; a message that is newer than this package gives an *Unknown.
func (r *ProtoReader) Parse(b []byte) (Message, error) {
	var p wirev1.Message
	if err := proto.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	switch b := p.Body.(type) {
	case *wirev1.Message_Welcome:
		w := b.Welcome
		return &Welcome{Version: w.Version, Server: w.Server, Session: w.Session, Heartbeat: w.Heartbeat, Limits: Limits{
			Subscriptions: int(w.Limits.GetSubscriptions()), MinInterval: FormatInterval(time.Duration(w.Limits.GetMinInterval())),
			Symbols: int(w.Limits.GetSymbols()), RequestBytes: int(w.Limits.GetRequestBytes())}}, nil
	case *wirev1.Message_Ack:
		a := &Ack{ID: idText(b.Ack.Id), Op: Op(b.Ack.Op), From: b.Ack.From, To: b.Ack.To}
		if b.Ack.Messages != nil {
			n := int(*b.Ack.Messages)
			a.Messages = &n
		}
		for _, g := range b.Ack.Streams {
			a.Streams = append(a.Streams, readGranted(g))
		}
		return a, nil
	case *wirev1.Message_Error:
		e := b.Error
		return &Error{ID: idText(e.Id), Code: e.Code, Message: e.Message, Symbols: e.Symbols, RetryAfter: e.RetryAfter}, nil
	case *wirev1.Message_Heartbeat:
		h := &Heartbeat{TX: b.Heartbeat.Tx / 1000, Lag: b.Heartbeat.Lag}
		if b.Heartbeat.Interval != 0 {
			h.Interval = FormatInterval(time.Duration(b.Heartbeat.Interval))
		}
		return h, nil
	case *wirev1.Message_Pong:
		return &Pong{ID: idText(b.Pong.Id), TX: b.Pong.Tx / 1000}, nil
	case *wirev1.Message_Scale:
		s := b.Scale
		if s.Price > uint32(market.MaxDecimals) || s.Size > uint32(market.MaxDecimals) {
			return nil, fmt.Errorf("read scale: %d and %d decimals, want at most %d", s.Price, s.Size, market.MaxDecimals)
		}
		if r.scales == nil {
			r.scales = make(map[uint64]market.Scale)
		}
		r.scales[s.Sid] = market.Scale{Price: market.Decimals(s.Price), Size: market.Decimals(s.Size)}
		return nil, nil
	case *wirev1.Message_Gap:
		return &Gap{SID: b.Gap.Sid, From: b.Gap.From, To: b.Gap.To, Reason: b.Gap.Reason}, nil
	case *wirev1.Message_Watermark:
		return &Watermark{SID: b.Watermark.Sid, Bar: b.Watermark.Bar, Until: b.Watermark.Until / 1000}, nil
	case *wirev1.Message_Snapshot:
		return r.snapshot(b.Snapshot)
	case *wirev1.Message_Delta:
		return r.delta(b.Delta)
	case *wirev1.Message_Trade:
		return r.trade(b.Trade)
	case *wirev1.Message_Status:
		n, err := r.numbers(b.Status.Sid)
		if err != nil {
			return nil, fmt.Errorf("read status: %w", err)
		}
		return &Status{header(b.Status), n.status(b.Status.GetStatus())}, nil
	case *wirev1.Message_Bar:
		n, err := r.numbers(b.Bar.Sid)
		if err != nil {
			return nil, fmt.Errorf("read bar: %w", err)
		}
		bar, err := n.bar(b.Bar.GetBar())
		if err != nil {
			return nil, fmt.Errorf("read bar: %w", err)
		}
		bar.Header = header(b.Bar)
		return bar, nil
	}
	return &Unknown{Name: "unknown"}, nil
}

func idText(id uint64) json.Number {
	if id == 0 {
		return ""
	}
	return json.Number(strconv.FormatUint(id, 10))
}

func readGranted(g *wirev1.Granted) Granted {
	out := Granted{SID: g.Sid, Symbol: g.Symbol, Venue: g.Venue, Depth: int(g.Depth), Venues: g.Venues, Bar: g.Bar, TickSize: g.TickSize, Group: g.Group, Paused: g.Paused}
	out.Channel, _ = ParseChannel(g.Channel)
	out.Interval = FormatInterval(time.Duration(g.Interval))
	if g.Delay != 0 {
		out.Delay = FormatInterval(time.Duration(g.Delay))
	}
	if g.MaxAge != 0 {
		out.MaxAge = FormatInterval(time.Duration(g.MaxAge))
	}
	if r := g.Requested; r != nil {
		out.Requested = &Requested{}
		if r.Interval != nil {
			out.Requested.Interval = FormatInterval(time.Duration(*r.Interval))
		}
		if r.Depth != nil {
			n := int(*r.Depth)
			out.Requested.Depth = &n
		}
	}
	if g.PriceDecimals != nil {
		n := int(*g.PriceDecimals)
		out.PriceDecimals = &n
	}
	if g.SizeDecimals != nil {
		n := int(*g.SizeDecimals)
		out.SizeDecimals = &n
	}
	return out
}

// numbers turns mantissas at a stream's scale into canonical text.
type numbers struct{ market.Scale }

func (r *ProtoReader) numbers(sid uint64) (numbers, error) {
	s, ok := r.scales[sid]
	if !ok {
		return numbers{}, fmt.Errorf("stream %d: its decimals have not come", sid)
	}
	return numbers{s}, nil
}

func (n numbers) price(m int64) string { return numberString(m, n.Price) }
func (n numbers) size(m int64) string  { return numberString(m, n.Size) }

func numberString(m int64, d market.Decimals) string {
	var b [24]byte
	return string(market.AppendNumber(b[:0], m, d))
}

func (r *ProtoReader) snapshot(p *wirev1.Snapshot) (Message, error) {
	m := &Snapshot{}
	m.Header = Header{SID: p.Sid, Symbol: p.Symbol, Venue: p.Venue, Epoch: p.Epoch, Seq: p.Seq, TS: p.Ts / 1000, RX: p.Rx / 1000, TX: p.Tx / 1000}
	m.Channel, _ = ParseChannel(p.Channel)
	n, err := r.numbers(p.Sid)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if err := n.content(&m.State, p.GetQuote(), p.GetBook(), p.GetTrades(), p.GetTicker()); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if st := p.GetStatus(); st != nil {
		whole := struct {
			Type string `json:"type"`
			Header
			StatusFields
		}{m.Type(), m.Header, n.status(st)}
		if m.Raw, err = json.Marshal(&whole); err != nil {
			return nil, fmt.Errorf("read snapshot: %w", err)
		}
	}
	if b := p.GetBar(); b.GetStart() != 0 {
		if m.Bar, err = n.bar(b); err != nil {
			return nil, fmt.Errorf("read snapshot: %w", err)
		}
		m.Bar.Header = m.Header
	}
	return m, nil
}

func (n numbers) status(p *wirev1.Status) StatusFields {
	f := StatusFields{State: p.GetState(), Reason: p.GetReason(), Since: p.GetSince() / 1000, Session: p.GetSession(),
		SessionEnd: p.GetSessionEnd() / 1000, Limit: p.GetLimit(), LimitSince: p.GetLimitSince() / 1000}
	if b := p.GetBands(); b != nil {
		f.Bands = &Bands{n.price(b.Low), n.price(b.High)}
	}
	if i := p.GetImbalance(); i != nil {
		f.Imbalance = &Imbalance{Venue: i.Venue, Side: i.Side, Auction: i.Auction, AuctionTime: i.AuctionTime, Price: n.price(i.Price),
			Size: n.size(i.Size), Paired: n.size(i.Paired), TS: i.Ts / 1000}
	}
	for _, v := range p.GetVenues() {
		f.Venues = append(f.Venues, VenueState{v.Venue, v.State, v.Cause, v.Since / 1000})
	}
	return f
}

// bar reads a bar, without a header.
func (n numbers) bar(p *wirev1.Bar) (*Bar, error) {
	if p == nil {
		return nil, errors.New("there is none in it")
	}
	b := &Bar{Bar: p.GetBar(), Start: p.GetStart() / 1000, State: p.GetState(), Rev: int(p.GetRev()), Volume: n.size(p.GetVolume()), Trades: p.GetTrades()}
	for _, f := range [...]struct {
		dst *string
		m   *int64
	}{{&b.Open, p.Open}, {&b.High, p.High}, {&b.Low, p.Low}, {&b.Close, p.Close}} {
		if f.m != nil {
			*f.dst = n.price(*f.m)
		}
	}
	if p.Vwap != nil {
		var err error
		if b.VWAP, err = ownNumber(p.Vwap); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func header(p *wirev1.Update) Header {
	return Header{SID: p.Sid, Seq: p.Seq, Prev: p.Prev, N: p.N, Span: p.Span / 1000, TS: p.Ts / 1000, RX: p.Rx / 1000, TX: p.Tx / 1000}
}

func (r *ProtoReader) delta(p *wirev1.Update) (Message, error) {
	m := &Delta{State{Header: header(p)}}
	n, err := r.numbers(p.Sid)
	if err == nil {
		err = n.content(&m.State, p.GetQuote(), p.GetBook(), p.GetTrades(), p.GetTicker())
	}
	if err != nil {
		return nil, fmt.Errorf("read delta: %w", err)
	}
	return m, nil
}

func (r *ProtoReader) trade(p *wirev1.Update) (Message, error) {
	n, err := r.numbers(p.Sid)
	if err != nil {
		return nil, fmt.Errorf("read trade: %w", err)
	}
	return &Trade{Header: header(p), Events: n.events(p.GetTrades())}, nil
}

func (n numbers) content(s *State, q *wirev1.Quote, b *wirev1.Book, t *wirev1.Trades, k *wirev1.Ticker) (err error) {
	switch {
	case q != nil:
		err = n.quote(&s.QuoteFields, q)
		if q.Merged != nil && err == nil {
			s.Merged, err = n.merged(q.Merged)
		}
	case b != nil:
		s.Bids, s.Asks, s.CRC = n.levels(b.Bids), n.levels(b.Asks), b.Crc
		if b.State != nil {
			s.State = Some(*b.State)
		}
	case t != nil:
		s.Events = n.events(t)
	case k != nil:
		err = n.ticker(&s.TickerFields, k)
		if k.Merged != nil && err == nil {
			s.Merged, err = n.merged(k.Merged)
		}
	}
	return err
}

func (n numbers) levels(in []*wirev1.Level) []PriceLevel {
	if len(in) == 0 {
		return nil
	}
	out := make([]PriceLevel, len(in))
	for i, l := range in {
		out[i] = PriceLevel{Price: n.price(l.Price), Size: n.size(l.Size)}
		if len(l.Venues) > 0 {
			out[i].Venues = n.venues(l.Venues)
		}
	}
	return out
}

func (n numbers) venues(in []*wirev1.VenueSize) map[string]string {
	out := make(map[string]string, len(in))
	for _, v := range in {
		out[v.Venue] = n.size(v.Size)
	}
	return out
}

func (n numbers) events(in *wirev1.Trades) []TradeEvent {
	out := make([]TradeEvent, len(in.GetEvents()))
	for i, e := range in.GetEvents() {
		out[i] = TradeEvent{Price: n.price(e.Price), Size: n.size(e.Size), Venue: e.Venue, ID: e.Id, Side: e.Side, Cond: e.Cond,
			TS: e.Ts / 1000, Prior: e.Prior, Kind: e.Kind, Of: e.Of}
	}
	return out
}

// optional puts a field that is there into its place.
func optional[T, U any](dst *Opt[U], v *T, read func(T) U) {
	if v != nil {
		*dst = Some(read(*v))
	}
}

func same[T any](v T) T { return v }

// clearFields sets the fields with the numbers to null.
func clearFields(numbers []uint32, fields func(number uint32) (null func())) error {
	for _, n := range numbers {
		null := fields(n)
		if null == nil {
			return fmt.Errorf("field %d is cleared, and cannot be", n)
		}
		null()
	}
	return nil
}

func null[T any](o *Opt[T]) func() { return func() { *o = Null[T]() } }

func (n numbers) quote(f *QuoteFields, q *wirev1.Quote) error {
	optional(&f.Bid, q.Bid, n.price)
	optional(&f.BidSize, q.BidSize, n.size)
	optional(&f.BidTotal, q.BidTotal, n.size)
	if q.BidVenues != nil {
		f.BidVenues = Some(n.venues(q.BidVenues.Sizes))
	}
	optional(&f.Ask, q.Ask, n.price)
	optional(&f.AskSize, q.AskSize, n.size)
	optional(&f.AskTotal, q.AskTotal, n.size)
	if q.AskVenues != nil {
		f.AskVenues = Some(n.venues(q.AskVenues.Sizes))
	}
	optional(&f.Source, q.Source, same)
	optional(&f.State, q.State, same)
	optional(&f.Locked, q.Locked, same)
	optional(&f.Crossed, q.Crossed, same)
	optional(&f.Stale, q.Stale, same)
	optional(&f.BidProtected, q.BidProtected, same)
	optional(&f.AskProtected, q.AskProtected, same)
	optional(&f.Thin, q.Thin, same)
	optional(&f.Counted, q.Counted, same)
	optional(&f.Inverted, q.InvertedSince, func(ns int64) int64 { return ns / 1000 })
	if q.Out != nil {
		out := make([]Out, len(q.Out.Out))
		for i, o := range q.Out.Out {
			out[i] = Out{Venue: o.Venue, Why: o.Why, Cause: o.Cause, Since: o.Since / 1000, Side: o.Side}
		}
		f.Out = Some(out)
	}
	return clearFields(q.Cleared, func(number uint32) func() {
		switch number {
		case 1:
			return null(&f.Bid)
		case 2:
			return null(&f.BidSize)
		case 3:
			return null(&f.BidTotal)
		case 4:
			return null(&f.BidVenues)
		case 5:
			return null(&f.Ask)
		case 6:
			return null(&f.AskSize)
		case 7:
			return null(&f.AskTotal)
		case 8:
			return null(&f.AskVenues)
		case 11:
			return null(&f.Locked)
		case 12:
			return null(&f.Crossed)
		case 13:
			return null(&f.Stale)
		case 17:
			return null(&f.BidProtected)
		case 18:
			return null(&f.AskProtected)
		case 19:
			return null(&f.Thin)
		case 20:
			return null(&f.Counted)
		case 21:
			return null(&f.Inverted)
		}
		return nil
	})
}

func (n numbers) ticker(f *TickerFields, k *wirev1.Ticker) error {
	optional(&f.Last, k.Last, n.price)
	optional(&f.LastSize, k.LastSize, n.size)
	optional(&f.LastVenue, k.LastVenue, same)
	optional(&f.Open, k.Open, n.price)
	optional(&f.High, k.High, n.price)
	optional(&f.Low, k.Low, n.price)
	optional(&f.PrevClose, k.PrevClose, n.price)
	optional(&f.Change, k.Change, n.price)
	optional(&f.Volume, k.Volume, n.size)
	optional(&f.Trades, k.Trades, same)
	optional(&f.ExtLast, k.ExtLast, n.price)
	optional(&f.ExtChange, k.ExtChange, n.price)
	optional(&f.ExtTime, k.ExtTime, func(ns int64) int64 { return ns / 1000 })
	if k.Vwap != nil {
		text, err := ownNumber(k.Vwap)
		if err != nil {
			return err
		}
		f.VWAP = Some(text)
	}
	return clearFields(k.Cleared, func(number uint32) func() {
		switch number {
		case 1:
			return null(&f.Last)
		case 2:
			return null(&f.LastSize)
		case 3:
			return null(&f.LastVenue)
		case 4:
			return null(&f.Open)
		case 5:
			return null(&f.High)
		case 6:
			return null(&f.Low)
		case 7:
			return null(&f.PrevClose)
		case 8:
			return null(&f.Change)
		case 11:
			return null(&f.VWAP)
		case 12:
			return null(&f.ExtLast)
		case 13:
			return null(&f.ExtChange)
		case 14:
			return null(&f.ExtTime)
		}
		return nil
	})
}

func ownNumber(n *wirev1.Number) (string, error) {
	if n.Decimals > uint32(market.MaxDecimals) {
		return "", fmt.Errorf("number with %d decimals, want at most %d", n.Decimals, market.MaxDecimals)
	}
	return numberString(n.Mantissa, market.Decimals(n.Decimals)), nil
}

func (n numbers) merged(m *wirev1.Merged) (*Merged, error) {
	pair := func(r *wirev1.Range) *[2]string {
		if r == nil {
			return nil
		}
		return &[2]string{n.price(r.Low), n.price(r.High)}
	}
	out := &Merged{Bid: pair(m.Bid), Ask: pair(m.Ask), Last: pair(m.Last), Trades: m.Trades}
	if m.Trades > 0 {
		out.Volume = n.size(m.Volume)
	}
	if m.Vwap != nil {
		var err error
		if out.VWAP, err = ownNumber(m.Vwap); err != nil {
			return nil, err
		}
	}
	return out, nil
}
