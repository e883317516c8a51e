package orderbook

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/quotewire/quotewire/market"
)

// Batch is the events of one frame, or of several, on their way to the shards.
// Get one from [Engine.Batch], fill Events, hand it to [Engine.Submit].
type Batch struct {
	Events []market.Event
}

// Engine runs shards, each in a goroutine of its own, with instruments spread
// over them by number. All venues of an instrument are on one shard.
type Engine struct {
	cfg    Config
	shards []*worker
	free   chan *Batch
}

type worker struct {
	shard *Shard
	in    chan *Batch
	call  chan func(*Shard)
	done  chan struct{}
}

// queueDepth is how many batches may wait for a shard. A full queue blocks the
// source, and so, through TCP, the provider: lateness shows instead of hiding.
const queueDepth = 256

// NewEngine returns an engine of n shards; sinks returns the sinks of the i-th,
// which are called in its goroutine.
func NewEngine(cfg Config, n int, sinks func(shard int) []Sink) *Engine {
	e := &Engine{cfg: cfg, free: make(chan *Batch, queueDepth*n+16)}
	for i := range n {
		c := cfg
		if sinks != nil {
			c.Sinks = sinks(i)
		}
		e.shards = append(e.shards, &worker{
			shard: NewShard(c),
			in:    make(chan *Batch, queueDepth),
			call:  make(chan func(*Shard)),
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
// goroutines; the order of batches from one of them is kept.
func (e *Engine) Submit(ctx context.Context, b *Batch) error {
	if len(b.Events) == 0 {
		e.release(b)
		return nil
	}
	if len(e.shards) == 1 {
		return e.shards[0].send(ctx, b)
	}
	for i, w := range e.shards {
		part := e.Batch()
		for j := range b.Events {
			if id := b.Events[j].Instrument; id == 0 || int(id)%len(e.shards) == i {
				part.Events = append(part.Events, b.Events[j])
			}
		}
		if len(part.Events) == 0 {
			e.release(part)
			continue
		}
		if err := w.send(ctx, part); err != nil {
			return err
		}
	}
	e.release(b)
	return nil
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
	b.Events = b.Events[:0]
	select {
	case e.free <- b:
	default:
	}
}

// Run runs the shards until ctx ends and returns its error. What was submitted
// before is not necessarily applied.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range e.shards {
		g.Go(func() error {
			defer close(w.done)
			for {
				select {
				case b := <-w.in:
					w.shard.Apply(b.Events)
					e.release(b)
				case fn := <-w.call:
					fn(w.shard)
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	return g.Wait()
}

// Queued returns how many batches wait for each shard.
func (e *Engine) Queued() []int {
	out := make([]int, len(e.shards))
	for i, w := range e.shards {
		out[i] = len(w.in)
	}
	return out
}

// Report collects [Shard.Report] of all shards; it needs Run to be running.
func (e *Engine) Report(ctx context.Context, n int) ([]BookReport, error) {
	var out []BookReport
	for _, w := range e.shards {
		reply := make(chan []BookReport, 1)
		select {
		case w.call <- func(s *Shard) { reply <- s.Report(n) }:
			out = append(out, <-reply...)
		case <-ctx.Done():
			return nil, fmt.Errorf("collect books: %w", ctx.Err())
		case <-w.done:
			return nil, ErrStopped
		}
	}
	return out, nil
}
