// Package coinbaseadvanced is the transport of Coinbase Advanced Trade's market
// data: it dials, subscribes books, trades, heartbeats and product status, a
// channel at a time, reports what the venue refuses, and asks again for books.
//
// The protocol is documented at
// https://docs.cdp.coinbase.com/advanced-trade/docs/ws-overview (pages overview,
// channels, rate limits). Market data needs no key, and none is sent. What its
// messages mean, the count over all of them included, is the normalizer's
// business; this package reads error messages only, and hands on those too.
//
// It is the same market as Coinbase Exchange. Asking for a product in USDC
// yields the book of the one in USD, under the name of that: Coinbase keeps them
// as one.
package coinbaseadvanced
