// Package binance is the transport of Binance's public market data, of the spot
// market and of USD-M futures: it fetches the reference data, dials, subscribes,
// keeps the sockets alive, and asks over REST for the books that the streams of
// changes need.
//
// The protocol is documented at https://github.com/binance/binance-spot-api-docs
// (web-socket-streams.md, rest-api.md) and
// https://developers.binance.com/docs/derivatives/usds-margined-futures. What its
// messages mean is the normalizer's business; this package reads the answers to
// its own requests only, and hands on those too, REST answers as Reply frames.
//
// Binance cuts every connection after 24 hours. That is met as any other loss: the
// supervisor reconnects and the books start anew.
package binance
