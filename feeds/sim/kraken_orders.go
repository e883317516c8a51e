package sim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// krakenOrderDepths are those of level3, in prices.
var krakenOrderDepths = []int{10, 100, 1000}

// krakenToken is where a token for level3 is had.
const krakenToken = "/0/private/GetWebSocketsToken"

// krakenOrderView is a book of orders cut to one depth, with those who follow it.
type krakenOrderView struct {
	depth      int
	bids, asks []krakenQueue // best first, as the subscribers hold it
	to         []*conn
}

// krakenQueue is the orders at one price.
type krakenQueue struct {
	price  int64
	orders []restingOrder
}

// answer serves tokens, to those who sign as the documentation says: API-Sign is
// HMAC-SHA512 of the path and SHA256(nonce + body) under the secret.
func (p *kraken) answer(r *http.Request) (code int, body []byte, symbol string) {
	if r.URL.Path != krakenToken {
		return http.StatusNotFound, []byte(`{"error":["EGeneral:Unknown method"]}`), ""
	}
	if r.Method != http.MethodPost {
		return http.StatusOK, []byte(`{"error":["EGeneral:Invalid arguments"]}`), ""
	}
	text, _ := io.ReadAll(r.Body) // it has been read already
	form, _ := url.ParseQuery(string(text))
	nonce := form.Get("nonce")
	n, err := strconv.ParseInt(nonce, 10, 64)
	switch {
	case p.s.faults.refuseKeys || !p.s.knows(r.Header.Get("API-Key")) || r.Header.Get("API-Sign") == "":
		return http.StatusOK, []byte(`{"error":["EAPI:Invalid key"]}`), ""
	case err != nil || n <= p.nonce:
		return http.StatusOK, []byte(`{"error":["EAPI:Invalid nonce"]}`), ""
	}
	hash := sha256.Sum256([]byte(nonce + string(text)))
	if !p.s.signed(sha512.New, append([]byte(krakenToken), hash[:]...), r.Header.Get("API-Sign")) {
		return http.StatusOK, []byte(`{"error":["EAPI:Invalid signature"]}`), ""
	}
	p.nonce = n
	token := fmt.Sprintf("token-%x", mix(uint64(n)))
	p.tokens[token] = true
	return http.StatusOK, fmt.Appendf(nil, `{"error":[],"result":{"token":"%s","expires":900}}`, token), ""
}

func (p *kraken) orderView(v *venue, depth int) *krakenOrderView {
	for _, w := range p.orderViews[v] {
		if w.depth == depth {
			return w
		}
	}
	return nil
}

func (p *kraken) addOrders(c *conn, v *venue, depth int) {
	w := p.orderView(v, depth)
	if w == nil {
		v.showOrders()
		w = &krakenOrderView{depth: depth}
		w.bids, w.asks = krakenQueues(v, true, depth), krakenQueues(v, false, depth)
		p.orderViews[v] = append(p.orderViews[v], w)
	}
	w.to = append(w.to, c)
}

func (p *kraken) dropOrders(c *conn, v *venue, depth int) {
	w := p.orderView(v, depth)
	w.to = slices.DeleteFunc(w.to, func(o *conn) bool { return o == c })
	if len(w.to) == 0 {
		p.orderViews[v] = slices.DeleteFunc(p.orderViews[v], func(o *krakenOrderView) bool { return o == w })
	}
}

// krakenQueues copies the best prices of a side with their orders.
func krakenQueues(v *venue, bid bool, depth int) (out []krakenQueue) {
	l := v.side(bid)
	for i := range min(depth, len(l.lv)) {
		price := l.at(i).price
		out = append(out, krakenQueue{price, slices.Clone(v.orders.queues[levelKey{bid, price}])})
	}
	return out
}

// krakenOrderEvent is one entry of a message.
type krakenOrderEvent struct {
	event string // "" in a snapshot
	price int64
	order restingOrder
}

// krakenOrderDiff appends what turns the subscriber's side, have, into want once the
// subscriber has cut to the depth again. The orders of a price that fell off the
// end are not told; those of one that comes into it all are.
func krakenOrderDiff(dst []krakenOrderEvent, full *ladder, have, want []krakenQueue) []krakenOrderEvent {
	i, j := 0, 0
	for i < len(have) || j < len(want) {
		switch {
		case j == len(want) || i < len(have) && full.better(have[i].price, want[j].price):
			if full.size(have[i].price) == 0 {
				for _, x := range have[i].orders {
					dst = append(dst, krakenOrderEvent{"delete", have[i].price, x})
				}
			}
			i++
		case i == len(have) || full.better(want[j].price, have[i].price):
			for _, x := range want[j].orders {
				dst = append(dst, krakenOrderEvent{"add", want[j].price, x})
			}
			j++
		default:
			dst = krakenQueueDiff(dst, have[i], want[j])
			i++
			j++
		}
	}
	return dst
}

