package streamer

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/streamer/wire"
)

// The reasons for which sessions end, as counted.
const (
	reasonShutdown  = "shutdown"
	reasonClient    = "client"
	reasonAbuse     = "abuse"
	reasonTimeout   = "timeout"
	reasonWrite     = "write_failed"
	reasonLarge     = "oversized_request"
	reasonProtocol  = "protocol_error"
	reasonUnread    = "replies_unread"
	reasonHandshake = "handshake"
	reasonRefused   = "refused"

	reasonUnauthorized = "unauthorized"
)

// maxBad is how many bad requests in a row end a connection. A rate limit that
// is run into counts too.
const maxBad = 100

// closeGrace is how long a session that ends may take for its last words, and
// then the client for its own.
const closeGrace = time.Second

// upgrader keeps no write buffer: frames are written to the connection as they
// are, and a connection that idles should cost little.
func (h *Hub) upgrader() *websocket.Upgrader {
	return &websocket.Upgrader{
		HandshakeTimeout: waitShort,
		// Requests are rare, and what is larger is read past the buffer, which is to
		// hold a control frame.
		ReadBufferSize:  128,
		WriteBufferSize: 256,
		WriteBufferPool: &sync.Pool{},
		Subprotocols:    []string{wire.SubprotocolJSON, wire.SubprotocolProto},
		CheckOrigin:     h.cfg.CheckOrigin,
		// Without context takeover: what it reads into is not kept.
		EnableCompression: h.cfg.Compression,
	}
}

// serveStream serves the protocol over a WebSocket, subscribed by the query
// string if it has one.
func (h *Hub) serveStream(up *websocket.Upgrader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var first *wire.Request
		if q := r.URL.Query(); subscribes(q) {
			req, bad := wire.ParseQuery(q)
			if bad != nil {
				replyError(w, http.StatusBadRequest, bad.Code, bad.Message)
				return
			}
			first = &req
		}
		s := h.admit(w, r)
		if s == nil {
			return
		}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			s.end(reasonHandshake)
			h.unregister(s)
			return // Upgrade has answered
		}
		// From here on the library has nothing to do with the connection: it would send
		// close frames of its own between, and set deadlines that hit a write under way.
		if conn.Subprotocol() == wire.SubprotocolProto {
			s.format = wire.FormatProto
		}
		c := &socket{session: s, requests: true, net: conn.NetConn(), raw: rawConn(conn.NetConn()), written: make(chan struct{}),
			deflate: h.cfg.Compression && offersDeflate(r.Header)}
		if n := h.cfg.SocketBuffer; n > 0 {
			limitUnsent(c.net, n)
		}
		writer := h.writer()
		s.connect(c, writer)
		h.cfg.Logger.Debug("session begins", "session", s.id, "remote", s.remote)
		s.welcome()
		if first != nil {
			if err := s.do(first); err != nil {
				s.refuse(err)
			}
		}
		// The handler returns: what the HTTP server holds for it, buffers and a
		// grown stack, is more than all that a session needs.
		writer.pulse(s, h.cfg.Now())
		c.alive() // not by the reader, whose stack is to stay small
		go c.serve(c.read)
	}
}

// subscribes reports whether a query string asks for streams, and takes out who
// asks.
func subscribes(q url.Values) bool {
	q.Del(queryKey)
	q.Del("token")
	return len(q) > 0
}

// socket is a session's connection, a WebSocket or a stream of events: a goroutine of its own reads
// requests; who has the session's turn writes frames, straight to the network
// connection.
type socket struct {
	session  *session
	requests bool // it is a WebSocket, on which a client can ask and say a last word
	net      net.Conn
	raw      syscall.RawConn // to write and to wait without a stack; nil where that cannot be done
	written  chan struct{}   // closed after the last words
	bad      int             // requests in a row that were bad; the reader's
	deflate  bool            // the client takes compressed messages
	bare     bool            // of a client in the same process: what is written goes into frame as it is
	frame    []byte          // of who has the turn

	// Of who has the turn.
	lag     int64   // ms, the most since the last heartbeat
	since   int64   // when the first of what is being written was due; 0 if no stream is
	begun   int64   // when the turn began
	states  bool    // conflated streams are part of it
	spacing int64   // the shortest of them
	hold    int64   // when those that the budget did not reach may go
	budget  *budget // nil: none
}

// serve reads until the session ends, waits for its last words, and ends all that it
// holds.
func (c *socket) serve(read func() string) {
	c.close(read())
}

func (c *socket) close(reason string) {
	s := c.session
	defer s.hub.unregister(s)
	s.end(reason)
	<-c.written
	switch reason {
	case reasonLarge, reasonAbuse, reasonProtocol, reasonUnread:
		// Closing on what the client is still sending would reset the connection,
		// and the client might never see why.
		_ = c.net.SetReadDeadline(time.Now().Add(closeGrace))
		_, _ = io.Copy(io.Discard, c.net)
	}
	_ = c.net.Close()
}

// alive gives the client time until it must be heard of again.
func (c *socket) alive() {
	_ = c.net.SetReadDeadline(time.Now().Add(c.session.hub.cfg.ReadTimeout))
	if c.session.over() {
		c.hurry()
	}
}

func whyRead(err error) string {
	var network net.Error
	var closed *websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		return reasonLarge
	case errors.As(err, &network) && network.Timeout():
		return reasonTimeout
	case errors.As(err, &closed), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return reasonClient
	}
	return reasonProtocol
}

// hurry makes a write under way, and the reader, give up soon: the session has
// ended, and nobody waits for a client that takes nothing.
func (c *socket) hurry() {
	end := c.session.ended.Load().at
	_ = c.net.SetWriteDeadline(end.Add(closeGrace))
	if !c.requests {
		_ = c.net.SetReadDeadline(end) // a client of events has no last words
		return
	}
	_ = c.net.SetReadDeadline(end.Add(2 * closeGrace))
}
