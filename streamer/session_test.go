package streamer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// desk is a feed with one session whose messages are looked at one by one.
type desk struct {
	*feed
	t    *testing.T
	s    *session
	got  []string
	sid  uint64
	size market.Size
}

func newDesk(t *testing.T) *desk {
	d := &desk{feed: newFeed(t), t: t}
	d.hub.cfg.LogFrames = 8
	d.s = newSession(d.hub, "test", "test")
	return d
}

func (d *desk) room(int) error { return nil }

func (d *desk) add(run []byte, n int) {
	each(run, n, d.message)
}

// each calls fn with each of n messages.
func each(run []byte, n int, fn func(msg []byte)) {
	lines := bytes.Split(bytes.TrimSuffix(run, newline), newline)
	if len(lines) != n {
		panic(fmt.Sprintf("%d messages instead of %d in %s", len(lines), n, run))
	}
	for _, msg := range lines {
		fn(msg)
	}
}

func (d *desk) message(msg []byte) {
	conforms(d.t, msg)
	m, err := wire.Parse(msg)
	if err != nil {
		d.t.Fatalf("%v in %s", err, msg)
	}
	switch m := m.(type) {
	case *wire.Ack:
		if len(m.Streams) > 0 {
			d.sid = m.Streams[0].SID
		}
	case *wire.Snapshot:
		d.got = append(d.got, fmt.Sprintf("snapshot %s/%d", m.Epoch, m.Seq))
	case *wire.Delta:
		d.got = append(d.got, fmt.Sprintf("delta %d-%d", m.Prev, m.Seq))
	case *wire.Trade:
		d.got = append(d.got, fmt.Sprintf("trade %d-%d", m.Prev, m.Seq))
	case *wire.Gap:
		d.got = append(d.got, fmt.Sprintf("gap %d-%d %s", m.From, m.To, m.Reason))
	default:
		d.got = append(d.got, string(msg))
	}
}

func (d *desk) ask(format string, args ...any) { d.s.handle(fmt.Appendf(nil, format, args...)) }

// read lets the client read all, lanes and session taking turns.
func (d *desk) read() {
	for {
		w := d.s.take(d.now)
		if w.empty() {
			return
		}
		d.once(&w)
		d.lane.deliver(d.now)
	}
}

func (d *desk) once(w *waiting) {
	for _, m := range w.messages {
		d.add(m, 1)
	}
	w.collect(d.s, d)
}

// want compares what has come since the last call.
func (d *desk) want(want ...string) {
	d.t.Helper()
	if got := strings.Join(d.got, ", "); got != strings.Join(want, ", ") {
		d.t.Errorf("got %s, want %s", got, strings.Join(want, ", "))
	}
	d.got = nil
}

func (d *desk) print() {
	d.now += 1e6
	d.apply(1, market.Event{Kind: market.KindTrade, Side: market.SideBid, Price: 6421000, Size: 5})
}

func (d *desk) change() {
	d.now += 1e6
	d.size++
	d.apply(1, market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6421000, Size: d.size})
}

// restart begins a new epoch with as many prints as changes to the book.
func (d *desk) restart(epoch uint64, n int) {
	d.shard = orderbook.NewShard(orderbook.Config{Directory: d.dir, Epoch: epoch, Sinks: []orderbook.Sink{d}})
	d.now += 1e6
	d.apply(1, market.Event{Kind: market.KindClear, Flags: market.FlagSnapshot})
	for range n {
		d.print()
	}
}

func TestResyncSkipsNothing(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"trade","symbols":["BTC-USD"]}`)
	d.read()
	d.want("snapshot 1/0")
	d.print()
	d.print()
	d.ask(`{"op":"resync","sid":%d}`, d.sid)
	d.read()
	d.want("trade 0-1", "trade 1-2", "snapshot 1/2")
	d.print()
	d.read()
	d.want("trade 2-3")
}

func TestResyncOfAState(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"]}`)
	d.read()
	d.want("snapshot 1/2")
	d.ask(`{"op":"resync","sid":%d}`, d.sid)
	d.read()
	d.want("snapshot 1/2")
	d.change()
	d.ask(`{"op":"resync","sid":%d}`, d.sid)
	d.read()
	d.want("snapshot 1/3")
}

