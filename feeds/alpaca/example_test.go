package alpaca_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/alpaca"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1})
	server, _ := sim.NewServer(sim.Config{Provider: "alpaca", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := alpaca.New(alpaca.Config{URL: server.URL(), Feed: "crypto", Key: "key", Secret: "secret", Symbols: []string{"BTC/USD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "alpaca", Provider: "alpaca", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if strings.Contains(string(f.Payload), `"T":"o"`) {
			fmt.Println("an order book, over", f.Feed)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// an order book, over alpaca
	// enough
}
