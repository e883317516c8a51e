package normalizer

import (
	"bytes"

	"github.com/quotewire/quotewire/market"
)

// subscriptions reads the listing of all that is subscribed on the connection,
// which answers each request. A book that is no longer in it gets no changes; and
// once it is subscribed again, nothing but its next snapshot can tell what was
// missed meanwhile. A snapshot that came before, from an earlier subscription, is
// not it.
func (d *coinbase) subscriptions(dst []market.Event, channels span) []market.Event {
	s := &d.s
	if channels.kind != array {
		d.refuse(CauseMissingField, "subscriptions: channels")
		return dst
	}
	for _, p := range d.products.order {
		p.listed, p.listedFull = false, false
	}
	back := s.at(channels)
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			s.value()
			continue
		}
		var name, ids span
		s.open('{')
		for v := (span{}); s.member(&v); {
			switch string(s.name) {
			case "name":
				name = v
			case "product_ids":
				ids = v
			}
		}
		// level2, level2_batch, and level2_50 as the answer names it; full.
		b, _ := s.str(name)
		full := string(b) == "full"
		if ids.kind != array || !full && !bytes.HasPrefix(b, []byte("level2")) {
			continue
		}
		next := s.at(ids)
		s.open('[')
		for s.elem() {
			if b, ok := s.str(s.value()); ok {
				d.listed(b, full)
			}
		}
		s.resume(next)
	}
	s.resume(back)
	for _, p := range d.products.order {
		if p.imaged && !p.listed {
			p.imaged = false
			p.reference.forget()
			dst = d.gap(dst, p.id, d.venue)
		}
		if p.full && !p.listedFull {
			p.full = false
			if p.id != 0 {
				dst = d.lose(dst, &p.diffSymbol)
			}
		}
	}
	return dst
}

// listed takes note of a product that is subscribed. A print of one that is in full
// counts in its sequence.
func (d *coinbase) listed(product []byte, full bool) {
	if !full {
		if p := d.products.by[string(product)]; p != nil {
			p.listed = true
		}
		return
	}
	p, why := d.productOf(product, span{})
	d.fault.cause = ""
	if why == nil {
		p.full, p.listedFull = p.full || !p.imaged, true
	}
}
