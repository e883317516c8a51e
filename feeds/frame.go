package feeds

import "context"

// FrameKind says what a [Frame] is.
type FrameKind uint8

// The kinds of frames.
const (
	// Data is one message of the provider, in Payload.
	Data FrameKind = iota
	// Up says that the connection is open and signed in. No Payload.
	Up
	// Down says that the connection was lost or given up; Payload is the cause
	// as text. All that this feed said before is no longer current.
	Down
	// Stale says that the connection is open but has been silent for longer
	// than its provider ever is; Payload is the cause as text. Down or another
	// Data frame follows.
	Stale
	// Lost says that frames are missing at this place of a recording, because
	// the disk could not keep up; Payload is their number as decimal text.
	Lost
	// Reply is the body of an answer to a request beside the stream, such as
	// the REST snapshot that a provider's resync starts from, in Payload; URL
	// is what was asked.
	Reply
	// Leaving says that we are about to end the connection and that another feed
	// stands ready to take its place. No Payload. Data goes on until Down.
	Leaving
	// Suspect says that the connection is open and has been silent for longer than
	// it usually is; Payload tells for how long. Stale or another Data frame
	// follows.
	Suspect
	// Unsubscribed says that we have left a symbol, in Payload in the provider's
	// spelling, because nobody wants it: what was said of it is no longer current.
	Unsubscribed
)

var frameKinds = [...]string{"data", "up", "down", "stale", "lost", "reply", "leaving", "suspect", "unsubscribed"}

// String returns the kind's lower-case name.
func (k FrameKind) String() string {
	if int(k) < len(frameKinds) {
		return frameKinds[k]
	}
	return "unknown"
}

// Continues reports whether the stream of messages goes on after a frame of the
// kind where it was before: nothing is lost by a silence over TCP.
func (k FrameKind) Continues() bool {
	return k == Stale || k == Suspect || k == Leaving || k == Unsubscribed
}

// Frame is one raw message of a feed, or a change of its connection.
type Frame struct {
	Kind     FrameKind
	Binary   bool   // the payload came as a binary message
	Feed     string // name of the feed connection, as in the config
	Provider string // which decoder understands it: "polygon", "coinbase", "kraken"
	URL      string // Reply: what was asked; Up: where the connection goes, if known; else empty
	Received int64  // when it reached us, ns since the Unix epoch, UTC
	Payload  []byte // exactly as it came; valid only until emit returns
}

// Source produces the frames of one feed, or of several that were recorded
// together.
type Source interface {
	// Run calls emit with one frame after the other, never concurrently, until
	// ctx ends, the source is exhausted (nil) or it fails for good. An error of
	// emit ends it too and is returned.
	Run(ctx context.Context, emit func(Frame) error) error
}

// Resyncer is a Source that can ask its provider again for the book of one
// symbol, by the way that the provider documents, without disturbing others.
type Resyncer interface {
	// Resync asks for a fresh image of the symbol, in the provider's own
	// spelling. It does not wait for the answer, may be called from any
	// goroutine, and drops the request (to be repeated) where no connection is
	// up or an earlier one for the symbol is still on its way.
	Resync(venueSymbol string)
}
