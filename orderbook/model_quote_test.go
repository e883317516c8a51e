package orderbook

import (
	"fmt"
	"sort"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
)

// What the model holds of quotes: who may be in them, and what is told beside them.

// modelStatus is an instrument's status as SIPs tell it.
type modelStatus struct {
	trading   market.TradingStatus
	reason    string
	by        market.FeedID
	low, high decimal.Decimal
	imbalance string
}

// streamInstrumentsOf are the instruments of the random streams: one of crypto,
// two stocks whose round lots are 40 and 100 shares.
var streamSymbols = [streamInstruments + 1]struct {
	symbol string
	class  market.Class
	lot    int64
	rules  QuoteRules
}{
	1: {"BTC-USD", market.ClassCrypto, 1, QuoteRules{MinVenues: 2, MinSize: 15, MinSizeDecimals: 1}},
	2: {"MID", market.ClassStock, 40, QuoteRules{ReferencePrice: 51230, ReferenceDecimals: 2}},
	3: {"NEW", market.ClassStock, 100, QuoteRules{MinVenues: 1}},
}

func streamRules(in market.Instrument) QuoteRules {
	for _, s := range streamSymbols {
		if s.symbol == in.Symbol {
			return s.rules
		}
	}
	return QuoteRules{}
}

// registerStream gives the instruments of the random streams their numbers.
func registerStream(dir *market.Directory) {
	for _, s := range streamSymbols[1:] {
		if _, err := dir.Instrument(s.symbol, s.class); err != nil {
			panic(err)
		}
	}
}

func (m *model) statusOf(in market.InstrumentID) *modelStatus {
	if m.status[in] == nil {
		m.status[in] = &modelStatus{}
	}
	return m.status[in]
}

// halted reports whether a SIP told that the instrument does not trade.
func (m *model) halted(in market.InstrumentID) bool {
	return m.statusOf(in).trading > market.StatusTrading
}

// trades reports whether quotes of the book can be traded against.
func (m *model) trades(b *modelBook) bool { return !b.halted && !m.halted(b.in) }

// national takes what a SIP tells of all venues; false if the message is no such.
func (m *model) national(e *market.Event) bool {
	s := m.statusOf(e.Instrument)
	switch {
	case e.Kind == market.KindStatus && e.Has(market.FlagNBBO):
		if s.trading == e.Status && s.reason == e.ID.String() {
			return true
		}
		was := m.halted(e.Instrument)
		s.trading, s.reason, s.by = e.Status, e.ID.String(), e.Feed
		m.turn(e.Instrument, was)
	case e.Kind == market.KindLULD:
		s.low, s.high = market.ToDecimal(e.Low, e.PriceDecimals), market.ToDecimal(e.High, e.PriceDecimals)
	case e.Kind == market.KindImbalance:
		s.imbalance = fmt.Sprintf("%d %v %s x %s", e.Venue, e.Side, market.ToDecimal(e.Price, e.PriceDecimals), market.ToDecimal(e.Size, e.SizeDecimals))
	default:
		return false
	}
	return true
}

// turn forgets tops of book when trading stops or goes on.
func (m *model) turn(in market.InstrumentID, was bool) {
	if was == m.halted(in) {
		return
	}
	for _, b := range m.books {
		if b.in == in && !b.isBook {
			b.bid, b.ask, b.bidWorth, b.askWorth = modelLevel{}, modelLevel{}, 0, 0
		}
	}
}

// lost takes back what a feed told of halts.
func (m *model) lost(f market.FeedID) {
	for in, s := range m.status {
		if s.by == f {
			was := m.halted(in)
			s.trading, s.reason, s.by = market.StatusUnknown, "", 0
			m.turn(in, was)
		}
	}
}

