package bus

import (
	"cmp"
	"slices"
	"time"
)

// SubscriberCounters count since the start of Run.
type SubscriberCounters struct {
	Messages     uint64 `json:"messages"`
	Bytes        uint64 `json:"bytes"`
	Updates      uint64 `json:"updates"`       // handed on, snapshots included
	Snapshots    uint64 `json:"snapshots"`     // complete states among them
	Blanks       uint64 `json:"blanks"`        // made here, to mark venues down or resyncing
	Gaps         uint64 `json:"gaps"`          // instruments found behind
	Requests     uint64 `json:"requests"`      // for snapshots
	Timeouts     uint64 `json:"timeouts"`      // requests without an answer in time
	Repeated     uint64 `json:"repeated"`      // updates that we had
	Fenced       uint64 `json:"fenced"`        // messages of a run that has been replaced
	HeldDropped  uint64 `json:"held_dropped"`  // updates dropped while waiting for a snapshot
	Malformed    uint64 `json:"malformed"`     // messages that could not be read
	Lost         uint64 `json:"lost"`          // messages that found our queue full
	SlowConsumer uint64 `json:"slow_consumer"` // times that this was noticed
	PartsLost    uint64 `json:"parts_lost"`    // parts whose siblings are missing
	Disconnects  uint64 `json:"disconnects"`   // of NATS
	NodesLost    uint64 `json:"nodes_lost"`    // nodes that fell silent
	NodeRestarts uint64 `json:"node_restarts"`
}

// NodeStatus is what a subscriber knows of a feed node. LastHeard is in
// microseconds since the Unix epoch in JSON terms of the client protocol.
type NodeStatus struct {
	Node      string `json:"node"`
	Epoch     uint64 `json:"epoch"`
	Alive     bool   `json:"alive"`
	Healthy   bool   `json:"healthy"`
	Detail    string `json:"detail,omitempty"`
	LastHeard int64  `json:"last_heard,omitempty"` // µs since the Unix epoch
}

// SubscriberStatus is how a subscriber is at one moment.
type SubscriberStatus struct {
	Connected   bool         `json:"connected"` // to NATS
	URL         string       `json:"url,omitempty"`
	Nodes       []NodeStatus `json:"nodes"` // by name
	Instruments int          `json:"instruments"`
	Waiting     int          `json:"waiting"` // for a snapshot
	Queued      int          `json:"queued"`  // messages
	SubscriberCounters
}

// Status returns how the subscriber is. It may be called at any time.
func (s *Subscriber) Status() SubscriberStatus {
	s.mu.Lock()
	st := s.shared
	st.Nodes = slices.Clone(st.Nodes)
	s.mu.Unlock()
	st.Queued = len(s.msgs)
	st.URL = s.nc.ConnectedUrlRedacted()
	return st
}

// share publishes the state for Status.
func (s *Subscriber) share() {
	s.count.PartsLost = s.parts.lost
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.shared
	st.Connected, st.Instruments, st.Waiting = s.connected, len(s.replicas), len(s.waiting)
	st.SubscriberCounters = s.count
	st.Nodes = st.Nodes[:0]
	for _, n := range s.nodes {
		ns := NodeStatus{Node: n.name, Epoch: n.epoch, Alive: n.alive, Healthy: n.healthy, Detail: n.detail}
		if !n.heard.IsZero() {
			ns.LastHeard = n.heard.UnixNano() / int64(time.Microsecond)
		}
		st.Nodes = append(st.Nodes, ns)
	}
	slices.SortFunc(st.Nodes, func(a, b NodeStatus) int { return cmp.Compare(a.Node, b.Node) })
}
