package wire

import "encoding/json"

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
