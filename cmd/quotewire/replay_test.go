package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds/sim"
)

// TestReplayIsDeterministic replays one recording twice, in two processes, with
// every channel at two intervals: the output must be the same to the byte.
func TestReplayIsDeterministic(t *testing.T) {
	path := recordSim(t, 3*time.Second, nil)
	for _, interval := range []string{"0", "250ms"} {
		args := []string{"replay", path, "--speed", "max", "--channel", "quote,book,trade,ticker", "--symbols", "*", "--interval", interval, "--depth", "5", "--venues"}
		first, second := run(t, args...), run(t, args...)
		if len(first) < 100_000 {
			t.Errorf("interval %s: only %d bytes of output", interval, len(first))
		}
		if !bytes.Equal(first, second) {
			t.Errorf("interval %s: two replays differ", interval)
		}
		t.Logf("interval %s: %d bytes, sha256 %x", interval, len(first), sha256.Sum256(first))
	}
}

// TestReplayEqualsLive records the simulated feeds while a client takes every
// consolidated quote. The replay must have the same quotes, with the same
// positions and times.
func TestReplayEqualsLive(t *testing.T) {
	live := newQuoteLog()
	path := recordSim(t, 3*time.Second, live)
	replayed := newQuoteLog()
	for line := range bytes.Lines(run(t, "replay", path, "--speed", "max", "--channel", "quote", "--symbols", "*", "--interval", "0")) {
		if err := replayed.add(line); err != nil {
			t.Fatal(err)
		}
	}
	compared := 0
	for symbol, quotes := range live.quotes {
		want := replayed.quotes[symbol]
		// Subscribed before anything was heard of the symbol: an empty snapshot,
		// which the replay, whose symbols appear with their first update, has not.
		for len(quotes) > 0 && quotes[0].seq == 0 {
			quotes = quotes[1:]
		}
		if len(quotes) == 0 {
			continue
		}
		// The live client's first message is a snapshot as of its subscription: the
		// replayed quote that stood then is the last one up to that position.
		start := 0
		for i, q := range want {
			if q.seq <= quotes[0].seq {
				start = i
			}
		}
		for i, q := range quotes {
			if start+i >= len(want) {
				t.Fatalf("%s: the replay ends at quote %d of %d", symbol, i, len(quotes))
			}
			w := want[start+i]
			if i > 0 && (w.seq != q.seq || w.rx != q.rx || w.ts != q.ts) || !reflect.DeepEqual(w.state, q.state) {
				t.Fatalf("%s: quote %d is\n%d %v live and\n%d %v replayed", symbol, i, q.seq, q.state, w.seq, w.state)
			}
			compared++
		}
	}
	if compared < 1000 {
		t.Errorf("only %d quotes compared", compared)
	}
	t.Logf("%d quotes of %d symbols are the same live and replayed", compared, len(live.quotes))
}

// quoteLog rebuilds the consolidated quotes of a stream of messages.
type quoteLog struct {
	quotes map[string][]loggedQuote
	names  map[uint64]string // symbols by sid
}

// loggedQuote is a quote after one message.
type loggedQuote struct {
	seq    uint64
	ts, rx int64
	state  map[string]any
}

func newQuoteLog() *quoteLog {
	return &quoteLog{quotes: make(map[string][]loggedQuote), names: make(map[uint64]string)}
}

