package bitstamp

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// newRefusing is a connector to a server that answers requests with answer.
func newRefusing(t *testing.T, answer http.HandlerFunc) *Connector {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	c, err := New(Config{URL: "ws" + strings.TrimPrefix(s.URL, "http"), Pairs: []string{"btcusd"}, RequestsPerMinute: 6000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.rest.CloseIdle)
	return c
}

// Without reference data there is no connection, and what the server says tells
// how soon the next may be tried.
func TestRefusedReferenceData(t *testing.T) {
	for _, tt := range []struct {
		code       int
		retryAfter string
		cause      feeds.DisconnectCause
		wait       time.Duration
	}{
		{403, "", feeds.CauseRefused, 0},
		{451, "", feeds.CauseRefused, 0},
		{429, "120", feeds.CauseLost, 2 * time.Minute},
		{429, "", feeds.CauseLost, time.Minute},
		{503, "30", feeds.CauseLost, 30 * time.Second},
		{500, "", feeds.CauseLost, 0},
	} {
		c := newRefusing(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.retryAfter != "" {
				w.Header().Set("Retry-After", tt.retryAfter)
			}
			w.WriteHeader(tt.code)
		})
		_, err := c.Connect(t.Context(), &feeds.Attempt{})
		d, ok := errors.AsType[*feeds.DisconnectError](err)
		if !ok || d.Cause != tt.cause || d.RetryAfter != tt.wait {
			t.Errorf("%d: got %v (%+v), want %s after %v", tt.code, err, d, tt.cause, tt.wait)
		}
	}
}

// Reference data serves for an hour, and on where no newer is to be had.
func TestReferenceDataServesAgain(t *testing.T) {
	asked := 0
	c := newRefusing(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 3 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, asked)
	})
	for i, step := range []struct {
		age   time.Duration
		asked int
		want  string
	}{
		{0, 1, "1"},
		{59 * time.Minute, 1, "1"},
		{61 * time.Minute, 2, "2"},
		{61 * time.Minute, 3, "2"}, // in vain
		{61 * time.Minute, 4, "4"},
	} {
		c.infoAt = time.Now().Add(-step.age)
		body, err := c.pairsInfo(t.Context())
		if err != nil || string(body) != step.want || asked != step.asked {
			t.Errorf("step %d: %q, %v after %d requests, want %q after %d", i, body, err, asked, step.want, step.asked)
		}
	}
}
