package streamer_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
)

// A hub serves what a shard of books hands to it. Here the books get one message
// of one venue, and the hub is asked for the quote that results.
func Example() {
	dir := market.NewDirectory()
	hub := streamer.NewHub(streamer.Config{Directory: dir, Now: func() int64 { return 1764000000000002000 }})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- hub.Run(ctx) }()
	server := httptest.NewServer(hub.Handler()) // on a port of 127.0.0.1

	btc, _ := dir.Instrument("BTC-USD", market.ClassCrypto)
	kraken, _ := dir.Venue("kraken")
	sink := hub.Sink(0)
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 0x9f2c, Sinks: []orderbook.Sink{sink}})
	head := market.Event{Feed: 1, Venue: kraken, Instrument: btc, PriceDecimals: 1, SizeDecimals: 2,
		Time: 1764000000000000000, Received: 1764000000000001000}
	start, bid, ask := head, head, head
	start.Kind, start.Flags = market.KindClear, market.FlagSnapshot
	bid.Kind, bid.Side, bid.Price, bid.Size = market.KindLevel, market.SideBid, 642101, 52
	ask.Kind, ask.Side, ask.Price, ask.Size = market.KindLevel, market.SideAsk, 642102, 110
	ask.Flags = market.FlagLast
	shard.Apply([]market.Event{start, bid, ask})
	sink.Flush()

	for found := false; !found; {
		resp, err := http.Get(server.URL + "/v1/snapshot/book/BTC-USD")
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		// Until the hub's lane has taken the update in, the book is empty.
		if found = strings.Contains(string(body), `"64210.1"`); found {
			fmt.Print(string(body))
		}
	}
	http.DefaultClient.CloseIdleConnections()
	_ = hub.Shutdown(ctx)
	server.Close()
	cancel()
	<-ended
	// Output:
	// {"type":"snapshot","channel":"book","symbol":"BTC-USD","epoch":"9f2c","seq":1,"ts":1764000000000000,"rx":1764000000000001,"tx":1764000000000002,"bids":[["64210.1","0.52"]],"asks":[["64210.2","1.1"]],"crc":938731014}
}
