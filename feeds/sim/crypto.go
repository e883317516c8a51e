package sim

import (
	"math"
	"strconv"
)

// crypto is one pair: its hidden fair value and its venues. It belongs to the
// goroutine that holds Market.mu.
type crypto struct {
	spec   CryptoSpec
	rnd    random
	fair   float64 // hidden; every price on the wire is a whole number of ticks
	heat   float64 // how far a burst raises activity; decays
	spark  float64 // how far one taker raises heat
	venues []*venue
}

// venue is a pair's book at one venue.
type venue struct {
	spec   VenueSpec
	pair   *crypto
	kraken string // BTC/USD
	rnd    random
	hash   uint64 // of its order ids

	tickValue float64 // of one tick, in the quote currency
	usual     int64   // a usual order, in size units
	fair      float64 // the venue's view of the fair value, a little late
	basis     float64 // its own lean, relative

	bids, asks ladder
	seq        int64 // Coinbase's sequence: one for each thing that happens to an order
	tradeID    int64
	trades     int64
	takers     int64   // counts taker orders, for their ids
	last       trade   // the newest trade; its id is 0 before the first
	recent     []trade // the last 50, oldest first
	change     change  // scratch, valid during onBook
	lastEvent  int64
	orders     *bookOrders // behind the levels, once somebody wants to see them
}

// trade is one print: a taker met one resting level.
type trade struct {
	id, seq      int64
	time         int64
	price, size  int64
	buy          bool // the taker bought
	maker, taker uint64
}

// levelChange is a level's new absolute size; 0 removes it.
type levelChange struct {
	bid         bool
	price, size int64
}

// change is what one event did to a book, in order. A price may occur twice.
// The slices are reused once onBook has returned.
type change struct {
	time   int64
	levels []levelChange
	trades []trade
}

func newCrypto(seed uint64, spec CryptoSpec, now int64) *crypto {
	c := &crypto{spec: spec, rnd: newRandom(seed, spec.Pair)}
	c.fair, _ = strconv.ParseFloat(spec.Price, 64) // checked by validate
	for _, vs := range spec.Venues {
		if vs.Tick == 0 {
			vs.Tick = 1
		}
		v := &venue{spec: vs, pair: c, kraken: krakenSymbol(spec.Pair), rnd: newRandom(seed, spec.Pair+"|"+vs.Venue), fair: c.fair}
		v.tickValue = float64(vs.Tick)
		for range vs.PriceDecimals {
			v.tickValue /= 10
		}
		v.usual, _ = parseFixed(vs.Size, vs.SizeDecimals) // checked by validate
		v.usual = max(v.usual, 1)
		v.bids.bid = true
		v.tradeID = 1_000_000 + v.rnd.Int64N(900_000_000)
		v.seq = 10_000_000 + v.rnd.Int64N(90_000_000_000)
		v.lastEvent = now
		v.hash = v.rnd.Uint64()
		v.fill()
		v.change = change{}
		c.venues = append(c.venues, v)
	}
	return c
}

func (c *crypto) at(venue string) *venue {
	for _, v := range c.venues {
		if v.spec.Venue == venue {
			return v
		}
	}
	return nil
}

// Trades bring trades: each taker raises the activity so much that it brings
// another excite takers by itself, within some heatDecay seconds. Below 1, or
// the market would run away.
const (
	excite    = 0.4
	heatDecay = 1.5
)

// rate is the order events per second over all venues in a quiet hour.
func (c *crypto) rate() (sum float64) {
	for _, v := range c.venues {
		sum += v.spec.Rate
	}
	return max(sum, 0.001)
}

func (c *crypto) step(m *Market, now, d int64, dt, act float64) {
	move := c.spec.VolBps / 1e4 * math.Sqrt(dt*(1+c.heat)) * c.rnd.normal()
	if c.rnd.chance(dt * 0.02 * act) { // news: a jump, and a burst after it
		move += c.spec.VolBps / 1e4 * 6 * c.rnd.normal()
		c.heat += 4
	}
	c.spark = excite / (c.rate() * 0.08 * heatDecay * act)
	c.fair += float64(c.fair * min(max(move, -0.05), 0.05))
	c.heat -= float64(c.heat * min(dt/heatDecay, 1))
	for _, v := range c.venues {
		v.step(m, now, d, dt, act*(1+c.heat))
	}
}

