package client

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Values of a [Subscription] that the zero value cannot stand for.
const (
	// AllLevels as Depth asks for every level of a book.
	AllLevels = -1
	// EveryChange as Interval asks for every change, none conflated.
	EveryChange time.Duration = -1
)

// Policy is what happens when the program reads slower than a stream changes.
type Policy uint8

// The policies.
const (
	// Auto is Conflate for quote, book and ticker, Block for the other channels
	// and for EveryChange.
	Auto Policy = iota
	// Conflate keeps the newest state per symbol. It is for quote, book and ticker.
	Conflate
	// Block keeps every update, up to Backlog, then stops reading the connection.
	Block
)

// DefaultBacklog is the Backlog where none is given.
const DefaultBacklog = 4096

// Subscription is what to stream. Zero fields mean the defaults named.
type Subscription struct {
	Channel wire.Channel
	Symbols []string // canonical symbols, and patterns with "*"
	Venue   string   // one venue's own view; "" is the consolidated one, "*"

	Depth    int           // book: levels a side, up to 1000; 0 is 10; AllLevels
	Interval time.Duration // conflation; 0 is the channel's default; EveryChange
	Venues   bool          // levels carry their split by venue
	Group    string        // book: price step that levels are grouped by, such as "0.5"; "" none
	Bar      string        // bar: "1s", "1m", "5m", "1h" or "1d"; "" is "1m"
	Weight   int           // share of the connection's budget; 0 is 1
	MaxAge   time.Duration // older quotes are marked stale; 0 none

	NoChecksum bool // books without crc: a wrong one goes unnoticed

	// From, if not zero, starts in the recorded past at Speed times real time
	// (0 is 1, +Inf as fast as possible), up to Until, or on into the present.
	From, Until time.Time
	Speed       float64

	Policy  Policy
	Backlog int // updates that wait under Block; 0 is DefaultBacklog
}

// Validate reports all that is wrong with the subscription.
func (sub *Subscription) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if sub.Channel == wire.ChannelNone || int(sub.Channel) >= wire.NumChannels {
		bad("channel %d: want one of wire.ChannelQuote to wire.ChannelAlert", sub.Channel)
	}
	if len(sub.Symbols) == 0 || len(sub.Symbols) > wire.MaxSymbols {
		bad("%d symbols: want 1 to %d", len(sub.Symbols), wire.MaxSymbols)
	}
	for _, s := range sub.Symbols {
		if err := wire.CheckPattern(s); err != nil {
			errs = append(errs, err)
		}
	}
	if sub.Depth < AllLevels || sub.Depth > wire.MaxDepth {
		bad("depth %d: want 1 to %d, 0 for %d or AllLevels", sub.Depth, wire.MaxDepth, wire.DefaultDepth)
	}
	if (sub.Interval < 0 && sub.Interval != EveryChange) || sub.Interval > wire.MaxInterval {
		bad("interval %v: want up to %v, 0 for the default or EveryChange", sub.Interval, wire.MaxInterval)
	}
	if sub.MaxAge < 0 || sub.MaxAge > wire.MaxInterval {
		bad("max age %v: want up to %v, 0 for none", sub.MaxAge, wire.MaxInterval)
	}
	if sub.Weight < 0 || sub.Weight > wire.MaxWeight {
		bad("weight %d: want 1 to %d, 0 for 1", sub.Weight, wire.MaxWeight)
	}
	if !slices.Contains([]string{"", "1s", "1m", "5m", "1h", "1d"}, sub.Bar) {
		bad(`bar %q: want "1s", "1m", "5m", "1h" or "1d"`, sub.Bar)
	}
	if sub.From.IsZero() && (!sub.Until.IsZero() || sub.Speed != 0) {
		bad("until and speed are for the recorded past: from is missing")
	}
	if sub.Speed < 0 || math.IsNaN(sub.Speed) || (sub.Speed > wire.MaxSpeed && !math.IsInf(sub.Speed, 1)) {
		bad("speed %v: want above 0, up to %d, or +Inf", sub.Speed, wire.MaxSpeed)
	}
	if sub.Group != "" {
		if p, d, err := market.ParsePrice(sub.Group); err != nil || p <= 0 || d > wire.MaxGroupDecimals {
			bad("group %q: want a price step such as \"0.5\"", sub.Group)
		}
	}
	if sub.Backlog < 0 {
		bad("backlog %d: want 1 or more, 0 for %d", sub.Backlog, DefaultBacklog)
	}
	if sub.Policy > Block {
		bad("policy %d: want Auto, Conflate or Block", sub.Policy)
	}
	if sub.Policy == Conflate && !conflatable(sub.Channel) {
		bad("channel %v cannot be conflated: its updates are events", sub.Channel)
	}
	return errors.Join(errs...)
}

