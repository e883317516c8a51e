package streamer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// The benchmarks here put the clients into a process of their own, so that the
// figures are the server's: it has one core, the clients poll on another. They
// run as this test binary with clientEnv set, see TestMain.
const clientEnv = "QUOTEWIRE_BENCH_CLIENT"

// mark is in every message once.
var mark = []byte(`"rx":`)

// runClient connects, reads, counts marks, and writes the running total to
// standard output as 8 bytes at a time, until standard input ends.
func runClient(spec string) error {
	parts := strings.SplitN(spec, " ", 3) // address, connections, path; no path: plain TCP
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return err
	}
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	for range n {
		conn, err := net.Dial("tcp", parts[0])
		if err != nil {
			return err
		}
		if len(parts) > 2 {
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", parts[2], parts[0]); err != nil {
				return err
			}
		}
		f, err := conn.(*net.TCPConn).File()
		if err != nil {
			return err
		}
		fd, err := syscall.Dup(int(f.Fd())) // one that nobody closes
		if err != nil {
			return err
		}
		_, _ = f.Close(), conn.Close()
		if err := syscall.SetNonblock(fd, true); err != nil {
			return err
		}
		if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	tails := make([][]byte, 1<<16) // what may be half a mark, by file
	buf := make([]byte, 256<<10)
	events := make([]syscall.EpollEvent, 1024)
	var total, told uint64
	var out [8]byte
	for {
		k, err := syscall.EpollWait(poll, events, 1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, e := range events[:max(k, 0)] {
			tail := tails[e.Fd]
			copy(buf, tail)
			n, err := syscall.Read(int(e.Fd), buf[len(tail):])
			if n <= 0 || err != nil {
				continue
			}
			b := buf[:len(tail)+n]
			total += uint64(bytes.Count(b, mark))
			tails[e.Fd] = append(tail[:0], b[max(0, len(b)-len(mark)+1):]...)
		}
		if total != told {
			told = total
			binary.LittleEndian.PutUint64(out[:], total)
			if _, err := os.Stdout.Write(out[:]); err != nil {
				return err
			}
		}
	}
}

// clients is a process of clients.
type clients struct {
	b        *testing.B
	cmd      *exec.Cmd
	stdin    io.Closer
	received atomic.Uint64
}

func startClients(b *testing.B, spec string) *clients {
	b.Helper()
	c := &clients{b: b, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), clientEnv+"="+spec, "GOMAXPROCS=1")
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	c.stdin = in
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		r := bufio.NewReader(out)
		var n [8]byte
		for {
			if _, err := io.ReadFull(r, n[:]); err != nil {
				return
			}
			c.received.Store(binary.LittleEndian.Uint64(n[:]))
		}
	}()
	return c
}

func (c *clients) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
}

// waitFor waits until so many messages have been received.
func (c *clients) waitFor(n uint64) {
	for deadline := time.Now().Add(20 * time.Second); c.received.Load() < n; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			c.b.Fatalf("clients received %d messages of %d", c.received.Load(), n)
		}
	}
}

// broadcaster is what is measured.
type broadcaster interface {
	publish()
	writes() float64
}

// hubBroadcaster publishes through the whole of a lane and its sessions.
type hubBroadcaster struct {
	sink orderbook.Sink
	ups  []orderbook.Update
	seq  uint64
	reg  *prometheus.Registry
}

func (h *hubBroadcaster) publish() {
	h.seq++
	u := &h.ups[h.seq%uint64(len(h.ups))]
	u.Seq = h.seq
	h.sink.Update(u)
	h.sink.Flush()
}

func (h *hubBroadcaster) writes() float64 { return counter(h.reg, "quotewire_streamer_writes_total") }

func counter(reg *prometheus.Registry, name string) float64 {
	families, _ := reg.Gather()
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

// rawBroadcaster writes the same bytes to plain connections, one after the other.
type rawBroadcaster struct {
	conns []net.Conn
	frame []byte
	count float64
}

func (r *rawBroadcaster) publish() {
	for _, c := range r.conns {
		_, _ = c.Write(r.frame)
	}
	r.count += float64(len(r.conns))
}

func (r *rawBroadcaster) writes() float64 { return r.count }

// quoteUpdates returns updates of which each makes a quote's delta of about 200
// bytes.
func quoteUpdates(b *testing.B) []orderbook.Update {
	f := newFeed(b)
	f.off = true
	ups := make([]orderbook.Update, 64)
	for i := range ups {
		f.apply(1, market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6421000, Size: market.Size(52_000_000 + i)})
		f.last.CopyTo(&ups[i])
	}
	return ups
}

