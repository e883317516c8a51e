package orderbook

import (
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
)

// model says in the plainest words what a shard must show: decimals and maps,
// everything made anew after each message. It knows nothing of scales, ladders
// or what changed.
type model struct {
	down, stale map[market.FeedID]bool
	books       []*modelBook // by feed, for precedence
	shown       map[modelPlace]*modelBook
	own         map[market.InstrumentID]bool // quoted by a venue of its own
	tape        map[market.InstrumentID]*modelTape
	asks        []string // resyncs asked for

	status  map[market.InstrumentID]*modelStatus
	markets map[market.InstrumentID]string // what each quote's market is, and since when
	since   map[market.InstrumentID]int64
	scale   map[market.InstrumentID]market.Scale // of the view: how finely a microprice is rounded
}

// places returns to how many decimals an instrument's microprice is rounded.
func (m *model) places(in market.InstrumentID) int32 {
	return int32(m.scale[in].Price) + MicropriceDecimals
}

type modelPlace struct {
	in    market.InstrumentID
	venue market.VenueID
}

type modelBook struct {
	modelPlace
	feed           market.FeedID
	state, before  State
	levels, isBook bool // speaks in levels; has had a sound image
	halted, asked  bool
	depth          int
	bids, asks     modelSide
	digits         market.Scale
	bid, ask       modelLevel // top of book sent as such
	nbbo           bool
	bidAt, askAt   market.VenueID
	bidWorth       market.Firmness
	askWorth       market.Firmness
	prints         int
	at             int64 // time of the last message applied; 0 while it holds nothing
}

type modelLevel struct{ price, size decimal.Decimal }

// modelSide maps a price's text to the level.
type modelSide map[string]modelLevel

type modelTape struct {
	last, open, high, low decimal.Decimal
	volume, notional      decimal.Decimal
	prints                int
}

func newModel() *model {
	return &model{
		down: map[market.FeedID]bool{}, stale: map[market.FeedID]bool{}, shown: map[modelPlace]*modelBook{},
		own: map[market.InstrumentID]bool{}, tape: map[market.InstrumentID]*modelTape{},
		status: map[market.InstrumentID]*modelStatus{}, since: map[market.InstrumentID]int64{},
		markets: map[market.InstrumentID]string{1: "one-sided", 2: "one-sided", 3: "one-sided"},
		scale:   map[market.InstrumentID]market.Scale{},
	}
}

func (m *model) book(feed market.FeedID, p modelPlace) *modelBook {
	for _, b := range m.books {
		if b.feed == feed && b.modelPlace == p {
			return b
		}
	}
	b := &modelBook{modelPlace: p, feed: feed}
	m.books = append(m.books, b)
	sort.SliceStable(m.books, func(i, j int) bool {
		a, b := m.books[i], m.books[j]
		if a.feed != b.feed {
			return a.feed < b.feed
		}
		if a.in != b.in {
			return a.in < b.in
		}
		return a.venue < b.venue
	})
	return b
}

