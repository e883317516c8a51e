package feeds

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// dialError says what a failed dial means. res is the server's answer to the
// upgrade, nil if there was none.
func dialError(res *http.Response, err error) *DisconnectError {
	if res == nil || !errors.Is(err, websocket.ErrBadHandshake) {
		return &DisconnectError{Cause: CauseLost, Err: fmt.Errorf("dial: %w", err)}
	}
	d := &DisconnectError{
		Cause:      CauseLost,
		RetryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now()),
		Err:        fmt.Errorf("dial: server answered %s", res.Status),
	}
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		d.Cause = CauseRefused
	case http.StatusOK:
		d.Cause = CauseProtocol
	}
	return d
}

// retryAfter reads the header's two forms, seconds and a date (RFC 9110
// §10.2.3). It returns 0 for what it does not understand and for the past.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// readError says what a failed read means.
func readError(err error) *DisconnectError {
	var closed *websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		return &DisconnectError{Cause: CauseOversized, Err: errors.New("message larger than the limit")}
	case errors.As(err, &closed):
		return &DisconnectError{Cause: CauseLost, Err: fmt.Errorf("closed by the provider: %w", err)}
	case strings.HasPrefix(err.Error(), "websocket: "):
		// gorilla has no type for frames that break RFC 6455.
		return &DisconnectError{Cause: CauseProtocol, Err: err}
	}
	return &DisconnectError{Cause: CauseLost, Err: fmt.Errorf("read: %w", err)}
}
