package feeds

import (
	"context"
	"fmt"
	"time"
)

// cadence learns how long a connection is silent at most while it is well: the
// longest gap between two messages in the last five to ten minutes. It belongs to
// who holds run.emitMu.
type cadence struct {
	began, last, window int64         // receive times: first and last message, begin of the window
	longest, before     time.Duration // gaps of the window and of the one before
	messages            int
}

const (
	cadenceWindow   = 5 * time.Minute
	cadenceMessages = 20 // that must have come before it is believed,
	cadenceTime     = 20 * time.Second
)

// observe takes a message and returns the usual silence, 0 while it is not known.
func (c *cadence) observe(received int64) time.Duration {
	if c.messages == 0 {
		c.began, c.last, c.window = received, received, received
	}
	if gap := time.Duration(received - c.last); gap > c.longest {
		c.longest = gap
	}
	c.last = received
	c.messages++
	if received-c.window > int64(cadenceWindow) {
		c.before, c.longest, c.window = c.longest, 0, received
	}
	if c.messages < cadenceMessages || received-c.began < int64(cadenceTime) {
		return 0
	}
	return max(c.longest, c.before)
}

// limits are how long a silence may last before it is told and acted upon; 0 is
// for ever.
type limits struct{ suspect, stale, giveUp time.Duration }

// limits returns what holds for a connection whose usual silence is known, or 0.
// Why 3/2 and 5/2: the watch is late by a tenth, and a mute connection is to be
// found within 3 times its usual gap.
func (p Policy) limits(usual time.Duration) limits {
	if usual <= 0 {
		if p.Idle {
			return limits{}
		}
		return limits{0, p.Mute, p.Mute}
	}
	l := limits{max(usual*3/2, p.MinSilence*2/3), max(usual*5/2, p.MinSilence), 0}
	if p.Idle {
		l.giveUp = max(l.stale, p.Mute)
		return l
	}
	l.stale = min(l.stale, p.Mute)
	// Not before what is usual, even where that is not far from Mute.
	l.suspect = min(l.suspect, max(p.Mute*2/3, (usual+l.stale)/2))
	l.giveUp = min(max(l.stale, minGiveUp), p.Mute)
	return l
}

// minGiveUp is how long a connection is kept at least that fell silent: what waits
// on the way may still come, and what is stale is trusted by nobody meanwhile.
const minGiveUp = 3 * time.Second

// watch tells when no message comes for longer than usual while Next is waiting,
// and gives the connection up in the end. Time that downstream takes is ours, not
// the provider's, and so is time in which this very goroutine did not run.
func (r *run) watch(ctx context.Context, giveUp func()) {
	// Why ticks and not a deadline that each frame moves: a frame then costs
	// two atomic stores, and the watch is late by a tenth at most.
	l := r.policy.limits(0)
	period := l.period()
	timer := time.NewTimer(period)
	defer timer.Stop()
	silentSince, seen, ticked := time.Now(), r.s.frames.Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		held := now.Sub(ticked) > 2*period+maxHeld
		ticked = now
		l = r.policy.limits(time.Duration(r.usual.Load()))
		period = l.period()
		timer.Reset(period)
		if n := r.s.frames.Load(); n != seen || r.s.emitting.Load() {
			silentSince, seen = now, n
			continue
		}
		if r.policy.Closed != nil && r.policy.Closed(now) {
			// Nor does it count once the market opens, whose first message may
			// take a moment.
			silentSince = now
			continue
		}
		if held {
			continue
		}
		silent := now.Sub(silentSince)
		switch {
		case l.giveUp > 0 && silent >= l.giveUp:
			r.fallSilent(seen, StateStale, l.stale)
			giveUp()
			return
		case l.stale > 0 && silent >= l.stale:
			r.fallSilent(seen, StateStale, l.stale)
		case l.suspect > 0 && silent >= l.suspect:
			r.fallSilent(seen, StateSuspect, l.suspect)
		}
	}
}

// maxHeld is by how much the watch may wake too late. Beyond, the machine was
// busy, and messages may wait to be read.
const maxHeld = 50 * time.Millisecond

// period is how often a connection is looked after.
func (l limits) period() time.Duration {
	first := l.suspect
	if first == 0 {
		first = l.stale
	}
	if first == 0 {
		return time.Second
	}
	return min(max(first/10, time.Millisecond), time.Second)
}

// fallSilent tells that the connection is in a state of silence, unless it is
// already or has spoken since the seen-th message.
func (r *run) fallSilent(seen uint64, state State, limit time.Duration) {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	if r.s.frames.Load() != seen || r.silent == state {
		return
	}
	text := fmt.Sprintf("%s: no message for %v", CauseMute, limit.Round(time.Millisecond))
	if usual := time.Duration(r.usual.Load()); usual > 0 {
		text += fmt.Sprintf(", usually %v at most", usual.Round(time.Millisecond))
	}
	kind := Suspect
	if state == StateStale {
		kind = Stale
	}
	r.silent = state
	r.s.transition(func(st *Status) { st.State, st.Cause = state, text })
	// What fails downstream ends the connection by itself.
	_ = r.hand(Frame{Kind: kind, Feed: r.s.Feed, Provider: r.s.Provider, Payload: []byte(text)})
}

// speaks notes a message. emitMu is held.
func (r *run) speaks(received int64) {
	if usual := r.cadence.observe(received); int64(usual) != r.usual.Load() {
		r.usual.Store(int64(usual))
	}
	if r.silent != "" {
		r.silent = ""
		r.s.transition(func(st *Status) { st.State = StateLive })
	}
}
