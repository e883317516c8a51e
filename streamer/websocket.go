package streamer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/streamer/wire"
)

// The reasons for which sessions end, as counted.
const (
	reasonShutdown = "shutdown"
	reasonClient   = "client"
	reasonAbuse    = "abuse"
	reasonTimeout  = "timeout"
	reasonWrite    = "write_failed"
	reasonLarge    = "oversized_request"
)

// maxBad is how many bad requests in a row end a connection. A rate limit that
// is run into counts too.
const maxBad = 100

// bufferSize is how much is written to a socket at once: messages that wait are
// joined up to it. Larger messages go by themselves.
const bufferSize = 32 << 10

// buffers are the writers' buffers: a session has one only while it writes.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, bufferSize); return &b }}

// upgrader keeps no write buffer: frames are written to the connection as they
// are, and a connection that idles should cost little.
func (h *Hub) upgrader() *websocket.Upgrader {
	return &websocket.Upgrader{
		HandshakeTimeout: waitShort,
		ReadBufferSize:   1024,
		WriteBufferSize:  256,
		WriteBufferPool:  &sync.Pool{},
		Subprotocols:     []string{wire.SubprotocolJSON},
		CheckOrigin:      h.cfg.CheckOrigin,
	}
}

// serveStream serves the protocol over a WebSocket, subscribed by the query
// string if it has one.
func (h *Hub) serveStream(up *websocket.Upgrader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var first *wire.Request
		if r.URL.RawQuery != "" {
			req, bad := wire.ParseQuery(r.URL.Query())
			if bad != nil {
				http.Error(w, bad.Message, http.StatusBadRequest)
				return
			}
			first = &req
		}
		s := newSession(h, newID(), r.RemoteAddr)
		if !h.register(s) {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "the server is full or stopping", http.StatusServiceUnavailable)
			return
		}
		defer h.unregister(s)
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			s.end("handshake")
			return // Upgrade has answered
		}
		s.serve(conn, first)
	}
}

// serve reads requests in this goroutine and writes in another, until the
// session ends.
func (s *session) serve(conn *websocket.Conn, first *wire.Request) {
	c := &socket{session: s, conn: conn, net: conn.NetConn()}
	s.welcome()
	if first != nil {
		if err := s.do(first); err != nil {
			s.refuse(err)
		}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	s.end(c.read())
	<-written
	_ = c.net.Close()
}

// socket is a session's WebSocket connection. Frames are written by one
// goroutine, straight to the network connection.
type socket struct {
	session *session
	conn    *websocket.Conn
	net     net.Conn
	buf     []byte
	count   int
	lag     int64 // ms, the most since the last heartbeat
}

// read handles requests until the connection or the client's manners fail, and
// returns the reason.
func (c *socket) read() string {
	s, cfg := c.session, &c.session.hub.cfg
	c.conn.SetReadLimit(wire.MaxRequestBytes)
	alive := func() { _ = c.conn.SetReadDeadline(time.Now().Add(cfg.ReadTimeout)) }
	alive()
	c.conn.SetPongHandler(func(string) error { alive(); return nil })
	// gorilla would answer by itself, and set a deadline that also hits the
	// writer's write under way: a slow client that pings would be cut.
	c.conn.SetPingHandler(func(data string) error {
		alive()
		s.mu.Lock()
		s.pong, s.hasPong = []byte(data), true
		s.mu.Unlock()
		s.wake()
		return nil
	})
	c.conn.SetCloseHandler(func(int, string) error { return nil })
	limit := rate.NewLimiter(rate.Limit(cfg.RequestRate), cfg.RequestBurst)
	bad := 0
	for {
		_, r, err := c.conn.NextReader()
		var text []byte
		if err == nil {
			text, err = io.ReadAll(r)
		}
		if err != nil {
			return c.whyRead(err)
		}
		alive()
		switch {
		case !limit.Allow():
			bad++
			s.refuse(&wire.Error{Code: wire.CodeRateLimited, Message: fmt.Sprintf("at most %d requests a second", cfg.RequestRate), RetryAfter: 1000})
		case s.handle(text):
			bad++
		default:
			bad = 0
		}
		if bad >= maxBad {
			return reasonAbuse
		}
	}
}

func (c *socket) whyRead(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		return reasonLarge
	case errors.As(err, &timeout) && timeout.Timeout():
		return reasonTimeout
	}
	return reasonClient
}

// write sends what the session has until it ends, then says why.
func (c *socket) write() {
	s, cfg := c.session, &c.session.hub.cfg
	heartbeat := time.NewTicker(cfg.Heartbeat)
	defer heartbeat.Stop()
	// A blocked write ends when the session does: nobody waits for a client that
	// takes nothing. The grace lets the last words out.
	stop := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-s.done:
			_ = c.net.SetWriteDeadline(time.Now().Add(closeGrace))
		case <-stop:
		}
	}()
	defer func() { close(stop); <-finished }()
	for {
		select {
		case <-s.signal:
			if err := c.drain(); err != nil {
				s.end(reasonWrite)
				// Unblocks the reader.
				_ = c.net.Close()
				return
			}
		case <-heartbeat.C:
			if err := c.beat(); err != nil {
				s.end(reasonWrite)
				_ = c.net.Close()
				return
			}
		case <-s.done:
			c.bye()
			return
		}
	}
}

// closeGrace is how long a session that ends may take to take its last words.
const closeGrace = time.Second

