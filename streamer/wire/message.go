package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Message is one message of the server: *Welcome, *Ack, *Snapshot, *Delta,
// *Trade, *Bar, *Watermark, *Gap, *Status, *Heartbeat, *Pong, *Error or *Unknown.
type Message interface {
	// Type returns the message's "type".
	Type() string
}

// Limits are what a server grants a connection. A field that is zero is not limited.
type Limits struct {
	Subscriptions int    `json:"subscriptions,omitempty"`
	MinInterval   string `json:"min_interval,omitempty"` // a duration such as "100ms"; "0" none
	Symbols       int    `json:"symbols,omitempty"`      // in one request
	RequestBytes  int    `json:"request_bytes,omitempty"`
}

// Welcome is the first message of a connection.
type Welcome struct {
	Version   string `json:"version"`
	Server    string `json:"server"`
	Session   string `json:"session"`
	Heartbeat int64  `json:"heartbeat"` // ms between heartbeats; 0 none
	Limits    Limits `json:"limits"`
}

// Granted is one stream of an ack, with what was granted, not what was asked.
type Granted struct {
	SID           uint64  `json:"sid"`
	Channel       Channel `json:"channel"`
	Symbol        string  `json:"symbol"`
	Venue         string  `json:"venue,omitempty"`    // absent: the consolidated view
	Depth         int     `json:"depth,omitempty"`    // book: levels a side; absent: all
	Interval      string  `json:"interval,omitempty"` // "0" every change
	Venues        bool    `json:"venues,omitempty"`
	Group         string  `json:"group,omitempty"` // price step that levels are grouped by
	Bar           string  `json:"bar,omitempty"`
	Delay         string  `json:"delay,omitempty"` // delay tier, a duration; absent: real time
	PriceDecimals *int    `json:"price_decimals,omitempty"`
	SizeDecimals  *int    `json:"size_decimals,omitempty"`
	TickSize      string  `json:"tick_size,omitempty"`
	MaxAge        string  `json:"max_age,omitempty"` // quote: older ones are marked as stale
	Paused        bool    `json:"paused,omitempty"`  // nothing is sent until an update lets it go on
	// Requested is what was asked for, as far as something else was granted.
	Requested *Requested `json:"requested,omitempty"`
}

// Requested are the fields of a request in whose place something else was granted.
type Requested struct {
	Interval string `json:"interval,omitempty"`
	Depth    *int   `json:"depth,omitempty"` // 0 all
}

// Ack answers a request that was done. Acks of one subscribe may come several
// times: a pattern takes in symbols that appear later.
type Ack struct {
	ID      json.Number `json:"id,omitempty"`
	Op      Op          `json:"op"`
	Streams []Granted   `json:"streams,omitempty"`
	// Of a fetch: the range, cut to what there is, and how many messages of the
	// stream come next that are the answer.
	From     uint64 `json:"from,omitempty"`
	To       uint64 `json:"to,omitempty"`
	Messages *int   `json:"messages,omitempty"`
}

// Opt is a field that may be absent, null or a value: in a delta it keeps,
// clears or sets what it is about.
type Opt[T any] struct {
	Value T
	Set   bool // the field is there
	Null  bool // as null
}

// Some returns a field with a value.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Null returns a field that is null.
func Null[T any]() Opt[T] { return Opt[T]{Set: true, Null: true} }

// Apply changes dst as the field says: nothing where it is absent, the zero
// value where it is null.
func (o *Opt[T]) Apply(dst *T) {
	if o.Set {
		*dst = o.Value
	}
}

// IsZero reports whether the field is absent, for json's omitzero.
func (o Opt[T]) IsZero() bool { return !o.Set }

// MarshalJSON returns the value or null.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if o.Null || !o.Set {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// UnmarshalJSON reads the value or null.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	*o = Opt[T]{Set: true}
	if string(b) == "null" {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.Value)
}

// PriceLevel is a level of a book as its texts: ["64210.1","0.52"], or with the
// split by venue ["64210.1","1.52",{"coinbase":"0.52","kraken":"1"}]. Size "0"
// removes the level.
type PriceLevel struct {
	Price, Size string
	Venues      map[string]string // size by venue, nil without a split
}

// MarshalJSON returns the level as an array.
func (l PriceLevel) MarshalJSON() ([]byte, error) {
	if l.Venues == nil {
		return json.Marshal([2]string{l.Price, l.Size})
	}
	return json.Marshal([]any{l.Price, l.Size, l.Venues})
}

