package streamer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// served are the channels that this server has.
var served = map[wire.Channel]bool{
	wire.ChannelQuote: true, wire.ChannelBook: true, wire.ChannelTrade: true, wire.ChannelTicker: true,
}

func servedNames() string {
	var names []string
	for c := wire.ChannelQuote; int(c) < wire.NumChannels; c++ {
		if served[c] {
			names = append(names, c.String())
		}
	}
	return strings.Join(names, ", ")
}

// handle does one request of the client and queues its reply.
func (s *session) handle(text []byte) (bad bool) {
	s.hub.metrics.requests.Inc()
	req, err := wire.ParseRequest(text)
	if err == nil {
		err = s.do(&req)
	}
	if err != nil {
		s.refuse(err)
		return true
	}
	return false
}

func (s *session) refuse(err *wire.Error) {
	s.hub.metrics.errors.WithLabelValues(err.Code).Inc()
	s.send(err)
}

func (s *session) do(req *wire.Request) *wire.Error {
	switch req.Op {
	case wire.OpSubscribe:
		return s.subscribe(req)
	case wire.OpUnsubscribe:
		return s.unsubscribe(req)
	case wire.OpUpdate:
		return s.update(req)
	case wire.OpResync:
		return s.resync(req)
	case wire.OpPing:
		s.send(&wire.Pong{ID: req.ID, TX: s.hub.cfg.Now() / 1000})
		return nil
	case wire.OpAuth:
		// This server asks nobody who they are; a client that says so all the
		// same is welcome.
		s.send(&wire.Ack{ID: req.ID, Op: req.Op})
		return nil
	}
	return refusal(req, wire.CodeBadRequest, "op %q is not served here", req.Op)
}

func refusal(req *wire.Request, code, format string, args ...any) *wire.Error {
	return &wire.Error{ID: req.ID, Code: code, Message: fmt.Sprintf(format, args...)}
}

// unserved are fields of the protocol that this server has no answer to. They
// are refused, not ignored: who asks for a bound must not believe to have one.
var unserved = []struct {
	field wire.Field
	name  string
}{
	{wire.FieldFrom | wire.FieldUntil | wire.FieldSpeed, "from, until, speed"},
	{wire.FieldMaxAge, "max_age"},
}

// key returns what stream a request means for an instrument.
func (s *session) key(req *wire.Request, venue market.VenueID, id market.InstrumentID) topicKey {
	k := topicKey{instrument: id, channel: req.Channel, venue: venue, interval: s.hub.cfg.grantInterval(req.Interval)}
	if req.Channel == wire.ChannelBook {
		k.depth, k.checksum = req.Depth, req.Checksum
		k.venues = req.Venues && venue == market.Consolidated
	}
	return k
}

// check refuses what this server cannot grant.
func (s *session) check(req *wire.Request) (market.VenueID, *wire.Error) {
	if !served[req.Channel] {
		return 0, refusal(req, wire.CodeUnknownChannel, "channel %q is not served here; these are: %s", req.Channel, servedNames())
	}
	for _, u := range unserved {
		if req.Given&u.field != 0 {
			return 0, refusal(req, wire.CodeBadRequest, "not served here: %s", u.name)
		}
	}
	venue, ok := s.hub.cfg.Directory.LookupVenue(req.Venue)
	if !ok {
		return 0, refusal(req, wire.CodeBadRequest, "venue %q is not known here; /v1/symbols lists each symbol's venues", req.Venue)
	}
	if venue != market.Consolidated && req.Channel == wire.ChannelTicker {
		return 0, refusal(req, wire.CodeBadRequest, "ticker is over all venues; leave venue out")
	}
	return venue, nil
}

// subscribe starts streams for the symbols that are known, and for those that a
// pattern matches, now and later.
func (s *session) subscribe(req *wire.Request) *wire.Error {
	venue, bad := s.check(req)
	if bad != nil {
		return bad
	}
	dir := s.hub.cfg.Directory
	var ids []market.InstrumentID
	var unknown []string
	var follows []follow
	for _, symbol := range req.Symbols {
		if wire.IsPattern(symbol) || s.hub.direct {
			follows = append(follows, follow{symbol, *req})
			continue
		}
		if id, ok := dir.Lookup(symbol); ok {
			ids = append(ids, id)
		} else {
			unknown = append(unknown, symbol)
		}
	}
	s.control.Lock()
	defer s.control.Unlock()
	if s.ended {
		return nil
	}
	if len(follows) > 0 {
		if len(s.follows)+len(follows) > maxFollows {
			return refusal(req, wire.CodeTooManySubscriptions, "at most %d patterns a connection", maxFollows)
		}
		for _, in := range dir.Instruments(0) {
			for _, f := range follows {
				if wire.Match(f.pattern, in.Symbol) {
					ids = append(ids, in.ID)
					break
				}
			}
		}
	}
	if len(ids) == 0 && len(follows) == 0 {
		return &wire.Error{ID: req.ID, Code: wire.CodeUnknownSymbol, Message: "no such symbol; /v1/symbols lists them", Symbols: unknown}
	}
	if err := s.start(req, venue, ids); err != nil {
		return err
	}
	s.follows = append(s.follows, follows...)
	if len(unknown) > 0 {
		return &wire.Error{ID: req.ID, Code: wire.CodeUnknownSymbol, Message: "no such symbol; the others are subscribed", Symbols: unknown}
	}
	return nil
}

