package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/orderbook"
)

// Why a feed node's single orders are not told, beside [orderbook.ErrNoOrders].
var (
	// ErrNoNode means that no feed node is heard that has the instrument.
	ErrNoNode = errors.New("no feed node that has the instrument is heard")
	// ErrBusy means that the feed node has too much else to do: ask again later.
	ErrBusy = errors.New("the feed node is busy")
	// ErrTooManyOrders means that the orders do not fit one answer: ask for fewer
	// levels.
	ErrTooManyOrders = errors.New("more orders than fit one answer: ask for fewer levels")
)

// ordersAsked is how many questions about orders a subscriber has under way at most:
// each may bring megabytes. Others wait their turn.
const ordersAsked = 4

// Orders asks the feed node that an instrument's updates come from for its single
// orders; the query and the report have the numbers of the directory here. It waits
// for [SubscriberConfig.RequestTimeout] at most. It fails with
// [orderbook.ErrNoOrders], [ErrNoNode], [ErrBusy], [ErrTooManyOrders] or the
// context's error. It may be called from any goroutine, while Run runs.
func (s *Subscriber) Orders(ctx context.Context, q orderbook.OrderQuery) (orderbook.OrdersReport, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	r, err := s.orders(ctx, q)
	if err != nil {
		return orderbook.OrdersReport{}, fmt.Errorf("ask for orders: %w", err)
	}
	return r, nil
}

func (s *Subscriber) orders(ctx context.Context, q orderbook.OrderQuery) (none orderbook.OrdersReport, err error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	request := &busv1.OrdersRequest{Symbol: s.cfg.Directory.Symbol(q.Instrument), Venue: s.cfg.Directory.VenueName(q.Venue),
		Side: busv1.Side(q.Side), Levels: uint32(max(q.Levels, 0))}
	if !q.Order.IsZero() {
		request.Order = q.Order.String()
	}
	node, err := s.home(ctx, request.Symbol)
	if err != nil {
		return none, err
	}
	data, err := proto.Marshal(request)
	if err != nil {
		return none, fmt.Errorf("encode request: %w", err)
	}
	data, err = s.request(ctx, s.cfg.Subjects.Orders(node), data)
	if err != nil {
		return none, fmt.Errorf("feed node %q: %w", node, err)
	}
	a, err := decodeOrders(data)
	if err != nil {
		return none, fmt.Errorf("feed node %q: %w", node, err)
	}
	switch a.outcome {
	case busv1.OrdersOutcome_ORDERS_OUTCOME_TOLD:
	case busv1.OrdersOutcome_ORDERS_OUTCOME_NONE:
		return none, orderbook.ErrNoOrders
	case busv1.OrdersOutcome_ORDERS_OUTCOME_BUSY:
		return none, ErrBusy
	case busv1.OrdersOutcome_ORDERS_OUTCOME_TOO_MANY:
		return none, ErrTooManyOrders
	default:
		return none, fmt.Errorf("feed node %q: %s", node, a.detail)
	}
	if a.report.Feed, err = s.cfg.Directory.Feed(string(a.feed)); err != nil {
		return none, fmt.Errorf("feed node %q: %w", node, err)
	}
	return a.report, nil
}

// home returns the name of the feed node that an instrument's updates come from,
// which the goroutine of Run knows.
func (s *Subscriber) home(ctx context.Context, symbol string) (string, error) {
	answer := make(chan string, 1)
	call := func() {
		if r := s.replicas[symbol]; r != nil && r.node != nil && r.node.alive {
			answer <- r.node.name
		} else {
			answer <- ""
		}
	}
	select {
	case s.calls <- call:
	case <-s.done:
		return "", ErrNoNode
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case name := <-answer:
		if name == "" {
			return "", ErrNoNode
		}
		return name, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// request sends a request whose answer may come in parts, and returns the answer.
func (s *Subscriber) request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	inbox := nats.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the answer: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection, which has none
	if err := s.nc.PublishRequest(subject, inbox, data); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	var parts assembler
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err == nil && len(m.Data) == 0 && m.Header.Get("Status") != "" {
			err = nats.ErrNoResponders
		}
		if errors.Is(err, nats.ErrNoResponders) {
			return nil, errors.New("answers no questions about orders")
		}
		if err != nil {
			return nil, fmt.Errorf("wait for the answer: %w", err)
		}
		whole, complete, err := parts.add(m)
		if err != nil {
			return nil, err
		}
		if complete {
			return whole, nil
		}
	}
}
