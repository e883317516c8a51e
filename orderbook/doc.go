// Package orderbook keeps the books: per instrument and venue the price levels,
// whether they can be trusted, the consolidated quote over all live venues and
// the day's ticker.
//
// A [Shard] owns the books of its instruments. It takes normalized events and
// emits an [Update] each time a venue message has been applied whole: what
// changed, exactly, with the quote and ticker that result. A [View] is the
// other end: it rebuilds an instrument's state from its Updates, in the same
// process or on another machine, and refuses to continue over a gap.
//
// Nothing in this package asks a clock or does I/O; times come with the events.
// A book that saw a gap, a wrong checksum or a crossed message is not trusted
// from that very message: it leaves the consolidated quote at once and a resync
// of that symbol, at that venue, is asked for.
package orderbook
