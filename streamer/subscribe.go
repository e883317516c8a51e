package streamer

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// subscribe starts streams for the symbols that are known, and for those that a
// pattern matches, now and later.
func (s *session) subscribe(req *wire.Request) *wire.Error {
	venue, bad := s.check(req)
	if bad != nil {
		return bad
	}
	dir := s.hub.cfg.Directory
	var ids []market.InstrumentID
	var unknown, patterns, forbidden []string
	s.control.Lock()
	defer s.control.Unlock()
	if s.gone {
		return nil
	}
	terms := s.terms(req, venue)
	for _, symbol := range req.Symbols {
		if wire.IsPattern(symbol) || s.hub.awaits {
			patterns = append(patterns, symbol)
			continue
		}
		// Before anything else, so that the answer does not tell whether there is such
		// a symbol.
		if _, ok := s.permit(terms, symbol); !ok {
			forbidden = append(forbidden, symbol)
		} else if id, ok := dir.Lookup(symbol); ok {
			ids = append(ids, id)
		} else {
			unknown = append(unknown, symbol)
		}
	}
	if len(forbidden) > 0 {
		s.hub.cfg.Audit.Info("forbidden", "session", s.id, "key", s.who(), "address", s.remote, "channel", req.Channel.String(), "venue", req.Venue,
			"symbols", forbidden[:min(len(forbidden), auditStreams)], "count", len(forbidden))
	}
	follows := s.newFollows(req, patterns)
	if len(s.follows)+len(follows) > maxFollows && !s.hub.awaits {
		return refusal(req, wire.CodeTooManySubscriptions, "at most %d patterns a connection", maxFollows)
	}
	if len(patterns) > 0 {
		list := dir.Instruments(0)
		if bad := s.matching(req, len(patterns)*len(list)); bad != nil {
			return bad
		}
		for _, in := range list {
			if matchesAny(patterns, in.Symbol) {
				ids = append(ids, in.ID)
			}
		}
		// A symbol may be named and matched.
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	if len(ids) == 0 && len(patterns) == 0 {
		if len(forbidden) > 0 {
			return &wire.Error{ID: req.ID, Code: wire.CodeForbidden, Message: noRight, Symbols: forbidden}
		}
		return &wire.Error{ID: req.ID, Code: wire.CodeUnknownSymbol, Message: "no such symbol; /v1/symbols lists them", Symbols: unknown}
	}
	keys := make([]topicKey, 0, min(len(ids), s.hub.cfg.MaxSubscriptions+1))
	for _, id := range ids {
		terms.instrument = id
		if key, ok := s.permit(terms, dir.Symbol(id)); ok {
			keys = append(keys, key)
		}
		if len(keys) > s.hub.cfg.MaxSubscriptions && !s.hub.awaits {
			break // too many, however many more
		}
	}
	if err := s.start(req, keys, true); err != nil {
		return err
	}
	s.follows = append(s.follows, follows...)
	if len(forbidden) > 0 {
		err := &wire.Error{ID: req.ID, Code: wire.CodeForbidden, Message: noRight + "; the others are subscribed", Symbols: forbidden}
		if len(unknown) == 0 {
			return err
		}
		s.refuse(err)
	}
	if len(unknown) > 0 {
		return &wire.Error{ID: req.ID, Code: wire.CodeUnknownSymbol, Message: "no such symbol; the others are subscribed", Symbols: unknown}
	}
	return nil
}

const noRight = "this key has no right to the symbol, on this channel and venue"

// matchCost is how many comparisons of symbols with patterns cost a client as much
// as one request.
const matchCost = 50_000

// matching charges a client for finding what its patterns match, or refuses it.
// Under control.
func (s *session) matching(req *wire.Request, n int) *wire.Error {
	cost := n / matchCost
	if cost == 0 || s.limit == nil || s.limit.AllowN(time.Now(), cost) {
		return nil
	}
	return refusal(req, wire.CodeRateLimited, "%d comparisons of symbols with patterns cost as much as %d requests; send fewer patterns, or slower", n, cost)
}

// maxFollows bounds the patterns of one connection: each is matched against
// every symbol that appears.
const maxFollows = 100

// newFollows returns the patterns that are not followed yet on the request's
// terms. Under control.
func (s *session) newFollows(req *wire.Request, patterns []string) []follow {
	terms := *req
	terms.Symbols, terms.Resume = nil, nil
	var out []follow
	for _, p := range patterns {
		known := slices.ContainsFunc(s.follows, func(f follow) bool {
			return f.pattern == p && f.request.Venue == req.Venue && s.terms(&f.request, 0) == s.terms(req, 0)
		})
		if !known {
			out = append(out, follow{strings.Clone(p), terms}) // not with the rest of the request
		}
	}
	return out
}

func matchesAny(patterns []string, symbol string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return wire.Match(p, symbol) })
}