// top returns what the quote takes of a side of a venue: its level, whether it is
// slow, and if it takes nothing of what is there, why.
func (m *model) top(b *modelBook, side market.Side) (lv modelLevel, slow bool, why string) {
	levels := b.side(side)
	worth := b.askWorth
	if side == market.SideBid {
		worth = b.bidWorth
	}
	rule := streamSymbols[b.in]
	if len(levels) == 0 {
		return lv, false, ""
	}
	lv = levels[0]
	if !b.isBook {
		switch worth {
		case market.NotFirm:
			return modelLevel{}, false, "ineligible_condition"
		case market.Slow:
			slow = true
		}
	}
	if lot := decimal.NewFromInt(rule.lot); rule.lot > 1 {
		sum, found := decimal.Zero, false
		for _, l := range levels {
			if sum = sum.Add(l.size); sum.GreaterThanOrEqual(lot) {
				lv, found = modelLevel{l.price, sum.Div(lot).Floor().Mul(lot)}, true
				break
			}
		}
		if !found {
			return modelLevel{}, false, "below_round_lot"
		}
	}
	if least := market.ToDecimal(rule.rules.MinSize, rule.rules.MinSizeDecimals); lv.size.LessThan(least) {
		found := false
		for _, l := range levels {
			if l.size.GreaterThanOrEqual(least) {
				lv, found = l, true
				break
			}
		}
		if !found {
			return modelLevel{}, false, "below_min_size"
		}
	}
	if s := m.statusOf(b.in); !s.high.IsZero() &&
		(side == market.SideBid && lv.price.LessThan(s.low) || side == market.SideAsk && lv.price.GreaterThan(s.high)) {
		return modelLevel{}, false, "outside_bands"
	}
	return lv, slow, ""
}

// best returns the best level of a side with the total there.
func (m *model) best(in market.InstrumentID, side market.Side) (lv modelLevel, total decimal.Decimal) {
	if !m.own[in] {
		if sips := m.venuesOf(in, true); len(sips) > 0 && len(sips[0].side(side)) > 0 && sips[0].worth(side) != market.NotFirm {
			l := sips[0].side(side)[0]
			return l, l.size
		}
		return lv, total
	}
	for _, b := range m.venuesOf(in, false) {
		l, _, _ := m.top(b, side)
		switch {
		case l.size.IsZero():
		case lv.size.IsZero() || !l.price.Equal(lv.price) && l.price.GreaterThan(lv.price) == (side == market.SideBid):
			lv, total = l, l.size
		case l.price.Equal(lv.price):
			lv.size, total = decimal.Max(lv.size, l.size), total.Add(l.size)
		}
	}
	return lv, total
}

func (b *modelBook) worth(side market.Side) market.Firmness {
	if side == market.SideBid {
		return b.bidWorth
	}
	return b.askWorth
}

// market returns "" for a sound market, or what it is.
func (m *model) market(in market.InstrumentID) string {
	bid, _ := m.best(in, market.SideBid)
	ask, _ := m.best(in, market.SideAsk)
	switch {
	case bid.size.IsZero() || ask.size.IsZero():
		return "one-sided"
	case bid.price.Equal(ask.price):
		return "locked"
	case bid.price.GreaterThan(ask.price):
		return "crossed"
	}
	return ""
}

// mark notes since when the quotes are locked or crossed.
func (m *model) mark(now int64) {
	for in := market.InstrumentID(1); in <= streamInstruments; in++ {
		if is := m.market(in); is != m.markets[in] {
			m.markets[in], m.since[in] = is, now
		}
	}
}

