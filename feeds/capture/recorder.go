package capture

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// RecorderConfig says how a [Recorder] works. The zero value is sensible.
type RecorderConfig struct {
	// Queue bounds the bytes of frames that wait for the disk, those being
	// written included; 0 means 64 MiB. A frame that does not fit is lost, so
	// it must be larger than the largest frame.
	Queue int
	// FlushInterval is how long a frame waits at most until it is handed to
	// the file: what a crash can cost. 0 means one second.
	FlushInterval time.Duration
}

// frameCost is what a waiting frame counts beside its payload.
const frameCost = 128

// controlReserve is room beyond the queue's bound for all but data frames.
// They are small and rare, and a capture without them tells a false story.
const controlReserve = 64 << 10

// Recorder writes the frames of live feeds to a [Writer] without ever holding
// a feed up for the disk. Where the disk cannot keep up, frames are dropped and
// a feeds.Lost frame for each feed that lost any, with their number, stands in
// their place. Record and the accessors may be called by any goroutine; the
// Writer belongs to Run until it returns.
type Recorder struct {
	w     *Writer
	every time.Duration
	bound int
	wake  chan struct{} // holds one signal that there is work

	mu     sync.Mutex
	fill   batch
	busy   int // bytes that Run is writing
	losses []loss
	closed bool

	frames, bytes, lost atomic.Uint64
	queue               atomic.Int64
}

// batch is frames on their way, their payloads in one buffer.
type batch struct {
	items []item
	data  []byte
	cost  int
}

// item is a frame whose payload ends at end in its batch's data.
type item struct {
	f   feeds.Frame
	end int
}

type loss struct {
	feed     feedKey
	n        uint64
	received int64 // of the first frame lost
}

// NewRecorder returns a recorder onto w. Nothing is written until Run is called.
func NewRecorder(w *Writer, c RecorderConfig) *Recorder {
	r := &Recorder{w: w, every: c.FlushInterval, bound: c.Queue, wake: make(chan struct{}, 1)}
	if r.every <= 0 {
		r.every = time.Second
	}
	if r.bound <= 0 {
		r.bound = 64 << 20
	}
	return r
}

// Record queues a copy of f. It waits for nothing but the copying of others.
// After Run has returned, frames are only counted as lost.
func (r *Recorder) Record(f feeds.Frame) {
	cost := len(f.Payload) + len(f.URL) + frameCost
	r.mu.Lock()
	bound := r.bound
	if f.Kind != feeds.Data && f.Kind != feeds.Reply {
		bound += controlReserve
	}
	if r.closed || !fits(f) || r.fill.cost+r.busy+cost+len(r.losses)*frameCost > bound {
		r.lose(feedKey{f.Feed, f.Provider}, f.Received)
		r.mu.Unlock()
		return
	}
	r.settle()
	r.fill.add(f, cost)
	r.queue.Store(int64(r.fill.cost + r.busy))
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (b *batch) add(f feeds.Frame, cost int) {
	b.data = append(b.data, f.Payload...)
	f.Payload = nil
	b.items = append(b.items, item{f, len(b.data)})
	b.cost += cost
}

// reset empties b. Of a burst's buffers no more is kept than a calm time needs.
func (b *batch) reset() {
	clear(b.items)
	b.items, b.data, b.cost = b.items[:0], b.data[:0], 0
	if cap(b.data) > 4<<20 {
		b.data = nil
	}
	if cap(b.items) > 1<<16 {
		b.items = nil
	}
}

func (r *Recorder) lose(k feedKey, received int64) {
	r.lost.Add(1)
	for i := range r.losses {
		if r.losses[i].feed == k {
			r.losses[i].n++
			return
		}
	}
	r.losses = append(r.losses, loss{k, 1, received})
}

// settle puts what was lost into the queue, at the place where it was lost.
func (r *Recorder) settle() {
	for _, l := range r.losses {
		var digits [20]byte
		n := strconv.AppendUint(digits[:0], l.n, 10)
		r.fill.add(feeds.Frame{Kind: feeds.Lost, Feed: l.feed.name, Provider: l.feed.provider, Received: l.received, Payload: n}, frameCost)
	}
	r.losses = r.losses[:0]
}

// Run writes what is recorded until ctx ends, then what is still queued, and
// flushes. It returns nil after ctx ended, else why the capture could not be
// written. It does not close the Writer. It is called once.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	var out batch
	for {
		var err error
		select {
		case <-r.wake:
			err = r.drain(&out, false)
		case <-tick.C:
			// Losses leave no signal.
			if err = r.drain(&out, false); err == nil {
				err = r.w.Flush()
			}
		case <-ctx.Done():
			if err = r.drain(&out, true); err == nil {
				err = r.w.Flush()
			}
			if err == nil {
				return nil
			}
		}
		if err != nil {
			r.abandon()
			return fmt.Errorf("record: %w", err)
		}
	}
}

// drain writes what waits, once: under a steady load ctx and the ticker have
// their turn too. What comes meanwhile has left a signal in wake.
func (r *Recorder) drain(out *batch, last bool) error {
	r.mu.Lock()
	r.settle()
	r.closed = last
	r.fill, *out = *out, r.fill
	r.busy = out.cost
	r.mu.Unlock()
	err := r.write(out)
	out.reset()
	r.mu.Lock()
	r.busy = 0
	r.queue.Store(int64(r.fill.cost))
	r.mu.Unlock()
	return err
}

func (r *Recorder) write(b *batch) error {
	begin := 0
	for i, it := range b.items {
		f := it.f
		f.Payload, begin = b.data[begin:it.end], it.end
		if err := r.w.Write(f); errors.Is(err, ErrTooLarge) {
			continue // the Lost frame of a feed whose name is too long
		} else if err != nil {
			for _, it := range b.items[i:] {
				if it.f.Kind != feeds.Lost {
					r.lost.Add(1)
				}
			}
			return err
		}
		r.frames.Add(1)
		r.bytes.Add(uint64(len(f.Payload)))
	}
	return nil
}

// abandon counts what waits, and all that comes, as lost.
func (r *Recorder) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, it := range r.fill.items {
		if it.f.Kind != feeds.Lost {
			r.lost.Add(1)
		}
	}
	r.fill = batch{}
	r.losses = nil
	r.queue.Store(0)
}

// Frames returns how many frames went to the writer, Lost frames among them.
func (r *Recorder) Frames() uint64 { return r.frames.Load() }

// Bytes returns how many bytes of payload went to the writer.
func (r *Recorder) Bytes() uint64 { return r.bytes.Load() }

// Lost returns how many frames were dropped: for want of room, beyond the bounds
// of the format, or because Run had ended.
func (r *Recorder) Lost() uint64 { return r.lost.Load() }

// Queue returns how many bytes wait for the disk or are being written, frames
// counted with 128 bytes each beside their payload and URL.
func (r *Recorder) Queue() int64 { return r.queue.Load() }
