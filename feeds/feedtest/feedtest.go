package feedtest

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// Run tests an adapter. Its subtests run one after the other, in some seconds
// together.
func Run(t *testing.T, a Adapter) {
	for _, test := range []struct {
		name string
		skip bool
		run  func(*testing.T, Adapter)
	}{
		{"ComesUpAndCarriesData", false, comesUp},
		{"ComesBackAfterALoss", false, comesBack},
		{"IsPatientWithARefusal", false, isPatient},
		{"FindsSilence", false, findsSilence},
		{"StopsPromptly", false, stopsPromptly},
		{"ClosesByItself", false, closesByItself},
		{"ResyncsOneSymbolAlone", a.NoResync || a.NoImages, resyncs},
		{"HandsJunkOn", false, handsJunkOn},
		{"RefusesOversizedMessages", a.Oversized == 0, refusesOversized},
		{"ReportsARefusedSymbol", a.Unknown == "", reportsRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.skip {
				t.Skip("the adapter says that this does not apply")
			}
			before := runtime.NumGoroutine()
			// Registered first, so that it runs last.
			t.Cleanup(func() { noGoroutines(t, before) })
			test.run(t, a)
		})
		if t.Failed() && test.name == "ComesUpAndCarriesData" {
			t.Fatal("the rest makes no sense without")
		}
	}
}

// noGoroutines waits until no more are left than there were.
func noGoroutines(t *testing.T, before int) {
	t.Helper()
	timeout := time.After(promptly)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-timeout:
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
			return
		}
	}
}

// start starts a server whose time passes by itself until the test ends.
func start(t *testing.T, a Adapter) Server {
	t.Helper()
	s, step := a.Start(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		const every = 10 * time.Millisecond
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				step(5 * every) // rather more than there is on a quiet day
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
	})
	return s
}

func comesUp(t *testing.T, a Adapter) {
	s := start(t, a)
	l := run(t, a, s.URL(), quick, a.Symbols[:]...)
	l.awaitBooks(0, a.Symbols[:]...)
	fs := l.all()
	if fs[0].Kind != feeds.Up {
		t.Errorf("the first frame is %s", fs[0].Kind)
	}
	st := l.Status()
	if st.State != feeds.StateLive || st.Attempts != 1 || st.Reconnects != 0 || len(st.Problems) != 0 || st.Frames == 0 || st.Bytes == 0 {
		t.Errorf("status of a feed that is well: %+v", st)
	}
	l.stop()
	last := l.all()[l.mark()-1]
	if last.Kind != feeds.Down || !strings.HasPrefix(last.text, string(feeds.CauseClosed)) {
		t.Errorf("the last frame is %s %q, want Down %s", last.Kind, last.text, feeds.CauseClosed)
	}
	if n := awaitNone(s); n != 0 {
		t.Errorf("%d connections are left open at the provider", n)
	}
}

// awaitNone gives the server a moment to see that its clients have gone.
func awaitNone(s Server) (n int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(promptly)
	for n = s.Connections(); n > 0; n = s.Connections() {
		select {
		case <-tick.C:
		case <-timeout:
			return n
		}
	}
	return n
}

func comesBack(t *testing.T, a Adapter) {
	s := start(t, a)
	l := run(t, a, s.URL(), quick, a.Symbols[:]...)
	l.awaitBooks(0, a.Symbols[:]...)
	for i, lose := range []func(){s.Kill, func() { s.CloseAll(1001) }, func() { s.CloseAll(1011) }, s.Kill} {
		from := l.mark()
		lose()
		l.awaitKind(from, feeds.Down, "")
		l.awaitKind(from, feeds.Up, "")
		// All that was subscribed is so again, and from an image.
		fs := l.all()[from:]
		up := from + slices.IndexFunc(fs, func(f frame) bool { return f.Kind == feeds.Up })
		l.awaitBooks(up, a.Symbols[:]...)
		if got := l.Status().Reconnects; got != uint64(i)+1 {
			t.Errorf("%d reconnects after %d losses", got, i+1)
		}
	}
	for _, f := range l.all() {
		if cause, _, ok := strings.Cut(f.text, ":"); f.Kind == feeds.Down && (!ok || cause != string(feeds.CauseLost)) {
			t.Errorf("Down %q, want the cause %s and what happened", f.text, feeds.CauseLost)
		}
	}
}

