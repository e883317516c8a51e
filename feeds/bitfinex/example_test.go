package bitfinex_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bitfinex"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1, Cryptos: sim.CryptosFor("bitfinex")})
	server, _ := sim.NewServer(sim.Config{Provider: "bitfinex", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := bitfinex.New(bitfinex.Config{URL: server.URL() + "/ws/2", Symbols: []string{"tBTCUSD"}, Book: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "bitfinex", Provider: "bitfinex", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if strings.Contains(string(f.Payload), `,[[`) {
			fmt.Println("a book of BTC, over", f.Feed)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// a book of BTC, over bitfinex
	// enough
}
