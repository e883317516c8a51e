//go:build !linux

package streamer

import (
	"net"
	"syscall"
)

// rawConn returns nil: here each write waits, in a goroutine of its own.
func rawConn(net.Conn) syscall.RawConn { return nil }

// attempt is not to be had here.
type attempt struct{}

func (*attempt) init()       {}
func (*attempt) ready() bool { return false }

func (*attempt) write(syscall.RawConn, [][]byte, *spooled) (int, bool, error) {
	panic("streamer: no attempt here")
}

func readable(uintptr) bool { panic("streamer: no way to tell here") }
