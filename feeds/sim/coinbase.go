package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

const (
	coinbaseBatch     = int64(50e6) // l2update is sent this often
	coinbaseHeartbeat = int64(1e9)
	coinbaseStatus    = int64(5e9)
)

// coinbaseChannels is the channels that are served, by the name that the
// subscriptions message gives them.
var coinbaseChannels = map[string]string{
	"level2": "level2", "level2_batch": "level2_50", "level2_50": "level2_50",
	"matches": "matches", "heartbeat": "heartbeat", "status": "status", "full": "full",
}

// coinbase speaks the Coinbase Exchange protocol. Its state is guarded by
// Market.mu.
type coinbase struct {
	s        *Server
	products []*coinbaseProduct
	byVenue  map[*venue]*coinbaseProduct
	byID     map[string]*coinbaseProduct

	nextBatch, nextHeartbeat, nextStatus int64
}

// coinbaseProduct is what waits for the next batch of a product.
type coinbaseProduct struct {
	id     string
	v      *venue
	dirty  []levelKey // in the order of their first change
	marked map[levelKey]bool
	at     int64 // of the newest change
}

type levelKey struct {
	bid   bool
	price int64
}

// coinbaseHeld is one channel of a connection with its products, both in the
// order in which they were asked for. status has no products.
type coinbaseHeld struct {
	asked    string // the name in the request
	products []string
}

// coinbaseConn is a connection's state.
type coinbaseConn struct{ held []*coinbaseHeld }

func newCoinbase(s *Server) *coinbase {
	p := &coinbase{s: s, byVenue: map[*venue]*coinbaseProduct{}, byID: map[string]*coinbaseProduct{}}
	for _, c := range s.market.cryptos {
		if v := c.at(Coinbase); v != nil {
			pr := &coinbaseProduct{id: c.spec.Pair, v: v, marked: map[levelKey]bool{}}
			p.products = append(p.products, pr)
			p.byVenue[v], p.byID[pr.id] = pr, pr
		}
	}
	now := s.market.Now().UnixNano()
	p.nextBatch = now + coinbaseBatch
	p.nextHeartbeat = now/coinbaseHeartbeat*coinbaseHeartbeat + coinbaseHeartbeat
	p.nextStatus = now + coinbaseStatus
	return p
}

func (p *coinbase) opened(c *conn, _ string) {
	c.state = &coinbaseConn{}
	c.deadline(p.s.cfg.SubscribeTimeout)
}

func (p *coinbase) expired(c *conn) {
	p.s.forget(c)
	c.cut()
}

func (p *coinbase) closed(*conn) {}

func (p *coinbase) fail(c *conn, text, reason string) {
	b, _ := json.Marshal(struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Reason  string `json:"reason"`
	}{"error", text, reason}) // strings always marshal
	p.s.send(message{kindControl, "", b}, c)
}

// coinbaseChannel is a channel in a request: a name, or an object with products
// of its own.
type coinbaseChannel struct {
	Name       string   `json:"name"`
	ProductIDs []string `json:"product_ids"`
}

func (c *coinbaseChannel) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &c.Name)
	}
	type plain coinbaseChannel
	return json.Unmarshal(b, (*plain)(c))
}

