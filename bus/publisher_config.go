package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// PublisherConfig is what a [Publisher] needs. Conn, Directory, Node and Epoch
// are required.
type PublisherConfig struct {
	// Conn is best made by [Connect]. The caller closes it, after Run.
	Conn      *nats.Conn
	Directory *market.Directory
	Subjects  Subjects
	// Node is the feed node's name, unique among nodes and the same after a
	// restart.
	Node string
	// Epoch identifies this run of the node, and is the Epoch of its updates. A
	// later run must have a larger one: the time of the start, say.
	Epoch uint64
	// Heartbeat is the time between signs of life; default 1 s. Gateways take
	// the node for dead after three.
	Heartbeat time.Duration
	// Health returns what heartbeats tell of the node, "" for the detail if it
	// is well. It must not block; default: always healthy.
	Health func() (healthy bool, detail string)
	// Orders answers gateways' questions about single orders, as
	// [orderbook.Engine.Orders] does; nil answers none. It is called once at a time.
	Orders func(context.Context, orderbook.OrderQuery) (orderbook.OrdersReport, error)
	// QueueBytes is how much may wait for the network; default 16 MiB, and as
	// much again while it is written. Beyond it updates are conflated.
	QueueBytes int
	Logger     *slog.Logger // default slog.Default()
}

// Heartbeat bounds and defaults.
const (
	defaultHeartbeat  = time.Second
	minHeartbeat      = 10 * time.Millisecond
	maxHeartbeat      = time.Minute
	missedHeartbeats  = 3
	defaultQueueBytes = 16 << 20
)

// Sizes of the publisher's other queues.
const (
	batchUpdates  = 256 // updates in a batch at most
	batchQueue    = 64  // batches that wait for the publisher's goroutine
	requestQueue  = 1024
	keptLevels    = 1 << 12 // larger slices are not kept for reuse
	stopFlush     = 3 * time.Second
	instrumentRun = 2000 // instruments per message: well below the smallest limit
)

func (c PublisherConfig) withDefaults() PublisherConfig {
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.Health == nil {
		c.Health = func() (bool, string) { return true, "" }
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = defaultQueueBytes
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c PublisherConfig) validate() error {
	var errs []error
	if c.Conn == nil {
		errs = append(errs, errors.New("want a connection"))
	}
	if c.Directory == nil {
		errs = append(errs, errors.New("want a directory"))
	}
	if err := market.CheckSymbol(c.Node); err != nil {
		errs = append(errs, fmt.Errorf("node name: %w", err))
	}
	if c.Epoch == 0 {
		errs = append(errs, errors.New("want an epoch other than 0"))
	}
	if c.Heartbeat < minHeartbeat || c.Heartbeat > maxHeartbeat {
		errs = append(errs, fmt.Errorf("heartbeat %v: want %v to %v", c.Heartbeat, minHeartbeat, maxHeartbeat))
	}
	if c.QueueBytes < 0 {
		errs = append(errs, fmt.Errorf("queue of %d bytes: want more than 0", c.QueueBytes))
	}
	return errors.Join(append(errs, c.Subjects.Validate())...)
}
