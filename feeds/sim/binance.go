package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// binance speaks Binance's combined market streams, of the spot market or of
// USD-M futures, and answers the REST requests for books and reference data. Its
// state is guarded by Market.mu.
type binance struct {
	noStocks
	s       *Server
	futures bool
	books   []*binanceBook
	byVenue map[*venue]*binanceBook
	byID    map[string]*binanceBook
	updates int64 // of futures, whose numbers are shared by all symbols
}

// binanceBook is a symbol: its book, and what its streams have not told yet.
type binanceBook struct {
	*tracked
	update  int64 // number of the newest change
	aggs    int64 // number of the newest aggregate
	bid     level // as last told by bookTicker
	ask     level
	batches []*binanceBatch
}

// binanceBatch is what one speed of the stream of changes has not told.
type binanceBatch struct {
	every   int64 // ns between two messages
	next    int64 // when it is told
	first   int64 // number of its first change, 0 none
	told    int64 // number of the last change that was told
	changed []levelChange
}

// binanceConn is a connection's state.
type binanceConn struct {
	held []string
	path string
}

func newBinance(s *Server, futures bool) *binance {
	p := &binance{s: s, futures: futures, byVenue: map[*venue]*binanceBook{}, byID: map[string]*binanceBook{}, updates: 600_859_600_000}
	name := Binance
	if futures {
		name = BinanceUSDM
	}
	list, _, _ := track(s.market, name, func(pair string) string { return strings.Replace(pair, "-", "", 1) })
	now := s.market.Now().UnixNano()
	for _, t := range list {
		b := &binanceBook{tracked: t, update: int64(t.v.hash>>28) + 1000, aggs: int64(t.v.hash >> 40)}
		if futures {
			b.update = p.updates
		}
		for _, every := range []int64{100e6, 250e6, 500e6, 1000e6} {
			b.batches = append(b.batches, &binanceBatch{every: every, next: now + every, told: b.update})
		}
		p.books = append(p.books, b)
		p.byVenue[t.v], p.byID[t.id] = b, b
	}
	return p
}

func (p *binance) opened(c *conn, path string) {
	c.state = &binanceConn{path: path}
	ok := path == "/stream"
	if p.futures {
		ok = path == "/public/stream" || path == "/market/stream"
	}
	if !ok {
		p.s.forget(c)
		c.cut()
	}
}

func (p *binance) expired(*conn) {}
func (p *binance) closed(*conn)  {}

// binanceStream is a stream's name taken apart.
type binanceStream struct {
	b     *binanceBook
	kind  string // depth, trade, aggTrade, bookTicker
	every int64
	depth int // of images, 0 for changes
}

// parse takes a stream's name apart. One that does not exist is acknowledged and
// stays silent.
func (p *binance) parse(name, path string) (st binanceStream, ok bool) {
	symbol, kind, _ := strings.Cut(name, "@")
	if symbol != strings.ToLower(symbol) {
		return st, false
	}
	st.b = p.byID[strings.ToUpper(symbol)]
	kind, speed, _ := strings.Cut(kind, "@")
	book := kind == "bookTicker" || strings.HasPrefix(kind, "depth")
	if p.futures && book != strings.HasPrefix(path, "/public") {
		return st, false
	}
	if rest, isDepth := strings.CutPrefix(kind, "depth"); isDepth {
		st.kind = "depth"
		if rest != "" {
			st.depth, _ = strconv.Atoi(rest)
			if !slices.Contains([]int{5, 10, 20}, st.depth) {
				return st, false
			}
		}
		switch {
		case speed == "100ms":
			st.every = 100e6
		case speed == "500ms" && p.futures:
			st.every = 500e6
		case speed == "" && p.futures:
			st.every = 250e6
		case speed == "" && !p.futures, speed == "1000ms" && !p.futures:
			st.every = 1000e6
		default:
			return st, false
		}
		return st, st.b != nil
	}
	st.kind = kind
	ok = kind == "aggTrade" || kind == "bookTicker" || kind == "trade" && !p.futures
	return st, ok && st.b != nil && speed == ""
}

