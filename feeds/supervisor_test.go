package feeds_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

func TestStreamOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conn *fakeConnection
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			time.Sleep(time.Second)
			a.Received([]byte("hello"), false)
			time.Sleep(time.Second)
			conn = newFakeConnection(ctx)
			return conn, nil
		}}
		s := &feeds.Supervisor{Feed: "f", Provider: "p", Connector: c}
		var rec recorder
		if st := s.Status(); st.State != feeds.StateStopped {
			t.Errorf("before Run the state is %q", st.State)
		}
		stop := start(s, rec.emit)
		synctest.Wait()
		if st := s.Status(); st.State != feeds.StateConnecting {
			t.Errorf("while connecting the state is %q", st.State)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		conn.messages <- "one"
		conn.messages <- "two"
		synctest.Wait()
		st := s.Status()
		if st.State != feeds.StateLive || st.Frames != 3 || st.Bytes != 11 || st.Reconnects != 0 || st.Feed != "f" || st.Provider != "p" {
			t.Errorf("status is %+v", st)
		}
		if !st.LastFrame.Equal(time.Now()) {
			t.Errorf("last frame at %v, want %v", st.LastFrame, time.Now())
		}
		first := conn
		conn.fail <- errTest
		synctest.Wait()
		select {
		case <-first.closed:
		default:
			t.Error("the lost connection was not closed")
		}
		st = s.Status()
		if st.State != feeds.StateDown || st.Cause != "lost: for the test" || !st.NextRetry.After(time.Now()) {
			t.Errorf("after the loss the status is %+v", st)
		}
		time.Sleep(4 * time.Second)
		if st := s.Status(); st.State != feeds.StateLive || st.Reconnects != 1 || st.Attempts != 2 {
			t.Errorf("after the reconnect the status is %+v", st)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		want := []string{"up", "data hello", "data one", "data two", "down lost: for the test", "up", "data hello", "down closed: stopped"}
		if got := rec.all(); !slices.Equal(got, want) {
			t.Errorf("frames %q, want %q", got, want)
		}
		if !slices.IsSorted(rec.times) {
			t.Errorf("receive times go back: %v", rec.times)
		}
		if st := s.Status(); st.State != feeds.StateStopped || !st.NextRetry.IsZero() {
			t.Errorf("after Run the status is %+v", st)
		}
	})
}

// answeringConnection is a connection whose address is asked for while Up is being
// told.
type answeringConnection struct {
	*fakeConnection
	meanwhile func()
}

func (c *answeringConnection) URL() string {
	c.meanwhile()
	return ""
}

// An answer beside the stream may come at any time, also just as Up is told: it
// follows Up, and must not have come before it.
func TestAnswerWhileUpIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConnector{connect: func(ctx context.Context, _ int, a *feeds.Attempt) (feeds.Connection, error) {
			return &answeringConnection{newFakeConnection(ctx), func() {
				time.Sleep(time.Second)
				if err := a.Reply("u", []byte("answer")); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}}, nil
		}}
		var rec recorder
		stop := start(&feeds.Supervisor{Connector: c}, rec.emit)
		time.Sleep(3 * time.Second)
		_ = stop()
		if got, want := rec.all(), []string{"up", "reply answer", "down closed: stopped"}; !slices.Equal(got, want) {
			t.Errorf("frames %q, want %q", got, want)
		}
		if !slices.IsSorted(rec.times) {
			t.Errorf("receive times go back: %v", rec.times)
		}
	})
}

// One hour of a provider that accepts, greets and kicks, and one that does not
// answer at all: the attempts must be few, and so must be what the stream says
// of those that did not come up.
func TestAnHourOfFailures(t *testing.T) {
	for _, tt := range []struct {
		name             string
		connect          func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error)
		attempts, frames int
	}{
		{"accept, greet, kick", func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			conn := newFakeConnection(ctx)
			conn.messages <- "welcome"
			conn.fail <- errTest
			return conn, nil
		}, 150, 450},
		{"no answer", func(context.Context, int, *feeds.Attempt) (feeds.Connection, error) { return nil, errTest }, 150, 1},
		{"key refused", func(context.Context, int, *feeds.Attempt) (feeds.Connection, error) {
			return nil, &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: errTest}
		}, 12, 1},
		{"evicted", func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			conn := newFakeConnection(ctx)
			conn.fail <- &feeds.DisconnectError{Cause: feeds.CauseEvicted, Err: errTest}
			return conn, nil
		}, 12, 24},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &fakeConnector{connect: tt.connect}
				var rec recorder
				stop := start(&feeds.Supervisor{Connector: c}, rec.emit)
				time.Sleep(time.Hour)
				_ = stop()
				t.Logf("%d attempts, %d frames in an hour", c.attempts, len(rec.frames))
				if c.attempts > tt.attempts || c.attempts < 5 {
					t.Errorf("%d attempts in an hour, want at most %d", c.attempts, tt.attempts)
				}
				if len(rec.frames) > tt.frames {
					t.Errorf("%d frames in an hour, want at most %d", len(rec.frames), tt.frames)
				}
			})
		})
	}
}

