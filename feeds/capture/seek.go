package capture

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// errNoSeek says that the reader's input cannot be read out of order.
var errNoSeek = errors.New("capture cannot be sought: its input is a stream")

type seekable interface {
	io.ReadSeeker
	io.ReaderAt
}

// SeekTime moves the reader so that Next returns, of all frames in the file's
// order, the first one received at or after t (ns since the Unix epoch, UTC),
// and then all that follow it, even those with an earlier time. After the last
// frame's time Next returns io.EOF. It uses the index, or walks the heads of
// the blocks where there is none. Damage found earlier is forgotten and met
// again.
func (r *Reader) SeekTime(t int64) error {
	src, ok := r.src.(seekable)
	if !ok {
		return errNoSeek
	}
	blocks, frames, err := r.blocks(src)
	if err != nil {
		return fmt.Errorf("seek in capture: %w", err)
	}
	if len(blocks) == 0 {
		return nil
	}
	// Times go back a little between blocks, so the first block that can hold t
	// is found by the greatest time so far, which does not.
	latest := make([]int64, len(blocks))
	for i, e := range blocks {
		latest[i] = e.max
		if i > 0 {
			latest[i] = max(latest[i], latest[i-1])
		}
	}
	i := sort.Search(len(blocks), func(i int) bool { return latest[i] >= t })
	// Behind all blocks: read the last one over, so that the end is seen.
	i = min(i, len(blocks)-1)
	if _, err := src.Seek(blocks[i].offset, io.SeekStart); err != nil {
		return fmt.Errorf("seek in capture: %w", err)
	}
	r.win.reset(blocks[i].offset)
	r.nextBlock, r.nextFrame = frames[i], blocks[i].firstFrame
	r.rest, r.left, r.damage, r.cut, r.eof = nil, 0, nil, false, false
	r.seeking, r.from = true, t
	return nil
}

// blocks returns the sound blocks of the capture and their numbers.
func (r *Reader) blocks(src seekable) (blocks []entry, numbers []uint64, err error) {
	size, err := src.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, nil, err
	}
	// Wherever the stream stands afterwards, it is sought again; on an error it
	// goes back to where the window ends.
	defer func() {
		if _, back := src.Seek(r.win.off+int64(r.win.end-r.win.start), io.SeekStart); err == nil {
			err = back
		}
	}()
	if blocks = r.readIndex(src, size); blocks == nil {
		return r.walk(src, size)
	}
	numbers = make([]uint64, len(blocks))
	for i := range numbers {
		numbers[i] = uint64(i)
	}
	return blocks, numbers, nil
}

// readIndex returns the index's entries, nil where there is no sound one.
func (r *Reader) readIndex(src seekable, size int64) []entry {
	var tail [indexEnd]byte
	if !r.saltKnown || size < indexFix+indexEnd {
		return nil
	}
	if _, err := src.ReadAt(tail[:], size-indexEnd); err != nil {
		return nil
	}
	at := int64(order.Uint64(tail[:]))
	if at < 0 || at > size-indexFix-indexEnd {
		return nil
	}
	b := make([]byte, tagEnd)
	if _, err := src.ReadAt(b, at); err != nil || string(b[8:]) != tagIndex || int64(order.Uint32(b[4:]))+8 != size-at {
		return nil
	}
	b = make([]byte, size-at)
	if _, err := src.ReadAt(b, at); err != nil {
		return nil
	}
	_, stored, reason := parseIndex(b, r.salt, at)
	if reason != "" {
		return nil
	}
	blocks := make([]entry, len(stored)/indexEntry)
	for i := range blocks {
		blocks[i] = parseEntry(stored[i*indexEntry:])
		if o := blocks[i].offset; o < 0 || o > at {
			return nil
		}
	}
	return blocks
}

// walk finds the blocks by their heads.
func (r *Reader) walk(src seekable, size int64) (blocks []entry, numbers []uint64, err error) {
	s := io.NewSectionReader(src, 0, size)
	h := &Reader{src: s, win: window{r: s}, headOnly: true}
	if err := h.readHeader(); err != nil {
		return nil, nil, err
	}
	for {
		if h.damage != nil {
			_, err = h.SkipBlock()
		} else if err = h.load(); err == nil && h.left > 0 {
			c := h.cur
			blocks = append(blocks, entry{offset: h.start, firstFrame: c.firstFrame, frames: c.frames, raw: c.raw, min: c.min, max: c.max})
			numbers = append(numbers, c.number)
			h.left = 0
		}
		switch {
		case h.eof, errors.Is(err, ErrTruncated):
			return blocks, numbers, nil
		case err != nil && h.damage == nil:
			return nil, nil, err
		}
	}
}
