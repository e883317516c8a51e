package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

const (
	advancedBook   = int64(50e6)  // l2_data is sent this often
	advancedTrades = int64(250e6) // market_trades is sent this often
	advancedBeat   = int64(1e9)
	advancedStatus = int64(5e9)
	// advancedRecent is how many trades the image of market_trades holds.
	advancedRecent = 50
)

// advancedChannels is the channels that are served, by the name to subscribe.
var advancedChannels = []string{"level2", "market_trades", "heartbeats", "status"}

// coinbaseAdvanced speaks the Coinbase Advanced Trade protocol over the Coinbase
// venue: one channel a request, and one count over all messages of a
// connection. Its state is guarded by Market.mu.
type coinbaseAdvanced struct {
	s        *Server
	products []*advancedProduct
	byVenue  map[*venue]*advancedProduct
	byID     map[string]*advancedProduct

	nextBook, nextTrades, nextBeat, nextStatus int64
	beats                                      int64
}

// advancedProduct is what waits for the next batches of a product.
type advancedProduct struct {
	id     string
	v      *venue
	dirty  []levelKey // in the order of their first change
	marked map[levelKey]bool
	at     int64   // of the newest change
	trades []trade // oldest first
}

// advancedConn is a connection's state.
type advancedConn struct {
	held   map[string][]string // products by channel; heartbeats and status have ""
	number uint64              // of the next message
}

func newCoinbaseAdvanced(s *Server) *coinbaseAdvanced {
	p := &coinbaseAdvanced{s: s, byVenue: map[*venue]*advancedProduct{}, byID: map[string]*advancedProduct{}}
	for _, c := range s.market.cryptos {
		if v := c.at(Coinbase); v != nil {
			pr := &advancedProduct{id: c.spec.Pair, v: v, marked: map[levelKey]bool{}}
			p.products = append(p.products, pr)
			p.byVenue[v], p.byID[pr.id] = pr, pr
		}
	}
	now := s.market.Now().UnixNano()
	p.nextBook, p.nextTrades = now+advancedBook, now+advancedTrades
	p.nextBeat = now/advancedBeat*advancedBeat + advancedBeat
	p.nextStatus = now + advancedStatus
	return p
}

func (p *coinbaseAdvanced) opened(c *conn, _ string) {
	c.state = &advancedConn{held: map[string][]string{}}
	c.deadline(p.s.cfg.SubscribeTimeout)
}

func (p *coinbaseAdvanced) expired(c *conn) {
	p.s.forget(c)
	c.cut()
}

func (p *coinbaseAdvanced) closed(*conn) {}

// numberMark is where a message's number goes.
var numberMark = []byte(`"sequence_num":`)

// send numbers a message for each connection and sends it. A message that a
// fault takes has its number all the same: that is what shows the loss.
func (p *coinbaseAdvanced) send(k kind, product string, data []byte, to ...*conn) {
	at := bytes.Index(data, numberMark) + len(numberMark)
	for _, c := range to {
		st := c.state.(*advancedConn)
		b := make([]byte, 0, len(data)+20)
		b = append(b, data[:at]...)
		b = strconv.AppendUint(b, st.number, 10)
		b = append(b, data[at:]...)
		st.number++
		p.s.send(message{k, product, b}, c)
	}
}

// head begins a message up to its list of events.
func (p *coinbaseAdvanced) head(channel string) []byte {
	b := append([]byte(`{"channel":"`), channel...)
	b = append(b, `","client_id":"","timestamp":"`...)
	b = appendTime(b, p.s.market.now)
	return append(b, `","sequence_num":,"events":[`...)
}

func (p *coinbaseAdvanced) fail(c *conn, text string) {
	b, _ := json.Marshal(struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}{"error", text}) // strings always marshal
	p.s.send(message{kindControl, "", b}, c)
}

