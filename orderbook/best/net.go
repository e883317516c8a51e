package best

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// net is one quote that is made.
type net struct {
	currencies []*currency // the pair's own first
	touched    bool
	legs       []*leg // by venue number
	scale      market.Scale
	most       market.Scale // decimals that numbers are rounded to; set by the first number
	hasMost    bool
	update     orderbook.Update
}

// currency is one of the currencies that a quote is made of.
type currency struct {
	name   string
	market *source // BASE-name
	cross  *cross  // nil: the pair's own
	venues map[market.VenueID]market.VenueID
}

// leg is one venue's market in one currency.
type leg struct {
	told     orderbook.VenueQuote
	status   orderbook.VenueStatus
	state    orderbook.State
	cause    orderbook.Cause
	since    int64
	bid, ask amount // absent if it does not count

	from    venueTop // what it was computed of
	version uint64   // and of the cross
	seen    bool     // in this make
	fresh   bool     // it was computed anew
}

func (c *Composer) newNet(p Pair) (*net, error) {
	id, err := c.cfg.Directory.Instrument(Prefix+p.Symbol, market.ClassCrypto)
	if err != nil {
		return nil, err
	}
	base, own, _ := strings.Cut(p.Symbol, "-")
	n := &net{update: orderbook.Update{Instrument: id, Epoch: c.cfg.Epoch}}
	for _, name := range append([]string{own}, p.Currencies...) {
		cur := &currency{name: name, market: c.market(base+"-"+name, n), venues: make(map[market.VenueID]market.VenueID)}
		if name != own {
			cur.cross = &cross{straight: c.market(name+"-"+own, n), inverse: c.market(own+"-"+name, n)}
		}
		n.currencies = append(n.currencies, cur)
	}
	return n, nil
}

// make computes a quote anew and hands over what differs from what was told.
func (c *Composer) make(n *net, at moment) {
	for _, l := range n.legs {
		l.seen, l.fresh = false, false
	}
	for _, cur := range n.currencies {
		if cur.cross != nil {
			cur.cross.renew(c, at)
		}
		for i := range cur.market.tops {
			t := &cur.market.tops[i]
			if t.State != orderbook.StateNone {
				c.leg(n, cur, t, at)
			}
		}
	}
	for _, l := range n.legs {
		if !l.seen { // an update of its market was missing
			l.fresh, l.from = true, venueTop{}
			l.bid, l.ask = amount{}, amount{}
			l.become(orderbook.StateDown, orderbook.CauseLost, at.received)
		}
	}
	u := &n.update
	u.Changed, u.Venues, u.Tops = 0, u.Venues[:0], u.Tops[:0]
	n.rescale()
	for _, l := range n.legs {
		if l.fresh {
			n.tell(l)
		}
	}
	if n.consolidate(at) {
		u.Changed |= orderbook.ChangedQuote
	}
	if len(u.Venues) > 0 {
		u.Changed |= orderbook.ChangedVenues
	}
	if len(u.Tops) > 0 {
		u.Changed |= orderbook.ChangedTops
	}
	if u.Changed == 0 {
		return
	}
	u.Seq++
	u.Time, u.Received = at.time, at.received
	for _, k := range c.cfg.Sinks {
		k.Update(u)
	}
}

