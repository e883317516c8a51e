package streamer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/streamer/wire"
)

const (
	// batchSize is how much is written to a socket at once: messages that wait are
	// joined up to it. Larger messages go by themselves.
	batchSize = 64 << 10
	// shareSize is from what size on a run of messages is written from the log's own
	// memory; smaller ones are cheaper to copy.
	shareSize = 1 << 10
	// turnSize is how much one session writes in one turn while others wait.
	turnSize = 256 << 10
)

var (
	// errBlocked means that the socket took a part; what is left is the pen's rest.
	errBlocked = errors.New("the socket takes no more")
	// errYield means that it is the next session's turn.
	errYield = errors.New("turn is over")
)

// maxHeader is the largest header of a frame from a server, which carries no
// mask (RFC 6455, section 5.2).
const maxHeader = 10

// pen joins messages into WebSocket frames and writes them: small messages are
// copied, long runs of a log go as they are. A writer has one; who waits for a
// socket borrows one.
type pen struct {
	hub  *Hub
	now  int64 // lane time of the last look at the clock
	late bool  // the writer's last round took long

	socket  *socket
	buf     []byte   // copies, after room for a header
	parts   [][]byte // of the frame's payload, in buf or in a log
	runs    []bool   // which of the parts are of a log; where the client takes compressed messages only
	sources [][]byte // what was added, copied or not, of logs and of other memory that never changes; one more than spoolRuns are too many
	private bool     // something was put whose memory may
	copied  bool     // the last part is a copy: it ends where buf does
	leading bool     // the first one is: it begins where the header ends
	size    int      // bytes of parts
	added   int64    // bytes in this turn
	written int      // bytes in this turn
	told    int64    // messages in this turn
	rest    net.Buffers
	try     attempt

	stats penStats
}

// penStats is what was written since it was counted last.
type penStats struct{ messages, writes, bytes, shared, blocked int64 }

var pens = sync.Pool{New: func() any { return &pen{buf: make([]byte, maxHeader, maxHeader+batchSize)} }}

// newPen borrows a pen.
func newPen(h *Hub) *pen {
	p := pens.Get().(*pen)
	p.hub, p.now = h, h.cfg.Now()
	return p
}

func (p *pen) open(h *Hub) {
	p.hub, p.buf = h, make([]byte, maxHeader, maxHeader+batchSize)
	p.try.init()
}

// free gives the pen back.
func (p *pen) free() {
	p.count()
	p.socket = nil
	pens.Put(p)
}

// count adds what was written to the metrics.
func (p *pen) count() {
	m, n := p.hub.metrics, &p.stats
	if n.writes == 0 {
		return
	}
	m.delivered.Add(float64(n.messages))
	m.writes.Add(float64(n.writes))
	m.bytes.Add(float64(n.bytes))
	m.shared.Add(float64(n.shared))
	m.blocked.Add(float64(n.blocked))
	*n = penStats{}
}

// begin is called before a session's turn.
func (p *pen) begin(c *socket) {
	p.socket, p.written, p.told, p.added = c, 0, 0, 0
	p.clear()
}

func (p *pen) clear() {
	clear(p.parts)
	p.buf, p.parts, p.runs, p.size = p.buf[:maxHeader], p.parts[:0], p.runs[:0], 0
	p.copied, p.leading, p.private = false, false, false
	clear(p.sources)
	p.sources = p.sources[:0]
}

