package client

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/quotewire/quotewire/streamer/wire"
)

// Errors of a [Client] and its streams.
var (
	// ErrClosed means that the Client was closed.
	ErrClosed = errors.New("client is closed")
	// ErrStreamClosed means that the Stream was closed.
	ErrStreamClosed = errors.New("stream is closed")
	// ErrDisconnected means that the connection was lost before the answer came.
	ErrDisconnected = errors.New("connection lost")
)

// maxEvents bounds the events that wait for a program that does not read; states
// are bounded by the symbols and updates of market data by the backlog.
const maxEvents = 1024

// Stream hands out the updates of one [Subscription]. Its methods may be called
// from any goroutine; of several that call Next each gets a part.
type Stream struct {
	c       *Client
	sub     Subscription
	backlog int
	merge   bool // states conflate

	done     chan struct{} // closed with closed
	answered chan struct{} // closed with the first ack or refusal
	signal   chan struct{} // size 1: there is something to read
	space    chan struct{} // size 1: there is room again

	// Guarded by c.mu.
	id     uint64 // of its request on this connection
	paused bool   // by Pause

	mu      sync.Mutex
	symbols map[string]*symbolState
	queue   []Update       // events, and under Block all updates, in order
	head    int            // of queue
	events  int            // in queue
	dirty   []*symbolState // changed states, each once, oldest first
	closed  bool
	acked   bool
	err     error // why closed
}

func newStream(c *Client, sub Subscription) *Stream {
	sub.Symbols = slices.Clone(sub.Symbols)
	s := &Stream{c: c, sub: sub, backlog: sub.Backlog, merge: sub.conflates(),
		done: make(chan struct{}), answered: make(chan struct{}), signal: make(chan struct{}, 1),
		space: make(chan struct{}, 1), symbols: make(map[string]*symbolState)}
	if s.backlog == 0 {
		s.backlog = DefaultBacklog
	}
	return s
}

// Next returns the next update; it waits for one until ctx ends. After Close it
// returns [ErrStreamClosed], after the client's end the client's error. What had
// not been read by then is discarded.
func (s *Stream) Next(ctx context.Context) (Update, error) {
	for {
		s.mu.Lock()
		if s.closed {
			err := s.err
			s.mu.Unlock()
			return nil, err
		}
		u, more := s.take()
		s.mu.Unlock()
		if u != nil {
			if more {
				poke(s.signal) // for another reader
			}
			s.observe(u)
			return u, nil
		}
		select {
		case <-s.signal:
		case <-s.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// All returns the updates as a sequence, for range. It ends when the stream is
// closed by Close; any other end comes as a last pair of nil and the error.
func (s *Stream) All(ctx context.Context) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		for {
			u, err := s.Next(ctx)
			if errors.Is(err, ErrStreamClosed) {
				return
			}
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

// Granted returns what the server granted so far, by symbol. A pattern's grows
// when symbols appear.
func (s *Stream) Granted() []wire.Granted {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]wire.Granted, 0, len(s.symbols))
	for _, symbol := range slices.Sorted(maps.Keys(s.symbols)) {
		out = append(out, s.symbols[symbol].granted)
	}
	return out
}

// Close ends the stream and tells the server, without waiting for its answer.
func (s *Stream) Close() error {
	s.c.release(s)
	return nil
}

// end closes the stream; false if it was closed before.
func (s *Stream) end(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed, s.err = true, err
	s.queue, s.dirty = nil, nil
	close(s.done)
	return true
}

// take removes the next update; more tells whether there is another.
func (s *Stream) take() (u Update, more bool) {
	switch {
	case s.head < len(s.queue):
		u = s.queue[s.head]
		s.queue[s.head] = nil
		s.head++
		if s.head == len(s.queue) {
			s.queue, s.head = s.queue[:0], 0
		} else if s.head > 64 && s.head > len(s.queue)/2 {
			n := copy(s.queue, s.queue[s.head:])
			clear(s.queue[n:])
			s.queue, s.head = s.queue[:n], 0
		}
		if isEvent(u) {
			s.events--
		}
		poke(s.space)
	case len(s.dirty) > 0:
		y := s.dirty[0]
		s.dirty[0] = nil
		s.dirty = s.dirty[1:]
		y.dirty = false
		u = y.update()
	}
	return u, s.head < len(s.queue) || len(s.dirty) > 0
}

func isEvent(u Update) bool {
	switch u.(type) {
	case *Quote, *BookUpdate, *Trades, *Ticker, *Bar, *Status:
		return false
	}
	return true
}

// event queues an event; it never waits.
func (s *Stream) event(u Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.events >= maxEvents {
		if last, ok := s.queue[len(s.queue)-1].(*Lost); ok {
			last.Events++
			return
		}
		u = &Lost{Events: 1}
	}
	s.queue = append(s.queue, u)
	s.events++
	poke(s.signal)
}

// changed marks a state as changed. The mutex is held.
func (s *Stream) changed(y *symbolState) {
	if y.dirty {
		s.c.n.conflated.Add(1)
		return
	}
	y.dirty = true
	s.dirty = append(s.dirty, y)
	poke(s.signal)
}

// unread forgets a changed state that turned out not to be the server's, so that
// the program does not get it. The mutex is held.
func (s *Stream) unread(y *symbolState) {
	if y.dirty {
		y.dirty = false
		s.dirty = slices.DeleteFunc(s.dirty, func(d *symbolState) bool { return d == y })
	}
}

// deliver queues an update of market data and waits for room. It is called by the
// client's reading goroutine only.
func (s *Stream) deliver(ctx context.Context, u Update) {
	for first := true; ; first = false {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		if len(s.queue)-s.head-s.events < s.backlog {
			s.queue = append(s.queue, u)
			s.mu.Unlock()
			poke(s.signal)
			return
		}
		s.mu.Unlock()
		if first {
			s.c.n.blocked.Add(1)
		}
		select {
		case <-s.space:
		case <-s.done:
		case <-ctx.Done():
			return
		}
	}
}

// symbol returns the state of a symbol, new if it is.
func (s *Stream) symbol(symbol, venue string) *symbolState {
	y := s.symbols[symbol]
	if y == nil {
		y = &symbolState{meta: Meta{Channel: s.sub.Channel, Symbol: symbol, Venue: venueName(venue)}}
		y.granted = wire.Granted{Channel: s.sub.Channel, Symbol: symbol, Venue: venue, Depth: max(s.sub.Depth, 0)}
		if s.sub.Channel == wire.ChannelBook && s.sub.Depth == 0 {
			y.granted.Depth = wire.DefaultDepth
		}
		s.symbols[symbol] = y
	}
	return y
}

// resume returns the positions from which the stream can go on.
func (s *Stream) resume() map[string]wire.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out map[string]wire.Position
	for symbol, y := range s.symbols {
		if y.has && !y.broken && y.pos.Epoch != "" {
			if out == nil {
				out = make(map[string]wire.Position)
			}
			out[symbol] = y.pos
		}
	}
	return out
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
