package orderbook

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
)

// tapeModel says in the plainest words what ticker and bars must be: it keeps all
// prints for ever and counts them anew whenever something changed. Prints are
// those of New York's stocks, whose days begin at midnight and trade from 4:00 to
// 20:00; the test stays within two weeks of winter time without a holiday.
type tapeModel struct {
	prints   []*tapePrint
	bars     map[tapeBar]*tapeFigures
	day      int64 // start of the day of the latest print; 0 before any
	entries  int
	lateBars int
	unknown  int
	heard    []string // corrections

	touched   map[tapeBar]bool // by the message at hand
	watermark int64
}

type tapeBar struct {
	interval Interval
	start    int64
}

// tapeFigures are a bar's, as texts.
type tapeFigures struct {
	text string
	rev  int
}

type tapePrint struct {
	venue         market.VenueID
	id            string
	price, size   decimal.Decimal
	at            int64
	last, highLow bool
	bar, ext      bool
	volume        bool
	gone          bool
	in            [NumIntervals]tapeBar // bars that hold its time
}

// tapeRules are what a few conditions allow, by the plans' tables.
var tapeRules = map[market.Condition]struct{ last, first, highLow, volume, bar, ext bool }{
	0:  {last: true, highLow: true, volume: true, bar: true},
	2:  {volume: true},                             // average price
	12: {volume: true, bar: true, ext: true},       // Form T
	13: {volume: true, ext: true},                  // Form T, out of sequence
	15: {},                                         // official close
	32: {first: true, highLow: true, volume: true}, // sold out of sequence
	37: {volume: true},                             // odd lot
	38: {last: true, highLow: true},                // corrected close
}

const (
	tapeHour = int64(time.Hour)
	tapeDay  = 24 * tapeHour
)

// dayOf returns the start of the trading day: Saturday and Sunday are Friday's.
func (m *tapeModel) dayOf(at int64) int64 {
	start := (at-5*tapeHour)/tapeDay*tapeDay + 5*tapeHour
	for wd := time.Unix(0, start).UTC().Weekday(); wd == time.Saturday || wd == time.Sunday; wd = time.Unix(0, start).UTC().Weekday() {
		start -= tapeDay
	}
	return start
}

// barOf returns the bar that holds the time and where it ends.
func (m *tapeModel) barOf(i Interval, at int64) (tapeBar, int64) {
	day := m.dayOf(at)
	if i == Day {
		return tapeBar{i, day}, day + 20*tapeHour
	}
	length := int64(i.Length())
	start := at / length * length // New York is whole hours from UTC
	return tapeBar{i, start}, start + length
}

func (m *tapeModel) classify(e *market.Event, p *tapePrint) {
	first := true
	for _, q := range m.prints {
		first = first && (q == p || q.gone || !q.last || q.in[Day].start != m.day)
	}
	p.last, p.highLow, p.volume, p.bar = true, true, true, true
	p.ext = false
	for _, c := range e.Conditions[:e.NumConditions] {
		r := tapeRules[c]
		p.last = p.last && (r.last || r.first && first)
		p.highLow, p.volume, p.bar = p.highLow && r.highLow, p.volume && r.volume, p.bar && r.bar
		p.ext = p.ext || r.ext
	}
	p.ext = p.ext && p.bar
}

func (m *tapeModel) apply(e *market.Event) {
	price, size := market.ToDecimal(e.Price, e.PriceDecimals), market.ToDecimal(e.Size, e.SizeDecimals)
	switch e.Kind {
	case market.KindTrade:
		p := &tapePrint{venue: e.Venue, id: e.ID.String(), price: price, size: size, at: e.Time}
		for i := range p.in {
			p.in[i], _ = m.barOf(Interval(i), p.at)
		}
		if day := p.in[Day].start; day > m.day {
			m.day = day
		}
		m.classify(e, p)
		m.entries++
		m.prints = append(m.prints, p)
		m.touch(p, true)
	case market.KindCancel, market.KindCorrection:
		key := fmt.Sprint(e.Kind, e.Venue, e.ID, e.TradeSequence)
		if slices.Contains(m.heard[max(len(m.heard)-16, 0):], key) {
			return // over another line
		}
		m.heard = append(m.heard, key)
		var p *tapePrint
		for _, q := range m.prints {
			if q.venue == e.Venue && q.id == e.ID.String() {
				p = q
			}
		}
		if p == nil {
			m.entries++
			m.unknown++
			return
		}
		if p.gone {
			return // taken back already
		}
		m.entries++
		p.gone = true
		if e.Kind == market.KindCorrection {
			m.classify(e, p)
			p.gone, p.price, p.size, p.id = false, price, size, fmt.Sprint(e.TradeSequence)
		}
		m.touch(p, false)
	}
}

// touch counts anew the bars of a print's time.
func (m *tapeModel) touch(p *tapePrint, isNew bool) {
	late := false
	for i := range Interval(NumIntervals) {
		key := p.in[i]
		touches := p.volume || i == Day && p.highLow || i != Day && p.bar
		if isNew && !touches {
			continue
		}
		newer := 0
		for k := range m.bars {
			if k.interval == i && k.start > key.start {
				newer++
			}
		}
		b := m.bars[key]
		if newer >= barsKept[i] {
			late = true
			continue
		}
		if b == nil && (p.gone || !touches) {
			continue
		}
		if b == nil {
			b = &tapeFigures{}
			m.bars[key] = b
		}
		text := m.figures(key)
		if text != b.text {
			b.text = text
			m.touched[key] = true
		}
	}
	if late {
		m.lateBars++
	}
}