// UnmarshalJSON reads the array. Elements after the third are skipped: they are
// newer than this package.
func (l *PriceLevel) UnmarshalJSON(b []byte) error {
	*l = PriceLevel{}
	if price, size, ok := plainPair(b); ok {
		l.Price, l.Size = price, size
		return nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return fmt.Errorf("read level: %w", err)
	}
	if len(parts) < 2 {
		return fmt.Errorf("read level: want price and size, got %d elements", len(parts))
	}
	if !unmarshalString(parts[0], &l.Price) || !unmarshalString(parts[1], &l.Size) {
		return errors.New("read level: price and size must be texts")
	}
	if len(parts) > 2 {
		if err := json.Unmarshal(parts[2], &l.Venues); err != nil {
			return fmt.Errorf("read level: split by venue: %w", err)
		}
	}
	return nil
}

// plainPair reads the form nearly all levels have, ["1.5","2"], at a tenth of
// the cost of the general way.
func plainPair(b []byte) (price, size string, ok bool) {
	if len(b) < len(`["",""]`) || b[0] != '[' || b[len(b)-1] != ']' {
		return "", "", false
	}
	price, b, ok = numberText(b[1:])
	if !ok || b[0] != ',' {
		return "", "", false
	}
	size, b, ok = numberText(b[1:])
	return price, size, ok && len(b) == 1
}

// numberText reads a quoted run of digits, points and minus signs; rest has at
// least one byte.
func numberText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-':
		case c == '"' && i+1 < len(b):
			return string(b[1:i]), b[i+1:], true
		default:
			return "", nil, false
		}
	}
	return "", nil, false
}

// Header is what every message of a stream carries. A delta has no channel and
// symbol: its sid stands for them.
type Header struct {
	SID     uint64  `json:"sid"`
	Channel Channel `json:"channel,omitzero"`
	Symbol  string  `json:"symbol,omitempty"`
	Venue   string  `json:"venue,omitempty"` // absent: the consolidated view
	Epoch   string  `json:"epoch,omitempty"`
	Seq     uint64  `json:"seq"`
	Prev    uint64  `json:"prev,omitzero"` // seq of the message before in this stream
	N       uint64  `json:"n,omitempty"`   // changes that this message stands for
	Span    int64   `json:"span,omitzero"` // µs over which they happened
	TS      int64   `json:"ts,omitzero"`   // venue's event time, µs since the Unix epoch; 0 unknown
	RX      int64   `json:"rx,omitzero"`   // when the frame reached the server, µs
	TX      int64   `json:"tx,omitzero"`   // when this message was encoded, µs
}

// BookFields are the fields of the book channel.
type BookFields struct {
	Bids []PriceLevel `json:"bids,omitempty"`
	Asks []PriceLevel `json:"asks,omitempty"`
	CRC  *uint32      `json:"crc,omitempty"` // of the book after this message, see [BookCRC]
}

// Out is a venue that was left out of a consolidated quote.
type Out struct {
	Venue string `json:"venue"`
	Side  string `json:"side,omitempty"`  // "bid" or "ask"; absent: both
	Why   string `json:"why"`             // a state, or "ineligible_condition", "below_round_lot", "outside_bands", …
	Cause string `json:"cause,omitempty"` // "connected", "lost", "mute", "gap", "checksum", …
	Since int64  `json:"since,omitempty"` // µs since the Unix epoch
}

// QuoteFields are the fields of the quote channel. A side that is absent is null.
type QuoteFields struct {
	Source       Opt[string]            `json:"source,omitzero"` // "consolidated", "nbbo", "venue" or "net"
	Bid          Opt[string]            `json:"bid,omitzero"`
	BidSize      Opt[string]            `json:"bid_size,omitzero"`   // the largest single venue's
	BidTotal     Opt[string]            `json:"bid_total,omitzero"`  // sum over venues
	BidVenues    Opt[map[string]string] `json:"bid_venues,omitzero"` // size by venue at the best price, whole when there
	Ask          Opt[string]            `json:"ask,omitzero"`
	AskSize      Opt[string]            `json:"ask_size,omitzero"`
	AskTotal     Opt[string]            `json:"ask_total,omitzero"`
	AskVenues    Opt[map[string]string] `json:"ask_venues,omitzero"`
	State        Opt[string]            `json:"state,omitzero"` // "live", "quiet", "suspect", "stale", "down"
	Locked       Opt[bool]              `json:"locked,omitzero"`
	Crossed      Opt[bool]              `json:"crossed,omitzero"`
	BidProtected Opt[bool]              `json:"bid_protected,omitzero"` // false: no venue at the price quotes it automatically
	AskProtected Opt[bool]              `json:"ask_protected,omitzero"`
	Thin         Opt[bool]              `json:"thin,omitzero"`           // fewer venues take part than are asked for
	Counted      Opt[uint64]            `json:"counted,omitzero"`        // venues that take part
	Inverted     Opt[int64]             `json:"inverted_since,omitzero"` // since when it is locked or crossed, µs since the Unix epoch
	Stale        Opt[bool]              `json:"stale,omitzero"`          // older than the subscription's max_age
	Out          Opt[[]Out]             `json:"out,omitzero"`            // whole when there
}

