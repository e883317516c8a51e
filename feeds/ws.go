package feeds

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// WSConfig says how to dial a WebSocket. A zero field means its default.
type WSConfig struct {
	URL    string // ws:// or wss://
	Header http.Header
	// ReadLimit is the largest message taken, in bytes after decompression;
	// a larger one ends the connection with CauseOversized. Default 4 MiB.
	ReadLimit int64
	// HandshakeTimeout bounds dialing and the upgrade. Default 10 s.
	HandshakeTimeout time.Duration
	// WriteTimeout bounds each message sent. Default 5 s.
	WriteTimeout time.Duration
	// PingEvery is how often a ping is sent if nothing came since the last;
	// negative is never. Default 20 s.
	PingEvery time.Duration
	// IdlePing is a text message that is sent instead of a protocol ping where
	// the provider has one of its own.
	IdlePing []byte
	// PongWait is how long the answer to a protocol ping may take before the peer
	// is taken for dead, as long as nothing else comes either (RFC 6455 §5.5.2
	// wants it as soon as is practical). Default 10 s; negative is for ever.
	// Nothing is known of the answer to an IdlePing.
	PongWait time.Duration
	// PingAlways sends the ping every PingEvery whatever comes, for providers
	// that want to hear from us.
	PingAlways bool
	// Compress offers permessage-deflate.
	Compress bool
	// NetDial replaces how the TCP connection is made, for tests; nil is
	// net.Dialer. Proxies come from the environment (HTTPS_PROXY, NO_PROXY)
	// either way.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// closeWait bounds how long Close waits for its close frame to be taken.
const closeWait = time.Second

const (
	firstBuffer = 64 << 10
	// keepBuffer is the largest buffer that is kept for the next message. Only
	// snapshots are larger, and they are rare.
	keepBuffer = 1 << 20
)

// WS is a WebSocket as a connector needs it. Next belongs to one goroutine;
// writes are safe from any.
type WS struct {
	conn         *websocket.Conn
	limit        int64
	writeTimeout time.Duration
	buf          []byte // of the last message
	reads        atomic.Uint64
	// signs are the pings and pongs that came.
	signs atomic.Uint64
	// since is when Next began to wait for a message, ns since the Unix epoch; 0
	// while it does not: then what came is not read, and proves nothing.
	since atomic.Int64
	// deaf is why the connection was given up though nothing failed.
	deaf atomic.Pointer[DisconnectError]

	// writing is held by who writes, because gorilla takes one writer at a time.
	// A channel and no mutex: waiting for a mutex stops the clock of
	// testing/synctest, and with it a writer that waits for the network.
	writing chan struct{}

	stopInterrupt func() bool
	stop          chan struct{}
	pinger        sync.WaitGroup
}

// DialWS dials, honouring ctx and Retry-After. The WS lives in ctx: when ctx
// ends, a Next in progress and all later ones fail at once. Errors are
// *DisconnectError.
func DialWS(ctx context.Context, c WSConfig) (*WS, error) {
	if c.ReadLimit == 0 {
		c.ReadLimit = 4 << 20
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 5 * time.Second
	}
	if c.PingEvery == 0 {
		c.PingEvery = 20 * time.Second
	}
	if c.PongWait == 0 {
		c.PongWait = 10 * time.Second
	}
	// gorilla heeds the end of ctx while it connects, but not while it waits
	// for the answer to the upgrade; so that is ended here. By closing and not
	// by a deadline, because gorilla sets deadlines of its own meanwhile.
	netDial := c.NetDial
	if netDial == nil {
		netDial = new(net.Dialer).DialContext
	}
	stopInterrupt := func() bool { return true }
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment,
		NetDialContext: func(dialCtx context.Context, network, addr string) (net.Conn, error) {
			conn, err := netDial(dialCtx, network, addr)
			if err == nil {
				stopInterrupt = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
		HandshakeTimeout:  c.HandshakeTimeout,
		ReadBufferSize:    32 << 10,
		EnableCompression: c.Compress,
	}
	conn, res, err := dialer.DialContext(ctx, c.URL, c.Header)
	stopInterrupt()
	if err != nil {
		return nil, dialError(res, err)
	}
	conn.SetReadLimit(c.ReadLimit)
	w := &WS{
		conn:         conn,
		limit:        c.ReadLimit,
		writeTimeout: c.WriteTimeout,
		buf:          make([]byte, 0, firstBuffer),
		stop:         make(chan struct{}),
		writing:      make(chan struct{}, 1),
	}
	// A deadline in the past wakes the reader and fails all later reads; net
	// connections allow that from any goroutine. Not by closing, so that Close
	// can still say goodbye.
	w.stopInterrupt = context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	conn.SetPongHandler(func(string) error { w.signs.Add(1); return nil })
	answer := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { w.signs.Add(1); return answer(data) })
	if c.PingEvery > 0 {
		w.pinger.Go(func() { w.ping(c.PingEvery, c.IdlePing, c.PingAlways, c.PongWait) })
	}
	return w, nil
}

// Next waits for the next text or binary message. The payload is valid until
// the next call: one buffer serves all messages. Errors are *DisconnectError
// and final.
func (w *WS) Next() (payload []byte, binary bool, err error) {
	w.since.Store(time.Now().UnixNano())
	kind, r, err := w.conn.NextReader()
	w.since.Store(0)
	if err != nil {
		if dead := w.deaf.Load(); dead != nil {
			return nil, false, dead
		}
		return nil, false, readError(err)
	}
	buf := w.buf[:0]
	if cap(buf) > keepBuffer {
		buf = make([]byte, 0, firstBuffer)
	}
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, cap(buf))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > w.limit { // gorilla counts compressed bytes only
			return nil, false, readError(websocket.ErrReadLimit)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false, readError(err)
		}
	}
	w.buf = buf
	w.reads.Add(1)
	return buf, kind == websocket.BinaryMessage, nil
}