func (p *binance) received(c *conn, b []byte) {
	var m struct {
		Method string          `json:"method"`
		Params []string        `json:"params"`
		ID     json.RawMessage `json:"id"`
	}
	answer := func(text string) { p.s.send(message{kindControl, "", []byte(text)}, c) }
	if err := json.Unmarshal(b, &m); err != nil || m.Method == "" {
		answer(`{"error":{"code":3,"msg":"Invalid JSON: expected value"},"id":null}`)
		return
	}
	if len(m.ID) == 0 {
		m.ID = json.RawMessage("null")
	}
	st := c.state.(*binanceConn)
	switch m.Method {
	case "SUBSCRIBE":
		for _, name := range m.Params {
			if !slices.Contains(st.held, name) {
				st.held = append(st.held, name)
			}
		}
	case "UNSUBSCRIBE":
		st.held = slices.DeleteFunc(st.held, func(s string) bool { return slices.Contains(m.Params, s) })
	case "LIST_SUBSCRIPTIONS":
		list, _ := json.Marshal(append([]string{}, st.held...))
		answer(fmt.Sprintf(`{"result":%s,"id":%s}`, list, m.ID))
		return
	default:
		answer(fmt.Sprintf(`{"code":2,"msg":"Invalid request: unknown variant %s","id":%s}`, m.Method, m.ID))
		return
	}
	answer(fmt.Sprintf(`{"result":null,"id":%s}`, m.ID))
}

func (p *binance) subscriptions() (out []string) {
	for _, c := range p.s.conns {
		out = append(out, c.state.(*binanceConn).held...)
	}
	return out
}

// wanting is the connections that hold a stream.
func (p *binance) wanting(name string) (to []*conn) {
	for _, c := range p.s.conns {
		st := c.state.(*binanceConn)
		if !slices.Contains(st.held, name) {
			continue
		}
		if _, ok := p.parse(name, st.path); ok {
			to = append(to, c)
		}
	}
	return to
}

// tell sends the data of a stream to those who hold it.
func (p *binance) tell(k kind, b *binanceBook, stream string, data func(b []byte) []byte) {
	to := p.wanting(stream)
	if len(to) == 0 {
		return
	}
	out := fmt.Appendf(make([]byte, 0, 512), `{"stream":"%s","data":`, stream)
	out = append(data(out), '}')
	p.s.send(message{k, b.v.pair.spec.Pair, out}, to...)
}

func (p *binance) onBook(v *venue, ch *change) {
	b := p.byVenue[v]
	if b == nil {
		return
	}
	b.note(ch)
	for _, l := range ch.levels {
		if p.futures {
			p.updates += 1 + l.price%3 // some of other symbols
			b.update = p.updates
		} else {
			b.update++
		}
		for _, batch := range b.batches {
			if batch.first == 0 {
				batch.first = b.update
			}
			batch.changed = append(batch.changed, l)
		}
	}
	name := strings.ToLower(b.id)
	for i := range ch.trades {
		p.trade(b, name, &ch.trades[i])
	}
	b.trades = b.trades[:0]
	if bid, ask := v.bids.best(), v.asks.best(); bid != b.bid || ask != b.ask {
		b.bid, b.ask = bid, ask
		p.tell(kindData, b, name+"@bookTicker", func(out []byte) []byte {
			if p.futures {
				out = fmt.Appendf(out, `{"e":"bookTicker","u":%d,"s":"%s"`, b.update, b.id)
			} else {
				out = fmt.Appendf(out, `{"u":%d,"s":"%s"`, b.update, b.id)
			}
			for _, f := range []struct {
				key  string
				text []byte
			}{{"b", p.price(b, bid.price)}, {"B", p.size(b, bid.size)}, {"a", p.price(b, ask.price)}, {"A", p.size(b, ask.size)}} {
				out = fmt.Appendf(out, `,"%s":"%s"`, f.key, f.text)
			}
			if p.futures {
				out = fmt.Appendf(out, `,"T":%d,"E":%d`, b.at/1e6, b.at/1e6+1)
			}
			return append(out, '}')
		})
	}
}

