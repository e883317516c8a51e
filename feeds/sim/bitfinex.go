package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

const (
	bitfinexChannels  = 25 // of one connection
	bitfinexHeartbeat = int64(15e9)
	bitfinexBatch     = int64(5e6)
	bitfinexSeq       = 1 << 16
	bitfinexSums      = 1 << 17
)

var bitfinexDepths = []int{1, 25, 100, 250}

// bitfinex speaks Bitfinex's public WebSocket v2: books of price levels (P0) and
// trades, with a running number and checksums where they were asked for. Its state
// is guarded by Market.mu.
type bitfinex struct {
	noStocks
	s         *Server
	books     []*tracked
	byVenue   map[*venue]*tracked
	byID      map[string]*tracked
	nextBatch int64
	channels  int // numbers given out
}

// bitfinexConn is a connection's state.
type bitfinexConn struct {
	flags  int
	number uint64
	held   []*bitfinexHeld
}

// bitfinexHeld is one channel of a connection.
type bitfinexHeld struct {
	id      int
	channel string
	t       *tracked
	depth   int
	sent    int64 // when something was last sent on it
}

func newBitfinex(s *Server) *bitfinex {
	p := &bitfinex{s: s, nextBatch: s.market.Now().UnixNano() + bitfinexBatch, channels: 17_000}
	p.books, p.byVenue, p.byID = track(s.market, Bitfinex, func(pair string) string {
		base, quote := splitPair(pair)
		if len(base) > 3 || len(quote) > 3 {
			return "t" + base + ":" + quote
		}
		return "t" + base + quote
	})
	return p
}

func (p *bitfinex) opened(c *conn, _ string) {
	c.state = &bitfinexConn{}
	p.event(c, map[string]any{"event": "info", "version": 2, "serverId": string(appendUUID(nil, uint64(c.id))), "platform": map[string]int{"status": 1}})
}

func (p *bitfinex) expired(*conn) {}
func (p *bitfinex) closed(*conn)  {}

func (p *bitfinex) event(c *conn, v map[string]any) {
	b, _ := json.Marshal(v) // maps of strings and numbers always marshal
	p.s.send(message{kindControl, "", b}, c)
}

// send numbers an array, whose closing bracket is left out, and sends it. What a
// fault takes has its number all the same: that is what shows the loss.
func (p *bitfinex) send(c *conn, h *bitfinexHeld, k kind, data []byte) {
	st := c.state.(*bitfinexConn)
	b := slices.Clip(data)
	if st.flags&bitfinexSeq != 0 {
		st.number++
		b = append(b, ',')
		b = strconv.AppendUint(b, st.number, 10)
	}
	h.sent = p.s.market.now
	p.s.send(message{k, h.t.v.pair.spec.Pair, append(b, ']')}, c)
}

