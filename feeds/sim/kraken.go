package sim

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

const krakenHeartbeat = int64(1e9)

var krakenDepths = []int{10, 25, 100, 500, 1000}

func krakenSymbol(pair string) string { return strings.Replace(pair, "-", "/", 1) }

func splitPair(pair string) (base, quote string) {
	base, quote, _ = strings.Cut(pair, "-")
	return base, quote
}

// kraken speaks the Kraken WebSocket v2 protocol. Its state is guarded by
// Market.mu.
type kraken struct {
	s        *Server
	bySymbol map[string]*venue
	views    map[*venue][]*krakenView
	scratch  []levelChange

	orderViews map[*venue][]*krakenOrderView
	tokens     map[string]bool // given out for level3
	nonce      int64           // of the last request for one
}

// krakenView is a book cut to one depth, with those who follow it.
type krakenView struct {
	depth      int
	bids, asks []level // best first, as the subscribers hold it
	to         []*conn
}

// krakenSub is one subscription of a connection.
type krakenSub struct {
	channel string
	symbol  string // empty for instrument
	depth   int    // 0 unless book or level3
}

func (s krakenSub) String() string {
	switch {
	case s.symbol == "":
		return s.channel
	case s.depth != 0:
		return fmt.Sprintf("%s-%d:%s", s.channel, s.depth, s.symbol)
	default:
		return s.channel + ":" + s.symbol
	}
}

// krakenConn is a connection's state.
type krakenConn struct{ subs []krakenSub }

func newKraken(s *Server) *kraken {
	p := &kraken{s: s, bySymbol: map[string]*venue{}, views: map[*venue][]*krakenView{},
		orderViews: map[*venue][]*krakenOrderView{}, tokens: map[string]bool{}}
	for _, c := range s.market.cryptos {
		if v := c.at(Kraken); v != nil {
			p.bySymbol[v.kraken] = v
		}
	}
	return p
}

func (p *kraken) opened(c *conn, _ string) {
	c.state = &krakenConn{}
	// Larger than an int64 at times, as the real ones are.
	id := mix(p.s.market.seed ^ uint64(c.id))
	b := fmt.Appendf(nil, `{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":%d}]}`, id)
	p.s.send(message{kindControl, "", b}, c)
}

func (p *kraken) expired(*conn) {}

func (p *kraken) closed(c *conn) {
	for _, sub := range slices.Clone(c.state.(*krakenConn).subs) {
		p.drop(c, sub)
	}
}

// krakenReply is an answer to a request; absent parts are left out.
type krakenReply struct {
	Error   string         `json:"error,omitempty"`
	Method  string         `json:"method,omitempty"`
	ReqID   *int64         `json:"req_id,omitempty"`
	Result  map[string]any `json:"result,omitempty"`
	Success *bool          `json:"success,omitempty"`
	Symbol  string         `json:"symbol,omitempty"`
	TimeIn  string         `json:"time_in"`
	TimeOut string         `json:"time_out"`
}

func (p *kraken) reply(c *conn, r krakenReply) {
	now := p.s.market.now
	r.TimeIn, r.TimeOut = string(appendTime(nil, now)), string(appendTime(nil, now+40_000))
	b, _ := json.Marshal(r) // maps of strings, numbers and bools always marshal
	p.s.send(message{kindControl, "", b}, c)
}

