package normalizer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
)

const (
	coinbaseBookURL = "https://api.exchange.coinbase.com/products/BTC-USD/book?level=3"
	coinbaseA       = "d50ec984-77a8-460a-b958-66f114b0de9b"
	coinbaseB       = "ac928c66-ca53-498f-9c13-a110027a60e8"
	coinbaseC       = "132fb6ae-456b-4654-b4e0-d681ac05cea1"
	coinbaseListing = `{"type":"subscriptions","channels":[{"name":"full","product_ids":["BTC-USD"]}]}`
)

// coinbaseFull is a message of the full channel.
func coinbaseFull(typ string, sequence int, rest string) string {
	return fmt.Sprintf(`{"type":"%s","time":"2026-07-07T23:00:03.977459Z","product_id":"BTC-USD","sequence":%d,%s}`, typ, sequence, rest)
}

func coinbaseBook(sequence int, bids, asks string) string {
	return fmt.Sprintf(`{"bids":[%s],"asks":[%s],"sequence":%d,"auction_mode":false,"auction":null,"time":"2026-07-07T23:00:03.5Z"}`, bids, asks, sequence)
}

// The life of orders, as the documentation tells it.
func TestCoinbaseFull(t *testing.T) {
	r := newRig(t, "coinbase")
	r.control(feeds.Up)
	r.want(r.decode(coinbaseListing,
		coinbaseFull("received", 10, `"order_id":"`+coinbaseA+`","size":"1.34","price":"502.1","side":"buy","order_type":"limit"`),
		coinbaseFull("open", 11, `"order_id":"`+coinbaseA+`","price":"502.1","remaining_size":"1.00","side":"buy"`)),
		"order BTC-USD @coinbase add "+coinbaseA+" bid 502.1x1 +last") // told once: there is a book that waits
	r.want(r.decode(coinbaseFull("open", 12, `"order_id":"`+coinbaseB+`","price":"503.00","remaining_size":"2","side":"sell"`)))
	row := func(id, price, size string) string { return fmt.Sprintf(`["%s","%s","%s"]`, price, size, id) }
	r.want(r.reply(coinbaseBookURL, coinbaseBook(11, row(coinbaseA, "502.1", "1.00000000"), "")),
		"clear BTC-USD @coinbase depth=0 +snapshot",
		"order BTC-USD @coinbase add "+coinbaseA+" bid 502.1x1 +snapshot +last",
		"order BTC-USD @coinbase add "+coinbaseB+" ask 503.00x2 +last")
	const trade = `"trade_id":10,"maker_order_id":"` + coinbaseB + `","taker_order_id":"` + coinbaseC + `","size":"0.5","price":"503","side":"sell"`
	for _, c := range []struct {
		payload string
		want    []string
	}{
		{coinbaseFull("received", 13, `"order_id":"`+coinbaseC+`","funds":"3000.234","side":"buy","order_type":"market"`), nil},
		{coinbaseFull("match", 14, trade), []string{"order BTC-USD @coinbase reduce " + coinbaseB + " ask 503x0.5 +last",
			"trade BTC-USD @coinbase 503x0.5 buy id=10 +contiguous +last"}},
		{coinbaseFull("match", 14, trade), []string{"trade BTC-USD @coinbase 503x0.5 buy id=10 +contiguous +last"}}, // once more
		{coinbaseFull("done", 15, `"order_id":"`+coinbaseC+`","reason":"filled","side":"buy"`), []string{"order BTC-USD @coinbase delete " + coinbaseC + " bid 0x0 +last"}},
		{coinbaseFull("change", 16, `"order_id":"`+coinbaseB+`","new_size":"1","old_size":"1.5","price":"503","side":"sell","reason":"STP"`),
			[]string{"order BTC-USD @coinbase change " + coinbaseB + " ask 503x1 +last"}},
		{coinbaseFull("change", 17, `"order_id":"`+coinbaseB+`","new_size":"3.00","old_size":"1","old_price":"503","new_price":"503","side":"sell","reason":"modify_order"`),
			[]string{"order BTC-USD @coinbase requeue " + coinbaseB + " ask 503x3 +last"}},
		{coinbaseFull("change", 18, `"order_id":"`+coinbaseC+`","new_funds":"1","old_funds":"2","price":null,"side":"sell","reason":"STP"`), nil},
		{coinbaseFull("activate", 19, `"user_id":"12","order_id":"`+coinbaseC+`","stop_type":"entry","side":"buy","stop_price":"80","size":"2","funds":"50"`), nil},
		{coinbaseFull("done", 20, `"order_id":"`+coinbaseB+`","reason":"canceled","side":"sell","remaining_size":"3","price":"503"`),
			[]string{"order BTC-USD @coinbase delete " + coinbaseB + " ask 0x0 +last"}},
		{coinbaseFull("received", 22, `"order_id":"`+coinbaseC+`","size":"1","price":"1","side":"buy","order_type":"limit"`), []string{"gap BTC-USD @coinbase +last"}},
	} {
		r.want(r.decode(c.payload), c.want...)
	}
	// An image from before the loss is of no use.
	_, err := r.d.Decode(nil, reply(coinbaseBookURL, coinbaseBook(20, "", "")))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Cause != CauseOldSnapshot {
		t.Errorf("an old image gave %v", err)
	}
	r.want(r.reply(coinbaseBookURL, coinbaseBook(21, row(coinbaseA, "502.1", "1"), "")),
		"clear BTC-USD @coinbase depth=0 +snapshot",
		"order BTC-USD @coinbase add "+coinbaseA+" bid 502.1x1 +snapshot +last")
	// No longer subscribed.
	r.want(r.decode(`{"type":"subscriptions","channels":[]}`), "gap BTC-USD @coinbase +last")
}

