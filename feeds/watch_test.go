package feeds

import (
	"testing"
	"time"
)

// How long a silence may last follows from how long a connection is silent while
// it is well, within what the policy allows.
func TestLimitsOfSilence(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, tt := range []struct {
		name       string
		mute, min  time.Duration
		idle       bool
		usual      time.Duration
		want       limits
		wantPeriod time.Duration
	}{
		{"not known", 10 * s, s, false, 0, limits{0, 10 * s, 10 * s}, s},
		{"busy", 10 * s, s, false, 100 * ms, limits{s * 2 / 3, s, 3 * s}, s * 2 / 30},
		{"busy, patient by config", 10 * s, 3 * s, false, 100 * ms, limits{2 * s, 3 * s, 3 * s}, 200 * ms},
		{"a heartbeat every other second", 10 * s, s, false, 2 * s, limits{3 * s, 5 * s, 5 * s}, 300 * ms},
		{"asked every 8 s whether it is there", 10 * s, s, false, 8 * s, limits{9 * s, 10 * s, 10 * s}, 900 * ms},
		{"as silent as is allowed", 10 * s, s, false, 10 * s, limits{10 * s, 10 * s, 10 * s}, s},
		{"given up early by config", 2 * s, s, false, 100 * ms, limits{s * 2 / 3, s, 2 * s}, s * 2 / 30},
		{"no heartbeat, not known", 10 * s, s, true, 0, limits{}, s},
		{"no heartbeat, busy", 10 * s, s, true, 100 * ms, limits{s * 2 / 3, s, 10 * s}, s * 2 / 30},
		{"no heartbeat, quiet", 10 * s, s, true, 20 * s, limits{30 * s, 50 * s, 50 * s}, s},
	} {
		l := Policy{Mute: tt.mute, MinSilence: tt.min, Idle: tt.idle}.limits(tt.usual)
		if l != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, l, tt.want)
		}
		if p := l.period(); p != tt.wantPeriod {
			t.Errorf("%s: looked after every %v, want %v", tt.name, p, tt.wantPeriod)
		}
	}
}
