package sim

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Polygon's ids of the crypto venues that it shows here. Coinbase and Kraken
// are left to their own feeds.
var polygonCryptoVenue = map[string]int64{Bitfinex: 2, Bitstamp: 6}

// polygonChannels is what a market has; false are the channels that the plan
// does not include.
var polygonChannels = map[string]map[string]bool{
	"stocks":  {"T": true, "Q": true, "A": true, "AM": true, "LULD": true, "NOI": false, "FMV": false, "LV": false},
	"options": {"T": true, "Q": true, "A": false, "AM": false, "FMV": false, "LV": false},
	"forex":   {"C": true, "CA": true, "CAS": true, "FMV": false, "LV": false, "AM": false},
	"crypto":  {"XT": true, "XQ": true, "XL2": true, "XA": false, "XAS": false, "FMV": false, "LV": false, "AM": false},
	"indices": {"V": true, "A": true, "AM": true},
	"futures": {"T": true, "Q": true, "A": true, "AM": true},
}

const (
	maxBatch  = 256 << 10    // of a frame; clients read at most 1,000,000 bytes
	xl2Every  = int64(100e6) // a full image is sent at most this often
	xl2Levels = 100          // a side
)

// polygon speaks the Polygon.io / Massive protocol. Its state is guarded by
// Market.mu.
type polygon struct {
	s    *Server
	tops map[*venue]*polygonVenue
	buf  []byte

	markets *polygonMarkets
}

// polygonVenue is what was last shown of a crypto venue.
type polygonVenue struct {
	bid, ask level
	imageAt  int64
	dirty    bool
}

// polygonConn is a connection's state.
type polygonConn struct {
	market string
	key    string
	authed bool
	topics map[string]*polygonTopic
}

// polygonTopic is what a connection holds of one channel.
type polygonTopic struct {
	all     bool
	tickers map[string]bool
}

func newPolygon(s *Server) *polygon {
	return &polygon{s: s, tops: map[*venue]*polygonVenue{}, markets: newPolygonMarkets(s.market)}
}

func polygonStatus(status, text string) []byte {
	b, _ := json.Marshal(struct {
		Ev      string `json:"ev"`
		Status  string `json:"status"`
		Message string `json:"message"`
	}{"status", status, text}) // strings always marshal
	return b
}

// status answers at once: what is batched goes first.
func (p *polygon) status(c *conn, status, text string) {
	p.s.send(message{kindControl, "", polygonStatus(status, text)}, c)
}

func (p *polygon) opened(c *conn, path string) {
	c.state = &polygonConn{market: polygonPath(path), topics: map[string]*polygonTopic{}}
	c.batching = true
	c.deadline(p.s.cfg.AuthTimeout)
	p.status(c, "connected", "Connected Successfully")
	c.flush()
}

func (p *polygon) expired(c *conn) {
	p.status(c, "auth_timeout", "No authentication request received.")
	c.flush()
	p.s.forget(c)
	c.finish(endDrop, 0)
}

func (p *polygon) closed(*conn) {}

func (p *polygon) received(c *conn, b []byte) {
	var m struct{ Action, Params string }
	if err := json.Unmarshal(b, &m); err != nil {
		p.status(c, "error", "invalid message")
		c.flush()
		return
	}
	st := c.state.(*polygonConn)
	switch m.Action {
	case "auth":
		p.auth(c, st, m.Params)
	case "subscribe", "unsubscribe":
		if !st.authed {
			p.status(c, "error", "not authorized")
			break
		}
		for _, item := range strings.Split(m.Params, ",") {
			// T.BRK.B: the ticker may have a dot of its own.
			channel, ticker, ok := strings.Cut(strings.TrimSpace(item), ".")
			if ok && ticker != "" {
				p.hold(c, st, channel, ticker, m.Action == "subscribe")
			}
		}
	}
	c.flush()
}