// terms renders all that is told beside prices and sizes.
func (m *model) terms(in market.InstrumentID) string {
	counted, out := 0, ""
	slow := map[market.Side]bool{}
	own := m.own[in]
	for _, side := range []market.Side{market.SideBid, market.SideAsk} {
		best, _ := m.best(in, side)
		slow[side] = !best.size.IsZero()
		for _, b := range m.venuesOf(in, !own) {
			if own {
				if l, s, _ := m.top(b, side); l.price.Equal(best.price) && !l.size.IsZero() && !s {
					slow[side] = false
				}
			} else if b.worth(side) != market.Slow {
				slow[side] = false
			}
			if !own {
				break
			}
		}
	}
	var venues []*modelBook
	if venues = m.venuesOf(in, !own); !own {
		venues = venues[:min(1, len(venues))]
	}
	sort.Slice(venues, func(i, j int) bool { return venues[i].venue < venues[j].venue })
	for _, b := range venues {
		var why [2]string
		takes := false
		for i, side := range []market.Side{market.SideBid, market.SideAsk} {
			if own {
				var l modelLevel
				l, _, why[i] = m.top(b, side)
				takes = takes || !l.size.IsZero()
			} else if b.worth(side) == market.NotFirm {
				why[i] = "ineligible_condition"
			}
		}
		if takes {
			counted++
		}
		switch {
		case own && why[0] == why[1] && why[0] != "":
			out += fmt.Sprintf(" %d::%s", b.venue, why[0])
			continue
		case why[0] != "":
			out += fmt.Sprintf(" %d:bid:%s", b.venue, why[0])
		}
		if why[1] != "" {
			out += fmt.Sprintf(" %d:ask:%s", b.venue, why[1])
		}
	}
	thin := own && counted < streamSymbols[in].rules.MinVenues
	text := fmt.Sprintf("counted %d thin %v slow %v %v out%s", counted, thin, slow[market.SideBid], slow[market.SideAsk], out)
	if is := m.markets[in]; is == "locked" || is == "crossed" {
		text += fmt.Sprintf(" %s since %d", is, m.since[in])
	}
	bid, bids := m.best(in, market.SideBid)
	ask, asks := m.best(in, market.SideAsk)
	if is := m.market(in); (is == "" || is == "locked") && !thin {
		spread := ask.price.Sub(bid.price)
		text += fmt.Sprintf(" mid %s spread %s micro %s", bid.price.Add(ask.price).Div(decimal.NewFromInt(2)), spread,
			bid.price.Add(spread.Mul(bids).DivRound(bids.Add(asks), m.places(in))))
	}
	s := m.statusOf(in)
	text += fmt.Sprintf(" %v %q", s.trading, s.reason)
	if !s.high.IsZero() {
		text += fmt.Sprintf(" bands %s %s", s.low, s.high)
		switch {
		case !bid.size.IsZero() && bid.price.GreaterThanOrEqual(s.high):
			text += " up"
		case !ask.size.IsZero() && ask.price.LessThanOrEqual(s.low):
			text += " down"
		}
	}
	return text + " " + s.imbalance
}

// viewTerms renders the same of a view.
func viewTerms(v *View) string {
	q := &v.Quote
	text := fmt.Sprintf("counted %d thin %v slow %v %v out", q.Counted, q.Thin, q.BidSlow, q.AskSlow)
	for _, o := range q.Out {
		text += fmt.Sprintf(" %d:%v:%v", o.Venue, o.Side, o.Why)
	}
	switch {
	case q.Locked():
		text += fmt.Sprintf(" locked since %d", q.Inverted)
	case q.Crossed():
		text += fmt.Sprintf(" crossed since %d", q.Inverted)
	case q.Inverted != 0:
		text += " inverted and is not"
	}
	if mid, d, ok := q.Mid(v.Scale); ok {
		spread, _ := q.Spread()
		ratio, _ := q.Microprice()
		micro, places, _ := ratio.Round(v.Scale.Price)
		text += fmt.Sprintf(" mid %s spread %s micro %s", market.ToDecimal(mid, d), market.ToDecimal(spread, v.Scale.Price), market.ToDecimal(micro, places))
	}
	st := &v.Status
	text += fmt.Sprintf(" %v %q", st.Trading, st.Reason)
	if st.BandHigh > 0 {
		text += fmt.Sprintf(" bands %s %s", market.ToDecimal(st.BandLow, v.Scale.Price), market.ToDecimal(st.BandHigh, v.Scale.Price))
	}
	if st.Limit != LimitNone {
		text += " " + st.Limit.String()
	}
	text += " "
	if i := &st.Imbalance; i.Venue != 0 {
		text += fmt.Sprintf("%d %v %s x %s", i.Venue, i.Side, market.ToDecimal(i.Price, v.Scale.Price), market.ToDecimal(i.Size, v.Scale.Size))
	}
	return text
}
