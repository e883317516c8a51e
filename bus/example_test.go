package bus_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"sync"

	"github.com/quotewire/quotewire/bus"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// printer is a sink that prints the first whole quote and is done.
type printer struct {
	dir  *market.Directory
	done context.CancelFunc
}

func (p *printer) Update(u *orderbook.Update) {
	if q := u.Quote; q.BidSize > 0 && q.AskSize > 0 {
		fmt.Println(p.dir.Symbol(u.Instrument), "bid", market.Format(q.Bid, u.Scale.Price), "at", p.dir.VenueName(q.BidVenues[0].Venue),
			"ask", market.Format(q.Ask, u.Scale.Price), "at", p.dir.VenueName(q.AskVenues[0].Venue))
		p.done()
	}
}

func (p *printer) Flush() {}

// A feed node and a gateway, here in one process; each has a directory and a
// connection of its own, as if they were on two machines.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	server, err := bus.StartServer(ctx, bus.ServerConfig{Listen: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	// The feed node.
	feedConn, err := bus.Connect(bus.ConnConfig{URL: server.URL(), Name: "feed-1", Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer feedConn.Close()
	const epoch = 1
	feedDir := market.NewDirectory()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Conn: feedConn, Directory: feedDir, Node: "feed-1", Epoch: epoch, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	shard := orderbook.NewShard(orderbook.Config{Directory: feedDir, Epoch: epoch, Sinks: []orderbook.Sink{pub.Sink()}})

	// The gateway.
	gatewayConn, err := bus.Connect(bus.ConnConfig{URL: server.URL(), Name: "gateway-1", Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer gatewayConn.Close()
	gatewayDir := market.NewDirectory()
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Conn: gatewayConn, Directory: gatewayDir, Logger: quiet,
		Sinks: []orderbook.Sink{&printer{gatewayDir, cancel}}})
	if err != nil {
		log.Fatal(err)
	}

	var running sync.WaitGroup
	running.Go(func() { _ = pub.Run(ctx) }) // ends with ctx
	running.Go(func() { _ = sub.Run(ctx) })

	id, _ := feedDir.Instrument("BTC-USD", market.ClassCrypto)
	venue, _ := feedDir.Venue("kraken")
	shard.Apply([]market.Event{{Kind: market.KindQuote, Flags: market.FlagLast, Feed: 1, Venue: venue, Instrument: id,
		PriceDecimals: 1, SizeDecimals: 2, Price: 634990, Size: 150, Ask: 635000, AskSize: 25, Time: 1, Received: 2}})
	running.Wait()

	// Output:
	// BTC-USD bid 63499 at kraken ask 63500 at kraken
}
