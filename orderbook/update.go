package orderbook

import "github.com/quotewire/quotewire/market"

// State is how far a venue's view of an instrument can be trusted. Only one that is
// Live takes part in the consolidated quote.
type State uint8

// The states.
const (
	StateNone      State = iota // nothing heard yet
	StateLive                   // current
	StateResyncing              // a gap, a wrong checksum or a fresh connection; waits for a snapshot
	StateStale                  // its connection is open and mute
	StateDown                   // its connection is lost
	StateHalted                 // the venue halted trading, or its quotes are not executable
	StateQuiet                  // current; nothing came for longer than usual, on a line that is well
	StateSuspect                // current; its connection has been silent for longer than usual
)

var stateNames = [...]string{"none", "live", "resyncing", "stale", "down", "halted", "quiet", "suspect"}

// Live reports whether what is known in the state is current: live, quiet or
// suspect.
func (s State) Live() bool { return s == StateLive || s == StateQuiet || s == StateSuspect }

// stateRanks are the states from the best to the worst.
var stateRanks = [...]uint8{StateLive: 1, StateQuiet: 2, StateSuspect: 3, StateResyncing: 4, StateStale: 5, StateDown: 6,
	StateHalted: 7, StateNone: 8}

// Better reports whether a state is nearer to being live than another; none is the
// farthest.
func (s State) Better(o State) bool { return s.rank() < o.rank() }

func (s State) rank() uint8 {
	if int(s) < len(stateRanks) {
		return stateRanks[s]
	}
	return stateRanks[StateNone]
}

// String returns the state's lower-case name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Cause is why a venue is in its State.
type Cause uint8

// The causes.
const (
	CauseNone         Cause = iota
	CauseConnected          // connection came up; waiting for a snapshot
	CauseLost               // connection lost
	CauseMute               // connection mute
	CauseGap                // a message was lost
	CauseChecksum           // the venue's checksum did not match
	CauseCrossed            // the venue's own book was crossed after a whole message
	CauseOverflow           // a number did not fit the instrument's scale
	CauseTradingHalt        // the venue's trading status
	CauseRestarted          // the process that keeps the books was restarted
	CauseCross              // of a net quote's leg: what converts its currency is not live
	CauseNoFee              // of a net quote's leg: the venue's fee is not known
	CauseCadence            // nothing came for longer than the symbol's own cadence
	CauseClosed             // nothing comes while the market is closed
	CauseUnsubscribed       // nobody wanted it
)

var causeNames = [...]string{"", "connected", "lost", "mute", "gap", "checksum", "crossed",
	"overflow", "trading_halt", "restarted", "cross", "no_fee", "cadence", "closed", "unsubscribed"}

// String returns the cause's lower-case name, "" for none.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// Level is one price and the size that stands there.
type Level struct {
	Price market.Price
	Size  market.Size
}

// LevelChange sets a level of a venue's book; Size 0 removes it. With SideNone it
// empties the venue's whole book. A venue that has one no longer has a
// [VenueQuote].
type LevelChange struct {
	Venue market.VenueID
	Side  market.Side
	Level
}

// VenueStatus is a change of a venue's state for the instrument.
type VenueStatus struct {
	Venue market.VenueID
	State State
	Cause Cause
	Since int64 // receive time of the message that changed it, ns since the Unix epoch
}

// VenueSize is the size that one venue shows at a price.
type VenueSize struct {
	Venue market.VenueID
	Size  market.Size
}

// QuoteSource tells what a [Quote] is.
type QuoteSource uint8

// The sources of a quote.
const (
	SourceNone         QuoteSource = iota
	SourceConsolidated             // best over the live venues that we hear
	SourceNBBO                     // national best bid and offer, as a SIP sent it
	SourceVenue                    // one venue's own top of book
	SourceNet                      // best after fees, other currencies converted
)

var sourceNames = [...]string{"", "consolidated", "nbbo", "venue", "net"}

// String returns the source's lower-case name.
func (s QuoteSource) String() string {
	if int(s) < len(sourceNames) {
		return sourceNames[s]
	}
	return "unknown"
}

// Quote is a best bid and offer: of a SIP, or over the venues that take part. A
// side whose size is 0 is absent. Its numbers are at the Scale of the Update or
// View that holds it.
type Quote struct {
	Source   QuoteSource
	Bid, Ask market.Price
	// BidSize and AskSize are the largest single venue's size at the best
	// price, BidTotal and AskTotal the sum over venues.
	BidSize, AskSize   market.Size
	BidTotal, AskTotal market.Size
	// BidVenues and AskVenues are the venues at the best price, by size, larger
	// first, then in the order of their numbers.
	BidVenues, AskVenues []VenueSize
	// BidSlow and AskSlow say that no venue at the best price quotes it
	// automatically, so that under Reg NMS it is not protected.
	BidSlow, AskSlow bool
	Thin             bool   // fewer venues take part than QuoteRules.MinVenues
	Counted          uint16 // venues that take part, on either side; 0 where the quote is not our own
	// Out are the sides of live venues that are left out, in the order of the
	// venues' numbers. Venues that are not live are told in Update.Venues.
	Out      []ExcludedVenue
	Inverted int64 // receive time since which it is locked or crossed, ns since the Unix epoch; 0 neither
	Time     int64 // event time of the message that made it, ns since the Unix epoch; 0 unknown
	Received int64 // receive time of that message, ns since the Unix epoch
}

