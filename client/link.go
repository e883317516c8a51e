package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/quotewire/quotewire/streamer/wire"
)

// stableAfter is how long a connection must have lasted for the next wait to start
// from the shortest again; else a server that takes connections and drops them
// would be tried without pause.
const stableAfter = 10 * time.Second

// link is one connection, past welcome and sign-in. It is read by one goroutine
// and written by any.
type link struct {
	conn    wire.Conn
	format  wire.Format
	reader  wire.ProtoReader // of that format
	welcome wire.Welcome
	opened  time.Time
	idle    time.Duration // longest silence that is bearable; 0 any
	rest    []byte        // of the frame: messages not yet returned

	wmu sync.Mutex
	out []byte
}

// errIdle means that not even heartbeats came.
var errIdle = errors.New("no message for several heartbeats")

// next returns the next message of the connection, valid until the next call.
func (l *link) next(n *counters) ([]byte, error) {
	for {
		for len(l.rest) > 0 {
			if m := l.cut(n); len(m) > 0 {
				return m, nil
			}
		}
		// Why before each frame: while a full backlog stopped reading, the deadline
		// of the frame before may have passed with data waiting.
		if l.idle > 0 {
			_ = l.conn.SetReadDeadline(time.Now().Add(l.idle))
		}
		frame, err := l.conn.ReadFrame()
		if err != nil && !errors.Is(err, errKind) {
			var timeout interface{ Timeout() bool }
			if errors.As(err, &timeout) && timeout.Timeout() {
				return nil, errIdle
			}
			return nil, err
		}
		n.frames.Add(1)
		n.bytes.Add(uint64(len(frame)))
		if err != nil {
			n.malformed.Add(1)
			continue
		}
		l.rest = frame
	}
}

// cut takes the next message from the frame; it may be empty.
func (l *link) cut(n *counters) []byte {
	if l.format == wire.FormatProto {
		m, rest, err := l.reader.Cut(l.rest)
		if err != nil {
			n.malformed.Add(1)
		}
		l.rest = rest
		return m
	}
	line, rest, _ := bytes.Cut(l.rest, []byte{'\n'})
	l.rest = rest
	return bytes.TrimSpace(line)
}

// parse reads a message that next returned; nil says that it was for the reader
// alone.
func (l *link) parse(b []byte) (wire.Message, error) {
	if l.format == wire.FormatProto {
		return l.reader.Parse(b)
	}
	return wire.Parse(b)
}

// send writes a request. A failure closes the connection, which its reader notices;
// what was asked is asked again on the next one.
func (l *link) send(r *wire.Request) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.format == wire.FormatProto {
		l.out = r.AppendProto(l.out[:0])
	} else {
		l.out = r.Append(l.out[:0])
	}
	if l.conn.WriteFrame(l.out) != nil {
		_ = l.conn.Close()
	}
}

// connect makes a connection: handshake, welcome, sign-in.
func (c *Client) connect(ctx context.Context) (l *link, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.HandshakeTimeout)
	defer cancel()
	conn, err := c.transport(ctx, c.opts.Format)
	if err != nil {
		c.n.connectFailures.Add(1)
		return nil, err
	}
	// A context that ends makes a read that waits for the welcome fail.
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); _ = conn.Close() })
	defer func() {
		if !stop() {
			<-closed
			if err == nil {
				err = context.Cause(ctx)
			}
		}
		if err != nil {
			_ = conn.Close()
			l = nil
			c.n.connectFailures.Add(1)
		}
	}()
	l = &link{conn: conn, format: c.opts.Format, opened: time.Now()}
	if err := c.welcomed(l); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return l, fmt.Errorf("await welcome: %w", err)
	}
	token, expires, err := c.token(ctx)
	if err != nil {
		return l, err
	}
	if token != "" {
		if err := c.signIn(l, token); err != nil {
			var refused *wire.Error
			if cause := context.Cause(ctx); cause != nil && !errors.As(err, &refused) {
				err = cause
			}
			return l, fmt.Errorf("sign in: %w", err)
		}
		c.signed(expires)
	}
	l.idle = time.Duration(min(max(l.welcome.Heartbeat, 0), time.Hour.Milliseconds())) *
		time.Millisecond * time.Duration(c.opts.MissedHeartbeats)
	return l, nil
}

func (c *Client) welcomed(l *link) error {
	for {
		b, err := l.next(&c.n)
		if err != nil {
			return err
		}
		m, err := l.parse(b)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Welcome:
			l.welcome = *m
			return nil
		case *wire.Error:
			return m
		case *wire.Unknown:
			c.n.unknown.Add(1)
		case nil:
		default:
			return fmt.Errorf("the first message is of type %q: not a quotewire.v1 server", m.Type())
		}
	}
}

func (c *Client) signIn(l *link, token string) error {
	c.mu.Lock()
	r := wire.Request{Op: wire.OpAuth, Token: token, Given: wire.FieldToken}
	c.number(&r) // its answer is awaited here
	c.mu.Unlock()
	l.send(&r)
	for {
		b, err := l.next(&c.n)
		if err != nil {
			return err
		}
		m, err := l.parse(b)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Ack:
			if m.ID == r.ID {
				return nil
			}
		case *wire.Error:
			return m
		}
	}
}

