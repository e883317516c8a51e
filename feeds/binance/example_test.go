package binance_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1, Cryptos: sim.CryptosFor("binance")})
	server, _ := sim.NewServer(sim.Config{Provider: "binance", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := binance.New(binance.Config{URL: server.URL(), Symbols: []string{"BTCUSD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "binance", Provider: "binance", Connector: connector}
	enough := errors.New("enough")
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		if f.Kind == feeds.Reply && strings.Contains(f.URL, "/depth") {
			_, asked, _ := strings.Cut(f.URL, "/api")
			fmt.Println("an answer to /api" + asked)
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// an answer to /api/v3/depth?symbol=BTCUSD&limit=1000
	// enough
}
