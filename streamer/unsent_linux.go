package streamer

import (
	"net"
	"syscall"
)

// tcpNotsentLowat is TCP_NOTSENT_LOWAT of linux/tcp.h, which package syscall does
// not have.
const tcpNotsentLowat = 25

// limitUnsent bounds to n bytes what waits in the kernel for a client's window to
// open; where that fails, it is not bounded. What is on its way is not counted, so
// a long line is not slowed down.
func limitUnsent(c net.Conn, n int) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat, n)
	})
}