// start opens the topics, acknowledges them, and only then attaches to them, so
// that a stream's first message never comes before its ack. Those subscribed
// already are acknowledged again, or, unless all is set, left out. Under control.
func (s *session) start(req *wire.Request, keys []topicKey, all bool) *wire.Error {
	if err := s.room(req, keys); err != nil {
		return err
	}
	if req.Op == wire.OpSubscribe && req.Paused {
		s.pausing = make(map[topicKey]bool, len(keys))
		for _, key := range keys {
			s.pausing[key] = true
		}
		defer func() { s.pausing = nil }()
	}
	ack := wire.Ack{ID: req.ID, Op: req.Op, Streams: make([]wire.Granted, 0, len(keys))}
	byLane := make(map[*lane][]topicKey)
	for _, key := range keys {
		l := s.hub.lane(&key)
		if byLane[l] == nil {
			byLane[l] = make([]topicKey, 0, len(keys))
		}
		byLane[l] = append(byLane[l], key)
	}
	// Lanes in their order, so that an ack is the same in every replay.
	lanes := slices.DeleteFunc(slices.Concat(s.hub.lanes, s.hub.delayed), func(l *lane) bool { return byLane[l] == nil })
	opened := make([][]*topic, len(lanes))
	fresh := 0
	for i, l := range lanes {
		keys := byLane[l]
		opened[i] = make([]*topic, 0, len(keys))
		err := s.hub.call(l, func(now int64) {
			for _, key := range keys {
				t := l.open(key, now)
				opened[i] = append(opened[i], t)
				if s.sub(t.sid) == nil {
					fresh++
				}
				if all || s.sub(t.sid) == nil {
					ack.Streams = append(ack.Streams, s.granted(t, &l.instrument(key.instrument).view.Scale, req))
				}
			}
		})
		if err != nil {
			return refusal(req, wire.CodeServerShutdown, "the server is stopping")
		}
	}
	if bad := s.reserve(req, fresh); bad != nil {
		for i, topics := range opened {
			s.post(lanes[i], func(int64) {
				for _, t := range topics {
					t.held--
				}
			})
		}
		return bad
	}
	if req.Channel == wire.ChannelBar {
		// No watermark between the ack and the first message of what it grants.
		bars := s.streamsBars()
		bars.behind.Add(1)
		defer func() {
			bars.behind.Add(-1)
			s.cover(s.hub.cfg.Now())
		}()
	}
	if all || len(ack.Streams) > 0 {
		s.send(&ack)
	}
	s.audit(req, ack.Streams)
	for i, topics := range opened {
		s.attach(lanes[i], topics, req.Resume)
		for _, t := range topics {
			if req.Has(wire.FieldWeight) {
				s.sub(t.sid).setWeight(req.Weight)
			}
		}
	}
	return nil
}

// reserve counts streams under the client's key and address, or refuses them.
// Under control.
func (s *session) reserve(req *wire.Request, n int) *wire.Error {
	for i, a := range []*account{s.account.Load(), s.addr} {
		if a == nil || a.subscribe(n) {
			continue
		}
		if first := s.account.Load(); i == 1 && first != nil {
			first.subscribe(-n)
		}
		return refusal(req, wire.CodeTooManySubscriptions, "%d streams more would exceed the limit of this %s", n, [...]string{"key", "address"}[i])
	}
	return nil
}

// auditStreams is how many streams one line of the audit log has.
const auditStreams = 500

// audit writes down what was subscribed. Under control.
func (s *session) audit(req *wire.Request, streams []wire.Granted) {
	if !s.hub.cfg.Audit.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	for part := range slices.Chunk(streams, auditStreams) {
		s.hub.cfg.Audit.Info(string(req.Op), "session", s.id, "key", s.who(), "address", s.remote, "channel", req.Channel.String(), "streams", part)
	}
}

// subSlab is how many subscriptions of one request lie next to each other, in the order
// in which they are looked at. They are held together: a client that keeps one of
// thousands is not to keep the memory of all.
const subSlab = 32

// attach subscribes to the topics that the lane opened. Under control.
func (s *session) attach(l *lane, topics []*topic, resume map[string]wire.Position) {
	fresh := slices.DeleteFunc(slices.Clone(topics), func(t *topic) bool { return s.sub(t.sid) != nil })
	slices.SortFunc(fresh, func(a, b *topic) int { return cmp.Compare(a.sid, b.sid) })
	fresh = slices.Compact(fresh) // a symbol may be named twice
	var memory []sub
	subs := make([]*sub, len(fresh))
	added := make(map[*topic]*sub, len(fresh))
	kinds := make(map[streamKind]int)
	for i, t := range fresh {
		if len(memory) == 0 {
			memory = make([]sub, min(len(fresh)-i, subSlab))
		}
		u := &memory[0]
		memory = memory[1:]
		u.topic, u.conflated = t, !t.lossless()
		u.setWeight(wire.DefaultWeight)
		if s.pausing[t.key] {
			u.flags.Or(subPaused)
		}
		subs[i], added[t] = u, u
		if t.key.channel == wire.ChannelBar {
			s.streamsBars().begin(u)
			s.hub.watermarks[t.lane.tier].join(s)
		}
		s.hub.metrics.subscriptions.Inc()
		kinds[t.kind()]++
	}
	s.insert(subs)
	s.count(kinds, 1)
	s.post(l, func(now int64) {
		for _, t := range topics {
			t.held--
			u := added[t]
			if u == nil {
				continue
			}
			delete(added, t)
			var from *wire.Position
			if p, ok := resume[t.symbol]; ok {
				from = &p
			}
			t.attach(u, s, from, now)
		}
	})
}

