package feedtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// patience is how long what is bound to come is waited for.
const patience = time.Minute

// promptly is how long stopping may take: the Connection's 3 s, and more for a
// busy machine.
const promptly = 10 * time.Second

// quick is a policy that does not make tests wait. The connector's own idea of
// silence is kept from all but the test of it.
var quick = feeds.Policy{Mute: -1, InitialBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
	RefusedRetry: 300 * time.Millisecond, EvictedRetry: 300 * time.Millisecond, EvictedMax: time.Second,
	ResyncEvery: 100 * time.Millisecond}

// line is a feed under test, and all that came of it.
type line struct {
	*feeds.Supervisor
	t      *testing.T
	a      Adapter
	log    *lockedBuffer
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	frames []frame
	news   chan struct{}
}

// frame is a frame that outlives its payload.
type frame struct {
	feeds.Frame
	text string
}

// lockedBuffer takes the log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run starts a feed; it is stopped, and all that it gave is checked, at the end
// of the test.
func run(t *testing.T, a Adapter, url string, p feeds.Policy, symbols ...string) *line {
	t.Helper()
	l := &line{t: t, a: a, log: &lockedBuffer{}, done: make(chan error, 1), news: make(chan struct{}, 1)}
	l.Supervisor = &feeds.Supervisor{Feed: "conformance", Provider: a.Provider, Connector: a.Connect(t, url, symbols...), Policy: p,
		Logger: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() { l.done <- l.Run(ctx, l.take) }()
	t.Cleanup(func() {
		l.stop()
		l.check()
	})
	return l
}

func (l *line) take(f feeds.Frame) error {
	kept := frame{f, string(f.Payload)}
	kept.Payload = nil
	l.mu.Lock()
	l.frames = append(l.frames, kept)
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
	return nil
}

// stop ends the feed, once, and fails if that is not prompt.
func (l *line) stop() {
	l.t.Helper()
	if l.done == nil {
		return
	}
	l.cancel()
	select {
	case err := <-l.done:
		if !errors.Is(err, context.Canceled) {
			l.t.Errorf("Run returned %v; it ends with the context's error only", err)
		}
	case <-time.After(promptly):
		l.t.Fatalf("not stopped %v after its context ended: a Connect or Next in progress must return at once then, a Close within 3 s", promptly)
	}
	l.done = nil
}

// all returns the frames so far.
func (l *line) all() []frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.frames)
}

// mark is a place in the stream of frames.
func (l *line) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.frames)
}

// await waits until ok of the frames from a mark on.
func (l *line) await(from int, what string, ok func([]frame) bool) {
	l.t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond) // for what is no frame
	defer tick.Stop()
	for !ok(l.all()[from:]) {
		select {
		case <-l.news:
		case <-tick.C:
		case <-timeout:
			var last []string
			for _, f := range l.all()[max(l.mark()-5, 0):] {
				last = append(last, fmt.Sprintf("%s %.100s", f.Kind, f.text))
			}
			l.t.Fatalf("%s: not within %v\nstatus: %+v\nlast frames: %q\nlog: %s", what, patience, l.Status(), last, l.log)
		}
	}
}

// awaitKind waits for a frame of a kind whose payload begins with prefix.
func (l *line) awaitKind(from int, k feeds.FrameKind, prefix string) {
	l.t.Helper()
	l.await(from, fmt.Sprintf("a frame %s %s", k, prefix), func(fs []frame) bool {
		return slices.ContainsFunc(fs, func(f frame) bool {
			return f.Kind == k && len(f.text) >= len(prefix) && f.text[:len(prefix)] == prefix
		})
	})
}

// awaitBooks waits for data of all the symbols, after the image of each.
func (l *line) awaitBooks(from int, symbols ...string) {
	l.t.Helper()
	l.await(from, fmt.Sprintf("data of %v", symbols), func(fs []frame) bool {
		for _, s := range symbols {
			images, others := l.count(fs, s)
			if others == 0 || images == 0 && !l.a.NoImages {
				return false
			}
		}
		return true
	})
}

// count returns how many images of a symbol, and other messages about it, there
// are.
func (l *line) count(fs []frame, symbol string) (images, others int) {
	for _, f := range fs {
		if f.Kind != feeds.Data && f.Kind != feeds.Reply {
			continue
		}
		s, image := "", false
		if f.Kind == feeds.Reply && l.a.AboutReply != nil {
			s, image = l.a.AboutReply(f.URL)
		} else {
			s, image = l.a.About([]byte(f.text))
		}
		switch {
		case s != symbol:
		case image:
			images++
		default:
			others++
		}
	}
	return images, others
}

// has reports whether there is a frame of the kind.
func has(fs []frame, k feeds.FrameKind) bool {
	return slices.ContainsFunc(fs, func(f frame) bool { return f.Kind == k })
}
