package streamer

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// TestUnsentIsBounded: a client that does not read leaves little in the kernel.
func TestUnsentIsBounded(t *testing.T) {
	swallowed := func(limit bool) (n int) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = far.Close() }()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if limit {
			limitUnsent(c, 128<<10)
		}
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		// Full is what takes nothing more after it was waited for. A deadline alone says
		// nothing: a busy machine may have spent it before the first write.
		chunk := make([]byte, batchSize)
		for waited := false; ; {
			_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			k, tried := 0, false
			err := raw.Write(func(fd uintptr) bool {
				tried = true
				k, _ = syscall.Write(int(fd), chunk)
				return k > 0 || waited
			})
			if err == nil && k <= 0 {
				return n
			}
			n += max(k, 0)
			waited = err != nil && tried
		}
	}
	bounded, free := swallowed(true), swallowed(false)
	t.Logf("%d bytes, without the bound %d", bounded, free)
	if bounded > free/2 {
		t.Errorf("%d bytes, without the bound %d", bounded, free)
	}
}
