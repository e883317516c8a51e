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
		p.listed = false
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
		// level2, level2_batch, and level2_50 as the answer names it.
		if b, _ := s.str(name); ids.kind != array || !bytes.HasPrefix(b, []byte("level2")) {
			continue
		}
		next := s.at(ids)
		s.open('[')
		for s.elem() {
			if b, ok := s.str(s.value()); ok {
				if p := d.products.by[string(b)]; p != nil {
					p.listed = true
				}
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
	}
	return dst
}
