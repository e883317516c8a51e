package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	alpacaBook = int64(50e6) // changes of order books are sent this often
	alpacaBand = int64(30e9) // and bands
)

// alpacaChannels is what a feed has, by the last part of its path.
var alpacaChannels = map[string][]string{
	"sip":         {"trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances"},
	"delayed_sip": {"trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances"},
	"iex":         {"trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances"},
	"us":          {"trades", "quotes", "bars", "updatedBars", "dailyBars", "orderbooks"},
}

// alpacaLetters is the exchanges' letters on the tapes, by Polygon's numbers.
var alpacaLetters = map[int]byte{2: 'B', 4: 'D', 8: 'K', 10: 'N', 11: 'P', 12: 'Q', 15: 'V', 19: 'Z', 21: 'U'}

const iex = 15

// Alpaca is the name of the venue that Alpaca's crypto is; the default market
// leaves it out.
const Alpaca = "alpaca"

// alpaca speaks Alpaca's stream protocol, of stocks and of crypto, in JSON and in
// MessagePack. Its crypto is the venue Alpaca, or Bitstamp's market where there is
// none. Its state is guarded by Market.mu.
type alpaca struct {
	s                  *Server
	pairs              []*alpacaPair
	byVenue            map[*venue]*alpacaPair
	buf                []byte
	nextBook, nextBand int64
	iexSeen            map[*stock][4]int64
}

// alpacaPair is what waits to be sent of a pair.
type alpacaPair struct {
	symbol   string // BTC/USD
	v        *venue
	dirty    []levelKey
	marked   map[levelKey]bool
	bid, ask level
}

// alpacaConn is a connection's state.
type alpacaConn struct {
	feed, key string
	authed    bool
	held      map[string][]string // symbols by channel
}

func newAlpaca(s *Server) *alpaca {
	p := &alpaca{s: s, byVenue: map[*venue]*alpacaPair{}, iexSeen: map[*stock][4]int64{}}
	for _, c := range s.market.cryptos {
		v := c.at(Alpaca)
		if v == nil {
			v = c.at(Bitstamp)
		}
		if v != nil {
			base, quote := splitPair(c.spec.Pair)
			pr := &alpacaPair{symbol: base + "/" + quote, v: v, marked: map[levelKey]bool{}}
			p.pairs = append(p.pairs, pr)
			p.byVenue[v] = pr
		}
	}
	now := s.market.Now().UnixNano()
	p.nextBook, p.nextBand = now+alpacaBook, now
	return p
}

// control sends a message that comes alone.
func (p *alpaca) control(c *conn, format string, args ...any) {
	c.flush()
	p.s.send(message{kindControl, "", fmt.Appendf(nil, format, args...)}, c)
	c.flush()
}

func (p *alpaca) fail(c *conn, code int, text string) {
	p.control(c, `{"T":"error","code":%d,"msg":%q}`, code, text)
}

// refuse tells an error and ends the connection.
func (p *alpaca) refuse(c *conn, code int, text string) {
	p.fail(c, code, text)
	p.s.forget(c)
	c.finish(endClose, 1000)
}

func (p *alpaca) opened(c *conn, path string) {
	parts := splitPath(strings.TrimSuffix(path, "/"))
	c.state = &alpacaConn{feed: parts[len(parts)-1], held: map[string][]string{}}
	c.batching = true
	c.binary = c.header.Get("Content-Type") == "application/msgpack"
	c.deadline(p.s.cfg.AuthTimeout)
	p.control(c, `{"T":"success","msg":"connected"}`)
}

func (p *alpaca) expired(c *conn) { p.refuse(c, 404, "auth timeout") }

func (p *alpaca) closed(*conn) {}

func (p *alpaca) received(c *conn, b []byte) {
	if c.binary {
		var err error
		if b, err = fromMsgpack(b); err != nil {
			p.fail(c, 400, "invalid syntax")
			return
		}
	}
	var raw map[string]json.RawMessage
	var action, key, secret string
	if json.Unmarshal(b, &raw) != nil || json.Unmarshal(raw["action"], &action) != nil {
		p.fail(c, 400, "invalid syntax")
		return
	}
	st := c.state.(*alpacaConn)
	switch {
	case action == "auth" && st.authed:
		p.fail(c, 403, "already authenticated")
	case action == "auth":
		_, _ = json.Unmarshal(raw["key"], &key), json.Unmarshal(raw["secret"], &secret)
		p.auth(c, st, key, secret)
	case action != "subscribe" && action != "unsubscribe":
		p.fail(c, 400, "invalid syntax")
	case !st.authed:
		p.fail(c, 401, "not authenticated")
	default:
		p.subscribe(c, st, raw, action == "subscribe")
	}
}

