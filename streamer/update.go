package streamer

import (
	"cmp"
	"slices"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// selected returns the subscriptions that an update or unsubscribe means. Fields
// that are not given do not restrict. Under control.
func (s *session) selected(req *wire.Request) ([]*sub, *wire.Error) {
	if req.Has(wire.FieldSID) {
		u := s.sub(req.SID)
		if u == nil {
			return nil, refusal(req, wire.CodeBadRequest, "no stream with sid %d is subscribed", req.SID)
		}
		return []*sub{u}, nil
	}
	var out []*sub
	for _, u := range s.subs {
		key := &u.topic.key
		if s.means(req, key.channel, u.topic.venue, key.bar.String(), key.depth, key.interval) && matchesAny(req.Symbols, u.topic.symbol) {
			out = append(out, u)
		}
	}
	if len(out) == 0 {
		return nil, refusal(req, wire.CodeBadRequest, "nothing that is subscribed matches")
	}
	// In the order in which their streams were made.
	slices.SortFunc(out, func(a, b *sub) int { return cmp.Compare(a.topic.sid, b.topic.sid) })
	return out, nil
}

// means reports whether a request that selects streams is about one like this. In
// an update depth and interval are what is to be, not what is.
func (s *session) means(req *wire.Request, channel wire.Channel, venue, bar string, depth int, interval time.Duration) bool {
	what := req.Op == wire.OpUnsubscribe
	return channel == req.Channel &&
		(!req.Has(wire.FieldVenue) || venue == req.Venue) &&
		(!req.Has(wire.FieldBar) || bar == req.Bar) &&
		(!what || !req.Has(wire.FieldDepth) || depth == req.Depth) &&
		(!what || !req.Has(wire.FieldInterval) || interval == s.hub.cfg.grantInterval(req.Interval))
}

// followed returns the places of the patterns that an update or unsubscribe
// names as they were given. Under control.
func (s *session) followed(req *wire.Request) []int {
	var out []int
	for i := range s.follows {
		f := &s.follows[i].request
		if slices.Contains(req.Symbols, s.follows[i].pattern) &&
			s.means(req, f.Channel, f.Venue, f.Bar, f.Depth, s.hub.cfg.grantInterval(f.Interval)) {
			out = append(out, i)
		}
	}
	return out
}

// unsubscribe ends streams, and following patterns that are named as they were.
func (s *session) unsubscribe(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	subs, err := s.selected(req)
	gone := s.followed(req)
	if err != nil && len(gone) == 0 {
		return err
	}
	for _, i := range slices.Backward(gone) {
		s.follows = slices.Delete(s.follows, i, i+1)
	}
	ack := wire.Ack{ID: req.ID, Op: req.Op}
	for _, u := range subs {
		ack.Streams = append(ack.Streams, wire.Granted{SID: u.topic.sid, Channel: u.topic.key.channel, Symbol: u.topic.symbol})
	}
	s.drop(subs)
	s.send(&ack)
	s.audit(req, ack.Streams)
	return nil
}

// drop ends subscriptions. Under control.
func (s *session) drop(subs []*sub) {
	byLane := make(map[*lane][]*sub)
	kinds := make(map[streamKind]int)
	for _, u := range subs {
		u.flags.Or(subClosed)
		kinds[u.topic.kind()]++
		if u.topic.key.channel == wire.ChannelBar {
			s.bars.Load().end(u)
		}
		byLane[u.topic.lane] = append(byLane[u.topic.lane], u)
	}
	if len(subs) > 0 {
		s.replace(slices.DeleteFunc(slices.Clone(s.subs), func(u *sub) bool { return u.flags.Load()&subClosed != 0 }))
	}
	s.hub.metrics.subscriptions.Sub(float64(len(subs)))
	s.count(kinds, -1)
	for _, a := range []*account{s.account.Load(), s.addr} {
		if a != nil {
			a.subscribe(-len(subs))
		}
	}
	for l, list := range byLane {
		s.post(l, func(now int64) {
			for _, u := range list {
				u.topic.detach(u, now)
			}
		})
	}
}

func (s *session) unsubscribeAll() {
	s.control.Lock()
	defer s.control.Unlock()
	s.gone = true
	s.follows = nil
	s.drop(slices.Clone(s.subs))
}

// update changes how streams are sent: each becomes another stream, with an ack
// and a snapshot, and the one it was ends. A pattern goes on on the new terms.
func (s *session) update(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	subs, err := s.selected(req)
	follows := s.followed(req)
	if err != nil && len(follows) == 0 {
		return err
	}
	var keys []topicKey
	var gone, woken []*sub
	seen := make(map[topicKey]bool)
	s.pausing = make(map[topicKey]bool)
	defer func() { s.pausing = nil }()
	weights := make(map[topicKey]uint32)
	for _, u := range subs {
		was := u.topic.key
		terms := wire.Request{Channel: was.channel, Depth: was.depth, Interval: was.interval, Venues: was.venues, Checksum: was.checksum, Group: was.group.Step, GroupDecimals: was.group.Decimals, MaxAge: was.maxAge, Bar: was.bar.String()}
		if req.Has(wire.FieldMaxAge) && was.channel != wire.ChannelQuote {
			return refusal(req, wire.CodeBadRequest, maxAgeQuote)
		}
		amend(&terms, req)
		key := s.terms(&terms, was.venue)
		key.instrument = was.instrument
		key, ok := s.permit(key, u.topic.symbol)
		if !ok {
			gone = append(gone, u) // the rights have just changed
			continue
		}
		paused := u.flags.Load()&subPaused != 0
		if req.Has(wire.FieldPaused) {
			paused = req.Paused
		}
		s.pausing[key] = s.pausing[key] || paused
		switch {
		case key != was:
			gone = append(gone, u)
			weights[key] = u.weight()
		case paused:
			u.flags.Or(subPaused)
		case u.flags.And(^subPaused)&subPaused != 0:
			woken = append(woken, u)
		}
		if !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	s.drop(gone)
	if err := s.start(req, keys, true); err != nil {
		return err
	}
	for _, u := range woken {
		// Through the lane: it marks.
		s.post(u.topic.lane, func(now int64) { s.mark(u, now) })
	}
	for _, u := range s.subs {
		if n, ok := weights[u.topic.key]; ok && !req.Has(wire.FieldWeight) {
			u.setWeight(int(n))
		}
	}
	for _, i := range follows {
		amend(&s.follows[i].request, req)
	}
	return nil
}

// amend puts the fields that an update gives into a subscription's terms.
func amend(terms, by *wire.Request) {
	if by.Has(wire.FieldDepth) && terms.Channel == wire.ChannelBook {
		terms.Depth = by.Depth
	}
	if by.Has(wire.FieldInterval) {
		terms.Interval = by.Interval
	}
	if by.Has(wire.FieldMaxAge) {
		terms.MaxAge = by.MaxAge
	}
	if by.Has(wire.FieldVenues) {
		terms.Venues = by.Venues
	}
	if by.Has(wire.FieldWeight) {
		terms.Weight, terms.Given = by.Weight, terms.Given|wire.FieldWeight
	}
	if by.Has(wire.FieldChecksum) {
		terms.Checksum = by.Checksum
	}
	if by.Has(wire.FieldPaused) {
		terms.Paused = by.Paused
	}
}