// message applies one message, all of whose events have one feed. Where the last
// is a checksum, its value is set: to the right one, or a wrong one if it was 1.
func (m *model) message(events []market.Event) {
	first := &events[0]
	defer func() { m.mark(first.Received) }()
	if m.stale[first.Feed] && first.Kind != market.KindStale && first.Kind != market.KindDown && first.Kind != market.KindUp {
		// A book whose gap is the first word is not shown first.
		var gone []*modelBook
		for _, b := range m.books {
			if b.feed != first.Feed || b.state != StateStale {
				continue
			}
			if first.Kind == market.KindGap && (first.Instrument == 0 || first.Instrument == b.in) && (first.Venue == 0 || first.Venue == b.venue) {
				gone = append(gone, b)
				continue
			}
			b.state = b.before
		}
		m.show()
		m.mark(first.Received)
		for _, b := range gone {
			b.state = b.before
		}
	}
	switch first.Kind {
	case market.KindStale:
		if m.stale[first.Feed] {
			return
		}
		m.stale[first.Feed] = true
		for _, b := range m.books {
			if b.feed == first.Feed && b.state != StateNone && b.state != StateDown {
				b.before, b.state = b.state, StateStale
			}
		}
		m.show()
		return
	case market.KindDown, market.KindUp:
		m.down[first.Feed] = first.Kind == market.KindDown
		for _, b := range m.books {
			if b.feed != first.Feed {
				continue
			}
			b.asked, b.halted = false, false
			if b.state != StateNone {
				b.state = StateResyncing
				if first.Kind == market.KindDown {
					b.state = StateDown
				}
			}
		}
	}
	m.stale[first.Feed] = false
	if first.Kind == market.KindUp || first.Kind == market.KindDown {
		m.show()
		m.mark(first.Received)
		m.lost(first.Feed)
	}
	for i := range events {
		if e := &events[i]; e.Kind == market.KindGap {
			for _, b := range m.books {
				if b.feed == e.Feed && (e.Instrument == 0 || e.Instrument == b.in) && (e.Venue == 0 || e.Venue == b.venue) &&
					b.state != StateNone && b.state != StateDown {
					m.distrust(b, CauseGap)
				}
			}
		}
	}
	if first.Instrument != 0 && first.Venue != 0 && first.Kind != market.KindGap && !m.national(first) {
		m.bookMessage(events)
	}
	m.show()
}

func (m *model) distrust(b *modelBook, c Cause) {
	b.state = StateResyncing
	if b.levels && !b.asked {
		b.asked = true
		m.asks = append(m.asks, fmt.Sprintln(b.feed, b.in, c))
	}
}

func (m *model) bookMessage(events []market.Event) {
	first := &events[0]
	b := m.book(first.Feed, modelPlace{first.Instrument, first.Venue})
	bids, asks := b.bids, b.asks
	trusted := b.state == StateLive && b.isBook
	snapshot, touched, wrong := false, false, false
	for i := range events {
		e := &events[i]
		price, size := market.ToDecimal(e.Price, e.PriceDecimals), market.ToDecimal(e.Size, e.SizeDecimals)
		switch e.Kind {
		case market.KindClear:
			b.levels, touched, b.depth = true, true, int(e.Depth)
			bids, asks = modelSide{}, modelSide{}
			if e.Has(market.FlagSnapshot) {
				snapshot = true
			}
		case market.KindLevel:
			b.levels, touched = true, true
			if !trusted && !snapshot {
				continue
			}
			b.digits = b.digits.Finer(market.Scale{Price: e.PriceDecimals, Size: e.SizeDecimals})
			side := bids
			if e.Side == market.SideAsk {
				side = asks
			}
			delete(side, price.String())
			if !size.IsZero() {
				side[price.String()] = modelLevel{price, size}
			}
		case market.KindChecksum:
			b.levels, touched = true, true
			if !trusted && !snapshot {
				continue
			}
			wrong = e.Sequence == 1
			x, y := bids.sorted(market.SideBid), asks.sorted(market.SideAsk)
			if b.depth > 0 {
				x, y = x[:min(b.depth, len(x))], y[:min(b.depth, len(y))]
			}
			e.Sequence = uint64(modelSum(x, y, b.digits))
			if wrong {
				e.Sequence ^= 1
			}
		case market.KindQuote:
			if b.levels {
				continue
			}
			b.bid = modelLevel{price, size}
			b.ask = modelLevel{market.ToDecimal(e.Ask, e.PriceDecimals), market.ToDecimal(e.AskSize, e.SizeDecimals)}
			b.nbbo = e.Has(market.FlagNBBO)
			b.bidWorth, b.askWorth = e.Firmness()
			if b.bid.size.IsZero() {
				b.bidWorth = market.Firm
			}
			if b.ask.size.IsZero() {
				b.askWorth = market.Firm
			}
			b.bidAt, b.askAt = e.BidVenue, e.AskVenue
			if !b.nbbo && m.trades(b) && !b.bid.size.IsZero() && !b.ask.size.IsZero() && b.bid.price.GreaterThan(b.ask.price) {
				m.distrust(b, CauseCrossed)
			} else {
				b.state = StateLive
				m.applied(b, e)
			}
		case market.KindStatus:
			b.halted = e.Status > market.StatusTrading
		case market.KindTrade:
			m.print(b, e, price, size)
		}
	}
	if !touched {
		return
	}
	if !trusted && !snapshot {
		if b.state == StateNone || b.state == StateLive {
			b.state = StateResyncing // a top beside the levels is none of them
		}
		return
	}
	for _, l := range bids.sorted(market.SideBid) {
		if b.depth > 0 && len(bids) > b.depth && l.price.LessThan(bids.sorted(market.SideBid)[b.depth-1].price) {
			delete(bids, l.price.String())
		}
	}
	for _, l := range asks.sorted(market.SideAsk) {
		if b.depth > 0 && len(asks) > b.depth && l.price.GreaterThan(asks.sorted(market.SideAsk)[b.depth-1].price) {
			delete(asks, l.price.String())
		}
	}
	b.bids, b.asks = bids, asks
	x, y := bids.sorted(market.SideBid), asks.sorted(market.SideAsk)
	switch {
	case wrong:
		m.distrust(b, CauseChecksum)
	case len(x) > 0 && len(y) > 0 && x[0].price.GreaterThan(y[0].price) && m.trades(b):
		m.distrust(b, CauseCrossed)
	case snapshot:
		b.state, b.isBook, b.asked = StateLive, true, false
		m.applied(b, first)
	default:
		m.applied(b, first)
	}
}