// room implements output.
func (p *pen) room(n int) error {
	if p.size == 0 || p.size+n <= batchSize {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	if p.socket.bare || p.written >= turnSize && p.socket.raw != nil {
		return errYield
	}
	return nil
}

// add implements output.
func (p *pen) add(run []byte, n int) {
	p.stats.messages += int64(n)
	p.told += int64(n)
	if len(p.sources) <= spoolRuns {
		p.sources = append(p.sources, run)
	}
	p.join(run, len(run) >= shareSize)
}

// addMessage adds a message without a separator.
func (p *pen) addMessage(msg []byte) {
	p.stats.messages++
	p.told++
	p.put(msg)
	if sep := separators[p.socket.session.format]; len(sep) > 0 {
		p.put(sep)
	}
}

// put appends bytes to the frame: a copy, joined to the part before if that is one
// too, or, where they are many, the bytes themselves.
func (p *pen) put(b []byte) {
	p.private = true
	p.join(b, false)
}

// join is put for bytes of which it is known whether they are a run of a log.
func (p *pen) join(b []byte, run bool) {
	p.size += len(b)
	p.added += int64(len(b))
	from := len(p.buf)
	if len(b) >= shareSize || from+len(b) > cap(p.buf) {
		p.parts, p.copied = append(p.parts, b), false
		p.runs = append(p.runs, run)
		return
	}
	p.buf = append(p.buf, b...)
	if p.copied {
		last := &p.parts[len(p.parts)-1]
		*last = p.buf[from-len(*last):]
		return
	}
	p.leading = len(p.parts) == 0
	p.parts, p.copied = append(p.parts, p.buf[from:]), true
	p.runs = append(p.runs, false)
}

// flush writes what was added as one frame.
func (p *pen) flush() error {
	if p.size == 0 {
		return nil
	}
	if p.socket.deflate {
		if done, err := p.flushDeflated(); done {
			return err
		}
	}
	format := p.socket.session.format
	if p.socket.bare {
		p.hand(len(format.Separator()))
		return nil
	}
	if format == wire.FormatEvents {
		err := p.write(p.parts, p.shared())
		p.clear()
		return err
	}
	last, sep := &p.parts[len(p.parts)-1], len(format.Separator())
	*last = (*last)[:len(*last)-sep] // none after the last message
	start := header(p.buf, opcode(format), p.size-sep)
	if p.leading {
		p.parts[0] = p.buf[start : maxHeader+len(p.parts[0])]
	} else {
		p.parts = slices.Insert(p.parts, 0, p.buf[start:maxHeader])
	}
	if last := len(p.parts) - 1; len(p.parts[last]) == 0 {
		p.parts = p.parts[:last] // it was but the separator
	}
	err := p.write(p.parts, p.shared())
	p.clear()
	return err
}

// shared returns what the frame is made of, if none of its memory changes: who is sent
// the same memory is sent the same.
func (p *pen) shared() [][]byte {
	if p.private {
		return nil
	}
	return p.sources
}

// flushDeflated writes what was added as one compressed frame; false if nothing in
// it is to be compressed, and then nothing was written.
func (p *pen) flushDeflated() (bool, error) {
	if !slices.Contains(p.runs, true) {
		return false, nil
	}
	format := p.socket.session.format
	sep := len(format.Separator())
	last := &p.parts[len(p.parts)-1]
	whole := *last
	*last = whole[:len(whole)-sep]
	parts, size := p.hub.packer.deflate(p.parts, p.runs, sep)
	if *last = whole; parts == nil {
		return false, nil
	}
	start := header(p.buf, 0x40|opcode(format), size) // RSV1: compressed
	p.size = size
	err := p.write(slices.Insert(parts, 0, p.buf[start:maxHeader]), nil)
	p.clear()
	return true, err
}

// hand gives what was added to a reader in the same process.
func (p *pen) hand(separator int) {
	c := p.socket
	for _, b := range p.parts {
		c.frame = append(c.frame, b...)
	}
	c.frame = c.frame[:len(c.frame)-separator] // none after the last message
	p.stats.writes++
	p.stats.bytes += int64(len(c.frame))
	p.written += len(c.frame)
	p.clear()
}

// control writes a control frame; its payload is at most 125 bytes. Events have
// none, but for a comment that keeps proxies from taking the client for gone.
func (p *pen) control(opcode byte, payload []byte) error {
	if p.socket.bare {
		return p.flush()
	}
	if p.socket.session.format == wire.FormatEvents {
		if opcode == websocket.PingMessage {
			p.put(keepAlive)
		}
		return p.flush()
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.buf = append(p.buf, payload[:min(len(payload), 125)]...)
	start := header(p.buf, opcode, len(p.buf)-maxHeader)
	p.parts = append(p.parts, p.buf[start:])
	err := p.write(p.parts, nil)
	p.clear()
	return err
}

// opcode returns the kind of data frame that carries the format.
func opcode(f wire.Format) byte {
	if f == wire.FormatProto {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

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

// write writes the parts: at once as far as the socket takes them, or, where
// there is no way to know, to the end. Where others may be sent the same, it is told
// what of logs the parts are made of.
func (p *pen) write(parts, sources [][]byte) error {
	c := p.socket
	size := 0
	for _, b := range parts {
		size += len(b)
	}
	p.stats.writes++
	var n int
	var err error
	if c.raw != nil && p.try.ready() {
		held := p.hub.spool.hold(parts, sources, size)
		var sent bool
		n, sent, err = p.try.write(c.raw, parts, held)
		if held != nil {
			p.hub.spool.release(held)
		}
		if sent {
			p.stats.shared += int64(n)
		}
		if err == nil && n < size {
			p.stats.blocked++
			p.keep(parts, n)
			err = errBlocked
		}
	} else if err = c.deadline(); err == nil {
		for _, b := range parts {
			var m int
			m, err = c.net.Write(b)
			if n += m; err != nil {
				break
			}
		}
	}
	p.stats.bytes += int64(n)
	p.written += n
	if err != nil && !errors.Is(err, errBlocked) {
		return fmt.Errorf("write to %s: %w", c.session.remote, err)
	}
	return err
}

// keep makes the parts from byte n on the rest. What may be in the pen's buffer is
// copied; a frame that is larger is one message of a log, with little before it.
func (p *pen) keep(parts [][]byte, n int) {
	p.rest = nil
	for _, b := range parts {
		if n >= len(b) {
			n -= len(b)
			continue
		}
		b, n = b[n:], 0
		if len(b) < shareSize || p.size <= batchSize {
			b = slices.Clone(b)
		}
		p.rest = append(p.rest, b)
	}
}

// wrote returns how much of this turn is written, or will be by who waits.
func (p *pen) wrote() int64 {
	n := p.written
	for _, b := range p.rest {
		n += len(b)
	}
	return int64(n)
}

// takeRest returns what the socket did not take, to be written by who waits for it.
func (p *pen) takeRest() net.Buffers {
	rest := p.rest
	p.rest = nil
	return rest
}

var newline = []byte{'\n'}

// keepAlive is a comment of an event stream.
var keepAlive = []byte(": keep-alive\n\n")

// separators are what stands between messages, by format.
var separators = [wire.NumFormats][]byte{wire.FormatJSON: newline, wire.FormatEvents: []byte("\n\n")}
