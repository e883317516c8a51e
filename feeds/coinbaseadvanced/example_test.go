package coinbaseadvanced_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/coinbaseadvanced"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1})
	server, _ := sim.NewServer(sim.Config{Provider: "coinbase-advanced", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := coinbaseadvanced.New(coinbaseadvanced.Config{URL: server.URL(), Products: []string{"BTC-USD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "advanced", Provider: "coinbase-advanced", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if strings.Contains(string(f.Payload), `"type":"snapshot","product_id":"BTC-USD"`) {
			fmt.Println("a book of BTC-USD, over", f.Feed)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// a book of BTC-USD, over advanced
	// enough
}
