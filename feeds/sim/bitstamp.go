package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// bitstampBatch is how often books are told of, in ns.
const bitstampBatch = int64(100e6)

// bitstamp speaks Bitstamp's WebSocket API v2, on the channels diff_order_book,
// order_book, live_orders and live_trades, and answers the REST requests for books and
// reference data. Its state is guarded by Market.mu.
type bitstamp struct {
	noStocks
	s       *Server
	books   []*tracked
	byVenue map[*venue]*tracked
	byID    map[string]*tracked
	next    int64
	changed map[*tracked][]levelChange
	chain   map[*tracked]string // identifier of the last message about orders
	events  int64               // counts those messages
}

// bitstampConn is a connection's state.
type bitstampConn struct{ held []string }

func newBitstamp(s *Server) *bitstamp {
	p := &bitstamp{s: s, changed: map[*tracked][]levelChange{}, chain: map[*tracked]string{}}
	p.books, p.byVenue, p.byID = track(s.market, Bitstamp, func(pair string) string {
		return strings.ToLower(strings.Replace(pair, "-", "", 1))
	})
	p.next = s.market.Now().UnixNano() + bitstampBatch
	return p
}

func (p *bitstamp) opened(c *conn, _ string) { c.state = &bitstampConn{} }
func (p *bitstamp) expired(*conn)            {}
func (p *bitstamp) closed(*conn)             {}

