package streamer_test

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestWithTheSDK: the Go client keeps its books by what the hub sends, checks each
// by its checksum, and ends with the hub's own.
func TestWithTheSDK(t *testing.T) {
	for _, f := range []wire.Format{wire.FormatJSON, wire.FormatProto} {
		t.Run(f.String()+"/socket", func(t *testing.T) { testWithTheSDK(t, f, false) })
		t.Run(f.String()+"/local", func(t *testing.T) { testWithTheSDK(t, f, true) })
	}
}

func testWithTheSDK(t *testing.T, format wire.Format, local bool) {
	dir := market.NewDirectory()
	hub := streamer.NewHub(streamer.Config{Directory: dir})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	server := httptest.NewServer(hub.Handler())
	defer func() {
		server.Close()
		cancel()
		<-ended
	}()
	btc, err := dir.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	kraken, err := dir.Venue("kraken")
	if err != nil {
		t.Fatal(err)
	}
	sink := hub.Sink(0)
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 1, Sinks: []orderbook.Sink{sink}})
	apply := func(kind market.Kind, flags market.Flags, side market.Side, price market.Price, size market.Size) {
		shard.Apply([]market.Event{{Kind: kind, Flags: flags | market.FlagLast, Feed: 1, Venue: kraken, Instrument: btc,
			Side: side, Price: price, Size: size, PriceDecimals: 1, Received: time.Now().UnixNano()}})
		sink.Flush()
	}
	apply(market.KindClear, market.FlagSnapshot, 0, 0, 0)

	opts := client.Options{Format: format}
	var c *client.Client
	if local {
		c, err = client.Attach(ctx, hub.Local(nil), opts)
	} else {
		c, err = client.Dial(ctx, strings.Replace(server.URL, "http", "ws", 1)+"/v1/stream", opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	books, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-*"}, Depth: 5, Interval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	const changes = 3000
	go func() {
		r := rand.New(rand.NewPCG(1, 1))
		for range changes {
			if side := market.Side(1 + r.IntN(2)); side == market.SideBid {
				apply(market.KindLevel, 0, side, 999-market.Price(r.IntN(20)), market.Size(r.IntN(4)))
			} else {
				apply(market.KindLevel, 0, side, 1000+market.Price(r.IntN(20)), market.Size(r.IntN(4)))
			}
		}
		apply(market.KindLevel, 0, market.SideBid, 999, 77) // the last one
	}()
	updates := 0
	for {
		u, err := books.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		b, ok := u.(*client.BookUpdate)
		if !ok {
			t.Fatalf("%T %+v", u, u)
		}
		updates++
		if len(b.Bids) > 0 && b.Bids[0].Size.String() == "77" {
			break
		}
	}
	if n := c.Stats(); n.ChecksumErrors+n.SequenceErrors+n.Malformed+n.Unrouted+n.Resyncs > 0 {
		t.Errorf("after %d updates: %+v", updates, n)
	}
}

// TestFetchAndPause: the Go client asks for prints again, and stops a stream that
// goes on where it was.
func TestFetchAndPause(t *testing.T) {
	for _, f := range []wire.Format{wire.FormatJSON, wire.FormatProto} {
		t.Run(f.String(), func(t *testing.T) { testFetchAndPause(t, f) })
	}
}

func testFetchAndPause(t *testing.T, format wire.Format) {
	dir := market.NewDirectory()
	hub := streamer.NewHub(streamer.Config{Directory: dir, LogFrames: 8})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	server := httptest.NewServer(hub.Handler())
	defer func() {
		server.Close()
		cancel()
		<-ended
	}()
	btc, _ := dir.Instrument("BTC-USD", market.ClassCrypto)
	kraken, _ := dir.Venue("kraken")
	sink := hub.Sink(0)
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 1, Sinks: []orderbook.Sink{sink}})
	// Prices get finer as they go.
	prices := map[int]string{}
	print := func(i int) {
		e := market.Event{Kind: market.KindTrade, Flags: market.FlagLast, Feed: 1, Venue: kraken, Instrument: btc, Side: market.SideBid,
			Price: 1001, PriceDecimals: market.Decimals(i / 4), Size: market.Size(i), Received: time.Now().UnixNano()}
		prices[i] = market.ToDecimal(e.Price, e.PriceDecimals).String()
		shard.Apply([]market.Event{e})
		sink.Flush()
	}
	print(1)
	c, err := client.Dial(ctx, server.URL, client.Options{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelTrade, Symbols: []string{"BTC-USD"}})
	if err != nil {
		t.Fatal(err)
	}
	next := func() client.Update {
		u, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	check := func(u client.Update, i int) {
		t.Helper()
		if p, ok := u.(*client.Trades); !ok || len(p.Trades) != 1 || int(p.Seq) != i || p.Trades[0].Price.String() != prices[i] || p.Trades[0].Size.IntPart() != int64(i) {
			t.Fatalf("%+v, want print %d at %s", u, i, prices[i])
		}
	}
	check(next(), 1) // the snapshot's
	for i := 2; i <= 12; i++ {
		print(i)
		check(next(), i)
	}
	got, err := s.Fetch(ctx, "BTC-USD", 2, 99)
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := got[0].(*client.Gap); len(got) != 9 || !ok || g.From != 2 || g.To != 4 {
		t.Fatalf("%d updates, the first %+v", len(got), got[0])
	}
	for i := 5; i <= 12; i++ {
		check(got[i-4], i)
	}
	if err := s.Pause(ctx, true); err != nil {
		t.Fatal(err)
	}
	print(13)
	print(14)
	for n := 0; n != 1; { // until the lane has taken them in
		got, err := s.Fetch(ctx, "BTC-USD", 13, 13)
		if err != nil {
			t.Fatal(err)
		}
		n = len(got)
	}
	if err := s.Pause(ctx, false); err != nil {
		t.Fatal(err)
	}
	check(next(), 13)
	check(next(), 14)
	if _, err := s.Fetch(ctx, "ETH-USD", 1, 2); err == nil {
		t.Error("fetched what is not streamed")
	}
	if n := c.Stats(); n.SequenceErrors+n.Malformed+n.Unrouted+n.Gaps > 0 {
		t.Errorf("%+v", n)
	}
}
