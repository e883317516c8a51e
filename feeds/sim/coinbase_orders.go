package sim

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"net/http"
	"strings"
)

type hashMaker = func() hash.Hash

// coinbaseAuth is what a request signs itself with.
type coinbaseAuth struct {
	Key        string `json:"key"`
	Passphrase string `json:"passphrase"`
	Timestamp  string `json:"timestamp"`
	Signature  string `json:"signature"`
}

// authentic reports whether a request is signed as the documentation says.
func (p *coinbase) authentic(a coinbaseAuth, method, path string) bool {
	return !p.s.faults.refuseKeys && p.s.knows(a.Key) && a.Passphrase != "" && a.Timestamp != "" &&
		p.s.signed(sha256.New, []byte(a.Timestamp+method+path), a.Signature)
}

// onOrders tells what happened to the orders of a product, each by a message of its
// own.
func (p *coinbase) onOrders(pr *coinbaseProduct, ch *change) {
	to := p.wanting(pr.id, "full")
	if len(to) == 0 {
		return
	}
	for i := range pr.v.orders.events {
		e := &pr.v.orders.events[i]
		p.s.send(message{kindBook, pr.id, p.orderMessage(pr, e, ch.time)}, to...)
	}
}

func (p *coinbase) orderMessage(pr *coinbaseProduct, e *orderEvent, at int64) []byte {
	if e.kind == orderMatched {
		e.trade.seq = e.seq
		return p.match("match", pr, &e.trade)
	}
	size := func(n int64) string { return string(appendTrim(nil, n, pr.v.spec.SizeDecimals)) }
	price := func() string { return string(appendTrim(nil, e.price, pr.v.spec.PriceDecimals)) }
	var typ, rest string
	switch e.kind {
	case orderReceived:
		typ = "received"
		if rest = fmt.Sprintf(`"size":"%s","order_type":"market"`, size(e.size)); !e.taker {
			rest = fmt.Sprintf(`"size":"%s","price":"%s","order_type":"limit"`, size(e.size), price())
		}
	case orderOpened:
		typ, rest = "open", fmt.Sprintf(`"price":"%s","remaining_size":"%s"`, price(), size(e.size))
	case orderChanged:
		typ, rest = "change", fmt.Sprintf(`"price":"%s","new_size":"%s","old_size":"%s","reason":"STP"`, price(), size(e.size), size(e.old))
	case orderEnlarged:
		typ, rest = "change", fmt.Sprintf(`"new_price":"%s","old_price":"%[1]s","new_size":"%s","old_size":"%s","reason":"modify_order"`,
			price(), size(e.size), size(e.old))
	case orderDone:
		typ = "done"
		reason := "canceled"
		if e.filled {
			reason = "filled"
		}
		if rest = fmt.Sprintf(`"reason":"%s"`, reason); !e.taker {
			rest += fmt.Sprintf(`,"price":"%s","remaining_size":"%s"`, price(), size(e.size))
		}
	}
	side := "sell"
	if e.bid {
		side = "buy"
	}
	b := fmt.Appendf(nil, `{"type":"%s","side":"%s","product_id":"%s","time":"`, typ, side, pr.id)
	b = appendTime(b, at)
	b = fmt.Appendf(b, `","sequence":%d,"order_id":"`, e.seq)
	b = appendUUID(b, e.id)
	return fmt.Appendf(b, `",%s}`, rest)
}

// answer serves the book of a product order by order, to those who sign.
func (p *coinbase) answer(r *http.Request) (code int, body []byte, symbol string) {
	id, ok := strings.CutPrefix(r.URL.Path, "/products/")
	id, ok2 := strings.CutSuffix(id, "/book")
	pr := p.byID[id]
	if !ok || !ok2 || pr == nil {
		return http.StatusNotFound, []byte(`{"message":"NotFound"}`), ""
	}
	if r.URL.Query().Get("level") != "3" {
		return http.StatusBadRequest, []byte(`{"message":"Invalid level"}`), ""
	}
	h := r.Header
	auth := coinbaseAuth{h.Get("CB-ACCESS-KEY"), h.Get("CB-ACCESS-PASSPHRASE"), h.Get("CB-ACCESS-TIMESTAMP"), h.Get("CB-ACCESS-SIGN")}
	if !p.authentic(auth, http.MethodGet, r.URL.RequestURI()) {
		return http.StatusUnauthorized, []byte(`{"message":"invalid signature"}`), ""
	}
	orders := pr.v.showOrders()
	b := []byte{'{'}
	for _, bid := range []bool{true, false} {
		name := "asks"
		if bid {
			name = "bids"
		}
		b = fmt.Appendf(b, `"%s":[`, name)
		side := pr.v.side(bid)
		first := true
		for i := range side.lv {
			for _, x := range orders.queues[levelKey{bid, side.at(i).price}] {
				if !first {
					b = append(b, ',')
				}
				first = false
				b = append(b, `["`...)
				b = appendTrim(b, side.at(i).price, pr.v.spec.PriceDecimals)
				b = append(b, `","`...)
				b = appendFixed(b, x.size, pr.v.spec.SizeDecimals)
				b = append(b, `","`...)
				b = appendUUID(b, x.id)
				b = append(b, `"]`...)
			}
		}
		b = append(b, `],`...)
	}
	b = fmt.Appendf(b, `"sequence":%d,"auction_mode":false,"auction":null,"time":"`, pr.v.seq)
	b = appendTime(b, p.s.market.now)
	return http.StatusOK, append(b, `"}`...), pr.id
}