func (p *polygon) auth(c *conn, st *polygonConn, key string) {
	keys := p.s.cfg.Keys
	if p.s.faults.refuseKeys || key == "" || len(keys) > 0 && !slices.Contains(keys, key) {
		p.status(c, "auth_failed", "authentication failed")
		c.flush()
		p.s.forget(c)
		c.finish(endDrop, 0)
		return
	}
	c.deadline(0)
	st.authed, st.key = true, key
	p.status(c, "auth_success", "authenticated")
	// The newest login wins; the oldest connections of the key have to go.
	var held []*conn
	for _, o := range p.s.conns {
		if os := o.state.(*polygonConn); o != c && os.authed && os.key == key && os.market == st.market {
			held = append(held, o)
		}
	}
	for len(held) >= p.s.cfg.MaxConnections {
		p.s.evict(held[0])
		held = held[1:]
	}
}

// hold starts or ends one subscription. An unknown channel, or a subscription
// that is held already, gets no answer; an unknown ticker is confirmed and
// stays silent.
func (p *polygon) hold(c *conn, st *polygonConn, channel, ticker string, on bool) {
	allowed, known := polygonChannels[st.market][channel]
	if !known {
		return
	}
	if !allowed || slices.Contains(p.s.cfg.NotAuthorized, channel) {
		if on {
			p.status(c, "error", "not authorized")
		}
		return
	}
	t := st.topics[channel]
	if t == nil {
		t = &polygonTopic{tickers: map[string]bool{}}
		st.topics[channel] = t
	}
	held := t.tickers[ticker]
	if ticker == "*" {
		held = t.all
	}
	if held == on {
		return
	}
	verb := "subscribed to: "
	switch {
	case ticker == "*":
		t.all = on
	case on:
		t.tickers[ticker] = true
	default:
		delete(t.tickers, ticker)
	}
	if !on {
		verb = "unsubscribed to: "
	}
	p.status(c, "success", verb+channel+"."+ticker)
}

func (p *polygon) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for channel, t := range c.state.(*polygonConn).topics {
			if t.all {
				out = append(out, channel+".*")
			}
			for ticker := range t.tickers {
				out = append(out, channel+"."+ticker)
			}
		}
	}
	return out
}

// wanting lists the connections that hold a channel of a ticker.
func (p *polygon) wanting(market, channel, ticker string) (to []*conn) {
	for _, c := range p.s.conns {
		st := c.state.(*polygonConn)
		if st.market != market {
			continue
		}
		if t := st.topics[channel]; t != nil && (t.all || t.tickers[ticker]) {
			to = append(to, c)
		}
	}
	return to
}

// addToBatch puts an event in the frame that goes out at the end of the
// quantum. Several events share a frame, as with the real server.
func (c *conn) addToBatch(m message) {
	if m.kind == kindRaw {
		c.flush()
		c.enqueue(m.data)
		return
	}
	if len(c.batch)+len(m.data) > maxBatch {
		c.flush()
	}
	if len(c.batch) == 0 {
		c.batch = append(c.batch, '[')
	} else {
		c.batch = append(c.batch, ',')
	}
	c.batch = append(c.batch, m.data...)
}

// flush sends the frame that has been collected.
func (c *conn) flush() {
	if len(c.batch) > 0 {
		frame := append(c.batch, ']')
		c.batch = make([]byte, 0, len(frame)) // the queue keeps the old one
		c.enqueue(frame)
	}
}

func (p *polygon) onTick(now int64) {
	p.step(now)
	for _, c := range p.s.market.cryptos {
		for _, v := range c.venues {
			if t := p.tops[v]; t != nil && t.dirty && now >= t.imageAt+xl2Every {
				t.dirty, t.imageAt = false, now
				p.image(v, now)
			}
		}
	}
	for _, c := range slices.Clone(p.s.conns) {
		c.flush()
	}
}

func ms(ns int64) int64 { return ns / 1e6 }