// VenueQuote is the top of book that a venue reported as such, where it has no
// book of levels: one that follows levels replaces them. A side with size 0 is
// absent and all its fields are 0. A SIP's national best is known by its
// BidVenue and AskVenue, one of which is set unless both sides are absent.
type VenueQuote struct {
	Venue            market.VenueID
	Bid, Ask         market.Price
	BidSize, AskSize market.Size
	BidVenue         market.VenueID // NBBO only
	AskVenue         market.VenueID // NBBO only
	// BidFirmness and AskFirmness are what its conditions make it worth. A side
	// that is not firm is shown as the venue's and takes no part in the quote.
	BidFirmness, AskFirmness market.Firmness
}

// TradeKind says what an entry of the tape is.
type TradeKind uint8

// The kinds of entries.
const (
	TradePrint      TradeKind = iota // a print
	TradeCorrection                  // another price, size or conditions of the print Of
	TradeCancel                      // the print Of was taken back; Price and Size are what it was
)

var tradeKindNames = [...]string{"", "correction", "cancel"}

// String returns the kind's lower-case name, "" for a print.
func (k TradeKind) String() string {
	if int(k) < len(tradeKindNames) {
		return tradeKindNames[k]
	}
	return "unknown"
}

// Trade is one entry of the tape, at the scale of its Update: a print, or what
// became of one.
type Trade struct {
	Kind          TradeKind
	Venue         market.VenueID
	Side          market.Side // that took liquidity
	Flags         market.Flags
	NumConditions uint8
	Conditions    [market.MaxConditions]market.Condition
	Price         market.Price
	Size          market.Size
	Time          int64 // ns since the Unix epoch
	Received      int64
	ID            market.TradeID // of a correction: of the print as it is now
	Of            market.TradeID // correction, cancel: the print that it changes; none where the venue gives none
}

// Uint128 is an unsigned 128-bit integer.
type Uint128 struct{ Hi, Lo uint64 }

// Ticker is the trading day so far: the official prices, of the regular session
// where the market has one, and beside them those of extended hours. A price field is valid only where Has says so: an
// instrument may have a last price and no volume.
type Ticker struct {
	Last      market.Price
	LastSize  market.Size
	LastVenue market.VenueID
	Open      market.Price // first eligible print of the day that we saw
	High, Low market.Price
	PrevClose market.Price // last price of the day before
	ExtLast   market.Price // last price of extended hours, which move none of the others
	Volume    market.Size  // extended hours' too
	Notional  Uint128      // sum of price × size mantissas; VWAP = Notional / Volume
	Trades    uint64
	HasLast, HasOpen,
	HasRange, // High and Low
	HasPrevClose, HasExt bool
	ExtTime  int64 // event time of the print that is ExtLast
	Day      int64 // when the trading day began, ns since the Unix epoch; 0 before the first print
	Time     int64 // event time of the last print that changed it
	Received int64
}

// Changed says which parts of an Update differ from the one before.
type Changed uint16

// The parts of an Update.
const (
	ChangedLevels   Changed = 1 << iota // Levels has entries
	ChangedVenues                       // VenueStatus has entries
	ChangedTops                         // Tops has entries
	ChangedQuote                        // Quote differs
	ChangedTicker                       // Ticker differs
	ChangedTrades                       // Trades has entries
	ChangedScale                        // Scale is finer than before
	ChangedSnapshot                     // a complete image: the View discards what it had
	ChangedStatus                       // Status differs
	ChangedBars                         // Bars has entries
)

// Update is all that one venue message changed for one instrument. Its slices
// are borrowed: they are valid until the call that was handed the Update
// returns, see [Update.CopyTo].
type Update struct {
	Instrument market.InstrumentID
	Epoch      uint64 // identity of this run of Seq; a new one after a restart of the books
	Seq        uint64 // contiguous within instrument and epoch, from 1
	TradeSeq   uint64 // number of entries of this instrument's tape in this epoch, including Trades
	Changed    Changed
	Scale      market.Scale // of every number here
	Time       int64        // event time, ns since the Unix epoch; 0 unknown
	Received   int64        // receive time of the frame that caused it
	Levels     []LevelChange
	Venues     []VenueStatus
	Tops       []VenueQuote
	Trades     []Trade
	Bars       []Bar  // each as it is now, by interval in the order of Seq; of an image the latest of each interval
	Watermark  int64  // bars that end by then are final, ns since the Unix epoch
	Quote      Quote  // the consolidated quote, always whole
	Ticker     Ticker // always whole
	Status     Status // always whole
}

// CopyTo copies u into dst, reusing the memory of dst's slices.
func (u *Update) CopyTo(dst *Update) {
	levels, venues, tops, trades, bars := dst.Levels, dst.Venues, dst.Tops, dst.Trades, dst.Bars
	bids, asks, out := dst.Quote.BidVenues, dst.Quote.AskVenues, dst.Quote.Out
	*dst = *u
	dst.Levels = append(levels[:0], u.Levels...)
	dst.Venues = append(venues[:0], u.Venues...)
	dst.Tops = append(tops[:0], u.Tops...)
	dst.Trades = append(trades[:0], u.Trades...)
	dst.Bars = append(bars[:0], u.Bars...)
	dst.Quote.BidVenues = append(bids[:0], u.Quote.BidVenues...)
	dst.Quote.AskVenues = append(asks[:0], u.Quote.AskVenues...)
	dst.Quote.Out = append(out[:0], u.Quote.Out...)
}