func startHub(b *testing.B, n int, path string) (*hubBroadcaster, *clients, *Hub, func()) {
	b.Helper()
	reg := prometheus.NewRegistry()
	f := newFeed(b)
	for i := range 20 {
		if _, err := f.dir.Instrument(fmt.Sprintf("S%d", i), market.ClassCrypto); err != nil {
			b.Fatal(err)
		}
	}
	s := newServer(b, Config{Directory: f.dir, Metrics: reg})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: s.hub.Handler()}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	h := &hubBroadcaster{sink: s.hub.Sink(0), ups: quoteUpdates(b), reg: reg, seq: 2}
	view := &f.lane.instrument(1).view
	h.sink.Update(image(view))
	h.sink.Flush()
	c := startClients(b, fmt.Sprintf("%s %d %s", l.Addr(), n, path))
	return h, c, s.hub, func() {
		c.stop()
		s.stop()
		_ = srv.Close()
		<-served
	}
}

// startRaw connects plain clients and makes the frame that a hub would send.
func startRaw(b *testing.B, n int) (*rawBroadcaster, *clients, func()) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	c := startClients(b, fmt.Sprintf("%s %d", l.Addr(), n))
	r := &rawBroadcaster{}
	for range n {
		conn, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		r.conns = append(r.conns, conn)
	}
	const text = `{"type":"delta","sid":1,"seq":1234,"prev":1233,"n":1,"ts":1764000000000000,"rx":1764000000000000,"tx":1764000000000000,` +
		`"bid_size":"0.52000041","bid_total":"1.04000041","bid_venues":{"coinbase":"0.52000041","kraken":"0.52"}}`
	buf := append(make([]byte, maxHeader), text...)
	r.frame = buf[header(buf, 1, len(text)):]
	return r, c, func() {
		c.stop()
		for _, conn := range r.conns {
			_ = conn.Close()
		}
		_ = l.Close()
	}
}

// cpu returns the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measureFanout publishes until the benchmark has enough: with a window of
// messages in flight, or one every so often.
func measureFanout(b *testing.B, n int, p broadcaster, c *clients, window uint64, every time.Duration) {
	base := c.received.Load()
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	used, wrote, begin := cpu(), p.writes(), time.Now()
	published := uint64(0)
	for b.Loop() {
		if every > 0 {
			if wait := time.Until(begin.Add(time.Duration(published) * every)); wait > 0 {
				time.Sleep(wait)
			}
		} else {
			for published*uint64(n)-(c.received.Load()-base) > window*uint64(n) {
				time.Sleep(20 * time.Microsecond)
			}
		}
		p.publish()
		published++
	}
	c.waitFor(base + published*uint64(n))
	took := time.Since(begin)
	used, wrote = cpu()-used, p.writes()-wrote
	runtime.ReadMemStats(&m1)
	total := float64(published) * float64(n)
	b.ReportMetric(total/took.Seconds(), "deliveries/s")
	b.ReportMetric(used.Seconds()/total*1e6, "CPU-s/M")
	b.ReportMetric(total/wrote, "msgs/write")
	b.ReportMetric(float64(m1.Mallocs-m0.Mallocs)/total, "allocs/delivery")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFanout sends one quote stream to 1,000 connections over loopback, the
// plain loop of writes of the same bytes beside it.
func BenchmarkFanout(b *testing.B) {
	const n = 1000
	for _, mode := range []struct {
		name   string
		window uint64
		every  time.Duration
	}{
		{"closed", 128, 0}, {"100-per-second", 0, 10 * time.Millisecond},
	} {
		b.Run(mode.name+"/raw", func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			p, c, stop := startRaw(b, n)
			defer stop()
			measureFanout(b, n, p, c, mode.window, mode.every)
		})
		b.Run(mode.name+"/hub", func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			p, c, _, stop := startHub(b, n, "/v1/stream?channel=quote&symbols=BTC-USD&interval=0")
			defer stop()
			c.waitFor(n) // the snapshots
			measureFanout(b, n, p, c, mode.window, mode.every)
		})
	}
}

// BenchmarkIdle tells what 2,000 idle connections cost, after their first messages
// and a collection, without subscriptions and with 20 each.
func BenchmarkIdle(b *testing.B) {
	const n = 2000
	for _, subs := range []int{0, 20} {
		b.Run(fmt.Sprintf("subscriptions=%d", subs), func(b *testing.B) {
			path := "/v1/stream"
			if subs > 0 {
				path += "?channel=quote&symbols=BTC-USD"
			}
			for i := range subs - 1 {
				path += fmt.Sprintf(",S%d", i)
			}
			for b.Loop() {
				rss, heap := resident(b), inuse()
				_, c, hub, stop := startHub(b, n, path)
				waitQuiet(b, hub, n)
				c.waitFor(uint64(n * subs))
				b.ReportMetric(float64(inuse()-heap)/n, "heap+stack-B/conn")
				b.ReportMetric(float64(resident(b)-rss)/n, "RSS-B/conn") // of the first round only
				b.ReportMetric(float64(runtime.NumGoroutine())/n, "goroutines/conn")
				stop()
			}
		})
	}
}

func waitQuiet(b *testing.B, h *Hub, n int) {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		h.mu.Lock()
		have := len(h.sessions)
		h.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d sessions", have)
		}
	}
}

func inuse() uint64 {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func resident(b *testing.B) uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * uint64(os.Getpagesize())
}
