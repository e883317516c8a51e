package feeds

import (
	"context"
	"time"
)

// emit hands a frame downstream, and lets the watchdog know that meanwhile we
// do not wait for the provider. Answers beside the stream come from another
// goroutine than its messages, so there is a lock; nearly always it is free.
func (r *run) emit(f Frame) error {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	return r.hand(f)
}

// hand is emit with emitMu held. A frame without a receive time comes now.
func (r *run) hand(f Frame) error {
	if r.failed != nil {
		return r.failed
	}
	if f.Received == 0 {
		f.Received = time.Now().UnixNano()
	}
	if f.Kind == Data {
		r.s.frames.Add(1)
		r.s.bytes.Add(uint64(len(f.Payload)))
		r.s.lastFrame.Store(f.Received)
		r.speaks(f.Received)
	}
	r.s.emitting.Store(true)
	r.failed = r.downstream(f)
	r.s.emitting.Store(false)
	return r.failed
}

// failure returns what failed downstream.
func (r *run) failure() error {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	return r.failed
}

// replies returns what takes the answers of a connection while it is up. What
// fails downstream ends the connection, as it does for messages.
func (r *run) replies(try *Attempt, cancel context.CancelCauseFunc) func(string, []byte) error {
	return func(url string, payload []byte) error {
		r.emitMu.Lock()
		defer r.emitMu.Unlock()
		if try.hasEnded() {
			return errEnded
		}
		err := r.hand(Frame{Kind: Reply, Feed: r.s.Feed, Provider: r.s.Provider, URL: url, Payload: payload})
		if err != nil {
			cancel(err)
		}
		return err
	}
}

func (r *run) emitText(kind FrameKind, text string) error {
	return r.emit(Frame{Kind: kind, Feed: r.s.Feed, Provider: r.s.Provider, Payload: []byte(text)})
}

// emitDown tells of the end of a connection, and of a failed attempt if that
// is news.
func (r *run) emitDown(end *DisconnectError) error {
	if end.Cause == r.told || end.Cause == CauseClosed && !r.isUp() {
		return nil
	}
	r.told = end.Cause
	return r.emitText(Down, end.Error())
}

func (r *run) isUp() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.conn != nil
}

// emitUp hands on Up, then what came while connecting, and opens the way for
// answers.
func (r *run) emitUp(try *Attempt, conn Connection, cancel context.CancelCauseFunc) error {
	r.told = ""
	// The clock is read before what was kept is looked at: an answer may come between,
	// and must not have come before Up.
	f := Frame{Kind: Up, Feed: r.s.Feed, Provider: r.s.Provider, Received: time.Now().UnixNano()}
	if first := try.firstReceived(); first != 0 {
		f.Received = first
	}
	if c, ok := conn.(interface{ URL() string }); ok {
		f.URL = c.URL()
	}
	if err := r.emit(f); err != nil {
		return err
	}
	for {
		if err := r.emitKept(try); err != nil {
			return err
		}
		if try.open(r.replies(try, cancel)) {
			return nil
		}
	}
}

// emitKept hands on what came while connecting.
func (r *run) emitKept(try *Attempt) error {
	for _, m := range try.takeKept() {
		if err := r.emit(Frame{Kind: m.kind, Binary: m.binary, Feed: r.s.Feed, Provider: r.s.Provider,
			URL: m.url, Received: m.received, Payload: m.payload}); err != nil {
			return err
		}
	}
	return nil
}
