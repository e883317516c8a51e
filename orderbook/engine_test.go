package orderbook

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/quotewire/quotewire/market"
)

// blockSink lets the shard go on only when told.
type blockSink struct{ gate chan struct{} }

func (s *blockSink) Update(*Update) { <-s.gate }
func (s *blockSink) Flush()         {}

func quoteEvent(id market.InstrumentID, size market.Size) market.Event {
	return market.Event{Kind: market.KindQuote, Feed: 1, Venue: 1, Instrument: id, Flags: market.FlagLast,
		Price: 10, Size: size, Ask: 11, AskSize: size}
}

func submit(ctx context.Context, e *Engine, events ...market.Event) error {
	b := e.Batch()
	b.Events = append(b.Events, events...)
	return e.Submit(ctx, b)
}

// TestEngineBlocks: a full queue blocks the source instead of dropping or
// growing, until the shard goes on or the source's context ends.
func TestEngineBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &blockSink{make(chan struct{})}
		e := NewEngine(Config{Directory: market.NewDirectory()}, 1, func(int) []Sink { return []Sink{sink} })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		for i := range queueDepth + 1 {
			if err := submit(ctx, e, quoteEvent(1, market.Size(i+1))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if q := e.Queued(); q[0] != queueDepth {
			t.Fatalf("%v queued, want %d", q, queueDepth)
		}
		one, stop := context.WithCancel(ctx)
		blocked := make(chan error, 1)
		go func() { blocked <- submit(one, e, quoteEvent(1, 9999)) }()
		synctest.Wait()
		select {
		case err := <-blocked:
			t.Fatalf("submit went through a full queue: %v", err)
		default:
		}
		stop()
		if err := <-blocked; !errors.Is(err, context.Canceled) {
			t.Fatalf("blocked submit: %v", err)
		}
		close(sink.gate)
		if err := e.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		r, err := e.Report(ctx, 1)
		if err != nil || len(r) != 1 || r[0].Quotes != queueDepth+1 {
			t.Fatalf("%+v, %v", r, err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

// TestEngineStopped: once Run has ended every call returns, whatever its context.
func TestEngineStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(Config{Directory: market.NewDirectory()}, 3, nil)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		background := context.Background()
		var err error
		for range queueDepth + 1 { // the queue itself still takes some
			if err = submit(background, e, quoteEvent(1, 1)); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrStopped) {
			t.Errorf("submit: %v", err)
		}
		if err := e.Drain(background); !errors.Is(err, ErrStopped) {
			t.Errorf("drain: %v", err)
		}
		if _, err := e.Report(background, 1); !errors.Is(err, ErrStopped) {
			t.Errorf("report: %v", err)
		}
	})
}

// TestEngineReport: reports come by instrument whatever shard has it, and as of
// all that was submitted before.
func TestEngineReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(Config{Directory: market.NewDirectory()}, 2, nil)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		for range 50 {
			var all []market.Event
			for id := market.InstrumentID(5); id >= 1; id-- {
				all = append(all, quoteEvent(id, 1))
			}
			if err := submit(ctx, e, all...); err != nil {
				t.Fatal(err)
			}
		}
		r, err := e.Report(ctx, 1)
		if err != nil || len(r) != 5 {
			t.Fatalf("%d reports, %v", len(r), err)
		}
		for i := range r {
			if r[i].Instrument != market.InstrumentID(i+1) || r[i].Quotes != 50 {
				t.Errorf("report %d is of %d with %d quotes", i, r[i].Instrument, r[i].Quotes)
			}
		}
		if err := submit(ctx, e); err != nil {
			t.Errorf("empty batch: %v", err)
		}
		cancel()
		<-done
	})
}
