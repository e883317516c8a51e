package feeds

import (
	"errors"
	"time"
)

// DisconnectCause is why a connection ended or could not be made. It decides
// when the next attempt is made, see [Policy]. Causes are few and fixed, so
// that they can be counted.
type DisconnectCause string

// The causes.
const (
	// CauseLost: the connection broke, was closed by the provider or could not
	// be dialed. Retried with exponential backoff.
	CauseLost DisconnectCause = "lost"
	// CauseMute: the connection was open and silent for Policy.Mute. Retried as
	// CauseLost.
	CauseMute DisconnectCause = "mute"
	// CauseRefused: the provider does not accept our credentials, or us.
	// Retried every Policy.RefusedRetry only: the answer rarely changes, but
	// providers also give it during outages, so it is not final.
	CauseRefused DisconnectCause = "refused"
	// CauseEvicted: the provider gave our place to another connection with the
	// same key. Retried after Policy.EvictedRetry at the earliest, then ever
	// later, so that two programs do not throw each other out for ever.
	CauseEvicted DisconnectCause = "evicted"
	// CauseProtocol: what came is not the protocol that the provider speaks.
	// Retried as CauseLost.
	CauseProtocol DisconnectCause = "protocol"
	// CauseOversized: a message was larger than the provider ever sends, and
	// was not read. Retried as CauseLost.
	CauseOversized DisconnectCause = "oversized"
	// CauseClosed: we ended it. Not retried.
	CauseClosed DisconnectCause = "closed"
)

// DisconnectError ends a connection, or the attempt to make one, and says what
// to do next.
type DisconnectError struct {
	Cause DisconnectCause
	// RetryAfter is how long the provider asked us to stay away; 0 if it did
	// not say.
	RetryAfter time.Duration
	// Err tells what happened. It never holds credentials.
	Err error
}

// Error returns the cause and what happened.
func (e *DisconnectError) Error() string {
	if e.Err == nil {
		return string(e.Cause)
	}
	return string(e.Cause) + ": " + e.Err.Error()
}

// Unwrap returns what happened.
func (e *DisconnectError) Unwrap() error { return e.Err }

// asDisconnect returns err as a *DisconnectError; an error that says nothing
// of the kind is a lost connection.
func asDisconnect(err error) *DisconnectError {
	if d, ok := errors.AsType[*DisconnectError](err); ok {
		return d
	}
	return &DisconnectError{Cause: CauseLost, Err: err}
}
