package streamer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Access knows who clients are and what they may see. [auth.Guard] is one. It is
// used by many goroutines.
type Access interface {
	// Authenticate returns the rights that a key or token gives; "" is none shown.
	Authenticate(ctx context.Context, token string) (*auth.Rights, error)
	// Refresh returns what rights given out earlier are now, or why they are no
	// longer.
	Refresh(r *auth.Rights) (*auth.Rights, error)
}

// permit returns the stream that the rights grant for one that is asked for: not
// deeper, more often or younger than they say. False if they do not cover it.
// Every subscription and every snapshot, over whatever transport, is of a key
// that came from here.
func (h *Hub) permit(r *auth.Rights, key topicKey, symbol string) (topicKey, bool) {
	t, ok := r.Allows(symbol, key.channel, h.venueName(key.venue))
	if !ok {
		return topicKey{}, false
	}
	if key.delay, ok = h.grantDelay(t.Delay); !ok {
		return topicKey{}, false
	}
	if t.Depth > 0 && key.channel == wire.ChannelBook && (key.depth == 0 || key.depth > t.Depth) {
		key.depth = t.Depth
	}
	if t.MinInterval > key.interval {
		key.interval = h.cfg.grantInterval(t.MinInterval)
	}
	return key, true
}

func (h *Hub) venueName(id market.VenueID) string {
	if id == market.Consolidated {
		return wire.Consolidated
	}
	return h.cfg.Directory.VenueName(id)
}

// permit is Hub.permit for a client. Under control.
func (s *session) permit(key topicKey, symbol string) (topicKey, bool) {
	if !s.signedIn {
		return topicKey{}, false
	}
	return s.hub.permit(s.rights, key, symbol)
}

// tokenOf returns the key or token that a request shows: in its header, or, from
// pages that can set none, in its query.
func tokenOf(r *http.Request) string {
	if h := r.Header.Get("Authorization"); h != "" {
		if scheme, token, ok := strings.Cut(h, " "); ok && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
		return h // not empty, so that it is refused
	}
	if r.URL.RawQuery == "" {
		return ""
	}
	q := r.URL.Query()
	if k := q.Get(queryKey); k != "" {
		return k
	}
	return q.Get("token")
}

// queryKey is the query parameter that holds a key or token.
const queryKey = "key"

// identify returns the rights of who makes a request; nil rights and no error
// where nobody has to say who they are.
func (h *Hub) identify(ctx context.Context, remote, token string) (*auth.Rights, *wire.Error) {
	if h.cfg.Access == nil {
		return nil, nil
	}
	if !h.ledger.mayFail(remote, false) {
		h.metrics.authFailures.WithLabelValues("throttled").Inc()
		return nil, &wire.Error{Code: wire.CodeRateLimited, Message: "too many wrong keys from this address", RetryAfter: failureEvery.Milliseconds()}
	}
	r, err := h.cfg.Access.Authenticate(ctx, token)
	if err == nil && r != nil {
		return r, nil
	}
	return nil, h.unauthorized(remote, err)
}

// unauthorized tells a client no more than it knows, and the operator why.
func (h *Hub) unauthorized(remote string, err error) *wire.Error {
	e := &wire.Error{Code: wire.CodeUnauthorized, Message: "the key or token is not valid"}
	cause := "invalid"
	switch {
	case errors.Is(err, auth.ErrMissing):
		e.Message, cause = "a key is needed: as Authorization: Bearer KEY, as ?key=KEY, or by op auth", "missing"
	case errors.Is(err, auth.ErrExpired):
		e.Message, cause = "the key or token has expired", "expired"
	}
	h.metrics.authFailures.WithLabelValues(cause).Inc()
	if cause != "missing" {
		h.ledger.mayFail(remote, true)
		h.cfg.Audit.Info("refused", "address", remote, "cause", cause, "err", err.Error())
	}
	return e
}

