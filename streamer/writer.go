package streamer

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/streamer/wire"
)

// bufferSize is how much is written to a socket at once: messages that wait are
// joined up to it. Larger messages go by themselves.
const bufferSize = 32 << 10

// buffers are the writers' buffers: a session has one only while it writes.
var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// write sends what the session has until it ends, then says why.
func (c *socket) write() {
	s := c.session
	heartbeat := time.NewTicker(s.hub.cfg.Heartbeat)
	defer heartbeat.Stop()
	for {
		var err error
		select {
		case <-s.signal:
			err = c.drain()
		case <-heartbeat.C:
			err = c.beat()
		case <-s.done:
			c.bye()
			return
		}
		if err != nil {
			s.end(reasonWrite)
			// A frame may be cut: nothing can follow it. This ends the reader too.
			_ = c.net.Close()
			return
		}
	}
}

// drain writes everything that waits, joined into as few writes as it fits.
func (c *socket) drain() error {
	s := c.session
	w := s.take()
	if w.hasPong {
		if err := c.writeControl(websocket.PongMessage, w.pong); err != nil {
			return err
		}
	}
	if len(w.messages) == 0 && len(w.dirty) == 0 {
		return nil
	}
	p := buffers.Get().(*[]byte)
	c.buf, c.count = (*p)[:maxHeader], 0
	err := c.fill(&w)
	if err == nil {
		err = c.flush()
	}
	c.buf = nil
	buffers.Put(p)
	if len(w.dirty) > 0 {
		c.lag = max(c.lag, (s.hub.cfg.Now()-w.since)/1e6)
	}
	m, n := s.hub.metrics, &c.stats
	m.delivered.Add(float64(n.messages))
	m.writes.Add(float64(n.writes))
	m.bytes.Add(float64(n.bytes))
	n.messages, n.writes, n.bytes = 0, 0, 0
	return err
}

func (c *socket) fill(w *waiting) error {
	for _, m := range w.messages {
		if err := c.add(m); err != nil {
			return err
		}
	}
	for _, u := range w.dirty {
		if err := c.session.collect(u, c); err != nil {
			return err
		}
	}
	return nil
}

// maxHeader is the largest header of a frame from a server, which carries no
// mask (RFC 6455, section 5.2).
const maxHeader = 10

// header writes the header of a final frame right before the payload that begins
// at maxHeader, and returns where it begins.
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

// opcode returns the kind of data frame that carries the format.
func opcode(f wire.Format) byte {
	if f == wire.FormatProto {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

// add implements output: messages are joined into one frame.
func (c *socket) add(msg []byte) error {
	if len(c.buf)+1+len(msg) > bufferSize {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.stats.messages++
	format := c.session.format
	if maxHeader+len(msg) > bufferSize {
		// By itself, without a copy.
		var h [maxHeader]byte
		start := header(h[:], opcode(format), len(msg))
		if err := c.deadline(); err != nil {
			return err
		}
		b := net.Buffers{h[start:], msg}
		n, err := b.WriteTo(c.net)
		return c.wrote(n, err)
	}
	if c.count > 0 {
		c.buf = append(c.buf, format.Separator()...)
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
	start := header(c.buf, opcode(c.session.format), len(c.buf)-maxHeader)
	frame := c.buf[start:]
	c.buf, c.count = c.buf[:maxHeader], 0
	if err := c.deadline(); err != nil {
		return err
	}
	n, err := c.net.Write(frame)
	return c.wrote(int64(n), err)
}

// deadline bounds the write that follows, if the operator wants a bound.
func (c *socket) deadline() error {
	d := c.session.hub.cfg.WriteTimeout
	if d <= 0 {
		return nil
	}
	err := c.net.SetWriteDeadline(time.Now().Add(d))
	if c.session.over() {
		c.hurry()
	}
	return err
}

func (c *socket) wrote(n int64, err error) error {
	c.stats.writes++
	c.stats.bytes += n
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
	n, err := c.net.Write(b[start:])
	return c.wrote(int64(n), err)
}

// beat sends a heartbeat and a ping, whose pong shows that the client lives.
func (c *socket) beat() error {
	c.session.send(&wire.Heartbeat{TX: c.session.hub.cfg.Now() / 1000, Lag: c.lag})
	c.lag = 0
	if err := c.drain(); err != nil {
		return err
	}
	return c.writeControl(websocket.PingMessage, nil)
}

// bye sends what waits, the last words and a close frame that says why.
func (c *socket) bye() {
	s := c.session
	code, text := websocket.CloseNormalClosure, ""
	switch s.endReason {
	case reasonShutdown:
		if c.drain() != nil {
			return
		}
		s.send(&wire.Error{Code: wire.CodeServerShutdown, Message: "the server is stopping; come back", RetryAfter: 1000})
		code, text = websocket.CloseServiceRestart, "server shutdown"
	case reasonAbuse, reasonUnread:
		code, text = websocket.ClosePolicyViolation, s.endReason
	case reasonLarge:
		code, text = websocket.CloseMessageTooBig, "request too large"
	case reasonProtocol:
		code, text = websocket.CloseProtocolError, "not a WebSocket frame of a client"
	case reasonTimeout:
		code, text = websocket.ClosePolicyViolation, "no answer to pings"
	}
	if s.endReason != reasonClient && c.drain() != nil {
		return
	}
	_ = c.writeControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text))
}
