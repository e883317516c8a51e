package streamer

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestDirectIsDeterministic: the same messages at the same times give the same
// output, to the byte, and symbols are taken in as they appear.
func TestDirectIsDeterministic(t *testing.T) {
	run := func() []byte {
		var out bytes.Buffer
		dir := market.NewDirectory()
		d := NewDirect(Config{Directory: dir, Lanes: 7}, &out)
		for _, channel := range testChannels {
			for _, interval := range []time.Duration{0, 20 * time.Millisecond} {
				req := wire.Request{Op: wire.OpSubscribe, Channel: channel, Symbols: []string{"BTC-USD", "ETH-*", "NEVER"}, Interval: interval,
					Given: wire.FieldChannel | wire.FieldSymbols | wire.FieldInterval}
				req.Resolve()
				if err := d.Subscribe(req); err != nil {
					t.Fatal(err)
				}
			}
		}
		m := newSim(1, dir)
		shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 1, Sinks: []orderbook.Sink{d}})
		for range 2000 {
			m.now += m.rand.Int64N(int64(5 * time.Millisecond))
			d.Advance(m.now)
			shard.Apply(m.message())
		}
		d.Finish()
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	a, b := run(), run()
	if !bytes.Equal(a, b) {
		t.Error("two runs differ")
	}
	acks := make(map[string]int)
	for line := range bytes.Lines(a) {
		conforms(t, line)
		m, err := wire.Parse(bytes.TrimSpace(line))
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if ack, ok := m.(*wire.Ack); ok {
			for _, g := range ack.Streams {
				acks[g.Symbol]++
			}
		}
	}
	if want := 2 * len(testChannels); len(acks) != 2 || acks["BTC-USD"] != want || acks["ETH-USD"] != want {
		t.Errorf("streams granted: %v", acks)
	}
	t.Logf("%d bytes", len(a))
}

func TestDirectTakesManySymbols(t *testing.T) {
	var out bytes.Buffer
	dir := market.NewDirectory()
	d := NewDirect(Config{Directory: dir}, &out)
	req := wire.Request{Op: wire.OpSubscribe, Channel: wire.ChannelQuote, Given: wire.FieldChannel | wire.FieldSymbols}
	for i := range 10 * maxFollows {
		req.Symbols = append(req.Symbols, fmt.Sprintf("S%d", i))
	}
	req.Resolve()
	if err := d.Subscribe(req); err != nil {
		t.Error(err)
	}
	req.Venue = "a venue"
	if err := d.Subscribe(req); err == nil {
		t.Error("a venue that can be none was taken")
	}
}

type brokenWriter struct{ after int }

var errBroken = errors.New("disk full")

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.after -= len(b); w.after < 0 {
		return 0, errBroken
	}
	return len(b), nil
}

func TestDirectKeepsTheFirstError(t *testing.T) {
	dir := market.NewDirectory()
	d := NewDirect(Config{Directory: dir}, &brokenWriter{after: 2000})
	req := wire.Request{Op: wire.OpSubscribe, Channel: wire.ChannelBook, Symbols: []string{"*"}, Given: wire.FieldChannel | wire.FieldSymbols}
	req.Resolve()
	if err := d.Subscribe(req); err != nil {
		t.Fatal(err)
	}
	m := newSim(1, dir)
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 1, Sinks: []orderbook.Sink{d}})
	for range 200 {
		m.now += 1e9
		d.Advance(m.now)
		shard.Apply(m.message())
	}
	if err := d.Err(); !errors.Is(err, errBroken) {
		t.Errorf("Err is %v", err)
	}
}