// applied notes a message that a book applied. Its time is later than all
// others' here, and never by as much as LineLag: what is left is that the first
// feed's book takes the place of another's.
func (m *model) applied(b *modelBook, e *market.Event) {
	b.at = e.Time
	if s := m.shown[b.modelPlace]; s != nil && b.feed < s.feed {
		m.shown[b.modelPlace] = b
	}
}

func (m *model) print(b *modelBook, e *market.Event, price, size decimal.Decimal) {
	s := m.shown[b.modelPlace]
	leads := s != nil && s.state == StateLive && s.prints > 0
	if leads && s != b {
		return
	}
	for _, other := range m.books {
		if other == b || leads {
			break
		}
		if other.modelPlace == b.modelPlace && other.prints > 0 && !m.down[other.feed] {
			return
		}
	}
	b.prints++
	t := m.tape[b.in]
	if t == nil {
		t = &modelTape{open: price, high: price, low: price}
		m.tape[b.in] = t
	}
	t.last, t.high, t.low = price, decimal.Max(t.high, price), decimal.Min(t.low, price)
	t.volume = t.volume.Add(size)
	t.notional = t.notional.Add(price.Mul(size))
	t.prints++
}

// show decides which book stands for each venue.
func (m *model) show() {
	for _, b := range m.books {
		if s := m.shown[b.modelPlace]; b.state == StateNone || s != nil && s.state == StateLive {
			continue
		}
		for _, state := range []State{StateDown, StateStale, StateResyncing, StateLive} {
			for i := range m.books {
				if c := m.books[len(m.books)-1-i]; c.modelPlace == b.modelPlace && c.state == state {
					if s := m.shown[b.modelPlace]; state == StateLive && s != nil && s.state == StateLive && s.at > c.at {
						continue
					}
					m.shown[b.modelPlace] = c // the last to be found: the first feed's in the best state
				}
			}
		}
	}
	for p, b := range m.shown {
		if b.state == StateLive && m.trades(b) && (b.isBook || !b.nbbo) {
			m.own[p.in] = true
		}
	}
}

func (s modelSide) sorted(side market.Side) []modelLevel {
	var out []modelLevel
	for _, l := range s {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b modelLevel) int {
		if side == market.SideBid {
			return b.price.Cmp(a.price)
		}
		return a.price.Cmp(b.price)
	})
	return out
}