// field appends ,"name": and an integer.
func field(b []byte, name string, v int64) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, v, 10)
}

// price appends ,"name": and a decimal.
func price(b []byte, name string, v int64, decimals int) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return appendNumber(b, v, decimals)
}

func head(b []byte, ev, key, symbol string) []byte {
	b = append(b, `{"ev":"`...)
	b = append(b, ev...)
	b = append(b, `","`...)
	b = append(b, key...)
	b = append(b, `":"`...)
	b = append(b, symbol...)
	return append(b, '"')
}

// emit sends the event in p.buf. Batches copy it, so it can be used again.
func (p *polygon) emit(k kind, symbol string, b []byte, to []*conn) {
	p.buf = b[:0]
	p.s.send(message{k, symbol, b}, to...)
}

func (p *polygon) onStockTrade(s *stock, t *print) {
	to := p.wanting("stocks", "T", s.spec.Symbol)
	if len(to) == 0 {
		return
	}
	b := head(p.buf[:0], "T", "sym", s.spec.Symbol)
	b = append(b, `,"i":"`...)
	b = strconv.AppendInt(b, t.id, 10)
	b = append(b, '"')
	b = field(b, "x", int64(t.exchange))
	b = price(b, "p", t.price, tradePrice)
	b = field(b, "s", max(t.size/micro, 1))
	switch {
	case t.iso && t.odd:
		b = append(b, `,"c":[14,37]`...)
	case t.iso:
		b = append(b, `,"c":[14]`...)
	case t.odd:
		b = append(b, `,"c":[37]`...)
	}
	b = field(b, "t", ms(t.time))
	b = field(b, "pt", ms(t.time-2e6))
	b = field(b, "q", t.seq)
	b = field(b, "z", int64(s.spec.Tape))
	if t.facility != 0 {
		b = field(b, "trfi", int64(t.facility))
		b = field(b, "trft", ms(t.facilityAt))
	}
	b = append(b, `,"ds":"`...)
	b = appendShares(b, t.size)
	b = append(b, `"}`...)
	p.emit(kindData, s.spec.Symbol, b, to)
}

func (p *polygon) onStockQuote(s *stock) {
	to := p.wanting("stocks", "Q", s.spec.Symbol)
	if len(to) == 0 {
		return
	}
	q := &s.shown
	b := head(p.buf[:0], "Q", "sym", s.spec.Symbol)
	b = append(b, `,"i":[604]`...)
	if s.spec.Tape != 3 {
		b = append(b, `,"c":1`...) // present on some feeds only
	}
	b = field(b, "bx", int64(q.bidEx))
	b = field(b, "ax", int64(q.askEx))
	b = price(b, "bp", q.bid, 2)
	b = price(b, "ap", q.ask, 2)
	b = field(b, "bs", q.bidSize)
	b = field(b, "as", q.askSize)
	b = field(b, "t", ms(s.quoteTime))
	b = field(b, "pt", ms(s.quoteTime-1e6))
	b = field(b, "q", s.quoteSeq)
	b = field(b, "z", int64(s.spec.Tape))
	b = append(b, '}')
	p.emit(kindBook, s.spec.Symbol, b, to)
}

func (p *polygon) onBar(s *stock, minute bool, a bar) {
	ev := "A"
	if minute {
		ev = "AM"
	}
	to := p.wanting("stocks", ev, s.spec.Symbol)
	if len(to) == 0 {
		return
	}
	b := head(p.buf[:0], ev, "sym", s.spec.Symbol)
	b = field(b, "v", a.volume/micro)
	b = field(b, "av", a.dayVolume/micro)
	b = price(b, "op", s.open, tradePrice)
	b = price(b, "vw", a.vwap, tradePrice)
	b = price(b, "o", a.open, tradePrice)
	b = price(b, "c", a.close, tradePrice)
	b = price(b, "h", a.high, tradePrice)
	b = price(b, "l", a.low, tradePrice)
	b = price(b, "a", a.dayVWAP, tradePrice)
	b = field(b, "z", max(a.volume/micro/a.trades, 1))
	b = field(b, "s", ms(a.start))
	b = field(b, "e", ms(a.end))
	b = append(b, `,"dv":"`...)
	b = appendShares(b, a.volume)
	b = append(b, `","dav":"`...)
	b = appendShares(b, a.dayVolume)
	b = append(b, `"}`...)
	p.emit(kindData, s.spec.Symbol, b, to)
}