func TestSlowOnTrades(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"trade","symbols":["BTC-USD"]}`)
	d.read()
	d.want("snapshot 1/0")
	for range 8 {
		d.print()
	}
	d.read()
	d.want("trade 0-1", "trade 1-2", "trade 2-3", "trade 3-4", "trade 4-5", "trade 5-6", "trade 6-7", "trade 7-8")
	for range 9 {
		d.print()
	}
	d.read()
	d.want("gap 9-13 slow_consumer", "trade 13-14", "trade 14-15", "trade 15-16", "trade 16-17")
}

// TestSlowOnTradesOverARestart: what is missing between two epochs has no
// numbers; the new one begins with its snapshot.
func TestSlowOnTradesOverARestart(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"trade","symbols":["BTC-USD"]}`)
	d.read()
	d.print()
	d.restart(2, 9)
	d.got = nil
	d.read()
	d.want("snapshot 2/9")
	// Not so slow: everything.
	d.print()
	d.restart(3, 1)
	d.read()
	d.want("trade 9-10", "snapshot 3/0", "trade 0-1")
}

func TestSlowOnEveryChange(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"0"}`)
	d.read()
	for range 8 {
		d.change()
	}
	d.read()
	d.want("snapshot 1/2", "delta 2-3", "delta 3-4", "delta 4-5", "delta 5-6", "delta 6-7", "delta 7-8", "delta 8-9", "delta 9-10")
	for range 9 {
		d.change()
	}
	d.read()
	d.want("gap 11-19 slow_consumer", "snapshot 1/19")
}

// TestSlowOnAState: a conflated stream catches up with one message, however far
// behind the client is.
func TestSlowOnAState(t *testing.T) {
	for behind := 1; behind <= 12; behind++ {
		d := newDesk(t)
		d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"5ms"}`)
		d.read()
		d.got = nil
		for range behind {
			d.now += 10e6
			d.change()
			d.lane.tick(d.now)
		}
		d.read()
		if behind == 1 {
			d.want("delta 2-3")
		} else {
			d.want(fmt.Sprintf("snapshot 1/%d", 2+behind))
		}
	}
}

// TestSnapshotThatComesLate: a snapshot that was asked for is sent even though the
// stream has gone on: or a slow client might never see one.
func TestSnapshotThatComesLate(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"5ms"}`)
	d.read()
	d.got = nil
	move := func(n int) {
		for range n {
			d.now += 10e6
			d.change()
		}
	}
	move(20)
	w := d.s.take(d.now)
	d.once(&w)
	d.want() // it is asked for
	d.lane.deliver(d.now)
	move(3)
	w = d.s.take(d.now)
	d.once(&w)
	d.want("snapshot 1/22", "delta 22-23", "delta 23-24", "delta 24-25")
	move(20)
	w = d.s.take(d.now)
	d.once(&w)
	d.lane.deliver(d.now)
	move(20)
	w = d.s.take(d.now)
	d.once(&w)
	d.want("snapshot 1/45")
	d.lane.deliver(d.now)
	w = d.s.take(d.now)
	d.once(&w)
	d.want("snapshot 1/65")
}

// TestSnapshotThatDidNotFit: a snapshot that the socket had no room for is sent when it
// has, though nothing new comes.
func TestSnapshotThatDidNotFit(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"5ms"}`)
	d.read()
	d.got = nil
	topic := d.s.subs[0].topic
	for range 3 {
		d.now += 10e6
		d.change()
	}
	topic.refresh(d.now) // somebody else asked for it
	w := d.s.take(d.now)
	if err := d.s.collectAll(&w.state, false, fullOutput{}); err == nil {
		t.Fatal("it was not to fit")
	}
	d.s.putBack(&w)
	d.read()
	d.want("snapshot 1/5")
}

// fullOutput has no room.
type fullOutput struct{ discard }

func (fullOutput) room(int) error { return errYield }

