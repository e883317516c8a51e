package feeds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Connector makes the connections of one provider.
//
// It may have a method Mute() time.Duration: how long this provider is silent
// at most while it is well, the default of Policy.Mute; and a method Lifetime()
// time.Duration: how old a connection should grow at most, because the provider
// cuts it not much later, the default of Policy.Lifetime; and a method Idle() bool:
// whether it has no heartbeat, see Policy.Idle.
type Connector interface {
	// Connect dials, signs in and sends what is to be subscribed. The
	// Connection lives in ctx: when ctx ends, a Connect or Next in progress
	// returns at once. It should return a *DisconnectError where it knows what
	// the failure means. What the provider said on the way goes to a.
	Connect(ctx context.Context, a *Attempt) (Connection, error)
}

// Connection is one connection that is signed in. Next and Close are called by
// one goroutine.
//
// It may have a method Resync(venueSymbol string) error, which asks for a
// symbol's book again and is called from another goroutine than Next (it returns
// [ErrPending] where an answer is on its way already), and a
// method Backlog() int, safe from any goroutine: how many messages have been
// read from the network and wait for Next. Where what it says can only be
// understood by its address, a method URL() string tells that in the Up frame; it
// must hold no secret.
type Connection interface {
	// Next waits for the next message. The payload is valid until the next
	// call. Its error, best a *DisconnectError, is final.
	Next() (payload []byte, binary bool, err error)
	// Close ends the connection, politely where that is quick, within 3 s
	// whatever the peer does. It is called once, after the last Next.
	Close()
}

const (
	maxKept         = 256 // messages of one attempt
	maxProblems     = 16
	maxProblemBytes = 256
)

// Attempt is what a Connector tells of one attempt and the connection that
// comes of it. Its zero value is ready to use; its methods are safe from any
// goroutine.
type Attempt struct {
	mu       sync.Mutex
	logger   *slog.Logger // nil discards
	kept     []keptMessage
	problems []string
	demand   []string                               // what is wanted, sorted; nil where the config decides
	reply    func(url string, payload []byte) error // while the connection is up
	ended    bool                                   // it was up and is no more
}

// keptMessage is a message, or an answer beside the stream, that came before the
// connection was up.
type keptMessage struct {
	kind     FrameKind
	received int64
	binary   bool
	url      string
	payload  []byte
}

// Received hands on a message that came while connecting, so that it too is in
// the stream. The payload is copied. After Connect has returned, messages come
// from Next.
func (a *Attempt) Received(payload []byte, binary bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.kept) < maxKept {
		a.kept = append(a.kept, keptMessage{kind: Data, received: time.Now().UnixNano(), binary: binary, payload: slices.Clone(payload)})
	}
}

// Symbols returns what is to be subscribed: what is wanted now, in the provider's
// spelling, where the feed's subscriptions go by that, else all of its config.
func (a *Attempt) Symbols(config []string) []string {
	if a.demand == nil {
		return config
	}
	return slices.Clone(a.demand)
}

// errEnded is what an answer meets whose connection is no more.
var errEnded = errors.New("the connection has ended")

// Reply hands on the answer to a request beside the stream, such as a REST
// snapshot, so that it is in the stream, in recordings and in replays: as a Reply
// frame, between two messages. The url is what was asked; it must hold no secret.
//
// While connecting, the payload is copied and follows Up; afterwards Reply
// returns when the frame has been taken. An answer that comes when the connection
// has ended is dropped, with an error.
func (a *Attempt) Reply(url string, payload []byte) error {
	a.mu.Lock()
	switch reply := a.reply; {
	case a.ended:
		a.mu.Unlock()
		return errEnded
	case reply != nil:
		a.mu.Unlock()
		return reply(url, payload)
	}
	defer a.mu.Unlock()
	if len(a.kept) >= maxKept {
		return fmt.Errorf("more than %d messages while connecting", maxKept)
	}
	a.kept = append(a.kept, keptMessage{kind: Reply, received: time.Now().UnixNano(), url: url, payload: slices.Clone(payload)})
	return nil
}

// open lets answers through to reply from now on. It returns false where
// messages are kept that must go before them.
func (a *Attempt) open(reply func(url string, payload []byte) error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.kept) > 0 {
		return false
	}
	a.reply = reply
	return true
}

// end drops answers from now on.
func (a *Attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reply, a.ended = nil, true
}

func (a *Attempt) hasEnded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// Problem tells of something that the provider refused without ending the
// connection, such as one unknown symbol. It is logged and shown in Status,
// once for each text, the first 16 of them.
func (a *Attempt) Problem(text string) {
	if len(text) > maxProblemBytes {
		text = text[:maxProblemBytes] + "..."
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.problems) >= maxProblems || slices.Contains(a.problems, text) {
		return
	}
	a.problems = append(a.problems, text)
	if a.logger != nil {
		a.logger.Warn("the provider reported a problem", "problem", text)
	}
}

// Problems returns what was told to Problem.
func (a *Attempt) Problems() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.problems)
}

// takeKept returns the messages that came while connecting, once.
func (a *Attempt) takeKept() []keptMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.kept
	a.kept = nil
	return kept
}

// firstReceived returns when the first message came while connecting, ns since
// the Unix epoch; 0 for none.
func (a *Attempt) firstReceived() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.kept) == 0 {
		return 0
	}
	return a.kept[0].received
}
