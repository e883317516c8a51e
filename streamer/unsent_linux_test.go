package streamer

import (
	"net"
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
		_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for chunk := make([]byte, batchSize); err == nil; {
			var k int
			k, err = c.Write(chunk)
			n += k
		}
		return n
	}
	bounded, free := swallowed(true), swallowed(false)
	t.Logf("%d bytes, without the bound %d", bounded, free)
	if bounded > free/2 {
		t.Errorf("%d bytes, without the bound %d", bounded, free)
	}
}
