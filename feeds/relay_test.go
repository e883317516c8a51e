package feeds_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// relayRig is a Relay over connections that speak once a second, and what came of
// it as "feed kind".
type relayRig struct {
	feeds.Relay
	mu       sync.Mutex
	frames   []string
	refused  bool             // connections of the second line are
	waiting  map[string]int   // books that a line lacks, each time that is asked
	standing []feeds.Standing // once it is ready, each time that is asked
	began    time.Time
	at       map[string]time.Duration // of the last frame of each kind
}

func newRelayRig(life, handover time.Duration) *relayRig {
	r := &relayRig{began: time.Now(), at: map[string]time.Duration{}, waiting: map[string]int{}}
	for i, name := range []string{"a", "a~"} {
		c := &fakeConnector{connect: func(ctx context.Context, _ int, _ *feeds.Attempt) (feeds.Connection, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.refused && i == 1 {
				return nil, &feeds.DisconnectError{Cause: feeds.CauseRefused, Err: errTest}
			}
			conn := newFakeConnection(ctx)
			go func() {
				for {
					conn.messages <- "m"
					select {
					case <-ctx.Done():
						return
					case <-time.After(time.Second):
					}
				}
			}()
			return conn, nil
		}}
		r.Lines[i] = &feeds.Supervisor{Feed: name, Provider: "p", Connector: c, Policy: feeds.Policy{Lifetime: life, Handover: handover}}
	}
	r.Standing = func(_ context.Context, from, to string) (feeds.Standing, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.waiting[to] > 0 {
			r.waiting[to]--
			return feeds.Standing{Waiting: 1}, nil
		}
		if len(r.standing) > 0 {
			s := r.standing[0]
			r.standing = r.standing[1:]
			return s, nil
		}
		return feeds.Standing{}, nil
	}
	return r
}

func (r *relayRig) emit(f feeds.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Kind != feeds.Data {
		text := f.Feed + " " + f.Kind.String()
		r.frames = append(r.frames, text)
		r.at[text] = time.Since(r.began)
	}
	return nil
}

// run runs the relay for so long and returns what it told.
func (r *relayRig) run(t *testing.T, d time.Duration) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := r.Run(ctx, r.emit); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run returned %v", err)
	}
	return r.frames
}

// Three lives of an hour: each line is up before the other leaves, and they take
// turns.
func TestRelayTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayRig(time.Hour, time.Minute)
		r.waiting["a~"], r.waiting["a"] = 5, 3
		// The first two that leave wait until nothing shows them.
		r.standing = []feeds.Standing{{}, {Shown: 4}, {Shown: 1}, {}}
		got := r.run(t, 150*time.Minute)
		want := []string{"a up", "a~ up", "a leaving", "a down", "a up", "a~ leaving", "a~ down", "a down"}
		if !slices.Equal(got, want) {
			t.Errorf("the stream tells %q, want %q", got, want)
		}
		if first := r.at["a leaving"]; first < 57*time.Minute || first > 61*time.Minute {
			t.Errorf("the first line left after %v", first)
		}
		if second := r.at["a~ leaving"] - r.at["a~ up"]; second < 57*time.Minute || second > 61*time.Minute {
			t.Errorf("the second line left after %v", second)
		}
		if r.Status(0).State != feeds.StateStopped {
			t.Errorf("after the end a line is %s", r.Status(0).State)
		}
	})
}

// What stands by is told as such.
func TestRelayStandsBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayRig(time.Hour, time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx, r.emit) }()
		time.Sleep(time.Minute)
		if a, b := r.Status(0).State, r.Status(1).State; a != feeds.StateLive || b != feeds.StateStandby {
			t.Errorf("lines are %s and %s", a, b)
		}
		time.Sleep(time.Hour)
		if a, b := r.Status(0).State, r.Status(1).State; a != feeds.StateStandby || b != feeds.StateLive {
			t.Errorf("after an hour lines are %s and %s", a, b)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// A line that cannot be relieved stays, and is tried to be relieved again.
func TestRelayKeepsALineThatNobodyRelieves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayRig(time.Hour, time.Minute)
		r.refused = true
		time.AfterFunc(64*time.Minute, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if slices.Contains(r.frames, "a leaving") || slices.Contains(r.frames, "a down") {
				t.Errorf("without relief the line ended: %q", r.frames)
			}
			r.refused = false
		})
		got := r.run(t, 80*time.Minute)
		if want := "a up, a~ down, a~ down, a~ up, a leaving, a down, a~ down"; !strings.HasSuffix(want, strings.Join(got[max(len(got)-4, 0):], ", ")) {
			t.Errorf("the stream tells %q, want %s", got, want)
		}
	})
}

// A book that does not come for ever does not keep a line until its provider cuts
// it.
func TestRelayWaitsForBooksWithinReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayRig(time.Hour, 5*time.Minute)
		r.waiting["a~"] = 1 << 30
		r.run(t, 70*time.Minute)
		if d := r.at["a leaving"] - r.at["a~ up"]; d < 5*time.Minute || d > 5*time.Minute+2*time.Second {
			t.Errorf("the line left %v after the other was up", d)
		}
	})
}

// What fails downstream ends both lines, also during a handover.
func TestRelayEndsWithDownstream(t *testing.T) {
	for _, at := range []time.Duration{time.Minute, 61 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := newRelayRig(time.Hour, 30*time.Minute)
			r.waiting["a~"] = 1 << 30
			began := time.Now()
			err := r.Run(t.Context(), func(f feeds.Frame) error {
				if time.Since(began) >= at {
					return errTest
				}
				return r.emit(f)
			})
			if !errors.Is(err, errTest) {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}
