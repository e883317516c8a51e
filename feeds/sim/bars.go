package sim

// bar is what a second or a minute of a stock's trades came to. Prices are at
// tradePrice decimals, volumes in millionths of shares, times in Unix
// nanoseconds.
type bar struct {
	start, end             int64
	open, high, low, close int64
	volume, vwap           int64
	dayVolume, dayVWAP     int64
	trades                 int64
}

// barBuilder collects a bar. An odd lot counts in the volume and leaves the
// prices alone (condition 37 of the consolidated update rules); a window
// without a trade that sets a price gives no bar.
type barBuilder struct {
	length int64
	b      bar
	pv     u128
	priced bool
}

func (w *barBuilder) add(p *print) {
	b := &w.b
	if b.start == 0 {
		b.start = p.time / w.length * w.length
		b.end = b.start + w.length
	}
	b.volume += p.size
	b.trades++
	w.pv.addProduct(p.price, p.size)
	if p.odd {
		return
	}
	if !w.priced {
		w.priced = true
		b.open, b.high, b.low = p.price, p.price, p.price
	}
	b.high, b.low, b.close = max(b.high, p.price), min(b.low, p.price), p.price
}

// roll ends the bars that are over at the given time, before a trade of that
// time is counted.
func (s *stock) roll(m *Market, now int64) {
	for _, w := range []*barBuilder{&s.second, &s.minute} {
		if w.b.start == 0 || now < w.b.end {
			continue
		}
		b := w.b
		b.vwap = w.pv.div(b.volume)
		b.dayVolume, b.dayVWAP = s.dayVolume, s.dayPV.div(s.dayVolume)
		if w.priced {
			for _, k := range m.sinks {
				k.onBar(s, w == &s.minute, b)
			}
		}
		*w = barBuilder{length: w.length}
	}
}
