package streamer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// withOrders gives a config a book of orders: three bids on two prices and an ask
// of BTC-USD at kraken.
func withOrders(t *testing.T, cfg Config) Config {
	t.Helper()
	if cfg.Directory == nil {
		cfg.Directory = market.NewDirectory()
	}
	id, _ := cfg.Directory.Instrument("BTC-USD", market.ClassCrypto)
	venue, _ := cfg.Directory.Venue("kraken")
	feed, _ := cfg.Directory.Feed("kraken-orders")
	if _, err := cfg.Directory.Venue("coinbase"); err != nil {
		t.Fatal(err)
	}
	shard := orderbook.NewShard(orderbook.Config{Directory: cfg.Directory})
	base := market.Event{Feed: feed, Venue: venue, Instrument: id, Flags: market.FlagSnapshot, Time: 5_000_000, Received: 6_000_000, PriceDecimals: 1, SizeDecimals: 2}
	events := []market.Event{base}
	events[0].Kind = market.KindClear
	for i, o := range []struct {
		side  market.Side
		price market.Price
		size  market.Size
	}{{market.SideBid, 1000, 150}, {market.SideBid, 1000, 25}, {market.SideBid, 995, 100}, {market.SideAsk, 1005, 300}} {
		e := base
		e.Kind, e.Action, e.Side, e.Price, e.Size = market.KindOrder, market.OrderAdd, o.side, o.price, o.size
		key, _ := market.ParseOrderID(fmt.Sprintf("O%d", i+1))
		e.SetOrder(key)
		events = append(events, e)
	}
	events[len(events)-1].Flags |= market.FlagLast
	shard.Apply(events)
	cfg.Orders = func(_ context.Context, q orderbook.OrderQuery) (orderbook.OrdersReport, error) {
		return shard.Orders(q)
	}
	return cfg
}

func TestOrdersPage(t *testing.T) {
	s := serve(t, withOrders(t, Config{}))
	for query, want := range map[string]string{
		"":                         "O1 bid 100 1.5 0 0 0, O2 bid 100 0.25 0 1 1.5, O3 bid 99.5 1 1 0 0, O4 ask 100.5 3 0 0 0",
		"&side=ask":                "O4 ask 100.5 3 0 0 0",
		"&levels=1":                "O1 bid 100 1.5 0 0 0, O2 bid 100 0.25 0 1 1.5, O4 ask 100.5 3 0 0 0",
		"&levels=0&side=bid":       "O1 bid 100 1.5 0 0 0, O2 bid 100 0.25 0 1 1.5, O3 bid 99.5 1 1 0 0",
		"&order=O2":                "O2 bid 100 0.25 0 1 1.5",
		"&order=O3&levels=1":       "O3 bid 99.5 1 1 0 0",
		"&order=O9":                "",
		"&side=bid&order=00000000": "",
	} {
		status, _, body := s.get("/v1/orders/BTC-USD?venue=kraken" + query)
		var page ordersJSON
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
			t.Fatalf("%q: %d %v %s", query, status, err, body)
		}
		var got []string
		for _, o := range page.Orders {
			got = append(got, fmt.Sprint(o.ID, " ", o.Side, " ", o.Price, " ", o.Size, " ", o.Level, " ", o.Position, " ", o.Ahead))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
		if page.Feed != "kraken-orders" || page.Venue != "kraken" || page.Symbol != "BTC-USD" || page.State != "live" || page.Time != 5000 || page.Total != 4 {
			t.Errorf("%q: %+v", query, page)
		}
	}
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"BTC-USD":                          {404, wire.CodeBadRequest},
		"BTC-USD?venue=*":                  {404, wire.CodeBadRequest},
		"BTC-USD?venue=nowhere":            {404, wire.CodeBadRequest},
		"BTC-USD?venue=coinbase":           {404, wire.CodeBadRequest},
		"NONE?venue=kraken":                {404, wire.CodeUnknownSymbol},
		"BTC-USD?venue=kraken&side=both":   {400, wire.CodeBadRequest},
		"BTC-USD?venue=kraken&levels=-1":   {400, wire.CodeInvalidDepth},
		"BTC-USD?venue=kraken&levels=1001": {400, wire.CodeInvalidDepth},
		"BTC-USD?venue=kraken&order=a_b":   {400, wire.CodeBadRequest},
	} {
		status, _, body := s.get("/v1/orders/" + query)
		if e := decode[wire.Error](t, body); status != want.status || e.Code != want.code {
			t.Errorf("%s: %d %s, want %+v", query, status, body, want)
		}
	}
	if status, _, body := serve(t, Config{}).get("/v1/orders/BTC-USD?venue=kraken"); status != http.StatusNotFound {
		t.Errorf("without books: %d %s", status, body)
	}
}

