package sim

import (
	"fmt"
	"slices"
)

// What Polygon shows beside stocks and crypto: currencies, which walk by
// themselves, and indices, options and futures, which follow the stocks. Nobody
// trades them with each other; they are there so that every kind of message
// comes.

const (
	forexDecimals = 5
	luldEvery     = int64(30e9) // bands are published again this often
	optionEvery   = int64(100e6)
	valueEvery    = int64(1e9) // of an index
	futureEvery   = int64(50e6)
)

// polygonPath is the market in a connection's path, and the exchange for futures:
// /futures/cme is a market of its own with what /futures has.
func polygonPath(path string) string {
	for _, m := range []string{"stocks", "options", "forex", "crypto", "indices", "futures"} {
		if slices.Contains(splitPath(path), m) {
			return m
		}
	}
	return ""
}

func splitPath(path string) (parts []string) {
	for len(path) > 0 {
		i := 0
		for i < len(path) && path[i] != '/' {
			i++
		}
		parts = append(parts, path[:i])
		path = path[min(i+1, len(path)):]
	}
	return parts
}

// polygonMarkets is the state of these markets.
type polygonMarkets struct {
	pairs   []*polygonPair
	indices []*polygonIndex
	options []*polygonOption
	futures []*polygonFuture
	luldAt  int64
}

// polygonPair is a pair of currencies.
type polygonPair struct {
	symbol   string
	rnd      random
	mid      int64 // at forexDecimals
	bid, ask int64
	second   plainBar
	minute   plainBar
}

// polygonIndex follows a stock.
type polygonIndex struct {
	symbol         string
	of             *stock
	times          int64
	next           int64
	value          int64 // in hundredths
	second, minute plainBar
}

// polygonOption is a contract on a stock.
type polygonOption struct {
	symbol   string
	of       *stock
	rnd      random
	strike   int64 // cents
	call     bool
	next     int64
	bid, ask int64 // cents
	seq      int64
}

// polygonFuture follows a stock.
type polygonFuture struct {
	symbol         string
	of             *stock
	rnd            random
	next           int64
	bid            int64 // quarters of a point
	seq            int64
	second, minute plainBar
}

// plainBar is open, high, low, close and a count.
type plainBar struct {
	length, start          int64
	open, high, low, close int64
	n, volume              int64
}

// add takes a price, and returns the bar that is over before it, if any.
func (b *plainBar) add(at, price, volume int64) (done plainBar, ok bool) {
	if start := at / b.length * b.length; b.n > 0 && start != b.start {
		done, ok = *b, true
		b.n, b.volume = 0, 0
	}
	if b.n == 0 {
		b.start = at / b.length * b.length
		b.open, b.high, b.low = price, price, price
	}
	b.high, b.low, b.close = max(b.high, price), min(b.low, price), price
	b.n++
	b.volume += volume
	return done, ok
}

func bars() (second, minute plainBar) { return plainBar{length: 1e9}, plainBar{length: 60e9} }

func newPolygonMarkets(m *Market) *polygonMarkets {
	k := &polygonMarkets{luldAt: m.now}
	for _, p := range []struct {
		symbol string
		mid    int64
	}{{"EUR/USD", 1_16010}, {"GBP/USD", 1_33420}, {"USD/CHF", 80210}} {
		pair := &polygonPair{symbol: p.symbol, rnd: newRandom(m.seed, p.symbol+"|forex"), mid: p.mid}
		pair.second, pair.minute = bars()
		k.pairs = append(k.pairs, pair)
	}
	for _, x := range []struct {
		symbol, of string
		times      int64
	}{{"I:SPX", "SPY", 10}, {"I:NDX", "QQQ", 41}} {
		if s := m.bySymbol[x.of]; s != nil {
			i := &polygonIndex{symbol: x.symbol, of: s, times: x.times, next: m.now + valueEvery}
			i.second, i.minute = bars()
			k.indices = append(k.indices, i)
		}
	}
	for _, ticker := range []string{"AAPL", "SPY"} {
		s := m.bySymbol[ticker]
		if s == nil {
			continue
		}
		strike := s.open / 100 / 500 * 500 // at the money, whole 5 dollars
		for _, call := range []bool{true, false} {
			letter := "P"
			if call {
				letter = "C"
			}
			symbol := fmt.Sprintf("O:%s261218%s%08d", ticker, letter, strike*10)
			k.options = append(k.options, &polygonOption{symbol: symbol, of: s, rnd: newRandom(m.seed, symbol), strike: strike, call: call, next: m.now + optionEvery})
		}
	}
	if s := m.bySymbol["SPY"]; s != nil {
		f := &polygonFuture{symbol: "ESZ6", of: s, rnd: newRandom(m.seed, "ESZ6|future"), next: m.now + futureEvery}
		f.second, f.minute = bars()
		k.futures = append(k.futures, f)
	}
	return k
}