// A connection that was well for a while is replaced at once, however many
// failed before it.
func TestStableConnectionResetsBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last *fakeConnection
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			if n < 9 {
				return nil, errTest
			}
			last = newFakeConnection(ctx)
			return last, nil
		}}
		s := &feeds.Supervisor{Connector: c, Policy: feeds.Policy{Stable: 30 * time.Second}}
		stop := start(s, new(recorder).emit)
		for s.Status().State != feeds.StateLive {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		for range 31 {
			last.messages <- "tick"
			time.Sleep(time.Second)
		}
		last.fail <- errTest
		synctest.Wait()
		if d := time.Until(s.Status().NextRetry); d > 750*time.Millisecond {
			t.Errorf("after a stable connection the wait is %v", d)
		}
		_ = stop()
	})
}

func TestMuteConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var downAt time.Duration
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			conn := newFakeConnection(ctx)
			conn.messages <- fmt.Sprint(n)
			return conn, nil
		}}
		s := &feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: 10 * time.Second}}
		var rec recorder
		stop := start(s, func(f feeds.Frame) error {
			if f.Kind == feeds.Stale {
				if st := s.Status(); st.State != feeds.StateStale {
					t.Errorf("at the stale frame the state is %q", st.State)
				}
				if downAt == 0 {
					downAt = time.Since(began)
				}
			}
			return rec.emit(f)
		})
		time.Sleep(14 * time.Second)
		_ = stop()
		if downAt < 10*time.Second || downAt > 12*time.Second {
			t.Errorf("silence of 10 s was found after %v", downAt)
		}
		want := []string{"up", "data 0", "stale mute: no message for 10s", "down mute: no message for 10s", "up", "data 1", "down closed: stopped"}
		if got := rec.all(); !slices.Equal(got, want) {
			t.Errorf("frames %q, want %q", got, want)
		}
	})
}

// How silent one connection was while it was well says nothing of the next.
func TestNextConnectionIsLearnedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last *fakeConnection
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			last = newFakeConnection(ctx)
			return last, nil
		}}
		var rec recorder
		stop := start(&feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: 10 * time.Second}}, rec.emit)
		synctest.Wait()
		for range 300 {
			last.messages <- "tick"
			time.Sleep(100 * time.Millisecond)
		}
		last.fail <- errTest
		time.Sleep(time.Second)
		synctest.Wait()
		last.messages <- "the only one"
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := rec.all(); got[len(got)-1] != "data the only one" {
			t.Errorf("after 9 s of silence on the second connection: %q", got[len(got)-3:])
		}
		time.Sleep(3 * time.Second)
		_ = stop()
		if got := rec.all(); !slices.Contains(got, "stale mute: no message for 10s") {
			t.Errorf("after 12 s: %q", got[len(got)-3:])
		}
	})
}

// A connection that fell silent at once was not well for as long as it took to
// find that.
func TestMuteConnectionsAreMetWithPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			conn := newFakeConnection(ctx)
			conn.messages <- "welcome"
			return conn, nil
		}}
		s := &feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: 40 * time.Second, Stable: 30 * time.Second}}
		stop := start(s, new(recorder).emit)
		for s.Status().Attempts < 7 || s.Status().State != feeds.StateDown {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if d := time.Until(s.Status().NextRetry); d < 10*time.Second {
			t.Errorf("after seven of them the wait is %v", d)
		}
		_ = stop()
	})
}

func TestMuteOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			return newFakeConnection(ctx), nil
		}}
		var rec recorder
		stop := start(&feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: -1}}, rec.emit)
		time.Sleep(24 * time.Hour)
		_ = stop()
		if got, want := rec.all(), []string{"up", "down closed: stopped"}; !slices.Equal(got, want) {
			t.Errorf("frames %q, want %q", got, want)
		}
	})
}

