package okx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/okx"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1, Cryptos: sim.CryptosFor("okx")})
	server, _ := sim.NewServer(sim.Config{Provider: "okx", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := okx.New(okx.Config{URL: server.URL() + "/ws/v5/public", Instruments: []string{"BTC-USD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "okx", Provider: "okx", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if strings.Contains(string(f.Payload), `"action":"snapshot"`) {
			fmt.Println("a book of BTC, over", f.Feed)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// a book of BTC, over okx
	// enough
}