// modelSum is Kraken's checksum as its documentation words it: texts with fixed
// decimals, point and leading zeros removed.
func modelSum(bids, asks []modelLevel, digits market.Scale) uint32 {
	var text strings.Builder
	for _, side := range [][]modelLevel{asks, bids} {
		for _, l := range side[:min(10, len(side))] {
			for _, s := range []string{l.price.StringFixed(int32(digits.Price)), l.size.StringFixed(int32(digits.Size))} {
				text.WriteString(strings.TrimLeft(strings.Replace(s, ".", "", 1), "0"))
			}
		}
	}
	return crc32.ChecksumIEEE([]byte(text.String()))
}

// side returns what the venue shows on a side, best first.
func (b *modelBook) side(side market.Side) []modelLevel {
	if b.isBook {
		if side == market.SideBid {
			return b.bids.sorted(side)
		}
		return b.asks.sorted(side)
	}
	l := b.ask
	if side == market.SideBid {
		l = b.bid
	}
	if l.size.IsZero() {
		return nil
	}
	return []modelLevel{l}
}

// venuesOf returns the venues of an instrument that count, by number.
func (m *model) venuesOf(in market.InstrumentID, nbbo bool) []*modelBook {
	var out []*modelBook
	for p, b := range m.shown {
		if p.in == in && b.state == StateLive && m.trades(b) && (b.nbbo && !b.isBook) == nbbo {
			out = append(out, b)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].venue < out[j].venue })
	return out
}

// depth renders the consolidated book of a side, best first.
func (m *model) depth(in market.InstrumentID, side market.Side) string {
	type entry struct {
		modelLevel
		text string
	}
	var all []entry
	for _, b := range m.venuesOf(in, false) {
		if !b.isBook && b.worth(side) == market.NotFirm {
			continue
		}
	next:
		for _, l := range b.side(side) {
			for i := range all {
				if all[i].price.Equal(l.price) {
					all[i].size = all[i].size.Add(l.size)
					all[i].text += fmt.Sprintf(" %d:%s", b.venue, l.size)
					continue next
				}
			}
			all = append(all, entry{l, fmt.Sprintf(" %d:%s", b.venue, l.size)})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].price.GreaterThan(all[j].price) == (side == market.SideBid) })
	var out strings.Builder
	for _, e := range all {
		fmt.Fprintf(&out, "%s x %s%s\n", e.price, e.size, e.text)
	}
	return out.String()
}

// quote renders a side of the consolidated quote.
func (m *model) quote(in market.InstrumentID, side market.Side) string {
	if !m.own[in] {
		sips := m.venuesOf(in, true)
		if len(sips) == 0 || len(sips[0].side(side)) == 0 || sips[0].worth(side) == market.NotFirm {
			return "none"
		}
		at, l := sips[0].askAt, sips[0].side(side)[0]
		if side == market.SideBid {
			at = sips[0].bidAt
		}
		return fmt.Sprintf("nbbo %s x %s = %s %d:%s", l.price, l.size, l.size, at, l.size)
	}
	var at []modelLevel
	var venues []market.VenueID
	for _, b := range m.venuesOf(in, false) {
		l, _, _ := m.top(b, side)
		if l.size.IsZero() {
			continue
		}
		s := []modelLevel{l}
		if len(at) > 0 && !s[0].price.Equal(at[0].price) {
			if s[0].price.GreaterThan(at[0].price) != (side == market.SideBid) {
				continue
			}
			at, venues = nil, nil
		}
		i := 0
		for i < len(at) && at[i].size.GreaterThanOrEqual(s[0].size) {
			i++
		}
		at, venues = slices.Insert(at, i, s[0]), slices.Insert(venues, i, b.venue)
	}
	if len(at) == 0 {
		return "none"
	}
	total, text := decimal.Zero, ""
	for i, l := range at {
		total = total.Add(l.size)
		text += fmt.Sprintf(" %d:%s", venues[i], l.size)
	}
	return fmt.Sprintf("%s x %s = %s%s", at[0].price, at[0].size, total, text)
}

