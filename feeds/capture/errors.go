package capture

import (
	"errors"
	"fmt"
)

var (
	// ErrFormat says that the input is no capture at all.
	ErrFormat = errors.New("not a quotewire capture")
	// ErrVersion says that the capture was written by a newer program than
	// this one can read.
	ErrVersion = errors.New("capture of a newer version")
	// ErrTruncated says that a capture ends without its index: its writer died
	// or is still writing, or the file was cut. All frames that were returned
	// before are sound. On a file that still grows, Next may be called again.
	ErrTruncated = errors.New("capture is truncated")
	// ErrTooLarge says that a frame is beyond the bounds of the format, and
	// was not written. The writer stays usable.
	ErrTooLarge = errors.New("frame exceeds the bounds of a capture")
	// ErrClosed says that the writer is closed.
	ErrClosed = errors.New("capture is closed")
)

// CorruptError says that a part of a capture is damaged. The frames returned
// before it are sound; [Reader.SkipBlock] continues behind the damage.
type CorruptError struct {
	Offset int64  // where the damaged part begins, in bytes from the start of the file
	Reason string // what was found
}

// Error returns the place and the reason.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("capture is damaged at byte %d: %s", e.Offset, e.Reason)
}