func (l *quoteLog) add(line []byte) error {
	var head struct {
		Type   string `json:"type"`
		SID    uint64 `json:"sid"`
		Symbol string `json:"symbol"`
		Seq    uint64 `json:"seq"`
		Prev   uint64 `json:"prev"`
		TS     int64  `json:"ts"`
		RX     int64  `json:"rx"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	if head.Type == "gap" || head.Type == "error" {
		return fmt.Errorf("%s", line)
	}
	if head.Type != "snapshot" && head.Type != "delta" {
		return nil
	}
	fields := make(map[string]any)
	if err := json.Unmarshal(line, &fields); err != nil {
		return err
	}
	state := make(map[string]any)
	symbol := head.Symbol
	if head.Type == "delta" {
		symbol = l.names[head.SID]
		list := l.quotes[symbol]
		last := list[len(list)-1]
		if last.seq != head.Prev {
			return fmt.Errorf("%s: prev %d does not follow %d", symbol, head.Prev, last.seq)
		}
		for k, v := range last.state {
			state[k] = v
		}
	} else {
		l.names[head.SID] = symbol
	}
	for k, v := range fields {
		switch k {
		case "type", "sid", "channel", "symbol", "epoch", "seq", "prev", "n", "span", "ts", "rx", "tx", "merged":
		default:
			if v == nil {
				delete(state, k)
			} else {
				state[k] = v
			}
		}
	}
	l.quotes[symbol] = append(l.quotes[symbol], loggedQuote{head.Seq, head.TS, head.RX, state})
	return nil
}

// recordSim records all simulated feeds while the market moves by d, as fast as
// it can, and returns the capture's path. With a log, a client takes every
// consolidated quote meanwhile.
func recordSim(t *testing.T, d time.Duration, log *quoteLog) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sim.qwc")
	w := world(t, sim.MarketConfig{Seed: 7, Start: time.Date(2026, 7, 7, 14, 0, 0, 0, time.UTC)})
	s := start(t, w.feeds(), func(s *service) {
		s.record = path
		// A machine under load may let the reader fall behind; it must not be told
		// a gap for that.
		s.streamer.LogFrames = 1 << 15
	})
	read := make(chan error, 1)
	if log != nil {
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+s.url[len("http"):]+"/v1/stream?channel=quote&symbols=*&interval=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() { read <- log.read(conn) }()
	} else {
		read <- nil
	}
	eventually(t, "feeds live", func() error { return allLive(s, len(w.feeds())) })
	const step = 20 * time.Millisecond
	// One tick of the simulator at a time, each at once after the one before has
	// gone through: no pace, no waiting on a clock.
	for range d / step {
		w.market.Step(step)
		settle(t, s)
	}
	// The market stands still now; on a slow machine the last snapshots may still
	// be on their way.
	eventually(t, "books live", func() error { return booksLive(s, w) })
	s.stop()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	return path
}

// read takes messages until the server ends the connection.
func (l *quoteLog) read(conn *websocket.Conn) error {
	for {
		_, frame, err := conn.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseServiceRestart) {
			return nil
		}
		if err != nil {
			return err
		}
		for line := range bytes.SplitSeq(frame, []byte{'\n'}) {
			var head struct {
				Type string `json:"type"`
				Code string `json:"code"`
			}
			if err := json.Unmarshal(line, &head); err != nil {
				return err
			}
			if head.Type == "error" && head.Code == "server_shutdown" {
				continue
			}
			if err := l.add(line); err != nil {
				return err
			}
		}
	}
}

// allLive reports which of n feeds is not live yet.
func allLive(s *running, n int) error {
	var body statusBody
	if err := get(s.url+"/v1/status", &body); err != nil {
		return err
	}
	if len(body.Feeds) != n {
		return fmt.Errorf("%d feeds, want %d", len(body.Feeds), n)
	}
	for _, f := range body.Feeds {
		if f.State != "live" {
			return fmt.Errorf("%s is %s: %s", f.Feed, f.State, f.Cause)
		}
	}
	return nil
}

// booksLive reports which venue of the demo's market has not got all its books or
// quotes live yet.
func booksLive(s *running, w *demoWorld) error {
	var body statusBody
	if err := get(s.url+"/v1/status", &body); err != nil {
		return err
	}
	for venue, simulated := range map[string]string{"coinbase": sim.Coinbase, "kraken": sim.Kraken,
		"bitfinex": sim.Bitfinex, "bitstamp": sim.Bitstamp, "sip": sim.NBBO} {
		if n, want := body.venue(venue, "live"), len(w.market.Symbols(simulated)); n != want {
			return fmt.Errorf("%s has %d live, want %d", venue, n, want)
		}
	}
	return nil
}

// settle waits until no batch of events waits for a shard, so that a simulated
// market that runs faster than real time does not outrun the machine.
func settle(t *testing.T, s *running) {
	t.Helper()
	eventually(t, "books are up to date", func() error {
		for _, n := range s.engine.Queued() {
			if n > 0 {
				return fmt.Errorf("%d batches wait", n)
			}
		}
		return nil
	})
}

// TestRecordingVerifies holds that a recording that was stopped in good order is
// sound: every checksum matches and every book can be trusted at its end.
func TestRecordingVerifies(t *testing.T) {
	path := recordSim(t, time.Second, nil)
	var got verification
	if err := json.Unmarshal(run(t, "capture", "verify", "--json", path), &got); err != nil {
		t.Fatal(err)
	}
	matched := uint64(0)
	for _, b := range got.Books {
		matched += b.Checksums.Matched
	}
	if len(got.Books) < 20 || matched < 100 {
		t.Errorf("%d books, %d checksums", len(got.Books), matched)
	}
}
