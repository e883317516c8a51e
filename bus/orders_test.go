package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// ordersNode is a feed node with an engine, whose venue "kraken" shows its single
// orders of BTC-USD and whose venue "coinbase" shows levels.
type ordersNode struct {
	dir    *market.Directory
	engine *orderbook.Engine
	pub    *Publisher
	nc     *nats.Conn
}

func startOrdersNode(t testing.TB, url string, levels, each int, change func(*PublisherConfig)) *ordersNode {
	t.Helper()
	n := &ordersNode{dir: market.NewDirectory(), nc: connect(t, url, "orders")}
	cfg := PublisherConfig{Conn: n.nc, Directory: n.dir, Node: "node.1", Epoch: 7, Heartbeat: testBeat, Logger: quiet(),
		Orders: func(ctx context.Context, q orderbook.OrderQuery) (orderbook.OrdersReport, error) {
			return n.engine.Orders(ctx, q)
		}}
	if change != nil {
		change(&cfg)
	}
	var err error
	if n.pub, err = NewPublisher(cfg); err != nil {
		t.Fatal(err)
	}
	n.engine = orderbook.NewEngine(orderbook.Config{Directory: n.dir, Epoch: 7}, 2, func(int) []orderbook.Sink { return []orderbook.Sink{n.pub.Sink()} })
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = n.engine.Run(ctx) }) // ends with ctx, as do the next
	running.Go(func() { _ = n.pub.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	n.submit(t, levels, each)
	return n
}

// submit gives the engine an image of orders and one of levels.
func (n *ordersNode) submit(t testing.TB, levels, each int) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	id, err := n.dir.Instrument("BTC-USD", market.ClassCrypto)
	must(err)
	kraken, err := n.dir.Venue("kraken")
	must(err)
	coinbase, err := n.dir.Venue("coinbase")
	must(err)
	orders, err := n.dir.Feed("kraken-orders")
	must(err)
	prices, err := n.dir.Feed("prices")
	must(err)
	e := market.Event{Feed: orders, Venue: kraken, Instrument: id, Kind: market.KindClear, Flags: market.FlagSnapshot,
		PriceDecimals: 1, SizeDecimals: 4, Time: 11_000, Received: 12_000}
	events := []market.Event{e}
	e.Kind, e.Action = market.KindOrder, market.OrderAdd
	for level := range levels {
		for i := range each {
			for side, price := range map[market.Side]int{market.SideBid: 600000 - level, market.SideAsk: 600001 + level} {
				order, ok := market.ParseOrderID(fmt.Sprintf("O%d-%d-%d", side, level, i))
				if !ok {
					t.Fatal("no order identifier")
				}
				e.Side, e.Price, e.Size = side, market.Price(price), market.Size(1+level*each+i)
				e.SetOrder(order)
				events = append(events, e)
			}
		}
	}
	events[len(events)-1].Flags |= market.FlagLast
	e = market.Event{Feed: prices, Venue: coinbase, Instrument: id, Kind: market.KindClear, Flags: market.FlagSnapshot,
		PriceDecimals: 1, SizeDecimals: 4, Time: 11_000, Received: 12_000}
	events = append(events, e)
	e.Kind, e.Side, e.Price, e.Size, e.Flags = market.KindLevel, market.SideBid, 599990, 5, market.FlagSnapshot|market.FlagLast
	events = append(events, e)
	batch := n.engine.Batch()
	batch.Events = append(batch.Events, events...)
	must(n.engine.Submit(t.Context(), batch))
	must(n.engine.Drain(t.Context()))
}

func startOrdersGateway(t testing.TB, url string) *gateway {
	t.Helper()
	return startGateway(t, url, func(c *SubscriberConfig) { c.RequestTimeout = patience })
}

// known waits until the gateway has the instrument and all its venues.
func (g *gateway) known(t testing.TB) (id market.InstrumentID, kraken, coinbase market.VenueID) {
	t.Helper()
	g.wait(t, "BTC-USD at both venues", func() bool {
		var ok, ok1, ok2 bool
		id, ok = g.dir.Lookup("BTC-USD")
		kraken, ok1 = g.dir.LookupVenue("kraken")
		coinbase, ok2 = g.dir.LookupVenue("coinbase")
		return ok && ok1 && ok2 && g.views.views[id] != nil
	})
	return id, kraken, coinbase
}

// A gateway is told the same orders as a process that keeps the books, under the
// numbers of its own directory.
func TestOrders(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	n := startOrdersNode(t, srv.URL(), 20, 5, nil)
	g := startOrdersGateway(t, srv.URL())
	id, kraken, coinbase := g.known(t)
	one, _ := market.ParseOrderID("O1-3-2")
	none, _ := market.ParseOrderID("NOSUCH")
	home, _ := n.dir.Lookup("BTC-USD")
	venue, _ := n.dir.LookupVenue("kraken")
	for name, q := range map[string]orderbook.OrderQuery{
		"all":            {},
		"one side":       {Side: market.SideAsk},
		"two levels":     {Levels: 2},
		"an order":       {Order: one},
		"no such order":  {Order: none},
		"a side's level": {Side: market.SideBid, Levels: 1},
	} {
		q.Instrument, q.Venue = home, venue
		want, err := n.engine.Orders(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if empty := len(want.Orders) == 0; empty != (q.Order == none) {
			t.Fatalf("%s: %d orders at the feed node", name, len(want.Orders))
		}
		q.Instrument, q.Venue = id, kraken
		got, err := g.sub.Orders(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if feed := g.dir.FeedName(got.Feed); feed != "kraken-orders" {
			t.Errorf("%s: of feed %q", name, feed)
		}
		got.Feed = want.Feed
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, got, want)
		}
	}
	for name, q := range map[string]orderbook.OrderQuery{
		"a venue of levels":         {Instrument: id, Venue: coinbase},
		"a venue of the gateway's":  {Instrument: id, Venue: coinbase + 100},
		"a venue that is elsewhere": {Instrument: id, Venue: 1},
	} {
		if _, err := g.sub.Orders(t.Context(), q); !errors.Is(err, orderbook.ErrNoOrders) {
			t.Errorf("%s: %v, want ErrNoOrders", name, err)
		}
	}
	if st := n.pub.Status(); st.Orders != 6 || st.OrdersDeclined != 3 {
		t.Errorf("%d answered, %d declined", st.Orders, st.OrdersDeclined)
	}
}

