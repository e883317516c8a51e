package best_test

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/orderbook/best"
)

// modelSide is the price of one side of a venue's market, nil if it has none, as
// a fraction, and the text of its size.
type modelSide struct {
	price *big.Rat
	size  string
}

// modelTop is what a venue shows of a market.
type modelTop struct {
	bid, ask modelSide
	heard    bool // since the connection came up
	ever     bool
}

// model is the net quote in fractions, from nothing but the last quote of each
// venue and whether it can be heard.
type model struct {
	fees  map[string]*big.Rat
	tops  map[[2]string]*modelTop // venue, symbol
	state map[string]string       // venue: "", "stale", "down"
}

func (m *model) top(venue, symbol string) *modelTop {
	k := [2]string{venue, symbol}
	if m.tops[k] == nil {
		m.tops[k] = &modelTop{}
	}
	return m.tops[k]
}

// live returns what counts of a venue's market.
func (m *model) live(venue, symbol string) (bid, ask *big.Rat) {
	t := m.top(venue, symbol)
	fee := m.fees[venue]
	if m.state[venue] != "" || !t.heard || fee == nil {
		return nil, nil
	}
	if t.bid.price != nil {
		bid = new(big.Rat).Mul(t.bid.price, new(big.Rat).Sub(big.NewRat(1, 1), fee))
	}
	if t.ask.price != nil {
		ask = new(big.Rat).Mul(t.ask.price, new(big.Rat).Add(big.NewRat(1, 1), fee))
	}
	return bid, ask
}

// rate returns what a unit of a currency brings and costs in dollars.
func (m *model) rate(c string) (brings, costs *big.Rat) {
	if c == "USD" {
		return big.NewRat(1, 1), big.NewRat(1, 1)
	}
	better := func(is **big.Rat, r *big.Rat, sign int) {
		if r != nil && (*is == nil || r.Cmp(*is) == sign) {
			*is = r
		}
	}
	for _, v := range modelVenues {
		bid, ask := m.live(v, c+"-USD")
		better(&brings, bid, 1)
		better(&costs, ask, -1)
		bid, ask = m.live(v, "USD-"+c)
		if ask != nil {
			better(&brings, new(big.Rat).Inv(ask), 1)
		}
		if bid != nil {
			better(&costs, new(big.Rat).Inv(bid), -1)
		}
	}
	return brings, costs
}

var (
	modelVenues  = []string{"a", "b", "c"}
	modelSymbols = []string{"BTC-USD", "BTC-USDT", "BTC-EUR", "USDT-USD", "EUR-USD", "USD-USDT", "ETH-USD"}
)

// TestNetEqualsModel: whatever happens, each leg's price is the exact one, rounded
// against who takes it where it has no end, each state is the venue's or the
// cross's, and the quote is the best of them.
func TestNetEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fees := map[string]string{}
		m := &model{fees: map[string]*big.Rat{}, tops: map[[2]string]*modelTop{}, state: map[string]string{}}
		for _, v := range modelVenues {
			if fee := rapid.SampledFrom([]string{"", "0", "0.001", "0.0026", "0.25"}).Draw(t, "fee"); fee != "" {
				fees[v] = fee
				m.fees[v], _ = new(big.Rat).SetString(fee)
			}
		}
		r := newRig(t, fees, best.Pair{Symbol: "BTC-USD", Currencies: []string{"USDT", "EUR"}})
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			v := rapid.SampledFrom(modelVenues).Draw(t, "venue")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				r.down(v)
				m.state[v] = "down"
			case 1:
				if m.state[v] == "" {
					r.stale(v)
					m.state[v] = "stale"
				}
			case 2:
				r.up(v)
				m.state[v] = ""
				for k, top := range m.tops {
					if k[0] == v {
						top.heard = false
					}
				}
			default:
				if m.state[v] == "down" {
					continue // nobody speaks on a lost connection
				}
				symbol := rapid.SampledFrom(modelSymbols).Draw(t, "symbol")
				top := m.top(v, symbol)
				*top = modelTop{heard: true, ever: true}
				m.state[v] = ""
				texts := [2]string{"-", "-"}
				prices := []string{"0.97", "0.9999", "1", "1.0003", "1.1"}
				if symbol[0] == 'B' {
					prices = []string{"90", "99.99", "100", "100.01"}
				}
				for i, side := range [2]*modelSide{&top.bid, &top.ask} {
					if rapid.IntRange(0, 5).Draw(t, "absent") > 0 {
						price := rapid.SampledFrom(prices).Draw(t, "price")
						side.price, _ = new(big.Rat).SetString(price)
						side.size = fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "size"))
						texts[i] = price + "x" + side.size
					}
				}
				if b, a := top.bid.price, top.ask.price; b != nil && a != nil && b.Cmp(a) > 0 {
					top.bid, top.ask = top.ask, top.bid // a venue that is crossed in itself is not trusted
					texts[0], texts[1] = texts[1], texts[0]
				}
				r.quote(v, symbol, texts[0], texts[1])
			}
			if rapid.IntRange(0, 2).Draw(t, "step") > 0 {
				r.c.Step()
				m.compare(t, r)
			}
		}
		r.c.Step()
		m.compare(t, r)
	})
}

