package streamer

import (
	"bufio"
	"fmt"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/streamer/wire"
)

// read handles what the client sends until the connection or the client's manners fail,
// and returns the reason.
//
// While nothing comes, as is the rule, the goroutine has nothing on its stack but what
// it waits in, and stays the smallest there is: a server has more of them than of
// anything else. What comes is read on another one's, which ends with it.
func (c *socket) read() string {
	if c.raw == nil {
		return c.readAll()
	}
	for {
		if err := c.raw.Read(readable); err != nil {
			return c.whyEnded(err)
		}
		done := make(chan string)
		go func() { done <- c.readSome() }()
		if reason := <-done; reason != "" {
			return reason
		}
	}
}

// readSome handles what has come, and returns when nothing of it is left; a reason if
// the session is to end.
func (c *socket) readSome() string {
	f := frameReaders.Get().(*frames)
	f.src.Reset(c.net)
	f.deflate = c.deflate
	for {
		if reason := c.readOne(f, c.session.handle); reason != "" {
			return reason
		}
		if f.idle() {
			f.src.Reset(nil)
			frameReaders.Put(f)
			return ""
		}
	}
}

// readAll is read where there is no way to wait but in a read.
func (c *socket) readAll() string {
	f := &frames{src: bufio.NewReaderSize(c.net, 128), deflate: c.deflate}
	for {
		if reason := c.readOne(f, c.handle); reason != "" {
			return reason
		}
	}
}

// readOne reads a message or a control frame and handles it.
func (c *socket) readOne(f *frames, handle func([]byte) bool) (reason string) {
	s := c.session
	opcode, payload, err := f.next()
	switch {
	case err != nil || s.over():
		return c.whyEnded(err)
	case len(payload) > wire.MaxRequestBytes:
		return reasonLarge // it is what it decompresses to
	}
	c.alive()
	switch {
	case opcode == websocket.PongMessage:
		return ""
	case opcode == websocket.PingMessage:
		s.mu.Lock()
		s.pong, s.hasPong = payload, true
		s.arrange(0)
		s.mu.Unlock()
		return ""
	case !s.limit.Allow():
		c.bad++
		s.refuse(&wire.Error{Code: wire.CodeRateLimited, Message: fmt.Sprintf("at most %d requests a second", s.hub.cfg.RequestRate), RetryAfter: 1000})
	case handle(payload):
		c.bad++
	default:
		c.bad = 0
	}
	if c.bad >= maxBad {
		return reasonAbuse
	}
	return ""
}

// handle does a request on a stack of its own: reading one grows a stack fourfold,
// and the reader's is kept as long as the connection.
func (c *socket) handle(text []byte) (bad bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		bad = c.session.handle(text)
	}()
	<-done
	return bad
}

// whyEnded returns why there is nothing more to read: the session's end, or an error.
func (c *socket) whyEnded(err error) string {
	if c.session.over() {
		return c.session.endReason()
	}
	return whyRead(err)
}
