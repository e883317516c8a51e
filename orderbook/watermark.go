package orderbook

import (
	"math"
	"sync/atomic"
	"time"
)

// A shard's clock is the largest receive time that it has seen, in whatever
// event. The watermark follows it at a distance of Config.BarLateness, in whole
// seconds: a bar that ends by then is final, and from then on it can only be
// revised. Nothing visits instruments when the watermark moves: that a bar is
// final, and that an interval without prints was empty, follows from it.

// WatermarkSink is a [Sink] that wants to know how far the bars are final.
type WatermarkSink interface {
	Sink
	// Watermark says that all bars that end by the time given, ns since the Unix
	// epoch, are final. It comes in its place among the updates: those before it
	// were made under the watermark before. It only grows, by whole seconds.
	Watermark(until int64)
}

// watermarkAt returns where the watermark stands at a receive time, and at which
// it moves on.
func watermarkAt(clock int64, lateness time.Duration) (watermark, next int64) {
	second := int64(time.Second)
	w := clock - int64(lateness)
	if w < second {
		return 0, second + int64(lateness)
	}
	w -= w % second
	if w > math.MaxInt64-second-int64(lateness) {
		return w, math.MaxInt64
	}
	return w, w + second + int64(lateness)
}

// advance moves the watermark on.
func (s *Shard) advance(clock int64) {
	w, next := watermarkAt(clock, s.cfg.BarLateness)
	if s.tickAt = next; w <= s.watermark {
		return
	}
	s.watermark = w
	for _, k := range s.marked {
		k.Watermark(w)
	}
}

// clock makes the watermark of all of an engine's shards move at the same event,
// whichever shard's it is: without it, whether a bar is final would depend on how
// many shards there are, and a shard that hears nothing would hold up the others'
// watermark.
type clock struct {
	lateness time.Duration
	next     atomic.Int64
}

func newClock(lateness time.Duration) *clock {
	c := &clock{lateness: lateness}
	_, next := watermarkAt(0, lateness)
	c.next.Store(next)
	return c
}

// moves reports whether a receive time is the first to move the watermark on.
func (c *clock) moves(received int64) bool {
	for {
		next := c.next.Load()
		if received < next {
			return false
		}
		_, then := watermarkAt(received, c.lateness)
		if then <= next {
			return false
		}
		if c.next.CompareAndSwap(next, then) {
			return true
		}
	}
}
