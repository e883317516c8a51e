package sim

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
)

const (
	okxBatch   = int64(100e6) // books are sent this often
	okxRepeat  = int64(60e9)  // an empty update where nothing changed for so long
	okxDepth   = 400
	okxDepth5  = 5
	okxLongest = 64 << 10 // of a request
)

// okx speaks OKX's public WebSocket v5: spot pairs on the channels books, books5,
// bbo-tbt, trades, tickers and instruments. Its state is guarded by Market.mu.
type okx struct {
	noStocks
	s         *Server
	books     []*tracked
	byVenue   map[*venue]*tracked
	byID      map[string]*tracked
	nextBatch int64
	checksums bool               // else 0, as since 23 June 2026
	sent      map[*tracked]int64 // when its last update went out
}

// okxArg names what is subscribed.
type okxArg struct {
	Channel  string `json:"channel"`
	InstType string `json:"instType,omitempty"`
	InstID   string `json:"instId,omitempty"`
}

func (a okxArg) String() string { return a.Channel + ":" + a.InstType + a.InstID }

var okxChannels = []string{"books", "books5", "bbo-tbt", "trades", "tickers"}

// okxConn is a connection's state.
type okxConn struct{ held []okxArg }

func newOKX(s *Server) *okx {
	p := &okx{s: s, sent: map[*tracked]int64{}}
	p.books, p.byVenue, p.byID = track(s.market, OKX, func(pair string) string { return pair })
	now := s.market.Now().UnixNano()
	p.nextBatch = now + okxBatch
	for _, t := range p.books {
		p.sent[t] = now
	}
	return p
}

func (p *okx) opened(c *conn, _ string) {
	c.state = &okxConn{}
	c.deadline(6 * p.s.cfg.SubscribeTimeout) // the documented 30 s
}

func (p *okx) expired(c *conn) {
	p.s.forget(c)
	c.cut()
}

func (p *okx) closed(*conn) {}

func (p *okx) connID(c *conn) string { return fmt.Sprintf("%08x", uint32(mix(uint64(c.id)))) }

func (p *okx) fail(c *conn, id, code, text string) {
	b, _ := json.Marshal(struct {
		ID     string `json:"id,omitempty"`
		Event  string `json:"event"`
		Code   string `json:"code"`
		Msg    string `json:"msg"`
		ConnID string `json:"connId"`
	}{id, "error", code, text, p.connID(c)}) // strings always marshal
	p.s.send(message{kindControl, "", b}, c)
}

func (p *okx) received(c *conn, b []byte) {
	if string(b) == "ping" {
		p.s.send(message{kindHeartbeat, "", []byte("pong")}, c)
		return
	}
	var m struct {
		ID   string   `json:"id"`
		Op   string   `json:"op"`
		Args []okxArg `json:"args"`
	}
	if err := json.Unmarshal(b, &m); err != nil || len(b) > okxLongest || m.Op != "subscribe" && m.Op != "unsubscribe" || len(m.Args) == 0 {
		p.fail(c, m.ID, "60012", "Invalid request: "+string(b[:min(len(b), 200)]))
		return
	}
	st := c.state.(*okxConn)
	c.deadline(0)
	for _, a := range m.Args {
		known := a.Channel == "instruments" && a.InstType == "SPOT" || slices.Contains(okxChannels, a.Channel) && p.byID[a.InstID] != nil
		if !known {
			p.fail(c, m.ID, "60018", fmt.Sprintf("Wrong URL or channel:%s,instId:%s doesn't exist. Please use the correct URL, channel and parameters referring to API document.", a.Channel, a.InstID))
			continue
		}
		i := slices.Index(st.held, a)
		switch {
		case m.Op == "subscribe" && i < 0:
			st.held = append(st.held, a)
		case m.Op == "unsubscribe" && i >= 0:
			st.held = slices.Delete(st.held, i, i+1)
		}
		ack, _ := json.Marshal(struct {
			ID     string `json:"id,omitempty"`
			Event  string `json:"event"`
			Arg    okxArg `json:"arg"`
			ConnID string `json:"connId"`
		}{m.ID, m.Op, a, p.connID(c)}) // strings always marshal
		p.s.send(message{kindControl, "", ack}, c)
		if m.Op == "subscribe" {
			p.begin(c, a)
		}
	}
}