// TickerFields are the fields of the ticker channel: the day so far.
type TickerFields struct {
	Last      Opt[string] `json:"last,omitzero"`
	LastSize  Opt[string] `json:"last_size,omitzero"`
	LastVenue Opt[string] `json:"last_venue,omitzero"`
	Open      Opt[string] `json:"open,omitzero"`
	High      Opt[string] `json:"high,omitzero"`
	Low       Opt[string] `json:"low,omitzero"`
	PrevClose Opt[string] `json:"prev_close,omitzero"`
	Change    Opt[string] `json:"change,omitzero"`
	Volume    Opt[string] `json:"volume,omitzero"`
	Trades    Opt[uint64] `json:"trades,omitzero"`
	VWAP      Opt[string] `json:"vwap,omitzero"`
	ExtLast   Opt[string] `json:"ext_last,omitzero"`   // of extended hours
	ExtChange Opt[string] `json:"ext_change,omitzero"` // against Last
	ExtTime   Opt[int64]  `json:"ext_time,omitzero"`   // µs since the Unix epoch
}

// Merged is what happened within the time that a merged message stands for: the
// lowest and the highest of each, and the volume, trades and VWAP of that time.
type Merged struct {
	Bid    *[2]string `json:"bid,omitempty"`
	Ask    *[2]string `json:"ask,omitempty"`
	Last   *[2]string `json:"last,omitempty"`
	Volume string     `json:"volume,omitempty"`
	Trades uint64     `json:"trades,omitempty"`
	VWAP   string     `json:"vwap,omitempty"`
}

// State is the body of a snapshot or delta: the header and the fields of its
// channel.
type State struct {
	Header
	BookFields
	QuoteFields
	TickerFields
	Merged *Merged      `json:"merged,omitempty"`
	Events []TradeEvent `json:"events,omitempty"` // snapshot of a trade stream: the latest, if any
}

// Snapshot is a stream's complete state: what the client had is discarded. On
// streams of events it carries the position and the latest event or state.
type Snapshot struct {
	State
	Bar *Bar            `json:"-"` // of the bar channel: the latest; nil if there is none yet
	Raw json.RawMessage `json:"-"` // the whole message, for channels whose fields are not above; else nil
}

// Delta is the change of a stream from Prev to Seq.
type Delta struct{ State }

// TradeEvent is one print, or a correction or cancel of one.
type TradeEvent struct {
	Price string   `json:"price,omitempty"`
	Size  string   `json:"size,omitempty"`
	Venue string   `json:"venue,omitempty"`
	ID    string   `json:"id,omitempty"`
	Side  string   `json:"side"` // that took liquidity: "buy", "sell", "" unknown
	Cond  []string `json:"cond,omitempty"`
	TS    int64    `json:"ts,omitempty"`    // µs since the Unix epoch
	Prior bool     `json:"prior,omitempty"` // from before the server heard the venue: counts in no volume
	Kind  string   `json:"kind,omitempty"`  // "" print, "correction", "cancel"
	Of    string   `json:"of,omitempty"`    // correction, cancel: id of the trade it changes
}

// Trade holds prints in their order; none are conflated away.
type Trade struct {
	Header
	Events []TradeEvent `json:"events"`
}