// TestSnapshotThatWasOvertaken: on a stream of prints the log may have gone on so
// far that it reaches back only to after a snapshot that was asked for. Then
// that one is of no use.
func TestSnapshotThatWasOvertaken(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"trade","symbols":["BTC-USD"]}`)
	d.read()
	d.got = nil
	d.print()
	d.ask(`{"op":"resync","sid":%d}`, d.sid)
	w := d.s.take(d.now)
	d.once(&w)
	d.lane.deliver(d.now)
	for range 20 {
		d.print()
	}
	d.read()
	d.want("gap 1-17 slow_consumer", "trade 17-18", "trade 18-19", "trade 19-20", "trade 20-21", "snapshot 1/21")
}

// TestPrintsBeforeARestart: prints that wait for their interval are sent before
// what ends their epoch, or their row.
func TestPrintsBeforeARestart(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"trade","symbols":["BTC-USD"],"interval":"1s"}`)
	d.read()
	d.print()
	d.print()
	d.print()
	d.read()
	d.want("snapshot 1/0", "trade 0-1")
	d.restart(2, 2)
	d.read()
	d.want("trade 1-3", "snapshot 2/0")
	d.now += 1e9 + int64(maxSpacing)
	d.lane.tick(d.now)
	d.read()
	d.want("trade 0-2")
	// Lost upstream: three prints, repaired by an image.
	d.print()
	d.off = true
	v := orderbook.View{}
	if err := v.Apply(image(&d.lane.instrument(1).view)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.print()
		if err := v.Apply(&d.last); err != nil {
			t.Fatal(err)
		}
	}
	d.lane.update(image(&v), d.now)
	d.read()
	d.want("trade 2-3", "gap 4-6 upstream_gap")
}

func TestResumeOfAState(t *testing.T) {
	d := newDesk(t)
	subscribe := func(epoch string, seq int) {
		d.s.unsubscribeAll()
		d.s = newSession(d.hub, "test", "test")
		d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"5ms","resume":{"BTC-USD":{"epoch":%q,"seq":%d}}}`, epoch, seq)
		d.read()
	}
	subscribe("1", 1)
	d.want("snapshot 1/2") // the topic is new
	for range 4 {
		d.now += 10e6
		d.change()
	}
	subscribe("1", 3)
	d.want("delta 3-4", "delta 4-5", "delta 5-6")
	subscribe("1", 6)
	d.want("delta 6-6")
	subscribe("1", 7) // of another time
	d.want("snapshot 1/6")
	subscribe("9", 3)
	d.want("snapshot 1/6")
}

// TestResumeNotAcrossEpochs: positions of an epoch that came back do not lead to
// frames from before it went.
func TestResumeNotAcrossEpochs(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"0"}`)
	d.read()
	d.change()
	first := d.lane.instrument(1).view
	back := image(&first)
	d.restart(2, 0)
	back.Seq += 3
	d.lane.update(back, d.now)
	d.read()
	d.want("snapshot 1/2", "delta 2-3", "snapshot 2/1", "snapshot 1/6")
	d.s.unsubscribeAll()
	d.s = newSession(d.hub, "test", "test")
	d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"0","resume":{"BTC-USD":{"epoch":"1","seq":2}}}`)
	d.read()
	d.want("gap 3-6 resume", "snapshot 1/6")
}

// TestTickerOverMidnight: what is told of the time of a merged message holds over
// the end of a day too.
func TestTickerOverMidnight(t *testing.T) {
	d := newDesk(t)
	d.now = 1_764_028_800e9 - 10e9 // ten seconds before midnight
	for range 9 {
		d.print()
	}
	var merged *wire.Merged
	d.ask(`{"op":"subscribe","channel":"ticker","symbols":["BTC-USD"],"interval":"1h"}`)
	d.read()
	d.print() // goes out at once
	d.read()
	d.print()
	d.print()
	d.now += 11e9
	for range 12 {
		d.print()
	}
	d.now += 3600e9
	d.lane.tick(d.now)
	d.s.taken(d.now, outputFunc(func(run []byte, _ int) {
		m, err := wire.Parse(run)
		if err != nil {
			t.Fatal(err)
		}
		merged = m.(*wire.Delta).Merged
	}))
	if merged == nil || merged.Trades != 14 || merged.Volume != "0.0000007" || merged.VWAP != "64210" {
		t.Errorf("merged is %+v", merged)
	}
}

type outputFunc func([]byte, int)

func (f outputFunc) room(int) error        { return nil }
func (f outputFunc) add(run []byte, n int) { f(run, n) }

// TestFinerScaleThatDoesNotFit: where what was sent cannot be converted to the new
// scale, a delta against it would be wrong: the whole state is sent.
func TestFinerScaleThatDoesNotFit(t *testing.T) {
	for _, channel := range []string{"quote", "book"} {
		d := newDesk(t)
		eth, err := d.dir.Instrument("ETH-USD", market.ClassCrypto)
		if err != nil {
			t.Fatal(err)
		}
		apply := func(events ...market.Event) {
			d.now += 1e6
			for i := range events {
				e := &events[i]
				e.Feed, e.Venue, e.Instrument, e.Received = 1, 1, eth, d.now
			}
			events[len(events)-1].Flags |= market.FlagLast
			d.shard.Apply(events)
		}
		level := func(side market.Side, price market.Price, size market.Size, decimals market.Decimals) market.Event {
			return market.Event{Kind: market.KindLevel, Side: side, Price: price, Size: size, SizeDecimals: decimals, PriceDecimals: decimals}
		}
		apply(market.Event{Kind: market.KindClear, Flags: market.FlagSnapshot}, level(market.SideBid, 1<<60, 1<<60, 0))
		d.ask(`{"op":"subscribe","channel":%q,"symbols":["ETH-USD"],"interval":"1s"}`, channel)
		d.read()
		d.want("snapshot 1/1")
		apply(level(market.SideBid, 1<<60, 1<<61, 0))
		d.read()
		d.want("delta 1-2")
		apply(level(market.SideBid, 1<<60, 0, 0))
		apply(level(market.SideAsk, 123, 45, 4))
		d.read()
		d.want("snapshot 1/4")
		d.now += 1e9
		apply(level(market.SideAsk, 122, 46, 4))
		d.read()
		d.want("delta 4-5")
	}
}

// TestSnapshotCountsAsAMessage: after one that a new epoch sends to everybody, the
// interval runs as after any other.
func TestSnapshotCountsAsAMessage(t *testing.T) {
	d := newDesk(t)
	d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"1s"}`)
	d.read()
	d.got = nil
	d.now += 5e9
	d.restart(2, 0)
	d.change()
	d.read()
	d.want("snapshot 2/1")
	d.now += 1e9 + int64(maxSpacing)
	d.lane.tick(d.now)
	d.read()
	d.want("delta 1-2")
}

