package streamer

import (
	"cmp"
	"slices"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// budget bounds what a connection takes, and shares it out by weight. Everything
// counts; only conflated streams are put off, where they can be merged. Replies,
// lossless streams and the snapshots that a client asks for are sent all the same:
// what they take too much, the others wait for.
//
// The share is start-time fair queueing: a stream's next message begins, in virtual
// time, where its last one ended, or now, and ends later the larger it is and the
// lower its weight; who begins first goes first. So of streams that always have
// something each gets bytes by its weight, and one that seldom has goes at once.
//
// It belongs to who has the session's turn.
type budget struct {
	rate    int64 // bytes a second
	tokens  int64 // bytes that may be sent; below 0 after what could not be put off
	at      int64 // when that was so
	virtual int64
	ends    map[*sub]int64
}

const (
	// budgetBurst and budgetGrain are what time's worth of bytes may be saved, and is
	// waited for once all are spent.
	budgetBurst = 250 * time.Millisecond
	budgetGrain = 50 * time.Millisecond
	// snapshotGuess stands for the size of a snapshot that is not there yet.
	snapshotGuess = 512
)

func newBudget(rate, now int64) *budget {
	b := &budget{rate: rate, at: now, ends: make(map[*sub]int64)}
	b.tokens = b.worth(budgetBurst)
	return b
}

// worth returns the bytes of a time.
func (b *budget) worth(d time.Duration) int64 { return int64(float64(b.rate) * d.Seconds()) }

// refill adds what time has brought.
func (b *budget) refill(now int64) {
	if now > b.at {
		b.tokens = min(b.tokens+b.worth(time.Duration(min(now-b.at, int64(time.Hour)))), b.worth(budgetBurst))
		b.at = now
	}
}

// until returns when there will be something to spend, 0 if there is.
func (b *budget) until(now int64) int64 {
	if b.tokens > 0 {
		return 0
	}
	missing := float64(b.worth(budgetGrain) - b.tokens)
	return now + int64(missing/float64(b.rate)*1e9) + 1
}

// charge takes note that a stream has had so many bytes.
func (b *budget) charge(u *sub, bytes int64) {
	b.tokens -= bytes
	begin := max(b.virtual, b.ends[u])
	b.ends[u] = begin + bytes*wire.MaxWeight/int64(u.weight())
}

// order takes subscriptions off a list and sorts them by whose turn it is.
func (b *budget) order(list *subList) []*sub {
	var subs []*sub
	for u := list.pop(); u != nil; u = list.pop() {
		subs = append(subs, u)
	}
	slices.SortStableFunc(subs, func(u, v *sub) int {
		return cmp.Compare(max(b.virtual, b.ends[u]), max(b.virtual, b.ends[v]))
	})
	if len(b.ends) > 2*len(subs)+1024 {
		for u, end := range b.ends {
			if end <= b.virtual || u.flags.Load()&subClosed != 0 {
				delete(b.ends, u)
			}
		}
	}
	return subs
}

// spend is collectAll for conflated streams within a budget. What it does not reach
// is left for another turn.
func (b *budget) spend(s *session, list *subList, p *pen) (err error) {
	subs := b.order(list)
	defer func() {
		for _, u := range subs {
			list.add(u)
		}
	}()
	guessed := int64(0)
	for len(subs) > 0 && b.tokens > guessed {
		u := subs[0]
		b.virtual = max(b.virtual, b.ends[u])
		before, wished := p.added, u.wished
		_, err := s.collectOne(u, false, p)
		b.charge(u, p.added-before)
		if u.wished && !wished {
			guessed += snapshotGuess
		}
		if err != nil {
			return err
		}
		subs = subs[1:]
	}
	return nil
}

// every is collectAll for what is not put off, on the budget's account.
func (b *budget) every(s *session, list *subList, p *pen) error {
	for u := list.pop(); u != nil; u = list.pop() {
		before := p.added
		listed, err := s.collectOne(u, true, p)
		b.charge(u, p.added-before)
		if err != nil {
			if !listed {
				list.unpop(u)
			}
			return err
		}
	}
	return nil
}

// setBudget bounds what the connection takes; 0 lifts the bound.
func (s *session) setBudget(req *wire.Request) *wire.Error {
	s.mu.Lock()
	s.rate, s.held = int64(req.Kbps)*1000/8, 0
	s.mu.Unlock()
	s.send(&wire.Ack{ID: req.ID, Op: req.Op})
	return nil
}

// weight is a subscription's share of the session's budget. It is kept in the upper
// half of the flags.
func (u *sub) weight() uint32 { return max(u.flags.Load()>>16, wire.DefaultWeight) }

func (u *sub) setWeight(n int) {
	for {
		old := u.flags.Load()
		if u.flags.CompareAndSwap(old, old&0xffff|uint32(n)<<16) {
			return
		}
	}
}
