// Package client is the Go SDK of quotewire.v1.
//
// [Dial] gives a [Client], one connection that is kept up: after a loss it
// reconnects with a jittered backoff and resumes each stream where it stood.
// [Client.Subscribe] gives a [Stream], whose [Stream.Next] and [Stream.All] hand
// out updates: [*Quote], [*BookUpdate], [*Trades], [*Ticker], [*Bar], [*Status].
// Prices and sizes are exact decimals.
//
// What may make a strategy wrong is never silent. It comes as an update of its
// own, in the same stream: [*Disconnected], [*Reconnected], [*Gap],
// [*EpochChange], [*Resync], [*Rejected], [*Lost]. A program that does not care
// leaves them to the default case of its type switch.
//
// # Slow readers
//
// A stream holds no queue of states. Where the program reads slower than a quote,
// book or ticker changes, Next returns the newest state, and its Changes and Merged
// tell what it stands for. Prints, bars and streams of every change
// ([EveryChange]) are not conflated: up to [Subscription.Backlog] updates wait,
// then the client stops reading its connection until there is room, and that
// holds up the client's other streams too. Give such a stream a Client of its own
// where that matters, or [Conflate] where only the latest does.
//
// # Values made of a quote
//
// [Quote.Mid], [Quote.Spread] and [Quote.Microprice] are not sent: they follow from
// the two sides, exactly, and are made when they are asked for. They say false where
// they would mean nothing: a side is absent, or the quote is crossed or thin. Whether
// the quote is current is in its State and Stale.
//
// # Encodings
//
// [Options.Format] chooses JSON or Protocol Buffers, which take a third of the
// bytes. Updates are the same. [Stream.Fetch] asks again for prints that were
// missed, and [Stream.Pause] stops a stream for a while.
//
// # In one process
//
// A program that runs the books itself attaches to its streamer.Hub without a
// socket, see [Attach]: the same streams with the same guarantees.
//
// # Tokens and metrics
//
// [Options.TokenSource] gives tokens that expire: a fresh one is shown on the live
// connection in time, and the streams go on. [Options.OnUpdate] hears of each update
// and its [Latency], and [Stats.Counters] names the counters, for a program's own
// metrics.
//
// # Books without a connection
//
// [Book] applies snapshots and deltas from anywhere, such as a recording or
// server-sent events, and proves itself by the checksum they carry.
package client