func (p *coinbase) received(c *conn, b []byte) {
	var m struct {
		Type       string            `json:"type"`
		ProductIDs []string          `json:"product_ids"`
		Channels   []coinbaseChannel `json:"channels"`
		coinbaseAuth
	}
	if err := json.Unmarshal(b, &m); err != nil {
		p.fail(c, "Malformed JSON", err.Error())
		return
	}
	on := m.Type == "subscribe"
	if !on && m.Type != "unsubscribe" {
		p.fail(c, "Unknown type", fmt.Sprintf("%q is not a valid type", m.Type))
		return
	}
	text := "Failed to " + m.Type
	// A request with one bad part is refused as a whole.
	for i := range m.Channels {
		ch := &m.Channels[i]
		if coinbaseChannels[ch.Name] == "" {
			p.fail(c, text, ch.Name+" is not a valid channel")
			return
		}
		if on && ch.Name == "full" && !p.authentic(m.coinbaseAuth, "GET", "/users/self/verify") {
			p.fail(c, "Authentication Failed", "")
			return
		}
		if len(ch.ProductIDs) == 0 {
			ch.ProductIDs = m.ProductIDs
		}
		if on && ch.Name != "status" && len(ch.ProductIDs) == 0 {
			p.fail(c, text, "product_ids or channels must be specified")
			return
		}
		for _, id := range ch.ProductIDs {
			if p.byID[id] == nil {
				p.fail(c, text, id+" is not a valid product")
				return
			}
		}
	}
	if len(m.Channels) == 0 {
		p.fail(c, text, "no channels specified")
		return
	}
	st := c.state.(*coinbaseConn)
	if on {
		c.deadline(0)
	}
	type start struct {
		channel string
		product *coinbaseProduct
	}
	var starts []start
	for _, ch := range m.Channels {
		if !on {
			st.remove(ch)
			continue
		}
		for _, id := range st.add(ch) {
			starts = append(starts, start{coinbaseChannels[ch.Name], p.byID[id]})
		}
	}
	p.s.send(message{kindControl, "", p.listing(st)}, c)
	for _, s := range starts {
		switch s.channel {
		case "full":
			s.product.v.showOrders()
		case "level2", "level2_50":
			p.s.send(message{kindSnapshot, s.product.id, p.snapshot(s.product)}, c)
		case "matches":
			if s.product.v.last.id != 0 {
				p.s.send(message{kindData, s.product.id, p.match("last_match", s.product, &s.product.v.last)}, c)
			}
		}
	}
	if on && slices.ContainsFunc(m.Channels, func(ch coinbaseChannel) bool { return ch.Name == "status" }) {
		p.s.send(message{kindData, "", p.status()}, c)
	}
}

func (st *coinbaseConn) find(name string) int {
	return slices.IndexFunc(st.held, func(h *coinbaseHeld) bool { return coinbaseChannels[h.asked] == coinbaseChannels[name] })
}

// add returns the products that were not held before.
func (st *coinbaseConn) add(ch coinbaseChannel) (fresh []string) {
	i := st.find(ch.Name)
	if i < 0 {
		i = len(st.held)
		st.held = append(st.held, &coinbaseHeld{asked: ch.Name})
	}
	if ch.Name == "status" {
		return nil
	}
	for _, id := range ch.ProductIDs {
		if !slices.Contains(st.held[i].products, id) {
			st.held[i].products = append(st.held[i].products, id)
			fresh = append(fresh, id)
		}
	}
	return fresh
}

func (st *coinbaseConn) remove(ch coinbaseChannel) {
	i := st.find(ch.Name)
	if i < 0 {
		return
	}
	h := st.held[i]
	h.products = slices.DeleteFunc(h.products, func(id string) bool {
		return len(ch.ProductIDs) == 0 || slices.Contains(ch.ProductIDs, id)
	})
	if len(h.products) == 0 {
		st.held = slices.Delete(st.held, i, i+1)
	}
}

func (st *coinbaseConn) has(channel, product string) bool {
	return slices.ContainsFunc(st.held, func(h *coinbaseHeld) bool {
		return coinbaseChannels[h.asked] == channel && (product == "" || slices.Contains(h.products, product))
	})
}

// wanting lists the connections that hold one of the channels for a product.
func (p *coinbase) wanting(product string, channels ...string) (to []*conn) {
	for _, c := range p.s.conns {
		st := c.state.(*coinbaseConn)
		if slices.ContainsFunc(channels, func(ch string) bool { return st.has(ch, product) }) {
			to = append(to, c)
		}
	}
	return to
}

