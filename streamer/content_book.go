package streamer

import (
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// bookSide is one side of a book as shown, best first.
type bookSide struct {
	levels []wire.Level
	splits []orderbook.VenueSize // of all levels, one after the other
	ends   []int                 // where each level's splits end
}

func (s *bookSide) split(i int) []orderbook.VenueSize {
	if len(s.ends) == 0 {
		return nil
	}
	start := 0
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.splits[start:s.ends[i]]
}

func (s *bookSide) reset() {
	s.levels, s.splits, s.ends = s.levels[:0], s.splits[:0], s.ends[:0]
}

// rescale converts to a finer scale, false if something does not fit: a level
// that was sent may have been the reason why a finer scale was impossible until
// it went.
func (s *bookSide) rescale(from, to market.Scale) bool {
	var bad error
	for i := range s.levels {
		rescale(&s.levels[i].Price, from.Price, to.Price, &bad)
		rescale(&s.levels[i].Size, from.Size, to.Size, &bad)
	}
	for i := range s.splits {
		rescale(&s.splits[i].Size, from.Size, to.Size, &bad)
	}
	return bad == nil
}

// rescale converts a number and keeps the first error.
func rescale[T ~int64](n *T, from, to market.Decimals, bad *error) {
	m, err := market.Rescale(*n, from, to)
	if err != nil && *bad == nil {
		*bad = err
	}
	*n = m
}

// bookContent shows price levels: of all live venues together, or of one.
type bookContent struct {
	key   topicKey
	lane  *lane
	scale market.Scale
	// What was sent, and room for what comes next: the two swap.
	bids, asks         bookSide
	nextBids, nextAsks bookSide
	state, nextState   orderbook.State // of the one venue; unused for the consolidated book

	depth  []orderbook.DepthLevel
	levels []orderbook.Level
	splits []orderbook.VenueSize
}

func (c *bookContent) concerns(u *orderbook.Update) bool {
	return u.Changed&(orderbook.ChangedLevels|orderbook.ChangedTops|orderbook.ChangedVenues|orderbook.ChangedSnapshot) != 0 &&
		concernsVenue(u, c.key.venue)
}

// concernsVenue reports whether an update says something of a venue's quotes.
func concernsVenue(u *orderbook.Update, venue market.VenueID) bool {
	if venue == market.Consolidated || u.Changed&orderbook.ChangedSnapshot != 0 {
		return true
	}
	return slices.ContainsFunc(u.Levels, func(c orderbook.LevelChange) bool { return c.Venue == venue }) ||
		slices.ContainsFunc(u.Tops, func(c orderbook.VenueQuote) bool { return c.Venue == venue }) ||
		slices.ContainsFunc(u.Venues, func(c orderbook.VenueStatus) bool { return c.Venue == venue })
}

func (c *bookContent) note(*orderbook.View, *orderbook.Update) {}

// read fills nextBids and nextAsks from the view.
func (c *bookContent) read(v *orderbook.View) {
	c.nextBids.reset()
	c.nextAsks.reset()
	if c.key.venue == market.Consolidated {
		c.readDepth(v, market.SideBid, &c.nextBids)
		c.readDepth(v, market.SideAsk, &c.nextAsks)
		return
	}
	w := v.Venue(c.key.venue)
	if w == nil {
		c.nextState = orderbook.StateNone
		return
	}
	c.nextState = w.State
	if !w.State.Live() && w.State != orderbook.StateHalted {
		return
	}
	if c.key.group.Step > 0 {
		c.readDepth(v, market.SideBid, &c.nextBids)
		c.readDepth(v, market.SideAsk, &c.nextAsks)
		return
	}
	if !w.HasBook {
		if t := &w.Top; t.BidSize > 0 {
			c.nextBids.levels = append(c.nextBids.levels, wire.Level{Price: t.Bid, Size: t.BidSize})
		}
		if t := &w.Top; t.AskSize > 0 {
			c.nextAsks.levels = append(c.nextAsks.levels, wire.Level{Price: t.Ask, Size: t.AskSize})
		}
		return
	}
	c.levels = w.Bids.AppendTop(c.levels[:0], c.key.depth)
	for _, lv := range c.levels {
		c.nextBids.levels = append(c.nextBids.levels, wire.Level(lv))
	}
	c.levels = w.Asks.AppendTop(c.levels[:0], c.key.depth)
	for _, lv := range c.levels {
		c.nextAsks.levels = append(c.nextAsks.levels, wire.Level(lv))
	}
}

func (c *bookContent) readDepth(v *orderbook.View, side market.Side, s *bookSide) {
	if c.key.group.Step > 0 {
		c.depth, c.splits = v.AppendGrouped(c.depth[:0], c.splits[:0], side, c.key.depth, c.key.group, c.key.venue)
	} else {
		c.depth, c.splits = v.AppendDepth(c.depth[:0], c.splits[:0], side, c.key.depth)
	}
	end := 0
	for _, d := range c.depth {
		s.levels = append(s.levels, wire.Level(d.Level))
		if c.key.venues {
			end += d.Venues
			s.ends = append(s.ends, end)
		}
	}
	if c.key.venues {
		s.splits = append(s.splits, c.splits...)
	}
}

func (c *bookContent) load(v *orderbook.View) {
	c.scale = c.key.group.Scale(v.Scale)
	c.read(v)
	c.swap()
}

func (c *bookContent) swap() {
	c.bids, c.nextBids = c.nextBids, c.bids
	c.asks, c.nextAsks = c.nextAsks, c.asks
	c.state = c.nextState
}

func (c *bookContent) rescale(to market.Scale) bool {
	bids, asks := c.bids.rescale(c.scale, to), c.asks.rescale(c.scale, to)
	c.scale = to
	return bids && asks
}

func (c *bookContent) delta(dst []byte, v *orderbook.View) ([]byte, bool) {
	c.read(v)
	dst, bids := c.appendChanges(dst, wire.KeyBids, market.SideBid, &c.bids, &c.nextBids)
	dst, asks := c.appendChanges(dst, wire.KeyAsks, market.SideAsk, &c.asks, &c.nextAsks)
	state := c.key.venue != market.Consolidated && c.state != c.nextState
	c.swap()
	if state {
		dst = c.key.format.Word(dst, wire.KeyBookState, c.state.String())
	}
	if bids || asks || state {
		return c.appendCRC(dst), true
	}
	return dst, false
}

func (c *bookContent) appendCRC(dst []byte) []byte {
	if !c.key.checksum {
		return dst
	}
	return c.key.format.CRC(dst, wire.KeyCRC, wire.BookCRC(c.bids.levels, c.asks.levels, c.scale))
}

// appendChanges appends the levels that differ between what was sent and what is:
// both are sorted, so one walk over the two finds them. A level that is gone, or
// fell out of the depth, has size 0.
func (c *bookContent) appendChanges(dst []byte, key wire.Key, side market.Side, was, is *bookSide) ([]byte, bool) {
	better := func(a, b market.Price) bool {
		if side == market.SideBid {
			return a > b
		}
		return a < b
	}
	first := true
	put := func(lv wire.Level, split []orderbook.VenueSize) {
		if first {
			dst = c.key.format.List(dst, key)
			first = false
		}
		dst = c.appendLevel(dst, key, lv, split)
	}
	i, j := 0, 0
	for i < len(was.levels) || j < len(is.levels) {
		switch {
		case j == len(is.levels) || i < len(was.levels) && better(was.levels[i].Price, is.levels[j].Price):
			put(wire.Level{Price: was.levels[i].Price}, nil)
			i++
		case i == len(was.levels) || better(is.levels[j].Price, was.levels[i].Price):
			put(is.levels[j], is.split(j))
			j++
		default:
			if was.levels[i].Size != is.levels[j].Size || !slices.Equal(was.split(i), is.split(j)) {
				put(is.levels[j], is.split(j))
			}
			i++
			j++
		}
	}
	if !first {
		dst = c.key.format.EndList(dst)
	}
	return dst, !first
}

func (c *bookContent) appendLevel(dst []byte, key wire.Key, lv wire.Level, split []orderbook.VenueSize) []byte {
	f := c.key.format
	dst, at := f.Level(dst, key, lv, c.scale)
	if len(split) > 0 {
		dst = f.OpenSplit(dst)
		for _, s := range split {
			dst = f.VenueSize(dst, wire.KeyLevelVenues, c.lane.venueName(s.Venue), s.Size, c.scale)
		}
		dst = f.CloseSplit(dst)
	}
	return f.CloseLevel(dst, at)
}

func (c *bookContent) snapshot(dst []byte) []byte {
	for _, side := range [2]struct {
		key wire.Key
		s   *bookSide
	}{{wire.KeyBids, &c.bids}, {wire.KeyAsks, &c.asks}} {
		dst = c.key.format.List(dst, side.key)
		for i, lv := range side.s.levels {
			dst = c.appendLevel(dst, side.key, lv, side.s.split(i))
		}
		dst = c.key.format.EndList(dst)
	}
	if c.key.venue != market.Consolidated {
		dst = c.key.format.Word(dst, wire.KeyBookState, c.state.String())
	}
	return c.appendCRC(dst)
}