// mid is a stock's midpoint in hundredths of a cent, so that it is whole.
func (s *stock) mid() int64 { return (s.shown.bid + s.shown.ask) * 50 }

// step lets what is due in these markets happen.
func (p *polygon) step(now int64) {
	k := p.markets
	if now >= k.luldAt {
		k.luldAt = now + luldEvery
		for _, s := range p.s.market.stocks {
			p.luld(s, now)
		}
	}
	for _, pair := range k.pairs {
		p.stepPair(pair, now)
	}
	for _, i := range k.indices {
		if now >= i.next {
			i.next = now + valueEvery
			p.stepIndex(i, now)
		}
	}
	for _, o := range k.options {
		if now >= o.next {
			o.next = now + optionEvery
			p.stepOption(o, now)
		}
	}
	for _, f := range k.futures {
		if now >= f.next {
			f.next = now + futureEvery
			p.stepFuture(f, now)
		}
	}
}

// luld sends the bands of a stock: five percent either way, as in tier 1.
func (p *polygon) luld(s *stock, now int64) {
	to := p.wanting("stocks", "LULD", s.spec.Symbol)
	if len(to) == 0 {
		return
	}
	mid := s.mid() / 100
	b := append(p.buf[:0], `{"ev":"LULD"`...)
	b = price(b, "h", mid+mid/20, 2)
	b = price(b, "l", mid-mid/20, 2)
	b = append(b, `,"i":[22]`...)
	b = field(b, "z", int64(s.spec.Tape))
	b = append(b, `,"T":"`...)
	b = append(b, s.spec.Symbol...)
	b = append(b, '"')
	b = field(b, "t", now) // nanoseconds, whatever the documentation says
	s.luldSeq++
	b = field(b, "q", s.luldSeq)
	b = append(b, '}')
	p.emit(kindData, s.spec.Symbol, b, to)
}

func (p *polygon) stepPair(pair *polygonPair, now int64) {
	if !pair.rnd.chance(0.03) { // of a quantum: some six times a second
		return
	}
	pair.mid += pair.rnd.Int64N(5) - 2
	pair.bid, pair.ask = pair.mid-1-pair.rnd.Int64N(3), pair.mid+1+pair.rnd.Int64N(3)
	if to := p.wanting("forex", "C", pair.symbol); len(to) > 0 {
		b := head(p.buf[:0], "C", "p", pair.symbol)
		b = field(b, "x", 48)
		b = price(b, "a", pair.ask, forexDecimals)
		b = price(b, "b", pair.bid, forexDecimals)
		b = field(b, "t", ms(now))
		p.emit(kindBook, pair.symbol, append(b, '}'), to)
	}
	p.plainBars("forex", "CAS", "CA", "pair", pair.symbol, &pair.second, &pair.minute, now, pair.bid, 0, forexDecimals)
}

// plainBars takes a price into the bars of a second and of a minute, and sends
// those that are over.
func (p *polygon) plainBars(market, second, minute, key, symbol string, s, m *plainBar, now, value, volume int64, decimals int) {
	for i, w := range [2]*plainBar{s, m} {
		done, ok := w.add(now, value, volume)
		ev := [2]string{second, minute}[i]
		to := p.wanting(market, ev, symbol)
		if !ok || len(to) == 0 {
			continue
		}
		b := head(p.buf[:0], ev, key, symbol)
		b = price(b, "o", done.open, decimals)
		b = price(b, "c", done.close, decimals)
		b = price(b, "h", done.high, decimals)
		b = price(b, "l", done.low, decimals)
		switch market {
		case "forex":
			b = field(b, "v", done.n) // the number of quotes
		case "futures":
			b = field(b, "v", done.volume)
			b = fmt.Appendf(b, `,"dv":"%d.0"`, done.volume)
			b = field(b, "n", done.n)
		}
		b = field(b, "s", ms(done.start))
		b = field(b, "e", ms(done.start+done.length))
		p.emit(kindData, symbol, append(b, '}'), to)
	}
}

