package sim

import (
	"math"
	"strconv"
)

const (
	micro      = 1_000_000 // share sizes of trades are in millionths
	tradePrice = 4         // decimals of a trade's price; quotes move in cents
)

// Exchange ids of Polygon. Off-exchange prints say trf.
const trf = 4

// exchanges show quotes, the listing market of a tape first.
var exchangesByTape = map[int][]int{
	1: {10, 11, 12, 19, 8, 21, 15},
	2: {11, 12, 19, 8, 21, 10, 15},
	3: {12, 11, 19, 8, 21, 15, 2},
}

// stock is one ticker: its hidden fair value and what each exchange quotes.
type stock struct {
	spec  StockSpec
	rnd   random
	fair  float64 // in cents
	heat  float64
	spark float64
	lot   int64 // a round lot, in shares

	ex        []exchange
	shown     nbbo  // as last told
	quoteTime int64 // of the last quote or trade, Unix nanoseconds
	quoteSeq  int64
	tradeSeq  int64
	luldSeq   int64
	trades    int64
	trfID     int64
	last      print
	open      int64 // official open, at tradePrice decimals

	dayVolume      int64 // millionths of shares
	dayPV          u128
	second, minute barBuilder
}

// exchange is one exchange's best bid and offer, prices in cents, sizes in shares.
type exchange struct {
	id               int
	bid, ask         int64
	bidSize, askSize int64
	tradeID          int64
}

// nbbo is the national best bid and offer.
type nbbo struct {
	bid, ask         int64 // cents
	bidSize, askSize int64 // shares, whole round lots
	bidEx, askEx     int
}

// print is a trade of a stock.
type print struct {
	time       int64 // SIP's, Unix nanoseconds
	exchange   int
	id, seq    int64
	price      int64 // at tradePrice decimals
	size       int64 // millionths of shares
	iso, odd   bool
	facility   int // trfi, off-exchange prints only
	facilityAt int64
}

func newStock(seed uint64, spec StockSpec, now int64) *stock {
	s := &stock{spec: spec, rnd: newRandom(seed, spec.Symbol+"|stock"), quoteTime: now}
	cents, _ := parseFixed(spec.Price, 2) // checked by validate
	s.fair = float64(cents)
	s.open = cents * 100
	switch { // the round lots that the exchanges use since November 2025
	case cents < 250_00:
		s.lot = 100
	case cents < 1000_00:
		s.lot = 40
	case cents < 10000_00:
		s.lot = 10
	default:
		s.lot = 1
	}
	ids := exchangesByTape[spec.Tape]
	if ids == nil {
		ids = exchangesByTape[3]
	}
	for _, id := range ids {
		e := exchange{id: id, tradeID: 1 + s.rnd.Int64N(90_000)}
		e.bid, e.ask = s.target()
		e.bidSize, e.askSize = s.size(), s.size()
		s.ex = append(s.ex, e)
	}
	s.second.length, s.minute.length = 1e9, 60e9
	s.quoteSeq, s.tradeSeq = 1+s.rnd.Int64N(1000), 1+s.rnd.Int64N(1000)
	s.shown = s.nbbo()
	return s
}

func (s *stock) step(m *Market, now, d int64, dt, act float64) {
	move := s.spec.VolBps / 1e4 * math.Sqrt(dt*(1+s.heat)) * s.rnd.normal()
	if s.rnd.chance(dt * 0.01 * act) {
		move += s.spec.VolBps / 1e4 * 5 * s.rnd.normal()
		s.heat += 3
	}
	s.fair = max(s.fair+float64(s.fair*min(max(move, -0.05), 0.05)), 10)
	s.heat -= float64(s.heat * min(dt/heatDecay, 1))
	s.spark = excite / (max(s.spec.Rate, 0.001) * 0.28 * heatDecay * act)
	n := s.rnd.count(s.spec.Rate * act * (1 + s.heat) * dt)
	for i := range n {
		at := now + d*int64(i+1)/int64(n+1)
		if s.rnd.chance(0.72) {
			s.requote(m, at, int(s.rnd.Int64N(int64(len(s.ex)))))
		} else {
			s.trade(m, at)
		}
		s.tellQuote(m, at)
	}
}

// target draws the quote that an exchange wants to show.
func (s *stock) target() (bid, ask int64) {
	half := max(0.5, float64(s.fair*0.3/1e4))
	bid = int64(math.Floor(s.fair - float64(half*(0.6+s.rnd.Float64()))))
	ask = int64(math.Ceil(s.fair + float64(half*(0.6+s.rnd.Float64()))))
	bid = max(bid, 1)
	return bid, max(ask, bid+1)
}

// size draws a quoted size: whole round lots.
func (s *stock) size() int64 {
	return s.lot * (1 + int64(s.rnd.heavy()*1.5))
}

