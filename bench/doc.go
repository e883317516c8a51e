// Command bench measures Quotewire's fan-out beside peers: plain TCP writes of
// ready frames, NATS over WebSocket and the centrifuge library, each with the same
// message bytes, on the same machine, in one run. It is a module of its own, so
// that the product's go.mod stays free of peers.
//
// Each measurement runs in two processes, pinned to a core each where taskset is
// there: a server with GOMAXPROCS=1, whose processor time counts, and a client that
// polls all its connections in one loop and counts messages by a byte that each
// has once. They share a page of memory, so that counting costs the server nothing.
// Everything stays on 127.0.0.1.
package main
