package sim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// restful is a protocol whose books begin with an answer over HTTP, on the same
// address as its sockets.
type restful interface {
	// answer returns the status and the body for a request, and whose book it
	// is, "" if none's. Market.mu is held.
	answer(r *http.Request) (code int, body []byte, symbol string)
}

// restFaults is what has been ordered for answers over HTTP. Guarded by
// market.mu.
type restFaults struct {
	code, times int
	retryAfter  string
	late        int64             // ns of market time between answer and arrival
	slow        int64             // ns of market time before the answer is made
	frozen      map[string][]byte // old images, by symbol; empty until asked for
	waiting     []*restWait
}

// restWait is an answer that waits for market time to pass.
type restWait struct {
	due  int64
	done chan struct{}
}

// serveREST answers a request that is no upgrade. It reports false where the
// provider has nothing of the kind.
func (s *Server) serveREST(w http.ResponseWriter, r *http.Request) bool {
	p, ok := s.proto.(restful)
	if !ok || websocket.IsWebSocketUpgrade(r) {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, readLimit))
	if err != nil {
		return true // the client went away
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.market.mu.Lock()
	s.requests = append(s.requests, r.URL.RequestURI())
	f := &s.faults.rest
	if f.times > 0 {
		f.times--
		code, after := f.code, f.retryAfter
		s.market.mu.Unlock()
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		http.Error(w, `{"code":-1003,"msg":"ordered"}`, code)
		return true
	}
	if f.slow > 0 && !s.pause(f.slow, r) {
		return true
	}
	code, body, symbol := p.answer(r)
	if symbol != "" && code == http.StatusOK {
		if s.faults.lose[symbol] > 0 {
			s.faults.lose[symbol]--
			s.market.mu.Unlock()
			http.Error(w, "internal error", http.StatusInternalServerError)
			return true
		}
		if old, ok := f.frozen[symbol]; ok {
			if old == nil {
				f.frozen[symbol] = body
			} else {
				body = old
			}
		}
	}
	if f := &s.faults; f.skew != 0 {
		body = skewed(body, s.market.now, f.skew)
	}
	if f.late > 0 && !s.pause(f.late, r) {
		return true
	}
	s.market.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that has gone is none of our business
	return true
}

// pause lets d of market time pass, letting go of the lock meanwhile. It returns
// false, without the lock, when the client or the server went away.
func (s *Server) pause(d int64, r *http.Request) bool {
	wait := &restWait{s.market.now + d, make(chan struct{})}
	s.faults.rest.waiting = append(s.faults.rest.waiting, wait)
	s.market.mu.Unlock()
	select {
	case <-wait.done:
		s.market.mu.Lock()
		return true
	case <-r.Context().Done():
		return false
	}
}

// deliverREST lets answers go that are due. market.mu is held.
func (s *Server) deliverREST(now int64) {
	f := &s.faults.rest
	f.waiting = slices.DeleteFunc(f.waiting, func(w *restWait) bool {
		if w.due > now {
			return false
		}
		close(w.done)
		return true
	})
}

// RefuseRequests answers the next n requests over HTTP with a status, such as 429
// or 418, and with a Retry-After header unless that is "".
func (s *Server) RefuseRequests(code int, retryAfter string, n int) {
	s.locked(func() {
		s.faults.rest.code, s.faults.rest.retryAfter, s.faults.rest.times = code, retryAfter, n
	})
}

// SlowRequests lets d of market time pass before an answer over HTTP is made. 0
// ends that.
func (s *Server) SlowRequests(d time.Duration) { s.locked(func() { s.faults.rest.slow = int64(d) }) }

// LateAnswers makes answers over HTTP arrive d of market time after they were
// made, so that the stream has gone on. 0 ends that.
func (s *Server) LateAnswers(d time.Duration) { s.locked(func() { s.faults.rest.late = int64(d) }) }

// FreezeSnapshots answers requests for this symbol's book with what the first of
// them is answered, as a cache does, or ends that.
func (s *Server) FreezeSnapshots(symbol string, on bool) {
	s.locked(func() {
		f := &s.faults.rest
		if f.frozen == nil {
			f.frozen = map[string][]byte{}
		}
		if on {
			f.frozen[canonical(symbol)] = nil
		} else {
			delete(f.frozen, canonical(symbol))
		}
	})
}

// Requests is what has been asked over HTTP, in order, path and query.
func (s *Server) Requests() (out []string) {
	s.locked(func() { out = slices.Clone(s.requests) })
	return out
}

// jsonError is how Binance tells an error.
func jsonError(code int, text string) []byte {
	return fmt.Appendf(nil, `{"code":%d,"msg":%q}`, code, text)
}