func (p *alpaca) auth(c *conn, st *alpacaConn, key, secret string) {
	keys := p.s.cfg.Keys
	if p.s.faults.refuseKeys || key == "" || secret == "" || len(keys) > 0 && !slices.Contains(keys, key) {
		p.refuse(c, 402, "auth failed")
		return
	}
	if alpacaChannels[st.feed] == nil {
		p.refuse(c, 409, "insufficient subscription")
		return
	}
	n := 0
	for _, o := range p.s.conns {
		if os := o.state.(*alpacaConn); o != c && os.authed && os.key == key && os.feed == st.feed {
			n++
		}
	}
	if n >= p.s.cfg.MaxConnections { // here the older one wins
		p.refuse(c, 406, "connection limit exceeded")
		return
	}
	c.deadline(0)
	st.authed, st.key = true, key
	p.control(c, `{"T":"success","msg":"authenticated"}`)
}

func (p *alpaca) subscribe(c *conn, st *alpacaConn, raw map[string]json.RawMessage, on bool) {
	asked := map[string][]string{}
	for name, v := range raw {
		if name == "action" {
			continue
		}
		var symbols []string
		if json.Unmarshal(v, &symbols) != nil {
			p.fail(c, 400, "invalid syntax")
			return
		}
		if !slices.Contains(alpacaChannels[st.feed], name) || slices.Contains(p.s.cfg.NotAuthorized, name) {
			p.fail(c, 410, "invalid subscribe action for this feed")
			return
		}
		asked[name] = symbols
	}
	var books []*alpacaPair
	for name, symbols := range asked {
		for _, s := range symbols {
			i := slices.Index(st.held[name], s)
			switch {
			case on && i < 0:
				st.held[name] = append(st.held[name], s)
			case !on && i >= 0:
				st.held[name] = slices.Delete(st.held[name], i, i+1)
			}
			for _, pr := range p.pairs {
				if on && name == "orderbooks" && i < 0 && (s == pr.symbol || s == "*") {
					books = append(books, pr)
				}
			}
		}
	}
	p.control(c, "%s", p.listing(st))
	slices.SortFunc(books, func(a, b *alpacaPair) int { return strings.Compare(a.symbol, b.symbol) })
	for _, pr := range books {
		p.s.send(message{kindSnapshot, canonical(pr.symbol), p.image(pr)}, c)
		c.flush()
	}
}

// listing is all that is held, with what comes with trades.
func (p *alpaca) listing(st *alpacaConn) []byte {
	b := []byte(`{"T":"subscription"`)
	add := func(name string, symbols []string) {
		list, _ := json.Marshal(append([]string{}, symbols...)) // texts always marshal
		b = fmt.Appendf(b, `,%q:%s`, name, list)
	}
	for _, name := range alpacaChannels[st.feed] {
		add(name, st.held[name])
	}
	if st.feed != "us" {
		add("corrections", st.held["trades"])
		add("cancelErrors", st.held["trades"])
	}
	return append(b, '}')
}

func (p *alpaca) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		for name, symbols := range c.state.(*alpacaConn).held {
			for _, s := range symbols {
				out = append(out, name+":"+s)
			}
		}
	}
	return out
}

// wanting lists the connections that hold a channel of a symbol in one of the feeds.
func (p *alpaca) wanting(channel, symbol string, feeds ...string) (to []*conn) {
	for _, c := range p.s.conns {
		st := c.state.(*alpacaConn)
		if h := st.held[channel]; slices.Contains(feeds, st.feed) && (slices.Contains(h, symbol) || slices.Contains(h, "*")) {
			to = append(to, c)
		}
	}
	return to
}

func alpacaHead(b []byte, typ, symbol string) []byte {
	return fmt.Appendf(b[:0], `{"T":%q,"S":%q`, typ, symbol)
}

func alpacaTime(b []byte, ns int64) []byte {
	b = append(b, `,"t":"`...)
	return append(time.Unix(0, ns).UTC().AppendFormat(b, time.RFC3339Nano), '"')
}

func (p *alpaca) emit(k kind, symbol string, b []byte, to []*conn) {
	p.buf = b[:0]
	p.s.send(message{k, symbol, b}, to...)
}

func tapeLetter(tape int) byte { return "ABC"[min(max(tape, 1), 3)-1] }

