package streamer

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// serveEvents serves one subscription, that of the query string, as Server-Sent
// Events. The header Last-Event-ID resumes.
func (h *Hub) serveEvents(w http.ResponseWriter, r *http.Request) {
	if !h.originAllowed(r) {
		replyError(w, http.StatusForbidden, wire.CodeForbidden, "pages of this origin may not connect")
		return
	}
	q := r.URL.Query()
	_ = subscribes(q) // takes out who asks
	req, bad := wire.ParseQuery(q)
	if bad != nil {
		replyError(w, http.StatusBadRequest, bad.Code, bad.Message)
		return
	}
	s := h.admit(w, r)
	if s == nil {
		return
	}
	s.format = wire.FormatEvents
	s.marks = &bookmarks{}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		if req.Resume = s.marks.parse(id); len(req.Resume) > 0 {
			req.Given |= wire.FieldResume
		}
	}
	s.welcome()
	if bad := s.do(&req); bad != nil {
		if s.idle() {
			// Nothing will ever come: the client is told so in a way that it does not
			// come back for.
			s.end(reasonRefused)
			h.unregister(s)
			h.metrics.errors.WithLabelValues(bad.Code).Inc()
			replyError(w, statusOf(bad.Code), bad.Code, bad.Message)
			return
		}
		s.refuse(bad)
	}
	c, body := h.openEvents(w, r)
	if c == nil {
		s.end(reasonHandshake)
		h.unregister(s)
		return
	}
	c.session = s
	writer := h.writer()
	s.connect(c, writer)
	h.cfg.Logger.Debug("session begins", "session", s.id, "remote", s.remote)
	writer.pulse(s, h.cfg.Now())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.serve(c.readNothing)
	}()
	if body {
		<-ended // the response is the connection
	}
}