func (p *coinbaseAdvanced) received(c *conn, b []byte) {
	var m struct {
		Type       string   `json:"type"`
		ProductIDs []string `json:"product_ids"`
		Channel    string   `json:"channel"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		p.fail(c, "failed to parse message: "+err.Error())
		return
	}
	if m.Type != "subscribe" && m.Type != "unsubscribe" {
		p.fail(c, "unknown type "+m.Type)
		return
	}
	if !slices.Contains(advancedChannels, m.Channel) {
		p.fail(c, m.Channel+" is not a valid channel")
		return
	}
	if m.Channel == "heartbeats" || m.Channel == "status" && len(m.ProductIDs) == 0 {
		m.ProductIDs = []string{""}
	} else if len(m.ProductIDs) == 0 {
		p.fail(c, "no products specified")
		return
	}
	for i, id := range m.ProductIDs {
		// A market in USDC is shown as the one in USD, under that name.
		if base, quote := splitPair(id); quote == "USDC" && p.byID[base+"-USD"] != nil {
			m.ProductIDs[i] = base + "-USD"
		} else if id != "" && p.byID[id] == nil {
			p.fail(c, id+" is not a valid product")
			return
		}
	}
	st := c.state.(*advancedConn)
	var fresh []string
	for _, id := range m.ProductIDs {
		i := slices.Index(st.held[m.Channel], id)
		switch {
		case m.Type == "subscribe" && i < 0:
			st.held[m.Channel] = append(st.held[m.Channel], id)
			fresh = append(fresh, id)
		case m.Type == "unsubscribe" && i >= 0:
			st.held[m.Channel] = slices.Delete(st.held[m.Channel], i, i+1)
			if len(st.held[m.Channel]) == 0 {
				delete(st.held, m.Channel)
			}
		}
	}
	if m.Type == "subscribe" {
		c.deadline(0)
	}
	held, _ := json.Marshal(st.held) // strings always marshal
	ack := append(p.head("subscriptions"), `{"subscriptions":`...)
	ack = append(ack, held...)
	p.send(kindControl, "", append(ack, `}]}`...), c)
	for _, id := range fresh {
		switch m.Channel {
		case "level2":
			p.send(kindSnapshot, id, p.image(p.byID[id]), c)
		case "market_trades":
			pr := p.byID[id]
			// What waits for the next batch is not told twice.
			recent := pr.v.recent[:len(pr.v.recent)-min(len(pr.trades), len(pr.v.recent))]
			if len(recent) > 0 {
				p.send(kindData, id, p.prints("snapshot", pr, recent[max(len(recent)-advancedRecent, 0):]), c)
			}
		case "status":
			p.send(kindData, "", p.status(), c)
		}
	}
}

func (p *coinbaseAdvanced) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for ch, ids := range c.state.(*advancedConn).held {
			for _, id := range ids {
				if id == "" {
					out = append(out, ch)
				} else {
					out = append(out, ch+":"+id)
				}
			}
		}
	}
	return out
}

// wanting lists the connections that hold a channel for a product.
func (p *coinbaseAdvanced) wanting(channel, product string) (to []*conn) {
	for _, c := range p.s.conns {
		if slices.Contains(c.state.(*advancedConn).held[channel], product) {
			to = append(to, c)
		}
	}
	return to
}

func (p *coinbaseAdvanced) update(b []byte, pr *advancedProduct, bid bool, at string, l level) []byte {
	if bid {
		b = append(b, `{"side":"bid","event_time":"`...)
	} else {
		b = append(b, `{"side":"offer","event_time":"`...)
	}
	b = append(b, at...)
	b = append(b, `","price_level":"`...)
	b = appendFixed(b, l.price, pr.v.spec.PriceDecimals)
	b = append(b, `","new_quantity":"`...)
	b = appendFixed(b, l.size, pr.v.spec.SizeDecimals)
	return append(b, `"},`...)
}

func (p *coinbaseAdvanced) image(pr *advancedProduct) []byte {
	b := fmt.Appendf(p.head("l2_data"), `{"type":"snapshot","product_id":%q,"updates":[`, pr.id)
	for _, bid := range []bool{true, false} {
		side := pr.v.side(bid)
		for i := range side.lv {
			b = p.update(b, pr, bid, "1970-01-01T00:00:00Z", side.at(i))
		}
	}
	return append(bytes.TrimSuffix(b, []byte(",")), `]}]}`...)
}

