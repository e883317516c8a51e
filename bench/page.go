package main

import (
	"fmt"
	"math/bits"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// page is the memory that server and client share. The client writes counts and
// the histogram, the server commands.
type page struct {
	Received  atomic.Uint64 // messages
	Bytes     atomic.Uint64
	Reads     atomic.Uint64
	Connected atomic.Uint64
	Busy      atomic.Uint64 // ns of processor time of the client

	Stalled atomic.Uint64 // the first so many connections are not read
	Phase   atomic.Uint64 // of the histogram
	Exit    atomic.Uint64

	Lag [phases][buckets]atomic.Uint64
}

const (
	phases  = 4
	buckets = 28 * 32
)

func openPage(path string) (*page, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size := int(unsafe.Sizeof(page{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return (*page)(unsafe.Pointer(&b[0])), nil
}

// bucket returns the histogram's place of a time in µs: 32 steps a power of two.
func bucket(us int64) int {
	v := uint64(max(us, 0))
	if v < 32 {
		return int(v)
	}
	e := bits.Len64(v) - 6
	return min(32*(e+1)+int(v>>e)-32, buckets-1)
}

// value returns the middle of a bucket, µs.
func value(b int) float64 {
	if b < 32 {
		return float64(b)
	}
	e := b/32 - 1
	return (float64(b%32+32) + 0.5) * float64(uint64(1)<<e)
}

// quantile returns a quantile of a phase's lags, µs.
func (p *page) quantile(phase int, q float64) float64 {
	total := uint64(0)
	for i := range p.Lag[phase] {
		total += p.Lag[phase][i].Load()
	}
	left := uint64(q * float64(total))
	for i := range p.Lag[phase] {
		n := p.Lag[phase][i].Load()
		if left < n {
			return value(i)
		}
		left -= n
	}
	return 0
}