func (p *alpaca) onStockTrade(s *stock, t *print) {
	feeds := []string{"sip", "delayed_sip"}
	if t.exchange == iex {
		feeds = append(feeds, "iex")
	}
	to := p.wanting("trades", s.spec.Symbol, feeds...)
	if len(to) == 0 {
		return
	}
	x, z := alpacaLetters[t.exchange], tapeLetter(s.spec.Tape)
	trade := func(b []byte) []byte { return fmt.Appendf(b, `,"x":"%c"`, x) }
	b := trade(field(alpacaHead(p.buf, "t", s.spec.Symbol), "i", t.id))
	b = price(b, "p", t.price, tradePrice)
	b = price(b, "s", max(t.size, micro)/micro*micro, 6) // whole shares
	switch {
	case t.iso && t.odd:
		b = append(b, `,"c":["F","I"]`...)
	case t.iso:
		b = append(b, `,"c":["F"]`...)
	case t.odd:
		b = append(b, `,"c":["@","I"]`...)
	default:
		b = append(b, `,"c":["@"]`...)
	}
	b = fmt.Appendf(alpacaTime(b, t.time), `,"z":"%c"}`, z)
	p.emit(kindData, s.spec.Symbol, b, to)
	// Now and then a print is corrected or taken back at once.
	switch chance := mix(uint64(t.id)^s.lotHash()) % 400; chance {
	case 0:
		b = trade(alpacaHead(p.buf, "c", s.spec.Symbol))
		b = price(field(b, "oi", t.id), "op", t.price, tradePrice)
		b = append(price(b, "os", max(t.size, micro)/micro*micro, 6), `,"oc":["@"]`...)
		b = price(field(b, "ci", t.id+1_000_000_000), "cp", t.price+100, tradePrice)
		b = append(price(b, "cs", max(t.size, micro)/micro*micro, 6), `,"cc":["@"]`...)
		p.emit(kindData, s.spec.Symbol, fmt.Appendf(alpacaTime(b, t.time), `,"z":"%c"}`, z), to)
	case 1:
		b = trade(field(alpacaHead(p.buf, "x", s.spec.Symbol), "i", t.id))
		b = price(price(b, "p", t.price, tradePrice), "s", max(t.size, micro)/micro*micro, 6)
		p.emit(kindData, s.spec.Symbol, fmt.Appendf(alpacaTime(append(b, `,"a":"C"`...), t.time), `,"z":"%c"}`, z), to)
	}
}

// lotHash tells stocks apart where their trades have the same numbers.
func (s *stock) lotHash() (h uint64) {
	for _, c := range []byte(s.spec.Symbol) {
		h = h*131 + uint64(c)
	}
	return h << 20
}

func (p *alpaca) quoteOf(s *stock, bidX, askX byte, bid, bidSize, ask, askSize int64, feeds ...string) {
	to := p.wanting("quotes", s.spec.Symbol, feeds...)
	if len(to) == 0 {
		return
	}
	b := fmt.Appendf(alpacaHead(p.buf, "q", s.spec.Symbol), `,"bx":"%c"`, bidX)
	b = field(price(b, "bp", bid, 2), "bs", bidSize)
	b = fmt.Appendf(b, `,"ax":"%c"`, askX)
	b = append(field(price(b, "ap", ask, 2), "as", askSize), `,"c":["R"]`...)
	b = fmt.Appendf(alpacaTime(b, s.quoteTime), `,"z":"%c"}`, tapeLetter(s.spec.Tape))
	p.emit(kindBook, s.spec.Symbol, b, to)
}

func (p *alpaca) onStockQuote(s *stock) {
	q := &s.shown
	p.quoteOf(s, alpacaLetters[q.bidEx], alpacaLetters[q.askEx], q.bid, q.bidSize, q.ask, q.askSize, "sip", "delayed_sip")
	for i := range s.ex {
		if e := &s.ex[i]; e.id == iex {
			if now := [4]int64{e.bid, e.bidSize, e.ask, e.askSize}; now != p.iexSeen[s] {
				p.iexSeen[s] = now
				p.quoteOf(s, 'V', 'V', e.bid, e.bidSize, e.ask, e.askSize, "iex")
			}
		}
	}
}

func (p *alpaca) onBar(s *stock, minute bool, a bar) {
	if !minute {
		return
	}
	to := p.wanting("bars", s.spec.Symbol, "sip", "delayed_sip", "iex")
	if len(to) == 0 {
		return
	}
	b := price(alpacaHead(p.buf, "b", s.spec.Symbol), "o", a.open, tradePrice)
	b = price(b, "h", a.high, tradePrice)
	b = price(b, "l", a.low, tradePrice)
	b = price(b, "c", a.close, tradePrice)
	b = alpacaTime(field(b, "v", a.volume/micro), a.start)
	b = price(field(b, "n", a.trades), "vw", a.vwap, tradePrice)
	p.emit(kindData, s.spec.Symbol, append(b, '}'), to)
}

