package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/feeds"
)

// Reader reads a capture from its start to its end, or from a time on. It
// belongs to one goroutine.
//
//	for {
//		f, err := r.Next()
//		var damage *capture.CorruptError
//		switch {
//		case err == io.EOF:
//			return nil // read to its end, all of it sound
//		case errors.As(err, &damage): // to go on behind the damage:
//			lost, err := r.SkipBlock()
//			…
//		case err != nil:
//			return err // ErrTruncated too: what came before is sound
//		}
//		…
//	}
type Reader struct {
	src  io.Reader
	file *os.File // what Open opened; nil for NewReader
	win  window
	dec  *zstd.Decoder
	head Header

	salt      uint32
	saltKnown bool // false after a damaged header until a sound head was seen

	// What the next block's numbers must be.
	nextBlock, nextFrame uint64

	// The block at hand.
	cur   blockHead
	block []byte // its content; capacity is kept
	rest  []byte // what of it is not read
	start int64  // offset of its head
	stop  int64  // offset behind it
	left  uint32 // frames of it that were not returned
	prev  int64
	table []feedKey
	known map[string]map[string]feedKey // so that names are made strings once

	damage   *CorruptError // returned until SkipBlock
	inBlock  bool          // the damage is within the block at hand
	rescan   int           // where SkipBlock begins its search, from the window's start
	cut      bool          // the latest error was ErrTruncated
	eof      bool
	seeking  bool // return no frame before from
	from     int64
	headOnly bool // do not unpack: for walking the heads
}

// Open opens the capture at path.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	r, err := NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open capture %s: %w", path, err), f.Close())
	}
	r.file = f
	return r, nil
}

// NewReader reads a capture from src, which stands at its start, and reads its
// header. [Reader.SeekTime] needs an io.ReaderAt and io.Seeker. Input that is
// no capture is [ErrFormat], a header cut short [ErrTruncated]. Where only the
// header is damaged, the first Next says so and [Reader.SkipBlock] goes on.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{src: src, win: window{r: src}, known: make(map[string]map[string]feedKey)}
	if err := r.readHeader(); err != nil {
		return nil, err
	}
	// Never more than the bound of a block, whatever the content claims.
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxContent+64))
	if err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	r.dec = dec
	return r, nil
}

func (r *Reader) readHeader() error {
	b, err := r.win.peek(tagEnd + 4)
	if len(b) >= tagEnd && (!bytes.Equal(b[:4], magicBytes) || string(b[8:tagEnd]) != tagHeader) {
		return ErrFormat
	}
	if err == io.EOF {
		if n := min(len(b), 4); !bytes.Equal(b[:n], magicBytes[:n]) {
			return ErrFormat
		}
		return fmt.Errorf("%w: it ends within its header", ErrTruncated)
	} else if err != nil {
		return fmt.Errorf("read capture: %w", err)
	}
	n := int64(order.Uint32(b[4:])) + 8
	if n < headerFix+4 || n > headerFix+maxMeta+4 {
		r.damaged(1, "the header has an impossible size")
		return nil
	}
	b, err = r.win.peek(int(n))
	switch {
	case err == io.EOF && bytes.Contains(b, []byte(tagBlock)):
		r.damaged(1, "the header has a false size")
		return nil
	case err == io.EOF:
		return fmt.Errorf("%w: it ends within its header", ErrTruncated)
	case err != nil:
		return fmt.Errorf("read capture: %w", err)
	case !sealed(b):
		r.damaged(1, "the header does not match its CRC")
		return nil
	case order.Uint16(b[16:]) > version:
		return fmt.Errorf("%w: version %d, this program reads up to %d", ErrVersion, order.Uint16(b[16:]), version)
	}
	h, reason := parseHeader(b)
	if reason != "" {
		return corrupt(0, "%s", reason)
	}
	r.head, r.salt, r.saltKnown = h, order.Uint32(b[n-4:]), true
	r.win.take(int(n))
	return nil
}

// Header returns what the capture says of itself; the map is the reader's.
func (r *Reader) Header() Header { return r.head }

// Offset returns how many bytes of the capture have been read, for showing
// progress: it moves block by block.
func (r *Reader) Offset() int64 { return r.win.off }

// Close gives back what the reader holds, and closes the file if Open opened it.
func (r *Reader) Close() error {
	r.dec.Close()
	if r.file != nil {
		return r.file.Close()
	}
	return nil
}