func (p *bitfinex) received(c *conn, b []byte) {
	var m struct {
		Event   string          `json:"event"`
		Flags   int             `json:"flags"`
		Channel string          `json:"channel"`
		Symbol  string          `json:"symbol"`
		Prec    string          `json:"prec"`
		Freq    string          `json:"freq"`
		Len     json.RawMessage `json:"len"`
		SubID   any             `json:"subId"`
		ChanID  int             `json:"chanId"`
		CID     int             `json:"cid"`
	}
	st := c.state.(*bitfinexConn)
	fail := func(code int, text string) {
		p.event(c, map[string]any{"event": "error", "msg": text, "code": code, "channel": m.Channel, "symbol": m.Symbol})
	}
	if err := json.Unmarshal(b, &m); err != nil {
		fail(10000, "ERR_UNK")
		return
	}
	switch m.Event {
	case "ping":
		p.event(c, map[string]any{"event": "pong", "ts": p.s.market.now / 1e6, "cid": m.CID})
	case "conf":
		st.flags = m.Flags
		p.event(c, map[string]any{"event": "conf", "status": "OK", "flags": m.Flags})
	case "subscribe":
		h := &bitfinexHeld{channel: m.Channel, t: p.byID[m.Symbol], depth: 25}
		if text := strings.Trim(string(m.Len), `"`); text != "" {
			h.depth, _ = strconv.Atoi(text)
		}
		switch {
		case m.Channel != "book" && m.Channel != "trades":
			fail(10300, "channel: unknown")
		case h.t == nil:
			fail(10300, "symbol: invalid")
		case m.Channel == "book" && (m.Prec != "P0" || !slices.Contains(bitfinexDepths, h.depth)):
			fail(10300, "prec or len: invalid")
		case len(st.held) >= bitfinexChannels:
			fail(10305, "ERR_SUB_LIMIT")
		case slices.ContainsFunc(st.held, func(o *bitfinexHeld) bool { return o.t == h.t && o.channel == h.channel }):
			fail(10301, "subscribe: dup")
		default:
			p.channels++
			h.id = p.channels
			st.held = append(st.held, h)
			ack := map[string]any{"event": "subscribed", "channel": h.channel, "chanId": h.id, "symbol": m.Symbol, "pair": m.Symbol[1:]}
			if m.SubID != nil {
				ack["subId"] = m.SubID
			}
			if h.channel == "book" {
				ack["prec"], ack["freq"], ack["len"] = m.Prec, "F0", strconv.Itoa(h.depth)
			}
			p.event(c, ack)
			p.begin(c, h)
		}
	case "unsubscribe":
		i := slices.IndexFunc(st.held, func(h *bitfinexHeld) bool { return h.id == m.ChanID })
		if i < 0 {
			fail(10400, "unsubscribe: invalid")
			return
		}
		st.held = slices.Delete(st.held, i, i+1)
		p.event(c, map[string]any{"event": "unsubscribed", "status": "OK", "chanId": m.ChanID})
	default:
		fail(10000, "ERR_UNK")
	}
}

// begin sends what a subscription begins with.
func (p *bitfinex) begin(c *conn, h *bitfinexHeld) {
	b := fmt.Appendf(nil, `[%d,[`, h.id)
	if h.channel == "trades" {
		recent := h.t.v.recent[max(len(h.t.v.recent)-30, 0):]
		for i := len(recent) - 1; i >= 0; i-- { // the newest first
			b = p.trade(b, h.t, &recent[i])
			if i > 0 {
				b = append(b, ',')
			}
		}
		p.send(c, h, kindData, append(b, ']'))
		return
	}
	for i, l := range h.t.view(h.depth).image() {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.level(b, h.t, l)
	}
	p.send(c, h, kindSnapshot, append(b, ']'))
}

// level is [price, count, amount]: the amount of asks is negative, and a level
// that is gone has count 0 and the sign of its side.
func (p *bitfinex) level(b []byte, t *tracked, l levelChange) []byte {
	b = append(b, '[')
	b = appendNumber(b, l.price, t.v.spec.PriceDecimals)
	sign := ""
	if !l.bid {
		sign = "-"
	}
	if l.size == 0 {
		return append(b, ",0,"+sign+"1]"...)
	}
	b = append(b, ",1,"+sign...)
	b = appendNumber(b, l.size, t.v.spec.SizeDecimals)
	return append(b, ']')
}

func (p *bitfinex) trade(b []byte, t *tracked, tr *trade) []byte {
	b = fmt.Appendf(b, `[%d,%d,`, tr.id, tr.time/1e6)
	if !tr.buy {
		b = append(b, '-')
	}
	b = appendNumber(b, tr.size, t.v.spec.SizeDecimals)
	b = append(b, ',')
	b = appendNumber(b, tr.price, t.v.spec.PriceDecimals)
	return append(b, ']')
}