func (p *polygon) onBook(v *venue, ch *change) {
	x, shown := polygonCryptoVenue[v.spec.Venue]
	if !shown {
		return
	}
	pair := v.pair.spec.Pair
	for i := range ch.trades {
		p.cryptoTrade(v, x, pair, &ch.trades[i])
	}
	top := p.tops[v]
	if top == nil {
		top = &polygonVenue{}
		p.tops[v] = top
	}
	top.dirty = true
	bid, ask := v.bids.best(), v.asks.best()
	if bid == top.bid && ask == top.ask {
		return
	}
	top.bid, top.ask = bid, ask
	to := p.wanting("crypto", "XQ", pair)
	if len(to) == 0 {
		return
	}
	b := head(p.buf[:0], "XQ", "pair", pair)
	b = price(b, "bp", bid.price, v.spec.PriceDecimals)
	b = price(b, "bs", bid.size, v.spec.SizeDecimals)
	b = price(b, "ap", ask.price, v.spec.PriceDecimals)
	b = price(b, "as", ask.size, v.spec.SizeDecimals)
	b = field(b, "t", ms(ch.time))
	b = field(b, "x", x)
	b = field(b, "r", ms(ch.time)+received(ch.time))
	b = append(b, '}')
	p.emit(kindBook, pair, b, to)
}

// received is how many milliseconds an event took to Polygon.
func received(at int64) int64 { return 5 + int64(mix(uint64(at))%40) }

func (p *polygon) cryptoTrade(v *venue, x int64, pair string, t *trade) {
	to := p.wanting("crypto", "XT", pair)
	if len(to) == 0 {
		return
	}
	b := head(p.buf[:0], "XT", "pair", pair)
	b = price(b, "p", t.price, v.spec.PriceDecimals)
	b = field(b, "t", ms(t.time))
	b = price(b, "s", t.size, v.spec.SizeDecimals)
	if t.buy {
		b = append(b, `,"c":[2]`...)
	} else {
		b = append(b, `,"c":[1]`...)
	}
	b = append(b, `,"i":"`...)
	b = strconv.AppendInt(b, t.id, 10)
	b = append(b, '"')
	b = field(b, "x", x)
	b = field(b, "r", ms(t.time)+received(t.time))
	b = append(b, '}')
	p.emit(kindData, pair, b, to)
}

// image sends the whole book, up to 100 levels a side (XL2).
func (p *polygon) image(v *venue, now int64) {
	pair := v.pair.spec.Pair
	to := p.wanting("crypto", "XL2", pair)
	if len(to) == 0 {
		return
	}
	b := head(p.buf[:0], "XL2", "pair", pair)
	for _, bid := range []bool{true, false} {
		if bid {
			b = append(b, `,"b":[`...)
		} else {
			b = append(b, `],"a":[`...)
		}
		side := v.side(bid)
		for i := range min(len(side.lv), xl2Levels) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '[')
			b = appendNumber(b, side.at(i).price, v.spec.PriceDecimals)
			b = append(b, ',')
			b = appendNumber(b, side.at(i).size, v.spec.SizeDecimals)
			b = append(b, ']')
		}
	}
	b = append(b, ']')
	b = field(b, "t", ms(now))
	b = field(b, "x", polygonCryptoVenue[v.spec.Venue])
	b = field(b, "r", ms(now)+received(now))
	b = append(b, '}')
	p.emit(kindBook, pair, b, to)
}
