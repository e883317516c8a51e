// Package coinbase is the transport of Coinbase Exchange's market data: it
// dials, subscribes books, matches, heartbeats and product status, signs in
// where credentials are given, reports what the venue refuses, and asks again
// for one book.
//
// The protocol is documented at
// https://docs.cdp.coinbase.com/exchange/websocket-feed/overview (pages
// overview, channels, authentication, rate limits). What its messages mean is
// the normalizer's business; this package reads error messages only, and hands
// on those too.
package coinbase