func (p *bitstamp) received(c *conn, b []byte) {
	var m struct {
		Event string `json:"event"`
		Data  struct {
			Channel string `json:"channel"`
		} `json:"data"`
	}
	answer := func(event, channel, data string) {
		p.s.send(message{kindControl, "", fmt.Appendf(nil, `{"event":"%s","channel":"%s","data":%s}`, event, channel, data)}, c)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		answer("bts:error", "", `{"code":null,"message":"Bad request string."}`)
		return
	}
	st := c.state.(*bitstampConn)
	channel := m.Data.Channel
	switch m.Event {
	case "bts:heartbeat":
		answer("bts:heartbeat", "", `{"status":"success"}`)
	case "bts:subscribe":
		if strings.ContainsAny(channel, `"\`) || !strings.Contains(channel, "_") {
			answer("bts:error", "", `{"code":null,"message":"Incorrect JSON format."}`)
			return
		}
		// One that does not exist is acknowledged and stays silent.
		if !slices.Contains(st.held, channel) {
			st.held = append(st.held, channel)
			if id, ok := strings.CutPrefix(channel, "live_orders_"); ok && p.byID[id] != nil {
				p.byID[id].v.showOrders()
			}
		}
		answer("bts:subscription_succeeded", channel, `{}`)
	case "bts:unsubscribe":
		i := slices.Index(st.held, channel)
		if i < 0 {
			answer("bts:error", "", `{"code":4005,"message":"Not subscribed."}`)
			return
		}
		st.held = slices.Delete(st.held, i, i+1)
		answer("bts:unsubscription_succeeded", channel, `{}`)
	default:
		answer("bts:error", "", `{"code":4006,"message":"Unknown event."}`)
	}
}

func (p *bitstamp) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		out = append(out, c.state.(*bitstampConn).held...)
	}
	return out
}

func (p *bitstamp) wanting(channel string) (to []*conn) {
	for _, c := range p.s.conns {
		if slices.Contains(c.state.(*bitstampConn).held, channel) {
			to = append(to, c)
		}
	}
	return to
}

func (p *bitstamp) onBook(v *venue, ch *change) {
	t := p.byVenue[v]
	if t == nil {
		return
	}
	t.note(ch)
	t.trades = t.trades[:0]
	p.changed[t] = append(p.changed[t], ch.levels...)
	if v.orders != nil {
		p.onOrders(t, ch)
	}
	channel := "live_trades_" + t.id
	to := p.wanting(channel)
	for i := range ch.trades {
		if len(to) > 0 {
			p.s.send(message{kindData, v.pair.spec.Pair, p.trade(t, channel, &ch.trades[i])}, to...)
		}
	}
}

// trade is a print, its amount as the noisy number that it is and as text.
func (p *bitstamp) trade(t *tracked, channel string, x *trade) []byte {
	side := 1
	if x.buy {
		side = 0
	}
	size, price := appendFixed(nil, x.size, t.v.spec.SizeDecimals), appendTrim(nil, x.price, t.v.spec.PriceDecimals)
	return fmt.Appendf(nil, `{"data":{"id":%d,"id_str":"%d","timestamp":"%d","microtimestamp":"%d","amount":%s,"amount_str":"%s","price":%s,"price_str":"%s","type":%d,"buy_order_id":%d,"sell_order_id":%d},"channel":"%s","event":"trade"}`,
		x.id, x.id, x.time/1e9, x.time/1e3, size, size, price, price, side, x.maker>>12, x.taker>>12, channel)
}

func (p *bitstamp) onTick(now int64) {
	if now < p.next {
		return
	}
	p.next += (now - p.next + bitstampBatch) / bitstampBatch * bitstampBatch
	for _, t := range p.books {
		changed := p.changed[t]
		if len(changed) == 0 {
			continue
		}
		p.changed[t] = changed[:0]
		pair := t.v.pair.spec.Pair
		if ch := "diff_order_book_" + t.id; len(p.wanting(ch)) > 0 {
			seen := map[levelChange]bool{}
			p.s.send(message{kindBook, pair, p.book(t, t.at/1e3, ch, func(bid bool, yield func(int64, int64)) {
				for _, l := range changed {
					key := levelChange{l.bid, l.price, 0}
					if l.bid == bid && !seen[key] {
						seen[key] = true
						yield(l.price, t.v.side(bid).size(l.price))
					}
				}
			})}, p.wanting(ch)...)
		}
		if ch := "order_book_" + t.id; len(p.wanting(ch)) > 0 {
			p.s.send(message{kindData, pair, p.book(t, t.at/1e3, ch, top(t, 100))}, p.wanting(ch)...)
		}
	}
}

// top is the best levels of a book.
func top(t *tracked, depth int) func(bool, func(int64, int64)) {
	return func(bid bool, yield func(int64, int64)) {
		l := t.v.side(bid)
		for i := range min(depth, len(l.lv)) {
			yield(l.at(i).price, l.at(i).size)
		}
	}
}

// book is levels as a message of a channel or, with none, as an answer over HTTP.
func (p *bitstamp) book(t *tracked, micros int64, channel string, levels func(bid bool, yield func(price, size int64))) []byte {
	out := make([]byte, 0, 512)
	if channel != "" {
		out = append(out, `{"data":`...)
	}
	out = fmt.Appendf(out, `{"timestamp":"%d","microtimestamp":"%d"`, micros/1e6, micros)
	for _, bid := range []bool{true, false} {
		name := "asks"
		if bid {
			name = "bids"
		}
		out = fmt.Appendf(out, `,"%s":[`, name)
		first := true
		levels(bid, func(price, size int64) {
			if !first {
				out = append(out, ',')
			}
			first = false
			out = append(out, `["`...)
			out = appendFixed(out, price, t.v.spec.PriceDecimals)
			out = append(out, `","`...)
			out = appendFixed(out, size, t.v.spec.SizeDecimals)
			out = append(out, `"]`...)
		})
		out = append(out, ']')
	}
	out = append(out, '}')
	if channel != "" {
		out = fmt.Appendf(out, `,"channel":"%s","event":"data"}`, channel)
	}
	return out
}

// answer serves order_book and trading-pairs-info.
func (p *bitstamp) answer(r *http.Request) (code int, body []byte, symbol string) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if path == "/api/v2/trading-pairs-info" {
		return http.StatusOK, p.info(), ""
	}
	id, ok := strings.CutPrefix(path, "/api/v2/order_book/")
	t := p.byID[id]
	if !ok || t == nil {
		return http.StatusNotFound, []byte(`{"status":"error","reason":"Not found","code":"404.002"}`), ""
	}
	if r.URL.Query().Get("group") == "2" {
		return http.StatusOK, p.orderBook(t, max(p.s.market.now, t.at)/1e3), t.v.pair.spec.Pair
	}
	return http.StatusOK, p.book(t, max(p.s.market.now, t.at)/1e3, "", top(t, len(t.v.bids.lv)+len(t.v.asks.lv))), t.v.pair.spec.Pair
}

func (p *bitstamp) info() []byte {
	out := []byte{'['}
	for i, t := range p.books {
		if i > 0 {
			out = append(out, ',')
		}
		pair := t.v.pair.spec.Pair
		out = fmt.Appendf(out, `{"trading":"Enabled","base_decimals":%d,"url_symbol":"%s","name":"%s","instant_and_market_orders":"Enabled","minimum_order":"10.0 USD","counter_decimals":%d,"description":"%s"}`,
			t.v.spec.SizeDecimals, t.id, strings.Replace(pair, "-", "/", 1), t.v.spec.PriceDecimals, pair)
	}
	return append(out, ']')
}
