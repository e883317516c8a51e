package normalizer

import "github.com/quotewire/quotewire/market"

// status reads the products of the status channel, which come all of them every
// five seconds: increments and what may be traded. All are remembered; those
// that have been seen are told of, once.
func (d *coinbase) status(dst []market.Event, products span) []market.Event {
	s := &d.s
	if products.kind != array {
		d.refusePart("status", d.blame(CauseMissingField, "products", products))
		return dst
	}
	back := s.at(products)
	s.open('[')
	for s.elem() {
		dst = d.productStatus(dst)
	}
	s.resume(back)
	return dst
}

func (d *coinbase) productStatus(dst []market.Event) []market.Event {
	s := &d.s
	if s.peek() != '{' {
		v := s.value()
		d.refuse(CauseBadValue, "status: product: %q", clip(s.raw(v)))
		return dst
	}
	var id, base, quote, status, post, cancel, auction, disabled span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "id":
			id = v
		case "base_increment":
			base = v
		case "quote_increment":
			quote = v
		case "status":
			status = v
		case "post_only":
			post = v
		case "cancel_only":
			cancel = v
		case "auction_mode":
			auction = v
		case "trading_disabled":
			disabled = v
		}
	}
	p, why := d.product(id)
	if why != nil {
		d.refusePart("status", why)
		return dst
	}
	tick, pd, ok := s.amount(quote)
	if !ok {
		d.refusePart("status", d.blame(CauseBadNumber, "quote_increment", quote))
		return dst
	}
	lot, sd, ok := s.amount(base)
	if !ok {
		d.refusePart("status", d.blame(CauseBadNumber, "base_increment", base))
		return dst
	}
	tick, pd = market.Trim(tick, pd, 0)
	lot, sd = market.Trim(lot, sd, 0)
	p.reference.set(market.Scale{Price: pd, Size: sd}, market.Price(tick), market.Size(lot))
	b, _ := s.str(status)
	switch {
	case string(b) == "delisted":
		p.reference.status = market.StatusClosed
	case flag(disabled) || string(b) == "offline":
		p.reference.status = market.StatusHalted
	case flag(post) || flag(cancel) || flag(auction):
		p.reference.status = market.StatusRestricted
	default:
		p.reference.status = market.StatusTrading
	}
	if p.id == 0 {
		return dst
	}
	n := len(dst)
	dst = d.tell(dst, &p.reference, p.reference.status, p.id, d.venue)
	if len(dst) > n {
		dst[len(dst)-1].Flags |= market.FlagLast
	}
	return dst
}
