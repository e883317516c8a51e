package streamer

import (
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// served are the channels that this server has.
var served = map[wire.Channel]bool{
	wire.ChannelQuote: true, wire.ChannelBook: true, wire.ChannelTrade: true, wire.ChannelTicker: true, wire.ChannelStatus: true,
	wire.ChannelBar: true,
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
	req, err := s.format.Parse(text)
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
	if req.Op != wire.OpAuth && req.Op != wire.OpPing {
		if bad := s.needsKey(req); bad != nil {
			return bad
		}
	}
	switch req.Op {
	case wire.OpSubscribe:
		return s.subscribe(req)
	case wire.OpUnsubscribe:
		return s.unsubscribe(req)
	case wire.OpUpdate:
		return s.update(req)
	case wire.OpResync:
		return s.resync(req)
	case wire.OpFetch:
		return s.fetch(req)
	case wire.OpPing:
		s.send(&wire.Pong{ID: req.ID, TX: s.hub.cfg.Now() / 1000})
		return nil
	case wire.OpBudget:
		return s.setBudget(req)
	case wire.OpAuth:
		return s.authenticate(req)
	}
	return refusal(req, wire.CodeBadRequest, "op %q is not served here", req.Op)
}

func refusal(req *wire.Request, code, format string, args ...any) *wire.Error {
	return &wire.Error{ID: req.ID, Code: code, Message: fmt.Sprintf(format, args...)}
}

const maxAgeQuote = "max_age is for channel quote"

const wholeVenue = "ticker and bar are over all venues; leave venue out"

// unserved are fields of the protocol that this server has no answer to. They
// are refused, not ignored: who asks for a bound must not believe to have one.
var unserved = []struct {
	field wire.Field
	name  string
}{
	{wire.FieldFrom | wire.FieldUntil | wire.FieldSpeed, "from, until, speed"},
}

// terms returns what stream a request means, of an instrument yet to be named.
func (s *session) terms(req *wire.Request, venue market.VenueID) topicKey {
	k := topicKey{format: s.format, channel: req.Channel, venue: venue, interval: s.hub.cfg.grantInterval(req.Interval)}
	if req.Channel == wire.ChannelQuote {
		k.maxAge = req.MaxAge
	}
	if req.Channel == wire.ChannelBar {
		k.bar, _ = orderbook.ParseInterval(req.Bar) // a request names no other
	}
	if req.Channel == wire.ChannelBook {
		k.depth, k.checksum = req.Depth, req.Checksum
		k.group = orderbook.Group{Step: req.Group, Decimals: req.GroupDecimals}
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
	if req.Has(wire.FieldGroup) && req.Channel != wire.ChannelBook {
		return 0, refusal(req, wire.CodeBadRequest, "group is for channel book")
	}
	if req.Has(wire.FieldMaxAge) && req.Channel != wire.ChannelQuote {
		return 0, refusal(req, wire.CodeBadRequest, maxAgeQuote)
	}
	if venue != market.Consolidated && (req.Channel == wire.ChannelTicker || req.Channel == wire.ChannelBar) {
		return 0, refusal(req, wire.CodeBadRequest, wholeVenue)
	}
	return venue, nil
}

// resync sends a stream's snapshot again.
func (s *session) resync(req *wire.Request) *wire.Error {
	s.control.Lock()
	defer s.control.Unlock()
	u := s.sub(req.SID)
	if u == nil {
		return refusal(req, wire.CodeBadRequest, "no stream with sid %d is subscribed", req.SID)
	}
	s.send(&wire.Ack{ID: req.ID, Op: req.Op, Streams: []wire.Granted{{SID: req.SID, Channel: u.topic.key.channel, Symbol: u.topic.symbol}}})
	u.flags.Or(subResync)
	// Through the lane, which may not have attached it yet.
	s.post(u.topic.lane, func(now int64) { s.mark(u, now) })
	return nil
}

// welcome greets a client with what it may do.
func (s *session) welcome() {
	cfg := &s.hub.cfg
	s.send(&wire.Welcome{
		Version: wire.Version, Server: cfg.Server, Session: s.id, Heartbeat: cfg.Heartbeat.Milliseconds(),
		Limits: wire.Limits{Subscriptions: cfg.MaxSubscriptions, MinInterval: wire.FormatInterval(cfg.grantInterval(cfg.MinInterval)),
			Symbols: wire.MaxSymbols, RequestBytes: wire.MaxRequestBytes},
	})
}
