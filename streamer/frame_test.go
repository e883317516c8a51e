package streamer

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// TestFrameLogConcurrently lets readers race with the lane that appends: what they
// find under an index is that frame, whole, and what they do not find has fallen
// off.
func TestFrameLogConcurrently(t *testing.T) {
	const size, total, readers = 16, 50_000, 4
	l := newTestLog(size)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			next, read := uint64(0), 0
			for next < total {
				head := l.head.Load()
				if next == head {
					continue
				}
				f := l.get(next)
				if f == nil {
					if now := l.head.Load(); now+1 < next+size {
						t.Errorf("frame %d is gone, the head is at %d", next, now)
						return
					}
					if f = l.from(next); f == nil {
						continue // the lane went round meanwhile
					}
				}
				if f.index < next || f.prev != f.index || f.seq != f.index+1 || len(f.data) != 1 || f.data[0] != byte(f.index) {
					t.Errorf("frame %d, from %d: %+v", f.index, next, f)
					return
				}
				next = f.index + 1
				read++
			}
			if read == 0 {
				t.Error("nothing was read")
			}
		})
	}
	for i := range uint64(total) {
		l.append(&frame{prev: i, seq: i + 1, data: []byte{byte(i)}})
	}
	wg.Wait()
}

func TestFrameLogFind(t *testing.T) {
	l := newTestLog(4)
	for _, f := range []*frame{
		{prev: 1, seq: 2}, {prev: 2, seq: 5}, {prev: 9, seq: 9, snapshot: true}, {prev: 9, seq: 10}, {prev: 10, seq: 12},
	} {
		l.append(f)
	}
	for _, tt := range []struct {
		seq, index uint64
		ok         bool
	}{
		{10, 4, true}, {9, 3, true},
		{11, 0, false}, // inside a frame
		{12, 0, false}, // nothing follows yet
		{2, 0, false},  // before a snapshot
		{1, 0, false},  // fell off
	} {
		if index, ok := l.find(tt.seq, false); ok != tt.ok || ok && index != tt.index {
			t.Errorf("find(%d) = %d, %v, want %d, %v", tt.seq, index, ok, tt.index, tt.ok)
		}
	}
	if got := l.oldest(); got != 1 {
		t.Errorf("oldest is %d, want 1", got)
	}
	if l.get(0) != nil || l.get(5) != nil {
		t.Error("frames that fell off, or are not there yet, were found")
	}
}

// TestFrameLogFindStays: of a quote that became too old at 29 the message about that
// comes first, and where it has fallen off nobody can go on from 29.
func TestFrameLogFindStays(t *testing.T) {
	l := newTestLog(4)
	for i, f := range []*frame{{prev: 27, seq: 29}, {prev: 29, seq: 29}, {prev: 29, seq: 31}, {prev: 31, seq: 36}, {prev: 36, seq: 38}, {prev: 38, seq: 40}} {
		l.append(f)
		index, ok := l.find(29, true)
		switch {
		case i == 0 && ok, i > 0 && i < 4 && (!ok || index != 1), i >= 4 && ok:
			t.Errorf("after %d frames find(29) = %d, %v", i+1, index, ok)
		}
	}
	if index, ok := l.find(31, true); !ok || index != 3 {
		t.Errorf("find(31) = %d, %v", index, ok)
	}
	if index, ok := l.find(29, false); !ok || index != 2 {
		t.Errorf("where no frame stays, find(29) = %d, %v", index, ok)
	}
}

// TestSchedule: topics come out by their time, then by their number, whatever is
// put in and taken out between.
func TestSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s schedule[*topic]
		in := make(map[*topic]bool)
		for i := range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				x := &topic{sid: uint64(i), slot: -1, due: rapid.Int64Range(0, 9).Draw(t, "due")}
				s.push(x)
				in[x] = true
			case 2:
				for x := range in {
					s.remove(x)
					delete(in, x)
					break
				}
			case 3:
				now := rapid.Int64Range(0, 9).Draw(t, "now")
				for x := s.pop(now); x != nil; x = s.pop(now) {
					for y := range in {
						if y.due < x.due || y.due == x.due && y.sid < x.sid {
							t.Fatalf("%d at %d came before %d at %d", x.sid, x.due, y.sid, y.due)
						}
					}
					if !in[x] || x.due > now || x.slot != -1 {
						t.Fatalf("popped %+v at %d", x, now)
					}
					delete(in, x)
				}
				for y := range in {
					if y.due <= now {
						t.Fatalf("%d, due at %d, stays at %d", y.sid, y.due, now)
					}
				}
			}
			for i, x := range s.heap {
				if x.slot != i {
					t.Fatalf("topic %d believes to be at %d, is at %d", x.sid, x.slot, i)
				}
			}
			if len(s.heap) != len(in) {
				t.Fatalf("%d queued, want %d", len(s.heap), len(in))
			}
		}
	})
}

// TestRuns: messages that lie one after the other come as one piece, whatever
// chunks they fell into, and the pieces together are the messages.
func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 32
		l := newTestLog(size)
		var c chunks
		var all []byte
		var starts []int // of each frame's bytes in all
		next, pieces := uint64(0), 0
		for i := range rapid.IntRange(1, 60).Draw(t, "frames") {
			msg := bytes.Repeat([]byte{byte(i)}, rapid.IntRange(1, 400).Draw(t, "length"))
			f := &frame{prev: uint64(i), seq: uint64(i + 1)}
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				f.data = msg // of its own
				c.cut(uint64(i))
			case 1:
				c.cut(uint64(i))
				fallthrough
			default:
				c.place(f, uint64(i), len(msg))
				copy(f.data, msg)
			}
			starts, all = append(starts, len(all)), append(all, msg...)
			l.append(f)
			if rapid.IntRange(0, 3).Draw(t, "read") > 0 {
				continue
			}
			for to := l.head.Load(); next < to; pieces++ {
				if next = max(next, l.oldest()); next == to {
					break
				}
				first := l.get(next)
				last := l.run(first, to)
				end := len(all)
				if int(last.index)+1 < len(starts) {
					end = starts[last.index+1]
				}
				if got, want := first.upTo(last), all[starts[next]:end]; !bytes.Equal(got, want) {
					t.Fatalf("frames %d to %d: %x, want %x", next, last.index, got, want)
				}
				next = last.index + 1
			}
		}
		if c.size > maxChunk {
			t.Fatalf("a chunk of %d bytes", c.size)
		}
	})
}

func newTestLog(n int) *frameLog { return &frameLog{slots: make([]atomic.Pointer[frame], n)} }