// listing is the subscriptions message: all that is held now, not only what was
// asked for last.
func (p *coinbase) listing(st *coinbaseConn) []byte {
	type channel struct {
		Name       string   `json:"name"`
		ProductIDs []string `json:"product_ids"`
		AccountIDs []string `json:"account_ids"`
	}
	m := struct {
		Type     string    `json:"type"`
		Channels []channel `json:"channels"`
	}{"subscriptions", []channel{}}
	for _, h := range st.held {
		m.Channels = append(m.Channels, channel{coinbaseChannels[h.asked], append([]string{}, h.products...), nil})
	}
	b, _ := json.Marshal(m) // strings always marshal
	return b
}

func (p *coinbase) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for _, h := range c.state.(*coinbaseConn).held {
			if len(h.products) == 0 {
				out = append(out, h.asked)
			}
			for _, id := range h.products {
				out = append(out, h.asked+":"+id)
			}
		}
	}
	return out
}

func (p *coinbase) snapshot(pr *coinbaseProduct) []byte {
	b := append([]byte(`{"type":"snapshot","product_id":"`), pr.id...)
	b = append(b, '"')
	for _, bid := range []bool{false, true} {
		if bid {
			b = append(b, `,"bids":[`...)
		} else {
			b = append(b, `,"asks":[`...)
		}
		side := pr.v.side(bid)
		for i := range side.lv {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `["`...)
			b = appendFixed(b, side.at(i).price, pr.v.spec.PriceDecimals)
			b = append(b, `","`...)
			b = appendFixed(b, side.at(i).size, pr.v.spec.SizeDecimals)
			b = append(b, `"]`...)
		}
		b = append(b, ']')
	}
	b = append(b, `,"time":"`...)
	b = appendTime(b, p.s.market.now)
	return append(b, `"}`...)
}

func (p *coinbase) match(kind string, pr *coinbaseProduct, t *trade) []byte {
	b := append([]byte(`{"type":"`), kind...)
	b = append(b, `","trade_id":`...)
	b = strconv.AppendInt(b, t.id, 10)
	b = append(b, `,"maker_order_id":"`...)
	b = appendUUID(b, t.maker)
	b = append(b, `","taker_order_id":"`...)
	b = appendUUID(b, t.taker)
	// The side is the maker's: a taker who buys meets a resting sell.
	if t.buy {
		b = append(b, `","side":"sell","size":"`...)
	} else {
		b = append(b, `","side":"buy","size":"`...)
	}
	b = appendTrim(b, t.size, pr.v.spec.SizeDecimals)
	b = append(b, `","price":"`...)
	b = appendTrim(b, t.price, pr.v.spec.PriceDecimals)
	b = append(b, `","product_id":"`...)
	b = append(b, pr.id...)
	b = append(b, '"')
	b = field(b, "sequence", t.seq)
	b = append(b, `,"time":"`...)
	b = appendTime(b, t.time)
	return append(b, `"}`...)
}

// appendUUID spells a number as a version 4 UUID.
func appendUUID(b []byte, x uint64) []byte {
	y := mix(x)
	return fmt.Appendf(b, "%08x-%04x-4%03x-%04x-%012x", x>>32, x>>16&0xffff, x&0xfff, 0x8000|y>>48&0x3fff, y&0xffffffffffff)
}

func (p *coinbase) status() []byte {
	b := []byte(`{"type":"status","products":[`)
	currencies := []string{}
	for i, pr := range p.products {
		if i > 0 {
			b = append(b, ',')
		}
		base, quote := splitPair(pr.id)
		for _, cur := range []string{base, quote} {
			if !slices.Contains(currencies, cur) {
				currencies = append(currencies, cur)
			}
		}
		b = fmt.Appendf(b, `{"id":"%s","base_currency":"%s","quote_currency":"%s","base_increment":"`, pr.id, base, quote)
		b = appendFixed(b, 1, pr.v.spec.SizeDecimals)
		b = append(b, `","quote_increment":"`...)
		b = appendTrim(b, pr.v.spec.Tick, pr.v.spec.PriceDecimals)
		b = append(b, `","display_name":"`...)
		b = append(b, base+"/"+quote...)
		b = append(b, `","status":"online","status_message":"","min_market_funds":"1","post_only":false,"limit_only":false,"cancel_only":false,"auction_mode":false,"trading_disabled":false,"type":"spot"}`...)
	}
	b = append(b, `],"currencies":[`...)
	for i, cur := range currencies {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":"%s","name":"%s","status":"online"}`, cur, cur)
	}
	return append(b, `]}`...)
}

