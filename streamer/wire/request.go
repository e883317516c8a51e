package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/quotewire/quotewire/market"
)

// Bounds of a request. The server may grant less; the ack or welcome says so.
const (
	MaxRequestBytes  = 2 << 20   // one request's text
	MaxSymbols       = 10_000    // symbols and patterns in one request
	MaxDepth         = 1000      // levels a side; 0 asks for all
	MaxInterval      = time.Hour // conflation interval, and max_age
	MaxGroupDecimals = 8         // of a price step to group by
	MaxWeight        = 1000      // share of a connection's budget
	MaxToken         = 8192      // bytes of a token
	MaxEpoch         = 32        // bytes of an epoch's name
	MaxSpeed         = 10_000    // replay speed, as a multiple of real time
)

// The defaults of a subscription.
const (
	DefaultDepth    = 10
	DefaultInterval = 100 * time.Millisecond // 0 for trade, bar and status
	DefaultBar      = "1m"
	DefaultWeight   = 1
)

// Op is what a request asks for.
type Op string

// The operations.
const (
	OpAuth        Op = "auth"        // sign in with a token
	OpSubscribe   Op = "subscribe"   // start streams
	OpUpdate      Op = "update"      // change interval, depth or weight of streams
	OpUnsubscribe Op = "unsubscribe" // end streams
	OpResync      Op = "resync"      // send a snapshot of a stream again
	OpPing        Op = "ping"        // answer at once
	OpBudget      Op = "budget"      // bound what this connection takes
	OpFetch       Op = "fetch"       // send a range of a lossless stream again
	OpExplain     Op = "explain"     // tell the provenance of a stream's state
)

// Field is a set of fields of a [Request].
type Field uint32

// The fields that a request may carry beside op and id.
const (
	FieldChannel Field = 1 << iota
	FieldSymbols
	FieldVenue
	FieldDepth
	FieldInterval
	FieldVenues
	FieldBar
	FieldResume
	FieldChecksum
	FieldWeight
	FieldMaxAge
	FieldSID
	FieldToken
	FieldFrom
	FieldTo
	FieldUntil
	FieldSpeed
	FieldKbps
	FieldPaused
	FieldGroup
)

// fieldNames are the names on the wire, in the order of the bits.
var fieldNames = [...]string{"channel", "symbols", "venue", "depth", "interval", "venues", "bar",
	"resume", "checksum", "weight", "max_age", "sid", "token", "from", "to", "until", "speed", "kbps", "paused", "group"}