func TestIntervalsAreGranted(t *testing.T) {
	d := newDesk(t)
	d.hub.cfg.MinInterval = 15e6
	for asked, want := range map[string]string{"0": "20ms", "1ms": "20ms", "20ms": "20ms", "21ms": "50ms", "1h": "1h", "59m": "1h"} {
		d.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":%q}`, asked)
		ack := string(d.s.take(d.now).messages[0])
		if !strings.Contains(ack, fmt.Sprintf(`"interval":%q`, want)) {
			t.Errorf("asked for %s: %s, want %s", asked, ack, want)
		}
	}
}

// TestEveryStreamComesForward: on a socket that takes two messages a turn, while
// three streams have news all the time, the others are not left behind.
func TestEveryStreamComesForward(t *testing.T) {
	const streams, busy, turns = 9, 3, 12
	d := newDesk(t)
	var ids [streams]market.InstrumentID
	for i := range ids {
		id, err := d.dir.Instrument(fmt.Sprintf("SYM%d-USD", i), market.ClassCrypto)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	n := 0
	move := func(ids []market.InstrumentID) {
		d.now += 10e6
		n++
		for _, id := range ids {
			d.shard.Apply([]market.Event{{Kind: market.KindQuote, Flags: market.FlagLast, Feed: 1, Venue: 1, Instrument: id, Received: d.now,
				Price: 100, Size: market.Size(n), Ask: 101, AskSize: 1}})
		}
		d.lane.tick(d.now)
		d.lane.deliver(d.now)
	}
	move(ids[:])
	d.ask(`{"op":"subscribe","channel":"quote","symbols":["SYM*"],"interval":"5ms"}`)
	d.read()
	move(ids[:])
	out := &narrowOutput{sent: make(map[string]int)}
	for range turns {
		out.left = 2
		w := d.s.take(d.now)
		_ = errors.Join(d.s.collectAll(&w.every, true, out), d.s.collectAll(&w.state, false, out))
		d.s.putBack(&w)
		move(ids[:busy])
	}
	for _, u := range d.s.subs {
		if out.sent[fmt.Sprintf(`"sid":%d,`, u.topic.sid)] == 0 {
			t.Errorf("%s did not come forward in %d turns: %v", u.topic.symbol, turns, out.sent)
		}
	}
}

// narrowOutput has room for so many messages, and counts them by stream.
type narrowOutput struct {
	left int
	sent map[string]int
}

func (o *narrowOutput) room(int) error {
	if o.left == 0 {
		return errYield
	}
	o.left--
	return nil
}

func (o *narrowOutput) add(run []byte, _ int) {
	at := bytes.Index(run, []byte(`"sid":`))
	o.sent[string(run[at:at+bytes.IndexByte(run[at:], ',')+1])]++
}
