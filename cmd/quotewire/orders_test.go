package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/quotewire/quotewire/feeds/sim"
)

// Each venue that shows single orders is asked for them over HTTP, by one feed of
// its own beside another for levels.
func TestOrdersAreServed(t *testing.T) {
	m, err := sim.NewMarket(sim.MarketConfig{Seed: 1, Stocks: []sim.StockSpec{}})
	if err != nil {
		t.Fatal(err)
	}
	const secret = "c2VjcmV0"
	var list []feedConfig
	venues := map[string][]string{"kraken": {"level3"}, "coinbase": {"full", "heartbeat", "status"}, "bitstamp": {"live_orders"}}
	for venue, channels := range venues {
		server, err := sim.NewServer(sim.Config{Provider: venue, Market: m, Keys: []string{"key"}, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Listen("127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		list = append(list, feedConfig{Name: venue, Provider: venue, URL: server.URL(), Symbols: []string{"BTC-USD"},
			Channels: adapters()[venue].defaults})
		list = append(list, feedConfig{Name: venue + "-orders", Provider: venue, URL: server.URL(), Symbols: []string{"BTC-USD"},
			Channels: channels, APIKey: "key", APISecret: secret, Passphrase: "pass", Depth: map[string]int{"kraken": 10}[venue]})
	}
	r := start(t, list, nil)
	type page struct {
		Feed, State string
		Total       int
		Orders      []struct {
			ID, Side, Price, Size, Ahead string
			Level, Position              int
		}
	}
	get := func(query string) (p page, err error) {
		res, err := http.Get(r.url + "/v1/orders/BTC-USD?" + query)
		if err != nil {
			return p, err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return p, fmt.Errorf("status %d", res.StatusCode)
		}
		return p, json.NewDecoder(res.Body).Decode(&p)
	}
	for venue := range venues {
		eventually(t, venue+" tells orders", func() error {
			p, err := get("levels=3&venue=" + venue)
			if err == nil && (p.Feed != venue+"-orders" || p.State != "live" || len(p.Orders) < 6 || p.Total < len(p.Orders)) {
				err = fmt.Errorf("%+v", p)
			}
			return err
		})
		// The market stands still, so that what was first a moment ago is first now.
		p, err := get("levels=1&side=bid&venue=" + venue)
		if err != nil || len(p.Orders) == 0 || p.Orders[0].Position != 0 || p.Orders[0].Ahead != "0" {
			t.Fatalf("%s: %+v, %v", venue, p, err)
		}
		one, err := get("venue=" + venue + "&order=" + p.Orders[0].ID)
		if err != nil || len(one.Orders) != 1 || one.Orders[0] != p.Orders[0] {
			t.Errorf("%s: %+v, %v, want %+v", venue, one.Orders, err, p.Orders[0])
		}
	}
}
