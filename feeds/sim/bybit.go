package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	bybitArgs   = 10         // of one request of spot
	bybitRepeat = int64(3e9) // an image of depth 1 is sent again after so long
)

// bybitDepths is how often, in ns, a book of a depth is sent.
var bybitDepths = []struct {
	depth int
	every int64
}{{1, 10e6}, {50, 20e6}, {200, 100e6}, {500, 100e6}, {1000, 200e6}}

// bybit speaks Bybit's public WebSocket v5 on the paths /v5/public/spot and
// /v5/public/linear, which show the same pairs: order books and trades. It answers
// the REST request for their reference data. Its state is guarded by Market.mu.
type bybit struct {
	noStocks
	s       *Server
	books   []*tracked
	byVenue map[*venue]*tracked
	byID    map[string]*tracked
	next    map[int]int64 // when a depth is sent next
	sent    map[*tracked]int64
	pending map[*tracked]map[int]bool // depths that do not know of the newest change
}

// bybitConn is a connection's state.
type bybitConn struct{ held []string }

func newBybit(s *Server) *bybit {
	p := &bybit{s: s, next: map[int]int64{}, sent: map[*tracked]int64{}, pending: map[*tracked]map[int]bool{}}
	p.books, p.byVenue, p.byID = track(s.market, Bybit, func(pair string) string { return strings.Replace(pair, "-", "", 1) })
	now := s.market.Now().UnixNano()
	for _, d := range bybitDepths {
		p.next[d.depth] = now + d.every
	}
	for _, t := range p.books {
		p.sent[t], p.pending[t] = now, map[int]bool{}
	}
	return p
}

func (p *bybit) opened(c *conn, path string) {
	c.state = &bybitConn{}
	if path != "/v5/public/spot" && path != "/v5/public/linear" {
		p.s.forget(c)
		c.cut()
	}
}

func (p *bybit) expired(*conn) {}
func (p *bybit) closed(*conn)  {}

func (p *bybit) reply(c *conn, op, id, text string, success bool) {
	b, _ := json.Marshal(struct {
		Success bool   `json:"success"`
		RetMsg  string `json:"ret_msg"`
		ConnID  string `json:"conn_id"`
		ReqID   string `json:"req_id"`
		Op      string `json:"op"`
	}{success, text, string(appendUUID(nil, uint64(c.id))), id, op}) // strings always marshal
	p.s.send(message{kindControl, "", b}, c)
}

// topic takes a topic apart.
func (p *bybit) topic(topic string) (t *tracked, depth int, ok bool) {
	name, symbol, _ := strings.Cut(topic, ".")
	if name == "orderbook" {
		var text string
		text, symbol, _ = strings.Cut(symbol, ".")
		depth, _ = strconv.Atoi(text)
		for _, d := range bybitDepths {
			ok = ok || d.depth == depth
		}
	} else {
		ok = name == "publicTrade"
	}
	t = p.byID[symbol]
	return t, depth, ok && t != nil
}