// Bar is one interval's open, high, low, close and volume. Prices are "" where
// the interval is empty.
type Bar struct {
	Header
	Bar    string `json:"bar"`
	Start  int64  `json:"start"` // µs since the Unix epoch
	State  string `json:"state"` // "provisional", "final", "revised"
	Rev    int    `json:"rev"`   // grows with each revision
	Open   string `json:"open,omitempty"`
	High   string `json:"high,omitempty"`
	Low    string `json:"low,omitempty"`
	Close  string `json:"close,omitempty"`
	Volume string `json:"volume,omitempty"`
	Trades uint64 `json:"trades"`
	VWAP   string `json:"vwap,omitempty"`
}

// Watermark says that all bars up to Until have been sent.
type Watermark struct {
	SID   uint64 `json:"sid,omitempty"`
	Bar   string `json:"bar"`
	Until int64  `json:"until"` // µs since the Unix epoch
}

// Gap says that events of a lossless stream were not sent and will not be; a
// fetch may still have them.
type Gap struct {
	SID    uint64 `json:"sid"`
	From   uint64 `json:"from"` // first seq that is missing
	To     uint64 `json:"to"`   // last
	Reason string `json:"reason"`
}

// Status is whether and how an instrument trades, and how its venues are. Each is
// whole. A snapshot of the channel has the same fields.
type Status struct {
	Header
	StatusFields
}

// StatusFields are the fields of the status channel.
type StatusFields struct {
	State      string       `json:"state"`                 // "trading", "halted", "closed", "restricted", "unknown"
	Reason     string       `json:"reason,omitempty"`      // the market's code: "T12", "LUDP"
	Since      int64        `json:"since,omitempty"`       // of a state that a SIP told, µs since the Unix epoch
	Session    string       `json:"session,omitempty"`     // "pre", "regular", "post", "closed", "continuous"
	SessionEnd int64        `json:"session_end,omitempty"` // µs since the Unix epoch; absent: the market never closes
	Limit      string       `json:"limit,omitempty"`       // "up", "down": the quote sits at a band
	LimitSince int64        `json:"limit_since,omitempty"` // µs since the Unix epoch
	Bands      *Bands       `json:"bands,omitempty"`
	Imbalance  *Imbalance   `json:"imbalance,omitempty"`
	Venues     []VenueState `json:"venues,omitempty"`
}

// Bands are LULD price bands.
type Bands struct {
	Low  string `json:"low"`
	High string `json:"high"`
}

// Imbalance is what a market told last of an auction to come.
type Imbalance struct {
	Venue       string `json:"venue"`
	Side        string `json:"side"`                   // that is too large; "" unknown
	Auction     string `json:"auction,omitempty"`      // its letter: "O" open, "M" close
	AuctionTime uint64 `json:"auction_time,omitempty"` // New York's clock, 930 for 9:30
	Price       string `json:"price"`
	Size        string `json:"size"`   // that finds no counterpart
	Paired      string `json:"paired"` // that does
	TS          int64  `json:"ts,omitempty"`
}

// VenueState is how far a venue can be trusted.
type VenueState struct {
	Venue string `json:"venue"`
	State string `json:"state"`
	Cause string `json:"cause,omitempty"`
	Since int64  `json:"since"` // µs since the Unix epoch
}

// Heartbeat says that the connection is alive and how late it is.
type Heartbeat struct {
	TX       int64  `json:"tx"`                 // µs since the Unix epoch
	Lag      int64  `json:"lag"`                // ms that this client is behind
	Interval string `json:"interval,omitempty"` // effective interval, where the server had to widen it
}

// Pong answers a ping.
type Pong struct {
	ID json.Number `json:"id,omitempty"`
	TX int64       `json:"tx,omitempty"`
}

// Error answers a request that was refused, or tells why the connection ends.
type Error struct {
	ID         json.Number `json:"id,omitempty"` // of the request, where it had one
	Code       string      `json:"code"`         // one of the Code constants
	Message    string      `json:"message"`
	Symbols    []string    `json:"symbols,omitempty"`
	RetryAfter int64       `json:"retry_after,omitempty"` // ms to wait before reconnecting or repeating
}

// Error returns code and message.
func (e *Error) Error() string {
	if len(e.Symbols) > 0 {
		return fmt.Sprintf("%s: %s (%v)", e.Code, e.Message, e.Symbols)
	}
	return e.Code + ": " + e.Message
}

// Is reports whether target is an *Error of the same code, so that
// errors.Is(err, &wire.Error{Code: wire.CodeForbidden}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Permanent reports whether repeating the request can only fail again.
func (e *Error) Permanent() bool {
	switch e.Code {
	case CodeRateLimited, CodeServerShutdown, CodeTooManySubscriptions:
		return false
	}
	return true
}