// trade tells of a print in both streams.
func (p *binance) trade(b *binanceBook, name string, t *trade) {
	price, size := p.price(b, t.price), p.size(b, t.size)
	p.tell(kindData, b, name+"@trade", func(out []byte) []byte {
		return fmt.Appendf(out, `{"e":"trade","E":%d,"s":"%s","t":%d,"p":"%s","q":"%s","T":%d,"m":%t,"M":true}`,
			t.time/1e6+1, b.id, t.id, price, size, t.time/1e6, !t.buy)
	})
	b.aggs++
	p.tell(kindData, b, name+"@aggTrade", func(out []byte) []byte {
		return fmt.Appendf(out, `{"e":"aggTrade","E":%d,"s":"%s","a":%d,"p":"%s","q":"%s","f":%d,"l":%d,"T":%d,"m":%t}`,
			t.time/1e6+1, b.id, b.aggs, price, size, t.id, t.id, t.time/1e6, !t.buy)
	})
}

// price writes a price as the market does: spot with eight decimals at least.
func (p *binance) price(b *binanceBook, v int64) []byte { return p.number(v, b.v.spec.PriceDecimals) }
func (p *binance) size(b *binanceBook, v int64) []byte  { return p.number(v, b.v.spec.SizeDecimals) }

func (p *binance) number(v int64, decimals int) []byte {
	out := appendFixed(nil, v, decimals)
	if p.futures || decimals >= 8 {
		return out
	}
	if decimals == 0 {
		out = append(out, '.')
	}
	return append(out, "00000000"[decimals:]...)
}

// sides appends levels as arrays of texts under the names of the two sides.
func (p *binance) sides(out []byte, b *binanceBook, bids, asks string, levels func(bid bool, yield func(price, size int64))) []byte {
	for _, side := range []struct {
		name string
		bid  bool
	}{{bids, true}, {asks, false}} {
		out = fmt.Appendf(out, `,"%s":[`, side.name)
		first := true
		levels(side.bid, func(price, size int64) {
			if !first {
				out = append(out, ',')
			}
			first = false
			out = fmt.Appendf(out, `["%s","%s"]`, p.price(b, price), p.size(b, size))
		})
		out = append(out, ']')
	}
	return out
}

// onTick sends the batches that are due.
func (p *binance) onTick(now int64) {
	for _, b := range p.books {
		name := strings.ToLower(b.id)
		for _, batch := range b.batches {
			every := batch.every
			if now < batch.next {
				continue
			}
			batch.next += (now - batch.next + every) / every * every
			if batch.first == 0 {
				continue
			}
			for _, stream := range p.names(name, every, 0) {
				p.tell(kindBook, b, stream, func(out []byte) []byte { return p.diff(out, b, batch, now) })
			}
			for _, depth := range []int{5, 10, 20} {
				for _, stream := range p.names(name, every, depth) {
					p.tell(kindData, b, stream, func(out []byte) []byte { return p.image(out, b, batch, depth, now) })
				}
			}
			batch.told, batch.first, batch.changed = b.update, 0, batch.changed[:0]
		}
	}
}

// names are the streams of books at a speed.
func (p *binance) names(symbol string, every int64, depth int) []string {
	base := symbol + "@depth"
	if depth > 0 {
		base += strconv.Itoa(depth)
	}
	switch {
	case every == 100e6:
		return []string{base + "@100ms"}
	case every == 250e6 && p.futures:
		return []string{base}
	case every == 500e6 && p.futures:
		return []string{base + "@500ms"}
	case every == 1000e6 && !p.futures:
		return []string{base, base + "@1000ms"}
	}
	return nil
}

// diff is what changed since the last message: each price once, as it is now.
func (p *binance) diff(out []byte, b *binanceBook, batch *binanceBatch, now int64) []byte {
	out = fmt.Appendf(out, `{"e":"depthUpdate","E":%d`, now/1e6)
	if p.futures {
		out = fmt.Appendf(out, `,"T":%d`, b.at/1e6)
	}
	out = fmt.Appendf(out, `,"s":"%s","U":%d,"u":%d`, b.id, batch.first, b.update)
	if p.futures {
		out = fmt.Appendf(out, `,"pu":%d`, batch.told)
	}
	seen := map[levelChange]bool{}
	out = p.sides(out, b, "b", "a", func(bid bool, yield func(int64, int64)) {
		for _, l := range batch.changed {
			key := levelChange{l.bid, l.price, 0}
			if l.bid == bid && !seen[key] {
				seen[key] = true
				yield(l.price, b.v.side(bid).size(l.price))
			}
		}
	})
	return append(out, '}')
}