// A market that is closed is silent by right, and what its silence was then does
// not count once it opens.
func TestClosedMarketIsNotMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			return newFakeConnection(ctx), nil
		}}
		var rec recorder
		stop := start(&feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: 10 * time.Second, Closed: func(at time.Time) bool {
			return at.Sub(began) < 8*time.Hour
		}}}, rec.emit)
		time.Sleep(8*time.Hour + 8*time.Second) // the watch looks once a second
		if got := rec.all(); !slices.Equal(got, []string{"up"}) {
			t.Errorf("silent for 8 s since it opened: %q", got)
		}
		time.Sleep(4 * time.Second)
		_ = stop()
		if got := rec.all(); len(got) < 3 || got[1] != "stale mute: no message for 10s" {
			t.Errorf("after that: %q", got)
		}
	})
}

// hintingConnector has its own idea of silence.
type hintingConnector struct{ fakeConnector }

func (c *hintingConnector) Mute() time.Duration { return time.Minute }

func TestConnectorKnowsItsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &hintingConnector{fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			return newFakeConnection(ctx), nil
		}}}
		var rec recorder
		stop := start(&feeds.Supervisor{Connector: c}, rec.emit)
		time.Sleep(59 * time.Second)
		if got := rec.all(); len(got) != 1 {
			t.Errorf("after 59 s: %q", got)
		}
		time.Sleep(14 * time.Second)
		if got := rec.all(); len(got) < 3 || got[1] != "stale mute: no message for 1m0s" {
			t.Errorf("after 73 s: %q", got)
		}
		_ = stop()
	})
}

// That downstream takes its time is not the provider's silence.
func TestSlowDownstreamIsNotMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			conn := newFakeConnection(ctx)
			conn.messages <- "a"
			conn.messages <- "b"
			return conn, nil
		}}
		var rec recorder
		stop := start(&feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: 10 * time.Second}}, func(f feeds.Frame) error {
			if f.Kind == feeds.Data {
				time.Sleep(time.Minute)
			}
			return rec.emit(f)
		})
		time.Sleep(2*time.Minute + 8*time.Second) // the watch is a tenth off, either way
		if got, want := rec.all(), []string{"up", "data a", "data b"}; !slices.Equal(got, want) {
			t.Errorf("frames %q, want %q", got, want)
		}
		_ = stop()
	})
}

func TestStatesOfWaiting(t *testing.T) {
	for _, tt := range []struct {
		cause feeds.DisconnectCause
		state feeds.State
		least time.Duration
	}{
		{feeds.CauseRefused, feeds.StateRefused, 5 * time.Minute},
		{feeds.CauseEvicted, feeds.StateEvicted, 30 * time.Second},
		{feeds.CauseProtocol, feeds.StateDown, 250 * time.Millisecond},
		{feeds.CauseOversized, feeds.StateDown, 250 * time.Millisecond},
	} {
		t.Run(string(tt.cause), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
					a.Received([]byte("no"), false)
					return nil, fmt.Errorf("sign in: %w", &feeds.DisconnectError{Cause: tt.cause, Err: errTest})
				}}
				s := &feeds.Supervisor{Connector: c}
				var rec recorder
				stop := start(s, rec.emit)
				synctest.Wait()
				st := s.Status()
				if st.State != tt.state || time.Until(st.NextRetry) < tt.least {
					t.Errorf("state %q, retry in %v", st.State, time.Until(st.NextRetry))
				}
				want := []string{"data no", "down " + string(tt.cause) + ": for the test"}
				if got := rec.all(); !slices.Equal(got, want) {
					t.Errorf("frames %q, want %q", got, want)
				}
				_ = stop()
				if got := rec.all(); len(got) != 2 {
					t.Errorf("stopping while waiting told %q", got[2:])
				}
			})
		})
	}
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		s := &feeds.Supervisor{Connector: c}
		stop := start(s, new(recorder).emit)
		time.Sleep(20*time.Second + time.Millisecond)
		synctest.Wait()
		if st := s.Status(); st.State != feeds.StateDown || st.Cause != "lost: not signed in within 20s" {
			t.Errorf("status is %+v", st)
		}
		_ = stop()
	})
}