// compare holds a view against the model.
func (m *model) compare(in market.InstrumentID, v *View) error {
	for _, side := range []market.Side{market.SideBid, market.SideAsk} {
		if got, want := viewQuote(v, side), m.quote(in, side); got != want {
			return fmt.Errorf("instrument %d %v: quote is %s, want %s", in, side, got, want)
		}
		if got, want := viewDepth(v, side), m.depth(in, side); got != want {
			return fmt.Errorf("instrument %d %v: depth is\n%swant\n%s", in, side, got, want)
		}
	}
	m.scale[in] = v.Scale
	if got, want := viewTerms(v), m.terms(in); got != want {
		return fmt.Errorf("instrument %d: quote %s, terms are\n%s, want\n%s", in, m.quote(in, market.SideBid)+" / "+m.quote(in, market.SideAsk), got, want)
	}
	for p, b := range m.shown {
		if p.in != in {
			continue
		}
		state := b.state
		if state == StateLive && !m.trades(b) {
			state = StateHalted
		}
		if w := v.Venue(p.venue); w == nil || w.State != state {
			return fmt.Errorf("instrument %d venue %d: state %+v, want %v", in, p.venue, w, state)
		}
	}
	if t := m.tape[in]; t != nil {
		k := &v.Ticker
		price := func(p market.Price) decimal.Decimal { return market.ToDecimal(p, v.Scale.Price) }
		volume := market.ToDecimal(k.Volume, v.Scale.Size)
		if !price(k.Last).Equal(t.last) || !price(k.Open).Equal(t.open) || !price(k.High).Equal(t.high) || !price(k.Low).Equal(t.low) ||
			!volume.Equal(t.volume) || k.Trades != uint64(t.prints) || v.TradeSeq != uint64(t.prints) {
			return fmt.Errorf("instrument %d: ticker %+v, want %+v", in, k, t)
		}
		vwap, decimals, ok := k.VWAP(v.Scale)
		if !t.volume.IsZero() {
			if want := t.notional.DivRound(t.volume, int32(decimals)); !ok || !want.Equal(market.ToDecimal(vwap, decimals)) {
				return fmt.Errorf("instrument %d: vwap %d at %d decimals, want %s", in, vwap, decimals, want)
			}
		}
	}
	return nil
}

func viewQuote(v *View, side market.Side) string {
	q := &v.Quote
	price, size, total, venues := q.Ask, q.AskSize, q.AskTotal, q.AskVenues
	if side == market.SideBid {
		price, size, total, venues = q.Bid, q.BidSize, q.BidTotal, q.BidVenues
	}
	if size == 0 {
		return "none"
	}
	z := func(s market.Size) decimal.Decimal { return market.ToDecimal(s, v.Scale.Size) }
	text := ""
	if q.Source == SourceNBBO {
		text = "nbbo "
	}
	text += fmt.Sprintf("%s x %s = %s", market.ToDecimal(price, v.Scale.Price), z(size), z(total))
	for _, x := range venues {
		text += fmt.Sprintf(" %d:%s", x.Venue, z(x.Size))
	}
	return text
}

func viewDepth(v *View, side market.Side) string {
	var out strings.Builder
	levels, splits := v.AppendDepth(nil, nil, side, 0)
	for _, l := range levels {
		fmt.Fprintf(&out, "%s x %s", market.ToDecimal(l.Price, v.Scale.Price), market.ToDecimal(l.Size, v.Scale.Size))
		for _, x := range splits[:l.Venues] {
			fmt.Fprintf(&out, " %d:%s", x.Venue, market.ToDecimal(x.Size, v.Scale.Size))
		}
		splits = splits[l.Venues:]
		out.WriteString("\n")
	}
	return out.String()
}
