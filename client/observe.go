package client

import (
	"iter"
	"time"
)

// Latency is how old an update was when the program got it. 0 is unknown. Clocks of
// two machines are compared, so it is as true as these are.
type Latency struct {
	SinceReceived time.Duration // since its frame reached the server
	SinceSent     time.Duration // since the server encoded the message
}

// observe tells the program's hook of an update that Next is about to return.
func (s *Stream) observe(u Update) {
	hook := s.c.opts.OnUpdate
	if hook == nil {
		return
	}
	var l Latency
	if m := u.About(); !m.Sent.IsZero() && !isEvent(u) {
		now := time.Now()
		l.SinceSent = now.Sub(m.Sent)
		if !m.Received.IsZero() {
			l.SinceReceived = now.Sub(m.Received)
		}
	}
	hook(u, l)
}

// Counters returns the counters by name, such as "checksum_errors", in a fixed
// order, for programs that export them. Each only grows.
func (s *Stats) Counters() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for _, c := range []struct {
			name string
			n    uint64
		}{
			{"frames", s.Frames}, {"bytes", s.Bytes}, {"messages", s.Messages}, {"snapshots", s.Snapshots}, {"deltas", s.Deltas},
			{"events", s.Events}, {"heartbeats", s.Heartbeats}, {"connects", s.Connects}, {"connect_failures", s.ConnectFailures},
			{"resumed", s.Resumed}, {"resyncs", s.Resyncs}, {"sequence_errors", s.SequenceErrors},
			{"checksum_errors", s.ChecksumErrors}, {"gaps", s.Gaps}, {"epoch_changes", s.EpochChanges},
			{"duplicates", s.Duplicates}, {"unknown", s.Unknown}, {"malformed", s.Malformed}, {"unrouted", s.Unrouted},
			{"conflated", s.Conflated}, {"blocked", s.Blocked}, {"errors", s.Errors},
		} {
			if !yield(c.name, c.n) {
				return
			}
		}
	}
}