func isPatient(t *testing.T, a Adapter) {
	s := start(t, a)
	l := run(t, a, s.URL(), quick, a.Symbols[:]...)
	l.awaitBooks(0, a.Symbols[:]...)
	from := l.mark()
	s.RefuseConnections(true)
	s.Kill()
	l.awaitKind(from, feeds.Down, "")
	tries := l.Status().Attempts
	l.await(from, "three more attempts", func([]frame) bool { return l.Status().Attempts >= tries+3 })
	if downs := count(l.all()[from:], feeds.Down); downs > 2 {
		t.Errorf("%d frames Down of one outage; an attempt that fails as the one before is no news", downs)
	}
	if st := l.Status(); st.State == feeds.StateLive || st.Cause == "" {
		t.Errorf("status while connections are refused: %+v", st)
	}
	s.RefuseConnections(false)
	l.awaitKind(from, feeds.Up, "")
	l.awaitBooks(from, a.Symbols[:]...)
}

func count(fs []frame, k feeds.FrameKind) (n int) {
	for _, f := range fs {
		if f.Kind == k {
			n++
		}
	}
	return n
}

func findsSilence(t *testing.T, a Adapter) {
	s := start(t, a)
	connector := a.Connect(t, s.URL(), a.Symbols[:]...)
	if m, ok := connector.(interface{ Mute() time.Duration }); !ok {
		t.Log("no method Mute: the supervisor's default of 10 s holds")
	} else if d := m.Mute(); d < time.Second || d > time.Minute {
		t.Errorf("Mute() is %v: a connection that carries data or heartbeats is not silent for so long, or not for so short", d)
	}
	p := quick
	p.Mute, p.ConnectTimeout = 500*time.Millisecond, time.Second
	l := run(t, a, s.URL(), p, a.Symbols[:]...)
	l.awaitBooks(0, a.Symbols[:]...)
	from := l.mark()
	s.Mute(true)
	l.awaitKind(from, feeds.Stale, string(feeds.CauseMute))
	l.awaitKind(from, feeds.Down, string(feeds.CauseMute))
	s.Mute(false)
	l.awaitKind(from, feeds.Up, "")
	l.await(from, "data again", func(fs []frame) bool {
		up := slices.IndexFunc(fs, func(f frame) bool { return f.Kind == feeds.Up })
		return up >= 0 && has(fs[up:], feeds.Data)
	})
}

func stopsPromptly(t *testing.T, a Adapter) {
	t.Run("while all is well", func(t *testing.T) {
		s := start(t, a)
		l := run(t, a, s.URL(), quick, a.Symbols[:]...)
		l.awaitBooks(0, a.Symbols[:]...)
		l.stop()
	})
	t.Run("while the provider is silent", func(t *testing.T) {
		s := start(t, a)
		l := run(t, a, s.URL(), quick, a.Symbols[:]...)
		l.awaitBooks(0, a.Symbols[:]...)
		s.Mute(true)
		l.stop()
	})
	t.Run("while nobody answers the sign-in", func(t *testing.T) {
		s := start(t, a)
		s.Mute(true)
		l := run(t, a, s.URL(), quick, a.Symbols[:]...)
		l.await(0, "a connection", func([]frame) bool { return s.Connections() > 0 })
		l.stop()
	})
	t.Run("while nobody answers the dial", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var held []net.Conn
		var wg sync.WaitGroup
		dialed := make(chan struct{}, 16)
		wg.Go(func() {
			for {
				c, err := silent.Accept()
				if err != nil {
					return
				}
				held = append(held, c)
				// Not before it waits for the answer to its request.
				if _, err := c.Read(make([]byte, 1<<12)); err != nil {
					continue
				}
				select {
				case dialed <- struct{}{}:
				default:
				}
			}
		})
		t.Cleanup(func() {
			silent.Close()
			wg.Wait()
			for _, c := range held {
				c.Close()
			}
		})
		l := run(t, a, "ws://"+silent.Addr().String(), quick, a.Symbols[:]...)
		select {
		case <-dialed:
		case <-time.After(patience):
			t.Fatal("the connector does not dial the URL that it was given")
		}
		l.stop()
	})
	t.Run("within Connect", func(t *testing.T) {
		s := start(t, a)
		s.Mute(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		connector := a.Connect(t, s.URL(), a.Symbols[:]...)
		var try feeds.Attempt
		go func() {
			c, err := connector.Connect(ctx, &try)
			if err == nil {
				// It does not wait for an answer; then Next does.
				_, _, err = c.Next()
				c.Close()
			}
			done <- err
		}()
		await(t, "a connection", func() bool { return s.Connections() > 0 })
		cancel()
		select {
		case err := <-done:
			if err == nil {
				t.Error("no error from a connection whose context ended")
			}
		case <-time.After(promptly):
			t.Fatal("Connect, or Next, outlives its context")
		}
	})
}

