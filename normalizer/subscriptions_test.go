package normalizer

import "testing"

// A book that is subscribed no longer is not to be trusted, even where its
// snapshot came after the request: what is missed until it is subscribed again
// nothing else shows.
func TestCoinbaseUnsubscribedBook(t *testing.T) {
	listing := func(channels string) string { return `{"type":"subscriptions","channels":[` + channels + `]}` }
	const (
		both  = `{"name":"level2_50","product_ids":["BTC-USD","ETH-USD"],"account_ids":null}`
		other = `{"name":"level2_50","product_ids":["ETH-USD"],"account_ids":null}`
		match = `{"account_ids":null,"product_ids":["BTC-USD"],"name":"matches"}`
	)
	r := newRig(t, "coinbase")
	r.want(r.decode(listing(other)))
	r.decode(coinbaseSnapshot)
	r.want(r.decode(listing(both + "," + match)))
	r.want(r.decode(listing(match+","+other)), "gap BTC-USD @coinbase +last")
	r.want(r.decode(listing(match + "," + other))) // told once
	r.decode(coinbaseSnapshot)
	r.want(r.decode(listing("")), "gap BTC-USD @coinbase +last")
	r.decode(coinbaseSnapshot)
	r.want(r.decode(`{"type":"subscriptions","channels":[]}`), "gap BTC-USD @coinbase +last")
	r.decode(coinbaseSnapshot)
	r.refuse(CauseSyntax, `{"type":"l2update","product_id":"BTC-USD","changes":[["buy"`) // its gap has been told
	r.want(r.decode(listing("")))
	r.refuse(CauseMissingField, `{"type":"subscriptions","channels":3}`)
}

// Below the ten levels that its checksum covers, nothing shows what a Kraken book
// missed while it was not subscribed.
func TestKrakenUnsubscribedBook(t *testing.T) {
	const left = `{"method":"unsubscribe","result":{"channel":"book","symbol":"BTC/USD","depth":100},"success":true}`
	for depth, want := range map[string][]string{
		"100": {"gap BTC-USD @kraken +last"},
		"10":  nil,
	} {
		r := newRig(t, "kraken")
		r.decode(`{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD","depth":` + depth + `},"success":true}`)
		r.want(r.decode(left))
		r.decode(krakenSnapshot)
		r.want(r.decode(left), want...)
		r.want(r.decode(left))
	}
}
