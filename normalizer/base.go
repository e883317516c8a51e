package normalizer

import (
	"errors"
	"fmt"
	"sync"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// maxFrame is the longest frame that is looked at. The longest that a provider
// is known to send is Coinbase's image of a deep book, about 5 MB.
const maxFrame = 64 << 20

// maxSymbols is how many symbols one feed may name, so that a hostile stream
// cannot fill the memory. All of Polygon's stocks are about 12,000.
const maxSymbols = 100_000

// base is what every decoder has: the scanner, the feed's number and the
// bookkeeping of refusals.
type base struct {
	dir      *market.Directory
	feed     market.FeedID
	s        scanner
	received int64 // of the frame in hand

	// skipUnpriced leaves out a level at price 0 where others refuse it.
	skipUnpriced bool

	refusal Refusal // of the frame in hand; Count 0: none
	fault   fault   // of the part in hand; no cause: none

	// spelling maps InstrumentID to the venue's symbol. It is the only state
	// that goroutines other than the decoder's read.
	spelling sync.Map
}

func newBase(cfg Config) (*base, error) {
	if cfg.Directory == nil {
		return nil, errors.New("config has no Directory")
	}
	if cfg.Feed == "" {
		return nil, errors.New("config has no Feed name")
	}
	feed, err := cfg.Directory.Feed(cfg.Feed)
	if err != nil {
		return nil, err
	}
	return &base{dir: cfg.Directory, feed: feed}, nil
}

// VenueSymbol implements [Decoder].
func (d *base) VenueSymbol(id market.InstrumentID) (string, bool) {
	v, ok := d.spelling.Load(id)
	if !ok {
		return "", false
	}
	return v.(string), true
}

// begin takes a data frame in hand. It returns false where the frame is refused
// before it is read.
func (d *base) begin(f feeds.Frame) bool {
	d.received = f.Received
	d.refusal = Refusal{}
	d.fault.cause = ""
	if len(f.Payload) > maxFrame {
		d.refuse(CauseOversized, "frame of %d bytes", len(f.Payload))
		return false
	}
	d.s.reset(f.Payload)
	return true
}

// refuse counts a refused part of the frame. The first one gives cause and
// detail.
func (d *base) refuse(c Cause, format string, args ...any) {
	if d.refusal.Count == 0 {
		d.refusal.Cause, d.refusal.Detail = c, fmt.Sprintf(format, args...)
	}
	d.refusal.Count++
}

// refuseFault counts the fault that the scanner met.
func (d *base) refuseFault() {
	switch {
	case d.s.deep:
		d.refuse(CauseOversized, "nested deeper than %d at offset %d", maxDepth, d.s.badAt)
	case d.s.badAt >= len(d.s.b):
		d.refuse(CauseSyntax, "frame of %d bytes ends too early", len(d.s.b))
	default:
		d.refuse(CauseSyntax, "unexpected %q at offset %d", d.s.b[d.s.badAt], d.s.badAt)
	}
}

// err returns the frame's refusal as an error, nil if there is none.
func (d *base) err() error {
	if d.refusal.Count == 0 {
		return nil
	}
	r := d.refusal
	return &r
}

// add appends an event with the header that all events of the frame share and
// returns it, to be filled in place.
func (d *base) add(dst []market.Event, k market.Kind) ([]market.Event, *market.Event) {
	n := len(dst)
	if n < cap(dst) {
		dst = dst[:n+1]
		dst[n] = market.Event{}
	} else {
		dst = append(dst, market.Event{})
	}
	e := &dst[n]
	e.Kind, e.Feed, e.Received = k, d.feed, d.received
	return dst, e
}

// control turns a change of the connection into its event.
func (d *base) control(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	d.received = f.Received
	var k market.Kind
	switch f.Kind {
	case feeds.Up:
		k = market.KindUp
	case feeds.Down:
		k = market.KindDown
	case feeds.Stale:
		k = market.KindStale
	case feeds.Lost:
		k = market.KindGap
	case feeds.Leaving:
		k = market.KindLeave
	case feeds.Unsubscribed:
		k = market.KindDown
	case feeds.Suspect:
		k = market.KindSuspect
	default:
		return dst, &Refusal{Cause: CauseUnknownType, Detail: fmt.Sprintf("frame kind %d", f.Kind), Count: 1}
	}
	dst, e := d.add(dst, k)
	if f.Kind == feeds.Unsubscribed {
		d.spelling.Range(func(id, symbol any) bool {
			if symbol == string(f.Payload) {
				e.Instrument, e.Flags = id.(market.InstrumentID), market.FlagLast
			}
			return e.Instrument == 0
		})
		if e.Instrument == 0 {
			return dst[:len(dst)-1], nil // nothing was ever heard of it
		}
	}
	return dst, nil
}

// gap appends the event that makes an instrument's book untrusted; instrument 0
// is the whole feed.
func (d *base) gap(dst []market.Event, id market.InstrumentID, v market.VenueID) []market.Event {
	dst, e := d.add(dst, market.KindGap)
	e.Instrument, e.Venue, e.Flags = id, v, market.FlagLast
	return dst
}

// clip returns a text from outside, cut so that it may stand in a Detail.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// fault is why one part of a frame is refused, before it is counted.
type fault struct {
	cause Cause
	field string
	value span
}

// blame notes a fault and returns it; of several, in one part of a frame, the
// first. The fault is the decoder's own, so that the many steps of reading a
// part can hand it on for the price of a pointer. The field's name is a
// constant: no text is made until it is needed.
func (d *base) blame(c Cause, field string, v span) *fault {
	if d.fault.cause == "" {
		d.fault = fault{c, field, v}
	}
	return &d.fault
}

// refusePart counts a fault, naming the field and what it held.
func (d *base) refusePart(what string, f *fault) {
	if f.value.kind == absent {
		d.refuse(f.cause, "%s: %s", what, f.field)
	} else {
		d.refuse(f.cause, "%s: %s: %q", what, f.field, clip(d.s.raw(f.value)))
	}
	d.fault.cause = ""
}