// run serves one connection after the other until the client ends.
func (c *Client) run(l *link) {
	defer close(c.done)
	if c.opts.TokenSource != nil {
		var renewing sync.WaitGroup
		renewing.Go(c.renew)
		defer renewing.Wait()
	}
	defer c.cancel()
	wait := &backoff.ExponentialBackOff{InitialInterval: c.opts.MinBackoff, MaxInterval: c.opts.MaxBackoff,
		RandomizationFactor: 0.5, Multiplier: 2}
	wait.Reset()
	attempts := 1
	var lostAt time.Time
	for {
		c.up(l, attempts, lostAt)
		err := c.serve(l)
		lostAt = time.Now()
		if lostAt.Sub(l.opened) >= stableAfter {
			wait.Reset()
		}
		c.down(err, lostAt)
		hint := c.retryAfter
		for attempts = 1; ; attempts++ {
			pause := wait.NextBackOff()
			if hint > 0 {
				// Spread the clients of a server that restarts over half as long again.
				pause = max(pause, hint+rand.N(hint/2+1))
				hint = 0
			}
			if !sleep(c.ctx, pause) {
				return
			}
			if l, err = c.connect(c.ctx); err == nil {
				break
			}
			if c.ctx.Err() != nil {
				return
			}
			if permanent(err) {
				c.opts.Logger.Error("connection refused for good", "error", err)
				c.fail(err)
				return
			}
			var refused *wire.Error
			if errors.As(err, &refused) {
				hint = refused.Wait()
			}
			c.opts.Logger.Warn("reconnect failed", "attempt", attempts, "error", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// permanent reports whether connecting again can only fail again.
func permanent(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden
	}
	var refused *wire.Error
	return errors.As(err, &refused) && (refused.Code == wire.CodeUnauthorized || refused.Code == wire.CodeForbidden)
}

// up makes a connection the client's and asks for all streams again.
func (c *Client) up(l *link, attempts int, lostAt time.Time) {
	c.n.connects.Add(1)
	c.retryAfter = 0
	clear(c.broken)
	clear(c.fetches)
	c.mu.Lock()
	c.link, c.session, c.welcome = l, l.welcome.Session, l.welcome
	var requests []wire.Request
	if c.kbps > 0 { // before anything comes that it is to bound
		r := budgetRequest(c.kbps)
		c.number(&r)
		requests = append(requests, r)
	}
	streams := make([]*Stream, 0, len(c.streams))
	for s := range c.streams {
		streams = append(streams, s)
		requests = append(requests, c.subscribeRequest(s))
	}
	c.mu.Unlock()
	if !lostAt.IsZero() {
		down := time.Since(lostAt)
		c.opts.Logger.Info("reconnected", "session", l.welcome.Session, "attempts", attempts, "down", down)
		for _, s := range streams {
			s.event(&Reconnected{Session: l.welcome.Session, Attempts: attempts, Down: down})
		}
	}
	for i := range requests {
		l.send(&requests[i])
	}
}

// serve reads a connection until it or the client ends.
func (c *Client) serve(l *link) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(c.ctx, func() { defer close(closed); _ = l.conn.Close() })
	defer func() {
		if !stop() {
			<-closed
		}
		_ = l.conn.Close()
	}()
	for {
		b, err := l.next(&c.n)
		if err != nil {
			return err
		}
		c.n.messages.Add(1)
		m, err := l.parse(b)
		if err != nil {
			if c.n.malformed.Add(1) == 1 {
				c.opts.Logger.Warn("malformed message; further ones are only counted", "error", err, "message", string(b[:min(len(b), 200)]))
			}
			continue
		}
		if m != nil {
			c.dispatch(l, m)
		}
	}
}

// down takes the connection from the client.
func (c *Client) down(err error, at time.Time) {
	c.mu.Lock()
	c.link = nil
	clear(c.sids)
	calls := c.calls
	c.calls = make(map[uint64]*call)
	streams := make([]*Stream, 0, len(c.streams))
	for s := range c.streams {
		streams = append(streams, s)
	}
	c.mu.Unlock()
	for _, w := range calls {
		w.reply(ErrDisconnected)
	}
	for _, s := range streams {
		s.mu.Lock()
		for _, y := range s.symbols {
			// Without a broken state's snapshot it cannot be resumed; the new
			// connection brings one anyway.
			y.resumes = y.has
			y.broken = false
		}
		s.mu.Unlock()
		s.event(&Disconnected{Err: err, At: at})
	}
	if c.ctx.Err() == nil {
		c.opts.Logger.Warn("disconnected", "error", err)
	}
}

// idOf returns the number of a request that a reply repeats, 0 for none of ours.
func idOf(id json.Number) uint64 {
	n, err := id.Int64()
	if err != nil || n < 0 {
		return 0
	}
	return uint64(n)
}
