package market

import (
	"encoding/binary"
	"math/bits"
)

// Kind says what an [Event] is about.
type Kind uint8

// The kinds of events, and which fields of Event each one uses beside the
// header (Kind, Flags, Feed, Venue, Instrument, Event time, Received).
const (
	// KindNone is the zero value and never sent.
	KindNone Kind = iota
	// KindLevel sets the absolute Size at Price on Side of a venue's book;
	// Size 0 removes the level.
	KindLevel
	// KindClear empties a venue's book; the levels of a snapshot follow it.
	// With FlagSnapshot the book may be trusted again at the next FlagLast.
	// Depth, if not 0, is the number of levels a side that the venue keeps.
	// Checksum tells in advance how the book's checksums are made, because
	// ChecksumTexts needs to know how each level was written.
	KindClear
	// KindChecksum carries the venue's checksum over its book in Sequence, made
	// as Checksum says, to be compared once the message's levels have been
	// applied.
	KindChecksum
	// KindQuote is a two-sided top of book: Price, Size are the bid, Ask,
	// AskSize the ask. A side with Size 0 is absent. With FlagNBBO it is the
	// national best of a SIP; Venue is then the SIP and BidVenue, AskVenue
	// name the venues of the two sides. Conditions are quote conditions, see
	// Event.Firmness.
	KindQuote
	// KindTrade is a print: Price, Size, Side of the aggressor, ID, Conditions.
	KindTrade
	// KindBar is an aggregate made by the provider: Price (open), High, Low,
	// Close, VWAP, Size (volume), DayVolume, Start, End.
	KindBar
	// KindStatus tells an instrument's trading status at a venue in Status; with
	// FlagNBBO, at all venues, as a SIP tells of halts. ID is the code of the
	// reason, if one is told.
	KindStatus
	// KindInstrument is reference data: PriceDecimals and SizeDecimals of the
	// instrument at this venue, Price the tick size (0 unknown), Size the lot.
	KindInstrument
	// KindGap means that messages of this instrument were lost (Instrument 0:
	// of the whole feed). Its book is not to be trusted until a snapshot.
	KindGap
	// KindUp means that the feed's connection is up and signed in.
	KindUp
	// KindDown means that the feed's connection was lost: nothing it said is
	// current any longer. With an Instrument, that this alone was left, on purpose.
	KindDown
	// KindStale means that the feed's connection is open and mute.
	KindStale
	// KindHeartbeat says that the feed is alive. Instrument may be 0.
	KindHeartbeat
	// KindValue is a number that is neither quote nor print, in Price: what it
	// is, Value says.
	KindValue
	// KindLULD is the limit up-limit down bands of a US stock: High and Low.
	// Conditions holds the SIP's indicators, in its own numbering.
	KindLULD
	// KindImbalance tells of an auction to come: Size is the shares that find no
	// counterpart, AskSize those that do, Price where the book would clear, Side
	// the side that is too large (SideNone where the provider does not say),
	// Auction its type, AuctionTime when.
	KindImbalance
	// KindCorrection puts one print in the place of another: ID, Ask and AskSize
	// are those of the print that was wrong; Price, Size and Conditions are
	// right; TradeSequence is the number of the print that replaces it, 0 if it
	// keeps its own.
	KindCorrection
	// KindCancel takes a print back, which ID, Price and Size name. With
	// FlagError it was no trade at all.
	KindCancel
	// KindOrder changes one order of a venue that shows its book order by order:
	// what Action says of [Event.Order], with Side, Price and the Size that is left (of
	// OrderReduce: that goes). OrderDelete needs neither Side, Price nor Size. The
	// orders of a snapshot are OrderAdd, those at one price in the order of their
	// queue. With FlagPiecemeal an order is told before what it trades at once, so
	// that it takes part in the book only when it no longer crosses it.
	KindOrder
	// KindLeave means that the feed's connection is about to be ended on purpose
	// and that another feed stands ready: its books give way wherever the other's
	// are as new.
	KindLeave
	// KindSuspect means that the feed's connection is open and has been silent for
	// longer than it usually is.
	KindSuspect
)

var kindNames = [...]string{"none", "level", "clear", "checksum", "quote", "trade", "bar",
	"status", "instrument", "gap", "up", "down", "stale", "heartbeat", "value", "luld", "imbalance",
	"correction", "cancel", "order", "leave", "suspect"}

