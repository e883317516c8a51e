package polygon_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/polygon"
	"github.com/quotewire/quotewire/feeds/sim"
)

func Example() {
	market, _ := sim.NewMarket(sim.MarketConfig{Seed: 1})
	server, _ := sim.NewServer(sim.Config{Provider: "polygon", Market: market})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	connector, err := polygon.New(polygon.Config{
		URL:           server.URL(),
		Market:        "stocks",
		APIKey:        "any key will do here",
		Subscriptions: []string{"T.AAPL"},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	source := &feeds.Supervisor{Feed: "polygon stocks", Provider: "polygon", Connector: connector}
	enough, frames := errors.New("enough"), 0
	err = source.Run(context.Background(), func(f feeds.Frame) error {
		fmt.Printf("%s: %s.\n", f.Kind, f.Payload)
		if frames++; frames == 4 {
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// up: .
	// data: [{"ev":"status","status":"connected","message":"Connected Successfully"}].
	// data: [{"ev":"status","status":"auth_success","message":"authenticated"}].
	// data: [{"ev":"status","status":"success","message":"subscribed to: T.AAPL"}].
	// enough
}
