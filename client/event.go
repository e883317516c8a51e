package client

import (
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// Gap says that updates of a lossless stream are missing: their seq, first and
// last. Reason is the server's ("slow_consumer"), or "sequence" where the client
// found it itself.
type Gap struct {
	Meta
	From, To uint64
	Reason   string
}

// EpochChange says that the stream's state starts anew: the server or its feed
// restarted. Sequence numbers of different epochs do not compare. The new state
// follows.
type EpochChange struct {
	Meta
	From, To string
}

// Resync says that the local state could not be the server's. Its last update is
// not to be trusted; a snapshot was asked for and the next update holds it.
type Resync struct {
	Meta
	Cause error // *SequenceError, *ChecksumError, ErrNoSnapshot or a malformed number
}

// Disconnected says that the connection was lost: nothing the stream said is
// current until it is back.
type Disconnected struct {
	Meta
	Err error
	At  time.Time
}

// Reconnected says that the connection is up again and the stream was asked to
// resume. What was missed follows, as one update or a Gap.
type Reconnected struct {
	Meta
	Session  string        // of the new connection
	Attempts int           // it took
	Down     time.Duration // since the loss
}

// Rejected says that the server refused the stream, or a part of it, after it had
// been granted: most often in a new session after a reconnect.
type Rejected struct {
	Meta
	Err *wire.Error
}

// Lost says that the program read so little that this many events (not updates of
// market data) were not kept.
type Lost struct {
	Meta
	Events int
}
