package client

import (
	"sync/atomic"
	"time"
)

// Stats are a client's counters since Dial.
type Stats struct {
	Connected bool
	Session   string        // of the connection, or of the last one
	Lag       time.Duration // how far behind the server says that this client is

	Frames, Bytes, Messages        uint64 // received
	Snapshots, Deltas, Events      uint64 // applied; Events are prints, bars and statuses
	Heartbeats                     uint64
	Connects, ConnectFailures      uint64
	Resumed                        uint64 // states that went on after a reconnect without a snapshot
	Resyncs                        uint64 // snapshots asked for
	SequenceErrors, ChecksumErrors uint64
	Gaps, EpochChanges             uint64
	Duplicates                     uint64 // messages that came twice and were skipped
	Unknown                        uint64 // messages of types newer than this package, skipped
	Malformed                      uint64 // messages that could not be read
	Unrouted                       uint64 // messages of streams that nobody holds, such as one just closed
	Conflated                      uint64 // states replaced by newer ones before the program read them
	Blocked                        uint64 // times that a full backlog stopped reading
	Errors                         uint64 // error messages of the server
}

type counters struct {
	frames, bytes, messages, snapshots, deltas, events, heartbeats, connects, connectFailures, resumed, resyncs,
	sequenceErrors, checksumErrors, gaps, epochChanges, duplicates, unknown, malformed, unrouted, conflated, blocked,
	errors atomic.Uint64
	lag atomic.Int64 // ms
}

// Stats returns the counters. It may be called at any time from any goroutine.
func (c *Client) Stats() Stats {
	n := &c.n
	s := Stats{
		Lag:    time.Duration(n.lag.Load()) * time.Millisecond,
		Frames: n.frames.Load(), Bytes: n.bytes.Load(), Messages: n.messages.Load(),
		Snapshots: n.snapshots.Load(), Deltas: n.deltas.Load(), Events: n.events.Load(), Heartbeats: n.heartbeats.Load(),
		Connects: n.connects.Load(), ConnectFailures: n.connectFailures.Load(), Resumed: n.resumed.Load(),
		Resyncs: n.resyncs.Load(), SequenceErrors: n.sequenceErrors.Load(), ChecksumErrors: n.checksumErrors.Load(),
		Gaps: n.gaps.Load(), EpochChanges: n.epochChanges.Load(), Duplicates: n.duplicates.Load(),
		Unknown: n.unknown.Load(), Malformed: n.malformed.Load(), Unrouted: n.unrouted.Load(),
		Conflated: n.conflated.Load(), Blocked: n.blocked.Load(), Errors: n.errors.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Connected = c.link != nil
	s.Session = c.session
	return s
}