func (p *kraken) received(c *conn, b []byte) {
	var m struct {
		Method string `json:"method"`
		ReqID  *int64 `json:"req_id"`
		Params struct {
			Channel  string   `json:"channel"`
			Symbol   []string `json:"symbol"`
			Depth    *int     `json:"depth"`
			Snapshot *bool    `json:"snapshot"`
			Token    string   `json:"token"`
		} `json:"params"`
	}
	no, yes := false, true
	if err := json.Unmarshal(b, &m); err != nil {
		p.reply(c, krakenReply{Error: "Malformed request", Success: &no})
		return
	}
	fail := func(text, symbol string) {
		p.reply(c, krakenReply{Error: text, Method: m.Method, ReqID: m.ReqID, Symbol: symbol, Success: &no})
	}
	switch m.Method {
	case "ping":
		p.reply(c, krakenReply{Method: "pong", ReqID: m.ReqID})
		return
	case "subscribe", "unsubscribe":
	default:
		fail("Unsupported method", "")
		return
	}
	on := m.Method == "subscribe"
	depth := 0
	switch m.Params.Channel {
	case "book", "level3":
		depth = 10
		if m.Params.Depth != nil {
			depth = *m.Params.Depth
		}
		if m.Params.Channel == "level3" && !p.tokens[m.Params.Token] {
			fail("ESession:Invalid session", "")
			return
		}
		if m.Params.Channel == "level3" && !slices.Contains(krakenOrderDepths, depth) || !slices.Contains(krakenDepths, depth) {
			fail("Subscription depth not supported", "")
			return
		}
	case "trade":
	case "instrument":
		m.Params.Symbol = []string{""}
	default:
		fail("Channel not supported", "")
		return
	}
	// The default of the flag: books and instruments come with a snapshot,
	// trades do not.
	snapshot := m.Params.Channel != "trade"
	if m.Params.Snapshot != nil {
		snapshot = *m.Params.Snapshot
	}
	if len(m.Params.Symbol) == 0 {
		fail("Symbol(s) missing", "")
		return
	}
	st := c.state.(*krakenConn)
	var fresh []krakenSub
	for _, symbol := range m.Params.Symbol {
		sub := krakenSub{m.Params.Channel, symbol, depth}
		held := slices.Contains(st.subs, sub)
		switch {
		case symbol != "" && p.bySymbol[symbol] == nil, symbol == "" && sub.channel != "instrument":
			fail("Currency pair not supported "+symbol, symbol)
			continue
		case on && held:
			fail("Already subscribed", symbol)
			continue
		case !on && !held:
			fail("Subscription Not Found", symbol)
			continue
		case on:
			p.add(c, sub)
			fresh = append(fresh, sub)
		default:
			p.drop(c, sub)
		}
		result := map[string]any{"channel": sub.channel}
		if symbol != "" {
			result["symbol"] = symbol
		}
		if depth != 0 {
			result["depth"] = depth
		}
		if on {
			result["snapshot"] = snapshot
		}
		p.reply(c, krakenReply{Method: m.Method, ReqID: m.ReqID, Result: result, Success: &yes})
	}
	for _, sub := range fresh {
		if snapshot {
			p.snapshot(c, sub)
		}
	}
}

func (p *kraken) add(c *conn, sub krakenSub) {
	st := c.state.(*krakenConn)
	st.subs = append(st.subs, sub)
	v := p.bySymbol[sub.symbol]
	if sub.channel == "level3" {
		p.addOrders(c, v, sub.depth)
	}
	if sub.channel != "book" {
		return
	}
	w := p.view(v, sub.depth)
	if w == nil {
		w = &krakenView{depth: sub.depth}
		w.bids, w.asks = appendTop(nil, &v.bids, w.depth), appendTop(nil, &v.asks, w.depth)
		p.views[v] = append(p.views[v], w)
	}
	w.to = append(w.to, c)
}

func (p *kraken) drop(c *conn, sub krakenSub) {
	st := c.state.(*krakenConn)
	st.subs = slices.DeleteFunc(st.subs, func(s krakenSub) bool { return s == sub })
	v := p.bySymbol[sub.symbol]
	if sub.channel == "level3" {
		p.dropOrders(c, v, sub.depth)
	}
	if sub.channel != "book" {
		return
	}
	w := p.view(v, sub.depth)
	w.to = slices.DeleteFunc(w.to, func(o *conn) bool { return o == c })
	if len(w.to) == 0 {
		p.views[v] = slices.DeleteFunc(p.views[v], func(o *krakenView) bool { return o == w })
	}
}

func (p *kraken) view(v *venue, depth int) *krakenView {
	for _, w := range p.views[v] {
		if w.depth == depth {
			return w
		}
	}
	return nil
}

func (p *kraken) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for _, sub := range c.state.(*krakenConn).subs {
			out = append(out, sub.String())
		}
	}
	return out
}

func appendTop(dst []level, l *ladder, depth int) []level {
	for i := range min(depth, len(l.lv)) {
		dst = append(dst, l.at(i))
	}
	return dst
}

// krakenDiff appends what turns the subscriber's side, have, into want once the
// subscriber has cut to the depth again. A level that fell off the end is not
// told; one that comes back is.
func krakenDiff(dst []levelChange, full *ladder, have, want []level) []levelChange {
	i, j := 0, 0
	for i < len(have) || j < len(want) {
		switch {
		case j == len(want) || i < len(have) && full.better(have[i].price, want[j].price):
			if full.size(have[i].price) == 0 {
				dst = append(dst, levelChange{full.bid, have[i].price, 0})
			}
			i++
		case i == len(have) || full.better(want[j].price, have[i].price):
			dst = append(dst, levelChange{full.bid, want[j].price, want[j].size})
			j++
		default:
			if have[i].size != want[j].size {
				dst = append(dst, levelChange{full.bid, want[j].price, want[j].size})
			}
			i++
			j++
		}
	}
	return dst
}