func (p *coinbase) onBook(v *venue, ch *change) {
	pr := p.byVenue[v]
	if pr == nil {
		return
	}
	for _, l := range ch.levels {
		k := levelKey{l.bid, l.price}
		if !pr.marked[k] {
			pr.marked[k] = true
			pr.dirty = append(pr.dirty, k)
		}
	}
	pr.at = ch.time
	if v.orders != nil {
		p.onOrders(pr, ch)
	}
	if len(ch.trades) == 0 {
		return
	}
	to := p.wanting(pr.id, "matches")
	if len(to) == 0 {
		return
	}
	for i := range ch.trades {
		p.s.send(message{kindData, pr.id, p.match("match", pr, &ch.trades[i])}, to...)
	}
}

func (p *coinbase) onTick(now int64) {
	if now >= p.nextBatch {
		p.nextBatch = now/coinbaseBatch*coinbaseBatch + coinbaseBatch
		for _, pr := range p.products {
			p.update(pr)
		}
	}
	if now >= p.nextHeartbeat {
		at := now / coinbaseHeartbeat * coinbaseHeartbeat
		p.nextHeartbeat = at + coinbaseHeartbeat
		for _, pr := range p.products {
			if to := p.wanting(pr.id, "heartbeat"); len(to) > 0 {
				b := field([]byte(`{"type":"heartbeat"`), "last_trade_id", pr.v.tradeID)
				b = append(b, `,"product_id":"`...)
				b = append(b, pr.id...)
				b = append(b, '"')
				b = field(b, "sequence", pr.v.seq)
				b = append(b, `,"time":"`...)
				b = appendTime(b, at)
				b = append(b, `"}`...)
				p.s.send(message{kindHeartbeat, pr.id, b}, to...)
			}
		}
	}
	if now >= p.nextStatus {
		p.nextStatus = now + coinbaseStatus
		if to := p.wanting("", "status"); len(to) > 0 {
			p.s.send(message{kindHeartbeat, "", p.status()}, to...)
		}
	}
}

// update sends what the last 50 ms changed, as sizes at this moment: bids
// first, as the real feed does.
func (p *coinbase) update(pr *coinbaseProduct) {
	if len(pr.dirty) == 0 {
		return
	}
	if to := p.wanting(pr.id, "level2", "level2_50"); len(to) > 0 {
		b := append([]byte(`{"type":"l2update","product_id":"`), pr.id...)
		b = append(b, `","changes":[`...)
		first := true
		for _, bid := range []bool{true, false} {
			for _, k := range pr.dirty {
				if k.bid != bid {
					continue
				}
				if !first {
					b = append(b, ',')
				}
				first = false
				if bid {
					b = append(b, `["buy","`...)
				} else {
					b = append(b, `["sell","`...)
				}
				b = appendFixed(b, k.price, pr.v.spec.PriceDecimals)
				b = append(b, `","`...)
				b = appendFixed(b, pr.v.side(bid).size(k.price), pr.v.spec.SizeDecimals)
				b = append(b, `"]`...)
			}
		}
		b = append(b, `],"time":"`...)
		b = appendTime(b, pr.at)
		b = append(b, `"}`...)
		p.s.send(message{kindBook, pr.id, b}, to...)
	}
	pr.dirty = pr.dirty[:0]
	clear(pr.marked)
}

func (p *coinbase) onStockTrade(*stock, *print) {}
func (p *coinbase) onStockQuote(*stock)         {}
func (p *coinbase) onBar(*stock, bool, bar)     {}
