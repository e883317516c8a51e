package sim

import "time"

// Change is a crypto venue's book after one event changed it, as a watcher sees
// it. It is valid only during the call.
type Change struct {
	Venue, Pair string
	Time        time.Time
	v           *venue
}

// Decimals are those of all prices and sizes at this venue: a Level of 123 at 2
// decimals is 1.23.
func (c Change) Decimals() (price, size int) { return c.v.spec.PriceDecimals, c.v.spec.SizeDecimals }

// Len is how many levels a side has.
func (c Change) Len(bid bool) int { return len(c.v.side(bid).lv) }

// Level is the i-th level of a side, counted from the best, in units of the
// venue's decimals.
func (c Change) Level(bid bool, i int) (price, size int64) {
	l := c.v.side(bid).at(i)
	return l.price, l.size
}

// Watch calls fn for every crypto venue's book as it is now, and then after each
// event that changes one, until stop is called. The market is locked meanwhile,
// so fn must not call it. What is watched before a server is made is told before
// that server sends anything of it: a watcher can thus keep the history that
// whatever a client holds must be a part of.
func (m *Market) Watch(fn func(Change)) (stop func()) {
	w := &watcher{fn: fn}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.cryptos {
		for _, v := range c.venues {
			w.tell(v, m.now)
		}
	}
	m.sinks = append(m.sinks, w)
	return func() { m.detach(w) }
}

// watcher is a sink that hands on what happens to books.
type watcher struct{ fn func(Change) }

func (w *watcher) tell(v *venue, at int64) {
	w.fn(Change{Venue: v.spec.Venue, Pair: v.pair.spec.Pair, Time: time.Unix(0, at).UTC(), v: v})
}

func (w *watcher) onBook(v *venue, c *change)  { w.tell(v, c.time) }
func (w *watcher) onStockTrade(*stock, *print) {}
func (w *watcher) onStockQuote(*stock)         {}
func (w *watcher) onBar(*stock, bool, bar)     {}
func (w *watcher) onTick(int64)                {}
