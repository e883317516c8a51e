package bus

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/orderbook"
)

// Updates tell the watermark under which they were made. Where none come, after the
// close say, the last bars of a day would wait for the next one's first update to be
// final: so the watermark is published by itself too.

// Watermark implements [orderbook.WatermarkSink]: it goes along among the updates.
func (s *pubSink) Watermark(until int64) { s.Update(&orderbook.Update{Watermark: until}) }

// watermark takes a shard's watermark and publishes the node's, which is that of the
// shard that is furthest behind: all that was put out before was made under it.
func (p *Publisher) watermark(sink int, until int64) {
	for sink >= len(p.marks) {
		p.marks = append(p.marks, 0)
	}
	p.marks[sink] = until
	for _, m := range p.marks {
		if m != 0 { // that of a sink that has none, of net quotes say, holds up nobody
			until = min(until, m)
		}
	}
	if until <= p.marked {
		return
	}
	// What finds no room is made up for within a second.
	if p.putMessage(p.cfg.Subjects.Watermark(p.cfg.Node), &busv1.Watermark{Node: p.cfg.Node, Epoch: p.cfg.Epoch, Until: until}) {
		p.marked = until
	}
}

// watermark takes a node's watermark. The subscriber's is that of the node, of those
// that live, that is furthest behind.
func (s *Subscriber) watermark(data []byte) error {
	var w busv1.Watermark
	if err := proto.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	n := s.nodes[w.Node]
	if n == nil || !n.alive || n.epoch != w.Epoch {
		return nil // of a run that is over, or whose sign of life is still to come
	}
	n.marked = max(n.marked, w.Until)
	until := n.marked
	for _, n := range s.nodes {
		if n.alive && n.marked != 0 {
			until = min(until, n.marked)
		}
	}
	s.until = max(s.until, until)
	s.mark()
	return nil
}

// mark hands on the subscriber's watermark, but not past an instrument that waits for
// a snapshot and is still shown: what was missed may have changed bars that would be
// final by it.
func (s *Subscriber) mark() {
	if s.until <= s.marked {
		return
	}
	until := s.until
	for r := range s.waiting {
		if r.shown && !r.down {
			until = min(until, r.marked)
		}
	}
	if until <= s.marked {
		return
	}
	s.marked = until
	for _, k := range s.cfg.Sinks {
		if m, ok := k.(orderbook.WatermarkSink); ok {
			m.Watermark(until)
		}
	}
}