// drain writes everything that waits, joined into as few writes as it fits.
func (c *socket) drain() error {
	s := c.session
	s.mu.Lock()
	pong, hasPong := s.pong, s.hasPong
	s.pong, s.hasPong = nil, false
	s.mu.Unlock()
	if hasPong {
		if err := c.writeControl(websocket.PongMessage, pong); err != nil {
			return err
		}
	}
	messages, dirty, since := s.take()
	if len(messages) == 0 && len(dirty) == 0 {
		return nil
	}
	p := buffers.Get().(*[]byte)
	defer func() {
		if cap(*p) <= 2*bufferSize {
			buffers.Put(p)
		}
	}()
	c.buf = append((*p)[:0], make([]byte, maxHeader)...)
	c.count = 0
	err := c.fill(messages, dirty)
	if err == nil {
		err = c.flush()
	}
	*p, c.buf = c.buf, nil
	if len(dirty) > 0 {
		c.lag = max(c.lag, (s.hub.cfg.Now()-since)/1e6)
	}
	return err
}

func (c *socket) fill(messages [][]byte, dirty []*sub) error {
	for _, m := range messages {
		if err := c.add(m); err != nil {
			return err
		}
	}
	for _, u := range dirty {
		if err := c.session.collect(u, c); err != nil {
			return err
		}
	}
	return nil
}

// maxHeader is the largest header of a frame from a server, which carries no
// mask (RFC 6455, section 5.2).
const maxHeader = 10

// header writes the header of a final text frame right before the payload that
// begins at maxHeader, and returns where it begins.
func header(buf []byte, opcode byte, n int) int {
	first := 0x80 | opcode
	switch {
	case n < 126:
		buf[maxHeader-2], buf[maxHeader-1] = first, byte(n)
		return maxHeader - 2
	case n <= 0xffff:
		buf[maxHeader-4], buf[maxHeader-3] = first, 126
		binary.BigEndian.PutUint16(buf[maxHeader-2:], uint16(n))
		return maxHeader - 4
	}
	buf[0], buf[1] = first, 127
	binary.BigEndian.PutUint64(buf[2:], uint64(n))
	return 0
}

// add implements output: messages are joined with newlines into one frame.
func (c *socket) add(msg []byte) error {
	if len(c.buf)+1+len(msg) > bufferSize && c.count > 0 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.session.hub.metrics.delivered.Inc()
	if len(msg)+maxHeader > bufferSize {
		// By itself, without a copy.
		var h [maxHeader]byte
		start := header(h[:], websocket.TextMessage, len(msg))
		return c.send(net.Buffers{h[start:], msg})
	}
	if c.count > 0 {
		c.buf = append(c.buf, '\n')
	}
	c.buf = append(c.buf, msg...)
	c.count++
	return nil
}

// flush writes the messages joined so far as one frame.
func (c *socket) flush() error {
	if c.count == 0 {
		return nil
	}
	start := header(c.buf, websocket.TextMessage, len(c.buf)-maxHeader)
	frame := c.buf[start:]
	c.buf, c.count = c.buf[:maxHeader], 0
	if err := c.deadline(); err != nil {
		return err
	}
	n, err := c.net.Write(frame)
	return c.wrote(int64(n), err)
}

func (c *socket) send(b net.Buffers) error {
	if err := c.deadline(); err != nil {
		return err
	}
	n, err := b.WriteTo(c.net)
	return c.wrote(n, err)
}

func (c *socket) deadline() error {
	if d := c.session.hub.cfg.WriteTimeout; d > 0 {
		select {
		case <-c.session.done:
			return nil // the grace is set
		default:
			return c.net.SetWriteDeadline(time.Now().Add(d))
		}
	}
	return nil
}

func (c *socket) wrote(n int64, err error) error {
	m := c.session.hub.metrics
	m.writes.Inc()
	m.bytes.Add(float64(n))
	if err != nil {
		return fmt.Errorf("write to %s: %w", c.session.remote, err)
	}
	return nil
}

// writeControl writes a control frame; its payload is at most 125 bytes.
func (c *socket) writeControl(opcode byte, payload []byte) error {
	b := append(make([]byte, maxHeader, maxHeader+125), payload[:min(len(payload), 125)]...)
	start := header(b, opcode, len(b)-maxHeader)
	if err := c.deadline(); err != nil {
		return err
	}
	_, err := c.net.Write(b[start:])
	return err
}

// beat sends a heartbeat and a ping, whose pong shows that the client lives.
func (c *socket) beat() error {
	lag := c.lag
	c.lag = 0
	c.session.push(wire.AppendHeartbeat(nil, c.session.hub.cfg.Now(), lag))
	return c.writeControl(websocket.PingMessage, nil)
}

// bye sends the last replies and a close frame that says why.
func (c *socket) bye() {
	s := c.session
	code, text := websocket.CloseNormalClosure, ""
	switch s.endReason {
	case reasonShutdown, "stopped":
		s.send(&wire.Error{Code: wire.CodeServerShutdown, Message: "the server is stopping; come back", RetryAfter: 1000})
		code, text = websocket.CloseServiceRestart, "server shutdown"
	case reasonAbuse, "replies_unread":
		code, text = websocket.ClosePolicyViolation, s.endReason
	case reasonLarge:
		code, text = websocket.CloseMessageTooBig, "request too large"
	case reasonTimeout:
		code, text = websocket.ClosePolicyViolation, "no answer to pings"
	}
	if c.drain() != nil {
		return
	}
	_ = c.writeControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text))
	// The reader may wait for a client that says nothing.
	_ = c.net.SetReadDeadline(time.Now().Add(closeGrace))
}
