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
	geminiHeartbeat = int64(5e9)
	geminiBatch     = int64(5e6) // what changes within is told together
)

// gemini speaks Gemini's market data v2, channel l2: books and trades in one
// stream without sequence or checksum. It answers the REST requests for the
// details of symbols. Its state is guarded by Market.mu.
type gemini struct {
	noStocks
	s             *Server
	books         []*tracked
	byVenue       map[*venue]*tracked
	byID          map[string]*tracked
	nextBatch     int64
	nextHeartbeat int64
}

// geminiConn is a connection's state.
type geminiConn struct{ held []string }

// geminiAll is more levels than a book has.
const geminiAll = 1 << 20

func newGemini(s *Server) *gemini {
	now := s.market.Now().UnixNano()
	p := &gemini{s: s, nextBatch: now + geminiBatch, nextHeartbeat: now + geminiHeartbeat}
	p.books, p.byVenue, p.byID = track(s.market, Gemini, func(pair string) string { return strings.Replace(pair, "-", "", 1) })
	return p
}

func (p *gemini) opened(c *conn, path string) {
	c.state = &geminiConn{}
	if strings.TrimSuffix(path, "/") != "/v2/marketdata" {
		p.s.forget(c)
		c.cut()
	}
}

func (p *gemini) expired(*conn) {}
func (p *gemini) closed(*conn)  {}

func (p *gemini) fail(c *conn, reason, text string) {
	p.s.send(message{kindControl, "", geminiError(reason, text)}, c)
}