func (p *polygon) stepIndex(i *polygonIndex, now int64) {
	i.value = i.of.mid() * i.times / 100
	if to := p.wanting("indices", "V", i.symbol); len(to) > 0 {
		b := append(p.buf[:0], `{"ev":"V"`...)
		b = price(b, "val", i.value, 2)
		b = append(b, `,"T":"`...)
		b = append(b, i.symbol...)
		b = append(b, '"')
		b = field(b, "t", ms(now))
		p.emit(kindData, i.symbol, append(b, '}'), to)
	}
	p.plainBars("indices", "A", "AM", "sym", i.symbol, &i.second, &i.minute, now, i.value, 0, 2)
}

// worth is what a contract is worth in cents: what it would bring at once, and
// something for the time that it has left.
func (o *polygonOption) worth() int64 {
	spot := o.of.mid() / 100
	gain := spot - o.strike
	if !o.call {
		gain = -gain
	}
	return max(gain, 0) + spot/50
}

func (p *polygon) stepOption(o *polygonOption, now int64) {
	w := o.worth()
	if bid, ask := max(w-3, 1), w+3; bid != o.bid || ask != o.ask {
		o.bid, o.ask = bid, ask
		o.seq += 1 + o.rnd.Int64N(900)
		if to := p.wanting("options", "Q", o.symbol); len(to) > 0 {
			b := head(p.buf[:0], "Q", "sym", o.symbol)
			b = field(b, "bx", 302)
			b = field(b, "ax", 316)
			b = price(b, "bp", o.bid, 2)
			b = price(b, "ap", o.ask, 2)
			b = field(b, "bs", 1+o.rnd.Int64N(40))
			b = field(b, "as", 1+o.rnd.Int64N(40))
			b = field(b, "t", ms(now))
			b = field(b, "q", o.seq)
			p.emit(kindBook, o.symbol, append(b, '}'), to)
		}
	}
	if o.rnd.chance(0.05) {
		o.seq += 1 + o.rnd.Int64N(900)
		if to := p.wanting("options", "T", o.symbol); len(to) > 0 {
			b := head(p.buf[:0], "T", "sym", o.symbol)
			b = field(b, "x", 302)
			b = price(b, "p", o.bid, 2)
			b = field(b, "s", 1+o.rnd.Int64N(10))
			b = append(b, `,"c":[209]`...)
			b = field(b, "t", ms(now))
			b = field(b, "q", o.seq)
			p.emit(kindData, o.symbol, append(b, '}'), to)
		}
	}
}

// stepFuture: a contract moves by quarters of a point around ten times its stock.
func (p *polygon) stepFuture(f *polygonFuture, now int64) {
	if bid := f.of.mid() * 40 / 10000; bid != f.bid {
		f.bid = bid
		if to := p.wanting("futures", "Q", f.symbol); len(to) > 0 {
			b := head(p.buf[:0], "Q", "sym", f.symbol)
			b = price(b, "bp", f.bid*25, 2)
			b = field(b, "bs", 1+f.rnd.Int64N(60))
			b = field(b, "bt", ms(now))
			b = price(b, "ap", f.bid*25+25, 2)
			b = field(b, "as", 1+f.rnd.Int64N(60))
			b = field(b, "at", ms(now))
			b = field(b, "t", ms(now))
			p.emit(kindBook, f.symbol, append(b, '}'), to)
		}
	}
	if !f.rnd.chance(0.2) {
		return
	}
	at, size := f.bid*25, 1+f.rnd.Int64N(5)
	if f.rnd.chance(0.5) {
		at += 25
	}
	f.seq += 1 + f.rnd.Int64N(9)
	if to := p.wanting("futures", "T", f.symbol); len(to) > 0 {
		b := head(p.buf[:0], "T", "sym", f.symbol)
		b = price(b, "p", at, 2)
		b = field(b, "s", size)
		b = field(b, "t", ms(now))
		b = field(b, "q", f.seq)
		p.emit(kindData, f.symbol, append(b, '}'), to)
	}
	p.plainBars("futures", "A", "AM", "sym", f.symbol, &f.second, &f.minute, now, at, size, 2)
}
