package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Transport makes a connection that speaks the protocol in the given format. It is
// called again after each loss. An error that is, or wraps, a *wire.Error of code
// unauthorized or forbidden ends the client.
//
// A streamer.Hub in the same process gives one: [Attach](ctx, hub.Local(nil), …).
type Transport func(ctx context.Context, format wire.Format) (wire.Conn, error)

// writeTimeout bounds the writing of one request: they are small, and a server
// that takes none for so long is not there.
const writeTimeout = 10 * time.Second

// errKind means that a frame is not of the kind that carries the format.
var errKind = errors.New("frame of another kind")

// StatusError means that the server answered the handshake with an HTTP status.
type StatusError struct {
	Code int
	Body string // its beginning
}

// Error tells the status.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("handshake: HTTP %d %s", e.Code, http.StatusText(e.Code))
	if e.Body != "" {
		s += ": " + e.Body
	}
	return s
}

// overWebSocket returns the transport to a URL.
func overWebSocket(url string, opts Options) Transport {
	return func(ctx context.Context, format wire.Format) (wire.Conn, error) {
		ws, response, err := opts.Dialer.DialContext(ctx, url, opts.Header)
		if err != nil {
			if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
				body := make([]byte, 200)
				n, _ := response.Body.Read(body) // gorilla keeps its first kilobyte
				return nil, &StatusError{Code: response.StatusCode, Body: string(bytes.TrimSpace(body[:n]))}
			}
			return nil, fmt.Errorf("connect: %w", err)
		}
		ws.SetReadLimit(opts.ReadLimit)
		if got := ws.Subprotocol(); got != "" && got != format.String() || got == "" && format != wire.FormatJSON {
			_ = ws.Close()
			return nil, fmt.Errorf("connect: the server speaks %q, not %s", got, format)
		}
		c := &socket{ws: ws, kind: websocket.TextMessage}
		if format == wire.FormatProto {
			c.kind = websocket.BinaryMessage
		}
		return c, nil
	}
}

// socket is a WebSocket as a wire.Conn.
type socket struct {
	ws    *websocket.Conn
	kind  int // of frame that carries the format
	frame bytes.Buffer
}

// ReadFrame implements wire.Conn.
func (s *socket) ReadFrame() ([]byte, error) {
	kind, r, err := s.ws.NextReader()
	if err != nil {
		return nil, err
	}
	s.frame.Reset()
	if _, err := s.frame.ReadFrom(r); err != nil {
		return nil, err
	}
	if kind != s.kind {
		return s.frame.Bytes(), errKind
	}
	return s.frame.Bytes(), nil
}

// WriteFrame implements wire.Conn.
func (s *socket) WriteFrame(request []byte) error {
	_ = s.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	return s.ws.WriteMessage(s.kind, request)
}

// SetReadDeadline implements wire.Conn.
func (s *socket) SetReadDeadline(t time.Time) error { return s.ws.SetReadDeadline(t) }

// Close ends the connection with a close frame, if that can be written at once.
func (s *socket) Close() error {
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""),
		time.Now().Add(time.Second))
	return s.ws.Close()
}