// requote moves one exchange's quote to the fair value. Quotes of other
// exchanges that would be locked or crossed are swept first, as intermarket
// sweep orders do, so the NBBO is never locked or crossed.
func (s *stock) requote(m *Market, at int64, i int) {
	bid, ask := s.target()
	for j := range s.ex {
		o := &s.ex[j]
		if j != i && o.ask <= bid {
			s.printAt(m, at, o, o.ask, (1+s.rnd.Int64N(o.askSize))*micro, true)
			o.ask, o.askSize = ask, s.size()
		}
		if j != i && o.bid >= ask {
			s.printAt(m, at, o, o.bid, (1+s.rnd.Int64N(o.bidSize))*micro, true)
			o.bid, o.bidSize = bid, s.size()
		}
	}
	e := &s.ex[i]
	e.bid, e.ask, e.bidSize, e.askSize = bid, ask, s.size(), s.size()
}

// trade lets one order trade: on the exchange with the best quote, or off
// exchange, where price improvement and fractions of shares occur.
func (s *stock) trade(m *Market, at int64) {
	q := s.nbbo()
	buy := s.rnd.chance(0.5)
	s.heat = min(s.heat+s.spark, 6)
	shares := 1 + s.rnd.Int64N(99)
	if s.rnd.chance(0.5) {
		shares = 100 * (1 + int64(s.rnd.heavy()*0.8))
	}
	if s.rnd.chance(0.38) {
		s.offExchange(m, at, q, buy, shares*micro)
		return
	}
	for i := range s.ex {
		e := &s.ex[i]
		switch {
		case buy && e.id == q.askEx:
			shares = min(shares, e.askSize)
			s.printAt(m, at, e, e.ask, shares*micro, s.rnd.chance(0.4))
			if e.askSize -= shares; e.askSize < s.lot {
				e.ask, e.askSize = e.ask+1, s.size()
			}
			return
		case !buy && e.id == q.bidEx:
			shares = min(shares, e.bidSize)
			s.printAt(m, at, e, e.bid, shares*micro, s.rnd.chance(0.4))
			if e.bidSize -= shares; e.bidSize < s.lot {
				e.bid, e.bidSize = max(e.bid-1, 1), s.size()
			}
			return
		}
	}
}

func (s *stock) offExchange(m *Market, at int64, q nbbo, buy bool, size int64) {
	price := q.bid * 100
	if buy {
		price = q.ask * 100
	}
	switch u := s.rnd.Float64(); {
	case u < 0.25:
		price = (q.bid + q.ask) * 50 // the midpoint
	case u < 0.45 && buy:
		price -= 1 + s.rnd.Int64N(30)
	case u < 0.45:
		price += 1 + s.rnd.Int64N(30)
	}
	if s.rnd.chance(0.2) {
		size = 1 + s.rnd.Int64N(20*micro) // a fraction of shares
	}
	s.trfID++
	s.tell(m, print{
		time: at, exchange: trf, id: s.trfID, price: price, size: size, odd: size < s.lot*micro,
		facility: 201 + int(s.rnd.Int64N(2)), facilityAt: at - 1e6*(1+s.rnd.Int64N(8)),
	})
}

func (s *stock) printAt(m *Market, at int64, e *exchange, cents, size int64, iso bool) {
	e.tradeID++
	s.tell(m, print{time: at, exchange: e.id, id: e.tradeID, price: cents * 100, size: size, iso: iso, odd: size < s.lot*micro})
}

func (s *stock) tell(m *Market, p print) {
	s.tradeSeq += 1 + s.rnd.Int64N(6) // rising, not contiguous
	p.seq = s.tradeSeq
	s.roll(m, p.time)
	s.trades++
	s.last = p
	s.dayVolume += p.size
	s.dayPV.addProduct(p.price, p.size)
	for _, k := range m.sinks {
		k.onStockTrade(s, &p)
	}
	s.second.add(&p)
	s.minute.add(&p)
}

func (s *stock) tellQuote(m *Market, at int64) {
	q := s.nbbo()
	if q == s.shown {
		return
	}
	s.shown = q
	s.quoteTime = at
	s.quoteSeq += 1 + s.rnd.Int64N(9)
	for _, k := range m.sinks {
		k.onStockQuote(s)
	}
}

// nbbo works the best quote out of the exchanges'; at the same price the larger
// size is shown.
func (s *stock) nbbo() nbbo {
	var q nbbo
	for i := range s.ex {
		e := &s.ex[i]
		bidSize, askSize := e.bidSize/s.lot*s.lot, e.askSize/s.lot*s.lot
		if q.bidEx == 0 || e.bid > q.bid || e.bid == q.bid && bidSize > q.bidSize {
			q.bid, q.bidSize, q.bidEx = e.bid, bidSize, e.id
		}
		if q.askEx == 0 || e.ask < q.ask || e.ask == q.ask && askSize > q.askSize {
			q.ask, q.askSize, q.askEx = e.ask, askSize, e.id
		}
	}
	return q
}

// appendShares appends millionths of shares with at least one decimal, as in
// "40.0" and "0.740474".
func appendShares(b []byte, n int64) []byte {
	if n%micro == 0 {
		return append(strconv.AppendInt(b, n/micro, 10), '.', '0')
	}
	return appendTrim(b, n, 6)
}