// krakenChecksum is the CRC-32 of the ten best asks and bids: for each level
// the digits of price and quantity at the pair's precisions, without the point
// and without leading zeros (Kraken, "Book checksum v2").
func krakenChecksum(asks, bids []level) uint32 {
	var buf [10 * 2 * 40]byte
	b := buf[:0]
	for _, side := range [2][]level{asks, bids} {
		for _, l := range side[:min(len(side), 10)] {
			// A mantissa at fixed decimals is just these digits.
			b = strconv.AppendInt(b, l.price, 10)
			b = strconv.AppendInt(b, l.size, 10)
		}
	}
	return crc32.ChecksumIEEE(b)
}

func (p *kraken) onBook(v *venue, ch *change) {
	if v.spec.Venue != Kraken {
		return
	}
	if len(ch.trades) > 0 {
		sub := krakenSub{channel: "trade", symbol: v.kraken}
		if to := p.wanting(sub); len(to) > 0 {
			p.s.send(message{kindData, v.pair.spec.Pair, p.trades(v, "update", ch.trades)}, to...)
		}
	}
	for _, w := range p.orderViews[v] {
		p.updateOrders(v, w, ch)
	}
	for _, w := range p.views[v] {
		p.update(v, w, ch)
	}
}

func (p *kraken) wanting(sub krakenSub) (to []*conn) {
	for _, c := range p.s.conns {
		if slices.Contains(c.state.(*krakenConn).subs, sub) {
			to = append(to, c)
		}
	}
	return to
}

// touches says whether a change can be seen at the view's depth.
func (w *krakenView) touches(v *venue, ch *change) bool {
	for _, l := range ch.levels {
		have := w.asks
		if l.bid {
			have = w.bids
		}
		if len(have) < w.depth || !v.side(l.bid).better(have[len(have)-1].price, l.price) {
			return true
		}
	}
	return false
}

func (p *kraken) update(v *venue, w *krakenView, ch *change) {
	if !w.touches(v, ch) {
		return
	}
	p.scratch = p.scratch[:0]
	for _, bid := range []bool{true, false} {
		have := &w.asks
		if bid {
			have = &w.bids
		}
		side := v.side(bid)
		var buf [1000]level
		want := appendTop(buf[:0], side, w.depth)
		p.scratch = krakenDiff(p.scratch, side, *have, want)
		*have = append((*have)[:0], want...)
	}
	if len(p.scratch) == 0 {
		return
	}
	b := append(make([]byte, 0, 200+48*len(p.scratch)), `{"channel":"book","type":"update","data":[{"symbol":"`...)
	b = append(b, v.kraken...)
	b = append(b, '"')
	b = v.appendKrakenSide(b, true, func(yield func(int64, int64)) {
		for _, l := range p.scratch {
			if l.bid {
				yield(l.price, l.size)
			}
		}
	})
	b = v.appendKrakenSide(b, false, func(yield func(int64, int64)) {
		for _, l := range p.scratch {
			if !l.bid {
				yield(l.price, l.size)
			}
		}
	})
	pair := v.pair.spec.Pair
	b = field(b, "checksum", int64(p.s.faults.checksum(pair, krakenChecksum(w.asks, w.bids))))
	b = append(b, `,"timestamp":"`...)
	b = appendTime(b, ch.time)
	b = append(b, `"}]}`...)
	p.s.send(message{kindBook, pair, b}, w.to...)
}

func (v *venue) appendKrakenSide(b []byte, bid bool, levels func(yield func(price, size int64))) []byte {
	if bid {
		b = append(b, `,"bids":[`...)
	} else {
		b = append(b, `,"asks":[`...)
	}
	first := true
	levels(func(price, size int64) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `{"price":`...)
		b = appendFixed(b, price, v.spec.PriceDecimals)
		b = append(b, `,"qty":`...)
		b = appendFixed(b, size, v.spec.SizeDecimals)
		b = append(b, '}')
	})
	return append(b, ']')
}

