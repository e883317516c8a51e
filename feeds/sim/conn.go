package sim

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	writeWait = 10 * time.Second // for one write to the socket
	drainWait = time.Second      // for the client to end after we have
	readLimit = 1 << 20          // of a client's message
)

// How a connection's last queued item ends it.
const (
	endNot   = iota
	endClose // with a close frame
	endDrop  // without one, but after what was queued before
)

// outgoing is one text frame, shared between connections and never changed, or
// the end of the connection.
type outgoing struct {
	data []byte
	end  int
	code int // of the close frame
}

// conn is one client. Two goroutines serve it: the handler's reads, and one
// writes what is queued.
type conn struct {
	s      *Server
	ws     *websocket.Conn
	id     int
	header http.Header // of the client's request
	binary bool        // the client wants MessagePack; set when the connection opens

	mu     sync.Mutex
	queue  []outgoing
	bytes  int
	closed bool // nothing more is queued
	gone   bool // the connection is half open: nobody is here any more
	wake   chan struct{}
	done   chan struct{}
	once   sync.Once

	// Guarded by market.mu.
	lastSent int64  // market time of the newest message, for Kraken's heartbeat
	batch    []byte // Polygon's frame of this quantum, not yet closed by a bracket
	batching bool
	state    any // the protocol's
}

func newConn(s *Server, ws *websocket.Conn) *conn {
	ws.SetReadLimit(readLimit)
	c := &conn{s: s, ws: ws, wake: make(chan struct{}, 1), done: make(chan struct{})}
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		if c.vanished() {
			return nil
		}
		return pong(data)
	})
	farewell := ws.CloseHandler()
	ws.SetCloseHandler(func(code int, text string) error {
		if c.vanished() {
			return nil
		}
		return farewell(code, text)
	})
	return c
}

// vanish makes the connection half open.
func (c *conn) vanish() {
	c.mu.Lock()
	c.closed, c.gone = true, true
	c.queue = nil
	c.mu.Unlock()
	c.deadline(0)
}

func (c *conn) vanished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// deadline sets how long the client has for what it must send first; 0 lifts it.
func (c *conn) deadline(d time.Duration) {
	t := time.Time{}
	if d > 0 {
		t = time.Now().Add(d)
	}
	c.ws.NetConn().SetReadDeadline(t)
}

// enqueue queues a frame. A connection whose queue is full is cut. One frame counts
// for half of it at most, so that one that is larger by order goes out.
func (c *conn) enqueue(data []byte) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	if c.bytes+min(len(data), c.s.cfg.QueueBytes/2) > c.s.cfg.QueueBytes {
		c.closed = true
		c.queue = nil
		c.mu.Unlock()
		c.s.faults.slow++
		c.s.log.Warn("connection cut: it does not keep up", "connection", c.id)
		c.ws.NetConn().Close()
		return
	}
	c.queue = append(c.queue, outgoing{data: data})
	c.bytes += len(data)
	c.mu.Unlock()
	c.poke()
}

// finish lets what is queued go out and then ends the connection.
func (c *conn) finish(end, code int) {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		c.queue = append(c.queue, outgoing{end: end, code: code})
	}
	c.mu.Unlock()
	c.poke()
}

// cut ends the connection now, without a close frame.
func (c *conn) cut() {
	c.mu.Lock()
	c.closed = true
	c.queue = nil
	c.mu.Unlock()
	c.ws.NetConn().Close()
}

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *conn) stop() { c.once.Do(func() { close(c.done) }) }

// read hands the client's messages to the protocol until the connection ends.
// Protocol pings are answered by gorilla within ReadMessage.
func (c *conn) read() error {
	for {
		_, b, err := c.ws.ReadMessage()
		if err != nil {
			if c.vanished() { // TCP goes on until the client, or Close, ends it
				_, _ = io.Copy(io.Discard, c.ws.NetConn())
				return err
			}
			c.mu.Lock()
			ending := c.closed
			c.mu.Unlock()
			// gorilla wraps a deadline's error in one that is no longer
			// os.ErrDeadlineExceeded.
			var ne net.Error
			if !ending && errors.As(err, &ne) && ne.Timeout() {
				c.s.market.mu.Lock()
				c.s.proto.expired(c)
				c.s.market.mu.Unlock()
				// The client must get what was queued: wait for it to leave.
				c.ws.NetConn().SetReadDeadline(time.Now().Add(writeWait))
				io.Copy(io.Discard, c.ws.NetConn())
			}
			return err
		}
		c.s.market.mu.Lock()
		// A connection that has been told to go is not listened to any more.
		if c.open() {
			c.s.proto.received(c, b)
		}
		c.s.market.mu.Unlock()
	}
}

func (c *conn) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed
}

// write sends what is queued until the connection ends.
func (c *conn) write() {
	var batch []outgoing
	for {
		select {
		case <-c.done:
			return
		case <-c.wake:
		}
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		c.mu.Unlock()
		for i, o := range batch {
			batch[i] = outgoing{}
			if o.end != endNot {
				c.end(o)
				return
			}
			c.ws.SetWriteDeadline(time.Now().Add(writeWait))
			kind, data := websocket.TextMessage, o.data
			if c.binary {
				kind = websocket.BinaryMessage
				if packed, err := toMsgpack(data); err == nil { // else it is a fault, and goes as it is
					data = packed
				}
			}
			err := c.ws.WriteMessage(kind, data)
			c.mu.Lock()
			c.bytes -= len(o.data)
			c.mu.Unlock()
			if err != nil {
				c.cut() // the reader notices
				return
			}
		}
	}
}

// end says goodbye and gives the client a moment to read it: closing at once
// would reset the connection where the client's own bytes are still unread, and
// take the last message with it.
func (c *conn) end(o outgoing) {
	raw := c.ws.NetConn()
	if o.end == endClose {
		c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(o.code, ""), time.Now().Add(writeWait))
	}
	if half, ok := raw.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	} else if o.end == endDrop {
		raw.Close()
		return
	}
	raw.SetReadDeadline(time.Now().Add(drainWait))
}