// What is larger than a message comes in parts; what is larger than half of the
// node's queue is refused, and a part of it is told.
func TestManyOrders(t *testing.T) {
	srv := startServer(t, ServerConfig{MaxPayload: 16 << 10})
	n := startOrdersNode(t, srv.URL(), 100, 50, func(c *PublisherConfig) { c.QueueBytes = 1 << 20 })
	g := startOrdersGateway(t, srv.URL())
	id, kraken, _ := g.known(t)
	// The first question may meet what the node has to publish at its start.
	var got orderbook.OrdersReport
	g.eventually(t, "an answer", func() (err error) {
		got, err = g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken})
		return err
	}, ErrBusy)
	if len(got.Orders) != 2*100*50 || got.Total != len(got.Orders) {
		t.Errorf("%d orders of %d", len(got.Orders), got.Total)
	}
	n.submit(t, 400, 50)
	if _, err := g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken}); !errors.Is(err, ErrTooManyOrders) {
		t.Errorf("%v, want ErrTooManyOrders", err)
	}
	g.eventually(t, "an answer", func() (err error) {
		got, err = g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken, Levels: 3})
		return err
	}, ErrBusy)
	if len(got.Orders) != 2*3*50 || got.Total != 2*400*50 {
		t.Errorf("%d orders of %d", len(got.Orders), got.Total)
	}
}

// eventually repeats what fails with the error given.
func (g *gateway) eventually(t testing.TB, what string, do func() error, again error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, again) || time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// Who cannot be told is told why.
func TestOrdersUntold(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	g := startOrdersGateway(t, srv.URL())
	if _, err := g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: 1, Venue: 1}); !errors.Is(err, ErrNoNode) {
		t.Errorf("before any node: %v", err)
	}
	stuck, let := make(chan struct{}, 1), make(chan struct{})
	fail := errors.New("the shard is on fire")
	n := startOrdersNode(t, srv.URL(), 1, 1, func(c *PublisherConfig) {
		c.Orders = func(ctx context.Context, q orderbook.OrderQuery) (orderbook.OrdersReport, error) {
			if q.Levels == 1 {
				return orderbook.OrdersReport{}, fail
			}
			signal(stuck)
			<-let
			return orderbook.OrdersReport{}, ctx.Err()
		}
	})
	id, kraken, _ := g.known(t)
	if _, err := g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken, Levels: 1}); err == nil || !strings.Contains(err.Error(), fail.Error()) {
		t.Errorf("a node that fails: %v", err)
	}
	// A question that is under way is given up in time, and more than the node takes
	// are declined at once.
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := g.sub.Orders(ctx, orderbook.OrderQuery{Instrument: id, Venue: kraken})
		given <- err
	}()
	<-stuck
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	nc := connect(t, srv.URL(), "foreign")
	answers, err := nc.SubscribeSync("answers")
	if err != nil {
		t.Fatal(err)
	}
	question, err := proto.Marshal(&busv1.OrdersRequest{Symbol: "BTC-USD", Venue: "kraken"})
	if err != nil {
		t.Fatal(err)
	}
	for range ordersQueue + 1 {
		if err := nc.PublishRequest("quotewire.v1.orders.node%2E1", "answers", question); err != nil {
			t.Fatal(err)
		}
	}
	m, err := answers.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var a busv1.Orders
	if err := proto.Unmarshal(m.Data, &a); err != nil || a.Outcome != busv1.OrdersOutcome_ORDERS_OUTCOME_BUSY {
		t.Errorf("one too many: %v, %v", &a, err)
	}
	if _, err := g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken}); !errors.Is(err, ErrBusy) {
		t.Errorf("a busy node: %v", err)
	}
	close(let)
	n.nc.Close()
	g.wait(t, "the node down", func() bool { return g.views.views[id].Venues[0].State == orderbook.StateDown })
	if _, err := g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken}); !errors.Is(err, ErrNoNode) {
		t.Errorf("a dead node: %v", err)
	}
	g.stop()
	if _, err := g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken}); !errors.Is(err, ErrNoNode) {
		t.Errorf("after Run: %v", err)
	}
}

// A node that is asked and takes no such questions, as one of an earlier version.
func TestOrdersUnasked(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	startOrdersNode(t, srv.URL(), 1, 1, func(c *PublisherConfig) { c.Orders = nil })
	g := startOrdersGateway(t, srv.URL())
	id, kraken, _ := g.known(t)
	_, err := g.sub.Orders(t.Context(), orderbook.OrderQuery{Instrument: id, Venue: kraken})
	if err == nil || !strings.Contains(err.Error(), `feed node "node.1": answers no questions about orders`) {
		t.Errorf("%v", err)
	}
}
