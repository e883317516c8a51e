package bus

import "sync"

// outbox is the queue between the goroutine that keeps the books and the one
// that writes to the network: two buffers, one being filled, one being written,
// so that it allocates nothing once they have grown. What does not fit is
// refused; the network never makes the filling side wait.
type outbox struct {
	limit int           // bytes that may wait
	wake  chan struct{} // something is there, or it was closed
	room  chan struct{} // what waited was taken

	mu     sync.Mutex
	queue  outgoing
	closed bool
}

// outgoing is messages back to back.
type outgoing struct {
	buf   []byte
	items []outItem
}

type outItem struct {
	subject string
	end     int // in buf
}

func (o *outgoing) reset() {
	clear(o.items)
	o.items = o.items[:0]
	o.buf = o.buf[:0]
}

func newOutbox(limit int) *outbox {
	return &outbox{limit: limit, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put copies a message in and reports whether there was room. A message beyond
// the limit is taken when nothing else waits, one that must go is always taken.
func (o *outbox) put(subject string, data []byte, must bool) bool {
	o.mu.Lock()
	q := &o.queue
	if !must && len(q.buf) > 0 && len(q.buf)+len(data) > o.limit {
		o.mu.Unlock()
		return false
	}
	q.buf = append(q.buf, data...)
	q.items = append(q.items, outItem{subject, len(q.buf)})
	o.mu.Unlock()
	signal(o.wake)
	return true
}

// take exchanges what waits for the empty out.
func (o *outbox) take(out outgoing) (_ outgoing, closed bool) {
	o.mu.Lock()
	out, o.queue = o.queue, out
	closed = o.closed
	o.mu.Unlock()
	signal(o.room)
	return out, closed
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	signal(o.wake)
}

// waiting returns how many bytes wait.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue.buf)
}

// signal leaves a mark in a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