// end ends a message: bars that it touched and that were final have another
// revision.
func (m *tapeModel) end() {
	for key := range m.touched {
		if _, end := m.barOf(key.interval, key.start); end <= m.watermark {
			m.bars[key].rev++
		}
	}
	clear(m.touched)
}

// of returns the prints of an interval, by time, of equal times in their order.
func (m *tapeModel) of(key tapeBar) []*tapePrint {
	var out []*tapePrint
	for _, p := range m.prints {
		if p.in[key.interval] == key && !p.gone {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b *tapePrint) int { return cmp.Compare(a.at, b.at) })
	return out
}

// figures renders an interval's open, high, low, close, volume, notional, trades.
func (m *tapeModel) figures(key tapeBar) string {
	var open, high, low, close *decimal.Decimal
	volume, notional, trades := decimal.Zero, decimal.Zero, 0
	for _, p := range m.of(key) {
		ranges, lasts := p.bar, p.bar
		if key.interval == Day {
			ranges, lasts = p.highLow, p.last && p.highLow
		}
		if ranges {
			if high == nil || p.price.GreaterThan(*high) {
				high = &p.price
			}
			if low == nil || p.price.LessThan(*low) {
				low = &p.price
			}
		}
		if lasts {
			if open == nil {
				open = &p.price
			}
			close = &p.price
		}
		if p.volume {
			volume, notional, trades = volume.Add(p.size), notional.Add(p.price.Mul(p.size)), trades+1
		}
	}
	return fmt.Sprintf("%s %s %s %s %s %s %d", show(open), show(high), show(low), show(close), volume, notional, trades)
}

func show(d *decimal.Decimal) string {
	if d == nil {
		return "-"
	}
	return d.String()
}

// last returns the latest print before a time that may set the last price.
func (m *tapeModel) last(before int64) *tapePrint {
	var last *tapePrint
	for _, p := range m.prints {
		if !p.gone && p.last && p.at < before && (last == nil || p.at >= last.at) {
			last = p
		}
	}
	return last
}

// ticker renders the ticker: the day's figures, then last, previous close and the
// last of extended hours.
func (m *tapeModel) ticker() string {
	last, lastSize, prev, ext := "-", "-", "-", "-"
	if p := m.last(math.MaxInt64); p != nil {
		last, lastSize = p.price.String(), fmt.Sprint(p.size, "@", p.venue)
	}
	if p := m.last(m.day); p != nil {
		prev = p.price.String()
	}
	var late *tapePrint
	for _, p := range m.prints {
		if !p.gone && p.ext && p.in[Day].start == m.day && (late == nil || p.at >= late.at) {
			late = p
		}
	}
	if late != nil {
		ext = fmt.Sprint(late.price, "@", late.at)
	}
	f := m.figures(tapeBar{Day, m.day})
	var open, high, low, close, rest string
	_, _ = fmt.Sscan(f, &open, &high, &low, &close)
	rest = f[len(open)+len(high)+len(low)+len(close)+4:]
	return fmt.Sprintf("%s %s %s %s last %s %s prev %s ext %s", open, high, low, rest, last, lastSize, prev, ext)
}

// product renders a notional.
func product(n Uint128, s market.Scale) string {
	hi := decimal.NewFromUint64(n.Hi).Mul(decimal.NewFromUint64(1 << 63)).Mul(decimal.NewFromInt(2))
	return hi.Add(decimal.NewFromUint64(n.Lo)).Shift(-int32(s.Price) - int32(s.Size)).String()
}

func tapeTicker(t *Ticker, s market.Scale) string {
	price := func(p market.Price, has bool) string {
		if !has {
			return "-"
		}
		return market.ToDecimal(p, s.Price).String()
	}
	lastSize, ext := "-", "-"
	if t.HasLast {
		lastSize = fmt.Sprint(market.ToDecimal(t.LastSize, s.Size), "@", t.LastVenue)
	}
	if t.HasExt {
		ext = fmt.Sprint(market.ToDecimal(t.ExtLast, s.Price), "@", t.ExtTime)
	}
	return fmt.Sprintf("%s %s %s %s %s %d last %s %s prev %s ext %s",
		price(t.Open, t.HasOpen), price(t.High, t.HasRange), price(t.Low, t.HasRange), market.ToDecimal(t.Volume, s.Size),
		product(t.Notional, s), t.Trades, price(t.Last, t.HasLast), lastSize, price(t.PrevClose, t.HasPrevClose), ext)
}

func tapeText(b *Bar, s market.Scale) string {
	price := func(p market.Price, has bool) string {
		if !has {
			return "-"
		}
		return market.ToDecimal(p, s.Price).String()
	}
	return fmt.Sprintf("%s %s %s %s %s %s %d", price(b.Open, b.HasOpen), price(b.High, b.HasRange), price(b.Low, b.HasRange),
		price(b.Close, b.HasOpen), market.ToDecimal(b.Volume, s.Size), product(b.Notional, s), b.Trades)
}
