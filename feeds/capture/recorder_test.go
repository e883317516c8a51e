package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// gate is a file whose writes wait to be let through, once it is shut.
type gate struct {
	bytes.Buffer
	shut    bool
	entered chan struct{}
	open    chan struct{}
	err     error
}

func (g *gate) Write(b []byte) (int, error) {
	if g.shut {
		g.entered <- struct{}{}
		<-g.open
		if g.err != nil {
			return 0, g.err
		}
	}
	return g.Buffer.Write(b)
}

// newGate returns a recorder at work whose disk is stuck at a frame of 300 KiB,
// and what ends it.
func newGate(t *testing.T, queue int) (g *gate, r *Recorder, w *Writer, stop func() error) {
	t.Helper()
	g = &gate{entered: make(chan struct{}, 100), open: make(chan struct{})}
	w, err := NewWriter(g, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	g.shut = true
	r = NewRecorder(w, RecorderConfig{Queue: queue, FlushInterval: time.Hour})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.Record(sized("one", 1, 300<<10))
	<-g.entered
	return g, r, w, func() error { cancel(); close(g.open); return <-ended }
}

func sized(feed string, received int64, size int) feeds.Frame {
	return feeds.Frame{Feed: feed, Provider: "p", Received: received, Payload: bytes.Repeat([]byte{byte(received)}, size)}
}

func lostFrame(feed string, received int64, n int) feeds.Frame {
	return feeds.Frame{Kind: feeds.Lost, Feed: feed, Provider: "p", Received: received, Payload: fmt.Append(nil, n)}
}

func TestRecorderOverflow(t *testing.T) {
	g, r, w, stop := newGate(t, 600<<10)
	r.Record(sized("one", 2, 200<<10))
	r.Record(sized("one", 3, 200<<10)) // does not fit
	r.Record(sized("two", 4, 200<<10)) // neither
	r.Record(sized("one", 5, 200<<10)) // neither
	r.Record(sized("two", 6, 1000))    // fits: the losses stand before it
	up := feeds.Frame{Kind: feeds.Up, Feed: "two", Provider: "p", Received: 7}
	r.Record(up)
	r.Record(sized("one", 8, 200<<10)) // lost at the end
	if got, want := r.Queue(), int64(500<<10+1000+6*frameCost); r.Lost() != 4 || got != want {
		t.Errorf("lost %d, queue %d; want 4, %d", r.Lost(), got, want)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := decode(g.Bytes())
	if err != io.EOF {
		t.Fatal(err)
	}
	compare(t, got, []feeds.Frame{
		sized("one", 1, 300<<10), sized("one", 2, 200<<10),
		lostFrame("one", 3, 2), lostFrame("two", 4, 1),
		sized("two", 6, 1000), up, lostFrame("one", 8, 1),
	})
	if r.Frames() != 7 || r.Bytes() != 500<<10+1000+3 || r.Lost() != 4 || r.Queue() != 0 {
		t.Errorf("counts %d frames, %d bytes, %d lost, %d queued", r.Frames(), r.Bytes(), r.Lost(), r.Queue())
	}
	r.Record(up)
	if r.Lost() != 5 {
		t.Error("a frame after the end is not counted as lost")
	}
}

func TestRecorderReservesRoomForControl(t *testing.T) {
	g, r, w, stop := newGate(t, 301<<10)
	down := feeds.Frame{Kind: feeds.Down, Feed: "one", Provider: "p", Received: 3, Payload: make([]byte, 2000)}
	r.Record(sized("one", 2, 2000))
	r.Record(down)
	if err := errors.Join(stop(), w.Close()); err != nil {
		t.Fatal(err)
	}
	got, _ := decode(g.Bytes())
	compare(t, got, []feeds.Frame{sized("one", 1, 300<<10), lostFrame("one", 2, 1), down})
}

func TestRecorderTellsOfTooLargeFrames(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(w, RecorderConfig{Queue: 1 << 30})
	r.Record(sized("one", 1, MaxPayload+1))
	r.Record(feeds.Frame{Feed: string(make([]byte, maxName+1))})
	r.Record(sized("one", 2, 10))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := errors.Join(r.Run(ctx), w.Close()); err != nil {
		t.Fatal(err)
	}
	got, _ := decode(b.Bytes())
	compare(t, got, []feeds.Frame{lostFrame("one", 1, 1), sized("one", 2, 10)})
	if r.Lost() != 2 {
		t.Errorf("lost %d, want 2", r.Lost())
	}
}

func TestRecorderDiskError(t *testing.T) {
	g, r, _, stop := newGate(t, 1<<20)
	g.err = errors.New("disk full")
	r.Record(sized("one", 2, 100))
	if err := stop(); err == nil || !errors.Is(err, g.err) {
		t.Fatalf("Run returns %v", err)
	}
	r.Record(sized("one", 3, 100))
	if r.Lost() != 3 || r.Queue() != 0 {
		t.Errorf("lost %d, want 3 (one stuck, one waiting, one later); queue %d", r.Lost(), r.Queue())
	}
}

func TestRecorderFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		w, err := NewWriter(&b, testHeader)
		if err != nil {
			t.Fatal(err)
		}
		r := NewRecorder(w, RecorderConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		r.Record(sized("one", 1, 10))
		time.Sleep(time.Second + time.Millisecond) // in the bubble's time
		synctest.Wait()
		got, err := decode(b.Bytes())
		if !errors.Is(err, ErrTruncated) {
			t.Errorf("error %v", err)
		}
		compare(t, got, []feeds.Frame{sized("one", 1, 10)})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestRecorderManyFeeds: every frame is either written or counted in a Lost
// frame, in order within its feed.
func TestRecorderManyFeeds(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(w, RecorderConfig{Queue: 4000})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	const n = 3000
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range n {
				r.Record(feeds.Frame{Feed: fmt.Sprint(k), Received: int64(i), Payload: []byte("xyz")})
			}
		})
	}
	wg.Wait()
	cancel()
	if err := errors.Join(<-ended, w.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := decode(b.Bytes())
	if err != io.EOF {
		t.Fatal(err)
	}
	next := make(map[string]int64)
	for _, f := range got {
		if f.Received != next[f.Feed] {
			t.Fatalf("feed %s continues with %d, want %d", f.Feed, f.Received, next[f.Feed])
		}
		step := int64(1)
		if f.Kind == feeds.Lost {
			fmt.Sscan(string(f.Payload), &step)
		}
		next[f.Feed] += step
	}
	for feed, end := range next {
		if end != n {
			t.Errorf("feed %s ends at %d, want %d", feed, end, n)
		}
	}
}
