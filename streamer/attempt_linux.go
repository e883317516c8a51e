package streamer

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawConn returns a connection's descriptor, if it has one to which can be written
// without waiting; else nil.
func rawConn(c net.Conn) syscall.RawConn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// attempt writes as much as a socket takes at once.
type attempt struct {
	fn    func(fd uintptr) bool // do, made once
	parts [][]byte
	held  *spooled // nil: the parts are to be written
	n     int
	err   error
}

func (a *attempt) init() { a.fn = a.do }

// ready reports whether this pen writes without waiting.
func (a *attempt) ready() bool { return a.fn != nil }

// write writes the parts, which the kernel may hold already, and returns how many
// bytes were taken.
func (a *attempt) write(raw syscall.RawConn, parts [][]byte, held *spooled) (int, error) {
	a.parts, a.held, a.n, a.err = parts, held, 0, nil
	err := raw.Write(a.fn)
	a.parts, a.held = nil, nil
	if err == nil {
		err = a.err
	}
	return a.n, err
}

func (a *attempt) do(fd uintptr) bool {
	for {
		n, err := a.call(int(fd))
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return true
		}
		a.n, a.err = max(n, 0), err
		return true
	}
}

func (a *attempt) call(fd int) (int, error) {
	switch {
	case a.held != nil:
		var from int64
		return unix.Sendfile(fd, a.held.file.fd, &from, batchSize+maxHeader)
	case len(a.parts) == 1:
		return syscall.Write(fd, a.parts[0])
	}
	return unix.Writev(fd, a.parts)
}

// readable reports whether a socket has something to read, an end included.
func readable(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds[:], 0)
		if !errors.Is(err, unix.EINTR) {
			return n != 0 // what is wrong, the read tells
		}
	}
}