// leg brings one leg up to date.
func (c *Composer) leg(n *net, cur *currency, t *venueTop, at moment) {
	id, ok := c.legVenue(cur, t.Venue)
	if !ok {
		return // the directory is full
	}
	i, found := slices.BinarySearchFunc(n.legs, id, func(l *leg, id market.VenueID) int { return cmp.Compare(l.status.Venue, id) })
	if !found {
		n.legs = slices.Insert(n.legs, i, &leg{status: orderbook.VenueStatus{Venue: id}, told: orderbook.VenueQuote{Venue: id}})
	}
	l := n.legs[i]
	l.seen = true
	version := uint64(0)
	if cur.cross != nil {
		version = cur.cross.version
	}
	if l.from == *t && l.version == version {
		return
	}
	l.from, l.version, l.fresh = *t, version, true
	l.bid, l.ask = amount{}, amount{}
	fee, hasFee := c.fee(t.Venue)
	switch {
	case !t.State.Live():
		l.become(t.State, t.Cause, t.Since)
		return
	case !hasFee:
		l.become(orderbook.StateHalted, orderbook.CauseNoFee, at.received)
		return
	case cur.cross != nil && !cur.cross.live():
		l.become(cur.cross.state, orderbook.CauseCross, cur.cross.since)
		return
	}
	l.bid, l.ask = after(t.bid, t.scale, fee, market.SideBid), after(t.ask, t.scale, fee, market.SideAsk)
	if x := cur.cross; x != nil {
		l.bid, l.ask = convert(l.bid, x.bid), convert(l.ask, x.ask)
	}
	l.become(orderbook.StateLive, orderbook.CauseNone, at.received)
}

// become notes the leg's state; since is when it began, if it is news.
func (l *leg) become(s orderbook.State, cause orderbook.Cause, since int64) {
	if l.state != s || l.cause != cause {
		l.state, l.cause, l.since = s, cause, since
	}
}

// legVenue returns the venue that stands for a venue's market in a currency: the
// venue itself in the pair's own.
func (c *Composer) legVenue(cur *currency, v market.VenueID) (market.VenueID, bool) {
	if cur.cross == nil {
		return v, true
	}
	id, ok := cur.venues[v]
	if !ok {
		var err error
		if id, err = c.cfg.Directory.Venue(c.cfg.Directory.VenueName(v) + ":" + cur.name); err != nil {
			return 0, false
		}
		cur.venues[v] = id
	}
	return id, true
}

// rescale rounds what was computed to what a quote can hold, and makes the
// quote's scale as fine as it needs.
func (n *net) rescale() {
	if !n.hasMost {
		n.setMost()
	}
	finest := n.scale
	for _, l := range n.legs {
		if !l.fresh {
			continue
		}
		l.bid.price = l.bid.price.RoundFloor(int32(n.most.Price))
		l.ask.price = l.ask.price.RoundCeil(int32(n.most.Price))
		for _, a := range [2]*amount{&l.bid, &l.ask} {
			a.size = a.size.RoundFloor(int32(n.most.Size))
			if !a.price.IsPositive() {
				*a = amount{}
			}
			if a.there() {
				finest = finest.Finer(market.Scale{Price: decimalsOf(a.price), Size: decimalsOf(a.size)})
			}
		}
	}
	if finest == n.scale {
		return
	}
	// What was told fits any scale up to the most: see put.
	for _, l := range n.legs {
		t := &l.told
		for _, p := range [2]*market.Price{&t.Bid, &t.Ask} {
			*p, _ = market.Rescale(*p, n.scale.Price, finest.Price)
		}
		for _, z := range [2]*market.Size{&t.BidSize, &t.AskSize} {
			*z, _ = market.Rescale(*z, n.scale.Size, finest.Size)
		}
	}
	n.scale, n.update.Scale = finest, finest
	n.update.Changed |= orderbook.ChangedScale
}

// setMost decides how many decimals the quote may have, by the first numbers.
func (n *net) setMost() {
	var price, size decimal.Decimal
	for _, l := range n.legs {
		for _, a := range [2]amount{l.bid, l.ask} {
			if a.there() {
				price, size = decimal.Max(price, a.price), decimal.Max(size, a.size)
			}
		}
	}
	if n.hasMost = price.IsPositive(); n.hasMost {
		n.most = market.Scale{Price: places(price), Size: min(places(size), maxSizeDecimals)}
	}
}

// maxSizeDecimals is how fine a size may be; crypto's venues have no finer ones
// that are worth a trade.
const maxSizeDecimals market.Decimals = 8

