package feeds

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// backoffJitter is the part of a wait by which it is moved at random, either
// way.
const backoffJitter = 0.5

// politeJitter is the part by which a wait that must not be shortened is
// lengthened at random.
const politeJitter = 0.1

// evictedPeace is how many times the last wait a connection must outlive
// before an eviction counts as a new quarrel. Two programs of equal policy
// each live as long as the other waits, at most twice their own last wait; so
// more than that is needed for the waits of both to grow.
const evictedPeace = 4

// retry is the state machine that says how long to wait before the next
// attempt. It belongs to the supervisor's loop.
type retry struct {
	policy      Policy
	lost        *backoff.ExponentialBackOff
	nextEvicted time.Duration // the next wait after an eviction
	lastEvicted time.Duration // the wait before; 0 for none
}

func newRetry(p Policy) *retry {
	return &retry{
		policy: p,
		lost: &backoff.ExponentialBackOff{
			InitialInterval:     p.InitialBackoff,
			RandomizationFactor: backoffJitter,
			Multiplier:          2,
			MaxInterval:         p.MaxBackoff,
		},
		nextEvicted: p.EvictedRetry,
	}
}

// lived tells that a connection came up and carried messages for d, from Up to
// its last message. That one was accepted proves nothing, so this alone resets.
func (r *retry) lived(d time.Duration) {
	if d < r.policy.Stable {
		return
	}
	r.lost.Reset()
	if d >= evictedPeace*r.lastEvicted {
		r.nextEvicted, r.lastEvicted = r.policy.EvictedRetry, 0
	}
}

// next returns the wait before the next attempt, after one that ended with e.
func (r *retry) next(e *DisconnectError) time.Duration {
	var wait time.Duration
	switch e.Cause {
	case CauseRefused:
		wait = lengthen(r.policy.RefusedRetry)
	case CauseEvicted:
		wait = lengthen(r.nextEvicted)
		r.lastEvicted = r.nextEvicted
		r.nextEvicted = min(2*r.nextEvicted, r.policy.EvictedMax)
	default:
		wait = r.lost.NextBackOff()
	}
	if asked := min(e.RetryAfter, r.policy.MaxRetryAfter); asked > wait {
		wait = lengthen(asked)
	}
	return wait
}

// lengthen returns d and up to politeJitter more.
func lengthen(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*politeJitter*float64(d))
}
