package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/capture"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// frames keeps what a source emitted.
type frames []feeds.Frame

func (fs *frames) Record(f feeds.Frame) {
	f.Payload = bytes.Clone(f.Payload)
	*fs = append(*fs, f)
}

// simFrames returns the frames of all simulated feeds over a few seconds, as they
// came over their sockets through the real adapters.
func simFrames(tb testing.TB) frames {
	tb.Helper()
	d, err := newDemoWorld(slog.New(slog.DiscardHandler), sim.MarketConfig{Seed: 5, Start: time.Date(2026, 7, 7, 14, 0, 0, 0, time.UTC)})
	if err != nil {
		tb.Fatal(err)
	}
	defer d.close()
	path := tb.TempDir() + "/bench.qwc"
	s := newService(slog.New(slog.DiscardHandler), streamer.Config{})
	s.record = path
	for _, f := range d.feeds() {
		if err := s.addFeed(f); err != nil {
			tb.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.runWith(ctx, s.run) }()
	timer := time.NewTimer(3 * time.Second)
	<-timer.C
	cancel()
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
	var fs frames
	err = (&capture.Source{Files: []string{path}}).Run(context.Background(), func(f feeds.Frame) error {
		fs.Record(f)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return fs
}

// engineRun is the path of a frame through decoder, books and streams in one
// goroutine, without a clock.
type engineRun struct {
	in     *ingest
	direct *streamer.Direct
	shard  *orderbook.Shard
	events int
	shift  int64 // ns by which the frames' times are moved
}

func newEngineRun(tb testing.TB, requests []wire.Request, w io.Writer) *engineRun {
	tb.Helper()
	dir := market.NewDirectory()
	r := &engineRun{in: newIngest(dir, slog.New(slog.DiscardHandler))}
	cfg := orderbook.Config{Directory: dir, Epoch: 1}
	if requests != nil {
		r.direct = streamer.NewDirect(streamer.Config{Directory: dir, MaxSubscriptions: 1 << 20}, w)
		for _, req := range requests {
			if err := r.direct.Subscribe(req); err != nil {
				tb.Fatal(err)
			}
		}
		cfg.Sinks = []orderbook.Sink{r.direct}
	}
	r.shard = orderbook.NewShard(cfg)
	batch := &orderbook.Batch{}
	r.in.batch = func() *orderbook.Batch { return batch }
	r.in.take = func(_ context.Context, b *orderbook.Batch) error {
		r.events += len(b.Events)
		r.shard.Apply(b.Events)
		return nil
	}
	return r
}

// pass leads the frames through once more, as if they came again right after.
func (r *engineRun) pass(tb testing.TB, fs frames) {
	for _, f := range fs {
		f.Received += r.shift
		r.frame(tb, f)
	}
	r.shift += fs[len(fs)-1].Received - fs[0].Received
}

func (r *engineRun) frame(tb testing.TB, f feeds.Frame) {
	if r.direct != nil {
		r.direct.Advance(f.Received)
	}
	if err := r.in.frame(context.Background(), f); err != nil {
		tb.Fatal(err)
	}
}

// subscriptions returns one request a channel for all symbols.
func subscriptions(interval time.Duration) []wire.Request {
	var out []wire.Request
	for _, ch := range []wire.Channel{wire.ChannelQuote, wire.ChannelBook, wire.ChannelTrade, wire.ChannelTicker} {
		r := wire.Request{Op: wire.OpSubscribe, Channel: ch, Symbols: []string{"*"}, Interval: interval,
			Given: wire.FieldChannel | wire.FieldSymbols | wire.FieldInterval}
		r.Resolve()
		out = append(out, r)
	}
	return out
}

// counter counts lines.
type counter struct{ lines, bytes int }

func (c *counter) Write(b []byte) (int, error) {
	c.bytes += len(b)
	c.lines += bytes.Count(b, []byte{'\n'})
	return len(b), nil
}

// BenchmarkFrameToUpdate leads frames of the simulated feeds through decoders and
// books, up to the updates with consolidated quotes and tickers.
func BenchmarkFrameToUpdate(b *testing.B) { benchEngine(b, nil) }

// BenchmarkFrameToDelta goes on to the encoded messages of four channels for all
// symbols, each change by itself (interval 0).
func BenchmarkFrameToDelta(b *testing.B) { benchEngine(b, subscriptions(0)) }

// BenchmarkFrameToDelta100ms is the same conflated to 100 ms.
func BenchmarkFrameToDelta100ms(b *testing.B) { benchEngine(b, subscriptions(100*time.Millisecond)) }

func benchEngine(b *testing.B, requests []wire.Request) {
	fs := simFrames(b)
	out := &counter{}
	r := newEngineRun(b, requests, out)
	r.pass(b, fs) // everything known, all memory grown
	r.events, *out = 0, counter{}
	n := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		r.pass(b, fs)
		n += len(fs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/frame")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(r.events), "ns/event")
	b.ReportMetric(float64(r.events)/float64(b.N), "events/op")
	if out.lines > 0 {
		b.ReportMetric(float64(out.lines)/float64(b.N), "messages/op")
	}
}

// TestFrameToUpdateAllocatesNothing leads a stretch of real frames of all
// simulated feeds, without snapshots, through decoders and books again and again.
func TestFrameToUpdateAllocatesNothing(t *testing.T) {
	fs := simFrames(t)
	r := newEngineRun(t, nil, nil)
	for range 2 {
		r.pass(t, fs)
	}
	r.events = 0
	per := testing.AllocsPerRun(3, func() {
		r.pass(t, fs)
	})
	events := r.events / 4 // AllocsPerRun runs it once more, to warm up
	t.Logf("%.0f allocations in %d events", per, events)
	// Connections come up in each run and books are asked for: a handful of
	// allocations that are not per event.
	if per > float64(events)/1000 {
		t.Errorf("%.0f allocations in %d events, want none per event", per, events)
	}
}
