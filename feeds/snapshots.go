package feeds

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Snapshots asks over REST for the books of symbols, one after the other, and
// hands each answer to an Attempt as a Reply. It belongs to one connection; Ask
// is safe for any goroutine. The fields are set before the first Ask.
type Snapshots struct {
	REST    *REST
	Attempt *Attempt
	// URL returns what to ask for a symbol, in the provider's spelling.
	URL func(symbol string) string
	// Weight is what a request costs.
	Weight int
	// Sign, if not nil, adds to a request what the provider wants to know of who
	// asks.
	Sign func(*http.Request) error
	// Recheck, if not 0, is how long after an answer the same is asked again:
	// for a venue whose stream does not show a loss.
	Recheck time.Duration

	mu     sync.Mutex
	wanted map[string]time.Duration // waits or is being asked for; the last wait after a failure
	queue  []string
	wake   chan struct{}
	timers map[string]*time.Timer // to be asked again
	closed bool
}

// maxSnapshots is how many symbols may wait for their books.
const maxSnapshots = 10_000

// Waits after an answer that was none, doubling from the first to the last. That
// is short, because meanwhile the book is not trusted; what protects the provider
// is the budget of all requests, and its Retry-After.
const (
	firstSnapshotWait = time.Second
	lastSnapshotWait  = 15 * time.Second
)

// ErrPending means that a book has been asked for and the answer is still on its
// way.
var ErrPending = errors.New("asked for already")

// Ask asks for a symbol's book. It does not wait; for a symbol that is on its way
// it returns [ErrPending].
func (s *Snapshots) Ask(symbol string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errEnded
	}
	if _, ok := s.wanted[symbol]; ok {
		return ErrPending
	}
	if len(s.wanted) >= maxSnapshots {
		return fmt.Errorf("more than %d books are wanted", maxSnapshots)
	}
	if s.wanted == nil {
		s.wanted = make(map[string]time.Duration)
	}
	s.wanted[symbol] = 0
	s.push(symbol)
	return nil
}

// push puts a symbol at the end of the queue. mu is held.
func (s *Snapshots) push(symbol string) {
	if t := s.timers[symbol]; t != nil {
		t.Stop()
		delete(s.timers, symbol)
	}
	s.queue = append(s.queue, symbol)
	select {
	case s.waker() <- struct{}{}:
	default:
	}
}

func (s *Snapshots) waker() chan struct{} {
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	return s.wake
}

// Run asks for what is wanted until ctx ends. A request that fails is repeated
// later; one that the provider refuses for good becomes a problem of the Attempt.
func (s *Snapshots) Run(ctx context.Context) {
	defer s.close()
	s.mu.Lock()
	wake := s.waker()
	s.mu.Unlock()
	for {
		symbol, ok := s.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-wake:
			}
			continue
		}
		url := s.URL(symbol)
		body, err := s.get(ctx, url)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.failed(symbol, err)
			continue
		}
		s.answered(symbol)
		if s.Attempt.Reply(url, body) != nil {
			return // the connection has ended
		}
	}
}

func (s *Snapshots) get(ctx context.Context, url string) ([]byte, error) {
	if s.Sign == nil {
		return s.REST.Get(ctx, url, s.Weight)
	}
	return s.REST.Do(ctx, s.Weight, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		return req, s.Sign(req)
	})
}

func (s *Snapshots) next() (symbol string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return "", false
	}
	symbol = s.queue[0]
	s.queue = s.queue[1:]
	return symbol, true
}

// answered makes room for the next request for a symbol. It comes before the
// answer is handed on: who finds that useless must be able to ask again.
func (s *Snapshots) answered(symbol string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wanted, symbol)
	if s.Recheck > 0 {
		// Spread, so that what came together is not asked for together for ever.
		s.later(symbol, s.Recheck+time.Duration(rand.Float64()*politeJitter*float64(s.Recheck)))
	}
}

// later asks for a symbol again after d. mu is held.
func (s *Snapshots) later(symbol string, d time.Duration) {
	if s.closed {
		return
	}
	if s.timers == nil {
		s.timers = make(map[string]*time.Timer)
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timers[symbol] != t {
			return // it was asked for meanwhile
		}
		if _, ok := s.wanted[symbol]; !ok {
			s.wanted[symbol] = 0
		}
		s.push(symbol)
	})
	s.timers[symbol] = t
}

// failed acts on a request that brought no book.
func (s *Snapshots) failed(symbol string, err error) {
	status, ok := errors.AsType[*StatusError](err)
	final := ok && status.Final()
	s.Attempt.Problem(fmt.Sprintf("snapshot of %s: %v", symbol, err))
	s.mu.Lock()
	defer s.mu.Unlock()
	if final {
		delete(s.wanted, symbol)
		return
	}
	wait := min(max(2*s.wanted[symbol], firstSnapshotWait), lastSnapshotWait)
	s.wanted[symbol] = wait
	s.later(symbol, wait)
}

func (s *Snapshots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, t := range s.timers {
		t.Stop()
	}
	s.timers, s.queue, s.wanted = nil, nil, nil
}
