package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// clientSpec says what the client process does.
type clientSpec struct {
	Page  string
	Addr  string
	N     int
	Kind  string // raw, ws, nats, centrifuge
	Path  string // of the WebSocket
	Pick  int    // symbols of each client, from Of
	Of    int
	Mark  string // is in each message once
	Lag   int    // 0: none measured; 1: of each message; 2: of the first in each read
	Burst bool   // poll without sleeping
}

// stamp precedes the time in µs from which lag is measured.
var stamp = []byte(`"rx":`)

func runClient(text string) error {
	var spec clientSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	p, err := openPage(spec.Page)
	if err != nil {
		return err
	}
	parent := os.Getppid()
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	number := make(map[int32]int)
	for i := range spec.N {
		fd, err := connect(&spec, i)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
		number[int32(fd)] = i
		p.Connected.Add(1)
		// What comes meanwhile must not wait: a server may end who does not read.
		if i%64 == 63 {
			drain(p, &spec, poll)
		}
	}
	buf := make([]byte, 256<<10)
	events := make([]syscall.EpollEvent, 512)
	stalled := make(map[int32]bool)
	wait := 1
	if spec.Burst {
		wait = 0
	}
	for turn := 0; p.Exit.Load() == 0; turn++ {
		if turn%4096 == 0 && os.Getppid() != parent {
			return nil
		}
		if turn%64 == 0 {
			p.Busy.Store(uint64(cpu()))
		}
		if want := int(p.Stalled.Load()); want != len(stalled) {
			for fd, i := range number {
				e := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: fd}
				switch {
				case i < want && !stalled[fd]:
					stalled[fd] = true
					_ = syscall.EpollCtl(poll, syscall.EPOLL_CTL_DEL, int(fd), nil)
				case i >= want && stalled[fd]:
					delete(stalled, fd)
					_ = syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, int(fd), &e)
				}
			}
		}
		k, err := syscall.EpollWait(poll, events, wait)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, e := range events[:max(k, 0)] {
			n, err := syscall.Read(int(e.Fd), buf)
			if n <= 0 || err != nil {
				if n == 0 {
					return fmt.Errorf("connection %d was closed by the server", number[e.Fd])
				}
				continue
			}
			p.count(&spec, buf[:n])
		}
	}
	return nil
}

func drain(p *page, spec *clientSpec, poll int) {
	buf := make([]byte, 256<<10)
	events := make([]syscall.EpollEvent, 512)
	k, _ := syscall.EpollWait(poll, events, 0)
	for _, e := range events[:max(k, 0)] {
		if n, _ := syscall.Read(int(e.Fd), buf); n > 0 {
			p.count(spec, buf[:n])
		}
	}
}

// count adds what one read brought.
func (p *page) count(spec *clientSpec, b []byte) {
	if spec.Lag > 0 {
		now := time.Now().UnixMicro()
		phase := p.Phase.Load() % phases
		for rest := b; ; {
			i := bytes.Index(rest, stamp)
			if i < 0 || len(rest) < i+len(stamp)+16 {
				break
			}
			rest = rest[i+len(stamp):]
			at := int64(0)
			for _, c := range rest[:16] {
				at = at*10 + int64(c-'0')
			}
			p.Lag[phase][bucket(now-at)].Add(1)
			if spec.Lag == 2 {
				break
			}
		}
	}
	p.Received.Add(uint64(bytes.Count(b, []byte(spec.Mark))))
	p.Bytes.Add(uint64(len(b)))
	p.Reads.Add(1)
}

// connect opens one connection and does what comes before the first message.
func connect(spec *clientSpec, i int) (int, error) {
	addr, err := net.ResolveTCPAddr("tcp4", spec.Addr)
	if err != nil {
		return 0, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	to := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	if err := syscall.Connect(fd, to); err != nil {
		return 0, err
	}
	if spec.Kind != "raw" {
		if err := upgrade(spec, fd, i); err != nil {
			return 0, err
		}
	}
	return fd, syscall.SetNonblock(fd, true)
}

func upgrade(spec *clientSpec, fd, i int) error {
	path := spec.Path
	if spec.Pick > 0 {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		names := make([]string, 0, spec.Pick)
		for _, s := range r.Perm(spec.Of)[:spec.Pick] {
			names = append(names, symbol(s))
		}
		path += "&symbols=" + strings.Join(names, ",")
	}
	req := "GET " + path + " HTTP/1.1\r\nHost: " + spec.Addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if _, err := syscall.Write(fd, []byte(req)); err != nil {
		return err
	}
	var head []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		n, err := syscall.Read(fd, one)
		if err != nil || n == 0 {
			return fmt.Errorf("handshake: %w after %q", err, head)
		}
		head = append(head, one[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
		return fmt.Errorf("handshake: %q", head)
	}
	switch spec.Kind {
	case "nats":
		return send(fd, "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"raw\",\"version\":\"1\"}\r\nSUB t 1\r\n")
	case "centrifuge":
		return send(fd, `{"id":1,"connect":{}}`)
	}
	return nil
}

// send writes a text frame, masked with zeros, as the contenders' servers want it.
func send(fd int, text string) error {
	b := []byte{0x81, 0x80 | byte(len(text))}
	if len(text) > 125 {
		b = []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text))}
	}
	b = append(append(b, 0, 0, 0, 0), text...)
	_, err := syscall.Write(fd, b)
	return err
}

func symbol(i int) string { return fmt.Sprintf("S%04d-USD", i) }
