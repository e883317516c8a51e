package wire

import (
	"encoding/json"
	"fmt"
	"time"
)

// Error answers a request that was refused, or tells why the connection ends.
type Error struct {
	ID         json.Number `json:"id,omitempty"` // of the request, where it had one
	Code       string      `json:"code"`         // one of the Code constants
	Message    string      `json:"message"`
	Symbols    []string    `json:"symbols,omitempty"`
	RetryAfter int64       `json:"retry_after,omitempty"` // ms to wait before reconnecting or repeating
}

// Error returns code and message.
func (e *Error) Error() string {
	if len(e.Symbols) > 0 {
		return fmt.Sprintf("%s: %s (%v)", e.Code, e.Message, e.Symbols)
	}
	return e.Code + ": " + e.Message
}

// Is reports whether target is an *Error of the same code, so that
// errors.Is(err, &wire.Error{Code: wire.CodeForbidden}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Permanent reports whether repeating the request can only fail again.
func (e *Error) Permanent() bool {
	switch e.Code {
	case CodeRateLimited, CodeServerShutdown, CodeTooManySubscriptions:
		return false
	}
	return true
}

// Wait returns RetryAfter as a duration, 0 where the server gave no hint.
func (e *Error) Wait() time.Duration {
	return time.Duration(min(max(e.RetryAfter, 0), MaxInterval.Milliseconds())) * time.Millisecond
}