// maxFollows bounds the patterns of one connection: each is matched against
// every symbol that appears.
const maxFollows = 100

// start opens the topics, acknowledges them, and only then attaches to them, so
// that a stream's first message never comes before its ack. Under control.
func (s *session) start(req *wire.Request, venue market.VenueID, ids []market.InstrumentID) *wire.Error {
	if room := s.hub.cfg.MaxSubscriptions - len(s.subs); len(ids) > room {
		fresh := 0
		for _, id := range ids {
			if s.subs[s.key(req, venue, id)] == nil {
				fresh++
			}
		}
		if fresh > room {
			return refusal(req, wire.CodeTooManySubscriptions, "%d streams more would exceed the limit of %d a connection", fresh, s.hub.cfg.MaxSubscriptions)
		}
	}
	ack := wire.Ack{ID: req.ID, Op: req.Op}
	byLane := make(map[*lane][]market.InstrumentID)
	for _, id := range ids {
		l := s.hub.lane(id)
		byLane[l] = append(byLane[l], id)
	}
	var fresh []*sub
	// Lanes in their order, so that an ack is the same in every replay.
	for _, l := range s.hub.lanes {
		list := byLane[l]
		if len(list) == 0 {
			continue
		}
		err := s.hub.call(l, func(now int64) {
			for _, id := range list {
				key := s.key(req, venue, id)
				u := s.subs[key]
				if u == nil {
					u = &sub{session: s, topic: l.open(key, now)}
					s.subs[key] = u
					fresh = append(fresh, u)
				}
				ack.Streams = append(ack.Streams, granted(u.topic, &l.instrument(id).view.Scale))
			}
		})
		if err != nil {
			return refusal(req, wire.CodeServerShutdown, "the server is stopping")
		}
	}
	s.send(&ack)
	for _, u := range fresh {
		s.bySID[u.topic.sid] = u
		var from *wire.Position
		if p, ok := req.Resume[u.topic.symbol]; ok {
			from = &p
		}
		s.post(u.topic.lane, func(now int64) { u.topic.attach(u, from, now) })
	}
	s.hub.metrics.subscriptions.Add(float64(len(fresh)))
	return nil
}

// post runs fn in the lane's goroutine, without waiting.
func (s *session) post(l *lane, fn func(now int64)) {
	if s.hub.direct {
		fn(s.hub.cfg.Now())
		return
	}
	l.mail.post(fn)
}

func granted(t *topic, scale *market.Scale) wire.Granted {
	g := wire.Granted{
		SID: t.sid, Channel: t.key.channel, Symbol: t.symbol, Depth: t.key.depth,
		Interval: wire.FormatInterval(t.key.interval), Venues: t.key.venues,
	}
	if t.key.venue != market.Consolidated {
		g.Venue = t.venue
	}
	if p, z := int(scale.Price), int(scale.Size); p != 0 || z != 0 {
		g.PriceDecimals, g.SizeDecimals = &p, &z
	}
	return g
}