func TestEmitErrorEndsRun(t *testing.T) {
	for _, kind := range []feeds.FrameKind{feeds.Up, feeds.Data, feeds.Stale, feeds.Down} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conn *fakeConnection
				c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
					conn = newFakeConnection(ctx)
					conn.messages <- "x"
					return conn, nil
				}}
				s := &feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: time.Second}}
				err := s.Run(t.Context(), func(f feeds.Frame) error {
					if f.Kind == kind {
						return errTest
					}
					return nil
				})
				if err != errTest {
					t.Errorf("Run returned %v", err)
				}
				select {
				case <-conn.closed:
				default:
					t.Error("the connection was not closed")
				}
			})
		})
	}
}

func TestResyncIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conn *fakeConnection
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			conn = newFakeConnection(ctx)
			return conn, nil
		}}
		s := &feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: -1}}
		s.Resync("too early")
		stop := start(s, new(recorder).emit)
		synctest.Wait()

		for range 100 {
			s.Resync("A")
		}
		s.Resync("B")
		synctest.Wait()
		if got := len(conn.resyncs); got != 1 {
			t.Errorf("%d resyncs at once, want 1: the others wait for the gap", got)
		}
		time.Sleep(60 * time.Millisecond)
		if got := len(conn.resyncs); got != 2 {
			t.Errorf("%d resyncs, want A and B", got)
		}
		time.Sleep(4 * time.Second)
		s.Resync("A")
		time.Sleep(100 * time.Millisecond)
		if got := len(conn.resyncs); got != 2 {
			t.Error("A was asked for again too early")
		}
		time.Sleep(time.Second)
		s.Resync("A")
		time.Sleep(100 * time.Millisecond)
		if got := len(conn.resyncs); got != 3 {
			t.Error("A was not asked for again after 5 s")
		}
		if got := s.Status().Resyncs; got != 3 {
			t.Errorf("status counts %d resyncs", got)
		}
		_ = stop()
	})
}

func TestResyncFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conn *fakeConnection
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			conn = newFakeConnection(ctx)
			return conn, nil
		}}
		s := &feeds.Supervisor{Connector: c, Policy: feeds.Policy{Mute: -1}}
		stop := start(s, new(recorder).emit)
		synctest.Wait()
		for i := range 100_000 {
			s.Resync(fmt.Sprint(i))
		}
		time.Sleep(time.Second)
		if got := len(conn.resyncs); got < 15 || got > 21 {
			t.Errorf("%d resyncs in a second, want 20", got)
		}
		time.Sleep(time.Hour)
		if got := len(conn.resyncs); got > 1100 {
			t.Errorf("%d requests were kept", got)
		}
		_ = stop()
	})
}

func TestProblemsAreShownAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
			for i := range 100 {
				a.Problem("same")
				a.Problem(fmt.Sprint("problem ", i))
			}
			return newFakeConnection(ctx), nil
		}}
		s := &feeds.Supervisor{Connector: c}
		stop := start(s, new(recorder).emit)
		synctest.Wait()
		if got := s.Status().Problems; len(got) != 16 || got[0] != "same" || got[1] != "problem 0" {
			t.Errorf("problems %q", got)
		}
		_ = stop()
	})
}

func TestStatusJSON(t *testing.T) {
	st := feeds.Status{Feed: "k", Provider: "kraken", State: feeds.StateDown, Cause: "lost: x",
		Since: time.UnixMicro(1764000000000001).UTC(), Reconnects: 1, Attempts: 2, Frames: 3, Bytes: 4, Backlog: 5,
		LastFrame: time.UnixMicro(1764000000000002).UTC(), NextRetry: time.UnixMicro(1764000000000003).UTC(), Resyncs: 6, Problems: []string{"p"}}
	b, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"feed":"k","provider":"kraken","state":"down","cause":"lost: x","since":1764000000000001,"reconnects":1,"attempts":2,` +
		`"frames":3,"bytes":4,"backlog":5,"last_frame":1764000000000002,"next_retry":1764000000000003,"resyncs":6,"problems":["p"]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	var back feeds.Status
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, st) {
		t.Errorf("came back as %+v, %v", back, err)
	}
	if b, _ := json.Marshal(feeds.Status{State: feeds.StateLive}); string(b) != `{"feed":"","provider":"","state":"live","reconnects":0,"attempts":0,"frames":0,"bytes":0,"resyncs":0}` {
		t.Errorf("unknown times are shown: %s", b)
	}
}