// Wait returns RetryAfter as a duration, 0 where the server gave no hint.
func (e *Error) Wait() time.Duration {
	return time.Duration(min(max(e.RetryAfter, 0), MaxInterval.Milliseconds())) * time.Millisecond
}

// Unknown is a message of a type that is newer than this package. A client
// counts and skips it.
type Unknown struct {
	Name string          // its "type"
	Raw  json.RawMessage // the whole message
}

// Type implements [Message].
func (*Welcome) Type() string { return "welcome" }

// Type implements [Message].
func (*Ack) Type() string { return "ack" }

// Type implements [Message].
func (*Snapshot) Type() string { return "snapshot" }

// Type implements [Message].
func (*Delta) Type() string { return "delta" }

// Type implements [Message].
func (*Trade) Type() string { return "trade" }

// Type implements [Message].
func (*Bar) Type() string { return "bar" }

// Type implements [Message].
func (*Watermark) Type() string { return "watermark" }

// Type implements [Message].
func (*Gap) Type() string { return "gap" }

// Type implements [Message].
func (*Status) Type() string { return "status" }

// Type implements [Message].
func (*Heartbeat) Type() string { return "heartbeat" }

// Type implements [Message].
func (*Pong) Type() string { return "pong" }

// Type implements [Message].
func (*Error) Type() string { return "error" }

// Type implements [Message].
func (u *Unknown) Type() string { return u.Name }

// ErrNoType means that a message has no "type".
var ErrNoType = errors.New(`message has no "type"`)

// Parse reads one message of the server. b may be reused afterwards. A type that
// is not known gives an *Unknown, not an error.
func Parse(b []byte) (Message, error) {
	name, err := typeOf(b)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	var m Message
	switch name {
	case "welcome":
		m = new(Welcome)
	case "ack":
		m = new(Ack)
	case "snapshot":
		m = new(Snapshot)
	case "delta":
		m = new(Delta)
	case "trade":
		m = new(Trade)
	case "bar":
		m = new(Bar)
	case "watermark":
		m = new(Watermark)
	case "gap":
		m = new(Gap)
	case "status":
		m = new(Status)
	case "heartbeat":
		m = new(Heartbeat)
	case "pong":
		m = new(Pong)
	case "error":
		m = new(Error)
	default:
		raw := append(json.RawMessage(nil), b...)
		if !json.Valid(raw) {
			return nil, fmt.Errorf("read message of type %s: not JSON", quoteCut(name))
		}
		return &Unknown{Name: name, Raw: raw}, nil
	}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if s, ok := m.(*Snapshot); ok {
		switch s.Channel {
		case ChannelQuote, ChannelBook, ChannelTicker, ChannelTrade:
		default:
			s.Raw = append(json.RawMessage(nil), b...)
		}
		if s.Channel == ChannelBar {
			bar := new(Bar)
			if err := json.Unmarshal(b, bar); err != nil {
				return nil, fmt.Errorf("read bar: %w", err)
			}
			if bar.Start != 0 {
				s.Bar = bar
			}
		}
	}
	return m, nil
}

// typeOf reads the "type", which the server writes first.
func typeOf(b []byte) (string, error) {
	const first = `{"type":"`
	if len(b) > len(first) && string(b[:len(first)]) == first {
		for i := len(first); i < len(b); i++ {
			if b[i] == '"' {
				return string(b[len(first):i]), nil
			}
			if b[i] == '\\' {
				break
			}
		}
	}
	var t struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return "", err
	}
	if t.Type == nil {
		return "", ErrNoType
	}
	return *t.Type, nil
}

// Append appends a message as JSON, its type first. It serves control messages,
// tests and tools; the streamer's market data goes through its own encoders.
func Append(dst []byte, m Message) ([]byte, error) {
	if s, ok := m.(*Snapshot); ok && s.Raw != nil {
		return append(dst, s.Raw...), nil
	}
	if u, ok := m.(*Unknown); ok {
		return append(dst, u.Raw...), nil
	}
	body, err := json.Marshal(m)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", m.Type(), err)
	}
	dst = append(dst, `{"type":"`...)
	dst = append(dst, m.Type()...)
	dst = append(dst, '"')
	if len(body) > len("{}") {
		dst = append(dst, ',')
		return append(dst, body[1:]...), nil
	}
	return append(dst, '}'), nil
}