// tell puts into the update what is new of a leg.
func (n *net) tell(l *leg) {
	top := orderbook.VenueQuote{Venue: l.status.Venue}
	ok := n.put(l.bid, &top.Bid, &top.BidSize)
	ok = n.put(l.ask, &top.Ask, &top.AskSize) && ok
	status := orderbook.VenueStatus{Venue: l.status.Venue, State: l.state, Cause: l.cause, Since: l.since}
	if !ok { // its price has outgrown the quote's
		status.State, status.Cause = orderbook.StateHalted, orderbook.CauseOverflow
		top = orderbook.VenueQuote{Venue: l.status.Venue}
	}
	if l.status.State != status.State || l.status.Cause != status.Cause {
		l.status = status
		n.update.Venues = append(n.update.Venues, status)
	}
	if l.told != top {
		l.told = top
		n.update.Tops = append(n.update.Tops, top)
	}
}

// put writes an amount at the quote's scale; an absent one is nothing. It reports
// whether the price fits, also at the finest scale that the quote may have. A
// size that does not is the largest that does.
func (n *net) put(a amount, price *market.Price, size *market.Size) bool {
	if !a.there() {
		return true
	}
	if _, err := market.PriceFromDecimal(a.price, n.most.Price); err != nil {
		return false
	}
	*price, _ = market.PriceFromDecimal(a.price, n.scale.Price)
	if _, err := market.SizeFromDecimal(a.size, n.most.Size); err != nil {
		*size = market.Size(math.MaxInt64 / market.Pow10(n.most.Size-n.scale.Size))
		return true
	}
	*size, _ = market.SizeFromDecimal(a.size, n.scale.Size)
	return true
}

// consolidate makes the quote of the legs, and reports whether it changed: by
// price, then size, then the legs' order.
func (n *net) consolidate(at moment) bool {
	q := orderbook.Quote{Source: orderbook.SourceNet}
	var bids, asks []orderbook.VenueSize
	for _, l := range n.legs {
		t := &l.told
		if t.BidSize > 0 || t.AskSize > 0 {
			q.Counted++
		}
		if t.BidSize > 0 {
			if len(bids) == 0 || t.Bid > q.Bid {
				q.Bid, q.BidTotal, bids = t.Bid, 0, bids[:0]
			}
			if t.Bid == q.Bid {
				q.BidTotal = add(q.BidTotal, t.BidSize)
				bids = append(bids, orderbook.VenueSize{Venue: t.Venue, Size: t.BidSize})
			}
		}
		if t.AskSize > 0 {
			if len(asks) == 0 || t.Ask < q.Ask {
				q.Ask, q.AskTotal, asks = t.Ask, 0, asks[:0]
			}
			if t.Ask == q.Ask {
				q.AskTotal = add(q.AskTotal, t.AskSize)
				asks = append(asks, orderbook.VenueSize{Venue: t.Venue, Size: t.AskSize})
			}
		}
	}
	for _, side := range [2]struct {
		list []orderbook.VenueSize
		size *market.Size
	}{{bids, &q.BidSize}, {asks, &q.AskSize}} {
		slices.SortStableFunc(side.list, func(a, b orderbook.VenueSize) int { return cmp.Compare(b.Size, a.Size) })
		if len(side.list) > 0 {
			*side.size = side.list[0].Size
		}
	}
	was := &n.update.Quote
	if n.update.Changed&orderbook.ChangedScale == 0 && was.Source == q.Source && was.Counted == q.Counted &&
		was.Bid == q.Bid && was.Ask == q.Ask && slices.Equal(was.BidVenues, bids) && slices.Equal(was.AskVenues, asks) {
		return false
	}
	if m := q.Market(); m == orderbook.MarketLocked || m == orderbook.MarketCrossed {
		if q.Inverted = was.Inverted; was.Market() != m {
			q.Inverted = at.received
		}
	}
	q.BidVenues, q.AskVenues = bids, asks
	q.Time, q.Received = at.time, at.received
	*was = q
	return true
}

// add adds sizes, staying at the largest number.
func add(a, b market.Size) market.Size {
	if s := a + b; s >= a {
		return s
	}
	return 1<<63 - 1
}
