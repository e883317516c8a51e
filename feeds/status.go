package feeds

import (
	"encoding/json"
	"time"
)

// State is how a supervised feed is.
type State string

// The states.
const (
	StateStopped    State = "stopped"    // Run is not running
	StateConnecting State = "connecting" // dialing or signing in
	StateLive       State = "live"       // up, and heard within Policy.Mute
	StateSuspect    State = "suspect"    // up, and silent for longer than usual
	StateStale      State = "stale"      // open and mute; about to be closed
	StateDown       State = "down"       // waiting to reconnect
	StateRefused    State = "refused"    // waiting long: the provider does not accept our credentials
	StateEvicted    State = "evicted"    // waiting long: another program uses our key
	StateIdle       State = "idle"       // nobody wants its symbols, see Demand
	StateStandby    State = "standby"    // of a Relay: the other line is at work
)

// Up reports whether a connection is up that is not mute.
func (s State) Up() bool { return s == StateLive || s == StateSuspect }

// Status is how a feed is at one moment. Its JSON has times as microseconds
// since the Unix epoch, UTC, as the client protocol has, and leaves out what
// is unknown.
type Status struct {
	Feed     string
	Provider string
	State    State
	Cause    string    // why it is not live, or the last cause; empty if never lost
	Since    time.Time // when State began
	// Reconnects counts connections that came up after the first.
	Reconnects uint64
	// Attempts counts calls of Connect.
	Attempts uint64
	Frames   uint64 // Data frames since Run began
	Bytes    uint64 // their payloads
	// Backlog is how many messages have been read from the network and not
	// yet handed on, where the provider's library hides a queue.
	Backlog   int
	LastFrame time.Time // receive time of the last Data frame; zero for none
	NextRetry time.Time // when the next attempt is made; zero unless waiting
	Resyncs   uint64    // resyncs sent to the provider
	Problems  []string  // what the provider refused on this connection, bounded
}

// statusJSON is Status as /v1/status shows it.
type statusJSON struct {
	Feed       string   `json:"feed"`
	Provider   string   `json:"provider"`
	State      State    `json:"state"`
	Cause      string   `json:"cause,omitempty"`
	Since      int64    `json:"since,omitempty"`
	Reconnects uint64   `json:"reconnects"`
	Attempts   uint64   `json:"attempts"`
	Frames     uint64   `json:"frames"`
	Bytes      uint64   `json:"bytes"`
	Backlog    int      `json:"backlog,omitempty"`
	LastFrame  int64    `json:"last_frame,omitempty"`
	NextRetry  int64    `json:"next_retry,omitempty"`
	Resyncs    uint64   `json:"resyncs"`
	Problems   []string `json:"problems,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (s Status) MarshalJSON() ([]byte, error) {
	return json.Marshal(statusJSON{s.Feed, s.Provider, s.State, s.Cause, micros(s.Since), s.Reconnects, s.Attempts,
		s.Frames, s.Bytes, s.Backlog, micros(s.LastFrame), micros(s.NextRetry), s.Resyncs, s.Problems})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Status) UnmarshalJSON(b []byte) error {
	var j statusJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = Status{j.Feed, j.Provider, j.State, j.Cause, fromMicros(j.Since), j.Reconnects, j.Attempts,
		j.Frames, j.Bytes, j.Backlog, fromMicros(j.LastFrame), fromMicros(j.NextRetry), j.Resyncs, j.Problems}
	return nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
