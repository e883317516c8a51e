package capture

import (
	"bytes"
	"io"
)

// SkipBlock leaves the damaged block, after a [*CorruptError], or what is left
// of the current one, so that Next goes on with the next sound block. It
// returns how many frames that passed over, known from their numbers. It
// returns [ErrTruncated] where nothing sound follows; how many frames are lost
// is then unknown. After ErrTruncated it looks whether anything sound stands
// behind the tear.
func (r *Reader) SkipBlock() (lost uint64, err error) {
	if r.left > 0 && (r.damage == nil || r.inBlock) {
		lost = uint64(r.left)
		r.left, r.rest, r.damage = 0, nil, nil
		return lost, nil
	}
	if r.eof || r.damage == nil && !r.cut {
		r.damage = nil
		return 0, nil
	}
	if r.cut {
		r.rescan = 1
	}
	block, frame, err := r.scan()
	if err != nil {
		return 0, err
	}
	lost = frame - r.nextFrame
	r.nextBlock, r.nextFrame, r.damage = block, frame, nil
	return lost, nil
}

// scan moves the window to the next sound head of a block or sound index that
// is not older than what is expected, and returns the numbers that follow there.
func (r *Reader) scan() (block, frame uint64, err error) {
	for skip := r.rescan; ; skip = 1 {
		if err := r.findMagic(skip); err != nil {
			return 0, 0, err
		}
		b, err := r.win.peek(headSize)
		if err != nil && err != io.EOF {
			return 0, 0, r.missing(err)
		}
		if len(b) < tagEnd+4 {
			continue
		}
		switch string(b[8:tagEnd]) {
		case tagBlock:
			var h blockHead
			if len(b) < headSize {
				continue
			}
			salt, reason := h.parse(b)
			if reason == "" && r.ours(salt) && h.number >= r.nextBlock && h.firstFrame >= r.nextFrame {
				return h.number, h.firstFrame, nil
			}
		case tagIndex:
			size := int(order.Uint32(b[4:])) + 8
			if len(b) < indexFix || !indexSize(b) {
				continue
			}
			if b, err = r.win.peek(size); err != nil {
				if err != io.EOF {
					return 0, 0, r.missing(err)
				}
				continue
			}
			salt := r.salt
			if !r.saltKnown {
				salt = order.Uint32(b[tagEnd:])
			}
			// Its place is checked by Next: after bytes were lost it is wrong,
			// and that ends the capture with damage, as it should.
			frames, entries, reason := parseIndex(b, salt, int64(order.Uint64(b[len(b)-indexEnd:])))
			if n := uint64(len(entries) / indexEntry); reason == "" && n >= r.nextBlock && frames >= r.nextFrame {
				return n, frames, nil
			}
		}
	}
}

// findMagic moves the window at least skip bytes on, to the next magic.
func (r *Reader) findMagic(skip int) error {
	for {
		b, err := r.win.peek(max(skip+len(magicBytes), r.win.end-r.win.start))
		if len(b) >= skip+len(magicBytes) {
			if i := bytes.Index(b[skip:], magicBytes); i >= 0 {
				r.win.take(skip + i)
				return nil
			}
			// A magic may begin in the last three bytes.
			n := len(b) - len(magicBytes) + 1
			r.win.take(n)
			skip = 0
			continue
		}
		if err == io.EOF {
			r.damage = nil
		}
		return r.missing(err)
	}
}