func (v *venue) step(m *Market, now, d int64, dt, act float64) {
	catchUp := 1.0
	if lag := v.spec.Lag.Seconds(); lag > dt {
		catchUp = dt / lag
	}
	v.fair += float64((v.pair.fair - v.fair) * catchUp)
	v.basis += float64(v.rnd.normal()*v.spec.SpreadBps/1e4*0.5*math.Sqrt(dt)) - float64(v.basis*min(dt/2, 1))

	n := v.rnd.count(v.spec.Rate * act * dt)
	for i := range n {
		v.event(m, now+d*int64(i+1)/int64(n+1), v.rnd.Float64())
	}
	// A book whose quotes can be picked off is seen to within some 30 ms even
	// where the venue is quiet; until then the consolidated quote may be locked
	// or crossed.
	lo, hi := v.target()
	if (v.asks.best().price <= lo || v.bids.best().price >= hi) && v.rnd.chance(dt/0.03) {
		v.event(m, now+d*int64(n+1)/int64(n+2), 0.2)
	}
}

// target is the bid and the ask that the venue's makers want to show now, in
// price units, at least one tick apart.
func (v *venue) target() (lo, hi int64) {
	fair := v.fair + float64(v.fair*v.basis)
	half := float64(v.fair * v.spec.SpreadBps / 1e4)
	lo = int64(math.Floor((fair - half) / v.tickValue))
	hi = int64(math.Ceil((fair + half) / v.tickValue))
	lo = max(lo, 1)
	hi = max(hi, lo+1)
	return lo * v.spec.Tick, hi * v.spec.Tick
}

// event lets one thing happen; u in [0,1) chooses what.
func (v *venue) event(m *Market, at int64, u float64) {
	v.lastEvent = max(v.lastEvent+1000, at) // microseconds apart, as the wire can tell
	v.change.time = v.lastEvent
	v.change.levels, v.change.trades = v.change.levels[:0], v.change.trades[:0]
	if v.orders != nil {
		v.orders.events = v.orders.events[:0]
	}
	switch {
	case u < 0.08:
		v.marketOrder()
	case u < 0.40:
		v.follow()
	case u < 0.62:
		v.requeue()
	case u < 0.82:
		v.place(v.rnd.chance(0.5))
	default:
		v.cancel(v.rnd.chance(0.5))
	}
	v.refill()
	if len(v.change.levels) == 0 {
		return
	}
	for _, k := range m.sinks {
		k.onBook(v, &v.change)
	}
}

func (v *venue) side(bid bool) *ladder {
	if bid {
		return &v.bids
	}
	return &v.asks
}

// set changes a level and notes it.
func (v *venue) set(bid bool, price, size int64) {
	size = min(size, v.usual*1000)
	if v.orders != nil {
		v.orders.resize(bid, price, size)
	} else {
		v.seq++
	}
	v.note(bid, price, size)
}

// note changes a level whose orders have changed.
func (v *venue) note(bid bool, price, size int64) {
	v.side(bid).set(price, size)
	v.change.levels = append(v.change.levels, levelChange{bid, price, size})
}

// size draws an order's size: mostly around the usual, sometimes a round lot,
// sometimes dust.
func (v *venue) size() int64 {
	switch u := v.rnd.Float64(); {
	case u < 0.15:
		return v.usual * (1 + v.rnd.Int64N(5))
	case u < 0.20:
		return 1 + v.rnd.Int64N(max(v.usual/1000, 1))
	default:
		return max(int64(float64(float64(v.usual)*v.rnd.heavy()*0.7)), 1)
	}
}

// marketOrder lets a taker trade. Takers lean to where the fair value is.
func (v *venue) marketOrder() {
	mid := float64(v.bids.best().price+v.asks.best().price) / 2
	buy := 0.5
	if fair := v.fair / v.tickValue * float64(v.spec.Tick); fair > mid {
		buy = 0.65
	} else if fair < mid {
		buy = 0.35
	}
	v.pair.heat = min(v.pair.heat+v.pair.spark, 8)
	v.take(v.rnd.chance(buy), v.size()/2+1, 0)
}

// take consumes the other side's best levels, up to size and, where limit is
// not 0, no further than that price. It leaves a few levels standing.
func (v *venue) take(buy bool, size, limit int64) {
	book := v.side(!buy)
	taker := mix(v.hash ^ uint64(v.takers))
	v.takers++
	order := -1
	var taken, worst int64
	defer func() {
		if order >= 0 {
			v.orders.end(order, taker, taken, worst)
		}
	}()
	for size > 0 && len(book.lv) > 3 {
		b := book.best()
		if limit != 0 && book.better(limit, b.price) {
			return
		}
		n := min(size, b.size)
		k := levelKey{!buy, b.price}
		maker := mix(v.hash ^ uint64(b.price)<<20)
		if v.orders != nil {
			if order < 0 {
				order, taker = v.orders.begin(buy)
			}
			n = min(n, v.orders.queues[k][0].size)
			maker = v.orders.fill(k, n)
			taken, worst = taken+n, b.price
		} else {
			v.seq++
		}
		size -= n
		v.tradeID++
		v.trades++
		v.last = trade{
			id: v.tradeID, seq: v.seq, time: v.change.time, price: b.price, size: n, buy: buy,
			maker: maker, taker: taker,
		}
		v.change.trades = append(v.change.trades, v.last)
		if len(v.recent) == 50 {
			copy(v.recent, v.recent[1:])
			v.recent = v.recent[:49]
		}
		v.recent = append(v.recent, v.last)
		if v.orders == nil {
			v.set(!buy, b.price, b.size-n)
			continue
		}
		v.orders.events[len(v.orders.events)-1].trade = v.last
		v.orders.filled(k)
		v.note(!buy, b.price, b.size-n)
	}
}