func (p *bybit) received(c *conn, b []byte) {
	var m struct {
		ReqID string   `json:"req_id"`
		Op    string   `json:"op"`
		Args  []string `json:"args"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		p.reply(c, "", "", "Invalid request", false)
		return
	}
	switch {
	case m.Op == "ping":
		p.reply(c, "ping", m.ReqID, "pong", true)
		return
	case m.Op != "subscribe" && m.Op != "unsubscribe":
		p.reply(c, m.Op, m.ReqID, "unknown op", false)
		return
	case len(m.Args) == 0 || len(m.Args) > bybitArgs:
		p.reply(c, m.Op, m.ReqID, "args size invalid", false)
		return
	}
	// One bad topic fails the request.
	for _, a := range m.Args {
		if _, _, ok := p.topic(a); !ok {
			p.reply(c, m.Op, m.ReqID, "Invalid topic: ["+a+"]", false)
			return
		}
	}
	st := c.state.(*bybitConn)
	var fresh []string
	for _, a := range m.Args {
		i := slices.Index(st.held, a)
		switch {
		case m.Op == "subscribe" && i < 0:
			st.held = append(st.held, a)
			fresh = append(fresh, a)
		case m.Op == "unsubscribe" && i >= 0:
			st.held = slices.Delete(st.held, i, i+1)
		}
	}
	// The image comes before the answer at times, as the recordings have it.
	early := c.id%2 == 0
	if !early {
		p.reply(c, m.Op, m.ReqID, "", true)
	}
	for _, a := range fresh {
		if t, depth, _ := p.topic(a); depth > 0 {
			p.send(t, depth, true, t.view(depth).image(), c)
		}
	}
	if early {
		p.reply(c, m.Op, m.ReqID, "", true)
	}
}

func (p *bybit) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		out = append(out, c.state.(*bybitConn).held...)
	}
	return out
}

func (p *bybit) wanting(topic string) (to []*conn) {
	for _, c := range p.s.conns {
		if slices.Contains(c.state.(*bybitConn).held, topic) {
			to = append(to, c)
		}
	}
	return to
}

// send sends an image of a book or what changed of it.
func (p *bybit) send(t *tracked, depth int, image bool, changes []levelChange, to ...*conn) {
	kind, typ := kindBook, "delta"
	if image {
		typ = "snapshot"
		if depth > 1 {
			kind = kindSnapshot
		}
	}
	b := fmt.Appendf(make([]byte, 0, 256+32*len(changes)), `{"topic":"orderbook.%d.%s","type":"%s","ts":%d,"data":{"s":"%s","b":`,
		depth, t.id, typ, p.s.market.now/1e6, t.id)
	b = t.appendTexts(b, changes, true, "")
	b = append(b, `,"a":`...)
	b = t.appendTexts(b, changes, false, "")
	b = fmt.Appendf(b, `,"u":%d,"seq":%d},"cts":%d}`, t.view(depth).number, t.v.seq, t.at/1e6)
	p.s.send(message{kind, t.v.pair.spec.Pair, b}, to...)
}

func (p *bybit) onBook(v *venue, ch *change) {
	t := p.byVenue[v]
	if t == nil {
		return
	}
	t.note(ch)
	for _, d := range bybitDepths {
		p.pending[t][d.depth] = true
	}
	if len(ch.trades) == 0 {
		return
	}
	t.trades = t.trades[:0]
	to := p.wanting("publicTrade." + t.id)
	if len(to) == 0 {
		return
	}
	b := fmt.Appendf(make([]byte, 0, 512), `{"topic":"publicTrade.%s","type":"snapshot","ts":%d,"data":[`, t.id, p.s.market.now/1e6)
	for i := range ch.trades {
		tr := &ch.trades[i]
		side := "Sell"
		if tr.buy {
			side = "Buy"
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"T":%d,"s":"%s","S":"%s","v":"`, tr.time/1e6, t.id, side)
		b = appendTrim(b, tr.size, v.spec.SizeDecimals)
		b = append(b, `","p":"`...)
		b = appendTrim(b, tr.price, v.spec.PriceDecimals)
		b = append(b, `","L":"PlusTick","i":"`...)
		b = appendUUID(b, uint64(tr.id))
		b = fmt.Appendf(b, `","BT":false,"RPI":false,"seq":%d}`, tr.seq)
	}
	p.s.send(message{kindData, v.pair.spec.Pair, append(b, `]}`...)}, to...)
}

func (p *bybit) onTick(now int64) {
	for _, d := range bybitDepths {
		if now < p.next[d.depth] {
			continue
		}
		p.next[d.depth] = now/d.every*d.every + d.every
		for _, t := range p.books {
			p.update(t, d.depth, now)
		}
	}
}

func (p *bybit) update(t *tracked, depth int, now int64) {
	// Depths that nobody has ever asked for cost nothing.
	if t.depths[depth] == nil {
		return
	}
	w := t.view(depth)
	to := p.wanting(fmt.Sprintf("orderbook.%d.%s", depth, t.id))
	var changes []levelChange
	if p.pending[t][depth] {
		changes = t.advance(nil, w, depth)
		p.pending[t][depth] = false
	}
	if depth == 1 {
		// All images; the number stays where nothing changed.
		switch {
		case len(changes) > 0:
			w.number++
		case now-p.sent[t] < bybitRepeat:
			return
		}
		p.sent[t] = now
		if len(to) > 0 {
			p.send(t, depth, true, w.image(), to...)
		}
		return
	}
	if len(changes) == 0 {
		return
	}
	w.number++
	if len(to) > 0 {
		p.send(t, depth, false, changes, to...)
	}
}

// answer serves /v5/market/instruments-info: the pairs of a category, or one of
// them, in pages but for spot. What is wrong with a request the body says, with
// status 200 ("Get Instruments Info").
func (p *bybit) answer(r *http.Request) (code int, body []byte, symbol string) {
	if r.URL.Path != "/v5/market/instruments-info" {
		return http.StatusNotFound, []byte(`{"retCode":10404,"retMsg":"Request path not found"}`), ""
	}
	q := r.URL.Query()
	category := q.Get("category")
	refuse := func(text string) (int, []byte, string) {
		return http.StatusOK, fmt.Appendf(nil, `{"retCode":10001,"retMsg":"params error: %s","result":{},"retExtInfo":{},"time":%d}`, text, p.s.market.now/1e6), ""
	}
	list, limit, from := p.books, 500, 0
	switch category {
	case "spot":
		limit = len(list)
	case "linear":
		if text := q.Get("limit"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > 1000 {
				return refuse("limit invalid")
			}
			limit = n
		}
		if text := q.Get("cursor"); text != "" {
			n, err := strconv.Atoi(strings.TrimPrefix(text, "after="))
			if err != nil || n < 0 || n > len(list) {
				return refuse("cursor invalid")
			}
			from = n
		}
	case "inverse":
		list = nil // it has none of these pairs
	default:
		return refuse("Category is invalid")
	}
	if id := q.Get("symbol"); id != "" {
		t := p.byID[id]
		if t == nil {
			return refuse("symbol invalid")
		}
		list = []*tracked{t}
	}
	to := min(from+limit, len(list))
	out := fmt.Appendf(nil, `{"retCode":0,"retMsg":"OK","result":{"category":"%s","list":[`, category)
	for i, t := range list[from:to] {
		if i > 0 {
			out = append(out, ',')
		}
		out = p.instrument(out, t, category == "spot")
	}
	cursor := ""
	if to < len(list) {
		cursor = fmt.Sprintf("after=%d", to)
	}
	out = append(out, ']')
	if category != "spot" {
		out = fmt.Appendf(out, `,"nextPageCursor":%q`, cursor)
	}
	return http.StatusOK, fmt.Appendf(out, `},"retExtInfo":{},"time":%d}`, p.s.market.now/1e6), ""
}

// instrument is one entry of the reference data.
func (p *bybit) instrument(b []byte, t *tracked, spot bool) []byte {
	base, quote := splitPair(t.v.pair.spec.Pair)
	b = fmt.Appendf(b, `{"symbol":"%s",`, t.id)
	if !spot {
		b = append(b, `"contractType":"LinearPerpetual",`...)
	}
	b = fmt.Appendf(b, `"status":"Trading","baseCoin":"%s","quoteCoin":"%s",`, base, quote)
	if !spot {
		b = fmt.Appendf(b, `"settleCoin":"%s","priceScale":"%d",`, quote, t.v.spec.PriceDecimals)
	}
	tick := string(appendTrim(nil, max(t.v.spec.Tick, 1), t.v.spec.PriceDecimals))
	lot := string(appendTrim(nil, 1, t.v.spec.SizeDecimals))
	b = fmt.Appendf(b, `"priceFilter":{"minPrice":"%s","maxPrice":"19999998.00","tickSize":"%s"},`, tick, tick)
	if spot {
		return fmt.Appendf(b, `"lotSizeFilter":{"basePrecision":"%s","quotePrecision":"0.00000001","minOrderQty":"%s","maxOrderQty":"100000"}}`, lot, lot)
	}
	return fmt.Appendf(b, `"lotSizeFilter":{"maxOrderQty":"100000","minOrderQty":"%s","qtyStep":"%s"}}`, lot, lot)
}

// Restart makes Bybit send this symbol's books anew with the number 1, as after a
// restart of its service: as an image, or as a change whose number alone says so.
func (s *Server) Restart(symbol string, asDelta bool) {
	s.locked(func() {
		p, ok := s.proto.(*bybit)
		if !ok {
			return
		}
		t := p.byID[strings.ReplaceAll(canonical(symbol), "-", "")]
		if t == nil {
			return
		}
		for _, d := range bybitDepths {
			w := t.depths[d.depth]
			if w == nil {
				continue
			}
			t.advance(nil, w, d.depth)
			p.pending[t][d.depth] = false
			w.number = 1
			if to := p.wanting(fmt.Sprintf("orderbook.%d.%s", d.depth, t.id)); len(to) > 0 {
				p.send(t, d.depth, !asDelta, w.image(), to...)
			}
		}
	})
}