// closesByItself holds that Close needs no help: nobody else ends what a connection started.
func closesByItself(t *testing.T, a Adapter) {
	s := start(t, a)
	c, err := a.Connect(t, s.URL(), a.Symbols[:]...).Connect(context.Background(), new(feeds.Attempt))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Next(); err != nil {
		t.Error(err)
	}
	done := make(chan struct{})
	go func() { c.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(promptly):
		t.Fatalf("Close took %v while its context lived on", promptly)
	}
}

// await polls for what another goroutine brings about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func resyncs(t *testing.T, a Adapter) {
	s := start(t, a)
	l := run(t, a, s.URL(), quick, a.Symbols[:]...)
	l.awaitBooks(0, a.Symbols[:]...)
	for _, symbol := range a.Symbols {
		from := l.mark()
		l.Resync(symbol)
		l.await(from, "the image of "+symbol, func(fs []frame) bool {
			images, _ := l.count(fs, symbol)
			return images > 0
		})
		after := l.mark()
		l.await(after, "more data of both", func(fs []frame) bool {
			for _, s := range a.Symbols {
				if _, others := l.count(fs, s); others < 3 {
					return false
				}
			}
			return true
		})
		fs := l.all()[from:]
		for _, other := range a.Symbols {
			if images, _ := l.count(fs, other); other != symbol && images > 0 {
				t.Errorf("a resync of %s brought %d images of %s", symbol, images, other)
			} else if other == symbol && images > 1 {
				t.Errorf("one resync of %s brought %d images", symbol, images)
			}
		}
		if has(fs, feeds.Down) || s.Connections() == 0 {
			t.Errorf("a resync of %s cost the connection", symbol)
		}
	}
	if got := l.Status().Resyncs; got != 2 {
		t.Errorf("the status counts %d resyncs, want 2", got)
	}
	if p := l.Status().Problems; len(p) > 0 {
		t.Errorf("resyncs brought problems: %q", p)
	}
}

func handsJunkOn(t *testing.T, a Adapter) {
	s := start(t, a)
	l := run(t, a, s.URL(), quick, a.Symbols[:]...)
	l.awaitBooks(0, a.Symbols[:]...)
	from := l.mark()
	for i, junk := range []string{"{", "}", "null", "[]", "{}", "0", `""`, "\x00\xff", `{"type":`, `{"channel":`, `{"e":`, `[[]]`,
		`{"method":7,"type":7,"channel":7,"event":7,"op":7,"ev":7,"stream":7,"result":7}`} {
		mark := fmt.Sprintf(`{"conformance":%d}`, i)
		s.SendRaw([]byte(junk))
		s.SendRaw([]byte(mark))
		if a.Lenient {
			continue
		}
		l.await(from, fmt.Sprintf("what follows the junk %q", junk), func(fs []frame) bool {
			return slices.ContainsFunc(fs, func(f frame) bool { return f.text == mark })
		})
		if !slices.ContainsFunc(l.all()[from:], func(f frame) bool { return f.Kind == feeds.Data && f.text == junk }) {
			t.Errorf("%q was not handed on as it came: what a payload means is for the decoder to say", junk)
		}
	}
	after := l.mark()
	l.await(after, "data after the junk", func(fs []frame) bool {
		_, others := l.count(fs, a.Symbols[0])
		return others > 0
	})
	if !a.Lenient && has(l.all()[from:], feeds.Down) {
		t.Error("junk cost the connection")
	}
}

func refusesOversized(t *testing.T, a Adapter) {
	s := start(t, a)
	l := run(t, a, s.URL(), quick, a.Symbols[:]...)
	l.awaitBooks(0, a.Symbols[:]...)
	from := l.mark()
	s.SendRaw(make([]byte, a.Oversized))
	l.awaitKind(from, feeds.Down, string(feeds.CauseOversized))
	l.awaitKind(from, feeds.Up, "")
	l.awaitBooks(from, a.Symbols[:]...)
	for _, f := range l.all()[from:] {
		if len(f.text) >= a.Oversized {
			t.Error("the oversized message was handed on")
		}
	}
}

func reportsRefused(t *testing.T, a Adapter) {
	s := start(t, a)
	l := run(t, a, s.URL(), quick, a.Symbols[0], a.Unknown, a.Symbols[1])
	l.awaitBooks(0, a.Symbols[:]...)
	named := func() bool {
		return slices.ContainsFunc(l.Status().Problems, func(p string) bool { return strings.Contains(p, a.Unknown) })
	}
	l.await(0, "a problem that names "+a.Unknown, func([]frame) bool { return named() })
	if has(l.all(), feeds.Down) || l.Status().State != feeds.StateLive {
		t.Errorf("a refused symbol cost the connection: %+v", l.Status())
	}
	for _, symbol := range a.Symbols {
		if images, _ := l.count(l.all(), symbol); images > 1 {
			t.Errorf("%d images of %s, which nobody refused", images, symbol)
		}
	}
}
