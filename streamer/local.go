package streamer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Local returns what makes connections to the hub from within its process, such as
// client.Attach takes: the same sessions, positions, conflation and rights, without
// a socket. Nothing is written before it is read: a program that is slow leaves its
// streams unsent, to be merged, and costs the hub nothing.
//
// The connections have the rights given; nil are all, for a process can see what it
// holds. One that shows a token by op auth has the token's from then on. Run must
// be running for streams to begin. An error is a *wire.Error.
func (h *Hub) Local(rights *auth.Rights) func(context.Context, wire.Format) (wire.Conn, error) {
	return func(ctx context.Context, format wire.Format) (wire.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		if format != wire.FormatJSON && format != wire.FormatProto {
			return nil, &wire.Error{Code: wire.CodeBadRequest, Message: "the format is that of a WebSocket, JSON or Protocol Buffers"}
		}
		return h.connectLocal(rights, format)
	}
}

// localRemote is the address of clients without one.
const localRemote = "local"

func (h *Hub) connectLocal(rights *auth.Rights, format wire.Format) (wire.Conn, error) {
	s := newSession(h, newID(), localRemote)
	s.format = format
	a := h.ledger.key(rights)
	if !a.connect() {
		h.ledger.put(a)
		h.metrics.rejected.Inc()
		return nil, &wire.Error{Code: wire.CodeRateLimited, Message: "too many connections with this key", RetryAfter: 5000}
	}
	s.account.Store(a)
	if !h.register(s) {
		s.leave()
		return nil, &wire.Error{Code: wire.CodeServerShutdown, Message: "the server is full or stopping", RetryAfter: 5000}
	}
	s.control.Lock()
	s.grant(rights)
	s.control.Unlock()
	c := &pipe{session: s, signal: make(chan struct{}, 1), requests: make(chan []byte, 16),
		closed: make(chan struct{}), gone: make(chan struct{}), timer: time.NewTimer(time.Hour)}
	c.pen.open(h)
	c.socket = &socket{session: s, bare: true, net: bareConn{c: c}, written: make(chan struct{})}
	s.connect(c.socket, c)
	h.cfg.Audit.Info("connect", "session", s.id, "key", s.who(), "address", localRemote)
	s.welcome()
	s.mu.Lock()
	c.beat = time.AfterFunc(h.cfg.Heartbeat, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.beat(h.cfg.Now()) {
			c.beat.Reset(h.cfg.Heartbeat)
		}
	})
	s.mu.Unlock()
	go c.serve()
	return c, nil
}

// pipe is a client in the same process. Its reader has the session's turns: what
// waits is encoded, or taken from the logs, when it asks. Requests are done in a
// goroutine of the pipe's own, so that who writes one never waits for a lane.
type pipe struct {
	session  *session
	socket   *socket
	signal   chan struct{} // size 1: the reader is to look again
	requests chan []byte
	closed   chan struct{} // closed by Close
	close    sync.Once
	gone     chan struct{} // closed when the session is over
	deadline atomic.Int64  // of reads, ns since the Unix epoch; 0 none
	timer    *time.Timer   // the reader's
	beat     *time.Timer   // of heartbeats; under session.mu

	mu   sync.Mutex // held in a turn
	pen  pen
	said bool // the last words were queued
	over bool // no more turns
}

// serve does requests until the session ends, and then waits a little for its
// last words to be read.
func (c *pipe) serve() {
	s := c.session
	defer s.hub.unregister(s)
	defer close(c.gone)
	for !s.over() {
		select {
		case text := <-c.requests:
			s.handle(text)
		case <-c.closed:
			s.end(reasonClient)
		case <-s.done:
		}
	}
	grace := time.NewTimer(closeGrace)
	select {
	case <-c.closed:
	case <-c.socket.written:
	case <-grace.C:
	}
	grace.Stop()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	s.mu.Lock()
	c.beat.Stop()
	s.mu.Unlock()
}

