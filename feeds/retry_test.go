package feeds

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRetryGrowsToItsBound(t *testing.T) {
	r := newRetry(Policy{}.withDefaults(nil))
	want := 500 * time.Millisecond
	for i := range 20 {
		got := r.next(&DisconnectError{Cause: CauseLost})
		if got < want/2 || got > want*3/2 {
			t.Fatalf("wait %d is %v, want %v ± half", i, got, want)
		}
		want = min(2*want, time.Minute)
	}
}

func TestRetryResetsOnlyAfterStability(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lived time.Duration
		fresh bool
	}{
		{"no message at all", -time.Second, false},
		{"kicked at once", 0, false},
		{"just short of stable", 30*time.Second - 1, false},
		{"stable", 30 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRetry(Policy{}.withDefaults(nil))
			for range 10 {
				r.next(&DisconnectError{Cause: CauseLost})
			}
			r.lived(tt.lived)
			got := r.next(&DisconnectError{Cause: CauseLost})
			if fresh := got <= 750*time.Millisecond; fresh != tt.fresh {
				t.Errorf("after a life of %v the wait is %v", tt.lived, got)
			}
		})
	}
}

func TestRetryByCause(t *testing.T) {
	for _, tt := range []struct {
		name     string
		end      DisconnectError
		from, to time.Duration
	}{
		{"lost", DisconnectError{Cause: CauseLost}, 250 * time.Millisecond, 751 * time.Millisecond},
		{"mute", DisconnectError{Cause: CauseMute}, 250 * time.Millisecond, 751 * time.Millisecond},
		{"refused", DisconnectError{Cause: CauseRefused}, 5 * time.Minute, 330 * time.Second},
		{"evicted", DisconnectError{Cause: CauseEvicted}, 30 * time.Second, 33 * time.Second},
		{"retry after", DisconnectError{Cause: CauseLost, RetryAfter: 40 * time.Second}, 40 * time.Second, 44 * time.Second},
		{"retry after, shorter than the backoff", DisconnectError{Cause: CauseRefused, RetryAfter: time.Second}, 5 * time.Minute, 330 * time.Second},
		{"retry after, absurd", DisconnectError{Cause: CauseLost, RetryAfter: 1000 * time.Hour}, 15 * time.Minute, 990 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newRetry(Policy{}.withDefaults(nil)).next(&tt.end)
			if got < tt.from || got > tt.to {
				t.Errorf("waits %v, want %v to %v", got, tt.from, tt.to)
			}
		})
	}
}

// Two programs with one key and this policy must drift apart, however each
// one's life is the other's wait.
func TestTwoProgramsDoNotFight(t *testing.T) {
	a, b := newRetry(Policy{}.withDefaults(nil)), newRetry(Policy{}.withDefaults(nil))
	var now time.Duration
	evictions := 0
	for now < 24*time.Hour {
		wait := a.next(&DisconnectError{Cause: CauseEvicted})
		now += wait
		evictions++
		b.lived(wait) // b was alone until a came back and threw it out
		a, b = b, a
	}
	t.Logf("%d evictions in 24 h", evictions)
	if limit := 24*4 + 15; evictions > limit {
		t.Errorf("%d evictions in 24 h, want at most %d", evictions, limit)
	}
}

func TestRetryProperties(t *testing.T) {
	causes := []DisconnectCause{CauseLost, CauseMute, CauseRefused, CauseEvicted, CauseProtocol, CauseOversized}
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			InitialBackoff: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "initial")),
			MaxBackoff:     time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "max")),
			EvictedRetry:   time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "evicted")),
		}.withDefaults(nil)
		r := newRetry(p)
		evictedInARow := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			end := &DisconnectError{
				Cause:      rapid.SampledFrom(causes).Draw(t, "cause"),
				RetryAfter: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "retry after")),
			}
			lived := time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "lived"))
			r.lived(lived)
			got := r.next(end)

			// Never sooner than promised.
			least := p.InitialBackoff / 2
			switch end.Cause {
			case CauseRefused:
				least = p.RefusedRetry
			case CauseEvicted:
				least = p.EvictedRetry
			}
			least = max(least, min(end.RetryAfter, p.MaxRetryAfter))
			if got < least {
				t.Fatalf("%+v: waits %v, promised %v", end, got, least)
			}
			// Never later than bounded.
			most := max(p.MaxBackoff*3/2, p.RefusedRetry*11/10, p.EvictedMax*11/10, p.MaxRetryAfter*11/10) + 1
			if got > most {
				t.Fatalf("%+v: waits %v, more than the bound %v", end, got, most)
			}
			// Evictions of short lives never wait less than the one before.
			if end.Cause == CauseEvicted {
				if lived < p.Stable && r.lastEvicted < evictedInARow {
					t.Fatalf("waits %v after %v for an eviction", r.lastEvicted, evictedInARow)
				}
				evictedInARow = r.lastEvicted
			} else if lived >= p.Stable {
				evictedInARow = 0
			}
		}
	})
}
