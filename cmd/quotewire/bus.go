package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/quotewire/quotewire/bus"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
)

// roleFlags split the service over processes.
type roleFlags struct {
	role, url, listen, node string
}

func (r *roleFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.role, "role", "all", "all: feeds and clients in this process; feed: feeds, published over NATS; gateway: clients, fed over NATS")
	cmd.Flags().StringVar(&r.url, "nats", "", "`URL` of a NATS server to join, such as nats://host:4222")
	cmd.Flags().StringVar(&r.listen, "nats-listen", "", "`address` on which to run a NATS server in this process, such as 127.0.0.1:4222")
	cmd.Flags().StringVar(&r.node, "node", "", "`name` of this feed node, the same after a restart (default: the host's)")
}

// apply gives a service its part in the bus. Flags go before the config.
func (r *roleFlags) apply(s *service, c *config) error {
	o := busOptions{role: r.role, url: r.url, listen: r.listen, node: r.node, prefix: c.Bus.Prefix}
	for _, v := range []struct {
		dst *string
		def string
	}{{&o.url, c.Bus.URL}, {&o.listen, c.Bus.Listen}, {&o.node, c.Bus.Node}} {
		if *v.dst == "" {
			*v.dst = v.def
		}
	}
	switch o.role {
	case "all":
	case "feed", "gateway":
		if o.url == "" && o.listen == "" {
			return fmt.Errorf("--role %s needs --nats URL, or --nats-listen ADDR to run the NATS server itself", o.role)
		}
	default:
		return fmt.Errorf("--role %q: want all, feed or gateway", o.role)
	}
	if err := (bus.Subjects{Prefix: o.prefix}).Validate(); err != nil {
		return fmt.Errorf("bus.prefix: %w", err)
	}
	if o.node == "" {
		host, err := os.Hostname()
		if err != nil || host == "" {
			host = "feed"
		}
		o.node = host
	}
	s.bus = o
	return nil
}

// busOptions say whether and how this process takes part in a bus. The zero
// value takes no part: in one process nothing passes through NATS unless asked.
type busOptions struct {
	role                      string // "", "all", "feed" or "gateway"
	url, listen, node, prefix string
}

func (o busOptions) joins() bool { return o.url != "" || o.listen != "" }

// busJoint is a process's part in the bus: an embedded server, a publisher, a
// subscriber, or none of them.
type busJoint struct {
	server *bus.Server
	conn   *nats.Conn
	pub    *bus.Publisher
	sub    *bus.Subscriber
}

// joinBus connects to the bus as the options say. The hub must be there.
func (s *service) joinBus(ctx context.Context) (_ *busJoint, err error) {
	j := &busJoint{}
	o := s.bus
	if !o.joins() {
		return j, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.close())
		}
	}()
	cc := bus.ConnConfig{URL: o.url, Name: "quotewire-" + o.role, Logger: s.logger}
	if o.listen != "" {
		if j.server, err = bus.StartServer(ctx, bus.ServerConfig{Listen: o.listen, Logger: s.logger}); err != nil {
			return nil, fmt.Errorf("start NATS: %w", err)
		}
		s.logger.Info("NATS listening", "url", j.server.URL())
		if o.url == "" {
			cc.InProcess = j.server.InProcess()
		}
	}
	if j.conn, err = bus.Connect(cc); err != nil {
		return nil, fmt.Errorf("join bus: %w", err)
	}
	subjects := bus.Subjects{Prefix: o.prefix}
	if o.role == "gateway" {
		j.sub, err = bus.NewSubscriber(bus.SubscriberConfig{Conn: j.conn, Subjects: subjects, Directory: s.dir,
			Sinks: []orderbook.Sink{s.laneRouter()}, Logger: s.logger})
	} else {
		j.pub, err = bus.NewPublisher(bus.PublisherConfig{Conn: j.conn, Directory: s.dir, Subjects: subjects,
			Node: o.node, Epoch: s.epoch, Health: s.health, Orders: s.orders, Logger: s.logger})
	}
	if err != nil {
		return nil, fmt.Errorf("join bus: %w", err)
	}
	return j, nil
}

// health is what this feed node tells gateways of itself.
func (s *service) health() (bool, string) {
	if err := s.ready(); err != nil {
		return false, err.Error()
	}
	return true, ""
}

// orders tells a venue's single orders from the books here or, at a gateway, from
// those of the feed node that keeps them.
func (s *service) orders(ctx context.Context, q orderbook.OrderQuery) (orderbook.OrdersReport, error) {
	if s.joined.sub == nil {
		return s.engine.Orders(ctx, q)
	}
	r, err := s.joined.sub.Orders(ctx, q)
	if errors.Is(err, bus.ErrTooManyOrders) {
		err = streamer.ErrTooManyOrders
	}
	return r, err
}

// sinks returns what takes a shard's updates to the bus.
func (j *busJoint) sinks() []orderbook.Sink {
	if j.pub == nil {
		return nil
	}
	return []orderbook.Sink{j.pub.Sink()}
}

// run takes part in the bus until ctx ends.
func (j *busJoint) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if j.pub != nil {
		g.Go(func() error { return j.pub.Run(ctx) })
	}
	if j.sub != nil {
		g.Go(func() error { return j.sub.Run(ctx) })
	}
	g.Go(func() error { <-ctx.Done(); return ctx.Err() })
	return g.Wait()
}

// close ends the connection and the embedded server. After run.
func (j *busJoint) close() error {
	if j.conn != nil {
		j.conn.Close()
	}
	if j.server != nil {
		j.server.Close()
	}
	return nil
}

// status returns what /v1/status says of the bus, nil without one.
func (j *busJoint) status() any {
	switch {
	case j.pub != nil:
		return j.pub.Status()
	case j.sub != nil:
		return j.sub.Status()
	}
	return nil
}

// laneRouter returns a sink that spreads the updates of all instruments over the
// hub's lanes, as shards of this process would.
func (s *service) laneRouter() orderbook.Sink {
	r := &laneRouter{lanes: make([]orderbook.Sink, shards())}
	for i := range r.lanes {
		r.lanes[i] = s.hub.Sink(i)
	}
	return r
}

type laneRouter struct {
	lanes     []orderbook.Sink
	watermark int64
}

// busLateness is how much later bars are final on a gateway than where they are
// made: updates tell the watermark, and those of a node's several shards, and of
// several nodes, do not come in the order of their watermarks.
const busLateness = int64(time.Second)

// Watermark implements orderbook.WatermarkSink.
func (r *laneRouter) Watermark(until int64) {
	w := until - busLateness
	if w <= r.watermark {
		return
	}
	r.watermark = w
	for _, s := range r.lanes {
		if m, ok := s.(orderbook.WatermarkSink); ok {
			m.Watermark(w)
		}
	}
}

// Update implements orderbook.Sink.
func (r *laneRouter) Update(u *orderbook.Update) {
	r.Watermark(u.Watermark)
	r.lanes[int(u.Instrument)%len(r.lanes)].Update(u)
}

// Flush implements orderbook.Sink.
func (r *laneRouter) Flush() {
	for _, s := range r.lanes {
		s.Flush()
	}
}
