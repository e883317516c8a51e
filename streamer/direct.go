package streamer

import (
	"errors"
	"fmt"
	"io"

	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Direct is a hub without goroutines and without a clock: time is what it is told.
// The same updates at the same times give the same messages, to the byte. It is
// how a recording is replayed as fast as it can be read. It belongs to one
// goroutine.
type Direct struct {
	hub     *Hub
	session *session
	now     int64
	out     lines
	err     error
}

// NewDirect returns a Direct with one client, which has no subscription yet and
// whose messages go to w as they arise, one a line. Lanes and Now of the config
// are not used.
func NewDirect(cfg Config, w io.Writer) *Direct {
	d := &Direct{out: lines{w: w}}
	cfg.Lanes = 1
	cfg.Now = func() int64 { return d.now }
	d.hub = NewHub(cfg)
	d.hub.inline, d.hub.awaits = true, true
	d.session = newSession(d.hub, "direct", "")
	d.hub.sessions[d.session] = struct{}{}
	return d
}

// Subscribe starts streams, now or, for symbols and venues that are not known
// yet, when they appear.
func (d *Direct) Subscribe(req wire.Request) error {
	if _, err := d.hub.cfg.Directory.Venue(req.Venue); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := d.session.subscribe(&req); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	d.drain()
	return d.err
}

// Advance tells the time, ns since the Unix epoch, and sends what is due by then.
// Time never goes back: an earlier one is ignored.
func (d *Direct) Advance(now int64) {
	if now > d.now {
		d.now = now
	}
	d.hub.lanes[0].tick(d.now)
	d.drain()
}

// Finish sends everything that still waits for its interval to pass, as if time
// went on without anything happening.
func (d *Direct) Finish() {
	for {
		due, ok := d.hub.lanes[0].schedule.next()
		if !ok {
			return
		}
		d.Advance(due)
	}
}

// Update implements orderbook.Sink.
func (d *Direct) Update(u *orderbook.Update) {
	d.hub.lanes[0].update(u, d.now)
	select {
	case <-d.hub.heard:
		d.hub.takeIn()
	default:
	}
	d.drain()
}

// Watermark implements orderbook.WatermarkSink.
func (d *Direct) Watermark(until int64) {
	d.hub.lanes[0].advance(until, d.now)
	d.drain()
}

// Flush implements orderbook.Sink.
func (d *Direct) Flush() {}

// Err returns the first error of writing.
func (d *Direct) Err() error { return d.err }

// drain writes the messages that have not been written yet.
func (d *Direct) drain() {
	for d.err == nil {
		w := d.session.take(d.now)
		if w.empty() {
			d.note(d.session.tellWatermarks(w.watermark, &d.out))
			return
		}
		for _, m := range w.messages {
			d.out.add(m, 1)
			d.out.add(newline, 0)
		}
		for _, f := range w.fetches {
			_ = d.session.refetch(f, &d.out)
		}
		_ = d.session.collectAll(&w.every, true, &d.out)
		_ = d.session.collectAll(&w.state, false, &d.out)
		d.note(d.out.err)
		d.hub.lanes[0].deliver(d.now)
		if d.session.over() {
			d.note(errors.New("session ended: " + d.session.endReason()))
		}
	}
}

func (d *Direct) note(err error) {
	if d.err == nil {
		d.err = err
	}
}

// lines is an output that writes one message a line.
type lines struct {
	w   io.Writer
	err error // the first of writing
}

// room implements output.
func (l *lines) room(int) error { return l.err }

// add implements output.
func (l *lines) add(run []byte, _ int) {
	if l.err != nil {
		return
	}
	if _, err := l.w.Write(run); err != nil {
		l.err = fmt.Errorf("write message: %w", err)
	}
}
