package bybit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/bybit"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1, Cryptos: sim.CryptosFor("bybit")})
	server, _ := sim.NewServer(sim.Config{Provider: "bybit", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := bybit.New(bybit.Config{URL: server.URL() + "/v5/public", Category: bybit.Linear, Symbols: []string{"BTCUSD"}, Book: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "bybit", Provider: "bybit", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if strings.Contains(string(f.Payload), `"type":"snapshot"`) {
			fmt.Println("a book of BTC, over", f.Feed)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// a book of BTC, over bybit
	// enough
}
