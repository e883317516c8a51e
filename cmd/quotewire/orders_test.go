package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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

// A gateway tells the same orders as the feed node that keeps the books, and says
// so when that is gone.
func TestOrdersAtAGateway(t *testing.T) {
	m, err := sim.NewMarket(sim.MarketConfig{Seed: 1, Stocks: []sim.StockSpec{}})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sim.NewServer(sim.Config{Provider: "bitstamp", Market: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "quotewire.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nfeeds:\n  - provider: bitstamp\n    url: %s\n    symbols: [BTC-USD]\n    channels: [live_orders]\n", server.URL())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const listening = `msg=listening url=(\S+)`
	feed := launch(t, "serve", "--config", path, "--role", "feed", "--node", "a", "--nats-listen", "127.0.0.1:0")
	nats := feed.logged(t, `msg="NATS listening" url=(\S+)`)
	gateway := launch(t, "serve", "--role", "gateway", "--nats", nats, "--listen", "127.0.0.1:0")
	feedURL, gatewayURL := feed.logged(t, listening), gateway.logged(t, listening)
	page := func(url, query string) (status int, body string) {
		res, err := http.Get(url + "/v1/orders/BTC-USD?venue=bitstamp&" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	// The market stands still.
	for _, query := range []string{"levels=0", "levels=3", "side=ask"} {
		eventually(t, "the gateway's orders are the feed node's, "+query, func() error {
			status, want := page(feedURL, query)
			if status != http.StatusOK || strings.Count(want, `"position"`) < 3 {
				return fmt.Errorf("the feed node tells %d %s", status, want)
			}
			if status, got := page(gatewayURL, query); status != http.StatusOK || got != want {
				return fmt.Errorf("the gateway tells %d\n%s\nthe feed node\n%s", status, got, want)
			}
			return nil
		})
	}
	feed.kill()
	eventually(t, "the gateway says that nobody is there", func() error {
		if status, body := page(gatewayURL, ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "no feed node that has the instrument is heard") {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}