func (p *kraken) snapshot(c *conn, sub krakenSub) {
	switch sub.channel {
	case "instrument":
		p.s.send(message{kindData, "", p.instruments()}, c)
	case "trade":
		v := p.bySymbol[sub.symbol]
		p.s.send(message{kindData, v.pair.spec.Pair, p.trades(v, "snapshot", v.recent)}, c)
	case "level3":
		p.orderSnapshot(c, p.bySymbol[sub.symbol], sub.depth)
	case "book":
		v := p.bySymbol[sub.symbol]
		w := p.view(v, sub.depth)
		b := append([]byte(`{"channel":"book","type":"snapshot","data":[{"symbol":"`), v.kraken...)
		b = append(b, '"')
		for _, bid := range []bool{true, false} {
			have := w.asks
			if bid {
				have = w.bids
			}
			b = v.appendKrakenSide(b, bid, func(yield func(int64, int64)) {
				for _, l := range have {
					yield(l.price, l.size)
				}
			})
		}
		b = field(b, "checksum", int64(krakenChecksum(w.asks, w.bids)))
		b = append(b, `,"timestamp":"`...)
		b = appendTime(b, p.s.market.now)
		b = append(b, `"}]}`...)
		p.s.send(message{kindSnapshot, v.pair.spec.Pair, b}, c)
	}
}

func (p *kraken) trades(v *venue, kind string, trades []trade) []byte {
	b := append([]byte(`{"channel":"trade","type":"`), kind...)
	b = append(b, `","data":[`...)
	for i := range trades {
		t := &trades[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"symbol":"`...)
		b = append(b, v.kraken...)
		if t.buy {
			b = append(b, `","side":"buy","price":`...)
		} else {
			b = append(b, `","side":"sell","price":`...)
		}
		b = appendFixed(b, t.price, v.spec.PriceDecimals)
		b = append(b, `,"qty":`...)
		b = appendFixed(b, t.size, v.spec.SizeDecimals)
		if t.taker%4 == 0 {
			b = append(b, `,"ord_type":"limit"`...)
		} else {
			b = append(b, `,"ord_type":"market"`...)
		}
		b = field(b, "trade_id", t.id)
		b = append(b, `,"timestamp":"`...)
		b = appendTime(b, t.time)
		b = append(b, `"}`...)
	}
	return append(b, `]}`...)
}

// instruments is the reference data: here data is an object, not an array.
func (p *kraken) instruments() []byte {
	type asset struct {
		id        string
		precision int
	}
	var assets []asset
	var pairs []byte
	note := func(id string, precision int) {
		if !slices.ContainsFunc(assets, func(a asset) bool { return a.id == id }) {
			assets = append(assets, asset{id, precision})
		}
	}
	for _, c := range p.s.market.cryptos {
		v := c.at(Kraken)
		if v == nil {
			continue
		}
		base, quote := splitPair(c.spec.Pair)
		note(base, 10)
		note(quote, 4)
		if len(pairs) > 0 {
			pairs = append(pairs, ',')
		}
		pairs = fmt.Appendf(pairs, `{"symbol":"%s","base":"%s","quote":"%s","status":"online","price_precision":%d,"price_increment":`,
			v.kraken, base, quote, v.spec.PriceDecimals)
		pairs = appendNumber(pairs, v.spec.Tick, v.spec.PriceDecimals)
		pairs = fmt.Appendf(pairs, `,"qty_precision":%d,"qty_increment":`, v.spec.SizeDecimals)
		pairs = appendNumber(pairs, 1, v.spec.SizeDecimals)
		pairs = append(pairs, `,"qty_min":`...)
		pairs = appendNumber(pairs, max(v.usual/1000, 1), v.spec.SizeDecimals)
		pairs = append(pairs, `,"cost_precision":5,"cost_min":"0.5","marginable":false,"has_index":true}`...)
	}
	b := []byte(`{"channel":"instrument","type":"snapshot","data":{"assets":[`)
	for i, a := range assets {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":"%s","status":"enabled","precision":%d,"precision_display":%d}`, a.id, a.precision, a.precision/2)
	}
	b = append(b, `],"pairs":[`...)
	b = append(b, pairs...)
	return append(b, `]}}`...)
}

// onTick keeps connections alive: a heartbeat where nothing was sent for a second,
// once there is a subscription.
func (p *kraken) onTick(now int64) {
	for _, c := range p.s.conns {
		if now-c.lastSent >= krakenHeartbeat && len(c.state.(*krakenConn).subs) > 0 {
			p.s.send(message{kindHeartbeat, "", []byte(`{"channel":"heartbeat"}`)}, c)
		}
	}
}

func (p *kraken) onStockTrade(*stock, *print) {}
func (p *kraken) onStockQuote(*stock)         {}
func (p *kraken) onBar(*stock, bool, bar)     {}
