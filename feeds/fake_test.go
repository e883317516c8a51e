package feeds_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/quotewire/quotewire/feeds"
)

// fakeConnector runs a script: connect decides what the nth attempt, from 0,
// gives.
type fakeConnector struct {
	connect func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error)

	mu       sync.Mutex
	attempts int
}

func (c *fakeConnector) Connect(ctx context.Context, a *feeds.Attempt) (feeds.Connection, error) {
	c.mu.Lock()
	n := c.attempts
	c.attempts++
	c.mu.Unlock()
	return c.connect(ctx, n, a)
}

// fakeConnection gives what is sent to it, and ends with the error of fail.
type fakeConnection struct {
	ctx      context.Context
	messages chan string
	fail     chan error
	closed   chan struct{}
	resyncs  chan string
}

func newFakeConnection(ctx context.Context) *fakeConnection {
	return &fakeConnection{ctx, make(chan string, 100), make(chan error, 1), make(chan struct{}), make(chan string, 2000)}
}

func (c *fakeConnection) Next() ([]byte, bool, error) {
	select {
	case m := <-c.messages:
		return []byte(m), false, nil
	default:
	}
	select {
	case <-c.ctx.Done():
		return nil, false, c.ctx.Err()
	case err := <-c.fail:
		return nil, false, err
	case m := <-c.messages:
		return []byte(m), false, nil
	}
}

func (c *fakeConnection) Close() { close(c.closed) }

func (c *fakeConnection) Resync(symbol string) error {
	c.resyncs <- symbol
	return nil
}

// recorder keeps frames as "kind payload".
type recorder struct {
	mu     sync.Mutex
	frames []string
	times  []int64
}

func (r *recorder) emit(f feeds.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := f.Kind.String()
	if len(f.Payload) > 0 {
		text += " " + string(f.Payload)
	}
	r.frames = append(r.frames, text)
	r.times = append(r.times, f.Received)
	return nil
}

// all returns what was recorded so far.
func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

var errTest = errors.New("for the test")

// start runs s in the background and returns what ends it and waits.
func start(s *feeds.Supervisor, emit func(feeds.Frame) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx, emit) }()
	return func() error {
		cancel()
		return <-result
	}
}
