//go:build !linux

package streamer

import "net"

// limitUnsent bounds to n bytes what the kernel holds of what was written and not
// taken; where that fails, it is not bounded.
func limitUnsent(c net.Conn, n int) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if t, ok := c.(interface{ SetWriteBuffer(int) error }); ok {
		_ = t.SetWriteBuffer(n)
	}
}
