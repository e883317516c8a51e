package feeds

import (
	"context"
	"time"
)

// watch calls mute once if no message came for so long while Next was waiting.
// Time that downstream takes is ours, not the provider's.
func (s *Supervisor) watch(ctx context.Context, limit time.Duration, mute func()) {
	// Why ticks and not a deadline that each frame moves: a frame then costs
	// two atomic stores, and the watch is late by two tenths at most.
	tick := time.NewTicker(max(limit/10, time.Millisecond))
	defer tick.Stop()
	silentSince, seen := time.Now(), s.frames.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if n := s.frames.Load(); n != seen || s.emitting.Load() {
			silentSince, seen = now, n
		} else if now.Sub(silentSince) >= limit {
			mute()
			return
		}
	}
}
