package sim

import (
	"testing"
	"time"
)

// BenchmarkStep is one 20 ms step of the default market in a quiet hour, with
// nobody connected.
func BenchmarkStep(b *testing.B) {
	m := newMarket(b, 1)
	m.start -= int64(2 * time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		m.Step(20 * time.Millisecond)
	}
}

// BenchmarkStepServed is the same with a client of everything at each provider.
func BenchmarkStepServed(b *testing.B) {
	m := newMarket(b, 1)
	m.start -= int64(2 * time.Hour)
	for _, p := range providers {
		s := newServer(b, Config{Provider: p, Market: m, QueueBytes: 1 << 30})
		c := subscribed(b, s)
		done := make(chan struct{})
		b.Cleanup(func() { s.Close(); <-done })
		go func() {
			defer close(done)
			c.ws.SetReadDeadline(time.Time{})
			for {
				if _, _, err := c.ws.ReadMessage(); err != nil {
					return
				}
			}
		}()
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Step(20 * time.Millisecond)
	}
}
