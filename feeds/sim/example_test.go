package sim_test

import (
	"fmt"
	"log"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quotewire/quotewire/feeds/sim"
)

// A server over a market that the program steps itself. A demo would call
// market.Run in a goroutine of its own instead of Step.
func Example() {
	market, err := sim.NewMarket(sim.MarketConfig{Seed: 1, Start: time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)})
	if err != nil {
		log.Fatal(err)
	}
	server, err := sim.NewServer(sim.Config{Provider: "kraken", Market: market})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Listen("127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ws, _, err := websocket.DefaultDialer.Dial(server.URL()+"/v2", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ws.Close()
	if err := ws.WriteJSON(map[string]any{"method": "subscribe", "params": map[string]any{"channel": "trade", "symbol": []string{"BTC/USD"}}}); err != nil {
		log.Fatal(err)
	}
	var m struct {
		Channel string
		Success bool
		Data    []struct{ Symbol, Side string }
	}
	for !m.Success { // the status of the system comes first
		if err := ws.ReadJSON(&m); err != nil {
			log.Fatal(err)
		}
	}
	market.Step(time.Second)
	if err := ws.ReadJSON(&m); err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Channel, m.Data[0].Symbol)
	// Output: trade BTC/USD
}