// count counts streams that begin (by 1) or end (by -1). Under control.
func (s *session) count(kinds map[streamKind]int, by int) {
	a := s.account.Load()
	if a == nil {
		return
	}
	now := s.hub.cfg.Now()
	for kind, n := range kinds {
		a.open(kind, n*by, now)
	}
}

// room refuses streams that would be too many. Under control.
func (s *session) room(req *wire.Request, keys []topicKey) *wire.Error {
	limit := s.hub.cfg.MaxSubscriptions
	if len(s.subs)+len(keys) <= limit {
		return nil
	}
	have := make(map[topicKey]bool, len(s.subs))
	for _, u := range s.subs {
		have[u.topic.key] = true
	}
	fresh := 0
	for _, key := range keys {
		if !have[key] {
			fresh++
		}
	}
	if len(s.subs)+fresh <= limit {
		return nil
	}
	return refusal(req, wire.CodeTooManySubscriptions, "%d streams more would exceed the limit of %d a connection", fresh, limit)
}

// post runs fn in the lane's goroutine, without waiting.
func (s *session) post(l *lane, fn func(now int64)) {
	if s.hub.inline {
		fn(s.hub.cfg.Now())
		return
	}
	l.mail.post(fn)
}

// granted returns what is granted, and where that is not what was asked for, what
// was.
func (s *session) granted(t *topic, scale *market.Scale, req *wire.Request) wire.Granted {
	g := wire.Granted{
		SID: t.sid, Channel: t.key.channel, Symbol: t.symbol, Depth: t.key.depth,
		Interval: t.interval, Venues: t.key.venues,
	}
	if t.key.venue != market.Consolidated {
		g.Venue = t.venue
	}
	// One that is there already stays as it is.
	if u := s.sub(t.sid); u == nil {
		g.Paused = s.pausing[t.key]
	} else {
		g.Paused = u.flags.Load()&subPaused != 0
	}
	if t.key.channel == wire.ChannelBar {
		g.Bar = t.key.bar.String()
	}
	if g0 := t.key.group; g0.Step > 0 {
		g.Group = market.Format(g0.Step, g0.Decimals)
	}
	if t.key.maxAge > 0 {
		g.MaxAge = wire.FormatInterval(t.key.maxAge)
	}
	if t.key.delay > 0 {
		g.Delay = wire.FormatInterval(t.key.delay)
	}
	interval := req.Has(wire.FieldInterval) && req.Interval != t.key.interval
	depth := req.Has(wire.FieldDepth) && t.key.channel == wire.ChannelBook && req.Depth != t.key.depth
	if interval || depth {
		g.Requested = &wire.Requested{}
		if interval {
			g.Requested.Interval = wire.FormatInterval(req.Interval)
		}
		if depth {
			g.Requested.Depth = &req.Depth
		}
	}
	if *scale != (market.Scale{}) {
		g.PriceDecimals, g.SizeDecimals = decimals(scale.Price), decimals(scale.Size)
	}
	return g
}

// smallDecimals are the numbers of decimals that acks have, for all of them.
var smallDecimals = func() (out [32]int) {
	for i := range out {
		out[i] = i
	}
	return out
}()

// decimals returns a number of decimals to be read, not written.
func decimals[T ~int8 | ~uint8](n T) *int {
	if i := int(n); i >= 0 && i < len(smallDecimals) {
		return &smallDecimals[i]
	}
	i := int(n)
	return &i
}

// takeIn subscribes instruments that are new and match a pattern.
func (s *session) takeIn(fresh []market.Instrument) {
	s.control.Lock()
	defer s.control.Unlock()
	if s.gone {
		return
	}
	for i := range s.follows {
		f := &s.follows[i]
		venue, _ := s.hub.cfg.Directory.LookupVenue(f.request.Venue)
		var keys []topicKey
		for _, in := range fresh {
			if !wire.Match(f.pattern, in.Symbol) {
				continue
			}
			terms := s.terms(&f.request, venue)
			terms.instrument = in.ID
			if key, ok := s.permit(terms, in.Symbol); ok {
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			continue
		}
		if err := s.start(&f.request, keys, false); err != nil {
			s.refuse(err)
		}
	}
}
