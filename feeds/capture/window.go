package capture

import "io"

// window is the part of a stream that is at hand. Unlike a bufio.Reader it
// grows to what is asked for, and only as fast as bytes really come, so a false
// length costs no memory; and nothing is lost when looking ahead fails.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	off        int64 // where in the stream buf[start] is
}

const windowChunk = 64 << 10

// peek returns the next n bytes without taking them; fewer only with an error,
// io.EOF at the end of the stream. They stay valid until the next call.
func (w *window) peek(n int) ([]byte, error) {
	for empty := 0; w.end-w.start < n; {
		if w.end == len(w.buf) {
			w.room()
		}
		k, err := w.r.Read(w.buf[w.end:])
		w.end += k
		if w.end-w.start >= n {
			break
		}
		if err != nil {
			return w.buf[w.start:w.end], err
		}
		if k == 0 {
			if empty++; empty == 100 {
				return w.buf[w.start:w.end], io.ErrNoProgress
			}
		}
	}
	return w.buf[w.start : w.start+n], nil
}

// room makes space behind the bytes at hand.
func (w *window) room() {
	b, have := w.buf, w.end-w.start
	if w.start == 0 {
		b = make([]byte, max(windowChunk, 2*len(w.buf)))
	}
	copy(b, w.buf[w.start:w.end])
	w.buf, w.start, w.end = b, 0, have
}

// take drops n bytes that peek returned.
func (w *window) take(n int) {
	w.start += n
	w.off += int64(n)
	if w.start == w.end {
		w.start, w.end = 0, 0
		if len(w.buf) > 16*blockTarget {
			w.buf = nil
		}
	}
}

// reset makes the window empty; the stream stands at off.
func (w *window) reset(off int64) { w.start, w.end, w.off = 0, 0, off }
