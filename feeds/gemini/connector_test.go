package gemini

import (
	"testing"
	"time"
)

// Where the image that was asked for does not come, the connection is given up,
// so that an old book is not shown for long.
func TestAwait(t *testing.T) {
	began := time.Unix(1764599400, 0)
	c := &connection{awaited: map[string]time.Time{"BTCUSD": began}}
	const image, change, other = `{"type":"l2_updates","symbol":"BTCUSD","changes":[],"trades":[]}`,
		`{"type":"l2_updates","symbol":"BTCUSD","changes":[]}`, `{"type":"heartbeat","timestamp":1}`
	for _, s := range []struct {
		payload string
		after   time.Duration
		keep    bool
		fails   bool
	}{
		{change, time.Second, false, false},
		{other, imageWait, true, false},
		{other, imageWait + 1, false, true},
		{image, 3 * time.Second, true, false},
		{change, 4 * time.Second, true, false},
		{other, time.Hour, true, false},
	} {
		keep, err := c.await([]byte(s.payload), began.Add(s.after))
		if keep != s.keep || (err != nil) != s.fails {
			t.Errorf("%s after %v: kept %t, %v", s.payload, s.after, keep, err)
		}
	}
}
