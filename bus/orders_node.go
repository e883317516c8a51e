package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// Bounds of questions about single orders at a feed node.
const (
	ordersQueue    = 64              // that wait
	ordersPatience = 2 * time.Second // for the books, from when the question came
	keptOrders     = 1 << 20         // a larger buffer for answers is not kept
)

// question is a question about orders, and when it came.
type question struct {
	msg *nats.Msg
	at  time.Time
}

// openDesk answers questions about orders until ctx ends or stop is called. It has a
// goroutine of its own: it waits for shards, and these may wait for the goroutine of
// Run.
func (p *Publisher) openDesk(ctx context.Context) (stop func(), err error) {
	if p.cfg.Orders == nil {
		return func() {}, nil
	}
	subject := p.cfg.Subjects.Orders(p.cfg.Node)
	sub, err := p.cfg.Conn.Subscribe(subject, p.question)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var desk sync.WaitGroup
	desk.Go(func() {
		var buf []byte
		for {
			select {
			case q := <-p.questions:
				buf = p.answer(ctx, buf[:0], q)
				if cap(buf) > keptOrders {
					buf = nil
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		_ = sub.Unsubscribe() // fails only on a closed connection, which has none
		cancel()
		desk.Wait()
	}, nil
}

// question takes a question, in a goroutine of NATS, or says at once that there are
// too many.
func (p *Publisher) question(m *nats.Msg) {
	if m.Reply == "" {
		p.count.badRequests.Add(1)
		return
	}
	select {
	case p.questions <- question{m, time.Now()}:
	default:
		p.decline(m.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_BUSY, "")
	}
}

// answer answers a question, using the memory of buf, and returns it.
func (p *Publisher) answer(ctx context.Context, buf []byte, q question) []byte {
	if time.Since(q.at) >= ordersPatience {
		p.decline(q.msg.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_BUSY, "")
		return buf
	}
	var r busv1.OrdersRequest
	if err := proto.Unmarshal(q.msg.Data, &r); err != nil {
		p.count.badRequests.Add(1)
		p.decline(q.msg.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_FAILED, "malformed request")
		return buf
	}
	query, ok := p.orderQuery(&r)
	if !ok {
		p.decline(q.msg.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_NONE, "")
		return buf
	}
	ctx, cancel := context.WithDeadline(ctx, q.at.Add(ordersPatience))
	defer cancel()
	report, err := p.cfg.Orders(ctx, query)
	if errors.Is(err, orderbook.ErrNoOrders) {
		p.decline(q.msg.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_NONE, "")
		return buf
	}
	if err != nil {
		p.decline(q.msg.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_FAILED, err.Error())
		return buf
	}
	buf = appendOrders(buf, p.cfg.Directory.FeedName(report.Feed), &report)
	// Half of the queue at most: updates go before answers, and must not be
	// conflated because somebody wants to see all orders.
	switch limit := p.cfg.QueueBytes / 2; {
	case len(buf) > limit:
		p.decline(q.msg.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_TOO_MANY, "")
	case p.out.waiting()+len(buf) > limit || !p.out.put(q.msg.Reply, buf, false):
		p.decline(q.msg.Reply, busv1.OrdersOutcome_ORDERS_OUTCOME_BUSY, "")
	default:
		p.count.orders.Add(1)
	}
	return buf
}

// orderQuery gives a request the numbers of this node; false if it is about what is
// not known here, which therefore has no orders.
func (p *Publisher) orderQuery(r *busv1.OrdersRequest) (q orderbook.OrderQuery, ok bool) {
	if q.Instrument, ok = p.cfg.Directory.Lookup(r.Symbol); !ok {
		return q, false
	}
	if q.Venue, ok = p.cfg.Directory.LookupVenue(r.Venue); !ok {
		return q, false
	}
	q.Levels = int(r.Levels)
	if r.Side == busv1.Side_SIDE_BID || r.Side == busv1.Side_SIDE_ASK {
		q.Side = market.Side(r.Side)
	}
	if r.Order != "" {
		q.Order, ok = market.ParseOrderID(r.Order)
	}
	return q, ok
}

// decline says why a question gets no orders. Where even that has no room the asker
// is not answered, and gives up in time.
func (p *Publisher) decline(reply string, outcome busv1.OrdersOutcome, detail string) {
	p.count.ordersDeclined.Add(1)
	data, err := proto.Marshal(&busv1.Orders{Outcome: outcome, Detail: detail})
	if err != nil { // only on a text that is not UTF-8
		p.log.Error("encode answer about orders", "error", err)
		return
	}
	p.out.put(reply, data, false)
}
