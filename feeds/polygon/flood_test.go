package polygon_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/polygon"
)

// errEnough ends a Run.
var errEnough = errors.New("enough")

// slowly runs a feed that never catches up with a flood: each frame is looked at
// only when another waits. It ends when look fails.
func slowly(t *testing.T, ctx context.Context, look func(s *feeds.Supervisor) error) error {
	t.Helper()
	c, err := polygon.New(polygon.Config{URL: flood(t), Market: "stocks", APIKey: key, Subscriptions: []string{"T.*"}, AnswerWait: 50 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &feeds.Supervisor{Connector: c, Policy: policy}
	return s.Run(ctx, func(f feeds.Frame) error {
		if f.Kind != feeds.Data {
			return nil
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for s.Status().Backlog == 0 {
			<-tick.C
		}
		return look(s)
	})
}

// What got no answer is named also while data never pauses.
func TestUnansweredAreNamedInAFlood(t *testing.T) {
	began := time.Now()
	var named []string
	_ = slowly(t, t.Context(), func(s *feeds.Supervisor) error {
		if named = s.Status().Problems; len(named) > 0 || time.Since(began) > time.Minute {
			return errEnough
		}
		return nil
	})
	if !slices.Equal(named, []string{"no answer to the subscription of T.*"}) {
		t.Errorf("problems %q", named)
	}
}

// A feed that lags is stopped at once, not when it has caught up.
func TestStopWhileLagging(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	err := slowly(t, ctx, func(*feeds.Supervisor) error {
		switch n++; n {
		case 100:
			cancel()
		case 200:
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after %d frames: %v", n, err)
	}
}
