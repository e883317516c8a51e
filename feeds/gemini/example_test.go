package gemini_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/gemini"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1, Cryptos: sim.CryptosFor("gemini")})
	server, _ := sim.NewServer(sim.Config{Provider: "gemini", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := gemini.New(gemini.Config{URL: server.URL() + "/v2/marketdata", Symbols: []string{"BTCUSD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "gemini", Provider: "gemini", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if strings.Contains(string(f.Payload), `"auction_events"`) {
			fmt.Println("a book of BTC, over", f.Feed)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// a book of BTC, over gemini
	// enough
}
