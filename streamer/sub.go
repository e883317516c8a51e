package streamer

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quotewire/quotewire/market"
)

// sub is one session's subscription to one topic: a position, no data. A server
// has millions.
type sub struct {
	topic  *topic
	seq    uint64        // of the last message sent
	next   uint64        // index of the next frame to send
	slot   int32         // place among the topic's subscribers; the lane's
	flags  atomic.Uint32 // subMarked and so on; in the upper half the weight
	wishAt uint32        // head of the log when a snapshot was asked for, its lower half
	era    uint16        // the topic's, of seq

	// conflated streams are looked at when one of them has news, the others are
	// marked. Set at the making.
	conflated bool

	// Position, with era, seq, next and wishAt. The lane sets it before the first
	// mark, from then on it belongs to who has the session's turn.
	need    bool         // a snapshot is due
	known   bool         // the client holds what era and seq say
	placed  bool         // and what follows that is in the log from next on
	catchUp bool         // after a snapshot or resume: frames up to the present may be several
	wished  bool         // a snapshot has been asked for
	scaled  bool         // the client knows the scale; Protocol Buffers only
	begun   bool         // the position is the turn's: the first mark was seen
	scale   market.Scale // of the frame sent last
}

// Flags of a subscription that both sides look at.
const (
	subMarked  uint32 = 1 << iota // in the session's list
	subClosed                     // unsubscribed
	subResync                     // the client asked for a snapshot
	subPaused                     // the client wants nothing for the time being
	subCurrent                    // of bars: all that is in its log was written
)

func searchSubs(subs []*sub, sid uint64) (int, bool) {
	return slices.BinarySearchFunc(subs, sid, func(u *sub, sid uint64) int { return cmp.Compare(u.topic.sid, sid) })
}

// subList is a list of subscriptions: those that were marked, in that order, or those
// that were found to have news.
// The first is in the list itself, the others in chunks: a list that is empty, as
// most are, has no memory, and one that is long can be read without waiting for
// each of its subscriptions to come from memory in turn.
type subList struct {
	head        *sub // goes before those in the chunks
	first, last *subChunk
	since       int64 // lane time when the first was due
}

// subChunk holds subscriptions from index from up to n.
type subChunk struct {
	next    *subChunk
	from, n uint8
	sum     byte
	subs    [30]*sub
}

var subChunks = sync.Pool{New: func() any { return &subChunk{} }}

func (l *subList) empty() bool { return l.head == nil && l.first == nil }

// add appends a subscription that is in no list, and reports whether it is the
// first.
func (l *subList) add(u *sub) bool {
	if l.empty() {
		l.head = u
		return true
	}
	c := l.last
	if c == nil || int(c.n) == len(c.subs) {
		c = subChunks.Get().(*subChunk)
		if l.last == nil {
			l.first = c
		} else {
			l.last.next = c
		}
		l.last = c
	}
	c.subs[c.n] = u
	c.n++
	return false
}

// pop takes the first off, nil if there is none.
func (l *subList) pop() *sub {
	if u := l.head; u != nil {
		l.head = nil
		return u
	}
	c := l.first
	if c == nil {
		return nil
	}
	if c.from%touchAhead == 0 {
		c.touch()
	}
	u := c.subs[c.from]
	c.subs[c.from] = nil
	if c.from++; c.from == c.n {
		if l.first = c.next; l.first == nil {
			l.last = nil
		}
		*c = subChunk{}
		subChunks.Put(c)
	}
	return u
}

// unpop puts back what was popped last.
func (l *subList) unpop(u *sub) { l.head = u }

// clear empties the list.
func (l *subList) clear() {
	for l.pop() != nil {
	}
}

// prepend puts what is left of a list that was taken before what came since.
func (l *subList) prepend(rest *subList) {
	if rest.empty() {
		return
	}
	if l.head != nil {
		rest.add(l.head)
	}
	if l.first != nil {
		if rest.last == nil {
			rest.first = l.first
		} else {
			rest.last.next = l.first
		}
		rest.last = l.last
	}
	*l, *rest = *rest, subList{}
}

// touchAhead is how many subscriptions' messages are looked at together before each
// is sent. A server has more than fit the processor's caches: what is asked of the
// memory at once comes at once.
const touchAhead = 15

// touch looks at the next messages, so that they are at hand when they are sent.
func (c *subChunk) touch() {
	for _, u := range c.subs[c.from:min(int(c.from)+touchAhead, int(c.n))] {
		log := &u.topic.log
		if f := log.get(log.head.Load() - 1); f != nil && len(f.data) > 0 {
			c.sum += f.data[0] // nobody reads it, but the compiler cannot know
		}
	}
}
