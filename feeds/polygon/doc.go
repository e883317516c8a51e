// Package polygon is the transport of Polygon.io (Massive since October 2025),
// by the provider's own client library: it signs in, subscribes, and tells of
// every loss of the connection.
//
// The protocol is documented at
// https://massive.com/docs/websocket/quickstart (formerly
// https://polygon.io/docs/websocket); the library is
// https://github.com/polygon-io/client-go, package polygonws, used with RawData
// and BypassRawDataRouting: frames come as the server sent them, status
// messages included, and nothing is decoded twice.
//
// There is no replay, no snapshot and no resync: what was sent while we were
// away is lost. Level 2 books of crypto (XL2) come whole each time.
//
// # The library's ways, and what is done about them
//
// All of this is true of v1.16.18; the tests hold it.
//
//   - It reconnects by itself, at once and silently, whatever MaxRetries is: 0
//     only means that the first failed dial ends it. Consumers would see a
//     second "connected" in the middle of the stream and stale books. The
//     supervisor alone reconnects here: the library's log lines tell when its
//     reader ends, and the reader is held there until Close has the client's
//     lock, after which the library no longer tries. Should that ever fail,
//     the second "connected", ReconnectCallback and the Error channel each
//     end the connection too.
//   - After a reconnect that failed, Close does nothing and the library's
//     processing goroutine and its 1.8 MB of queues are never freed. Not
//     letting it reconnect avoids that as well.
//   - Close waits for the peer's close frame up to its read deadline, 30 s, and
//     for ever if Output is not drained. It is therefore called aside, Output
//     and Error are drained, and we wait 2 s for it; what remains ends by
//     itself within those 30 s.
//   - Connect takes no context and may last 45 s; it too is called aside.
//   - Error is unbuffered and written with the lock held: it is always read.
//   - Subscribe before Connect blocks for ever after 1,000 calls. It is called
//     once a topic, after auth_success as the provider's documentation asks;
//     the library itself would send subscriptions before it is signed in.
//   - Up to 110,000 frames may wait in its queues, so that receive times are
//     late when we are slow. Backlog shows how many wait.
//   - A frame above 1,000,000 bytes ends the connection.
//   - The status of a refused upgrade, and Retry-After with it, is thrown away:
//     every failed dial is a lost connection.
//   - It pings every 25 s and gives up 30 s after the last message, so that a
//     dead socket is found even while the market is closed.
package polygon
