package client_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// After a lost connection each stream goes on from where it was: with what changed,
// not with everything. Where the server restarted an EpochChange says so.
func Example_resume() {
	dir := market.NewDirectory()
	hub := streamer.NewHub(streamer.Config{Directory: dir})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	btc, _ := dir.Instrument("BTC-USD", market.ClassCrypto)
	kraken, _ := dir.Venue("kraken")
	sink := hub.Sink(0)
	books := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 0x9f2c, Sinks: []orderbook.Sink{sink}})
	apply := func(kind market.Kind, flags market.Flags, size market.Size) {
		books.Apply([]market.Event{{Feed: 1, Venue: kraken, Instrument: btc, Kind: kind, Flags: flags | market.FlagLast, Side: market.SideBid,
			Price: 642101, PriceDecimals: 1, Size: size, Received: time.Now().UnixNano()}})
		sink.Flush()
	}
	apply(market.KindClear, market.FlagSnapshot, 0)
	apply(market.KindLevel, 0, 1)

	var conn atomic.Value // the present connection, to lose it
	local := hub.Local(nil)
	c, err := client.Attach(ctx, func(ctx context.Context, f wire.Format) (wire.Conn, error) {
		made, err := local(ctx, f)
		if err == nil {
			conn.Store(made)
		}
		return made, err
	}, client.Options{MinBackoff: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	stream, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}, Interval: client.EveryChange})
	if err != nil {
		fmt.Println(err)
		return
	}
	last := ""
	for u, err := range stream.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch u := u.(type) {
		case *client.BookUpdate:
			if len(u.Bids) == 0 {
				continue // the hub had not heard of it yet
			}
			size := u.Bids[0].Size.String()
			if size == last {
				continue // nothing has changed yet
			}
			last = size
			fmt.Println("size", size)
			if size == "2" {
				stream.Close()
				continue
			}
			_ = conn.Load().(wire.Conn).Close()
		case *client.Disconnected:
			fmt.Println("not current")
			apply(market.KindLevel, 0, 2) // meanwhile
		case *client.Reconnected:
			fmt.Println("back")
		}
	}
	fmt.Println("resumed", c.Stats().Resumed, "snapshots", c.Stats().Snapshots)
	// Output:
	// size 1
	// not current
	// back
	// size 2
	// resumed 1 snapshots 1
}