// begin sends what a subscription begins with.
func (p *okx) begin(c *conn, a okxArg) {
	t := p.byID[a.InstID]
	switch a.Channel {
	case "books":
		w := t.view(okxDepth)
		p.s.send(message{kindSnapshot, t.v.pair.spec.Pair, p.book(t, w, "snapshot", w.image(), -1, t.at)}, c)
	case "instruments":
		p.s.send(message{kindData, "", p.instruments()}, c)
	case "trades":
		if t.v.last.id != 0 {
			p.s.send(message{kindData, t.v.pair.spec.Pair, p.trade(t, &t.v.last)}, c)
		}
	case "books5", "bbo-tbt", "tickers":
		p.s.send(message{kindData, t.v.pair.spec.Pair, p.top(t, a.Channel)}, c)
	}
}

func (p *okx) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for _, a := range c.state.(*okxConn).held {
			out = append(out, a.String())
		}
	}
	return out
}

func (p *okx) wanting(channel, id string) (to []*conn) {
	for _, c := range p.s.conns {
		if slices.Contains(c.state.(*okxConn).held, okxArg{Channel: channel, InstID: id}) {
			to = append(to, c)
		}
	}
	return to
}

func (p *okx) head(channel, id string) []byte {
	return fmt.Appendf(make([]byte, 0, 512), `{"arg":{"channel":"%s","instId":"%s"},`, channel, id)
}

// okxSum is OKX's checksum over the best 25 levels, bid and ask in turn, as
// texts.
func okxSum(t *tracked, w *depthView) uint32 {
	var b []byte
	for i := range 25 {
		for _, side := range [2][]level{w.bids, w.asks} {
			if i < len(side) {
				b = append(appendTrim(b, side[i].price, t.v.spec.PriceDecimals), ':')
				b = append(appendTrim(b, side[i].size, t.v.spec.SizeDecimals), ':')
			}
		}
	}
	return crc32.ChecksumIEEE(b[:max(len(b)-1, 0)])
}

func (p *okx) book(t *tracked, w *depthView, action string, changes []levelChange, prev, at int64) []byte {
	b := append(p.head("books", t.id), `"action":"`...)
	b = append(b, action...)
	b = append(b, `","data":[{"asks":`...)
	b = t.appendTexts(b, changes, false, `,"0","1"`)
	b = append(b, `,"bids":`...)
	b = t.appendTexts(b, changes, true, `,"0","1"`)
	sum := uint32(0)
	if p.checksums {
		sum = okxSum(t, w)
		if action == "update" {
			sum = p.s.faults.checksum(t.v.pair.spec.Pair, sum)
		}
	}
	return fmt.Appendf(b, `,"ts":"%d","checksum":%d,"prevSeqId":%d,"seqId":%d}]}`, at/1e6, int32(sum), prev, w.number)
}

func (p *okx) trade(t *tracked, tr *trade) []byte {
	b := fmt.Appendf(p.head("trades", t.id), `"data":[{"instId":"%s","tradeId":"%d","px":"`, t.id, tr.id)
	b = appendTrim(b, tr.price, t.v.spec.PriceDecimals)
	b = append(b, `","sz":"`...)
	b = appendTrim(b, tr.size, t.v.spec.SizeDecimals)
	side := "sell"
	if tr.buy {
		side = "buy"
	}
	return fmt.Appendf(b, `","side":"%s","ts":"%d","count":"1","source":"0","seqId":%d}]}`, side, tr.time/1e6, tr.seq)
}

// top is a message of a channel that is an image each time.
func (p *okx) top(t *tracked, channel string) []byte {
	depth := 1
	if channel == "books5" {
		depth = okxDepth5
	}
	w := depthView{bids: appendTop(nil, &t.v.bids, depth), asks: appendTop(nil, &t.v.asks, depth)}
	b := append(p.head(channel, t.id), `"data":[{`...)
	if channel == "tickers" {
		b = fmt.Appendf(b, `"instType":"SPOT","instId":"%s","last":"`, t.id)
		b = appendTrim(b, t.v.last.price, t.v.spec.PriceDecimals)
		for _, side := range []struct {
			name string
			l    level
		}{{"ask", w.asks[0]}, {"bid", w.bids[0]}} {
			b = fmt.Appendf(b, `","%sPx":"`, side.name)
			b = appendTrim(b, side.l.price, t.v.spec.PriceDecimals)
			b = fmt.Appendf(b, `","%sSz":"`, side.name)
			b = appendTrim(b, side.l.size, t.v.spec.SizeDecimals)
		}
		return fmt.Appendf(b, `","ts":"%d"}]}`, t.at/1e6)
	}
	b = append(b, `"asks":`...)
	b = t.appendTexts(b, w.image(), false, `,"0","1"`)
	b = append(b, `,"bids":`...)
	b = t.appendTexts(b, w.image(), true, `,"0","1"`)
	return fmt.Appendf(b, `,"ts":"%d","seqId":%d}]}`, t.at/1e6, t.v.seq)
}