// Write sends one text message.
func (w *WS) Write(payload []byte) error { return w.write(websocket.TextMessage, payload) }

// WriteBinary sends one binary message.
func (w *WS) WriteBinary(payload []byte) error { return w.write(websocket.BinaryMessage, payload) }

func (w *WS) write(kind int, payload []byte) error {
	w.writing <- struct{}{}
	defer func() { <-w.writing }()
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.writeTimeout)); err != nil {
		return &DisconnectError{Cause: CauseLost, Err: fmt.Errorf("set write deadline: %w", err)}
	}
	if err := w.conn.WriteMessage(kind, payload); err != nil {
		return &DisconnectError{Cause: CauseLost, Err: fmt.Errorf("write: %w", err)}
	}
	return nil
}

// WriteJSON sends v as one text message.
func (w *WS) WriteJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return w.Write(b)
}

// Close says goodbye and ends the connection, without waiting for the peer to
// answer. It takes a second at most. Call it once.
func (w *WS) Close() {
	w.stopInterrupt()
	close(w.stop)
	_ = w.conn.WriteControl(websocket.CloseMessage,
		websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(closeWait))
	_ = w.conn.Close()
	w.pinger.Wait()
}

// ping sends a ping each time that nothing came for a whole interval: data is
// proof enough of life, and some providers count our messages; always sends it
// anyway. A protocol ping that is not answered ends the connection: where a
// provider has no heartbeat, nothing else tells a peer that has vanished from a
// quiet market.
func (w *WS) ping(every time.Duration, idle []byte, always bool, wait time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	overdue := time.NewTimer(wait)
	overdue.Stop()
	var seen, asked uint64 // what had come at the last tick, and when a ping went out
	var due time.Time      // when that is overdue; zero while none is on its way
	for {
		select {
		case <-w.stop:
			return
		case now := <-overdue.C:
			switch since := w.since.Load(); {
			case w.reads.Load()+w.signs.Load() != asked:
				due = time.Time{}
			case since == 0 || now.Sub(time.Unix(0, since)) < wait || now.Sub(due) > maxHeld:
				// It may have come, and nobody has looked: we were busy, or this
				// machine was.
				due = now.Add(wait)
				overdue.Reset(wait)
			default:
				w.deaf.Store(&DisconnectError{Cause: CauseMute, Err: fmt.Errorf("no answer to a ping for %v", wait)})
				_ = w.conn.SetReadDeadline(time.Unix(1, 0))
				return
			}
			continue
		case <-tick.C:
		}
		n := w.reads.Load()
		if n != seen && !always {
			seen = n
			continue
		}
		// Failures show at the reader, which has the better error.
		if idle != nil {
			_ = w.Write(idle)
			continue
		}
		if due.IsZero() && wait > 0 {
			asked, due = n+w.signs.Load(), time.Now().Add(wait)
			overdue.Reset(wait)
		}
		_ = w.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(w.writeTimeout))
	}
}
