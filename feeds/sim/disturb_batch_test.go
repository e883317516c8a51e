package sim

import (
	"fmt"
	"testing"
	"time"
)

// TestStallKeepsWhatItHolds: protocols that batch use their buffers again at once,
// so what waits on a stalled line must be a copy.
func TestStallKeepsWhatItHolds(t *testing.T) {
	s, c := openPolygon(t, "stocks", Config{})
	c.send(`{"action":"subscribe","params":"T.*"}`)
	c.wantPart("subscribed to: T.*")
	s.Stall(true)
	s.market.Step(2 * time.Second)
	s.Stall(false)
	s.market.Step(20 * time.Millisecond)
	seen := map[string]bool{}
	for _, e := range events(t, c.until(s)) {
		key := fmt.Sprint(e["sym"], e["q"])
		if e["ev"] != "T" || seen[key] {
			t.Fatalf("damaged or repeated: %v", e)
		}
		seen[key] = true
	}
	if len(seen) < 20 {
		t.Errorf("%d trades after the stall", len(seen))
	}
}
