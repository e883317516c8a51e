package orderbook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/quotewire/quotewire/market"
)

// Batch is the events of one frame, or of several, on their way to the shards.
// Get one from [Engine.Batch], fill Events, hand it to [Engine.Submit].
type Batch struct {
	Events []market.Event

	call func(*Shard) // runs in the shard's goroutine once all before it is applied
}

// Engine runs shards, each in a goroutine of its own, with instruments spread
// over them by number. All venues of an instrument are on one shard.
type Engine struct {
	shards []*worker
	free   chan *Batch
	mute   muteFeeds
	clock  *clock
}

type worker struct {
	shard *Shard
	in    chan *Batch
	done  chan struct{}
}

// queueDepth is how many batches may wait for a shard. A full queue blocks the
// source, and so, through TCP, the provider: lateness shows instead of hiding.
const queueDepth = 256

// NewEngine returns an engine of n shards, at least one; sinks, if not nil,
// returns the sinks of the i-th in place of cfg's, which are called in its
// goroutine.
func NewEngine(cfg Config, n int, sinks func(shard int) []Sink) *Engine {
	n = max(n, 1)
	e := &Engine{free: make(chan *Batch, queueDepth*n+16), clock: newClock(cfg.withDefaults().BarLateness)}
	for i := range n {
		c := cfg
		if sinks != nil {
			c.Sinks = sinks(i)
		}
		e.shards = append(e.shards, &worker{
			shard: NewShard(c),
			in:    make(chan *Batch, queueDepth),
			done:  make(chan struct{}),
		})
	}
	return e
}

// ErrStopped is returned by calls to an engine whose Run has ended.
var ErrStopped = errors.New("orderbook: engine stopped")

// Batch returns an empty batch, reusing the memory of one that was applied.
func (e *Engine) Batch() *Batch {
	select {
	case b := <-e.free:
		return b
	default:
		return &Batch{}
	}
}

// Submit hands a batch to the shards that its instruments belong to; the batch
// is the engine's from then on. Events of a whole feed go to all shards. It
// blocks while a shard's queue is full. It may be called from several
// goroutines; the order of batches from one of them is kept. All of a feed's
// batches must come from one goroutine.
func (e *Engine) Submit(ctx context.Context, b *Batch) error {
	if len(b.Events) == 0 {
		e.release(b)
		return nil
	}
	if len(e.shards) == 1 {
		return e.shards[0].send(ctx, b)
	}
	parts := make([]*Batch, 0, 16)
	for range e.shards {
		parts = append(parts, e.Batch())
	}
	for i := range b.Events {
		ev := &b.Events[i]
		home := int(ev.Instrument) % len(e.shards)
		speaks, moves := e.mute.speaks(ev), e.clock.moves(ev.Received)
		for j, part := range parts {
			switch {
			case ev.Instrument == 0 || j == home:
				part.Events = append(part.Events, *ev)
			case speaks:
				// That the feed speaks again concerns all its books, whatever
				// it is that it says.
				part.Events = append(part.Events, market.Event{
					Kind: market.KindHeartbeat, Feed: ev.Feed, Time: ev.Time, Received: ev.Received,
				})
			case moves:
				// The watermark moves on for all shards at the same event.
				part.Events = append(part.Events, market.Event{Kind: market.KindHeartbeat, Received: ev.Received})
			}
		}
	}
	e.release(b)
	for i, w := range e.shards {
		if len(parts[i].Events) == 0 {
			e.release(parts[i])
			continue
		}
		if err := w.send(ctx, parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// muteFeeds knows which feeds were said to be mute, or suspect, and have not spoken
// since.
type muteFeeds struct {
	n     atomic.Int32 // how many; spares the lock while there are none
	mu    sync.Mutex
	feeds map[market.FeedID]bool
}

// speaks takes note of an event; true if it ends its feed's silence.
func (m *muteFeeds) speaks(e *market.Event) bool {
	if e.Kind == market.KindStale || e.Kind == market.KindSuspect {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.feeds == nil {
			m.feeds = make(map[market.FeedID]bool)
		}
		m.feeds[e.Feed] = true
		m.n.Store(int32(len(m.feeds)))
		return false
	}
	if m.n.Load() == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.feeds[e.Feed]
	delete(m.feeds, e.Feed)
	m.n.Store(int32(len(m.feeds)))
	return was
}

func (w *worker) send(ctx context.Context, b *Batch) error {
	select {
	case w.in <- b:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("submit events: %w", ctx.Err())
	case <-w.done:
		return ErrStopped
	}
}

// release returns a batch to be reused, unless it has grown huge.
func (e *Engine) release(b *Batch) {
	if cap(b.Events) > 1<<14 {
		return
	}
	b.Events, b.call = b.Events[:0], nil
	select {
	case e.free <- b:
	default:
	}
}

// Run runs the shards until ctx ends and returns its error. What was submitted
// before is not necessarily applied: see [Engine.Drain].
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range e.shards {
		g.Go(func() error {
			defer close(w.done)
			for {
				select {
				case b := <-w.in:
					if b.call != nil {
						b.call(w.shard)
						continue
					}
					w.shard.Apply(b.Events)
					e.release(b)
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	return g.Wait()
}

// each runs fn on every shard, in the shard's goroutine, after all that was
// submitted before, and waits for it.
func (e *Engine) each(ctx context.Context, fn func(i int, s *Shard)) error {
	replies := make(chan struct{}, len(e.shards))
	for i, w := range e.shards {
		call := func(s *Shard) {
			fn(i, s)
			replies <- struct{}{}
		}
		if err := w.send(ctx, &Batch{call: call}); err != nil {
			return err
		}
	}
	for _, w := range e.shards {
		select {
		case <-replies:
		case <-ctx.Done():
			return ctx.Err()
		case <-w.done:
			return ErrStopped
		}
	}
	return nil
}

// Relief adds up [Shard.Relief] of all shards. It needs Run to be running.
func (e *Engine) Relief(ctx context.Context, from, to market.FeedID) (Relief, error) {
	parts := make([]Relief, len(e.shards))
	err := e.each(ctx, func(i int, s *Shard) { parts[i] = s.Relief(from, to) })
	if err != nil {
		return Relief{}, fmt.Errorf("compare feeds: %w", err)
	}
	var sum Relief
	for _, p := range parts {
		sum.Waiting += p.Waiting
		sum.Shown += p.Shown
	}
	return sum, nil
}

// Drain waits until all that was submitted before has been applied and its
// updates handed to the sinks. It needs Run to be running.
func (e *Engine) Drain(ctx context.Context) error {
	if err := e.each(ctx, func(int, *Shard) {}); err != nil {
		return fmt.Errorf("drain books: %w", err)
	}
	return nil
}

// Queued returns how many batches wait for each shard.
func (e *Engine) Queued() []int {
	out := make([]int, len(e.shards))
	for i, w := range e.shards {
		out[i] = len(w.in)
	}
	return out
}

// Report collects [Shard.Report] of all shards, as of all that was submitted
// before, by instrument, venue and feed. It needs Run to be running.
func (e *Engine) Report(ctx context.Context, n int) ([]BookReport, error) {
	parts := make([][]BookReport, len(e.shards))
	err := e.each(ctx, func(i int, s *Shard) { parts[i] = s.Report(n) })
	if err != nil {
		return nil, fmt.Errorf("collect books: %w", err)
	}
	out := slices.Concat(parts...)
	slices.SortStableFunc(out, func(a, b BookReport) int { return cmp.Compare(a.Instrument, b.Instrument) })
	return out, nil
}