// Prints of a product whose orders are not subscribed are prints alone.
func TestCoinbaseMatchesAlone(t *testing.T) {
	r := newRig(t, "coinbase")
	r.want(r.decode(coinbaseFull("match", 14, `"trade_id":10,"maker_order_id":"`+coinbaseB+`","taker_order_id":"`+coinbaseC+`","size":"0.5","price":"503","side":"sell"`)),
		"trade BTC-USD @coinbase 503x0.5 buy id=10 +contiguous +last")
}

func TestCoinbaseFullRefused(t *testing.T) {
	open := coinbaseFull("open", 12, `"order_id":"`+coinbaseB+`","price":"503.00","remaining_size":"2","side":"sell"`)
	for cause, replace := range map[Cause][2]string{
		CauseMissingField: {`"sequence":12,`, ``},
		CauseBadNumber:    {`"503.00"`, `"much"`},
		CauseBadSide:      {`"sell"`, `"both"`},
		CauseBadValue:     {coinbaseB, strings.ToUpper(coinbaseB)},
		CauseSyntax:       {`"sell"}`, `"sell"`},
	} {
		r := newRig(t, "coinbase")
		r.decode(coinbaseListing)
		events, _ := r.refuse(cause, strings.Replace(open, replace[0], replace[1], 1))
		r.want(events, "gap BTC-USD @coinbase +last")
	}
	r := newRig(t, "coinbase")
	for _, c := range []struct{ url, payload string }{
		{coinbaseBookURL, `{"message":"NotFound"}`},
		{coinbaseBookURL, `{"bids":[],"sequence":1}`},
		{coinbaseBookURL, `{"bids":[["1","1"]],"asks":[],"sequence":1}`},
		{coinbaseBookURL, `{"bids":[],"asks":[]}`},
		{coinbaseBookURL, `{"bids":[],"asks":[],"sequence":1`},
		{strings.TrimSuffix(coinbaseBookURL, "3") + "2", `{"bids":[],"asks":[],"sequence":1}`},
	} {
		if events, err := r.d.Decode(nil, reply(c.url, c.payload)); err == nil || len(events) > 0 {
			t.Errorf("%s: %d events, %v", c.payload, len(events), err)
		}
	}
}
