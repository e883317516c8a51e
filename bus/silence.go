package bus

import (
	"strconv"
	"time"

	"github.com/quotewire/quotewire/orderbook"
)

// A node that we have not heard for three heartbeats may have spoken all the same:
// where this process stood still (it was stopped, collected garbage, its machine was
// suspended) what the node said waits, in our queue, on the socket or at the server.
// So nobody is given up by the clock alone. The subscriber sends a message to itself,
// and NATS keeps the order of what it delivers: once that message is back all that
// waited has been read, and who is still silent is.

// sounding is the message to itself that is under way.
type sounding struct {
	number uint64    // of the last one
	sent   time.Time // zero: none is under way
	looks  int       // of housekeep since then
}

// soundingLooks is how often housekeep must have looked in vain before a sounding
// counts as lost: one that finds this process just awake has had no chance to come.
const soundingLooks = 3

// overdue calls fn for the nodes that at a time have been silent for too long, and
// for the replicas that wait for a snapshot for as long, until it returns false.
func (s *Subscriber) overdue(at time.Time, fn func(*node, *replica) bool) {
	for _, n := range s.nodes {
		if n.alive && at.Sub(n.heard) >= missedHeartbeats*n.interval && !fn(n, nil) {
			return
		}
	}
	for r := range s.waiting {
		if r.node != nil && !r.down && at.Sub(r.since) >= missedHeartbeats*r.node.interval && !fn(nil, r) {
			return
		}
	}
}

// sound sends a sounding if somebody is overdue, and sees to the one that is under
// way.
func (s *Subscriber) sound(now time.Time) {
	p := &s.sounding
	if p.sent.IsZero() {
		s.overdue(now, func(*node, *replica) bool {
			s.sendSounding(now)
			return false
		})
		return
	}
	p.looks++
	if p.looks < soundingLooks || now.Sub(p.sent) < s.cfg.RequestTimeout {
		return
	}
	if len(s.msgs) > 0 {
		// We are behind, and it was lost at our queue if it does not wait there.
		s.sendSounding(now)
		return
	}
	// NATS itself is mute, and nobody is heard over it.
	s.giveUp(p.sent)
}

func (s *Subscriber) sendSounding(now time.Time) {
	p := &s.sounding
	p.number++
	p.sent, p.looks = now, 0
	// If it fails we are not connected any longer, and begin anew.
	_ = s.nc.Publish(s.soundingAt, strconv.AppendUint(nil, p.number, 10))
}

// sounded takes a sounding that came back.
func (s *Subscriber) sounded(data []byte) {
	p := &s.sounding
	if !p.sent.IsZero() && string(data) == strconv.FormatUint(p.number, 10) {
		s.giveUp(p.sent)
	}
}

// giveUp marks as down who was overdue when the sounding was sent and still is.
func (s *Subscriber) giveUp(at time.Time) {
	s.sounding.sent = time.Time{}
	s.overdue(at, func(n *node, r *replica) bool {
		if r != nil {
			// A book late by milliseconds is late; by seconds it is wrong.
			s.blank(r, orderbook.StateResyncing, orderbook.CauseGap)
			return true
		}
		s.log.Warn("feed node is silent", "node", n.name, "for", at.Sub(n.heard))
		s.count.NodesLost++
		s.nodeDown(n, orderbook.CauseLost)
		return true
	})
}
