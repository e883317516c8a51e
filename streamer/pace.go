package streamer

import (
	"slices"
	"time"
)

// pace is how far a session's interval has been widened because its socket could
// not take more: twice as far each time that a write had to wait, half as far after
// some that did not. What is not written waits where it can still be merged, not in
// the kernel, so what the client does get is recent. Lossless streams and replies
// are never put off.
type pace struct {
	width int64 // ns between writes of conflated streams; 0: as their intervals say
	calm  int   // writes of them since the last that had to wait
}

const (
	// slowWrite is how long a write must have waited for the socket to be slow; half of
	// the width if that is more, for then the socket does keep up with it.
	slowWrite = 10 * time.Millisecond
	minWidth  = 100 * time.Millisecond
	maxWidth  = 10 * time.Second
	// calmWrites is how many writes at once narrow the interval.
	calmWrites = 4
)

// adapt takes note of a write of conflated streams of which the shortest interval
// is given, and how long it had to wait. It reports whether it widened.
func (p *pace) adapt(waited, shortest int64) bool {
	least := max(int64(minWidth), 2*shortest)
	if waited >= max(int64(slowWrite), p.width/2) {
		p.calm = 0
		p.width = int64(min(roundInterval(time.Duration(max(2*p.width, least))), maxWidth))
		return true
	}
	if p.width == 0 {
		return false
	}
	if p.calm++; p.calm < calmWrites {
		return false
	}
	p.calm = 0
	half := p.width / 2
	if p.width = 0; half < least {
		return false
	}
	i, ok := slices.BinarySearch(intervals[:], time.Duration(half))
	if !ok {
		i-- // the next below
	}
	p.width = int64(intervals[i])
	return false
}

// roundInterval rounds up to one of the intervals.
func roundInterval(d time.Duration) time.Duration {
	for _, i := range intervals {
		if d <= i {
			return i
		}
	}
	return intervals[len(intervals)-1]
}