// Next returns the next frame. Its payload is valid until the next call. At
// the end of a complete capture it returns io.EOF; where the end is missing
// [ErrTruncated]; at damage a [*CorruptError], again and again until
// [Reader.SkipBlock] is called. These may be wrapped, io.EOF is not.
func (r *Reader) Next() (feeds.Frame, error) {
	for {
		switch {
		case r.damage != nil:
			return feeds.Frame{}, r.damage
		case r.left > 0:
			f, ok, reason := r.record()
			if reason != "" {
				r.damage, r.inBlock = corrupt(r.start, "block %d: %s", r.cur.number, reason), true
				continue
			}
			if ok && (!r.seeking || f.Received >= r.from) {
				r.seeking = false
				return f, nil
			}
		case r.eof:
			return feeds.Frame{}, io.EOF
		default:
			if err := r.load(); err != nil {
				return feeds.Frame{}, err
			}
		}
	}
}

// record reads one record of the block at hand; ok tells that it was a frame.
func (r *Reader) record() (f feeds.Frame, ok bool, reason string) {
	b, rest, sound := cutBytes(r.rest, maxContent)
	if !sound || len(b) == 0 {
		return f, false, "a record or a frame is missing in its content"
	}
	r.rest = rest
	switch b[0] {
	case recordFeed:
		name, b, ok1 := cutBytes(b[1:], maxName)
		provider, b, ok2 := cutBytes(b, maxName)
		if !ok1 || !ok2 || len(b) > 0 || len(r.table) == maxFeeds {
			return f, false, "malformed declaration of a feed"
		}
		r.table = append(r.table, r.intern(name, provider))
		return f, false, ""
	case recordFrame:
		return r.frame(b[1:])
	}
	return f, false, ""
}

func (r *Reader) frame(b []byte) (f feeds.Frame, ok bool, reason string) {
	if len(b) < 2 || b[1]&^(flagBinary|flagURL) != 0 {
		return f, false, "a frame has flags that this version does not know"
	}
	kind, flags, b := b[0], b[1], b[2:]
	feed, n := binary.Uvarint(b)
	if n <= 0 || feed >= uint64(len(r.table)) {
		return f, false, "a frame names a feed that is not declared"
	}
	b = b[n:]
	delta, n := binary.Varint(b)
	if n <= 0 {
		return f, false, "malformed receive time"
	}
	b = b[n:]
	if flags&flagURL != 0 {
		var url []byte
		if url, b, ok = cutBytes(b, maxURL); !ok {
			return f, false, "malformed URL"
		}
		f.URL = string(url)
	}
	if len(b) > MaxPayload {
		return f, false, "a payload exceeds the bound"
	}
	r.prev += delta
	r.left--
	k := r.table[feed]
	f.Kind, f.Binary = feeds.FrameKind(kind), flags&flagBinary != 0
	f.Feed, f.Provider, f.Received = k.name, k.provider, r.prev
	f.Payload = b
	return f, true, ""
}

func (r *Reader) intern(name, provider []byte) feedKey {
	if k, ok := r.known[string(provider)][string(name)]; ok {
		return k
	}
	k := feedKey{string(name), string(provider)}
	names := r.known[k.provider]
	if names == nil {
		names = make(map[string]feedKey)
		r.known[k.provider] = names
	}
	names[k.name] = k
	return k
}

// load reads up to the next block, or to the end.
func (r *Reader) load() error {
	r.cut = false
	b, err := r.win.peek(tagEnd + 4)
	if err != nil {
		return r.missing(err)
	}
	size := int64(order.Uint32(b[4:])) + 8
	switch {
	case !bytes.Equal(b[:4], magicBytes):
		return r.damaged(1, "there is no block where one should begin")
	case string(b[8:tagEnd]) == tagBlock:
		return r.loadBlock()
	case string(b[8:tagEnd]) == tagIndex:
		return r.loadIndex(size)
	case string(b[8:tagEnd]) == tagHeader:
		return r.damaged(1, "a second header: captures were joined; they are read as several files")
	case size < tagEnd+8 || size > maxUnknown:
		return r.damaged(1, "there is no block where one should begin")
	}
	if b, err = r.win.peek(int(size)); err != nil {
		return r.missing(err)
	}
	if !sealed(b) || !r.ours(order.Uint32(b[tagEnd:])) {
		return r.damaged(1, "an unknown part does not match its CRC")
	}
	r.win.take(int(size))
	return nil
}

