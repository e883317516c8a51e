// Package sim is the providers' side of the wire: servers that speak the
// providers' protocols (Config.Provider names them) on a local port, over one
// simulated market. The demo, the tests and the benchmarks run on it through
// the real adapters. It shares no code with them, so that a misreading of a
// protocol on one side does not hide behind the same misreading on the other.
//
// # The market
//
// [Market] holds US stocks and crypto pairs. Each has a hidden fair value, a
// random walk with news jumps. Around it stand books whose every price and size
// is a whole number of the venue's increments.
//
// Modelled: the same pair at Coinbase, Kraken, Bitfinex and Bitstamp with their
// own increments, each venue following the common fair value with a lag and a
// small lean of its own, so that the consolidated quote locks or crosses for
// milliseconds now and then; books of some hundred levels a side with levels
// clustered at round prices, dust and large orders; takers that consume the
// other side and print once for each level they meet; bursts, in which trades
// and news bring more trades; four times the quiet activity at the open, falling
// over minutes and rising towards a close 6.5 hours later. Stocks: quotes of
// seven exchanges and the NBBO over them, which never locks or crosses because
// intermarket sweeps clear what is in the way; round lots by price; odd lots,
// off-exchange prints with their facility, price improvement below a cent,
// fractions of shares; bars of a second and of a minute from the stock's own
// trades.
//
// Books that are shown order by order have orders behind their levels from the
// moment when somebody asks: queues that add up to the levels at every instant,
// takers that meet one order after the other.
//
// Not modelled: auctions and halts, trading
// outside regular hours, corrections, holidays (it is always shortly after the
// open), correlation between symbols, a reaction of the market to anything but
// chance.
//
// A [Market] moves only when it is told to: [Market.Step] for tests,
// [Market.Run] in real time. With the same configuration, the same Step calls
// give the same market, and the same subscriptions between them the same frames
// to the byte. Every symbol draws from generators of its own, so leaving one out
// does not change the others. Times on
// the wire, and the pace of batches, bars and heartbeats, are the market's; only
// the time a client has for its first message is real.
//
// # The servers
//
// [Server] behaves as the provider does, including where that is unpleasant:
// acks that do not name what was refused, evictions, levels that silently fall
// off the end of a book. What it does not do: compression, Kraken's ticker and
// ohlc, Coinbase's ticker, Polygon's NOI, FMV, LV and crypto bars,
// and rate limits. Currencies, indices, options and futures are there so that every
// kind of message comes, with a contract or two each.
//
// REST requests of Binance, Bitstamp, Bybit and Gemini are answered on the same address, and
// take faults of their own: refusals, slow, late and stale answers.
//
// Faults are ordered by method ([Server.Kill], [Server.Mute],
// [Server.CorruptChecksum] and others), or over HTTP (see [Control]), and take
// effect at once.
package sim
