package streamer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/flate"

	"github.com/quotewire/quotewire/streamer/wire"
)

// frames reads what a client sends over a WebSocket (RFC 6455, section 5): messages,
// put together from their frames, and control frames between them.
//
// It is not kept by a connection on which nothing comes: what the library keeps of
// each is more than all that a session needs.
type frames struct {
	src     *bufio.Reader
	deflate bool // messages may be compressed

	// The message that has begun and not ended.
	open   bool
	opcode byte
	packed bool // it is compressed
	text   []byte
}

// Bits of a frame's first two bytes.
const (
	bitFinal = 0x80
	bitRSV1  = 0x40
	bitsRSV  = 0x70
	bitMask  = 0x80

	opContinuation = 0
	maxControl     = 125 // bytes of a control frame's payload
)

// frameReaders are borrowed by connections on which something comes.
var frameReaders = sync.Pool{New: func() any { return &frames{src: bufio.NewReaderSize(nil, 512)} }}

// protocolError is what is wrong with a client's frame.
type protocolError string

func (e protocolError) Error() string { return "websocket frame: " + string(e) }

// idle reports whether nothing of what was read is left, and no message has begun.
func (f *frames) idle() bool { return !f.open && f.src.Buffered() == 0 }

// next returns the next message, or the next ping or pong. A close frame is an
// error, a [websocket.CloseError], as are requests that are too long,
// [websocket.ErrReadLimit].
func (f *frames) next() (opcode byte, payload []byte, err error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(f.src, head[:]); err != nil {
			return 0, nil, err
		}
		opcode, final := head[0]&0xf, head[0]&bitFinal != 0
		if bad := f.refused(head); bad != "" {
			return 0, nil, protocolError(bad)
		}
		n, err := f.length(head[1] &^ bitMask)
		if err != nil {
			return 0, nil, err
		}
		var mask [4]byte
		if _, err := io.ReadFull(f.src, mask[:]); err != nil {
			return 0, nil, err
		}
		if opcode >= websocket.CloseMessage {
			payload := make([]byte, n)
			if _, err := io.ReadFull(f.src, payload); err != nil {
				return 0, nil, err
			}
			unmask(payload, mask)
			if opcode == websocket.CloseMessage {
				return 0, nil, closed(payload)
			}
			return opcode, payload, nil
		}
		if opcode != opContinuation {
			f.open, f.opcode, f.packed, f.text = true, opcode, head[0]&bitRSV1 != 0, nil
		}
		if n > uint64(wire.MaxRequestBytes-len(f.text)) {
			return 0, nil, websocket.ErrReadLimit
		}
		if err := f.read(int(n), mask); err != nil {
			return 0, nil, err
		}
		if !final {
			continue
		}
		text := f.text
		f.open, f.text = false, nil
		if f.packed {
			text, err = unpack(text)
		}
		return f.opcode, text, err
	}
}

// refused returns what is wrong with a frame's first bytes, "" if nothing is.
func (f *frames) refused(head [2]byte) string {
	opcode, reserved := head[0]&0xf, head[0]&bitsRSV
	if reserved == bitRSV1 && f.deflate && (opcode == websocket.TextMessage || opcode == websocket.BinaryMessage) {
		reserved = 0
	}
	switch {
	case reserved != 0:
		return "a reserved bit is set"
	case head[1]&bitMask == 0:
		return "it has no mask"
	}
	switch opcode {
	case websocket.CloseMessage, websocket.PingMessage, websocket.PongMessage:
		if head[1]&^bitMask > maxControl || head[0]&bitFinal == 0 {
			return "a control frame is long, or not all of its message"
		}
	case websocket.TextMessage, websocket.BinaryMessage:
		if f.open {
			return "a message begins before the one before it ends"
		}
	case opContinuation:
		if !f.open {
			return "it continues no message"
		}
	default:
		return "its kind is not known"
	}
	return ""
}

// length returns a frame's length, which is as the first byte tells or in those after
// it.
func (f *frames) length(first byte) (uint64, error) {
	var b [8]byte
	switch first {
	case 126:
		_, err := io.ReadFull(f.src, b[6:])
		return binary.BigEndian.Uint64(b[:]), err
	case 127:
		if _, err := io.ReadFull(f.src, b[:]); err != nil {
			return 0, err
		}
		if b[0]&0x80 != 0 {
			return 0, websocket.ErrReadLimit // RFC 6455 forbids it
		}
		return binary.BigEndian.Uint64(b[:]), nil
	}
	return uint64(first), nil
}

// read appends n bytes to the message. Memory is taken as they come: a length is easily
// told.
func (f *frames) read(n int, mask [4]byte) error {
	for begin := len(f.text); n > 0; {
		from, part := len(f.text), min(n, max(512, len(f.text)))
		f.text = slices.Grow(f.text, part)[:from+part]
		if _, err := io.ReadFull(f.src, f.text[from:]); err != nil {
			return err
		}
		if n -= part; n == 0 {
			unmask(f.text[begin:], mask)
		}
	}
	return nil
}

// unmask takes a client's mask off.
func unmask(b []byte, mask [4]byte) {
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// closed returns a close frame as an error.
func closed(payload []byte) error {
	if len(payload) < 2 {
		return &websocket.CloseError{Code: websocket.CloseNoStatusReceived}
	}
	code, text := int(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case code >= 3000 && code <= 4999:
	case code < 1000, code > websocket.CloseTryAgainLater, code == 1004, code == websocket.CloseNoStatusReceived, code == websocket.CloseAbnormalClosure:
		return protocolError(fmt.Sprintf("nobody closes with %d", code))
	}
	if !utf8.Valid(text) {
		return protocolError("why it closes is not UTF-8")
	}
	return &websocket.CloseError{Code: code, Text: string(text)}
}

// unpackTail is what a compressed message leaves out (RFC 7692, section 7.2.2), and a
// last block, of nothing.
const unpackTail = deflateTail + "\x01\x00\x00\xff\xff"

var unpackers = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// unpack returns a compressed message as it was, as far as a request may be long and a
// byte further.
func unpack(data []byte) ([]byte, error) {
	r := unpackers.Get().(io.ReadCloser)
	defer unpackers.Put(r)
	from := io.MultiReader(bytes.NewReader(data), bytes.NewReader([]byte(unpackTail)))
	if err := r.(flate.Resetter).Reset(from, nil); err != nil {
		return nil, fmt.Errorf("unpack message: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, wire.MaxRequestBytes+1))
	if err != nil {
		return nil, fmt.Errorf("unpack message: %w", err)
	}
	return text, nil
}
