// Package bus carries instruments' updates between processes over NATS: from
// feed nodes, whose shards keep the books, to gateways, which serve clients, and
// to any NATS client in any language.
//
// A [Publisher] is a sink of shards; a [Subscriber] feeds sinks as a shard would,
// with the numbers of its own [market.Directory]. [StartServer] runs a NATS
// server in this process, [Connect] makes connections fit for the bus. In one
// process nothing needs to pass through here.
//
// # Subjects
//
// All begin with a prefix, "quotewire.v1" by default. Payloads are Protocol
// Buffers, package quotewire.bus.v1, see busv1/update.proto.
//
//	quotewire.v1.update.SYMBOL    Update       published at each change of an instrument
//	quotewire.v1.announce.NODE    Instruments  published when a node gets new instruments
//	quotewire.v1.node.NODE        Beat         published every second, at start and at stop
//	quotewire.v1.watermark.NODE   Watermark    published when more of its bars are final, every second at most
//	quotewire.v1.snapshot.SYMBOL  request      any payload; answered with an Update
//	quotewire.v1.instruments      request      any payload; answered by every node with Instruments
//	quotewire.v1.orders.NODE      request      OrdersRequest; answered with Orders
//
// SYMBOL and NODE are tokens: ASCII letters and digits, "-" and "_" stand for
// themselves, every other byte is "%" and two upper-case hex digits. BTC-USD is
// BTC-USD, BRK.A is BRK%2EA, O:AAPL261218C00200000 is O%3AAAPL261218C00200000.
//
// # Large messages
//
// A snapshot of a full book can exceed what the server lets through (1 MiB by
// default; the embedded server takes 8 MiB, which fits more than 400,000
// levels). Such a message comes in parts on the same subject, one after the
// other, each with the header "Quotewire-Part: ID N/OF". Parts 1 to OF with one
// ID, joined byte by byte, are the message. If a part is missing throw away the
// others; the gap shows in the sequence. A request that may be answered in parts
// needs an inbox of its own, not the single answer of a plain request: Update,
// Instruments and Orders may be. Nothing
// is compressed: a reader needs NATS and Protocol Buffers, no more.
//
// # To follow an instrument
//
//  1. Subscribe to its updates and keep what comes.
//  2. Request its snapshot. The answer has CHANGED_SNAPSHOT set.
//  3. Discard what you kept up to the snapshot's seq, apply the rest.
//  4. From there on apply an update if its epoch is yours and its seq is yours
//     plus one; ignore it if its seq is not larger than yours; replace all you
//     hold if it has CHANGED_SNAPSHOT, or if it is the first (seq 1) of a larger
//     epoch. Else you missed something: go to 2.
//  5. When a node's Beat stays out for three times its interval, or says goodbye,
//     or comes with another epoch, nothing that the node told is current any
//     longer. After a KIND_HELLO of the same epoch ask for the instruments and
//     compare positions: what was said just before may have been lost.
//
// Of two epochs the larger is the later. As long as the node that uses the larger
// is heard, ignore what comes with the smaller: its sender has been replaced and
// does not know it yet.
//
// All numbers are exact mantissas at the scale that the message tells. Quote and
// ticker are always whole, so who needs no levels can take the quote of any
// update that is newer than the last, gap or not.
//
// # Single orders
//
// Where a venue shows its single orders they stay at the feed node that keeps the
// books, and are told to who asks: the node that the instrument's updates name.
// The answer is as of the question, beside the updates, and follows none of their
// positions. A node answers one question at a time, 64 more wait for up to 2 s, and
// what is beyond is answered ORDERS_OUTCOME_BUSY. An answer takes at most half of
// PublisherConfig.QueueBytes, and none goes out while as much waits: updates are
// not conflated to make room for it. [Subscriber.Orders] asks.
//
// # Guarantees
//
// Updates of one instrument in one epoch are published in order and none is
// altered, but an update may be missing. Three things lose updates: a
// publisher whose queue to the network is full skips an instrument's updates
// until a snapshot of it fits, and publishes that in their place
// (conflation: there is no gap then, only a jump to a snapshot); NATS drops what
// a slow reader does not take; and a broken connection loses what was under way.
// The first repairs itself, the second shows as a gap or as a disconnect, the
// third is followed by a hello. Prints among what is missing are not sent again;
// trade_seq tells how many there were. Bars that changed are: a snapshot has in
// recent_bars those that changed last, so that who held all but a part can tell
// which of them are news. Nodes before that field send none.
//
// While an instrument waits for a snapshot a Subscriber hands on no watermark
// past it, for three heartbeats at most: what was missed may have changed bars
// that would be final by it.
//
// A Subscriber does all of the above, and in addition compares its positions
// with the nodes' every half minute. Its sinks never see a gap, see its
// documentation. They see everything of a node as down within three heartbeats
// of its death, at once when NATS is lost, and an instrument that waits for a
// snapshot for as long as that as resyncing. They never see a book of which
// nobody knows that it is current. A Subscriber that stood still itself reads
// what waits for it first: it gives up who is still silent when a message that
// it sent to its own inbox has come back, or, where NATS is mute, has been out
// for SubscriberConfig.RequestTimeout.
//
// # Bounds
//
// Between a shard and the publisher's goroutine 64 batches; when they are full
// the shard waits for that goroutine, which never waits for the network. Between
// it and the network PublisherConfig.QueueBytes; beyond, conflation. Requests:
// 1024, then they are dropped and repeated by who asked. In a subscriber
// SubscriberConfig.Queue messages; beyond, loss, which is noticed and repaired.
// Updates held for a snapshot: 4096 or 8 MiB an instrument, 128 MiB in all.
// Everything dropped is counted in the Status of either end.
package bus
