package feeds_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// demandedConnection notes what it is asked to subscribe.
type demandedConnection struct {
	*fakeConnection
	note func(string)
}

func (c *demandedConnection) Subscribe(s []string) error   { c.note(fmt.Sprint("+", s)); return nil }
func (c *demandedConnection) Unsubscribe(s []string) error { c.note(fmt.Sprint("-", s)); return nil }

// TestDemand: who wants what, for how long, and what becomes of it.
func TestDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var story []string
		note := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			story = append(story, text)
		}
		told := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(story, want) {
				t.Errorf("got %q, want %q", story, want)
			}
			story = nil
		}
		d := &feeds.Demand{Linger: 10 * time.Second}
		s := &feeds.Supervisor{Feed: "f", Provider: "p", Demand: d, Policy: feeds.Policy{Mute: -1},
			Connector: &fakeConnector{connect: func(ctx context.Context, _ int, a *feeds.Attempt) (feeds.Connection, error) {
				note(fmt.Sprint("connect ", a.Symbols([]string{"X", "Y", "Z"})))
				return &demandedConnection{newFakeConnection(ctx), note}, nil
			}}}
		stop := start(s, func(f feeds.Frame) error {
			note(f.Kind.String() + " " + string(f.Payload))
			return nil
		})
		time.Sleep(time.Hour)
		told()
		if st := s.Status(); st.State != feeds.StateIdle || st.Attempts != 0 {
			t.Errorf("wanted by nobody the feed is %s after %d attempts", st.State, st.Attempts)
		}
		d.Want("A")
		told("connect [A]", "up ")
		d.Want("A")
		d.Want("B")
		time.Sleep(time.Second)
		told("+[B]")
		s.Resync("C") // which nobody wants
		d.Release("A")
		d.Release("B")
		time.Sleep(9 * time.Second)
		told()
		d.Want("B") // again, in time
		time.Sleep(time.Minute)
		told()
		d.Release("B")
		time.Sleep(12 * time.Second)
		told("-[B]", "unsubscribed B")
		d.Release("A")
		d.Release("A") // once too often
		time.Sleep(12 * time.Second)
		told("down closed: nobody wants its symbols")
		if st := s.Status(); st.State != feeds.StateIdle || st.Resyncs != 0 {
			t.Errorf("the feed is %s after %d resyncs", st.State, st.Resyncs)
		}
		d.Want("C")
		d.Want("D")
		synctest.Wait()
		d.Want("E")
		time.Sleep(time.Second)
		mu.Lock()
		if first := story[0]; first != "connect [C]" && first != "connect [C D]" || s.Status().Attempts != 2 {
			t.Errorf("got %q after %d attempts", story, s.Status().Attempts)
		}
		mu.Unlock()
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}
