package streamer

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/quotewire/quotewire/streamer/wire"
)

// FuzzHandle: whatever a client sends, it is answered, by an ack, a pong or an
// error that says why, and every message that follows is one line of the protocol.
func FuzzHandle(f *testing.F) {
	for _, seed := range []string{
		`{"op":"ping","id":1}`, `{"op":"auth","id":1,"token":"x"}`, `{`, ``, `null`, "\xff", `{"op":"subscribe"}`,
		`{"op":"subscribe","id":2,"channel":"book","symbols":["BTC-USD","ETH-*"],"depth":10,"interval":"100ms","venues":true}`,
		`{"op":"subscribe","id":3,"channel":"trade","symbols":["BTC-USD"],"interval":"0","venue":"kraken"}`,
		`{"op":"subscribe","id":4,"channel":"quote","symbols":["*"],"resume":{"BTC-USD":{"epoch":"1","seq":2}}}`,
		`{"op":"update","id":5,"channel":"book","symbols":["BTC-USD"],"interval":"1s","depth":0,"checksum":false}`,
		`{"op":"unsubscribe","id":6,"channel":"book","symbols":["ETH-*"]}`, `{"op":"resync","id":7,"sid":1}`,
		`{"op":"update","sid":1,"interval":"0"}`, `{"op":"unsubscribe","sid":1}`, `{"op":"budget","kbps":200}`,
		`{"op":"subscribe","channel":"ticker","symbols":["*"],"max_age":"1s"}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		x := newFeed(t)
		s := newSession(x.hub, "test", "test")
		check := lineCheck{t: t}
		for _, text := range [][]byte{
			[]byte(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"]}`), first, second,
		} {
			check.replies = 0
			bad := s.handle(text)
			w := s.take(x.now)
			for _, m := range w.messages {
				check.add(m, 1)
			}
			if check.replies == 0 || bad != (check.errors > 0) {
				t.Fatalf("%q: %d replies, %d errors, bad %v", text, check.replies, check.errors, bad)
			}
			check.errors = 0
			for range 3 {
				w.collect(s, &check)
				x.lane.deliver(x.now)
				x.step(1)
				w = s.take(x.now)
			}
		}
		s.unsubscribeAll()
		for _, topic := range x.lane.topics {
			if len(topic.subs) > 0 || topic.held > 0 {
				t.Fatalf("%+v is still held", topic.key)
			}
		}
	})
}

// lineCheck is an output that takes nothing but lines of the protocol.
type lineCheck struct {
	t               *testing.T
	replies, errors int
}

func (c *lineCheck) room(int) error { return nil }

func (c *lineCheck) add(run []byte, n int) { each(run, n, c.message) }

func (c *lineCheck) message(msg []byte) {
	conforms(c.t, msg)
	m, err := wire.Parse(msg)
	if err != nil || !json.Valid(msg) || bytes.IndexByte(msg, '\n') >= 0 {
		c.t.Fatalf("%v in %q", err, msg)
	}
	switch m.(type) {
	case *wire.Ack, *wire.Pong:
		c.replies++
	case *wire.Error:
		c.replies++
		c.errors++
	case *wire.Unknown:
		c.t.Fatalf("unknown message %q", msg)
	}
}
