package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

const changesPerSecond = 20 // of each symbol

// drive changes every symbol so many times a second, evenly, until the time is over.
func (h *hub) drive(d time.Duration, until func() bool) {
	rate := len(h.ids) * changesPerSecond
	begin := time.Now()
	done := 0
	for now := begin; now.Sub(begin) < d && !until(); now = time.Now() {
		for due := int(now.Sub(begin).Seconds() * float64(rate)); done < due; done++ {
			h.change(done%len(h.ids), now)
		}
		h.sink.Flush()
		time.Sleep(time.Millisecond)
	}
}

// markStream stands once in every message of a stream, whatever its kind. One that the
// end of a read cuts in two is not counted.
const markStream = `"tx":`

func never() bool { return false }

// dashboard is the case of many screens: t.N clients with 100 symbols each of 2,000
// at 250 ms.
func dashboard(t task) (result, error) {
	const symbols, pick = 2000, 100
	encode := encodeCost()
	h := startHub(symbols, streamer.Config{})
	defer h.stop()
	spec := clientSpec{Addr: h.addr, N: t.N, Kind: "ws", Path: "/v1/stream?channel=quote&interval=250ms", Pick: pick, Of: symbols, Lag: 2, Mark: markStream}
	c := startClient(spec)
	defer c.stop()
	c.settle(t.N)
	h.drive(3*time.Second, never)
	c.Phase.Store(1)
	defer heapProfile()
	names := []string{"writes", "messages_delivered", "frames_encoded", "snapshots_encoded", "messages_skipped", "writes_blocked", "intervals_widened"}
	counts := func() map[string]float64 {
		m := make(map[string]float64)
		for _, name := range names {
			m[name] = h.counter(name + "_total")
		}
		return m
	}
	was, used, begin, before, theirs := counts(), cpu(), time.Now(), c.Received.Load(), c.Busy.Load()
	h.drive(t.Time, never)
	took, got := time.Since(begin), float64(c.Received.Load()-before)
	used = cpu() - used
	more := map[string]float64{"clients' core busy": float64(c.Busy.Load()-theirs) / float64(took), "encode ns": encode.Seconds() * 1e9}
	n := counts()
	for name := range n {
		n[name] -= was[name]
		more[name+"/s"] = n[name] / took.Seconds()
	}
	more["cores to encode for each client"] = more["messages_delivered/s"] * encode.Seconds()
	return result{
		PerSecond: got / took.Seconds(), CPU: used.Seconds() / got * 1e6, Busy: used.Seconds() / took.Seconds(),
		PerWrite: n["messages_delivered"] / n["writes"],
		P50:      c.quantile(1, 0.5), P99: c.quantile(1, 0.99), More: more,
	}, nil
}

// encodeCost measures what one message costs to encode: a run with a stream of each
// change less one without streams.
func encodeCost() time.Duration {
	const n = 200_000
	cost := func(subscribe bool) time.Duration {
		x := newExchange(100)
		var out bytes.Buffer
		d := streamer.NewDirect(streamer.Config{Directory: x.dir}, &out)
		now := time.Now()
		d.Advance(now.UnixNano())
		x.open(d, now)
		if subscribe {
			for i := range x.ids {
				must(0, d.Subscribe(wire.Request{Channel: wire.ChannelQuote, Symbols: []string{symbol(i)}, Venue: wire.Consolidated}))
			}
		}
		used := cpu()
		for i := range n {
			x.change(i%100, now)
			if out.Len() > 1<<20 {
				out.Reset()
			}
		}
		return cpu() - used
	}
	return (cost(true) - cost(false)) / n
}

// idle tells what connections hold that nothing is sent to.
func idle(t task) (result, error) {
	h := startHub(max(t.Subs, 1), streamer.Config{})
	defer h.stop()
	debug.FreeOSMemory()
	before := resident()
	spec := clientSpec{Addr: h.addr, N: t.N, Kind: "ws", Path: "/v1/stream", Mark: markStream}
	if t.Subs > 0 {
		spec.Path, spec.Pick, spec.Of = "/v1/stream?channel=quote&interval=250ms", t.Subs, t.Subs
	}
	c := startClient(spec)
	defer c.stop()
	c.settle(t.N)
	if got := h.counter("subscriptions"); got != float64(t.N*t.Subs) {
		return result{}, fmt.Errorf("%v subscriptions", got)
	}
	for range 3 { // each has been written to
		for i := range h.ids {
			h.change(i, time.Now())
		}
		h.sink.Flush()
		c.settle(t.N)
	}
	as := resident() - before
	debug.FreeOSMemory()
	heapProfile()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return result{More: map[string]float64{
		"heap/connection": float64(m.HeapInuse) / float64(t.N), "of it in objects": float64(m.HeapAlloc) / float64(t.N), "stack/connection": float64(m.StackInuse) / float64(t.N),
		"RSS/connection after collection": (resident() - before) / float64(t.N), "as it was": as / float64(t.N),
	}}, nil
}

// heapProfile writes one to where BENCH_MEMPROFILE says.
func heapProfile() {
	if path := os.Getenv("BENCH_MEMPROFILE"); path != "" {
		f := must(os.Create(path))
		must(0, pprof.WriteHeapProfile(f))
		must(0, f.Close())
	}
}

// stall lets some clients stop reading while all are sent to, and looks at the
// others.
func stall(t task) (result, error) {
	const symbols, pick = 200, 20
	h := startHub(symbols, streamer.Config{})
	defer h.stop()
	spec := clientSpec{Addr: h.addr, N: t.N, Kind: "ws", Path: "/v1/stream?channel=quote&interval=100ms", Pick: pick, Of: symbols, Lag: 2, Mark: markStream}
	c := startClient(spec)
	defer c.stop()
	c.settle(t.N)
	h.drive(2*time.Second, never)
	more := make(map[string]float64)
	phase := func(i int, d time.Duration) {
		c.Phase.Store(uint64(i))
		used, before, begin := cpu(), c.Received.Load(), time.Now()
		h.drive(d, never)
		c.Phase.Store(0)
		more[fmt.Sprintf("phase %d deliveries/s", i)] = float64(c.Received.Load()-before) / time.Since(begin).Seconds()
		more[fmt.Sprintf("phase %d busy", i)] = (cpu() - used).Seconds() / time.Since(begin).Seconds()
	}
	phase(1, t.Time/4)
	debug.FreeOSMemory()
	rss := resident()
	c.Stalled.Store(uint64(t.Stalled))
	h.drive(2*time.Second, never) // until what is in flight has filled up
	phase(2, t.Time)
	debug.FreeOSMemory()
	more["RSS growth"] = resident() - rss
	c.Stalled.Store(0)
	h.drive(2*time.Second, never)
	phase(3, t.Time/4)
	for i := 1; i <= 3; i++ {
		more[fmt.Sprintf("phase %d p99 µs", i)] = c.quantile(i, 0.99)
		more[fmt.Sprintf("phase %d p50 µs", i)] = c.quantile(i, 0.5)
	}
	return result{More: more}, nil
}