func fieldByName(name string) (Field, bool) {
	for i, n := range fieldNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

const (
	subscribeFields = FieldChannel | FieldSymbols | FieldVenue | FieldDepth | FieldInterval | FieldVenues |
		FieldBar | FieldGroup | FieldResume | FieldChecksum | FieldWeight | FieldMaxAge | FieldPaused | FieldFrom | FieldUntil | FieldSpeed
	// What singles out streams, where sid does not.
	selectFields = FieldChannel | FieldSymbols | FieldVenue | FieldBar | FieldSID
)

// opRule says which fields an operation takes and which it needs. With orSID, a
// sid serves instead of those needed.
type opRule struct {
	op          Op
	takes, need Field
	orSID       bool
}

var opRules = [...]opRule{
	{OpAuth, FieldToken, FieldToken, false},
	{OpSubscribe, subscribeFields, FieldChannel | FieldSymbols, false},
	{OpUpdate, selectFields | FieldDepth | FieldInterval | FieldVenues | FieldChecksum | FieldWeight | FieldMaxAge | FieldPaused,
		FieldChannel | FieldSymbols, true},
	{OpUnsubscribe, selectFields | FieldDepth | FieldInterval, FieldChannel | FieldSymbols, true},
	{OpResync, FieldSID, FieldSID, false},
	{OpPing, 0, 0, false},
	{OpBudget, FieldKbps, FieldKbps, false},
	{OpFetch, FieldSID | FieldFrom | FieldTo, FieldSID | FieldFrom | FieldTo, false},
	{OpExplain, FieldSID, FieldSID, false},
}

func ruleOf(op Op) (opRule, bool) {
	for _, r := range opRules {
		if r.op == op {
			return r, true
		}
	}
	return opRule{}, false
}

// Position is where a client stands in a stream. Positions of different epochs
// do not compare.
type Position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// Request is one request of a client. Given tells which fields were written;
// the others hold their zero value or, in a subscribe, their default.
type Request struct {
	Op    Op
	ID    json.Number // any JSON number, repeated in the reply as it was written; "" none
	Given Field

	Channel  Channel
	Symbols  []string // canonical symbols and patterns, none twice
	Venue    string   // a venue, or [Consolidated]
	Depth    int      // levels a side, 0 all; only book has any
	Interval time.Duration
	Venues   bool   // levels carry their split by venue
	Bar      string // "1s", "1m", "5m", "1h", "1d"; only bar has one
	Resume   map[string]Position
	Checksum bool
	Weight   int
	MaxAge   time.Duration // 0 none
	Paused   bool          // nothing of the streams is sent until they go on
	SID      uint64
	Token    string
	// From and To are the first and last seq of a fetch. From and Until of a
	// subscribe are times in the recorded past, µs since the Unix epoch.
	From, To, Until uint64
	Speed           float64 // multiple of real time; +Inf is as fast as possible
	Kbps            int     // kilobits per second; 0 lifts the bound
	// Group is the price step that a book's levels are grouped by, with GroupDecimals;
	// 0 groups nothing.
	Group         market.Price
	GroupDecimals market.Decimals
}

// Has reports whether all the fields in f were written in the request.
func (r *Request) Has(f Field) bool { return r.Given&f == f }

// Resolve gives the fields of a subscribe that were not written their defaults,
// which depend on the channel. [ParseRequest] and [ParseQuery] have done so.
func (r *Request) Resolve() {
	if r.Op != OpSubscribe {
		return
	}
	if !r.Has(FieldVenue) {
		r.Venue = Consolidated
	}
	switch {
	case r.Channel != ChannelBook:
		r.Depth = 0
	case !r.Has(FieldDepth):
		r.Depth = DefaultDepth
	}
	if !r.Has(FieldInterval) {
		r.Interval = DefaultInterval
		if r.Channel == ChannelTrade || r.Channel == ChannelBar || r.Channel == ChannelStatus {
			r.Interval = 0
		}
	}
	switch {
	case r.Channel != ChannelBar:
		r.Bar = ""
	case !r.Has(FieldBar):
		r.Bar = DefaultBar
	}
	if !r.Has(FieldChecksum) {
		r.Checksum = true
	}
	if !r.Has(FieldWeight) {
		r.Weight = DefaultWeight
	}
}

// FormatInterval returns the text of an interval as requests and acks carry it:
// "0", "250ms", "1s".
func FormatInterval(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String() // "1m0s", "1h0m0s": drop the empty parts
	if len(s) > 3 && s[len(s)-3:] == "m0s" {
		s = s[:len(s)-2]
	}
	if len(s) > 3 && s[len(s)-3:] == "h0m" {
		s = s[:len(s)-2]
	}
	return s
}

// Append appends the request as JSON: op, id and the fields in Given.
func (r *Request) Append(dst []byte) []byte {
	dst = append(dst, `{"op":`...)
	dst = appendString(dst, string(r.Op))
	if r.ID != "" {
		dst = append(dst, `,"id":`...)
		dst = append(dst, r.ID...)
	}
	for i, name := range fieldNames {
		if r.Given&(1<<i) == 0 {
			continue
		}
		dst = append(dst, ',', '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
		switch Field(1 << i) {
		case FieldChannel:
			dst = appendString(dst, r.Channel.String())
		case FieldSymbols:
			dst = append(dst, '[')
			for j, s := range r.Symbols {
				if j > 0 {
					dst = append(dst, ',')
				}
				dst = appendString(dst, s)
			}
			dst = append(dst, ']')
		case FieldVenue:
			dst = appendString(dst, r.Venue)
		case FieldDepth:
			dst = strconv.AppendInt(dst, int64(r.Depth), 10)
		case FieldInterval:
			dst = appendString(dst, FormatInterval(r.Interval))
		case FieldVenues:
			dst = strconv.AppendBool(dst, r.Venues)
		case FieldBar:
			dst = appendString(dst, r.Bar)
		case FieldResume:
			text, _ := json.Marshal(r.Resume) // strings and integers only: cannot fail
			dst = append(dst, text...)
		case FieldChecksum:
			dst = strconv.AppendBool(dst, r.Checksum)
		case FieldPaused:
			dst = strconv.AppendBool(dst, r.Paused)
		case FieldWeight:
			dst = strconv.AppendInt(dst, int64(r.Weight), 10)
		case FieldMaxAge:
			dst = appendString(dst, FormatInterval(r.MaxAge))
		case FieldSID:
			dst = strconv.AppendUint(dst, r.SID, 10)
		case FieldToken:
			dst = appendString(dst, r.Token)
		case FieldFrom:
			dst = strconv.AppendUint(dst, r.From, 10)
		case FieldTo:
			dst = strconv.AppendUint(dst, r.To, 10)
		case FieldUntil:
			dst = strconv.AppendUint(dst, r.Until, 10)
		case FieldSpeed:
			if math.IsInf(r.Speed, 1) {
				dst = append(dst, `"max"`...)
			} else {
				dst = strconv.AppendFloat(dst, r.Speed, 'g', -1, 64)
			}
		case FieldGroup:
			dst = appendString(dst, market.Format(r.Group, r.GroupDecimals))
		case FieldKbps:
			dst = strconv.AppendInt(dst, int64(r.Kbps), 10)
		}
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string cannot fail
	return append(dst, text...)
}
