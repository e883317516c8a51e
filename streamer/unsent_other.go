//go:build !linux

package streamer

import "net"

// limitUnsent does nothing here: the system's own bound holds.
func limitUnsent(net.Conn) {}
