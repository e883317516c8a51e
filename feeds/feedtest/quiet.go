package feedtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// KeepsQuiet holds, in a synctest bubble, that a feed of c at p outlives a market
// that stands still: within its Mute it asks, by a message that contains ping,
// whether p is there, whose answer pong keeps it from being taken for mute.
func KeepsQuiet(t *testing.T, p *Peer, c feeds.Connector, ping, pong string) {
	t.Helper()
	answer := p.Answer
	p.Answer = func(message string) []string {
		switch {
		case strings.Contains(message, ping):
			return []string{pong}
		case answer != nil:
			return answer(message)
		}
		return nil
	}
	s := &feeds.Supervisor{Feed: "quiet", Connector: c}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(f feeds.Frame) error {
			if f.Kind == feeds.Suspect {
				t.Errorf("quiet as usual, and told: %s", f.Payload)
			}
			return nil
		})
	}()
	const quiet = 10 * time.Minute
	began := time.Now()
	time.Sleep(quiet)
	if st := s.Status(); st.State != feeds.StateLive || st.Reconnects != 0 {
		t.Errorf("after %v of quiet: %+v", quiet, st)
	}
	cancel()
	<-done
	mute := c.(interface{ Mute() time.Duration }).Mute()
	last := began.Sub(p.began)
	for _, h := range append(p.Heard(), Heard{At: last + quiet, Text: ping}) {
		if !strings.Contains(h.Text, ping) {
			continue
		}
		if d := h.At - last; d >= mute {
			t.Fatalf("nothing was asked for %v, Mute is %v", d, mute)
		}
		last = h.At
	}
}