func (p *okx) instruments() []byte {
	b := []byte(`{"arg":{"channel":"instruments","instType":"SPOT"},"data":[`)
	for i, t := range p.books {
		if i > 0 {
			b = append(b, ',')
		}
		base, quote := splitPair(t.v.pair.spec.Pair)
		b = fmt.Appendf(b, `{"instType":"SPOT","instId":"%s","baseCcy":"%s","quoteCcy":"%s","tickSz":"`, t.id, base, quote)
		b = appendTrim(b, t.v.spec.Tick, t.v.spec.PriceDecimals)
		b = append(b, `","lotSz":"`...)
		b = appendTrim(b, 1, t.v.spec.SizeDecimals)
		b = append(b, `","minSz":"`...)
		b = appendTrim(b, 1, t.v.spec.SizeDecimals)
		b = append(b, `","ctVal":"","state":"live"}`...)
	}
	return append(b, `]}`...)
}

func (p *okx) onBook(v *venue, ch *change) {
	t := p.byVenue[v]
	if t == nil {
		return
	}
	t.note(ch)
	for i := range ch.trades {
		if to := p.wanting("trades", t.id); len(to) > 0 {
			p.s.send(message{kindData, v.pair.spec.Pair, p.trade(t, &ch.trades[i])}, to...)
		}
	}
	t.trades = t.trades[:0]
	if to := p.wanting("bbo-tbt", t.id); len(to) > 0 {
		p.s.send(message{kindData, v.pair.spec.Pair, p.top(t, "bbo-tbt")}, to...)
	}
}

func (p *okx) onTick(now int64) {
	if now < p.nextBatch {
		return
	}
	p.nextBatch = now/okxBatch*okxBatch + okxBatch
	for _, t := range p.books {
		pair := t.v.pair.spec.Pair
		if t.dirty {
			for _, channel := range []string{"books5", "tickers"} {
				if to := p.wanting(channel, t.id); len(to) > 0 {
					p.s.send(message{kindData, pair, p.top(t, channel)}, to...)
				}
			}
		}
		// The view goes on whether anybody follows it or not: its numbers are
		// the book's, not a subscription's.
		w := t.view(okxDepth)
		var changes []levelChange
		if t.dirty {
			changes = t.advance(nil, w, okxDepth)
		}
		t.dirty = false
		prev := w.number
		switch {
		case len(changes) > 0:
			w.number += 1 + int64(len(changes))
		case now-p.sent[t] < okxRepeat:
			continue
		}
		p.sent[t] = now
		if to := p.wanting("books", t.id); len(to) > 0 {
			p.s.send(message{kindBook, pair, p.book(t, w, "update", changes, prev, t.at)}, to...)
		}
	}
}

// Checksums makes OKX send checksums over its books, as it did until 23 June
// 2026; since then they are 0.
func (s *Server) Checksums(on bool) {
	s.locked(func() {
		if p, ok := s.proto.(*okx); ok {
			p.checksums = on
		}
	})
}

// Renumber makes OKX's sequence of this symbol's book go on from a small number,
// as after maintenance. The chain stays whole.
func (s *Server) Renumber(symbol string) {
	s.locked(func() {
		p, ok := s.proto.(*okx)
		if !ok {
			return
		}
		if t := p.byID[canonical(symbol)]; t != nil {
			w := t.view(okxDepth)
			prev := w.number
			w.number = 7
			if to := p.wanting("books", t.id); len(to) > 0 {
				changes := t.advance(nil, w, okxDepth)
				t.dirty = false
				p.s.send(message{kindBook, t.v.pair.spec.Pair, p.book(t, w, "update", changes, prev, t.at)}, to...)
			}
		}
	})
}