// admit makes a session of a request that asks for streams, registered and
// counted, or answers why it does not. An unregister ends it.
func (h *Hub) admit(w http.ResponseWriter, r *http.Request) *session {
	remote := h.cfg.Address(r)
	token := tokenOf(r)
	rights, bad := h.identify(r.Context(), remote, token)
	// Who shows nothing may still sign in by op auth.
	if bad != nil && (token != "" || bad.Code != wire.CodeUnauthorized) {
		refuse(w, bad)
		return nil
	}
	s := newSession(h, newID(), remote)
	s.limit = rate.NewLimiter(rate.Limit(h.cfg.RequestRate), h.cfg.RequestBurst)
	s.addr = h.ledger.addr(remote)
	if !s.addr.connect() {
		h.ledger.put(s.addr)
		h.metrics.rejected.Inc()
		refuse(w, &wire.Error{Code: wire.CodeRateLimited, Message: "too many connections from this address", RetryAfter: 5000})
		return nil
	}
	if bad == nil {
		a := h.ledger.key(rights)
		if !a.connect() {
			h.ledger.put(a)
			s.leave()
			h.metrics.rejected.Inc()
			refuse(w, &wire.Error{Code: wire.CodeRateLimited, Message: "too many connections with this key", RetryAfter: 5000})
			return nil
		}
		s.account.Store(a)
	}
	if !h.register(s) {
		s.leave()
		w.Header().Set("Retry-After", "5")
		replyError(w, http.StatusServiceUnavailable, wire.CodeServerShutdown, "the server is full or stopping")
		return nil
	}
	s.control.Lock()
	defer s.control.Unlock()
	if bad == nil {
		s.grant(rights)
	} else {
		s.deny()
	}
	h.cfg.Audit.Info("connect", "session", s.id, "key", s.who(), "address", remote, "path", r.URL.Path, "agent", clip(r.UserAgent(), 256), "origin", clip(r.Header.Get("Origin"), 256))
	return s
}

// clip bounds what a client made us write down.
func clip(s string, n int) string { return s[:min(len(s), n)] }

// who names the client in the audit log.
func (s *session) who() string {
	if a := s.account.Load(); a != nil {
		return a.name
	}
	return ""
}

// grant gives the session rights, and ends it when they do. Under control.
func (s *session) grant(r *auth.Rights) {
	s.rights, s.signedIn = r, true
	s.stopTimer()
	if r == nil || r.Expires.IsZero() {
		return
	}
	s.timer = time.AfterFunc(time.Duration(r.Expires.UnixNano()-s.hub.cfg.Now()), s.expire)
}

// deny takes the session's rights and gives it time to sign in. Under control.
func (s *session) deny() {
	s.rights, s.signedIn = nil, false
	s.stopTimer()
	s.timer = time.AfterFunc(s.hub.cfg.AuthTimeout, s.tooLate)
}

func (s *session) stopTimer() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// expire ends the streams of a client whose rights have ended meanwhile. It may
// show others.
func (s *session) expire() {
	s.control.Lock()
	defer s.control.Unlock()
	if s.gone || !s.signedIn || s.rights == nil || s.rights.Expires.IsZero() ||
		s.hub.cfg.Now() < s.rights.Expires.UnixNano() {
		return
	}
	s.revoke(auth.ErrExpired)
}

// revoke ends all streams because the client's rights have ended. Under control.
func (s *session) revoke(why error) {
	s.hub.cfg.Audit.Info("revoked", "session", s.id, "key", s.who(), "address", s.remote, "err", why.Error())
	s.follows = nil
	s.drop(slices.Clone(s.subs))
	s.deny()
	message := "the key or token is no longer valid; the streams have ended"
	if errors.Is(why, auth.ErrExpired) {
		message = "the key or token has expired; the streams have ended"
	}
	s.hub.metrics.authFailures.WithLabelValues("revoked").Inc()
	s.refuse(&wire.Error{Code: wire.CodeUnauthorized, Message: message})
}