// scriptNumber appends a number as JavaScript prints it: the checksum is over
// that.
func scriptNumber(b []byte, v int64, decimals int) []byte {
	text := appendTrim(nil, v, decimals)
	if len(text) < len("0.0000001") || !strings.HasPrefix(string(text), "0.000000") {
		return append(b, text...)
	}
	digits := strings.TrimLeft(string(text[2:]), "0")
	b = append(b, digits[0])
	if len(digits) > 1 {
		b = append(append(b, '.'), digits[1:]...)
	}
	return strconv.AppendInt(append(b, "e-"...), int64(len(text)-2-len(digits)+1), 10)
}

func (p *bitfinex) sum(t *tracked, w *depthView) int32 {
	var b []byte
	for i := range 25 {
		if i < len(w.bids) {
			b = append(scriptNumber(b, w.bids[i].price, t.v.spec.PriceDecimals), ':')
			b = append(scriptNumber(b, w.bids[i].size, t.v.spec.SizeDecimals), ':')
		}
		if i < len(w.asks) {
			b = append(scriptNumber(b, w.asks[i].price, t.v.spec.PriceDecimals), ":-"...)
			b = append(scriptNumber(b, w.asks[i].size, t.v.spec.SizeDecimals), ':')
		}
	}
	return int32(p.s.faults.checksum(t.v.pair.spec.Pair, crc32.ChecksumIEEE(b[:max(len(b)-1, 0)])))
}

func (p *bitfinex) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for _, h := range c.state.(*bitfinexConn).held {
			out = append(out, h.channel+":"+h.t.id)
		}
	}
	return out
}

// each calls f for every connection's channels of one book.
func (p *bitfinex) each(t *tracked, channel string, f func(c *conn, h *bitfinexHeld)) {
	for _, c := range p.s.conns {
		for _, h := range c.state.(*bitfinexConn).held {
			if h.t == t && h.channel == channel {
				f(c, h)
			}
		}
	}
}

func (p *bitfinex) onBook(v *venue, ch *change) {
	t := p.byVenue[v]
	if t == nil {
		return
	}
	t.note(ch)
	t.trades = t.trades[:0]
	for i := range ch.trades {
		for _, word := range []string{"te", "tu"} {
			p.each(t, "trades", func(c *conn, h *bitfinexHeld) {
				p.send(c, h, kindData, p.trade(fmt.Appendf(nil, `[%d,"%s",`, h.id, word), t, &ch.trades[i]))
			})
		}
	}
}

// onTick sends what changed, a message a level, then the checksum over the book.
func (p *bitfinex) onTick(now int64) {
	if now >= p.nextBatch {
		p.nextBatch = now + bitfinexBatch
		for _, t := range p.books {
			if !t.dirty {
				continue
			}
			t.dirty = false
			for _, depth := range bitfinexDepths {
				w := t.depths[depth]
				if w == nil {
					continue
				}
				changes := t.advance(nil, w, depth)
				if len(changes) == 0 {
					continue
				}
				// Removals go first, so that no level is crossed by one that
				// is gone already.
				slices.SortStableFunc(changes, func(a, b levelChange) int { return cmp.Compare(min(a.size, 1), min(b.size, 1)) })
				p.each(t, "book", func(c *conn, h *bitfinexHeld) {
					if h.depth != depth {
						return
					}
					for _, l := range changes {
						p.send(c, h, kindBook, p.level(fmt.Appendf(nil, `[%d,`, h.id), t, l))
					}
					if c.state.(*bitfinexConn).flags&bitfinexSums != 0 {
						p.send(c, h, kindData, fmt.Appendf(nil, `[%d,"cs",%d`, h.id, p.sum(t, w)))
					}
				})
			}
		}
	}
	for _, c := range p.s.conns {
		for _, h := range c.state.(*bitfinexConn).held {
			if now-h.sent >= bitfinexHeartbeat {
				p.send(c, h, kindHeartbeat, fmt.Appendf(nil, `[%d,"hb"`, h.id))
			}
		}
	}
}
