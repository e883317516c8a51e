package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/feeds"
)

// Writer writes a capture. It belongs to one goroutine; a [Recorder] serves
// several. The first error of the file ends it: every later call returns it.
type Writer struct {
	w    io.Writer
	file *os.File // what Create opened; nil for NewWriter
	enc  *zstd.Encoder
	salt uint32
	err  error

	size    int64  // bytes written
	frames  uint64 // frames taken, in the open block too
	entries []byte // of the blocks written, in their stored form

	// The open block.
	raw   []byte
	head  blockHead
	prev  int64
	feeds map[feedKey]uint64
	last  feedKey // the feed of the latest frame and its number
	lastN uint64

	out []byte
}

type feedKey struct{ name, provider string }

// Create makes the file at path, which must not exist, and writes the header.
func Create(path string, h Header) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create capture: %w", err)
	}
	w, err := NewWriter(f, h)
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	w.file = f
	return w, nil
}

// NewWriter writes the header to w. Every block goes to w in one call of its
// Write. The capture is complete only after Close, which does not close w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	if h.Created.IsZero() {
		h.Created = time.Now()
	}
	b, err := h.append(nil)
	if err != nil {
		return nil, err
	}
	// The window is as wide as a normal block: wider costs memory and gains
	// nothing. The frame's own checksum lets `zstd -t` test a capture.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true),
		zstd.WithWindowSize(2*blockTarget), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("create capture: %w", err)
	}
	cw := &Writer{w: w, enc: enc, salt: order.Uint32(b[len(b)-4:]), feeds: make(map[feedKey]uint64)}
	if err := cw.put(b); err != nil {
		return nil, err
	}
	return cw, nil
}

// Write adds f to the capture. The payload is copied. It reaches the file when
// its block is full, and with Flush or Close. A frame beyond the bounds is
// refused with [ErrTooLarge] and leaves the capture as it was.
func (w *Writer) Write(f feeds.Frame) error {
	if w.err != nil {
		return w.err
	}
	if !fits(f) {
		return fmt.Errorf("%w: feed %.40q, payload %d bytes, url %d bytes", ErrTooLarge, f.Feed, len(f.Payload), len(f.URL))
	}
	// Ten bytes a number is more than enough.
	if need := len(f.Payload) + len(f.URL) + len(f.Feed) + len(f.Provider) + 80; w.head.frames > 0 &&
		(len(w.raw)+need > blockTarget || len(w.feeds) == maxFeeds) {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	feed := w.feed(feedKey{f.Feed, f.Provider})

	h := &w.head
	if h.frames == 0 {
		h.first, h.min, h.max = f.Received, f.Received, f.Received
		w.prev = f.Received
	}
	h.min, h.max = min(h.min, f.Received), max(h.max, f.Received)
	delta := zigzag(f.Received - w.prev)
	w.prev = f.Received

	flags, n := byte(0), 3+uvarintLen(feed)+uvarintLen(delta)+len(f.Payload)
	if f.Binary {
		flags |= flagBinary
	}
	if f.URL != "" {
		flags |= flagURL
		n += uvarintLen(uint64(len(f.URL))) + len(f.URL)
	}
	b := binary.AppendUvarint(w.raw, uint64(n))
	b = append(b, recordFrame, byte(f.Kind), flags)
	b = binary.AppendUvarint(b, feed)
	b = binary.AppendUvarint(b, delta)
	if f.URL != "" {
		b = binary.AppendUvarint(b, uint64(len(f.URL)))
		b = append(b, f.URL...)
	}
	w.raw = append(b, f.Payload...)
	h.frames++
	w.frames++
	if len(w.raw) >= blockTarget {
		return w.Flush()
	}
	return nil
}

func fits(f feeds.Frame) bool {
	return len(f.Payload) <= MaxPayload && len(f.URL) <= maxURL && len(f.Feed) <= maxName && len(f.Provider) <= maxName
}

// feed returns the feed's number in the open block, declaring it if need be.
func (w *Writer) feed(k feedKey) uint64 {
	if len(w.feeds) > 0 && w.last == k {
		return w.lastN
	}
	n, ok := w.feeds[k]
	if !ok {
		n = uint64(len(w.feeds))
		w.feeds[k] = n
		size := 1 + uvarintLen(uint64(len(k.name))) + len(k.name) + uvarintLen(uint64(len(k.provider))) + len(k.provider)
		b := binary.AppendUvarint(w.raw, uint64(size))
		b = append(b, recordFeed)
		b = binary.AppendUvarint(b, uint64(len(k.name)))
		b = append(b, k.name...)
		b = binary.AppendUvarint(b, uint64(len(k.provider)))
		w.raw = append(b, k.provider...)
	}
	w.last, w.lastN = k, n
	return n
}

// Flush closes the open block and writes it, so that what was taken so far
// survives the end of the process. It does not wait for the disk. Flushing
// often costs compression.
func (w *Writer) Flush() error {
	if w.err != nil || w.head.frames == 0 {
		return w.err
	}
	// The head's place is kept free, so that head and content go out together.
	out := w.enc.EncodeAll(w.raw, append(w.out[:0], make([]byte, headSize)...))
	h := &w.head
	h.number = uint64(len(w.entries) / indexEntry)
	h.firstFrame = w.frames - uint64(h.frames)
	h.raw, h.stored = uint32(len(w.raw)), uint32(len(out)-headSize)
	h.crcRaw, h.crcStored = checksum(w.raw), checksum(out[headSize:])
	h.append(out[:0], w.salt)
	e := entry{offset: w.size, firstFrame: h.firstFrame, frames: h.frames, raw: h.raw, min: h.min, max: h.max}
	if err := w.put(out); err != nil {
		return err
	}
	w.entries = e.append(w.entries)
	w.raw, w.out = reuse(w.raw), reuse(out)
	clear(w.feeds)
	*h = blockHead{}
	return nil
}

// reuse empties b, and lets go of what one huge frame made it.
func reuse(b []byte) []byte {
	if cap(b) > 16*blockTarget {
		return nil
	}
	return b[:0]
}

// Close flushes, writes the index and, if Create made the file, hands it to the
// disk and closes it. Without Close a capture counts as truncated.
func (w *Writer) Close() error {
	if errors.Is(w.err, ErrClosed) {
		return w.err
	}
	err := w.Flush()
	if err == nil {
		err = w.put(appendIndex(w.out[:0], w.salt, w.frames, w.entries, w.size))
	}
	if w.file != nil {
		if err == nil {
			err = w.file.Sync()
		}
		err = errors.Join(err, w.file.Close())
	}
	w.enc.Close()
	w.err = ErrClosed
	if err != nil {
		return fmt.Errorf("close capture: %w", err)
	}
	return nil
}

// Frames returns how many frames were taken.
func (w *Writer) Frames() uint64 { return w.frames }

// Size returns how many bytes went to the file; the open block is not among
// them.
func (w *Writer) Size() int64 { return w.size }

func (w *Writer) put(b []byte) error {
	n, err := w.w.Write(b)
	w.size += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("write capture: %w", err)
	}
	return w.err
}