func (r *Reader) loadBlock() error {
	b, err := r.win.peek(headSize)
	if err != nil {
		return r.missing(err)
	}
	var h blockHead
	salt, reason := h.parse(b)
	switch {
	case reason != "":
		return r.damaged(1, "%s", reason)
	case !r.ours(salt):
		return r.damaged(1, "a block of another capture")
	case h.number != r.nextBlock || h.firstFrame != r.nextFrame:
		if h.number < r.nextBlock || h.firstFrame < r.nextFrame {
			return r.damaged(1, "block %d again, where block %d should be", h.number, r.nextBlock)
		}
		return r.damaged(0, "%d blocks with %d frames are missing", h.number-r.nextBlock, h.firstFrame-r.nextFrame)
	}
	size := headSize + int(h.stored)
	if b, err = r.win.peek(size); err != nil {
		return r.missing(err)
	}
	r.cur, r.rest, r.left = h, nil, 0
	if r.headOnly {
		r.left = h.frames
	} else if err := r.unpack(b[headSize:]); err != nil {
		return err
	}
	r.start, r.stop = r.win.off, r.win.off+int64(size)
	r.nextBlock, r.nextFrame = h.number+1, h.firstFrame+uint64(h.frames)
	r.salt, r.saltKnown = salt, true
	r.win.take(size)
	return nil
}

func (r *Reader) unpack(b []byte) error {
	h := &r.cur
	if checksum(b) != h.crcStored {
		return r.damaged(1, "block %d: the content does not match its CRC", h.number)
	}
	// Decoding is faster with a little room to spare.
	if n := int(h.raw) + 64; cap(r.block) < n || cap(r.block) > 16*blockTarget && n < blockTarget {
		r.block = make([]byte, 0, n)
	}
	out, err := r.dec.DecodeAll(b, r.block[:0])
	if err != nil {
		return r.damaged(1, "block %d: %v", h.number, err)
	}
	if len(out) != int(h.raw) || checksum(out) != h.crcRaw {
		return r.damaged(1, "block %d: the unpacked content does not match its CRC", h.number)
	}
	r.block, r.rest, r.left = out, out, h.frames
	r.prev, r.table = h.first, r.table[:0]
	return nil
}

func (r *Reader) loadIndex(size int64) error {
	b, err := r.win.peek(indexFix)
	if err != nil {
		return r.missing(err)
	}
	if !indexSize(b) {
		return r.damaged(1, "the index has the wrong size")
	}
	if b, err = r.win.peek(int(size)); err != nil {
		return r.missing(err)
	}
	if !r.saltKnown {
		r.salt = order.Uint32(b[tagEnd:])
	}
	frames, entries, reason := parseIndex(b, r.salt, r.win.off)
	if reason != "" {
		return r.damaged(1, "%s", reason)
	}
	if blocks := uint64(len(entries) / indexEntry); blocks != r.nextBlock || frames != r.nextFrame {
		if blocks < r.nextBlock || frames < r.nextFrame {
			return r.damaged(1, "the index tells of fewer blocks than there are")
		}
		return r.damaged(0, "%d blocks with %d frames are missing", blocks-r.nextBlock, frames-r.nextFrame)
	}
	if b, err := r.win.peek(int(size) + 1); err == nil {
		r.win.take(int(size))
		r.eof = true
		return r.damaged(0, "data after the index")
	} else if err != io.EOF {
		return fmt.Errorf("read capture: %w", err)
	} else {
		r.win.take(len(b))
	}
	r.eof = true
	return nil
}

func (r *Reader) ours(salt uint32) bool { return !r.saltKnown || salt == r.salt }

// damaged notes damage at the window's start; the search for the next block
// begins rescan bytes on.
func (r *Reader) damaged(rescan int, format string, args ...any) error {
	r.damage, r.inBlock, r.rescan = corrupt(r.win.off, format, args...), false, rescan
	return r.damage
}

// missing makes the error of a peek that failed.
func (r *Reader) missing(err error) error {
	if err != io.EOF {
		return fmt.Errorf("read capture: %w", err)
	}
	r.cut = true
	return fmt.Errorf("%w at byte %d: the writer did not close it", ErrTruncated, r.win.off+int64(r.win.end-r.win.start))
}
