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
	out   []outVenue // venues that are left out
	at    int64      // receive time of what made it; 0 unknown
	stale bool       // older than the stream's maxAge
}

// outVenue is a venue, or one side of it, that is left out of the quote: for its
// state, or for what it quotes.
type outVenue struct {
	orderbook.VenueStatus
	side market.Side
	why  orderbook.Exclusion // none: the state
}

// quoteContent shows the best bid and offer: consolidated, or one venue's.
type quoteContent struct {
	key        topicKey
	lane       *lane
	scale      market.Scale
	sent, next quoteState
	bid, ask   priceRange // since the last message, for conflated streams
	marked     bool       // somebody was told that it is stale, before a message told all
}

// expires returns when the quote becomes too old, in lane time; false if it has no
// side that could.
func (c *quoteContent) expires(q *quoteState) (int64, bool) {
	return q.at + int64(c.key.maxAge) + 1, c.key.maxAge > 0 && (q.BidSize > 0 || q.AskSize > 0)
}

func (c *quoteContent) tooOld(q *quoteState) bool {
	at, can := c.expires(q)
	return can && c.lane.now >= at
}

// mark reports whether the quote that was sent is too old by now, to tell one
// subscriber. While a conflated change waits the others are not told yet: the next
// message then says of all how it is.
func (c *quoteContent) mark() bool {
	old := c.tooOld(&c.sent)
	c.marked = c.marked || old && !c.sent.stale
	return old
}

// expire appends what there is to say when time alone has passed: that the quote
// that was sent has become too old. False if it has not, or was so before.
func (c *quoteContent) expire(dst []byte) ([]byte, bool) {
	if c.sent.stale || !c.tooOld(&c.sent) {
		return dst, false
	}
	c.sent.stale, c.marked = true, false
	return c.key.format.Bool(dst, wire.KeyStale, true), true
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
			c.readFirmness(n, w)
		}
		// When it was made is not known of a venue's quote that was there before the
		// stream: such a one counts as old.
		n.at = c.sent.at
		if s := &c.sent; n.Bid != s.Bid || n.BidSize != s.BidSize || n.Ask != s.Ask || n.AskSize != s.AskSize {
			n.at = v.Received
		}
		n.stale = c.tooOld(n)
		return
	}
	n.Quote = v.Quote
	n.BidVenues = append(bids, v.Quote.BidVenues...)
	n.AskVenues = append(asks, v.Quote.AskVenues...)
	n.Out = nil // they are the view's; all that is told of them is in out
	n.state = orderbook.StateNone
	excluded := v.Quote.Out
	for _, w := range v.Venues {
		for len(excluded) > 0 && excluded[0].Venue <= w.Venue {
			x := &excluded[0]
			n.out = append(n.out, outVenue{orderbook.VenueStatus{Venue: x.Venue}, x.Side, x.Why})
			excluded = excluded[1:]
		}
		if w.State == orderbook.StateNone {
			continue
		}
		if !w.State.Live() {
			n.out = append(n.out, outVenue{VenueStatus: w.VenueStatus})
		}
		// The best state of any venue, in the order of the states.
		if w.State.Better(n.state) {
			n.state = w.State
		}
	}
	n.at = n.Received
	n.stale = c.tooOld(n)
}

// readFirmness reads what a venue's own quote is worth.
func (c *quoteContent) readFirmness(n *quoteState, w *orderbook.VenueView) {
	if w.HasBook || !n.state.Live() {
		return
	}
	n.BidSlow, n.AskSlow = w.Top.BidFirmness != market.Firm, w.Top.AskFirmness != market.Firm
	for _, s := range [2]struct {
		side market.Side
		f    market.Firmness
	}{{market.SideBid, w.Top.BidFirmness}, {market.SideAsk, w.Top.AskFirmness}} {
		if s.f == market.NotFirm {
			n.out = append(n.out, outVenue{orderbook.VenueStatus{Venue: w.Venue}, s.side, orderbook.ExcludedCondition})
		}
	}
}

func (c *quoteContent) load(v *orderbook.View) {
	c.scale = v.Scale
	c.bid, c.ask, c.marked = priceRange{}, priceRange{}, false
	c.read(v)
	if c.key.venue != market.Consolidated {
		c.next.at = 0
		c.next.stale = c.tooOld(&c.next)
	}
	c.sent, c.next = c.next, c.sent
}

func (c *quoteContent) delta(dst []byte, v *orderbook.View) ([]byte, bool) {
	c.read(v)
	was, is, f := &c.sent, &c.next, c.key.format
	start := len(dst)
	dst = c.appendSide(dst, &bidKeys, sideOf(is, true), sideOf(was, true), false)
	dst = c.appendSide(dst, &askKeys, sideOf(is, false), sideOf(was, false), false)
	if is.Source != was.Source {
		dst = f.Word(dst, wire.KeySource, is.Source.String())
	}
	if is.state != was.state {
		dst = f.Word(dst, wire.KeyState, is.state.String())
	}
	if is.Locked() != was.Locked() {
		dst = appendFlag(f, dst, wire.KeyLocked, is.Locked())
	}
	if is.Crossed() != was.Crossed() {
		dst = appendFlag(f, dst, wire.KeyCrossed, is.Crossed())
	}
	if is.stale != was.stale || c.marked {
		dst, c.marked = appendFlag(f, dst, wire.KeyStale, is.stale), false
	}
	if is.Inverted != was.Inverted {
		if is.Inverted != 0 {
			dst = f.Time(dst, wire.KeyInverted, is.Inverted)
		} else {
			dst = f.Null(dst, wire.KeyInverted)
		}
	}
	dst = c.appendTerms(dst, is, was, false)
	if !slices.Equal(is.out, was.out) {
		dst = c.appendOut(dst, is.out)
	}
	changed := len(dst) > start
	if c.bid.beyond(is.Bid) || c.ask.beyond(is.Ask) {
		var at wire.Mark
		dst, at = f.Open(dst, wire.KeyMerged, false)
		if c.bid.ok {
			dst = f.Range(dst, wire.KeyMergedBid, c.bid.low, c.bid.high, c.scale)
		}
		if c.ask.ok {
			dst = f.Range(dst, wire.KeyMergedAsk, c.ask.low, c.ask.high, c.scale)
		}
		dst = f.Close(dst, at, false)
		changed = true
	}
	if changed {
		c.bid, c.ask = priceRange{}, priceRange{}
	}
	c.sent, c.next = c.next, c.sent
	return dst, changed
}

