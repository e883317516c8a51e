package streamer

import (
	"fmt"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/streamer/wire"
)

// drain writes everything that waits, joined into as few writes as it fits. What
// it does not come to waits on.
func (c *socket) drain(p *pen) error {
	s := c.session
	w := s.take(p.now)
	s.late = p.late && !w.widened
	c.begun, c.since, c.states, c.spacing, c.hold = p.now, w.since(), !w.state.empty(), w.spacing, 0
	switch {
	case w.rate == 0:
		c.budget = nil
	case c.budget == nil || c.budget.rate != w.rate:
		c.budget = newBudget(w.rate, p.now)
	}
	p.begin(c)
	err := c.fill(p, &w)
	if c.budget != nil && !w.state.empty() {
		c.hold = c.budget.until(p.now)
	}
	if err != nil || !w.state.empty() {
		s.putBack(&w)
	}
	p.now = s.hub.cfg.Now()
	return err
}

// since returns when the first of the streams that wait was due, 0 if none waits.
func (w *waiting) since() int64 {
	switch {
	case w.every.empty() && w.state.empty():
		return 0
	case w.state.empty():
		return w.every.since
	case w.every.empty():
		return w.state.since
	}
	return min(w.every.since, w.state.since)
}

// fill hands what waits to the pen and takes it off the list, up to an error.
func (c *socket) fill(p *pen, w *waiting) (err error) {
	if w.hasPong {
		w.hasPong = false
		if err := p.control(websocket.PongMessage, w.pong); err != nil {
			return err
		}
	}
	for len(w.messages) > 0 {
		m := w.messages[0]
		if err := p.room(len(m) + 1); err != nil {
			return err
		}
		p.addMessage(m)
		w.messages = w.messages[1:]
	}
	for len(w.fetches) > 0 {
		if err := c.session.refetch(w.fetches[0], p); err != nil {
			return err
		}
		w.fetches = w.fetches[1:]
	}
	if err := c.streams(p, w); err != nil {
		return err
	}
	if w.every.empty() {
		if err := c.session.tellWatermarks(w.watermark, p); err != nil {
			return err
		}
		w.covered = false
	}
	if m := c.session.marks; m != nil && m.moved {
		p.put(m.appendID(nil))
	}
	if !w.beating {
		return p.flush()
	}
	// A heartbeat, and a ping, whose pong shows that the client lives.
	beat := wire.Heartbeat{TX: c.session.hub.cfg.Now() / 1000, Lag: c.lag, Interval: c.session.widened()}
	m, err := c.session.format.Append(nil, &beat)
	if err != nil {
		return fmt.Errorf("encode heartbeat: %w", err)
	}
	if err := p.room(len(m) + 1); err != nil {
		return err
	}
	p.addMessage(m)
	c.session.hub.metrics.lag.Observe(float64(c.lag) / 1e3)
	c.lag, w.beating = 0, false
	return p.control(websocket.PingMessage, nil)
}

// streams hands the pen what streams have, as far as the budget goes.
func (c *socket) streams(p *pen, w *waiting) (err error) {
	s, b := c.session, c.budget
	if b == nil {
		if err = s.collectAll(&w.every, true, p); err == nil {
			err = s.collectAll(&w.state, false, p)
		}
		return err
	}
	b.refill(p.now)
	b.tokens -= p.added // replies
	if err = b.every(s, &w.every, p); err == nil {
		err = b.spend(s, &w.state, p)
	}
	return err
}

// wrote takes note that what was taken in a turn is in the socket.
func (c *socket) wrote(now int64) {
	if c.since > 0 {
		c.lag = max(c.lag, (now-c.since)/1e6)
	}
}

// widened returns the interval to which the session's was widened, "" if it was not.
func (s *session) widened() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pace.width == 0 {
		return ""
	}
	return wire.FormatInterval(time.Duration(s.pace.width))
}

// finish waits until the socket has taken what is left of a turn, and ends it.
func (c *socket) finish(rest net.Buffers) {
	s := c.session
	began := time.Now()
	err := c.deadline()
	if err == nil {
		_, err = rest.WriteTo(c.net)
	}
	if err == nil && s.hub.cfg.WriteTimeout > 0 {
		// Else it would end a later turn.
		err = c.net.SetWriteDeadline(time.Time{})
		if s.over() {
			c.hurry()
		}
	}
	if err != nil {
		c.fail()
		return
	}
	c.done(s.hub.cfg.Now(), time.Since(began))
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

// beat makes a heartbeat due; false if the session ends. Under mu.
func (s *session) beat(now int64) bool {
	if s.ending {
		return false
	}
	s.beating = true
	s.arrange(now)
	return true
}

// shutdownNotice is the last that a client hears of a server that stops.
func (h *Hub) shutdownNotice() *wire.Error {
	return &wire.Error{Code: wire.CodeServerShutdown, Message: "the server is stopping; come back", RetryAfter: h.comeBack()}
}

// bye sends what waits, the last words and a close frame that says why.
func (c *socket) bye() {
	defer close(c.written)
	s := c.session
	p := newPen(s.hub)
	defer p.free()
	code, text := websocket.CloseNormalClosure, ""
	switch s.endReason() {
	case reasonShutdown:
		if c.drain(p) != nil {
			return
		}
		s.send(s.hub.shutdownNotice())
		code, text = websocket.CloseServiceRestart, "server shutdown"
	case reasonAbuse, reasonUnread, reasonUnauthorized:
		code, text = websocket.ClosePolicyViolation, s.endReason()
	case reasonLarge:
		code, text = websocket.CloseMessageTooBig, "request too large"
	case reasonProtocol:
		code, text = websocket.CloseProtocolError, "not a WebSocket frame of a client"
	case reasonTimeout:
		code, text = websocket.ClosePolicyViolation, "no answer to pings"
	}
	if s.endReason() != reasonClient && c.drain(p) != nil {
		return
	}
	p.begin(c)
	_ = p.control(websocket.CloseMessage, websocket.FormatCloseMessage(code, text))
}
