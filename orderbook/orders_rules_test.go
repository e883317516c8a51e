package orderbook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/quotewire/quotewire/market"
)

// ordersRig is a rig with one book of orders.
type ordersRig struct {
	*rig
	t      *testing.T
	causes []Cause
}

func newOrdersRig(t *testing.T) *ordersRig {
	o := &ordersRig{t: t}
	o.rig = newRig(t, Config{Resync: func(_ market.FeedID, _ market.InstrumentID, c Cause) { o.causes = append(o.causes, c) }})
	for _, name := range []string{"kraken", "coinbase"} {
		if _, err := o.dir.Venue(name); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// say applies one message: "image" begins one, then "add ID bid 10.5 2",
// "change ID 10.5 1", "requeue ID 10.5 1", "reduce ID 1", "delete ID", "level bid 10 1", "sum N"; a
// word "piecemeal" flags what follows.
func (o *ordersRig) say(at int64, parts ...string) {
	o.t.Helper()
	var events []market.Event
	flags := market.Flags(0)
	for _, part := range parts {
		w := strings.Fields(part)
		e := market.Event{Feed: 1, Venue: 1, Instrument: 1, Received: at, Time: at}
		side := func(s string) market.Side {
			if s == "bid" {
				return market.SideBid
			}
			return market.SideAsk
		}
		numbers := func(p, z string) {
			e.Price, e.PriceDecimals, _ = market.ParsePrice(p)
			e.Size, e.SizeDecimals, _ = market.ParseSize(z)
		}
		e.Kind = market.KindOrder
		switch w[0] {
		case "piecemeal":
			flags |= market.FlagPiecemeal
			continue
		case "image":
			flags |= market.FlagSnapshot
			e.Kind = market.KindClear
		case "add":
			e.Action, e.Side = market.OrderAdd, side(w[2])
			numbers(w[3], w[4])
		case "change", "requeue":
			e.Action = market.OrderChange
			if w[0] == "requeue" {
				e.Action = market.OrderRequeue
			}
			numbers(w[2], w[3])
		case "reduce":
			e.Action = market.OrderReduce
			numbers("0", w[2])
		case "delete":
			e.Action = market.OrderDelete
		case "level":
			e.Kind, e.Side = market.KindLevel, side(w[1])
			numbers(w[2], w[3])
		case "sum":
			e.Kind, e.Checksum = market.KindChecksum, market.ChecksumOrders
			fmt.Sscan(w[1], &e.Sequence)
		}
		if e.Kind == market.KindOrder {
			id, ok := market.ParseOrderID(w[1])
			if !ok {
				o.t.Fatal(w[1])
			}
			e.SetOrder(id)
		}
		e.Flags = flags
		events = append(events, e)
	}
	events[len(events)-1].Flags |= market.FlagLast
	o.apply(events)
	if o.err != nil {
		o.t.Fatal(o.err)
	}
	if err := checkOrders(o.shard.instruments[1].venues[0].books[0]); err != nil {
		o.t.Fatal(err)
	}
}

// want compares the orders, each as "ID price size position ahead".
func (o *ordersRig) want(what string, state State, cause Cause, orders ...string) {
	o.t.Helper()
	r, err := o.shard.Orders(OrderQuery{Instrument: 1, Venue: 1})
	if err != nil {
		o.t.Fatalf("%s: %v", what, err)
	}
	var got []string
	for _, p := range r.Orders {
		got = append(got, fmt.Sprintf("%v %s %s %d %s", p.ID, market.Format(p.Price, r.Scale.Price), market.Format(p.Size, r.Scale.Size),
			p.Position, market.Format(p.Ahead, r.Scale.Size)))
	}
	if r.State != state || r.Cause != cause || strings.Join(got, ", ") != strings.Join(orders, ", ") {
		o.t.Errorf("%s: %v %v %q, want %v %v %q", what, r.State, r.Cause, got, state, cause, orders)
	}
}

// TestQueueRules: what keeps its place in the queue and what loses it.
func TestQueueRules(t *testing.T) {
	o := newOrdersRig(t)
	o.say(1, "image", "add A bid 10 1", "add B bid 10 2", "add C bid 10.0 3.5", "add X ask 11 1")
	o.want("an image in the order of its queue", StateLive, CauseNone, "A 10 1 0 0", "B 10 2 1 1", "C 10 3.5 2 3", "X 11 1 0 0")
	o.say(2, "change A 10 0.5")
	o.want("less keeps the place", StateLive, CauseNone, "A 10 0.5 0 0", "B 10 2 1 0.5", "C 10 3.5 2 2.5", "X 11 1 0 0")
	o.say(3, "reduce A 0.5", "add A bid 10 1")
	o.want("gone and back is last", StateLive, CauseNone, "B 10 2 0 0", "C 10 3.5 1 2", "A 10 1 2 5.5", "X 11 1 0 0")
	o.say(4, "change C 9 3")
	o.want("another price is last there", StateLive, CauseNone, "B 10 2 0 0", "A 10 1 1 2", "C 9 3 0 0", "X 11 1 0 0")
	o.say(5, "delete Z", "change Z 10 1", "reduce Z 1")
	o.want("who is not in the book changes nothing", StateLive, CauseNone, "B 10 2 0 0", "A 10 1 1 2", "C 9 3 0 0", "X 11 1 0 0")
	o.say(6, "requeue B 10 2")
	o.want("larger, or told to, is last", StateLive, CauseNone, "A 10 1 0 0", "B 10 2 1 1", "C 9 3 0 0", "X 11 1 0 0")
	o.say(6, "reduce B 3")
	if len(o.causes) != 1 || o.causes[0] != CauseOverflow {
		t.Errorf("more traded than there was: asked for %v", o.causes)
	}
	o.want("after nonsense", StateResyncing, CauseOverflow)
	o.say(7, "add Q bid 1 1")
	o.want("until the next image", StateResyncing, CauseOverflow)
	o.say(8, "image", "add Q bid 1 1")
	o.want("which ends it", StateLive, CauseNone, "Q 1 1 0 0")
	o.say(9, "level bid 2 1")
	o.want("levels in a book of orders", StateResyncing, CauseOverflow)
}

// TestTakerStandsAside: an order that is told before what it trades is in the book
// with what is left of it.
func TestTakerStandsAside(t *testing.T) {
	o := newOrdersRig(t)
	o.say(1, "piecemeal", "image", "add A bid 10 1", "add X ask 11 1", "add Y ask 12 1")
	o.say(2, "piecemeal", "add T bid 11 3")
	o.want("a taker comes", StateLive, CauseNone, "A 10 1 0 0", "X 11 1 0 0", "Y 12 1 0 0")
	o.say(3, "piecemeal", "change T 11 2")
	o.say(4, "piecemeal", "delete X")
	o.want("and rests", StateLive, CauseNone, "T 11 2 0 0", "A 10 1 0 0", "Y 12 1 0 0")
	o.say(5, "piecemeal", "add U ask 10 1")
	o.say(5+asideWait, "piecemeal", "add B bid 9 1")
	o.want("it crosses for as long as it may", StateLive, CauseNone, "T 11 2 0 0", "A 10 1 0 0", "B 9 1 0 0", "Y 12 1 0 0")
	o.say(6+asideWait, "piecemeal", "add C bid 8 1")
	o.want("something was lost", StateResyncing, CauseCrossed)
	if len(o.causes) != 1 || o.causes[0] != CauseCrossed {
		t.Errorf("asked for %v", o.causes)
	}
}

// TestKrakenOrdersChecksum: the example of "L3 checksum (WebSocket v2)", whose sum
// is 1063832831, and that the order of a queue is under it.
func TestKrakenOrdersChecksum(t *testing.T) {
	asks := "44939545230839344939511126144939510000044939510000004495001033492644953064537449550250000449596356300004495963563000044960133807244960288967575449670314392283449785677896044979235630000"
	bids := "449394889686994493944521000044939410000000449394142963234493942500000044939410292988449394338800004493941281408604493713346877449347356300004493022273429944930210000004493025550000449302700000004493021500000044928010524044919633870000449195761000044912035630000449097669000044901988982"
	prices := map[string][]string{
		"ask": {"449395", "449500", "449530", "449550", "449596", "449601", "449602", "449670", "449785", "449792"},
		"bid": {"449394", "449371", "449347", "449302", "449280", "449196", "449195", "449120", "449097", "449019"},
	}
	parts := []string{"image"}
	for side, text := range map[string]string{"bid": bids, "ask": asks} {
		level, start := 0, len(parts)
		for len(text) > 0 {
			p := prices[side][level]
			if !strings.HasPrefix(text, p) {
				level++
				p = prices[side][level]
			}
			text = strings.TrimPrefix(text, p)
			// The quantity reaches to where this price or the next comes again.
			end := len(text)
			for _, next := range prices[side][level:min(level+2, 10)] {
				if i := strings.Index(text[1:], next); i >= 0 && i+1 < end {
					end = i + 1
				}
			}
			qty := strings.Repeat("0", max(9-end, 0)) + text[:end]
			parts = append(parts, fmt.Sprintf("add %c%d %s %s.%s %s.%s", side[0]-'a'+'A', len(parts)-start, side, p[:5], p[5:], qty[:len(qty)-8], qty[len(qty)-8:]))
			text = text[end:]
		}
	}
	o := newOrdersRig(t)
	o.say(1, append(parts, "sum 1063832831")...)
	if b := o.shard.Report(1)[0]; b.Matched != 1 || b.State != StateLive || b.Orders != len(parts)-1 || b.Bids != 10 || b.Asks != 10 {
		t.Fatalf("%+v with %d orders: %q", b, len(parts)-1, parts)
	}
	// The first and the second of a queue change places.
	i := 1
	for !strings.Contains(parts[i], " 44939.4 ") {
		i++
	}
	parts[i], parts[i+1] = parts[i+1], parts[i]
	o.say(2, append(parts, "sum 1063832831")...)
	if b := o.shard.Report(1)[0]; b.Mismatched != 1 || b.State != StateResyncing || b.Cause != CauseChecksum {
		t.Errorf("%+v", b)
	}
}

// TestEngineOrders: the query is answered in its turn, whichever shard has the
// instrument, and by a line that is not shown where only that tells orders.
func TestEngineOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := market.NewDirectory()
		e := NewEngine(Config{Directory: dir}, 2, nil)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		image := func(feed market.FeedID, in market.InstrumentID, orders bool) {
			base := market.Event{Feed: feed, Venue: 1, Instrument: in, Flags: market.FlagSnapshot, Received: 1}
			clear, one := base, base
			clear.Kind, one.Kind, one.Side, one.Price, one.Size = market.KindClear, market.KindLevel, market.SideBid, 5, 7
			if orders {
				one.Kind, one.Action = market.KindOrder, market.OrderAdd
				id, _ := market.ParseOrderID("A")
				one.SetOrder(id)
			}
			one.Flags |= market.FlagLast
			if err := submit(ctx, e, clear, one); err != nil {
				t.Fatal(err)
			}
		}
		for in := market.InstrumentID(1); in <= 3; in++ {
			image(1, in, false)
			image(2, in, true)
		}
		id, _ := market.ParseOrderID("A")
		for in := market.InstrumentID(1); in <= 3; in++ {
			for _, q := range []OrderQuery{{}, {Order: id}, {Side: market.SideBid, Levels: 1}} {
				q.Instrument, q.Venue = in, 1
				r, err := e.Orders(ctx, q)
				if err != nil || r.Feed != 2 || len(r.Orders) != 1 || r.Orders[0] != (OrderPlace{ID: id, Side: market.SideBid, Price: 5, Size: 7}) {
					t.Errorf("%+v: %+v, %v", q, r, err)
				}
			}
		}
		for _, q := range []OrderQuery{{Instrument: 1, Venue: 2}, {Instrument: 9, Venue: 1}} {
			if _, err := e.Orders(ctx, q); !errors.Is(err, ErrNoOrders) {
				t.Errorf("%+v: %v", q, err)
			}
		}
		cancel()
		<-done
		if _, err := e.Orders(context.Background(), OrderQuery{Instrument: 1, Venue: 1}); !errors.Is(err, ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}
