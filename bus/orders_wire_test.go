package bus

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

func someOrders(t testing.TB) orderbook.OrdersReport {
	t.Helper()
	id := func(text string) market.OrderID {
		o, ok := market.ParseOrderID(text)
		if !ok {
			t.Fatal(text)
		}
		return o
	}
	return orderbook.OrdersReport{State: orderbook.StateQuiet, Cause: orderbook.CauseCadence, Scale: market.Scale{Price: 2, Size: 8}, Time: 1700000000e9,
		Total: 7, Orders: []orderbook.OrderPlace{
			{ID: id("A"), Side: market.SideBid, Price: 900, Size: 5},
			{ID: id("B-1"), Side: market.SideBid, Price: 900, Size: 6, Position: 1, Ahead: 5},
			{ID: id("C"), Side: market.SideBid, Price: -1, Size: 7, Level: 1},
			{ID: id("0f8fad5b-d9cb-469f-a165-70867728950e"), Side: market.SideAsk, Price: 901, Size: 8, Level: 4, Position: 12, Ahead: 99},
		}}
}

// Orders come back as they were, and are what the schema says.
func TestOrdersWire(t *testing.T) {
	want := someOrders(t)
	data := appendOrders(nil, "kraken-orders", &want)
	a, err := decodeOrders(data)
	if err != nil {
		t.Fatal(err)
	}
	if string(a.feed) != "kraken-orders" || a.outcome != busv1.OrdersOutcome_ORDERS_OUTCOME_TOLD || !reflect.DeepEqual(a.report, want) {
		t.Errorf("got %+v", a)
	}
	var m busv1.Orders
	if err := proto.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Queues) != 3 || m.Total != 7 || m.State != busv1.State_STATE_QUIET || m.Cause != busv1.Cause_CAUSE_CADENCE || m.PriceDecimals != 2 ||
		m.SizeDecimals != 8 || m.Time != want.Time || m.Feed != "kraken-orders" {
		t.Errorf("the schema reads %v", &m)
	}
	q := m.Queues[0]
	if q.Side != busv1.Side_SIDE_BID || q.Price != 900 || len(q.Ids) != 2 || q.Ids[1] != "B-1" || q.Sizes[1] != 6 || q.Position != 0 {
		t.Errorf("the schema reads %v", q)
	}
	if q := m.Queues[2]; q.Level != 4 || q.Position != 12 || q.Ahead != 99 || q.Ids[0] != "0f8fad5b-d9cb-469f-a165-70867728950e" {
		t.Errorf("the schema reads %v", q)
	}
}

func TestOrdersMalformed(t *testing.T) {
	good := func() *busv1.OrderQueue {
		return &busv1.OrderQueue{Side: busv1.Side_SIDE_BID, Price: 1, Sizes: []int64{1, 2}, Ids: []string{"A", "B"}}
	}
	for name, spoil := range map[string]func(*busv1.OrderQueue){
		"no side":         func(q *busv1.OrderQueue) { q.Side = 0 },
		"another side":    func(q *busv1.OrderQueue) { q.Side = 3 },
		"a size missing":  func(q *busv1.OrderQueue) { q.Sizes = q.Sizes[1:] },
		"a negative size": func(q *busv1.OrderQueue) { q.Sizes[1] = -1 },
		"too much ahead":  func(q *busv1.OrderQueue) { q.Ahead = math.MaxInt64 },
		"a wrong name":    func(q *busv1.OrderQueue) { q.Ids[0] = "a name" },
		"too many before": func(q *busv1.OrderQueue) { q.Position = math.MaxUint64 },
	} {
		q := good()
		for _, bad := range []bool{false, true} {
			if bad {
				spoil(q)
			}
			data, err := proto.Marshal(&busv1.Orders{Queues: []*busv1.OrderQueue{q}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decodeOrders(data); bad != (err != nil) || bad && !errors.Is(err, errMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func FuzzDecodeOrders(f *testing.F) {
	r := someOrders(f)
	f.Add(appendOrders(nil, "kraken-orders", &r))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeOrders(data)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("%v does not wrap errMalformed", err)
			}
			return
		}
		var m busv1.Orders
		if err := proto.Unmarshal(data, &m); err == nil && (m.Time != a.report.Time || m.Total != uint64(a.report.Total)) {
			t.Fatalf("the schema reads %v", &m)
		}
		for _, o := range a.report.Orders {
			if o.Size < 0 || o.Ahead < 0 || o.Level < 0 || o.Position < 0 || o.Side == market.SideNone {
				t.Fatalf("order %+v", o)
			}
		}
		again, err := decodeOrders(appendOrders(nil, string(a.feed), &a.report))
		if err != nil || !reflect.DeepEqual(again.report, a.report) {
			t.Fatalf("again %+v, %v, want %+v", again.report, err, a.report)
		}
	})
}