// String returns the kind's lower-case name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Flags qualify an [Event].
type Flags uint16

// Flags of an event.
const (
	// FlagLast marks the last event that one venue message holds for an
	// instrument: only now is its book whole.
	FlagLast Flags = 1 << iota
	// FlagSnapshot marks events of a complete image.
	FlagSnapshot
	// FlagNBBO marks a quote that a SIP consolidated, or a status that a SIP
	// tells of all venues.
	FlagNBBO
	// FlagPrior marks a print from before the subscription: it tells the last
	// price and counts in no volume (Coinbase's last_match).
	FlagPrior
	// FlagBarSecond and FlagBarMinute tell a provider bar's interval.
	FlagBarSecond
	FlagBarMinute
	// FlagContiguous says that TradeSequence grows by exactly one per print,
	// so that a jump is a lost print.
	FlagContiguous
	// FlagReply marks events of an answer to a request beside the stream, such
	// as the REST snapshot that a provider's resync starts from.
	FlagReply
	// FlagNoSize marks a quote whose provider tells prices alone, as of
	// currencies. Its Size and AskSize are 1 where the side is there: a quote
	// takes part in the best bid and offer only with a size, and 1 is the least
	// that any venue could show, so that one with a real size at the same price
	// comes before it.
	FlagNoSize
	// FlagBarDay tells a provider bar's interval.
	FlagBarDay
	// FlagRevised marks a bar that takes the place of one told before.
	FlagRevised
	// FlagError marks a KindCancel of a print that was reported in error.
	FlagError
	// FlagPiecemeal marks a message of a venue that tells one change of its book
	// in several, so that it may be crossed until the others have come.
	FlagPiecemeal
	// FlagCorrectable marks a print that its feed may correct or take back later.
	FlagCorrectable
)

// ValueKind says what a [KindValue] is.
type ValueKind uint8

// The kinds of values.
const (
	ValueNone  ValueKind = iota
	ValueIndex           // the level of an index
	ValueFair            // what the provider takes for the fair price
	ValueLast            // the last price, as the provider sees it
)

var valueNames = [...]string{"", "index", "fair", "last"}

// String returns the kind's lower-case name, "" for none.
func (v ValueKind) String() string {
	if int(v) < len(valueNames) {
		return valueNames[v]
	}
	return "unknown"
}

// Side is a side of a book, or of a trade the side that took liquidity.
type Side uint8

// The sides.
const (
	SideNone Side = iota
	SideBid       // bid; as aggressor: the buyer took
	SideAsk       // ask; as aggressor: the seller took
)

// String returns "", "bid" or "ask".
func (s Side) String() string {
	switch s {
	case SideBid:
		return "bid"
	case SideAsk:
		return "ask"
	}
	return ""
}

// Aggressor returns "", "buy" or "sell": the side of a trade in the words of a
// tape.
func (s Side) Aggressor() string {
	switch s {
	case SideBid:
		return "buy"
	case SideAsk:
		return "sell"
	}
	return ""
}

// Opposite returns the other side; SideNone stays.
func (s Side) Opposite() Side {
	switch s {
	case SideBid:
		return SideAsk
	case SideAsk:
		return SideBid
	}
	return SideNone
}

// TradingStatus is an instrument's state at a venue.
type TradingStatus uint8

// The trading statuses.
const (
	StatusUnknown    TradingStatus = iota
	StatusTrading                  // continuous trading
	StatusHalted                   // regulatory or news halt, LULD pause, maintenance
	StatusClosed                   // session over
	StatusRestricted               // cancel only, post only, auction: quotes are not executable
)

var statusNames = [...]string{"unknown", "trading", "halted", "closed", "restricted"}

// String returns the status's lower-case name.
func (s TradingStatus) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// Checksum says how a venue makes the checksum over its book. All are CRC-32
// (IEEE).
type Checksum uint8

// The kinds of checksums.
const (
	// ChecksumDigits is over the ten best asks, then the ten best bids: the
	// digits of price and size at the instrument's decimals, without the point
	// and without leading zeros.
	ChecksumDigits Checksum = iota
	// ChecksumTexts is over the 25 best levels a side, bid and ask in turn:
	// price and size as the venue wrote them, all joined by colons. A side that
	// is shorter is left out from there on.
	ChecksumTexts
	// ChecksumNumbers is as ChecksumTexts with each number as JavaScript writes
	// it: no trailing zeros, an exponent below 0.000001. The sizes of asks are
	// negative.
	ChecksumNumbers
	// ChecksumOrders is as ChecksumDigits with price and size of each single order
	// in the order of its queue, at the ten best prices a side.
	ChecksumOrders
)