// geminiError is how Gemini tells an error.
func geminiError(reason, text string) []byte {
	b, _ := json.Marshal(struct {
		Result  string `json:"result"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}{"error", reason, text}) // strings always marshal
	return b
}

func (p *gemini) received(c *conn, b []byte) {
	var m struct {
		Type          string `json:"type"`
		Subscriptions []struct {
			Name    string   `json:"name"`
			Symbols []string `json:"symbols"`
		} `json:"subscriptions"`
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Type != "subscribe" && m.Type != "unsubscribe" {
		p.fail(c, "InvalidJson", "not a request")
		return
	}
	st := c.state.(*geminiConn)
	for _, sub := range m.Subscriptions {
		for _, symbol := range sub.Symbols {
			t := p.byID[strings.ToUpper(symbol)]
			if sub.Name != "l2" || t == nil {
				p.fail(c, "InvalidSymbol", "unsupported symbol "+symbol)
				continue
			}
			i := slices.Index(st.held, t.id)
			switch {
			case m.Type == "unsubscribe" && i >= 0:
				st.held = slices.Delete(st.held, i, i+1)
			case m.Type == "subscribe":
				if i < 0 {
					st.held = append(st.held, t.id)
				}
				p.s.send(message{kindSnapshot, t.v.pair.spec.Pair, p.image(t)}, c)
			}
		}
	}
}

func (p *gemini) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for _, id := range c.state.(*geminiConn).held {
			out = append(out, "l2:"+id)
		}
	}
	return out
}

func (p *gemini) wanting(id string) (to []*conn) {
	for _, c := range p.s.conns {
		if slices.Contains(c.state.(*geminiConn).held, id) {
			to = append(to, c)
		}
	}
	return to
}

func (p *gemini) changes(b []byte, t *tracked, changes []levelChange) []byte {
	for i, l := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		if l.bid {
			b = append(b, `["buy","`...)
		} else {
			b = append(b, `["sell","`...)
		}
		b = appendFixed(b, l.price, t.v.spec.PriceDecimals)
		b = append(b, `","`...)
		b = appendTrim(b, l.size, t.v.spec.SizeDecimals)
		b = append(b, `"]`...)
	}
	return b
}

func (p *gemini) image(t *tracked) []byte {
	b := fmt.Appendf(nil, `{"type":"l2_updates","symbol":"%s","changes":[`, t.id)
	b = p.changes(b, t, t.view(geminiAll).image())
	b = append(b, `],"trades":[`...)
	for i := len(t.v.recent) - 1; i >= 0; i-- { // the newest first
		b = p.trade(b, t, &t.v.recent[i])
		if i > 0 {
			b = append(b, ',')
		}
	}
	return append(b, `],"auction_events":[]}`...)
}

func (p *gemini) trade(b []byte, t *tracked, tr *trade) []byte {
	b = fmt.Appendf(b, `{"type":"trade","symbol":"%s","event_id":%d,"timestamp":%d,"price":"`, t.id, tr.id*2, tr.time/1e6)
	b = appendFixed(b, tr.price, t.v.spec.PriceDecimals)
	b = append(b, `","quantity":"`...)
	b = appendTrim(b, tr.size, t.v.spec.SizeDecimals)
	if tr.buy {
		return append(b, `","side":"buy"}`...)
	}
	return append(b, `","side":"sell"}`...)
}

func (p *gemini) onBook(v *venue, ch *change) {
	t := p.byVenue[v]
	if t == nil {
		return
	}
	t.note(ch)
	t.trades = t.trades[:0]
	to := p.wanting(t.id)
	if len(to) == 0 {
		return
	}
	for i := range ch.trades {
		p.s.send(message{kindData, v.pair.spec.Pair, p.trade(nil, t, &ch.trades[i])}, to...)
	}
}

func (p *gemini) onTick(now int64) {
	if now >= p.nextBatch {
		p.nextBatch = now + geminiBatch
		for _, t := range p.books {
			if !t.dirty || t.depths[geminiAll] == nil {
				continue
			}
			t.dirty = false
			changes := t.advance(nil, t.view(geminiAll), geminiAll)
			if to := p.wanting(t.id); len(to) > 0 && len(changes) > 0 {
				b := fmt.Appendf(make([]byte, 0, 128+40*len(changes)), `{"type":"l2_updates","symbol":"%s","changes":[`, t.id)
				p.s.send(message{kindBook, t.v.pair.spec.Pair, append(p.changes(b, t, changes), `]}`...)}, to...)
			}
		}
	}
	if now >= p.nextHeartbeat {
		p.nextHeartbeat = now + geminiHeartbeat
		for _, c := range p.s.conns {
			p.s.send(message{kindHeartbeat, "", fmt.Appendf(nil, `{"type":"heartbeat","timestamp":%d}`, now/1e6)}, c)
		}
	}
}

// answer serves /v1/symbols and /v1/symbols/details/{symbol}.
func (p *gemini) answer(r *http.Request) (code int, body []byte, symbol string) {
	if r.URL.Path == "/v1/symbols" {
		list := []string{}
		for _, t := range p.books {
			list = append(list, strings.ToLower(t.id))
		}
		out, _ := json.Marshal(list) // strings always marshal
		return http.StatusOK, out, ""
	}
	id, ok := strings.CutPrefix(r.URL.Path, "/v1/symbols/details/")
	if !ok {
		return http.StatusNotFound, geminiError("EndpointNotFound", "API entry point `"+r.URL.Path+"` not found"), ""
	}
	t := p.byID[strings.ToUpper(id)]
	if t == nil {
		return http.StatusBadRequest, geminiError("InvalidSymbol", fmt.Sprintf("Supplied value '%s' is not a valid symbol", id)), ""
	}
	base, quote := splitPair(t.v.pair.spec.Pair)
	out := fmt.Appendf(nil, `{"symbol":"%s","base_currency":"%s","quote_currency":"%s","tick_size":`, t.id, base, quote)
	out = appendBigDecimal(out, 1, t.v.spec.SizeDecimals)
	out = append(out, `,"quote_increment":`...)
	out = appendBigDecimal(out, max(t.v.spec.Tick, 1), t.v.spec.PriceDecimals)
	out = append(out, `,"min_order_size":"`...)
	out = appendFixed(out, 1, t.v.spec.SizeDecimals)
	return http.StatusOK, append(out, `","status":"open","wrap_enabled":false,"product_type":"spot","contract_type":"vanilla"}`...), ""
}

// appendBigDecimal appends v × 10^-decimals as the Java that Gemini runs on prints
// numbers: with an exponent below 0.000001, as the documented 1E-8 has it.
func appendBigDecimal(b []byte, v int64, decimals int) []byte {
	digits := len(strconv.FormatInt(v, 10))
	if exp := decimals - digits + 1; exp > 6 {
		b = appendFixed(b, v, digits-1)
		return fmt.Appendf(b, "E-%d", exp)
	}
	return appendFixed(b, v, decimals)
}
