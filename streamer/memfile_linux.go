package streamer

import (
	"errors"

	"golang.org/x/sys/unix"
)

// memFile is a file in memory. What is in it never changes, so that sockets may go on
// referring to its pages after it is closed.
type memFile struct{ fd int }

// newMemFile returns a file of the parts, nil where the kernel does not make one, as
// with all descriptors in use.
func newMemFile(parts [][]byte) *memFile {
	fd, err := unix.MemfdCreate("quotewire", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	size := 0
	for _, b := range parts {
		size += len(b)
	}
	for {
		n, err := unix.Writev(fd, parts)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case n != size:
			_ = unix.Close(fd)
			return nil
		}
		return &memFile{fd}
	}
}

func (f *memFile) close() {
	if f != nil {
		_ = unix.Close(f.fd)
	}
}
