// Package okx is the transport of OKX's public market data, WebSocket v5: it
// dials, subscribes books, trades, tickers and the reference data of the
// instruments, keeps the connection alive, reports what the venue refuses, and
// asks again for one book.
//
// The protocol is documented at https://www.okx.com/docs-v5/en/ (pages
// "WebSocket: Connect", "Subscribe", "Order book channel"). What its messages
// mean is the normalizer's business; this package reads the answers to its own
// requests only, and hands on those too.
package okx
