package bus

import (
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// byHand is a feed node whose messages a test sends one by one, and a gateway whose
// clock moves when the test says so.
type byHand struct {
	*gateway
	t        *testing.T
	node     *nats.Conn
	requests *nats.Subscription
	dir      *market.Directory
	clock    time.Time // belongs to the gateway's goroutine
}

const handBeat = 500 * time.Millisecond

// startByHand returns a gateway that shows BTC-USD at position 1 of epoch 5.
func startByHand(t *testing.T, change func(url string, c *SubscriberConfig)) *byHand {
	t.Helper()
	srv := startServer(t, ServerConfig{})
	h := &byHand{t: t, node: connect(t, srv.URL(), "feed-9"), dir: market.NewDirectory(), clock: time.Now()}
	var err error
	if h.requests, err = h.node.SubscribeSync("quotewire.v1.snapshot.*"); err != nil {
		t.Fatal(err)
	}
	h.gateway = startGateway(t, srv.URL(), func(c *SubscriberConfig) {
		c.RequestTimeout = time.Minute
		if change != nil {
			change(srv.URL(), c)
		}
	})
	h.until("connection", func(s *Subscriber) bool { return s.connected })
	if err := h.sub.nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	h.inside(func(s *Subscriber) { s.now = func() time.Time { return h.clock } })
	h.beat()
	h.publish("quotewire.v1.update.BTC-USD", h.update(1, 0))
	h.until("the first update", func(s *Subscriber) bool { return s.count.Updates == 1 })
	return h
}

// inside calls fn in the gateway's goroutine: as long as it runs the gateway stands
// still.
func (g *gateway) inside(fn func(*Subscriber)) {
	done := make(chan struct{})
	g.sub.calls <- func() { fn(g.sub); close(done) }
	<-done
}

// publish returns when the server has the message, and has it for the gateway.
func (h *byHand) publish(subject string, data []byte) {
	h.t.Helper()
	if err := h.node.Publish(subject, data); err != nil {
		h.t.Error(err)
	}
	if err := h.node.FlushTimeout(patience); err != nil {
		h.t.Error(err)
	}
}

func (h *byHand) beat() {
	h.t.Helper()
	h.publish("quotewire.v1.node.feed-9", marshal(h.t, &busv1.Beat{Node: "feed-9", Epoch: 5, IntervalMs: uint32(handBeat.Milliseconds())}))
}

func (h *byHand) update(seq uint64, changed orderbook.Changed) []byte {
	u := typical(h.dir)
	u.Epoch, u.Seq, u.Changed = 5, seq, orderbook.ChangedLevels|orderbook.ChangedQuote|changed
	enc := encoder{dir: h.dir, node: "feed-9"}
	return enc.update(nil, "BTC-USD", market.ClassCrypto, u)
}

// until waits until something holds in the gateway's goroutine.
func (h *byHand) until(what string, holds func(*Subscriber) bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		var ok bool
		if h.inside(func(s *Subscriber) { ok = holds(s) }); ok {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("timeout: %s", what)
		}
	}
}

// settled waits until the gateway has heard the node at its present time and no
// sounding is under way.
func (h *byHand) settled() {
	h.t.Helper()
	h.until("the node is heard", func(s *Subscriber) bool {
		return s.sounding.sent.IsZero() && s.nodes["feed-9"].heard.Equal(h.clock)
	})
}

// A gateway that stood still reads what waits for it before it gives anybody up.
func TestStandstill(t *testing.T) {
	h := startByHand(t, nil)
	for range 3 {
		h.inside(func(s *Subscriber) {
			h.beat()
			h.clock = h.clock.Add(10 * handBeat)
			s.housekeep(s.now())
		})
		h.settled()
	}
	// The same for a book that waits for a snapshot, which is there.
	h.publish("quotewire.v1.update.BTC-USD", h.update(3, 0))
	m, err := h.requests.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	h.inside(func(s *Subscriber) {
		h.publish(m.Reply, h.update(3, orderbook.ChangedSnapshot))
		h.clock = h.clock.Add(10 * handBeat)
		s.housekeep(s.now())
	})
	h.settled()
	h.inside(func(s *Subscriber) {
		if c := s.count; c.NodesLost != 0 || c.Blanks != 0 || c.Updates != 2 {
			t.Errorf("what waited was not read first: %+v", c)
		}
	})
	if t.Failed() {
		return
	}

	// Of a node that is silent nothing waits.
	h.inside(func(s *Subscriber) {
		h.clock = h.clock.Add(missedHeartbeats*handBeat - 1)
		if s.housekeep(s.now()); !s.sounding.sent.IsZero() {
			t.Error("it is too early to ask")
		}
		h.clock = h.clock.Add(1)
		s.housekeep(s.now())
	})
	h.waitDown(t, orderbook.CauseLost)
	h.inside(func(s *Subscriber) {
		if s.count.NodesLost != 1 {
			t.Errorf("%+v", s.count)
		}
	})
}

// mute holds back what was read from a connection.
type mute struct {
	net.Conn
	sync.Mutex
}

// Dial implements nats.CustomDialer, for one connection.
func (m *mute) Dial(network, address string) (_ net.Conn, err error) {
	m.Conn, err = net.Dial(network, address)
	return m, err
}

func (m *mute) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	m.Lock()
	defer m.Unlock()
	return n, err
}

// Where NATS itself is mute nobody is heard over it, and that ends too: not before
// this process has been awake for some looks, and not while it has messages to read.
func TestMuteBus(t *testing.T) {
	line := &mute{}
	h := startByHand(t, func(url string, c *SubscriberConfig) {
		nc, err := Connect(ConnConfig{URL: url, Logger: quiet(), Options: []nats.Option{nats.SetCustomDialer(line)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		c.Conn = nc
	})
	late := func(s *Subscriber) {
		h.clock = h.clock.Add(missedHeartbeats * handBeat)
		s.housekeep(s.now())
	}
	again := func(s *Subscriber) {
		for range soundingLooks {
			s.housekeep(s.now())
		}
	}
	h.inside(func(s *Subscriber) {
		late(s)
		h.beat()
		for end := time.Now().Add(patience); len(s.msgs) == 0; runtime.Gosched() {
			if time.Now().After(end) {
				t.Error("timeout: nothing comes")
				return
			}
		}
		h.clock = h.clock.Add(s.cfg.RequestTimeout)
		if again(s); s.sounding.number != 2 || s.count.NodesLost != 0 {
			t.Errorf("with messages to read: sounding %+v, %d nodes lost", s.sounding, s.count.NodesLost)
		}
	})
	h.settled()
	line.Lock()
	h.inside(func(s *Subscriber) {
		late(s)
		h.beat() // which does not get here
		h.clock = h.clock.Add(s.cfg.RequestTimeout - 1)
		if again(s); s.count.NodesLost != 0 {
			t.Error("given up before an answer is overdue")
		}
		h.clock = h.clock.Add(1)
		s.sounding.looks = soundingLooks - 2 // as if it had just woken up
		if s.housekeep(s.now()); s.count.NodesLost != 0 {
			t.Error("given up before there were enough looks")
		}
		if s.housekeep(s.now()); s.count.NodesLost != 1 || s.nodes["feed-9"].alive {
			t.Errorf("not given up: %+v", s.sounding)
		}
	})
	line.Unlock()
	h.settled() // it is heard again
}