// That the book's keeper does not answer says nothing of this server: only when that
// stops is its code that of a stop.
func TestOrdersUnanswered(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		stops bool
		code  string
		after string
	}{
		"no node is heard":    {errors.New("no feed node that has the instrument is heard"), false, wire.CodeRateLimited, "1"},
		"no answer":           {fmt.Errorf("feed node %q: %w", "a", context.DeadlineExceeded), false, wire.CodeRateLimited, "1"},
		"the books stop":      {fmt.Errorf("orders: %w", orderbook.ErrStopped), false, wire.CodeServerShutdown, ""},
		"no node, we stop":    {errors.New("no feed node that has the instrument is heard"), true, wire.CodeServerShutdown, ""},
		"no orders, and stop": {orderbook.ErrNoOrders, true, wire.CodeBadRequest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := withOrders(t, Config{})
			cfg.Orders = func(context.Context, orderbook.OrderQuery) (orderbook.OrdersReport, error) {
				return orderbook.OrdersReport{}, tt.err
			}
			h := NewHub(cfg)
			h.closing = tt.stops
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/v1/orders/BTC-USD?venue=kraken", nil)
			r.SetPathValue("symbol", "BTC-USD")
			h.serveOrders(w, r, nil)
			status := http.StatusServiceUnavailable
			if tt.code == wire.CodeBadRequest {
				status = http.StatusNotFound
			}
			e := decode[wire.Error](t, w.Body.String())
			if w.Code != status || e.Code != tt.code || w.Header().Get("Retry-After") != tt.after || e.RetryAfter > 0 != (tt.after != "") {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}

// Who may see a book in part, or later, may not see more of it by its orders.
func TestOrdersForbidden(t *testing.T) {
	cfg, _ := guarded(t, map[string]auth.Plan{
		"one":   {Grants: []auth.Grant{{Symbols: []string{"BTC-*"}, Depth: 1}}},
		"late":  {Grants: []auth.Grant{{Symbols: []string{"*"}, Delay: 15 * time.Minute}}},
		"quote": {Grants: []auth.Grant{{Symbols: []string{"*"}, Channels: []wire.Channel{wire.ChannelQuote}}}},
		"other": {Grants: []auth.Grant{{Symbols: []string{"*"}, Venues: []string{"coinbase"}}}},
		"all":   {Grants: []auth.Grant{{Symbols: []string{"*"}}}},
	})
	s := serve(t, withOrders(t, cfg))
	for key, want := range map[string]int{"one": 3, "all": 4, "late": -1, "quote": -1, "other": -1, "": -1} {
		status, body := s.page("/v1/orders/BTC-USD?venue=kraken&levels=0", key)
		if want < 0 {
			if status != http.StatusForbidden && status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", key, status, body)
			}
			continue
		}
		if page := decode[ordersJSON](t, body); status != http.StatusOK || len(page.Orders) != want {
			t.Errorf("%s: %d, %d orders, want %d", key, status, len(page.Orders), want)
		}
	}
	if _, body := s.page("/v1/orders/BTC-USD?venue=kraken&order=O3", "one"); len(decode[ordersJSON](t, body).Orders) != 0 {
		t.Errorf("deeper than may be seen: %s", body)
	}
}