// tooLate ends a client that did not sign in.
func (s *session) tooLate() {
	s.control.Lock()
	late := !s.gone && !s.signedIn
	s.control.Unlock()
	if late {
		s.refuse(&wire.Error{Code: wire.CodeUnauthorized, Message: "no key or token was shown in time"})
		s.end(reasonUnauthorized)
	}
}

// needsKey refuses a request of a client that has not signed in.
func (s *session) needsKey(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	if s.signedIn {
		return nil
	}
	return refusal(req, wire.CodeUnauthorized, "sign in first, by op auth")
}

// authenticate signs a client in, or goes on with a fresh token.
func (s *session) authenticate(req *wire.Request) *wire.Error {
	if s.hub.cfg.Access == nil {
		// This server asks nobody who they are; a client that says so all the same is
		// welcome.
		s.send(&wire.Ack{ID: req.ID, Op: req.Op})
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitShort)
	defer cancel()
	rights, bad := s.hub.identify(ctx, s.remote, req.Token)
	if bad != nil {
		bad.ID = req.ID
		return bad
	}
	s.control.Lock()
	defer s.control.Unlock()
	if s.gone {
		return nil
	}
	old := s.account.Load()
	if old != nil && s.signedIn && s.rights.Account != rights.Account && s.rights.Account != anonymous {
		return refusal(req, wire.CodeForbidden, "this connection belongs to another key; make one of its own")
	}
	a := s.hub.ledger.key(rights)
	if a == old {
		s.hub.ledger.put(a) // it has a reference
	} else {
		if !a.connect() {
			s.hub.ledger.put(a)
			return refusal(req, wire.CodeRateLimited, "too many connections with this key")
		}
		s.moveTo(a)
	}
	s.grant(rights)
	s.hub.cfg.Audit.Info("auth", "session", s.id, "key", s.who(), "address", s.remote)
	s.send(&wire.Ack{ID: req.ID, Op: req.Op})
	s.recheck()
	return nil
}

// anonymous is the account of those who show nothing.
const anonymous = "anonymous"

// moveTo counts the session under another account. Under control.
func (s *session) moveTo(a *account) {
	old := s.account.Swap(a)
	now := s.hub.cfg.Now()
	kinds := make(map[streamKind]int)
	for _, u := range s.subs {
		kinds[u.topic.kind()]++
	}
	n := 0
	for kind, k := range kinds {
		n += k
		a.open(kind, k, now)
		if old != nil {
			old.open(kind, -k, now)
		}
	}
	if n > 0 {
		_ = a.subscribe(n) // what is open stays open
	}
	if old == nil {
		return
	}
	old.subscribe(-n)
	old.disconnect()
	s.hub.ledger.put(old)
}

func (t *topic) kind() streamKind { return streamKind{t.key.channel, t.class} }

// recheck ends the streams that the rights do not cover any longer. Under
// control.
func (s *session) recheck() {
	var gone []*sub
	for _, u := range s.subs {
		key, ok := s.permit(u.topic.key, u.topic.symbol)
		// Younger than it has to be, deeper or more often: not as it is.
		if key.delay <= u.topic.key.delay {
			key.delay = u.topic.key.delay
		}
		if !ok || key != u.topic.key {
			gone = append(gone, u)
		}
	}
	if len(gone) == 0 {
		return
	}
	s.drop(gone)
	symbols := make([]string, len(gone))
	for i, u := range gone {
		symbols[i] = u.topic.symbol
	}
	slices.Sort(symbols)
	s.refuse(&wire.Error{Code: wire.CodeForbidden, Message: "the rights have changed; these streams have ended", Symbols: slices.Compact(symbols)})
}

// Reauthorize asks Access again about everybody who is connected: who has lost
// rights loses the streams. It is for when keys or plans have changed.
func (h *Hub) Reauthorize() {
	if h.cfg.Access == nil {
		return
	}
	h.mu.Lock()
	sessions := make([]*session, 0, len(h.sessions))
	for s := range h.sessions {
		sessions = append(sessions, s)
	}
	h.mu.Unlock()
	for _, s := range sessions {
		s.reauthorize()
	}
}

