package streamer_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// BenchmarkRoundTrip takes one change of a book from the event at the books to the
// program's Next, whole book and checksum included, one after the other: in the
// process, and over a socket on loopback.
func BenchmarkRoundTrip(b *testing.B) {
	for _, format := range []wire.Format{wire.FormatJSON, wire.FormatProto} {
		for _, over := range []string{"local", "socket"} {
			for _, channel := range []wire.Channel{wire.ChannelBook, wire.ChannelQuote} {
				b.Run(format.String()+"/"+over+"/"+channel.String(), func(b *testing.B) { benchmarkRoundTrip(b, format, over, channel) })
			}
		}
	}
}

func benchmarkRoundTrip(b *testing.B, format wire.Format, over string, channel wire.Channel) {
	r := newRig(b, streamer.Config{Directory: market.NewDirectory()})
	defer r.stop()
	r.quiet = true
	server := httptest.NewServer(r.hub.Handler())
	defer server.Close()
	ctx := context.Background()
	dial := func() (*client.Client, error) {
		return client.Attach(ctx, r.hub.Local(nil), client.Options{Format: format})
	}
	if over == "socket" {
		dial = func() (*client.Client, error) { return client.Dial(ctx, server.URL, client.Options{Format: format}) }
	}
	c, err := dial()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := c.Subscribe(ctx, client.Subscription{Channel: channel, Symbols: []string{"BTC-USD"}, Interval: client.EveryChange})
	if err != nil {
		b.Fatal(err)
	}
	next := func() {
		if _, err := s.Next(ctx); err != nil {
			b.Fatal(err)
		}
	}
	next() // the snapshot
	for i := range market.Price(10) {
		r.apply(market.KindLevel, 0, market.SideBid, 999-i, 1)
		next()
		r.apply(market.KindLevel, 0, market.SideAsk, 1000+i, 1)
		if channel == wire.ChannelBook || i == 0 {
			next()
		}
		if channel == wire.ChannelQuote {
			break
		}
	}
	b.ReportAllocs()
	size := market.Size(1)
	for b.Loop() {
		size = size%1000 + 1
		r.apply(market.KindLevel, 0, market.SideBid, 999, size+1)
		next()
	}
}