// plan implements planner: the reader finds out itself when its turn is.
func (c *pipe) plan(*session, int64) {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// ReadFrame implements wire.Conn.
func (c *pipe) ReadFrame() ([]byte, error) {
	for {
		frame, wait, err := c.turn()
		if frame != nil || err != nil {
			return frame, err
		}
		if at := c.deadline.Load(); at != 0 {
			left := time.Until(time.Unix(0, at))
			if left <= 0 {
				return nil, fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
			}
			wait = min(wait, left)
		}
		c.timer.Reset(wait)
		select {
		case <-c.signal:
		case <-c.timer.C:
		case <-c.gone:
		case <-c.closed:
			return nil, fmt.Errorf("read: %w", net.ErrClosed)
		}
	}
}

// turn takes the session's turn, if it is due, and returns what was written in it;
// else how long it may take until it is.
func (c *pipe) turn() (frame []byte, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, p := c.session, &c.pen
	select {
	case <-c.closed:
		return nil, 0, fmt.Errorf("read: %w", net.ErrClosed)
	default:
	}
	if c.over {
		return nil, 0, c.ended()
	}
	p.now = s.hub.cfg.Now()
	s.mu.Lock()
	ending := s.ending
	switch {
	case ending:
		s.turn = turnOver
	case s.turn != turnQueued:
		s.mu.Unlock()
		return nil, time.Hour, nil
	case s.due > p.now:
		wait = time.Duration(s.due - p.now)
		s.mu.Unlock()
		return nil, wait, nil
	default:
		s.turn = turnWriting
	}
	s.mu.Unlock()
	if ending {
		return c.lastWords()
	}
	c.socket.frame = c.socket.frame[:0]
	c.socket.turned(c.socket.drain(p), p, 0) // who reads late is late himself: no interval is widened
	p.count()
	if len(c.socket.frame) == 0 {
		return nil, 0, nil // looks again
	}
	return c.socket.frame, 0, nil
}

// lastWords returns what the session still has to say, one frame after the other.
func (c *pipe) lastWords() ([]byte, time.Duration, error) {
	s := c.session
	for {
		c.socket.frame = c.socket.frame[:0]
		err := c.socket.drain(&c.pen)
		c.pen.count()
		if len(c.socket.frame) > 0 {
			return c.socket.frame, 0, nil
		}
		if err != nil && !errors.Is(err, errYield) || c.said {
			break
		}
		c.said = true
		if s.endReason() == reasonShutdown {
			s.send(s.hub.shutdownNotice())
		}
	}
	c.over = true
	close(c.socket.written)
	return nil, 0, c.ended()
}

func (c *pipe) ended() error { return fmt.Errorf("session ended: %s", c.session.endReason()) }

// WriteFrame implements wire.Conn. The answer comes by ReadFrame.
func (c *pipe) WriteFrame(request []byte) error {
	select {
	case <-c.gone:
		return c.ended()
	default:
	}
	select {
	case c.requests <- slices.Clone(request):
		return nil
	case <-c.gone:
		return c.ended()
	case <-c.closed:
		return fmt.Errorf("write: %w", net.ErrClosed)
	}
}

// SetReadDeadline implements wire.Conn.
func (c *pipe) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		c.deadline.Store(0)
		return nil
	}
	c.deadline.Store(t.UnixNano())
	return nil
}

// Close implements wire.Conn.
func (c *pipe) Close() error {
	c.close.Do(func() { close(c.closed) })
	return nil
}

// bareConn stands for the network connection of a session that has none: an end
// that would cut it closes the pipe.
type bareConn struct {
	net.Conn // nil: nothing reads from it or writes to it
	c        *pipe
}

// Close implements net.Conn.
func (b bareConn) Close() error { return b.c.Close() }

// SetReadDeadline implements net.Conn. The pipe ends in time by itself.
func (bareConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn. Nothing that is written waits.
func (bareConn) SetWriteDeadline(time.Time) error { return nil }