// changes sends what the last 50 ms changed, as sizes at this moment.
func (p *coinbaseAdvanced) changes(pr *advancedProduct) {
	if len(pr.dirty) == 0 {
		return
	}
	if to := p.wanting("level2", pr.id); len(to) > 0 {
		at := string(appendTime(nil, pr.at))
		b := fmt.Appendf(p.head("l2_data"), `{"type":"update","product_id":%q,"updates":[`, pr.id)
		for _, bid := range []bool{true, false} {
			for _, k := range pr.dirty {
				if k.bid == bid {
					b = p.update(b, pr, bid, at, level{k.price, pr.v.side(bid).size(k.price)})
				}
			}
		}
		p.send(kindBook, pr.id, append(bytes.TrimSuffix(b, []byte(",")), `]}]}`...), to...)
	}
	pr.dirty = pr.dirty[:0]
	clear(pr.marked)
}

// prints is a message of market_trades: the newest first.
func (p *coinbaseAdvanced) prints(typ string, pr *advancedProduct, trades []trade) []byte {
	b := fmt.Appendf(p.head("market_trades"), `{"type":%q,"trades":[`, typ)
	for i := len(trades) - 1; i >= 0; i-- {
		t := &trades[i]
		b = fmt.Appendf(b, `{"trade_id":"%d","product_id":%q,"price":"`, t.id, pr.id)
		b = appendTrim(b, t.price, pr.v.spec.PriceDecimals)
		b = append(b, `","size":"`...)
		b = appendTrim(b, t.size, pr.v.spec.SizeDecimals)
		// The side is the maker's: a taker who buys meets a resting sell.
		if t.buy {
			b = append(b, `","side":"SELL","time":"`...)
		} else {
			b = append(b, `","side":"BUY","time":"`...)
		}
		b = appendTime(b, t.time)
		b = append(b, `"},`...)
	}
	return append(bytes.TrimSuffix(b, []byte(",")), `]}]}`...)
}

func (p *coinbaseAdvanced) status() []byte {
	b := append(p.head("status"), `{"type":"snapshot","products":[`...)
	for _, pr := range p.products {
		base, quote := splitPair(pr.id)
		b = fmt.Appendf(b, `{"product_type":"SPOT","id":%q,"base_currency":%q,"quote_currency":%q,"base_increment":"`, pr.id, base, quote)
		b = appendFixed(b, 1, pr.v.spec.SizeDecimals)
		b = append(b, `","quote_increment":"`...)
		b = appendTrim(b, pr.v.spec.Tick, pr.v.spec.PriceDecimals)
		b = fmt.Appendf(b, `","display_name":"%s/%s","status":"online","status_message":"","min_market_funds":"1"},`, base, quote)
	}
	return append(bytes.TrimSuffix(b, []byte(",")), `]}]}`...)
}

func (p *coinbaseAdvanced) onBook(v *venue, ch *change) {
	pr := p.byVenue[v]
	if pr == nil {
		return
	}
	pr.at = ch.time
	pr.trades = append(pr.trades, ch.trades...)
	for _, l := range ch.levels {
		if k := (levelKey{l.bid, l.price}); !pr.marked[k] {
			pr.marked[k] = true
			pr.dirty = append(pr.dirty, k)
		}
	}
}

func (p *coinbaseAdvanced) onTick(now int64) {
	if now >= p.nextBook {
		p.nextBook = now + advancedBook
		for _, pr := range p.products {
			p.changes(pr)
		}
	}
	if now >= p.nextTrades {
		p.nextTrades = now + advancedTrades
		for _, pr := range p.products {
			if to := p.wanting("market_trades", pr.id); len(to) > 0 && len(pr.trades) > 0 {
				p.send(kindData, pr.id, p.prints("update", pr, pr.trades), to...)
			}
			pr.trades = pr.trades[:0]
		}
	}
	for now >= p.nextBeat {
		p.beats++
		b := append(p.head("heartbeats"), `{"current_time":"`...)
		b = appendTime(b, p.nextBeat)
		b = fmt.Appendf(b, `","heartbeat_counter":%d}]}`, p.beats)
		p.send(kindHeartbeat, "", b, p.wanting("heartbeats", "")...)
		p.nextBeat += advancedBeat
	}
	if now >= p.nextStatus {
		p.nextStatus = now + advancedStatus
		if to := p.wanting("status", ""); len(to) > 0 {
			p.send(kindHeartbeat, "", p.status(), to...)
		}
	}
}

func (p *coinbaseAdvanced) onStockTrade(*stock, *print) {}
func (p *coinbaseAdvanced) onStockQuote(*stock)         {}
func (p *coinbaseAdvanced) onBar(*stock, bool, bar)     {}
