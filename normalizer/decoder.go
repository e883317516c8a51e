package normalizer

import (
	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// Decoder turns the frames of one feed into events. It belongs to one
// goroutine: it keeps the state that the provider's sequence rules need.
type Decoder interface {
	// Decode appends the events of f to dst and returns it. Control frames
	// (Up, Down, Stale) become events too. On a frame that is refused, whole or
	// in part, it returns the events of the sound part and an error that is,
	// or wraps, a *Refusal; the events returned are always valid.
	Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error)
	// VenueSymbol returns how the provider spells the instrument's symbol in a
	// request for its book, false if this feed has not seen it. It may be
	// called from any goroutine.
	VenueSymbol(id market.InstrumentID) (string, bool)
}

// Cause is why a frame, or a part of one, was refused. Causes are few and
// fixed, so that they can be counted.
type Cause string

// The causes of refusal.
const (
	// CauseSyntax: not the JSON that the provider sends; truncated frames too.
	CauseSyntax Cause = "syntax"
	// CauseUnknownType: a message type that this decoder does not know.
	CauseUnknownType Cause = "unknown_type"
	// CauseMissingField: a message lacks a field that it needs.
	CauseMissingField Cause = "missing_field"
	// CauseBadNumber: a price, size or time is no number or out of range.
	CauseBadNumber Cause = "bad_number"
	// CauseBadSymbol: a symbol that cannot be made canonical.
	CauseBadSymbol Cause = "bad_symbol"
	// CauseBadSide: a side that is neither bid nor ask, buy nor sell.
	CauseBadSide Cause = "bad_side"
	// CauseBadValue: any other field with a value outside its meaning.
	CauseBadValue Cause = "bad_value"
	// CauseOversized: a frame or a list in it beyond the decoder's bounds.
	CauseOversized Cause = "oversized"
	// CauseOldSnapshot: an image of a book that does not reach up to the changes
	// that were to follow it.
	CauseOldSnapshot Cause = "old_snapshot"
	// CauseProvider: the provider itself reported an error.
	CauseProvider Cause = "provider_error"
)

// Refusal says which part of a frame was refused and why.
type Refusal struct {
	Cause  Cause
	Detail string // what was found, with the field or the offset
	Count  int    // how many parts of the frame were refused for their causes; at least 1
}

// Error returns cause and detail.
func (r *Refusal) Error() string { return "frame refused: " + string(r.Cause) + ": " + r.Detail }
