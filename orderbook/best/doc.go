// Package best makes quotes that say what a trade would really cost: each venue's
// price after its taker fee, and markets in other currencies (BTC-USDT beside
// BTC-USD) converted by a cross that is live (USDT-USD).
//
// Of a pair such as BTC-USD a [Composer] makes an instrument of its own,
// net:BTC-USD, whose venues are the legs: "kraken" is Kraken's BTC-USD, and
// "kraken:USDT" its BTC-USDT. Its updates are like those of any other
// instrument. A leg that does not count has a state that says so, with
// [orderbook.CauseCross] where it is the cross that is not live.
//
// It is an option beside the books: it sees them through a sink, keeps what it
// needs of them, and computes in a goroutine of its own, at most once in an
// interval, so that no book waits for it.
package best
