package streamer

import (
	"errors"
	"net"
	"slices"
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
// bytes were taken, and whether they were sent from there.
func (a *attempt) write(raw syscall.RawConn, parts [][]byte, held *spooled) (n int, sent bool, err error) {
	a.parts, a.held, a.n, a.err = parts, held, 0, nil
	err = raw.Write(a.fn)
	sent = a.held != nil
	a.parts, a.held = nil, nil
	if err == nil {
		err = a.err
	}
	return a.n, sent, err
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
	if a.held != nil {
		var from int64
		n, err := unix.Sendfile(fd, a.held.file.fd, &from, batchSize+maxHeader)
		if !slices.ContainsFunc(noSendfile, func(no error) bool { return errors.Is(err, no) }) {
			return n, err
		}
		a.held = nil
	}
	if len(a.parts) == 1 {
		return syscall.Write(fd, a.parts[0])
	}
	return unix.Writev(fd, a.parts)
}

// noSendfile is what a kernel says, or a sandbox for it, that does not send from where
// it holds a frame: nothing is wrong with the socket.
var noSendfile = []error{unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EOPNOTSUPP}

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
