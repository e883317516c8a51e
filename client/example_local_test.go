package client_test

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// A strategy with books, hub and client in one process: the same streams as over a
// socket, without one.
func ExampleAttach() {
	dir := market.NewDirectory()
	hub := streamer.NewHub(streamer.Config{Directory: dir})
	engine := orderbook.NewEngine(orderbook.Config{Directory: dir, Epoch: 0x9f2c}, 1,
		func(shard int) []orderbook.Sink { return []orderbook.Sink{hub.Sink(shard)} })
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return hub.Run(ctx) })
	running.Go(func() error { return engine.Run(ctx) })
	defer func() { cancel(); _ = running.Wait() }()

	// What a normalizer makes of a venue's frames, here written by hand.
	btc, _ := dir.Instrument("BTC-USD", market.ClassCrypto)
	kraken, _ := dir.Venue("kraken")
	event := func(kind market.Kind, flags market.Flags, side market.Side, price market.Price, size market.Size) market.Event {
		return market.Event{Feed: 1, Venue: kraken, Instrument: btc, Kind: kind, Flags: flags, Side: side,
			Price: price, Size: size, PriceDecimals: 1, SizeDecimals: 2, Received: time.Now().UnixNano()}
	}
	submit := func(events ...market.Event) {
		b := engine.Batch()
		b.Events = append(b.Events, events...)
		if err := engine.Submit(ctx, b); err != nil {
			fmt.Println(err)
		}
	}
	submit(event(market.KindClear, market.FlagSnapshot, 0, 0, 0),
		event(market.KindLevel, 0, market.SideBid, 642101, 52),
		event(market.KindLevel, market.FlagLast, market.SideAsk, 642102, 110))

	c, err := client.Attach(ctx, hub.Local(nil), client.Options{Format: wire.FormatProto})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	books, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}, Interval: client.EveryChange})
	if err != nil {
		fmt.Println(err)
		return
	}
	for u, err := range books.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		b, ok := u.(*client.BookUpdate)
		if !ok || len(b.Asks) == 0 {
			continue
		}
		fmt.Println(b.Seq, "bid", b.Bids[0].Price, b.Bids[0].Size, "ask", b.Asks[0].Price, b.Asks[0].Size)
		if b.Seq == 2 {
			books.Close() // ends the loop
			continue
		}
		submit(event(market.KindLevel, market.FlagLast, market.SideAsk, 642102, 90))
	}
	fmt.Println("checksum errors:", c.Stats().ChecksumErrors)
	// Output:
	// 1 bid 64210.1 0.52 ask 64210.2 1.1
	// 2 bid 64210.1 0.52 ask 64210.2 0.9
	// checksum errors: 0
}
