package streamer

import (
	"testing"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// BenchmarkEncode makes one message into a buffer that is used again: a delta of
// a book of 10 levels a side of which three changed, its snapshot, and so on.
func BenchmarkEncode(b *testing.B) {
	for i := range 2 * len(testChannels) {
		format, channel := testFormats[i%2], testChannels[i/2]
		name := [...]string{"json/", "proto/"}[format] + channel.String()
		f := newFeed(b)
		x := f.topicIn(format, channel)
		view := &f.lane.instrument(1).view
		f.step(9) // a print
		var states [2]orderbook.View
		var ups [2]orderbook.Update
		for i := range states {
			if channel == wire.ChannelTrade || channel == wire.ChannelTicker {
				f.step(10*i + 9)
			} else {
				f.step(2*i + 1)
			}
			if err := states[i].Apply(image(view)); err != nil {
				b.Fatal(err)
			}
			f.last.CopyTo(&ups[i])
		}
		buf := make([]byte, 0, 1<<16)
		b.Run(name+"/delta", func(b *testing.B) {
			b.ReportAllocs()
			i, n := 0, 0
			for b.Loop() {
				v := &states[i&1]
				h := wire.Head{SID: 12, Seq: v.Seq, Prev: v.Seq - 1, N: 1, TS: v.Time, RX: v.Received, TX: f.now}
				x.content.note(v, &ups[i&1])
				var ok bool
				buf, _ = format.BeginDelta(buf[:0], &h)
				if buf, ok = x.content.delta(buf, v); ok {
					n += len(buf)
				}
				i++
			}
			b.ReportMetric(float64(n)/float64(i), "B/msg")
		})
		b.Run(name+"/snapshot", func(b *testing.B) {
			b.ReportAllocs()
			v := &states[0]
			for b.Loop() {
				h := wire.Head{SID: 12, Channel: channel, Symbol: "BTC-USD", Epoch: "9f2c", Seq: v.Seq, TS: v.Time, RX: v.Received, TX: f.now}
				buf, _ = format.BeginSnapshot(buf[:0], &h)
				buf = x.content.snapshot(buf)
			}
			b.ReportMetric(float64(len(buf)), "B/msg")
		})
	}
}

// BenchmarkLane takes one update of an instrument to the frames of its streams:
// from the hand-over by the books to bytes in the logs.
func BenchmarkLane(b *testing.B) {
	for _, bench := range []struct {
		name     string
		channels []wire.Channel
	}{
		{"none", nil}, {"book", testChannels[:1]}, {"quote", testChannels[1:2]}, {"all", testChannels},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f := newFeed(b)
			for _, channel := range bench.channels {
				f.topic(channel)
			}
			ups := make([]orderbook.Update, 1000)
			f.off = true
			for i := range ups {
				f.step(i)
				f.last.CopyTo(&ups[i])
			}
			// The same changes over and over, on positions that go on.
			view := &f.lane.instrument(1).view
			frames := func() (n uint64) {
				for _, x := range f.lane.topics {
					n += x.log.head.Load()
				}
				return n
			}
			before := frames()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				u := &ups[i%len(ups)]
				u.Seq = view.Seq + 1
				u.TradeSeq = view.TradeSeq + uint64(len(u.Trades))
				f.lane.update(u, f.now)
				i++
			}
			b.ReportMetric(float64(frames()-before)/float64(i), "frames/op")
		})
	}
}

// BenchmarkShardToFrame is the same with the books before it: from one venue
// message's events to the frames of four streams.
func BenchmarkShardToFrame(b *testing.B) {
	f := newFeed(b)
	for _, channel := range testChannels {
		f.topic(channel)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f.step(i)
		i++
	}
}

// BenchmarkMark tells 1,000 sessions that a stream moved, and lets each find out
// what is new.
func BenchmarkMark(b *testing.B) {
	f := newFeed(b)
	sessions := make([]*session, 1000)
	for i := range sessions {
		sessions[i] = newSession(f.hub, "test", "test")
		sessions[i].handle([]byte(`{"op":"subscribe","channel":"quote","symbols":["BTC-USD"],"interval":"0"}`))
		sessions[i].taken(f.now, discard{})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e := market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6421000, Size: market.Size(1000 + i%1000)}
		f.apply(1, e)
		for _, s := range sessions {
			s.taken(f.now, discard{})
		}
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/delivery")
}