// follow brings the top of the book to where the makers want it. Quotes on the
// wrong side of the fair value are taken or withdrawn before the other side
// moves up, so the book is never crossed.
func (v *venue) follow() {
	lo, hi := v.target()
	v.clear(false, lo)
	v.clear(true, hi)
	for _, bid := range []bool{true, false} {
		want, book := hi, v.side(bid)
		if bid {
			want = lo
		}
		// Those who stand better than wanted withdraw by and by.
		for len(book.lv) > 3 && book.better(book.best().price, want) && v.rnd.chance(0.4) {
			v.set(bid, book.best().price, 0)
		}
		if len(book.lv) == 0 || book.better(want, book.best().price) {
			v.set(bid, want, v.size())
		}
	}
}

// clear removes the levels of a side that stand at the limit or beyond it.
func (v *venue) clear(bid bool, limit int64) {
	book := v.side(bid)
	beyond := func() bool {
		return len(book.lv) > 0 && !book.better(limit, book.best().price)
	}
	if beyond() && v.rnd.chance(0.5) {
		v.take(!bid, math.MaxInt64, limit)
	}
	for beyond() {
		v.set(bid, book.best().price, 0)
	}
}

// requeue changes the size of one of the best levels: orders join and leave.
func (v *venue) requeue() {
	bid := v.rnd.chance(0.5)
	book := v.side(bid)
	u := v.rnd.Float64()
	i := int(float64(float64(min(len(book.lv), 15)) * u * u))
	l := book.at(i)
	size := v.size()
	if v.rnd.chance(0.5) {
		size += l.size / 2
	}
	if size != l.size {
		v.set(bid, l.price, size)
	}
}

// place adds an order behind the best, most often close to it, often at a round
// price: levels cluster there.
func (v *venue) place(bid bool) {
	book := v.side(bid)
	u := v.rnd.Float64()
	span := max(float64(book.best().price/v.spec.Tick)*0.02, float64(v.spec.Levels)*3)
	away := 1 + int64(float64(span*u*u*u))
	price := book.best().price / v.spec.Tick
	round := int64(1)
	if w := v.rnd.Float64(); w < 0.30 {
		round = []int64{5, 10, 50, 100}[int(w*13.3)]
	}
	if bid {
		price = (price - away) / round * round
	} else {
		price = (price + away + round - 1) / round * round
	}
	price *= v.spec.Tick
	if price <= 0 {
		return
	}
	size := v.size()
	if away > 50 {
		size *= 3
	}
	v.set(bid, price, book.size(price)/2+size)
}

// cancel withdraws a level, more likely one near the best.
func (v *venue) cancel(bid bool) {
	book := v.side(bid)
	if len(book.lv) <= 3 {
		return
	}
	u := v.rnd.Float64()
	i := int(float64(float64(len(book.lv)-1) * u * u))
	v.set(bid, book.at(i).price, 0)
}

// fill opens the book with the venue's usual number of levels.
func (v *venue) fill() {
	lo, hi := v.target()
	v.set(true, lo, v.size())
	v.set(false, hi, v.size())
	for _, bid := range []bool{true, false} {
		for tries := 0; len(v.side(bid).lv) < v.spec.Levels && tries < v.spec.Levels*4; tries++ {
			v.place(bid)
		}
	}
}

// refill keeps both sides near the venue's usual number of levels. A side that
// was swept gets a new front at once; one that is merely thin gets one level
// more with each event.
func (v *venue) refill() {
	for _, bid := range []bool{true, false} {
		book := v.side(bid)
		n := 0
		if len(book.lv) < v.spec.Levels/2 {
			n = 20
		} else if len(book.lv) < v.spec.Levels*9/10 {
			n = 1
		}
		for range n {
			v.place(bid)
		}
		for len(book.lv) > v.spec.Levels*11/10+3 {
			v.set(bid, book.lv[0].price, 0)
		}
	}
}