func (m *model) compare(t *rapid.T, r *rig) {
	v := r.views["net:BTC-USD"]
	var legs int
	var quote modelQuote
	for _, c := range []string{"USD", "USDT", "EUR"} {
		brings, costs := m.rate(c)
		for _, name := range modelVenues {
			if !m.top(name, "BTC-"+c).ever {
				continue
			}
			legs++
			id, ok := r.dir.LookupVenue(map[bool]string{true: name, false: name + ":" + c}[c == "USD"])
			var w *orderbook.VenueView
			if v != nil && ok {
				w = v.Venue(id)
			}
			if w == nil {
				t.Fatalf("no leg %s:%s", name, c)
			}
			top := m.top(name, "BTC-"+c)
			wantCause := orderbook.CauseNone
			switch {
			case m.state[name] == "down":
				wantCause = orderbook.CauseLost
			case m.state[name] == "stale":
				wantCause = orderbook.CauseMute
			case !top.heard:
				wantCause = orderbook.CauseConnected
			case m.fees[name] == nil:
				wantCause = orderbook.CauseNoFee
			case brings == nil && costs == nil:
				wantCause = orderbook.CauseCross
			}
			if w.Cause != wantCause || w.State.Live() != (wantCause == orderbook.CauseNone) {
				t.Fatalf("leg %s:%s is %v %v, want cause %v", name, c, w.State, w.Cause, wantCause)
			}
			bid, ask := m.live(name, "BTC-"+c)
			gotBid, gotAsk := w.Best()
			if bid = times(bid, brings); wantCause != orderbook.CauseNone {
				bid = nil
			}
			if ask = times(ask, costs); wantCause != orderbook.CauseNone {
				ask = nil
			}
			compareSide(t, name+":"+c+" bid", v.Scale, gotBid, bid, top.bid.size, -1)
			compareSide(t, name+":"+c+" ask", v.Scale, gotAsk, ask, top.ask.size, 1)
			quote.add(gotBid, gotAsk)
		}
	}
	if v == nil {
		return
	}
	q := &v.Quote
	got := modelQuote{bid: orderbook.Level{Price: q.Bid, Size: q.BidSize}, ask: orderbook.Level{Price: q.Ask, Size: q.AskSize},
		bidTotal: q.BidTotal, askTotal: q.AskTotal}
	if got != quote || len(v.Venues) != legs {
		t.Fatalf("quote %+v of %d legs, want %+v of %d", got, len(v.Venues), quote, legs)
	}
}

// modelQuote is the best of legs.
type modelQuote struct {
	bid, ask           orderbook.Level
	bidTotal, askTotal market.Size
}

func (q *modelQuote) add(bid, ask orderbook.Level) {
	one := func(l orderbook.Level, best *orderbook.Level, total *market.Size, better bool) {
		switch {
		case l.Size == 0:
		case best.Size == 0 || better:
			*best, *total = l, l.Size
		case l.Price == best.Price:
			best.Size, *total = max(best.Size, l.Size), *total+l.Size
		}
	}
	one(bid, &q.bid, &q.bidTotal, bid.Price > q.bid.Price)
	one(ask, &q.ask, &q.askTotal, ask.Price < q.ask.Price)
}

func times(a, b *big.Rat) *big.Rat {
	if a == nil || b == nil {
		return nil
	}
	return new(big.Rat).Mul(a, b)
}

// compareSide: the price is the exact one, or at most 2e-13 to the worse.
func compareSide(t *rapid.T, what string, s market.Scale, got orderbook.Level, want *big.Rat, size string, worse int) {
	if (got.Size == 0) != (want == nil) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	if want == nil {
		return
	}
	price, _ := new(big.Rat).SetString(market.Format(got.Price, s.Price))
	diff := new(big.Rat).Sub(price, want)
	if diff.Sign() != 0 && (diff.Sign() != worse || diff.Abs(diff).Cmp(big.NewRat(2, 1e13)) > 0) {
		t.Fatalf("%s: %s, want %s", what, price.FloatString(20), want.FloatString(20))
	}
	if text := market.Format(got.Size, s.Size); text != size {
		t.Fatalf("%s: size %s, want %s", what, text, size)
	}
}