// image is the best levels; of futures in the shape of a diff.
func (p *binance) image(out []byte, b *binanceBook, batch *binanceBatch, depth int, now int64) []byte {
	top := func(bid bool, yield func(int64, int64)) {
		l := b.v.side(bid)
		for i := range min(depth, len(l.lv)) {
			yield(l.at(i).price, l.at(i).size)
		}
	}
	if p.futures {
		out = fmt.Appendf(out, `{"e":"depthUpdate","E":%d,"T":%d,"s":"%s","U":%d,"u":%d,"pu":%d`, now/1e6, b.at/1e6, b.id, batch.first, b.update, batch.told)
		return append(p.sides(out, b, "b", "a", top), '}')
	}
	out = fmt.Appendf(out, `{"lastUpdateId":%d`, b.update)
	return append(p.sides(out, b, "bids", "asks", top), '}')
}

// answer serves exchangeInfo and depth.
func (p *binance) answer(r *http.Request) (code int, body []byte, symbol string) {
	prefix := "/api/v3/"
	if p.futures {
		prefix = "/fapi/v1/"
	}
	what, ok := strings.CutPrefix(r.URL.Path, prefix)
	q := r.URL.Query()
	switch {
	case ok && what == "depth":
		b := p.byID[q.Get("symbol")]
		if b == nil {
			return http.StatusBadRequest, jsonError(-1121, "Invalid symbol."), ""
		}
		limit, err := strconv.Atoi(q.Get("limit"))
		if err != nil || limit < 1 {
			limit = 100
		}
		return http.StatusOK, p.snapshot(b, limit), b.v.pair.spec.Pair
	case ok && what == "exchangeInfo":
		body, ok := p.info(q.Get("symbols"))
		if !ok {
			return http.StatusBadRequest, jsonError(-1121, "Invalid symbol."), ""
		}
		return http.StatusOK, body, ""
	}
	return http.StatusNotFound, []byte(`{"code":-1000,"msg":"no such path"}`), ""
}

// snapshot is the book as it is now, which the streams may not have told yet.
func (p *binance) snapshot(b *binanceBook, limit int) []byte {
	number := b.update
	if p.futures {
		number = p.updates // that of any symbol
	}
	out := fmt.Appendf(nil, `{"lastUpdateId":%d`, number)
	if p.futures {
		out = fmt.Appendf(out, `,"E":%d,"T":%d`, p.s.market.now/1e6, b.at/1e6)
	}
	out = p.sides(out, b, "bids", "asks", func(bid bool, yield func(int64, int64)) {
		l := b.v.side(bid)
		for i := range min(limit, len(l.lv)) {
			yield(l.at(i).price, l.at(i).size)
		}
	})
	return append(out, '}')
}

// info is the reference data of some symbols, a JSON array of names, or of all.
func (p *binance) info(names string) ([]byte, bool) {
	books := p.books
	if names != "" {
		var list []string
		if json.Unmarshal([]byte(names), &list) != nil {
			return nil, false
		}
		books = nil
		for _, n := range list {
			if p.byID[n] == nil {
				return nil, false
			}
			books = append(books, p.byID[n])
		}
	}
	out := fmt.Appendf(nil, `{"timezone":"UTC","serverTime":%d,"rateLimits":[],"exchangeFilters":[],"symbols":[`, p.s.market.now/1e6)
	for i, b := range books {
		if i > 0 {
			out = append(out, ',')
		}
		base, quote := splitPair(b.v.pair.spec.Pair)
		out = fmt.Appendf(out, `{"symbol":"%s"`, b.id)
		if p.futures {
			out = fmt.Appendf(out, `,"pair":"%s","contractType":"PERPETUAL"`, b.id)
		}
		out = fmt.Appendf(out, `,"status":"TRADING","baseAsset":"%s","quoteAsset":"%s","filters":[{"filterType":"PRICE_FILTER","minPrice":"%s","tickSize":"%s"},{"filterType":"LOT_SIZE","stepSize":"%s"}]}`,
			base, quote, p.price(b, b.v.spec.Tick), p.price(b, b.v.spec.Tick), p.size(b, 1))
	}
	return append(out, `]}`...), true
}
