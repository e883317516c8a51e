package bus

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// node is a feed node as a subscriber knows it.
type node struct {
	name     string
	epoch    uint64 // of its run; 0 before its first sign of life
	interval time.Duration
	heard    time.Time // last sign of life
	alive    bool
	wantList bool // its list of instruments must be asked for
	healthy  bool
	detail   string
	marked   int64 // its watermark; 0 before any of this run
}

// node returns the node with the given name.
func (s *Subscriber) node(name []byte) *node {
	n := s.nodes[string(name)]
	if n == nil {
		n = &node{name: string(name), interval: defaultHeartbeat}
		s.nodes[n.name] = n
	}
	return n
}

// hear notes that the node lives. If it was not known to, what was heard of its
// instruments may be incomplete.
func (s *Subscriber) hear(n *node) {
	n.heard = s.now()
	if !n.alive {
		n.alive, n.wantList, s.listDue = true, true, true
	}
}

// beat takes a sign of life.
func (s *Subscriber) beat(data []byte) error {
	var b busv1.Beat
	if err := proto.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if err := market.CheckSymbol(b.Node); err != nil || b.Epoch == 0 {
		return malformed("heartbeat without a node or an epoch")
	}
	n := s.node([]byte(b.Node))
	if n.alive && b.Epoch < n.epoch {
		// The run before the one that we hear: it has been replaced, and does
		// not know it yet.
		s.count.Fenced++
		return nil
	}
	if b.Kind == busv1.Beat_KIND_GOODBYE {
		if b.Epoch == n.epoch || n.epoch == 0 {
			s.log.Info("feed node stops", "node", n.name)
			s.nodeDown(n, orderbook.CauseLost)
		}
		return nil
	}
	if n.epoch != 0 && n.epoch != b.Epoch {
		s.log.Info("feed node was restarted", "node", n.name)
		s.nodeDown(n, orderbook.CauseRestarted)
		s.count.NodeRestarts++
	}
	if b.Kind == busv1.Beat_KIND_HELLO || n.epoch != b.Epoch {
		n.wantList, s.listDue = true, true
	}
	n.epoch = b.Epoch
	n.interval = min(max(time.Duration(b.IntervalMs)*time.Millisecond, minHeartbeat), maxHeartbeat)
	n.healthy, n.detail = b.Healthy, b.Detail
	s.hear(n)
	return nil
}

// nodeDown marks all that came from the node as down.
func (s *Subscriber) nodeDown(n *node, cause orderbook.Cause) {
	n.alive, n.marked = false, 0
	for _, r := range s.replicas {
		if r.node == n {
			s.takeDown(r, orderbook.StateDown, cause)
		}
	}
}

// allDown marks everything as down.
func (s *Subscriber) allDown(cause orderbook.Cause) {
	for _, n := range s.nodes {
		n.alive, n.marked = false, 0
	}
	for _, r := range s.replicas {
		s.takeDown(r, orderbook.StateDown, cause)
	}
}

// wantLists asks all nodes for their instruments and positions.
func (s *Subscriber) wantLists() {
	for _, n := range s.nodes {
		n.wantList = true
	}
}

func (s *Subscriber) askList() {
	s.listAsked, s.listDue = s.now(), false
	// Not connected, or closing: it is repeated as long as a list is wanted.
	_ = s.nc.PublishRequest(s.cfg.Subjects.Instruments(), s.inbox+".list", nil)
}

// list takes a node's list of instruments, or the announcement of new ones.
func (s *Subscriber) list(data []byte) error {
	var l busv1.Instruments
	if err := proto.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if err := market.CheckSymbol(l.Node); err != nil || l.Epoch == 0 {
		return malformed("list without a node or an epoch")
	}
	n := s.node([]byte(l.Node))
	if n.alive && l.Epoch < n.epoch {
		s.count.Fenced++
		return nil
	}
	if n.epoch != 0 && n.epoch != l.Epoch {
		n.wantList = true // its sign of life comes; ask again then
		return nil
	}
	s.hear(n)
	n.epoch = l.Epoch
	if l.Complete {
		n.wantList = false
	}
	for _, in := range l.Instruments {
		r, err := s.replica([]byte(in.Symbol), market.Class(min(max(in.Class, 0), busv1.Class_CLASS_FUTURE)))
		if err != nil {
			return err
		}
		if in.Seq > 0 {
			s.behind(r, n, in.Epoch, in.Seq)
		}
	}
	return nil
}

// housekeep does what time asks for.
func (s *Subscriber) housekeep(now time.Time) {
	if !s.connected {
		return
	}
	s.sound(now)
	s.mark()
	for r, at := range s.asked {
		if now.Sub(at) >= s.cfg.RequestTimeout {
			s.count.Timeouts++
			delete(s.asked, r)
			s.want(r)
		}
	}
	for r := range s.waiting {
		if _, asked := s.asked[r]; !asked {
			s.want(r) // the answer was of no use
		}
	}
	if now.Sub(s.audited) >= s.cfg.Audit {
		s.audited = now
		s.wantLists()
	}
	if now.Sub(s.listAsked) >= s.cfg.RequestTimeout {
		s.askListIfWanted()
	}
}

func (s *Subscriber) askListIfWanted() {
	for _, n := range s.nodes {
		if n.alive && n.wantList {
			s.askList()
			return
		}
	}
}
