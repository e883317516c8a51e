package orderbook

import "github.com/quotewire/quotewire/market"

// value takes a number that is no print. The level of an index is its last, high
// and low; a provider's last value is the last alone; what a provider takes for
// the fair price is none of them.
func (s *Shard) value(b *book, e *market.Event) {
	if e.Value != market.ValueIndex && e.Value != market.ValueLast {
		return
	}
	in := b.in
	price, _, ok := in.fit(e.Price, 0, e)
	if !ok {
		b.stats.Refused++
		return
	}
	if changed, _ := s.print(b, e, price, 0); changed {
		in.upd.Changed |= ChangedTicker
	}
}
