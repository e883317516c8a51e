// Package bitfinex is the transport of Bitfinex's public market data, WebSocket
// v2: it dials, asks for running numbers and checksums, subscribes books and
// trades, keeps the connection alive, reports what the venue refuses, and asks
// again for one book.
//
// The protocol is documented at https://docs.bitfinex.com/docs/ws-general and
// https://docs.bitfinex.com/reference/ws-public-books. What its messages mean is
// the normalizer's business; this package reads events, the answers to its own
// requests, and hands on those too.
package bitfinex
