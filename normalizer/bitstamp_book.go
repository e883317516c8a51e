package normalizer

import (
	"net/url"
	"strings"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// bookMessage reads what a message of changes and an image have in common. Its
// fault has been counted when it returns false, and the gap appended.
func (d *bitstamp) bookMessage(dst []market.Event, n int, m *bitstampMessage, pair []byte) (_ []market.Event, p *bitstampPair, x diff, ok bool) {
	p, why := d.seen(pair)
	if why != nil {
		d.refusePart("book", why)
		return d.loseAll(dst[:n]), nil, x, false
	}
	why = m.why
	if why == nil && !(m.sides[0] && m.sides[1]) {
		why = d.blame(CauseMissingField, "bids or asks", span{})
	}
	if why == nil {
		x.last, x.time, why = d.time(m)
	}
	if why != nil {
		d.refusePart("book", why)
		return d.lose(dst[:n], &p.diffSymbol), nil, x, false
	}
	x.received = d.received
	d.clock(x.time)
	return dst, p, x, true
}

// diff handles a message of changes whose levels are in dst from n on.
func (d *bitstamp) diff(dst []market.Event, n int, m *bitstampMessage, pair []byte) []market.Event {
	dst, p, x, ok := d.bookMessage(dst, n, m, pair)
	if !ok {
		return dst
	}
	if p.images || p.orders {
		return dst[:n]
	}
	p.diffs = true
	return d.change(dst, n, &p.diffSymbol, x)
}

// bitstampDepth is how many levels a side an image of order_book has.
const bitstampDepth = 100

// wholeBook handles a message of order_book, an image of the best levels.
func (d *bitstamp) wholeBook(dst []market.Event, n int, m *bitstampMessage, pair []byte) []market.Event {
	dst, p, x, ok := d.bookMessage(dst, n, m, pair)
	if !ok {
		return dst
	}
	if p.diffs || p.orders {
		return dst[:n]
	}
	p.images = true
	return d.image(dst, n, &p.diffSymbol, x, bitstampDepth)
}

// reply decodes the answer to a REST request: GET /api/v2/order_book/<pair>/, with
// ?group=2 for single orders, and
// /api/v2/trading-pairs-info/, or /api/v2/markets/.
func (d *bitstamp) reply(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	if !d.begin(f) {
		return dst, d.err()
	}
	n := len(dst)
	u, err := url.Parse(f.URL)
	if err != nil {
		d.refuse(CauseUnknownType, "answer to %q", clip([]byte(f.URL)))
		return dst, d.err()
	}
	path := strings.TrimSuffix(u.Path, "/")
	if strings.HasSuffix(path, "/trading-pairs-info") || strings.HasSuffix(path, "/markets") {
		return d.listings(dst), d.err()
	}
	head, pair, _ := cutLast(path, "/")
	if !strings.HasSuffix(head, "/order_book") {
		d.refuse(CauseUnknownType, "answer to %q", clip([]byte(f.URL)))
		return dst, d.err()
	}
	m := bitstampMessage{group: u.Query().Get("group") == "2"}
	if d.s.open('{') {
		dst = d.members(dst, &m, false)
	}
	if !d.s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		return dst[:n], d.err()
	}
	return d.bookReply(dst, n, &m, pair), d.err()
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// bookReply handles the answer to a request for a book, whose levels are in dst
// from n on.
func (d *bitstamp) bookReply(dst []market.Event, n int, m *bitstampMessage, pair string) []market.Event {
	if m.micro.kind == absent && (m.status.kind != absent || m.code.kind != absent || m.errorMsg.kind != absent) {
		d.refuseAnswer(m)
		return dst[:n]
	}
	p, why := d.seen([]byte(pair))
	why = first(why, m.why)
	if why == nil && !(m.sides[0] && m.sides[1]) {
		why = d.blame(CauseMissingField, "bids or asks", span{})
	}
	var x diff
	if why == nil {
		x.last, x.time, why = d.time(m)
	}
	if why != nil {
		d.refusePart("snapshot", why)
		return dst[:n]
	}
	// An answer for another channel than the book comes over says nothing.
	if p.images || p.diffs && m.group || p.orders && !m.group {
		return dst[:n]
	}
	if m.group {
		x.last -= min(x.last, bitstampCut)
		p.orders, p.flags = true, market.FlagPiecemeal
	}
	return d.snapshot(dst, n, &p.diffSymbol, x)
}

func (d *bitstamp) refuseAnswer(m *bitstampMessage) {
	text := m.reason
	if text.kind == absent {
		text = m.errorMsg
	}
	d.refuse(CauseProvider, "%s %q", clip(d.s.raw(m.code)), clip(d.s.raw(text)))
}

// class tells currencies from crypto assets by the pair's name.
func (p *bitstampPair) class() market.Class {
	base, quote, _ := strings.Cut(p.canonical, "-")
	return cryptoClass(base, quote)
}

// listings reads the reference data of all pairs, an array. All are remembered;
// those that have been seen are told of.
func (d *bitstamp) listings(dst []market.Event) []market.Event {
	n := len(dst)
	s := &d.s
	if s.peek() == '{' {
		var m bitstampMessage
		s.open('{')
		dst = d.members(dst, &m, false)[:n]
		if s.end() {
			d.refuseAnswer(&m)
			return dst
		}
	} else if s.open('[') {
		for s.elem() {
			dst = d.listing(dst)
		}
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		for _, p := range d.known.order {
			p.reference.forget() // what is taken back here is told again
		}
		return dst[:n]
	}
	return dst
}

// listing reads one pair: "BTC/USD" is the name of btcusd. One that cannot be
// named is left out.
func (d *bitstamp) listing(dst []market.Event) []market.Event {
	s := &d.s
	if s.peek() != '{' {
		v := s.value()
		d.refuse(CauseBadValue, "pairs: %q", clip(s.raw(v)))
		return dst
	}
	var name, pair, base, counter, trading span
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "name":
			name = v
		case "url_symbol", "market_symbol":
			pair = v
		case "base_decimals":
			base = v
		case "counter_decimals":
			counter = v
		case "trading":
			trading = v
		}
	}
	if s.bad {
		return dst
	}
	b, ok1 := s.str(name)
	canonical := strings.ReplaceAll(string(b), "/", "-")
	b, ok2 := s.str(pair)
	spelling := string(b)
	sizes, ok3 := s.uint(base)
	prices, ok4 := s.uint(counter)
	if !ok1 || !ok2 || !ok3 || !ok4 || sizes > uint64(market.MaxDecimals) || prices > uint64(market.MaxDecimals) {
		d.refuse(CauseBadValue, "pairs: name, symbol or decimals of %q", clip([]byte(spelling)))
		return dst
	}
	if market.CheckSymbol(canonical) != nil || market.CheckSymbol(spelling) != nil {
		return dst
	}
	p, _ := d.known.get([]byte(spelling))
	if p == nil {
		d.refuse(CauseOversized, "more symbols than a feed may have, at %q", clip([]byte(spelling)))
		return dst
	}
	if p.id == 0 {
		p.canonical = canonical
	}
	// Both are the last decimal of what the venue writes.
	p.reference.set(market.Scale{Price: market.Decimals(prices), Size: market.Decimals(sizes)}, 1, 1)
	p.reference.status = market.StatusTrading
	if word, ok := s.str(trading); ok && !strings.EqualFold(string(word), "enabled") {
		p.reference.status = market.StatusHalted
	}
	if p.id == 0 {
		return dst
	}
	k := len(dst)
	dst = d.tell(dst, &p.reference, p.reference.status, p.id, d.venue)
	if len(dst) > k {
		dst[len(dst)-1].Flags |= market.FlagLast
	}
	return dst
}
