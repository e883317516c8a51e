package streamer

import (
	"runtime"
	"time"
)

var noDeadline = time.Now().Add(time.Hour)

// until waits for a condition.
func (s *server) until(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}