func (p *alpaca) onBook(v *venue, ch *change) {
	pr := p.byVenue[v]
	if pr == nil {
		return
	}
	for _, l := range ch.levels {
		if k := (levelKey{l.bid, l.price}); !pr.marked[k] {
			pr.marked[k] = true
			pr.dirty = append(pr.dirty, k)
		}
	}
	symbol := canonical(pr.symbol)
	if to := p.wanting("trades", pr.symbol, "us"); len(to) > 0 {
		for i := range ch.trades {
			t := &ch.trades[i]
			b := price(alpacaHead(p.buf, "t", pr.symbol), "p", t.price, v.spec.PriceDecimals)
			b = alpacaTime(price(b, "s", t.size, v.spec.SizeDecimals), t.time)
			side := "S"
			if t.buy {
				side = "B"
			}
			b = fmt.Appendf(field(b, "i", t.id), `,"tks":%q}`, side)
			p.emit(kindData, symbol, b, to)
		}
	}
	bid, ask := v.bids.best(), v.asks.best()
	if bid == pr.bid && ask == pr.ask {
		return
	}
	pr.bid, pr.ask = bid, ask
	if to := p.wanting("quotes", pr.symbol, "us"); len(to) > 0 {
		b := price(alpacaHead(p.buf, "q", pr.symbol), "bp", bid.price, v.spec.PriceDecimals)
		b = price(price(b, "bs", bid.size, v.spec.SizeDecimals), "ap", ask.price, v.spec.PriceDecimals)
		b = alpacaTime(price(b, "as", ask.size, v.spec.SizeDecimals), ch.time)
		p.emit(kindData, symbol, append(b, '}'), to)
	}
}

func (p *alpaca) levels(b []byte, name string, pr *alpacaPair, levels []level) []byte {
	b = fmt.Appendf(b, `,%q:[`, name)
	for i, l := range levels {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"p":`...)
		b = appendNumber(b, l.price, pr.v.spec.PriceDecimals)
		b = append(b, `,"s":`...)
		b = appendNumber(b, l.size, pr.v.spec.SizeDecimals)
		b = append(b, '}')
	}
	return append(b, ']')
}

func (p *alpaca) image(pr *alpacaPair) []byte {
	b := alpacaTime(alpacaHead(nil, "o", pr.symbol), p.s.market.now)
	for _, bid := range []bool{true, false} {
		side := pr.v.side(bid)
		var all []level
		for i := range side.lv {
			all = append(all, side.at(i))
		}
		b = p.levels(b, map[bool]string{true: "b", false: "a"}[bid], pr, all)
	}
	return append(b, `,"r":true}`...)
}

func (p *alpaca) onTick(now int64) {
	if now >= p.nextBook {
		p.nextBook = now + alpacaBook
		for _, pr := range p.pairs {
			to := p.wanting("orderbooks", pr.symbol, "us")
			if len(to) > 0 && len(pr.dirty) > 0 {
				b := alpacaTime(alpacaHead(p.buf, "o", pr.symbol), now)
				for _, bid := range []bool{true, false} {
					var changed []level
					for _, k := range pr.dirty {
						if k.bid == bid {
							changed = append(changed, level{k.price, pr.v.side(bid).size(k.price)})
						}
					}
					b = p.levels(b, map[bool]string{true: "b", false: "a"}[bid], pr, changed)
				}
				p.emit(kindBook, canonical(pr.symbol), append(b, '}'), to)
				for _, c := range to { // each book's changes in a message of their own
					c.flush()
				}
			}
			pr.dirty = pr.dirty[:0]
			clear(pr.marked)
		}
	}
	if now >= p.nextBand {
		p.nextBand = now + alpacaBand
		for _, s := range p.s.market.stocks {
			if to := p.wanting("lulds", s.spec.Symbol, "sip", "delayed_sip", "iex"); len(to) > 0 {
				mid := s.mid() / 100
				b := price(alpacaHead(p.buf, "l", s.spec.Symbol), "u", mid+mid/20, 2)
				b = alpacaTime(append(price(b, "d", mid-mid/20, 2), `,"i":"B"`...), now)
				p.emit(kindData, s.spec.Symbol, fmt.Appendf(b, `,"z":"%c"}`, tapeLetter(s.spec.Tape)), to)
			}
		}
	}
	for _, c := range slices.Clone(p.s.conns) {
		c.flush()
	}
}
