// Package gemini is the transport of Gemini's market data WebSocket v2: it
// dials, subscribes the channel l2, which has books and trades, reports what the
// venue refuses, asks again for one book, and asks over REST for the symbols'
// increments and status.
//
// The protocol is documented at https://docs.gemini.com/websocket-api/ ("Market
// Data Version 2") and https://docs.gemini.com/rest-api/ ("Symbol Details"). What its messages mean is the normalizer's business; this
// package reads the answers to its own requests only, and hands on those too.
package gemini