func krakenQueueDiff(dst []krakenOrderEvent, have, want krakenQueue) []krakenOrderEvent {
	k := 0
	for _, x := range have.orders {
		switch {
		case k == len(want.orders) || want.orders[k].id != x.id:
			dst = append(dst, krakenOrderEvent{"delete", have.price, x})
			continue
		case want.orders[k].size != x.size:
			dst = append(dst, krakenOrderEvent{"modify", have.price, want.orders[k]})
		}
		k++
	}
	for _, x := range want.orders[k:] {
		dst = append(dst, krakenOrderEvent{"add", want.price, x})
	}
	return dst
}

// krakenOrdersChecksum is krakenChecksum over each order of the ten best prices a
// side, in the order of their queues.
func krakenOrdersChecksum(asks, bids []krakenQueue) uint32 {
	var b []byte
	for _, side := range [2][]krakenQueue{asks, bids} {
		for _, q := range side[:min(len(side), 10)] {
			for _, x := range q.orders {
				b = strconv.AppendInt(b, q.price, 10)
				b = strconv.AppendInt(b, x.size, 10)
			}
		}
	}
	return crc32.ChecksumIEEE(b)
}

func (p *kraken) updateOrders(v *venue, w *krakenOrderView, ch *change) {
	var sides [2][]krakenOrderEvent
	for i, bid := range []bool{true, false} {
		have := &w.asks
		if bid {
			have = &w.bids
		}
		want := krakenQueues(v, bid, w.depth)
		sides[i] = krakenOrderDiff(nil, v.side(bid), *have, want)
		*have = want
	}
	if len(sides[0])+len(sides[1]) == 0 {
		return
	}
	pair := v.pair.spec.Pair
	sum := p.s.faults.checksum(pair, krakenOrdersChecksum(w.asks, w.bids))
	p.s.send(message{kindBook, pair, v.appendKrakenOrders("update", sides, sum, ch.time)}, w.to...)
}

func (p *kraken) orderSnapshot(c *conn, v *venue, depth int) {
	w := p.orderView(v, depth)
	var sides [2][]krakenOrderEvent
	for i, side := range [2][]krakenQueue{w.bids, w.asks} {
		for _, q := range side {
			for _, x := range q.orders {
				sides[i] = append(sides[i], krakenOrderEvent{"", q.price, x})
			}
		}
	}
	b := v.appendKrakenOrders("snapshot", sides, krakenOrdersChecksum(w.asks, w.bids), p.s.market.now)
	p.s.send(message{kindSnapshot, v.pair.spec.Pair, b}, c)
}

func (v *venue) appendKrakenOrders(typ string, sides [2][]krakenOrderEvent, sum uint32, at int64) []byte {
	b := fmt.Appendf(nil, `{"channel":"level3","type":"%s","data":[{"symbol":"%s","checksum":%d`, typ, v.kraken, sum)
	for i, name := range []string{"bids", "asks"} {
		b = fmt.Appendf(b, `,"%s":[`, name)
		for k, e := range sides[i] {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(b, '{')
			if e.event != "" {
				b = fmt.Appendf(b, `"event":"%s",`, e.event)
			}
			b = append(b, `"order_id":"`...)
			b = appendCode(b, e.order.id)
			b = append(b, `","limit_price":`...)
			b = appendFixed(b, e.price, v.spec.PriceDecimals)
			b = append(b, `,"order_qty":`...)
			b = appendFixed(b, e.order.size, v.spec.SizeDecimals)
			b = append(b, `,"timestamp":"`...)
			b = appendTime(b, e.order.time)
			b = append(b, `"}`...)
		}
		b = append(b, ']')
	}
	b = append(b, `,"timestamp":"`...)
	b = appendTime(b, at)
	return append(b, `"}]}`...)
}

// knows reports whether a key is one of those that the server accepts.
func (s *Server) knows(key string) bool {
	return key != "" && (len(s.cfg.Keys) == 0 || slices.Contains(s.cfg.Keys, key))
}

// signed reports whether a signature, in base64, is that of the text under the
// server's secret.
func (s *Server) signed(hash hashMaker, text []byte, signature string) bool {
	if s.cfg.Secret == "" {
		return signature != ""
	}
	secret, err := base64.StdEncoding.DecodeString(s.cfg.Secret)
	if err != nil {
		return false
	}
	mac := hmac.New(hash, secret)
	mac.Write(text)
	want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(want), []byte(signature))
}
