// Package bybit is the transport of Bybit's public market data, WebSocket v5, of
// one category a connection: it dials, subscribes order books and trades, keeps
// the connection alive, reports what the venue refuses, asks again for one book,
// and asks over REST for the symbols' increments and status.
//
// The protocol is documented at https://bybit-exchange.github.io/docs/v5/ws/connect
// and under "Websocket Stream, Public", the request at
// https://bybit-exchange.github.io/docs/v5/market/instrument. What its messages mean is the
// normalizer's business; this package reads the answers to its own requests only,
// and hands on those too.
package bybit
