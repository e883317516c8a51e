package feeds

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// Reference asks over REST for what a provider tells of its instruments beside
// the stream, such as increments and trading status, where the stream stands
// without it: what fails is asked for again later and costs no connection. One
// Reference is shared by the connections of a Connector, those that follow one
// another too, so that a hundred reconnects are not a hundred requests. The
// fields are set before the first Run, which is safe for any goroutine.
type Reference struct {
	REST *REST
	// Weight is what a request costs.
	Weight int
	// Fresh is how long an answer serves before the same is asked again. Default
	// 1 h.
	Fresh time.Duration
	// Read, if not nil, looks into an answer: it returns what to ask next for the
	// part that it leaves out, "" for nothing, and an error where the answer is
	// a refusal.
	Read func(url string, body []byte) (next string, err error)

	mu      sync.Mutex
	asking  chan struct{} // holds one while somebody asks
	answers map[string]referenceAnswer
}

type referenceAnswer struct {
	body []byte
	next string
	at   time.Time
}

// Waits after a round in which something failed, doubling from the first to the
// last. Nothing of the stream waits for it, so that they are long.
const (
	firstReferenceWait = 5 * time.Second
	lastReferenceWait  = 5 * time.Minute
)

// maxReferencePages bounds what one url may lead to.
const maxReferencePages = 100

// Run asks for the urls in turn and hands each answer to a as a Reply, and again
// once they are no longer fresh, until ctx or the connection ends. What failed
// becomes a problem of a. tried, if not nil, is called when each has been asked
// for once.
func (r *Reference) Run(ctx context.Context, a *Attempt, urls []string, tried func()) {
	var round time.Time // when all were last asked for
	var left []string   // of these, what failed
	for wait := firstReferenceWait; ; {
		if time.Since(round) >= r.fresh() {
			round, left, wait = time.Now(), urls, firstReferenceWait
		}
		var failed []string
		for _, u := range left {
			err := r.handOn(ctx, a, u)
			switch status, ok := errors.AsType[*StatusError](err); {
			case ctx.Err() != nil || errors.Is(err, errEnded):
				return
			case err == nil:
			case ok && status.Final(): // until it is time for all of them
				a.Problem(referenceProblem(u, err))
			default:
				a.Problem(referenceProblem(u, err))
				failed = append(failed, u)
			}
		}
		if tried != nil {
			tried()
			tried = nil
		}
		d := time.Until(round.Add(r.fresh()))
		if left = failed; len(left) > 0 {
			d = min(d, wait)
			wait = min(2*wait, lastReferenceWait)
		}
		if sleep(ctx, d) != nil {
			return
		}
	}
}

func referenceProblem(u string, err error) string {
	if p, perr := url.Parse(u); perr == nil {
		u = p.Path // what it was about; the host is the feed's
		if q := p.Query().Encode(); q != "" {
			u += "?" + q
		}
	}
	return fmt.Sprintf("reference data %s: %v", u, err)
}

func (r *Reference) fresh() time.Duration {
	if r.Fresh > 0 {
		return r.Fresh
	}
	return time.Hour
}

// handOn hands on the answer to a url, and those that it leads to.
func (r *Reference) handOn(ctx context.Context, a *Attempt, u string) error {
	for range maxReferencePages {
		answer, err := r.get(ctx, u)
		// What is no longer fresh is better than nothing.
		if answer.body != nil {
			if err := a.Reply(u, answer.body); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if u = answer.next; u == "" {
			return nil
		}
	}
	return fmt.Errorf("more than %d parts", maxReferencePages)
}

// get returns what is known of a url, and asks where that is not fresh. With an
// error it returns what was known before, if anything.
func (r *Reference) get(ctx context.Context, u string) (referenceAnswer, error) {
	r.mu.Lock()
	if r.asking == nil {
		r.asking, r.answers = make(chan struct{}, 1), make(map[string]referenceAnswer)
	}
	r.mu.Unlock()
	// One at a time, so that two connections do not both ask for the same.
	select {
	case r.asking <- struct{}{}:
	case <-ctx.Done():
		return referenceAnswer{}, ctx.Err()
	}
	defer func() { <-r.asking }()
	known, ok := r.answers[u]
	if ok && time.Since(known.at) < r.fresh() {
		return known, nil
	}
	body, err := r.REST.Get(ctx, u, r.Weight)
	if err != nil {
		return known, err
	}
	answer := referenceAnswer{body: body, at: time.Now()}
	if r.Read != nil {
		if answer.next, err = r.Read(u, body); err != nil {
			return known, err
		}
	}
	r.answers[u] = answer
	return answer, nil
}