// takeIn subscribes instruments that are new and match a pattern.
func (s *session) takeIn(fresh []market.Instrument) {
	s.control.Lock()
	defer s.control.Unlock()
	if s.ended {
		return
	}
	for i := range s.follows {
		f := &s.follows[i]
		var ids []market.InstrumentID
		for _, in := range fresh {
			if wire.Match(f.pattern, in.Symbol) {
				ids = append(ids, in.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		venue, _ := s.hub.cfg.Directory.LookupVenue(f.request.Venue)
		if err := s.start(&f.request, venue, ids); err != nil {
			s.refuse(err)
		}
	}
}

// selected returns the subscriptions that an update or unsubscribe means. Fields
// that are not given do not restrict.
func (s *session) selected(req *wire.Request) ([]*sub, *wire.Error) {
	if req.Has(wire.FieldSID) {
		u := s.bySID[req.SID]
		if u == nil {
			return nil, refusal(req, wire.CodeBadRequest, "no stream with sid %d is subscribed", req.SID)
		}
		return []*sub{u}, nil
	}
	var out []*sub
	for key, u := range s.subs {
		if key.channel != req.Channel ||
			req.Has(wire.FieldVenue) && u.topic.venue != req.Venue ||
			req.Op == wire.OpUnsubscribe && req.Has(wire.FieldDepth) && key.depth != req.Depth ||
			req.Op == wire.OpUnsubscribe && req.Has(wire.FieldInterval) && key.interval != s.hub.cfg.grantInterval(req.Interval) {
			continue
		}
		for _, symbol := range req.Symbols {
			if symbol == u.topic.symbol || wire.IsPattern(symbol) && wire.Match(symbol, u.topic.symbol) {
				out = append(out, u)
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, refusal(req, wire.CodeBadRequest, "nothing that is subscribed matches")
	}
	sortSubs(out)
	return out, nil
}

// unsubscribe ends streams, and following patterns that are named as they were.
func (s *session) unsubscribe(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	dropped := false
	kept := s.follows[:0]
	for _, f := range s.follows {
		if f.request.Channel == req.Channel && contains(req.Symbols, f.pattern) {
			dropped = true
			continue
		}
		kept = append(kept, f)
	}
	s.follows = kept
	subs, err := s.selected(req)
	if err != nil && !dropped {
		return err
	}
	ack := wire.Ack{ID: req.ID, Op: req.Op}
	for _, u := range subs {
		ack.Streams = append(ack.Streams, wire.Granted{SID: u.topic.sid, Channel: u.topic.key.channel, Symbol: u.topic.symbol})
		s.drop(u)
	}
	s.send(&ack)
	return nil
}

// drop ends one subscription. Under control.
func (s *session) drop(u *sub) {
	u.closed.Store(true)
	delete(s.subs, u.topic.key)
	delete(s.bySID, u.topic.sid)
	s.hub.metrics.subscriptions.Dec()
	s.post(u.topic.lane, func(now int64) { u.topic.detach(u, now) })
}

func (s *session) unsubscribeAll() {
	s.control.Lock()
	defer s.control.Unlock()
	s.ended = true
	for _, u := range s.subs {
		s.drop(u)
	}
}

// update changes how streams are sent: each becomes another stream, with an ack
// and a snapshot, and the one it was ends.
func (s *session) update(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	subs, err := s.selected(req)
	if err != nil {
		return err
	}
	if req.Has(wire.FieldMaxAge) {
		return refusal(req, wire.CodeBadRequest, "not served here: max_age")
	}
	for _, u := range subs {
		key := u.topic.key
		next := wire.Request{Op: wire.OpUpdate, ID: req.ID, Channel: key.channel, Depth: key.depth, Interval: key.interval,
			Venues: key.venues, Checksum: key.checksum}
		if req.Has(wire.FieldDepth) && key.channel == wire.ChannelBook {
			next.Depth = req.Depth
		}
		if req.Has(wire.FieldInterval) {
			next.Interval = req.Interval
		}
		if req.Has(wire.FieldVenues) {
			next.Venues = req.Venues
		}
		if req.Has(wire.FieldChecksum) {
			next.Checksum = req.Checksum
		}
		if s.key(&next, key.venue, key.instrument) == key {
			s.send(&wire.Ack{ID: req.ID, Op: req.Op, Streams: []wire.Granted{{SID: u.topic.sid, Channel: key.channel, Symbol: u.topic.symbol,
				Depth: key.depth, Interval: wire.FormatInterval(key.interval), Venues: key.venues}}})
			continue
		}
		s.drop(u)
		if err := s.start(&next, key.venue, []market.InstrumentID{key.instrument}); err != nil {
			return err
		}
	}
	// A pattern that goes on taking in symbols does so on the new terms.
	for i := range s.follows {
		f := &s.follows[i]
		if f.request.Channel == req.Channel && contains(req.Symbols, f.pattern) {
			if req.Has(wire.FieldInterval) {
				f.request.Interval = req.Interval
			}
			if req.Has(wire.FieldDepth) {
				f.request.Depth = req.Depth
			}
		}
	}
	return nil
}

// resync sends a stream's snapshot again.
func (s *session) resync(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	u := s.bySID[req.SID]
	if u == nil {
		return refusal(req, wire.CodeBadRequest, "no stream with sid %d is subscribed", req.SID)
	}
	s.send(&wire.Ack{ID: req.ID, Op: req.Op, Streams: []wire.Granted{{SID: req.SID, Channel: u.topic.key.channel, Symbol: u.topic.symbol}}})
	u.resync.Store(true)
	s.mark(u, s.hub.cfg.Now())
	return nil
}

// welcome greets a client with what it may do.
func (s *session) welcome() {
	cfg := &s.hub.cfg
	s.send(&wire.Welcome{
		Version: wire.Version, Server: cfg.Server, Session: s.id, Heartbeat: cfg.Heartbeat.Milliseconds(),
		Limits: wire.Limits{Subscriptions: cfg.MaxSubscriptions, MinInterval: wire.FormatInterval(cfg.grantInterval(cfg.MinInterval))},
	})
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// sortSubs puts subscriptions in the order in which their streams were made.
func sortSubs(subs []*sub) {
	slices.SortFunc(subs, func(a, b *sub) int { return cmp.Compare(a.topic.sid, b.topic.sid) })
}
