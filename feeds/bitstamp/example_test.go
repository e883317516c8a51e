package bitstamp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitstamp"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1})
	server, _ := sim.NewServer(sim.Config{Provider: "bitstamp", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := bitstamp.New(bitstamp.Config{URL: server.URL(), Pairs: []string{"btcusd"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "bitstamp", Provider: "bitstamp", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if f.Kind == feeds.Reply && strings.Contains(f.URL, "/order_book/") {
			_, asked, _ := strings.Cut(f.URL, "/api")
			fmt.Println("an answer to /api" + asked)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// an answer to /api/v2/order_book/btcusd/
	// enough
}
