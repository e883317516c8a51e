package streamer

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// feed is a lane that is fed by a shard, without goroutines.
type feed struct {
	hub   *Hub
	lane  *lane
	shard *orderbook.Shard
	dir   *market.Directory
	now   int64
	last  orderbook.Update // a copy of the update given last
	off   bool             // updates are only kept in last
}

func newFeed(t testing.TB) *feed {
	f := &feed{dir: newTestDirectory(t), now: 1_764_000_000e9}
	for _, name := range []string{"coinbase", "kraken"} {
		if _, err := f.dir.Venue(name); err != nil {
			t.Fatal(err)
		}
	}
	f.hub = NewHub(Config{Directory: f.dir, Now: func() int64 { return f.now }})
	f.hub.inline = true
	f.lane = f.hub.lanes[0]
	f.shard = orderbook.NewShard(orderbook.Config{Directory: f.dir, Epoch: 1, Sinks: []orderbook.Sink{f}})
	for v := market.VenueID(1); v <= 2; v++ {
		events := []market.Event{{Kind: market.KindClear, Flags: market.FlagSnapshot}}
		for i := range market.Price(20) {
			events = append(events,
				market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6421000 - i*10, Size: 52_000_000 + market.Size(i)},
				market.Event{Kind: market.KindLevel, Side: market.SideAsk, Price: 6421010 + i*10, Size: 110_000_000 + market.Size(i)})
		}
		f.apply(v, events...)
	}
	return f
}

func (f *feed) apply(venue market.VenueID, events ...market.Event) {
	for i := range events {
		e := &events[i]
		e.Feed, e.Venue, e.Instrument, e.Received, e.Time = market.FeedID(venue), venue, 1, f.now, f.now
		e.PriceDecimals, e.SizeDecimals = 2, 8
	}
	events[len(events)-1].Flags |= market.FlagLast
	f.shard.Apply(events)
}

// Flush implements orderbook.Sink.
func (f *feed) Flush() {}

// Update implements orderbook.Sink.
func (f *feed) Update(u *orderbook.Update) {
	u.CopyTo(&f.last)
	if !f.off {
		f.lane.update(u, f.now)
	}
}

// step makes the next small change: sizes at the best level and two below, or
// every tenth time a print. It changes the quote too.
func (f *feed) step(i int) {
	f.now += 1e6
	v := market.VenueID(1 + i%2)
	if i%10 == 9 {
		e := market.Event{Kind: market.KindTrade, Side: market.SideBid, Price: 6421000 + market.Price(i%3), Size: market.Size(1000 + i%1000)}
		e.ID, _ = market.MakeTradeID("847362511")
		f.apply(v, e)
		return
	}
	f.apply(v,
		market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6421000, Size: market.Size(52_000_000 + i%1000)},
		market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6420970, Size: market.Size(10_000_000 + i%1000)},
		market.Event{Kind: market.KindLevel, Side: market.SideAsk, Price: 6421030, Size: market.Size(10_000_000 + i%1000)})
}

// topic opens a stream of the feed's instrument.
func (f *feed) topic(channel wire.Channel) *topic { return f.topicIn(wire.FormatJSON, channel) }

// topicIn opens a stream of the feed's instrument in a format.
func (f *feed) topicIn(format wire.Format, channel wire.Channel) *topic {
	key := topicKey{format: format, instrument: 1, channel: channel}
	if channel == wire.ChannelBook {
		key.depth, key.checksum = 10, true
	}
	return f.lane.open(key, f.now)
}

var testFormats = []wire.Format{wire.FormatJSON, wire.FormatProto}

var testChannels = []wire.Channel{wire.ChannelBook, wire.ChannelQuote, wire.ChannelTicker, wire.ChannelTrade}

// skipRace skips where the race detector makes pools forget at random.
func skipRace(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools allocate")
	}
}

// TestEncodeDoesNotAllocate: into a buffer that is used again, deltas and
// snapshots of every channel cost no memory.
func TestEncodeDoesNotAllocate(t *testing.T) {
	skipRace(t)
	for i := range 2 * len(testChannels) {
		format, channel := testFormats[i%2], testChannels[i/2]
		f := newFeed(t)
		x := f.topicIn(format, channel)
		x.content.load(&f.lane.instrument(1).view)
		view := &f.lane.instrument(1).view
		buf := make([]byte, 0, 1<<16)
		i, sent := 0, 0
		encode := func() {
			f.off = true
			f.step(i)
			i++
			if err := view.Apply(&f.last); err != nil {
				t.Fatal(err)
			}
			if x.content.concerns(&f.last) {
				x.content.note(view, &f.last)
			}
			h := wire.Head{SID: 1, Seq: view.Seq, Prev: view.Seq - 1, N: 1, TS: view.Time, RX: view.Received, TX: f.now}
			var ok bool
			buf, _ = format.BeginDelta(buf[:0], &h)
			if buf, ok = x.content.delta(buf, view); ok {
				sent++
			}
			buf = x.content.snapshot(buf[:0])
		}
		for range 100 {
			encode()
		}
		if n := testing.AllocsPerRun(200, encode); n != 0 || sent < 20 {
			t.Errorf("%s, %s: %v allocations, %d messages", channel, format, n, sent)
		}
	}
}

// TestFrameAllocations: what a lane allocates for a message is the frame and its
// bytes; an update that nobody asked for costs nothing.
func TestFrameAllocations(t *testing.T) {
	skipRace(t)
	f := newFeed(t)
	i := 0
	step := func() { f.step(i); i++ }
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Errorf("without a topic: %v allocations an update", n)
	}
	x := f.topic(wire.ChannelBook)
	for range 100 {
		step()
	}
	before := x.log.head.Load()
	n := testing.AllocsPerRun(1000, step) * 1001
	if frames := float64(x.log.head.Load() - before); n > 2*frames+5 || frames < 500 {
		t.Errorf("%v allocations for %v frames", n, frames)
	}
}

// TestMarkDoesNotAllocate: telling a session that a stream moved costs no memory,
// however often it happens while nobody reads.
func TestMarkDoesNotAllocate(t *testing.T) {
	skipRace(t)
	f := newFeed(t)
	s := newSession(f.hub, "test", "test")
	s.handle([]byte(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"]}`))
	var u *sub
	for _, u = range s.subs {
	}
	s.taken(f.now, discard{})
	drop := discard{}
	if n := testing.AllocsPerRun(200, func() {
		s.mark(u, f.now)
		s.mark(u, f.now)
		s.stir(f.now, 1)
		s.taken(f.now, drop)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type discard struct{}

func (discard) room(int) error  { return nil }
func (discard) add([]byte, int) {}

// taken lets the session send to an output what its streams have, without its
// replies.
func (s *session) taken(now int64, out output) {
	w := s.take(now)
	w.collect(s, out)
}

func (w *waiting) collect(s *session, out output) {
	if err := errors.Join(s.collectAll(&w.every, true, out), s.collectAll(&w.state, false, out)); err != nil {
		panic(err)
	}
}

// TestSubscriptionSize holds down what a subscription costs: a server has millions.
func TestSubscriptionSize(t *testing.T) {
	if n := unsafe.Sizeof(sub{}); n > 48 {
		t.Errorf("a subscription has %d bytes, want at most 48", n)
	}
}
