package streamer

import (
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// quoteState is a quote as shown.
type quoteState struct {
	orderbook.Quote
	state orderbook.State
	out   []orderbook.VenueStatus // venues that are left out
}

// quoteContent shows the best bid and offer: consolidated, or one venue's.
type quoteContent struct {
	key        topicKey
	lane       *lane
	scale      market.Scale
	sent, next quoteState
	bid, ask   priceRange // since the last message, for conflated streams
}

// priceRange is the lowest and highest price of a while.
type priceRange struct {
	low, high market.Price
	ok        bool
}

func (r *priceRange) add(p market.Price) {
	if !r.ok {
		*r = priceRange{p, p, true}
		return
	}
	r.low, r.high = min(r.low, p), max(r.high, p)
}

func (r *priceRange) rescale(from, to market.Scale, bad *error) {
	rescale(&r.low, from.Price, to.Price, bad)
	rescale(&r.high, from.Price, to.Price, bad)
}

// beyond reports whether it holds a price other than p.
func (r *priceRange) beyond(p market.Price) bool { return r.ok && (r.low != p || r.high != p) }

func (r *priceRange) append(dst []byte, name string, d market.Decimals) []byte {
	dst = append(wire.AppendField(dst, name, "["), '"')
	dst = market.AppendNumber(dst, r.low, d)
	dst = append(dst, '"', ',', '"')
	dst = market.AppendNumber(dst, r.high, d)
	return append(dst, '"', ']')
}

func (c *quoteContent) concerns(u *orderbook.Update) bool {
	if c.key.venue == market.Consolidated {
		return u.Changed&(orderbook.ChangedQuote|orderbook.ChangedVenues|orderbook.ChangedSnapshot) != 0
	}
	return u.Changed&(orderbook.ChangedLevels|orderbook.ChangedTops|orderbook.ChangedVenues|orderbook.ChangedSnapshot) != 0 &&
		concernsVenue(u, c.key.venue)
}

func (c *quoteContent) note(v *orderbook.View, _ *orderbook.Update) {
	if c.key.interval == 0 {
		return
	}
	bid, ask := orderbook.Level{Price: v.Quote.Bid, Size: v.Quote.BidSize}, orderbook.Level{Price: v.Quote.Ask, Size: v.Quote.AskSize}
	if c.key.venue != market.Consolidated {
		bid, ask = orderbook.Level{}, orderbook.Level{}
		if w := v.Venue(c.key.venue); w != nil {
			bid, ask = w.Best()
		}
	}
	if bid.Size > 0 {
		c.bid.add(bid.Price)
	}
	if ask.Size > 0 {
		c.ask.add(ask.Price)
	}
}

func (c *quoteContent) rescale(to market.Scale) bool {
	var bad error
	from := c.scale
	c.scale = to
	c.bid.rescale(from, to, &bad)
	c.ask.rescale(from, to, &bad)
	q := &c.sent.Quote
	rescale(&q.Bid, from.Price, to.Price, &bad)
	rescale(&q.Ask, from.Price, to.Price, &bad)
	for _, s := range [4]*market.Size{&q.BidSize, &q.AskSize, &q.BidTotal, &q.AskTotal} {
		rescale(s, from.Size, to.Size, &bad)
	}
	for _, vs := range [2][]orderbook.VenueSize{q.BidVenues, q.AskVenues} {
		for i := range vs {
			rescale(&vs[i].Size, from.Size, to.Size, &bad)
		}
	}
	return bad == nil
}

// read fills next from the view.
func (c *quoteContent) read(v *orderbook.View) {
	n := &c.next
	bids, asks := n.BidVenues[:0], n.AskVenues[:0]
	n.out = n.out[:0]
	if c.key.venue != market.Consolidated {
		n.Quote = orderbook.Quote{Source: orderbook.SourceVenue, BidVenues: bids, AskVenues: asks}
		n.state = orderbook.StateNone
		if w := v.Venue(c.key.venue); w != nil {
			bid, ask := w.Best()
			n.state = w.State
			n.Bid, n.BidSize, n.BidTotal = bid.Price, bid.Size, bid.Size
			n.Ask, n.AskSize, n.AskTotal = ask.Price, ask.Size, ask.Size
		}
		return
	}
	n.Quote = v.Quote
	n.BidVenues = append(bids, v.Quote.BidVenues...)
	n.AskVenues = append(asks, v.Quote.AskVenues...)
	n.state = orderbook.StateNone
	for _, w := range v.Venues {
		if w.State == orderbook.StateNone {
			continue
		}
		if w.State != orderbook.StateLive {
			n.out = append(n.out, w.VenueStatus)
		}
		// The best state of any venue, in the order of the states.
		if n.state == orderbook.StateNone || w.State < n.state {
			n.state = w.State
		}
	}
}

func (c *quoteContent) load(v *orderbook.View) {
	c.scale = v.Scale
	c.bid, c.ask = priceRange{}, priceRange{}
	c.read(v)
	c.sent, c.next = c.next, c.sent
}

func (c *quoteContent) delta(dst []byte, v *orderbook.View) ([]byte, bool) {
	c.read(v)
	was, is := &c.sent, &c.next
	start := len(dst)
	dst = c.appendSide(dst, &bidNames, sideOf(is, true), sideOf(was, true), false)
	dst = c.appendSide(dst, &askNames, sideOf(is, false), sideOf(was, false), false)
	if is.Source != was.Source {
		dst = wire.AppendWord(dst, "source", is.Source.String())
	}
	if is.state != was.state {
		dst = wire.AppendWord(dst, "state", is.state.String())
	}
	if is.Locked() != was.Locked() {
		dst = appendFlag(dst, "locked", is.Locked())
	}
	if is.Crossed() != was.Crossed() {
		dst = appendFlag(dst, "crossed", is.Crossed())
	}
	if !slices.Equal(is.out, was.out) {
		dst = c.appendOut(dst, is.out)
	}
	changed := len(dst) > start
	if c.bid.beyond(is.Bid) || c.ask.beyond(is.Ask) {
		dst = wire.AppendField(dst, "merged", "{")
		start := len(dst)
		if c.bid.ok {
			dst = c.bid.append(dst, "bid", c.scale.Price)
		}
		if c.ask.ok {
			dst = c.ask.append(dst, "ask", c.scale.Price)
		}
		dst = dropComma(dst, start)
		dst = append(dst, '}')
		changed = true
	}
	if changed {
		c.bid, c.ask = priceRange{}, priceRange{}
	}
	c.sent, c.next = c.next, c.sent
	return dst, changed
}

// appendFlag appends a truth value that is told only while it is true.
func appendFlag(dst []byte, name string, v bool) []byte {
	if v {
		return wire.AppendBool(dst, name, true)
	}
	return wire.AppendNull(dst, name)
}

type sideNames struct{ price, size, total, venues string }

var (
	bidNames = sideNames{"bid", "bid_size", "bid_total", "bid_venues"}
	askNames = sideNames{"ask", "ask_size", "ask_total", "ask_venues"}
)

// quoteSide is one side of a quote.
type quoteSide struct {
	price       market.Price
	size, total market.Size
	venues      []orderbook.VenueSize
}

func sideOf(q *quoteState, bid bool) quoteSide {
	if bid {
		return quoteSide{q.Bid, q.BidSize, q.BidTotal, q.BidVenues}
	}
	return quoteSide{q.Ask, q.AskSize, q.AskTotal, q.AskVenues}
}

// appendSide appends what differs of a side, or all of it. An absent side is null.
func (c *quoteContent) appendSide(dst []byte, n *sideNames, is, was quoteSide, all bool) []byte {
	if is.size == 0 {
		if was.size == 0 && !all {
			return dst
		}
		dst = wire.AppendNull(dst, n.price)
		dst = wire.AppendNull(dst, n.size)
		dst = wire.AppendNull(dst, n.total)
		return wire.AppendNull(dst, n.venues)
	}
	all = all || was.size == 0
	if all || is.price != was.price {
		dst = wire.AppendNumber(dst, n.price, is.price, c.scale.Price)
	}
	if all || is.size != was.size {
		dst = wire.AppendNumber(dst, n.size, is.size, c.scale.Size)
	}
	if all || is.total != was.total {
		dst = wire.AppendNumber(dst, n.total, is.total, c.scale.Size)
	}
	if c.key.venue == market.Consolidated && (all || !slices.Equal(is.venues, was.venues)) {
		dst = wire.AppendField(dst, n.venues, "{")
		for i, v := range is.venues {
			dst = wire.AppendVenueSize(dst, i == 0, c.lane.venueName(v.Venue), v.Size, c.scale.Size)
		}
		dst = append(dst, '}')
	}
	return dst
}

func (c *quoteContent) appendOut(dst []byte, out []orderbook.VenueStatus) []byte {
	dst = wire.AppendField(dst, "out", "[")
	for i, o := range out {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"venue":"`...)
		dst = append(dst, c.lane.venueName(o.Venue)...)
		dst = append(dst, '"')
		dst = wire.AppendWord(dst, "why", o.State.String())
		if o.Cause != orderbook.CauseNone {
			dst = wire.AppendWord(dst, "cause", o.Cause.String())
		}
		dst = wire.AppendMicros(dst, "since", o.Since)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func (c *quoteContent) snapshot(dst []byte) []byte {
	s := &c.sent
	dst = c.appendSide(dst, &bidNames, sideOf(s, true), quoteSide{}, true)
	dst = c.appendSide(dst, &askNames, sideOf(s, false), quoteSide{}, true)
	dst = wire.AppendWord(dst, "source", s.Source.String())
	dst = wire.AppendWord(dst, "state", s.state.String())
	if s.Locked() {
		dst = wire.AppendBool(dst, "locked", true)
	}
	if s.Crossed() {
		dst = wire.AppendBool(dst, "crossed", true)
	}
	if len(s.out) > 0 {
		dst = c.appendOut(dst, s.out)
	}
	return dst
}