// appendTerms appends how far the quote can be relied on, where it differs or, with
// all, where there is something to say.
func (c *quoteContent) appendTerms(dst []byte, is, was *quoteState, all bool) []byte {
	f := c.key.format
	for _, p := range [2]struct {
		key     wire.Key
		is, was bool
	}{{wire.KeyBidProtected, is.BidSlow, was.BidSlow}, {wire.KeyAskProtected, is.AskSlow, was.AskSlow}} {
		switch {
		case p.is && (all || !p.was): // told only while it is false
			dst = f.Bool(dst, p.key, false)
		case !p.is && p.was && !all:
			dst = f.Null(dst, p.key)
		}
	}
	if is.Thin != was.Thin && !all || is.Thin && all {
		dst = appendFlag(f, dst, wire.KeyThin, is.Thin)
	}
	if own := is.Source == orderbook.SourceConsolidated; own && (all || is.Counted != was.Counted || is.Source != was.Source) {
		dst = f.Uint(dst, wire.KeyCounted, uint64(is.Counted))
	}
	return dst
}

// appendFlag appends a truth value that is told only while it is true.
func appendFlag(f wire.Format, dst []byte, key wire.Key, v bool) []byte {
	if v {
		return f.Bool(dst, key, true)
	}
	return f.Null(dst, key)
}

type sideKeys struct{ price, size, total, venues wire.Key }

var (
	bidKeys = sideKeys{wire.KeyBid, wire.KeyBidSize, wire.KeyBidTotal, wire.KeyBidVenues}
	askKeys = sideKeys{wire.KeyAsk, wire.KeyAskSize, wire.KeyAskTotal, wire.KeyAskVenues}
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
func (c *quoteContent) appendSide(dst []byte, k *sideKeys, is, was quoteSide, all bool) []byte {
	f := c.key.format
	if is.size == 0 {
		if was.size == 0 && !all {
			return dst
		}
		dst = f.Null(dst, k.price)
		dst = f.Null(dst, k.size)
		dst = f.Null(dst, k.total)
		return f.Null(dst, k.venues)
	}
	all = all || was.size == 0
	if all || is.price != was.price {
		dst = f.Price(dst, k.price, is.price, c.scale)
	}
	if all || is.size != was.size {
		dst = f.Size(dst, k.size, is.size, c.scale)
	}
	if all || is.total != was.total {
		dst = f.Size(dst, k.total, is.total, c.scale)
	}
	if c.key.venue == market.Consolidated && (all || !slices.Equal(is.venues, was.venues)) {
		var at wire.Mark
		dst, at = f.Open(dst, k.venues, false)
		for _, v := range is.venues {
			dst = f.VenueSize(dst, wire.KeyVenueSizes, c.lane.venueName(v.Venue), v.Size, c.scale)
		}
		dst = f.Close(dst, at, false)
	}
	return dst
}

func (c *quoteContent) appendOut(dst []byte, out []outVenue) []byte {
	f := c.key.format
	dst, list := f.Open(dst, wire.KeyOut, true)
	for _, o := range out {
		var at wire.Mark
		dst, at = f.Element(dst, wire.KeyOuts)
		dst = f.Word(dst, wire.KeyOutVenue, c.lane.venueName(o.Venue))
		if o.side != market.SideNone {
			dst = f.Word(dst, wire.KeyOutSide, o.side.String())
		}
		if o.why != orderbook.ExcludedNone {
			dst = f.Close(f.Word(dst, wire.KeyOutWhy, o.why.String()), at, false)
			continue
		}
		dst = f.Word(dst, wire.KeyOutWhy, o.State.String())
		if o.Cause != orderbook.CauseNone {
			dst = f.Word(dst, wire.KeyOutCause, o.Cause.String())
		}
		dst = f.Time(dst, wire.KeyOutSince, o.Since)
		dst = f.Close(dst, at, false)
	}
	return f.Close(dst, list, true)
}

func (c *quoteContent) snapshot(dst []byte) []byte {
	s, f := &c.sent, c.key.format
	dst = c.appendSide(dst, &bidKeys, sideOf(s, true), quoteSide{}, true)
	dst = c.appendSide(dst, &askKeys, sideOf(s, false), quoteSide{}, true)
	dst = f.Word(dst, wire.KeySource, s.Source.String())
	dst = f.Word(dst, wire.KeyState, s.state.String())
	if s.Locked() {
		dst = f.Bool(dst, wire.KeyLocked, true)
	}
	if s.Crossed() {
		dst = f.Bool(dst, wire.KeyCrossed, true)
	}
	if c.mark() {
		dst = f.Bool(dst, wire.KeyStale, true)
	}
	if s.Inverted != 0 {
		dst = f.Time(dst, wire.KeyInverted, s.Inverted)
	}
	dst = c.appendTerms(dst, s, &quoteState{}, true)
	if len(s.out) > 0 {
		dst = c.appendOut(dst, s.out)
	}
	return dst
}
