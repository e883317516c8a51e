package main

import (
	"runtime"
	"time"
)

// warmup is how long a run goes before it is measured.
const warmup = 500 * time.Millisecond

// fanout sends one stream to all connections: in a closed loop, with a bounded
// number of messages in flight, or at a fixed rate.
func fanout(t task) (result, error) {
	msg := sample()
	x, err := newContender(t.Contender, msg)
	if err != nil {
		return result{}, err
	}
	spec := x.spec
	spec.N, spec.Mark, spec.Burst = t.N, mark(msg), true
	if t.Kind == "rate" {
		spec.Lag = 1
	}
	c := startClient(spec)
	defer c.stop()
	x.ready(t.N)
	c.settle(t.N)

	n := uint64(t.N)
	base := c.Received.Load()
	published := uint64(0)
	run := func(d time.Duration) {
		begin := time.Now()
		first := published
		for now := begin; now.Sub(begin) < d; now = time.Now() {
			if t.Kind == "rate" {
				due := begin.Add(time.Duration(published-first) * t.Every)
				if wait := due.Sub(now); wait > 0 {
					time.Sleep(wait)
					now = time.Now()
				}
			} else if inFlight := int64(published*n) - int64(c.Received.Load()-base); inFlight >= int64(t.Window)*int64(n) {
				// Half the window at once: who can join messages has some to join.
				x.flush()
				for int64(published*n)-int64(c.Received.Load()-base) > int64(t.Window/2)*int64(n) {
					time.Sleep(200 * time.Microsecond)
				}
			}
			x.publish(now)
			published += uint64(x.batch)
		}
	}
	run(warmup)
	c.Phase.Store(1)
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	writes := func() float64 {
		if x.writes == nil {
			return 0
		}
		return x.writes()
	}
	used, wrote, begin, before, reads := cpu(), writes(), time.Now(), c.Received.Load(), c.Reads.Load()
	run(t.Time)
	took := time.Since(begin)
	got := float64(c.Received.Load() - before)
	used, wrote, reads = cpu()-used, writes()-wrote, c.Reads.Load()-reads
	runtime.ReadMemStats(&m1)
	r := result{
		PerSecond: got / took.Seconds(), CPU: used.Seconds() / got * 1e6, Busy: used.Seconds() / took.Seconds(),
		PerRead: got / float64(reads), Allocs: float64(m1.Mallocs-m0.Mallocs) / got,
	}
	if wrote > 0 {
		r.PerWrite = got / wrote
	}
	c.Phase.Store(2)
	x.flush()
	c.wait(base + published*n)
	r.P50, r.P99 = c.quantile(1, 0.5), c.quantile(1, 0.99)
	return r, nil
}
