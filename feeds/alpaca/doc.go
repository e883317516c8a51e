// Package alpaca is the transport of Alpaca's market data streams of stocks and
// crypto: it dials, signs in, subscribes, tells what the provider refuses, in JSON
// or in MessagePack, and asks again for the order book of one pair.
//
// The protocol is documented at
// https://docs.alpaca.markets/docs/streaming-market-data (pages streaming market
// data, real-time stock data, real-time crypto data). What its messages mean is the
// normalizer's business; this package reads control messages only, and hands on
// those too.
//
// Most plans allow one connection to each feed. A second is refused with 406; so
// is ours after a loss, as long as the provider still keeps the connection that was
// lost. Both are met with the patience of an eviction: with less, two programs
// would quarrel, and with a key's only place taken there is nothing to gain.
//
// There is no heartbeat, no sequence, no replay and no repair: what was sent while
// we were away is lost.
package alpaca
