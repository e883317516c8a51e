package streamer

import (
	"fmt"
	"math/rand/v2"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

const (
	testVenues  = 3
	testSymbols = 4
)

// simVenue is what a venue's next messages about an instrument are made from.
type simVenue struct {
	center int64 // price between its bids and asks, in units
	huge   bool  // it shows a level whose size leaves no room for decimals
}

// sim makes messages of venues: books that cross each other, gaps, lost
// connections, ever finer scales.
type sim struct {
	rand   *rand.Rand
	dir    *market.Directory
	venues map[[2]int]*simVenue
	now    int64
	finest market.Decimals
	prints uint64
}

func newSim(seed uint64, dir *market.Directory) *sim {
	for v := range testVenues {
		if _, err := dir.Venue(fmt.Sprintf("venue%d", v+1)); err != nil {
			panic(err)
		}
	}
	return &sim{rand: rand.New(rand.NewPCG(seed, 1)), dir: dir, venues: make(map[[2]int]*simVenue)}
}

func testSymbol(i int) string { return [...]string{"AAPL", "BTC-USD", "BTC-EUR", "ETH-USD"}[i] }

// hostile are trade identifiers as nobody should send them.
var hostile = []string{"", "1", `"},{"`, `\`, "\x00\n\r\t", "\xff\xfe", "ünï", "\u2028</script>", "\x7f", "{}[]:,"}

// message returns the events of one message of one venue.
func (m *sim) message() []market.Event {
	r := m.rand
	i, vi := r.IntN(testSymbols), r.IntN(testVenues)
	id, err := m.dir.Instrument(testSymbol(i), market.ClassCrypto)
	if err != nil {
		panic(err)
	}
	v := m.venues[[2]int{i, vi}]
	first := v == nil
	if first {
		v = &simVenue{center: 100}
		m.venues[[2]int{i, vi}] = v
	}
	head := market.Event{Feed: market.FeedID(vi + 1), Venue: market.VenueID(vi + 1), Instrument: id, Received: m.now, Time: m.now - 1e6}
	var events []market.Event
	add := func(k market.Kind) *market.Event {
		e := head
		e.Kind = k
		events = append(events, e)
		return &events[len(events)-1]
	}
	number := func(e *market.Event, units int64) {
		e.PriceDecimals, e.SizeDecimals = market.Decimals(r.IntN(int(m.finest)+1)), market.Decimals(r.IntN(int(m.finest)+1))
		if v.huge {
			e.SizeDecimals = 0
		}
		e.Price = market.Price(units * market.Pow10(e.PriceDecimals))
		if e.PriceDecimals > 0 {
			e.Price += market.Price(r.IntN(3))
		}
		e.Size = market.Size(int64(1+r.IntN(5))*market.Pow10(e.SizeDecimals) + int64(r.IntN(2)))
	}
	level := func() {
		e := add(market.KindLevel)
		e.Side = market.Side(1 + r.IntN(2))
		if e.Side == market.SideBid {
			number(e, v.center-1-r.Int64N(8))
		} else {
			number(e, v.center+1+r.Int64N(8))
		}
		if r.IntN(4) == 0 {
			e.Size = 0
		}
	}
	snapshot := func() {
		v.center, v.huge = 97+r.Int64N(7), false
		add(market.KindClear).Flags = market.FlagSnapshot
		for range r.IntN(20) {
			level()
		}
	}
	word := r.IntN(40)
	if i == 3 && vi == 2 && word < 22 {
		word = 35 // this one tells its best prices only
	}
	switch {
	case word < 4 || first && word != 35:
		snapshot()
	case word < 22:
		for range 1 + r.IntN(4) {
			level()
		}
	case word < 32:
		for range 1 + r.IntN(3) {
			e := add(market.KindTrade)
			number(e, v.center-2+r.Int64N(5))
			e.Side = market.Side(r.IntN(3))
			m.prints++
			e.TradeSequence = m.prints
			e.ID, _ = market.MakeTradeID(hostile[r.IntN(len(hostile))])
			if r.IntN(4) == 0 {
				e.NumConditions = 1
				e.Conditions[0] = market.Condition(r.IntN(60))
			}
			if r.IntN(10) == 0 {
				e.Flags |= market.FlagPrior
			}
		}
	case word < 33:
		add(market.KindGap)
	case word < 34:
		head.Instrument, head.Venue = 0, 0
		add([]market.Kind{market.KindUp, market.KindDown, market.KindStale, market.KindHeartbeat}[r.IntN(4)])
	case word < 35:
		m.status(r, add, number)
	case word < 36:
		e := add(market.KindQuote)
		number(e, v.center-1)
		e.Ask, e.AskSize = e.Price+2*market.Price(market.Pow10(e.PriceDecimals)), e.Size+1
		if r.IntN(2) == 0 {
			e.NumConditions = 1
			e.Conditions[0] = market.Condition(r.IntN(50)) // firm, slow and not firm ones
		}
	case word < 37:
		m.finest = min(m.finest+1, 4)
		level()
	case v.huge:
		// It goes, and in the same message a finer size comes: what was sent of
		// it does not fit the new scale.
		e := add(market.KindLevel)
		e.Side, e.Price = market.SideBid, market.Price(v.center-9)
		v.huge = false
		m.finest = min(m.finest+1, 4)
		e = add(market.KindLevel)
		e.Side, e.Price, e.Size, e.SizeDecimals = market.SideBid, market.Price(v.center-2), 1, m.finest
	default:
		e := add(market.KindLevel)
		e.Side, e.Price, e.Size = market.SideBid, market.Price(v.center-9), 1<<62
		v.huge = true
	}
	events[len(events)-1].Flags |= market.FlagLast
	return events
}

// status makes what tells of whether and how an instrument trades.
func (m *sim) status(r *rand.Rand, add func(market.Kind) *market.Event, number func(*market.Event, int64)) {
	switch r.IntN(5) {
	case 0:
		e := add(market.KindStatus)
		e.Flags = market.FlagNBBO
		e.Status = market.TradingStatus(r.IntN(5))
		e.ID, _ = market.MakeTradeID([]string{"", "T12", "LUDP"}[r.IntN(3)])
	case 1:
		e := add(market.KindLULD)
		number(e, 90)
		e.Low, e.High = e.Price, e.Price+market.Price(r.IntN(20))*market.Price(market.Pow10(e.PriceDecimals))
	case 2:
		e := add(market.KindImbalance)
		number(e, 95)
		e.Side, e.AskSize, e.Auction, e.AuctionTime = market.Side(r.IntN(3)), e.Size, "\x00MO"[r.IntN(3)], uint16(r.IntN(2)*930)
	default:
		add(market.KindStatus).Status = []market.TradingStatus{market.StatusTrading, market.StatusTrading, market.StatusHalted}[r.IntN(3)]
	}
}

// image returns a copy of a view's whole state.
func image(v *orderbook.View) *orderbook.Update {
	var u orderbook.Update
	v.Snapshot(&u)
	return &u
}