// originAllowed reports whether a browser's page may connect.
func (h *Hub) originAllowed(r *http.Request) bool {
	if h.cfg.CheckOrigin != nil {
		return h.cfg.CheckOrigin(r)
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true // no browser, or the page's own server
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// statusOf returns the HTTP status for a request that was refused.
func statusOf(code string) int {
	switch code {
	case wire.CodeUnknownSymbol, wire.CodeUnknownChannel:
		return http.StatusNotFound
	case wire.CodeUnauthorized:
		return http.StatusUnauthorized
	case wire.CodeForbidden:
		return http.StatusForbidden
	case wire.CodeRateLimited, wire.CodeTooManySubscriptions:
		return http.StatusTooManyRequests
	case wire.CodeServerShutdown:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// idle reports whether the session has neither streams nor patterns.
func (s *session) idle() bool {
	s.control.Lock()
	defer s.control.Unlock()
	return len(s.subs) == 0 && len(s.follows) == 0
}

// openEvents answers the request and returns the connection to write events to.
// It is the network's own where that can be had, so that what waits in the kernel
// is bounded; else, over HTTP/2, the response's body, until the handler returns.
func (h *Hub) openEvents(w http.ResponseWriter, r *http.Request) (c *socket, body bool) {
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-cache")
	head.Set("X-Accel-Buffering", "no") // proxies that would hold events back
	if origin := r.Header.Get("Origin"); origin != "" {
		head.Set("Access-Control-Allow-Origin", origin) // it was checked
		head.Add("Vary", "Origin")
	}
	control := http.NewResponseController(w)
	conn, _, err := control.Hijack()
	if err != nil {
		w.WriteHeader(http.StatusOK)
		if control.Flush() != nil {
			return nil, false
		}
		return &socket{net: newResponseConn(w, control, r.Context()), written: make(chan struct{})}, true
	}
	head.Set("Connection", "close") // what ends the stream
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = head.Write(&b) // a builder cannot fail
	b.WriteString("\r\n")
	_ = conn.SetDeadline(time.Now().Add(waitShort))
	if _, err := io.WriteString(conn, b.String()); err != nil {
		_ = conn.Close()
		return nil, false
	}
	_ = conn.SetDeadline(time.Time{})
	if n := h.cfg.SocketBuffer; n > 0 {
		limitUnsent(conn, n)
	}
	return &socket{net: conn, raw: rawConn(conn), written: make(chan struct{})}, false
}

// readNothing waits until the client is gone or the session ends: nothing more is
// expected from a client of events.
func (c *socket) readNothing() string {
	buf := make([]byte, 64)
	for {
		_, err := c.net.Read(buf)
		switch {
		case c.session.over():
			return c.session.endReason()
		case err != nil:
			return whyRead(err)
		}
	}
}

// responseConn writes to a response's body as to a connection.
type responseConn struct {
	w       http.ResponseWriter
	control *http.ResponseController
	ctx     context.Context // the request's

	mu    sync.Mutex
	timer *time.Timer   // of the read deadline
	over  chan struct{} // closed when that has passed
}

func newResponseConn(w http.ResponseWriter, control *http.ResponseController, ctx context.Context) *responseConn {
	return &responseConn{w: w, control: control, ctx: ctx, over: make(chan struct{})}
}

// Read waits until the client is gone or the deadline has passed.
func (c *responseConn) Read([]byte) (int, error) {
	select {
	case <-c.ctx.Done():
		return 0, io.EOF
	case <-c.over:
		return 0, os.ErrDeadlineExceeded
	}
}

// Write writes to the client at once.
func (c *responseConn) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if err == nil {
		err = c.control.Flush()
	}
	if err != nil {
		return n, fmt.Errorf("write response: %w", err)
	}
	return n, nil
}

// Close implements net.Conn. The connection ends with the handler.
func (c *responseConn) Close() error { return c.SetReadDeadline(time.Now()) }

// LocalAddr implements net.Conn.
func (*responseConn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (*responseConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn.
func (c *responseConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn. It can be set once, which is all that a
// session that ends needs.
func (c *responseConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil && !t.IsZero() {
		c.timer = time.AfterFunc(time.Until(t), func() { close(c.over) })
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *responseConn) SetWriteDeadline(t time.Time) error {
	if err := c.control.SetWriteDeadline(t); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	return nil
}

// maxBookmarks is how many streams an event's id tells the positions of. What is
// beyond begins with a snapshot when the client comes back.
const maxBookmarks = 100

// bookmarks are the positions of a session's streams, for the ids of events. They
// belong to who has the session's turn.
type bookmarks struct {
	list  []bookmark
	moved bool // since the last id
}

type bookmark struct {
	symbol string
	epoch  uint64
	seq    uint64
}

// set notes the position of a symbol's stream: a client of events has one of each.
func (b *bookmarks) set(symbol string, epoch, seq uint64) {
	i := slices.IndexFunc(b.list, func(m bookmark) bool { return m.symbol == symbol })
	switch {
	case i >= 0:
		b.list[i].epoch, b.list[i].seq = epoch, seq
	case len(b.list) < maxBookmarks:
		b.list = append(b.list, bookmark{symbol, epoch, seq})
	default:
		return
	}
	b.moved = true
}

// appendID appends an event that is nothing but an id: the positions as symbol,
// epoch and seq separated by spaces. An epoch that is the one before's is ".".
// Clients keep the id and pass no event on.
func (b *bookmarks) appendID(dst []byte) []byte {
	dst = append(dst, "id:"...)
	for i := range b.list {
		m := &b.list[i]
		dst = append(append(dst, ' '), m.symbol...)
		if dst = append(dst, ' '); i > 0 && m.epoch == b.list[i-1].epoch {
			dst = append(dst, '.')
		} else {
			dst = strconv.AppendUint(dst, m.epoch, 16)
		}
		dst = strconv.AppendUint(append(dst, ' '), m.seq, 10)
	}
	b.moved = false
	return append(dst, "\n\n"...)
}

// parse reads an id and returns the positions to resume from. An id that is not
// one of ours resumes nothing.
func (b *bookmarks) parse(id string) map[string]wire.Position {
	words := strings.Fields(id)
	if len(words)%3 != 0 || len(words) > 3*maxBookmarks {
		return nil
	}
	out := make(map[string]wire.Position, len(words)/3)
	var list []bookmark
	epoch := ""
	for ; len(words) > 0; words = words[3:] {
		if words[1] != "." {
			epoch = words[1]
		}
		n, err := strconv.ParseUint(epoch, 16, 64)
		seq, bad := strconv.ParseUint(words[2], 10, 64)
		if err != nil || bad != nil || wire.CheckPattern(words[0]) != nil {
			return nil
		}
		out[words[0]] = wire.Position{Epoch: epoch, Seq: seq}
		list = append(list, bookmark{words[0], n, seq})
	}
	b.list = list
	return out
}
