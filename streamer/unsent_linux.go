package streamer

import (
	"net"
	"syscall"
)

// maxUnsent is how many bytes may wait in the kernel for a client's window to
// open. What waits there can be neither conflated nor taken back: without a bound
// a client that reads again after a while gets megabytes of the past first.
const maxUnsent = 128 << 10

// tcpNotsentLowat is TCP_NOTSENT_LOWAT of linux/tcp.h, which package syscall does
// not have.
const tcpNotsentLowat = 25

// limitUnsent bounds what waits in the kernel; where that fails, it is not bounded.
func limitUnsent(c net.Conn) {
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
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat, maxUnsent)
	})
}
