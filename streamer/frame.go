package streamer

import (
	"sync/atomic"

	"github.com/quotewire/quotewire/market"
)

// frame is one encoded message of a topic, shared by all its subscribers.
// Immutable once it is in a log.
type frame struct {
	index     uint64       // its place in the topic's log
	prev, seq uint64       // the positions it leads from and to
	epoch     uint64       // of seq
	era       uint16       // the same, as the topic counts them
	snapshot  bool         // a complete state: it may be applied whatever came before
	scale     market.Scale // of its numbers
	chunk     *chunk       // that data is part of; nil: it has its own memory
	offset    uint32       // where in the chunk
	data      []byte       // one message with what separates it from the next
}

// upTo returns the bytes of the frames from f to g, which has the same chunk.
func (f *frame) upTo(g *frame) []byte {
	return f.data[:int(g.offset-f.offset)+len(g.data)]
}

// frameLog is a ring of a topic's latest frames. One goroutine appends, any
// number read. It is bounded: what falls off its end is gone, and who had not
// read it learns so by the index.
type frameLog struct {
	slots []atomic.Pointer[frame]
	head  atomic.Uint64 // index that the next frame gets
}

// append adds a frame. Only the owning lane calls it.
//
// A reader may see a slot's new frame before the new head: what it looked for
// there has fallen off a moment early, which it learns by the index.
func (l *frameLog) append(f *frame) {
	f.index = l.head.Load()
	l.slots[f.index%uint64(len(l.slots))].Store(f)
	// The slot before the head: a reader that sees the new head finds the frame.
	l.head.Store(f.index + 1)
}

// get returns the frame with the index, nil if it has fallen off or is not there
// yet.
func (l *frameLog) get(index uint64) *frame {
	if f := l.slots[index%uint64(len(l.slots))].Load(); f != nil && f.index == index {
		return f
	}
	return nil
}

// from returns the first frame that is there from the index on, nil if none is.
func (l *frameLog) from(index uint64) *frame {
	for head := l.head.Load(); index < head; index++ {
		if f := l.get(index); f != nil {
			return f
		}
	}
	return nil
}

// run returns the last of the frames before index to that follow f in memory, so
// that all from f to it can be sent as one piece; f itself if none does.
func (l *frameLog) run(f *frame, to uint64) *frame {
	if f.chunk == nil {
		return f
	}
	end := f.chunk.end.Load()
	if end == 0 {
		// All that came after f is in its chunk, unless that was ended meanwhile.
		if g := l.get(to - 1); g != nil && g.chunk == f.chunk {
			return g
		}
		if end = f.chunk.end.Load(); end == 0 {
			return f // what comes before to has fallen off
		}
	}
	if g := l.get(min(to, end) - 1); g != nil {
		return g
	}
	return f
}

// oldest returns the lowest index that is surely still there.
func (l *frameLog) oldest() uint64 {
	h, n := l.head.Load(), uint64(len(l.slots))
	if h <= n {
		return 0
	}
	return h - n
}

// find returns the index of the frame that leads on from seq, false if there is
// none. It does not look past a snapshot: what is before it is of another epoch,
// or cannot be joined to what is after. Where frames may lead from a position to
// itself (stays), the first that leads on from it is known only by the one before.
// Only the owning lane calls it.
func (l *frameLog) find(seq uint64, stays bool) (index uint64, found bool) {
	i := l.head.Load()
	for ; i > l.oldest(); i-- {
		f := l.get(i - 1)
		if f == nil || f.snapshot {
			return index, found
		}
		switch {
		case f.prev == seq:
			index, found = f.index, true // one before it may lead from there to there
		case found:
			return index, true
		}
	}
	return index, found && (i == 0 || !stays)
}

// chunk is memory that holds messages of a topic that follow each other, nothing
// else.
type chunk struct {
	end atomic.Uint64 // index of the first frame after it; 0 while it is the last
}

// A stream that is slow has small chunks: memory is held as long as one message in
// it is.
const (
	minChunk = 512
	maxChunk = 32 << 10
)

// chunks gives the messages of a lossless topic their memory, one after the other,
// so that who has several to send sends them as one piece. It belongs to the lane.
type chunks struct {
	last *chunk // nil before the first, and once it has been ended
	free []byte // what is left of it
	size int    // of the latest
}

// place gives a frame that is to have the index n bytes.
func (c *chunks) place(f *frame, index uint64, n int) {
	if n > len(c.free) || c.last == nil {
		c.cut(index)
		c.size = max(min(2*c.size, maxChunk), minChunk, n)
		c.last, c.free = &chunk{}, make([]byte, c.size)
	}
	f.chunk, f.offset = c.last, uint32(c.size-len(c.free))
	f.data, c.free = c.free[:n], c.free[n:]
}

// cut makes the frame with the index begin a new chunk: it does not follow the one
// before, or not at the same scale.
func (c *chunks) cut(index uint64) {
	if c.last != nil {
		c.last.end.Store(index)
		c.last, c.free = nil, nil
	}
}
