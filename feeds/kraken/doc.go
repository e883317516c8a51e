// Package kraken is the transport of Kraken Spot's public market data,
// WebSocket v2: it dials, subscribes instruments, books and trades, keeps the
// connection alive, reports what the venue refuses, and asks again for one
// book.
//
// The protocol is documented at https://docs.kraken.com/api/docs/websocket-v2/
// (pages status, ping, instrument, book, trade). What its messages mean is the
// normalizer's business; this package reads the answers to its own requests
// only, and hands on those too.
package kraken
