package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// TestTokenRenewed: a token is replaced on the live connection before it expires,
// asked for again where the source or the server fails, and where it expired all the
// same the client comes back with another.
func TestTokenRenewed(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		asked := 0
		begin := time.Now()
		opts.TokenSource = func(context.Context) (string, time.Time, error) {
			asked++
			if asked == 3 {
				return "", time.Time{}, errors.New("the source is down")
			}
			return fmt.Sprint("t", asked), time.Now().Add(100 * time.Second), nil
		}
		opts.MissedHeartbeats = 1000
		auth := func(a *accepted, token string, after time.Duration, refuse bool) {
			t.Helper()
			r, err := wire.ParseRequest(<-a.requests)
			if err != nil || r.Op != wire.OpAuth || r.Token != token || time.Since(begin).Round(time.Second) != after {
				t.Errorf("after %v: %+v %v, want token %s after %v", time.Since(begin), r, err, token, after)
			}
			if refuse {
				send(t, a, &wire.Error{ID: r.ID, Code: wire.CodeRateLimited, Message: "later"})
				return
			}
			send(t, a, &wire.Ack{ID: r.ID, Op: r.Op})
		}
		ready := make(chan *accepted, 1)
		go func() {
			a := <-conns
			a.send(t, helloText)
			auth(a, "t1", 0, false)
			grantOne(t, a, 1)
			ready <- a
		}()
		c, err := Dial(t.Context(), "ws://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := c.Subscribe(t.Context(), Subscription{Channel: wire.ChannelQuote, Symbols: []string{"A"}})
		if err != nil {
			t.Fatal(err)
		}
		a := <-ready
		auth(a, "t2", 80*time.Second, false)
		auth(a, "t4", 165*time.Second, true) // the third was not had
		auth(a, "t5", 170*time.Second, false)
		synctest.Wait()
		send(t, a, &wire.Error{Code: wire.CodeUnauthorized, Message: "expired; the streams have ended"})
		want[*Disconnected](t, s)
		b := <-conns
		b.send(t, helloText)
		auth(b, "t6", 170*time.Second, false)
		want[*Reconnected](t, s)
		if n := c.Stats(); n.Connects != 2 {
			t.Errorf("%+v", n)
		}
	})
	both := Options{Token: "t", TokenSource: func(context.Context) (string, time.Time, error) { return "", time.Time{}, nil }}
	if _, err := Dial(t.Context(), "ws://server", both); err == nil {
		t.Error("a token and a source of tokens were taken")
	}
	down := errors.New("the source is down")
	url, conns := serveLoopback(t)
	go func() { (<-conns).send(t, helloText) }()
	_, err := Dial(t.Context(), url, Options{TokenSource: func(context.Context) (string, time.Time, error) { return "", time.Time{}, down }})
	if !errors.Is(err, down) {
		t.Errorf("Dial: %v, want the source's error", err)
	}
}

// TestObserved: the hook gets what Next returns, with its age; counters have names.
func TestObserved(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipeListener, conns chan *accepted, opts Options) {
		var seen []Update
		var ages []Latency
		opts.OnUpdate = func(u Update, l Latency) { seen, ages = append(seen, u), append(ages, l) }
		c, s, a := start(t, conns, opts, Subscription{Channel: wire.ChannelQuote, Symbols: []string{"AAPL"}})
		defer c.Close()
		now := time.Now()
		a.send(t, fmt.Sprintf(`{"type":"snapshot","sid":1,"channel":"quote","symbol":"AAPL","epoch":"e","seq":1,"rx":%d,"tx":%d,"bid":"100","bid_size":"1"}`,
			now.Add(-3*time.Millisecond).UnixMicro(), now.Add(-time.Millisecond).UnixMicro()))
		q := want[*Quote](t, s)
		_ = a.ws.Close()
		d := want[*Disconnected](t, s)
		if len(seen) != 2 || seen[0] != Update(q) || seen[1] != Update(d) ||
			ages[0] != (Latency{SinceReceived: 3 * time.Millisecond, SinceSent: time.Millisecond}) || ages[1] != (Latency{}) {
			t.Errorf("the hook got %v %v", seen, ages)
		}
		st := c.Stats()
		names, sum := make(map[string]bool), uint64(0)
		for name, n := range st.Counters() {
			names[name] = true
			sum += n
		}
		if len(names) != 22 || sum == 0 {
			t.Errorf("%d counters, sum %d", len(names), sum)
		}
	})
}