func conflatable(c wire.Channel) bool {
	return c == wire.ChannelQuote || c == wire.ChannelBook || c == wire.ChannelTicker
}

func (sub *Subscription) conflates() bool {
	if sub.Policy == Auto {
		return conflatable(sub.Channel) && sub.Interval != EveryChange
	}
	return sub.Policy == Conflate
}

// request returns the request for it.
func (sub *Subscription) request(op wire.Op) wire.Request {
	r := wire.Request{Op: op, Channel: sub.Channel, Symbols: sub.Symbols, Given: wire.FieldChannel | wire.FieldSymbols}
	if sub.Venue != "" && sub.Venue != wire.Consolidated {
		r.Venue, r.Given = sub.Venue, r.Given|wire.FieldVenue
	}
	if sub.Depth != 0 && sub.Channel == wire.ChannelBook {
		r.Depth, r.Given = max(sub.Depth, 0), r.Given|wire.FieldDepth
	}
	if sub.Interval != 0 {
		r.Interval, r.Given = max(sub.Interval, 0), r.Given|wire.FieldInterval
	}
	if sub.Bar != "" && sub.Channel == wire.ChannelBar {
		r.Bar, r.Given = sub.Bar, r.Given|wire.FieldBar
	}
	if op != wire.OpSubscribe {
		return r
	}
	if sub.Venues {
		r.Venues, r.Given = true, r.Given|wire.FieldVenues
	}
	if sub.Group != "" && sub.Channel == wire.ChannelBook {
		p, d, _ := market.ParsePrice(sub.Group) // Validate has read it
		r.Group, r.GroupDecimals = market.Trim(p, d, 0)
		r.Given |= wire.FieldGroup
	}
	if sub.NoChecksum {
		r.Checksum, r.Given = false, r.Given|wire.FieldChecksum
	}
	if sub.Weight != 0 {
		r.Weight, r.Given = sub.Weight, r.Given|wire.FieldWeight
	}
	if sub.MaxAge != 0 {
		r.MaxAge, r.Given = sub.MaxAge, r.Given|wire.FieldMaxAge
	}
	if !sub.From.IsZero() {
		r.From, r.Given = uint64(max(sub.From.UnixMicro(), 0)), r.Given|wire.FieldFrom
		if !sub.Until.IsZero() {
			r.Until, r.Given = uint64(max(sub.Until.UnixMicro(), 0)), r.Given|wire.FieldUntil
		}
		if sub.Speed != 0 {
			r.Speed, r.Given = sub.Speed, r.Given|wire.FieldSpeed
		}
	}
	return r
}

// takes reports whether a stream of the server belongs to the subscription.
func (sub *Subscription) takes(channel wire.Channel, symbol, venue string) bool {
	if channel != sub.Channel || venueName(venue) != venueName(sub.Venue) {
		return false
	}
	for _, p := range sub.Symbols {
		if wire.Match(p, symbol) {
			return true
		}
	}
	return false
}

// venueName makes the two spellings of the consolidated view one.
func venueName(v string) string {
	if v == "" {
		return wire.Consolidated
	}
	return v
}
