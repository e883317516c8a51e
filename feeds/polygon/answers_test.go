package polygon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/sim"
)

// waiting is a connection whose subscriptions have no answer yet.
func waiting(subscriptions ...string) *connection {
	c := &connection{attempt: &feeds.Attempt{}, unanswered: map[string]bool{}, overdue: make(chan time.Time)}
	for _, s := range subscriptions {
		c.unanswered[answerKey(s)] = true
	}
	return c
}

// A pair is answered in either spelling, and with the last answer nothing is overdue.
func TestAnswers(t *testing.T) {
	c := waiting("C.EUR/USD", "C.GBP-USD")
	for _, step := range []struct {
		message string
		left    int
	}{
		{"unsubscribed to: C.EUR/USD", 2},
		{"subscribed to: C.JPY/USD", 2},
		{"subscribed to: C.EUR-USD", 1},
		{"subscribed to: C.GBP/USD ", 0},
	} {
		c.answered(step.message)
		if len(c.unanswered) != step.left || (c.overdue == nil) != (step.left == 0) {
			t.Errorf("after %q %d are left, overdue is nil: %t", step.message, len(c.unanswered), c.overdue == nil)
		}
	}
}

func TestManyUnansweredAreCounted(t *testing.T) {
	for n, want := range map[int]string{
		2:  "no answer to the subscription of T.S00, T.S01",
		10: "no answer to the subscription of T.S00, T.S01, T.S02, T.S03, T.S04, T.S05, T.S06, T.S07, T.S08, T.S09",
		12: "no answer to the subscription of T.S00, T.S01, T.S02, T.S03, T.S04, T.S05, T.S06, T.S07, T.S08, T.S09 and 2 more",
	} {
		c := waiting()
		for i := range n {
			c.unanswered[fmt.Sprintf("T.S%02d", i)] = true
		}
		c.tellUnanswered()
		if got := c.attempt.Problems(); !slices.Equal(got, []string{want}) {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, err := New(Config{Market: "stocks", APIKey: "k", Subscriptions: []string{"T.*"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.config.URL != DefaultURL || c.config.AnswerWait != 10*time.Second || !c.Idle() {
		t.Errorf("url %s, wait %v, idle %t", c.config.URL, c.config.AnswerWait, c.Idle())
	}
}

// What ends a connection beside its reader: its writer, and the library's own
// reconnect, should that ever come about.
func TestEndsBesideTheReader(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*connection)
		want string
	}{
		{"the writer ended", func(c *connection) { c.line.Debugf(writerEnded) }, "lost: closed by the provider"},
		{"the library reconnected", func(c *connection) { c.resumed <- struct{}{} }, "lost: the library reconnected by itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := sim.NewMarket(sim.MarketConfig{Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			s, err := sim.NewServer(sim.Config{Provider: "polygon", Market: m})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Listen("127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c, err := New(Config{URL: s.URL(), Market: "stocks", APIKey: "k", Subscriptions: []string{"T.*"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // not to wait for ever
			defer cancel()
			conn, err := c.Connect(ctx, &feeds.Attempt{})
			if err != nil {
				t.Fatal(err)
			}
			var ending sync.WaitGroup
			ending.Go(func() { tt.end(conn.(*connection)) })
			for err == nil {
				_, _, err = conn.Next()
			}
			conn.Close()
			ending.Wait()
			if d, ok := errors.AsType[*feeds.DisconnectError](err); !ok || d.Error() != tt.want {
				t.Errorf("ended with %v, want %s", err, tt.want)
			}
		})
	}
}