// MaxConditions is the number of trade conditions an event holds; SIP prints
// carry at most four sale conditions, with room to spare.
const MaxConditions = 6

// Event is one normalized fact from one provider message: flat, without
// pointers, made to be reused in batches. All its prices have PriceDecimals and
// all its sizes SizeDecimals.
type Event struct {
	Kind          Kind
	Side          Side
	Flags         Flags
	PriceDecimals Decimals
	SizeDecimals  Decimals
	Status        TradingStatus
	NumConditions uint8
	Feed          FeedID       // the connection it came over
	Venue         VenueID      // where it happened
	Instrument    InstrumentID // 0: the whole feed
	BidVenue      VenueID      // NBBO: venue of the bid
	AskVenue      VenueID      // NBBO: venue of the ask
	Depth         uint16       // KindClear: levels a side kept by the venue, 0 all
	Checksum      Checksum     // KindChecksum, KindClear: how it is made
	Value         ValueKind    // KindValue: what it is
	Conditions    [MaxConditions]Condition
	Auction       byte        // KindImbalance: its letter, 'O' open, 'M' close, and so on; 0 unknown
	Action        OrderAction // KindOrder: what it does
	AuctionTime   uint16      // KindImbalance: New York's clock, 930 for 9:30; 0 unknown

	Time     int64  // venue's event time, ns since the Unix epoch, UTC; 0 unknown
	Received int64  // when the frame reached us, ns since the Unix epoch, UTC
	Sequence uint64 // venue's number of the message; scope and rule are the provider's

	Price Price // level, order, trade, bid of a quote, open of a bar
	Size  Size  // level, order, trade, bid of a quote, volume of a bar

	Ask     Price // quote
	AskSize Size  // quote

	High, Low, Close, VWAP Price // bar
	DayVolume              Size  // bar
	Start, End             int64 // bar: ns since the Unix epoch

	TradeSequence uint64  // trade: the venue's running number, 0 none
	ID            TradeID // trade: the venue's identifier
}

// Has reports whether all the flags in f are set.
func (e *Event) Has(f Flags) bool { return e.Flags&f == f }

// Order returns the order that a KindOrder is about.
func (e *Event) Order() OrderID {
	return OrderID{binary.LittleEndian.Uint64(e.ID.b[:]), binary.LittleEndian.Uint64(e.ID.b[8:])}
}

// SetOrder sets the order that a KindOrder is about. It is kept in the place of
// ID, which prints alone have.
func (e *Event) SetOrder(id OrderID) {
	binary.LittleEndian.PutUint64(e.ID.b[:], id.hi)
	binary.LittleEndian.PutUint64(e.ID.b[8:], id.lo)
}

// TradeID is a venue's trade identifier, up to 40 bytes, inline so that an
// Event has no pointer. The longest in use are UUIDs of 36 bytes.
type TradeID struct {
	n uint8
	b [40]byte
}

// MakeTradeID returns the identifier with the given text, and whether it fitted;
// a longer one is cut.
func MakeTradeID[T ~string | ~[]byte](s T) (TradeID, bool) {
	var id TradeID
	id.n = uint8(copy(id.b[:], s))
	return id, int(id.n) == len(s)
}

// Append appends the identifier's text.
func (id *TradeID) Append(dst []byte) []byte { return append(dst, id.b[:id.n]...) }

// String returns the identifier's text.
func (id TradeID) String() string { return string(id.b[:id.n]) }

// Hash returns a number that stands for the identifier of a venue or whatever else
// seed is, the same in every process: each eight bytes are multiplied into 128 bits
// whose halves are joined, as in wyhash.
func (id *TradeID) Hash(seed uint64) uint64 {
	const k0, k1 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db
	h := seed*k1 ^ uint64(id.n) ^ k0
	for i := 0; i < int(id.n); i += 8 {
		hi, lo := bits.Mul64(h^binary.LittleEndian.Uint64(id.b[i:i+8]), k1)
		h = hi ^ lo ^ k0
	}
	return h
}

// IsZero reports whether there is no identifier.
func (id TradeID) IsZero() bool { return id.n == 0 }
