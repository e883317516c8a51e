// Package bitstamp is the transport of Bitstamp's public market data, WebSocket
// API v2: it fetches the reference data, dials, subscribes, keeps the connection
// alive, and asks over REST for the books that the streams of changes need.
//
// The protocol is documented at https://www.bitstamp.net/websocket/v2/ and
// https://www.bitstamp.net/api/. What its messages mean is the normalizer's
// business; this package reads the answers to its own requests only, and hands on
// those too, REST answers as Reply frames.
package bitstamp