func (s *session) reauthorize() {
	s.control.Lock()
	defer s.control.Unlock()
	if s.gone || !s.signedIn {
		return
	}
	r, err := s.hub.cfg.Access.Refresh(s.rights)
	if err != nil {
		s.revoke(err)
		return
	}
	s.account.Load().bound(r.Limits)
	s.grant(r)
	s.recheck()
}

// leave ends what the session counts for. The session has no subscriptions any
// longer.
func (s *session) leave() {
	s.control.Lock()
	defer s.control.Unlock()
	s.stopTimer()
	s.hub.cfg.Audit.Info("end", "session", s.id, "key", s.who(), "address", s.remote, "reason", s.endReason(),
		"messages", s.sentMessages.Load(), "bytes", s.sentBytes.Load())
	for _, a := range []*account{s.account.Load(), s.addr} {
		if a != nil {
			a.disconnect()
			s.hub.ledger.put(a)
		}
	}
}

// delivered counts what was sent to a client, and returns how long it has to wait
// for more.
func (s *session) delivered(messages, bytes, now int64) time.Duration {
	s.sentMessages.Add(messages)
	s.sentBytes.Add(bytes)
	wait := time.Duration(0)
	if s.addr != nil {
		wait = s.addr.pay(messages, bytes, now)
	}
	if a := s.account.Load(); a != nil {
		wait = max(wait, a.pay(messages, bytes, now))
	}
	if wait > 0 {
		s.hub.metrics.throttled.Inc()
	}
	return wait
}

// page serves an answer to those who may come in, and counts it.
func (h *Hub) page(fn func(w http.ResponseWriter, r *http.Request, rights *auth.Rights)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		remote := h.cfg.Address(r)
		rights, bad := h.identify(r.Context(), remote, tokenOf(r))
		if bad != nil {
			refuse(w, bad)
			return
		}
		key, addr := h.ledger.key(rights), h.ledger.addr(remote)
		defer h.ledger.put(key)
		defer h.ledger.put(addr)
		wait := max(key.owes(h.cfg.Now()), addr.owes(h.cfg.Now()))
		key.request(wait > 0)
		if wait > 0 {
			refuse(w, &wire.Error{Code: wire.CodeRateLimited, Message: "this key or address takes more than it may", RetryAfter: wait.Milliseconds() + 1})
			return
		}
		if h.cfg.Access != nil {
			// What one may see another may not: no cache between may keep it.
			w.Header().Set("Vary", "Authorization")
			w.Header().Set("Cache-Control", "private, no-cache")
		} else {
			w.Header().Set("Cache-Control", "no-cache")
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		c := &pageWriter{ResponseWriter: w}
		fn(c, r, rights)
		key.pay(1, c.n, h.cfg.Now())
		addr.pay(1, c.n, h.cfg.Now())
	}
}

// pageWriter counts the bytes of an answer, which has to be taken in a bounded time.
type pageWriter struct {
	http.ResponseWriter
	n int64
}

// Write implements http.ResponseWriter.
func (c *pageWriter) Write(b []byte) (int, error) {
	_ = http.NewResponseController(c.ResponseWriter).SetWriteDeadline(time.Now().Add(pageTimeout))
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	return n, err
}

// pageTimeout is how long a client may take to take an answer.
const pageTimeout = 30 * time.Second

// refuse answers a request with an error, with the status that its code has.
func refuse(w http.ResponseWriter, e *wire.Error) {
	status := http.StatusBadRequest
	switch e.Code {
	case wire.CodeUnauthorized:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="quotewire"`)
	case wire.CodeForbidden:
		status = http.StatusForbidden
	case wire.CodeRateLimited:
		status = http.StatusTooManyRequests
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt((e.RetryAfter+999)/1000, 10))
	}
	reply(w, status, e)
}

// bodyless refuses requests with a body: nothing here takes one, and waiting for
// the rest of one would hold a connection.
func bodyless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(closeGrace))
		replyError(w, http.StatusRequestEntityTooLarge, wire.CodeBadRequest, "requests have no body here")
	})
}
