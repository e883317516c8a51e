package streamer

import (
	"fmt"

	"github.com/quotewire/quotewire/streamer/wire"
)

// fetch is a range of a stream that a client asked for again: an ack, and then as
// many messages as it says. What has been sent of it belongs to who has the
// session's turn.
type fetch struct {
	sub      *sub
	era      uint16       // the topic's, of the range
	request  wire.Request // what was asked
	from, to uint64       // the range that is answered; none where from is larger
	ack      []byte       // nil until it is made
	acked    bool         // it has been sent
	parts    []fetched
}

// fetched is a message as it was sent, or a gap in its place.
type fetched struct {
	frame    *frame // nil for a gap
	from, to uint64
}

// maxFetches is how many ranges a client may have asked for and not been sent.
const maxFetches = 16

// gapFetch is the reason of a gap in what was fetched: the log does not have it
// any longer.
const gapFetch = "not_kept"

// fetch sends a range of a stream again, from its log: the messages that hold it,
// as they were, and a gap for each part that is not there any longer.
func (s *session) fetch(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	u := s.sub(req.SID)
	if u == nil {
		return refusal(req, wire.CodeBadRequest, "no stream with sid %d is subscribed", req.SID)
	}
	t := u.topic
	if !t.lossless() {
		return refusal(req, wire.CodeBadRequest, `only a stream in which nothing is left out can be fetched: a trade stream, or one of interval "0"`)
	}
	s.mu.Lock()
	full := len(s.fetches) >= maxFetches
	s.mu.Unlock()
	if full {
		return refusal(req, wire.CodeRateLimited, "%d fetches wait to be read", maxFetches)
	}
	r := *req
	s.post(t.lane, func(int64) {
		// The first message after the beginning is 1: an answer of nothing tells a
		// range of nothing.
		f := &fetch{sub: u, era: t.era, request: r, from: max(r.From, 1), to: min(r.To, t.seq)}
		f.parts = t.log.between(t.epochN, f.from, f.to)
		s.mu.Lock()
		s.fetches = append(s.fetches, f)
		s.arrange(0)
		s.mu.Unlock()
	})
	return nil
}

// between returns the frames that hold a range of an epoch, and gaps for what is
// not there. Only the owning lane calls it.
func (l *frameLog) between(epoch, from, to uint64) []fetched {
	var out []fetched
	for i := l.oldest(); i < l.head.Load() && from <= to; i++ {
		f := l.get(i)
		if f == nil || f.snapshot || f.epoch != epoch || f.seq < from || f.seq == f.prev {
			continue
		}
		if f.prev >= to {
			break
		}
		if f.prev >= from {
			out = append(out, fetched{from: from, to: f.prev})
		}
		out = append(out, fetched{frame: f})
		from = f.seq + 1
	}
	if from <= to {
		out = append(out, fetched{from: from, to: to})
	}
	return out
}

// refetch sends what has not been sent of a fetch.
func (s *session) refetch(f *fetch, out output) error {
	if !f.acked {
		if err := s.acknowledge(f); err != nil {
			s.hub.cfg.Logger.Error("encode message", "err", err)
			f.parts = nil
			return nil
		}
		if err := out.room(len(f.ack)); err != nil {
			return err
		}
		out.add(f.ack, 1)
		f.acked = true
	}
	for ; len(f.parts) > 0; f.parts = f.parts[1:] {
		p := &f.parts[0]
		if p.frame == nil {
			gap := s.gap(f.sub.topic.sid, p.from, p.to, gapFetch)
			if err := out.room(len(gap)); err != nil {
				return err
			}
			out.add(gap, 1)
			continue
		}
		if err := out.room(maxScale + len(p.frame.data)); err != nil {
			return err
		}
		s.tellScale(f.sub, p.frame, out)
		out.add(p.frame.data, 1)
	}
	return nil
}

// acknowledge makes the ack of a fetch. A client that has not been told yet that a
// new epoch began means the one that it knows, of which nothing is kept: the
// numbers of one say nothing in the other; one that has been sent nothing of the
// stream yet knows none, and gets nothing.
func (s *session) acknowledge(f *fetch) error {
	if f.ack != nil {
		return nil
	}
	u, t, r := f.sub, f.sub.topic, &f.request
	switch {
	case !u.known:
		f.to, f.parts = f.from-1, nil
	case u.era != f.era:
		f.to, f.parts = min(r.To, u.seq), nil
		if f.from <= f.to {
			f.parts = []fetched{{from: f.from, to: f.to}}
		}
	}
	n := len(f.parts)
	ack := wire.Ack{ID: r.ID, Op: r.Op, Streams: []wire.Granted{{SID: t.sid, Channel: t.key.channel, Symbol: t.symbol}},
		From: f.from, To: f.to, Messages: &n}
	b, err := s.format.Append(nil, &ack)
	if err != nil {
		return fmt.Errorf("acknowledge fetch: %w", err)
	}
	f.ack = append(b, s.format.Separator()...)
	return nil
}
