// Package streamer serves the client protocol quotewire.v1: it turns the books'
// updates into streams, one encoding per stream whoever reads it, conflated to
// the interval that its subscribers asked for.
//
// A [Hub] has lanes, one per shard of the books. A lane belongs to one goroutine;
// it holds a replica of its instruments' state ([orderbook.View]) and their
// topics. A topic is one (channel, symbol, venue, depth, interval) that somebody
// subscribed to. When it is due, it encodes one delta against what it sent last,
// and appends it to its log: a short ring of immutable frames.
//
// A session is one client. It owns no market data: for each subscription it has
// a position in a topic's log. A lane marks the subscriptions whose topic moved;
// a writer, which serves many sessions in turn, takes what each has not sent,
// straight from the log, joined into as few writes as the socket takes. A client that fell behind further than
// the log reaches gets one snapshot instead. So a new subscriber, a slow one, one
// that resumes and one that asks for a resync all go the same way, and what a
// client costs is bounded by its subscriptions, not by how slow it is.
//
// The state that the two sides share is a topic's log and the list of marked
// subscriptions, nothing else.
package streamer
