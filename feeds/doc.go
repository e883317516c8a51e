// Package feeds takes providers' streams and hands on their raw messages.
//
// A [Source] produces [Frame]s: one raw message, when it came, and over which
// feed. A connection that comes up, goes mute or is lost is a frame too, so that
// everything downstream, and every recording, sees it in its place in the
// stream. A source does not understand market data: what a payload means is the
// normalizer's business.
//
// Each provider's transport is a sub-package: it knows how to dial, sign in,
// subscribe, keep alive and ask again for one symbol. What they share, backoff
// and the watch over mute sockets, is [Supervisor].
package feeds
