package feeds

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	maxResyncQueue   = 1024  // symbols waiting to be asked for
	maxResyncSymbols = 10000 // symbols remembered
)

// resyncQueue takes requests for fresh books from any goroutine and lets them
// out one by one. A request for a symbol that waits, or was sent a short while
// ago, is dropped; whoever still needs it asks again.
type resyncQueue struct {
	mu    sync.Mutex
	queue chan string          // nil while no connection that can resync is up
	sent  map[string]time.Time // zero while the symbol waits in queue
}

// open starts a new connection's requests.
func (q *resyncQueue) open() <-chan string {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = make(chan string, maxResyncQueue)
	q.sent = make(map[string]time.Time)
	return q.queue
}

// close drops the requests of the connection, and all that come until open.
func (q *resyncQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue, q.sent = nil, nil
}

// ask queues the symbol and reports whether it did.
func (q *resyncQueue) ask(symbol string, now time.Time, every time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue == nil {
		return false
	}
	if at, ok := q.sent[symbol]; ok && (at.IsZero() || now.Sub(at) < every) {
		return false
	}
	if len(q.sent) >= maxResyncSymbols {
		for s, at := range q.sent {
			if !at.IsZero() && now.Sub(at) >= every {
				delete(q.sent, s)
			}
		}
		if len(q.sent) >= maxResyncSymbols {
			return false
		}
	}
	select {
	case q.queue <- symbol:
		q.sent[symbol] = time.Time{}
		return true
	default:
		return false
	}
}

// markSent starts the time in which the symbol is not asked for again.
func (q *resyncQueue) markSent(symbol string, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sent != nil {
		q.sent[symbol] = now
	}
}

// sendResyncs sends what is queued, no two closer than gap, until ctx ends.
func (s *Supervisor) sendResyncs(ctx context.Context, queue <-chan string, gap time.Duration, resync func(string) error, logger *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case symbol := <-queue:
			s.resyncs.markSent(symbol, time.Now())
			// Why a failure is not acted upon: a connection that cannot be
			// written to ends by itself, and a new one brings fresh books.
			if err := resync(symbol); errors.Is(err, ErrPending) {
				logger.Debug("resync is on its way", "symbol", symbol)
			} else if err != nil {
				logger.Warn("resync not sent", "symbol", symbol, "error", err)
			} else {
				s.resyncsSent.Add(1)
				logger.Info("resync sent", "symbol", symbol)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(gap):
		}
	}
}
