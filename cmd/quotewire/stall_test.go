package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// BenchmarkStalledClient runs the service on 200 symbols at two venues with ten
// clients that read and one that stops reading for ten seconds. It reports by how
// much the heap grew in the last eight of these seconds and in eight before, the
// rate of the others in both, how many messages were in flight when it read again,
// and how many a stream it then needed to be current.
func BenchmarkStalledClient(b *testing.B) {
	const symbols, readers, stall = 200, 10, 10 * time.Second
	m := sim.MarketConfig{Seed: 9, Stocks: []sim.StockSpec{}}
	template := sim.DefaultCryptos()[0]
	for i := range symbols {
		c := template
		c.Pair = fmt.Sprintf("C%03d-USD", i)
		c.Venues = nil
		for _, v := range template.Venues {
			if v.Venue == sim.Coinbase || v.Venue == sim.Kraken {
				v.Rate /= 4
				c.Venues = append(c.Venues, v)
			}
		}
		m.Cryptos = append(m.Cryptos, c)
	}
	w, err := newDemoWorld(slog.New(slog.DiscardHandler), m)
	if err != nil {
		b.Fatal(err)
	}
	defer w.close()
	s := newService(slog.New(slog.DiscardHandler), streamer.Config{})
	s.listen = "127.0.0.1:0"
	addr := make(chan net.Addr, 1)
	s.onListen = func(a net.Addr) { addr <- a }
	for _, f := range w.feeds()[2:] {
		if err := s.addFeed(f); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.runWith(ctx, s.run) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	url := "ws://" + (<-addr).String() + "/v1/stream?channel=book&symbols=*&interval=100ms"

	var messages atomic.Int64
	var wg sync.WaitGroup
	for range readers {
		conn, _, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			for {
				_, frame, err := conn.ReadMessage()
				if err != nil {
					return
				}
				messages.Add(int64(bytes.Count(frame, []byte{'\n'}) + 1))
			}
		})
		defer func() { _ = conn.Close() }()
	}
	slow, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	books := newSlowBooks(slow)
	// Until every stream is there and has moved.
	for books.deltas < 4*symbols {
		if err := books.read(); err != nil {
			b.Fatal(err)
		}
	}
	if len(books.books) != symbols {
		b.Fatalf("%d streams, want %d", len(books.books), symbols)
	}
	rate := func(d time.Duration) float64 {
		from := messages.Load()
		<-time.After(d)
		return float64(messages.Load()-from) / d.Seconds()
	}
	heap := func() int64 {
		var ms runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&ms)
		return int64(ms.HeapAlloc)
	}
	// While the slow client reads, in a goroutine of its own.
	reading := make(chan error, 1)
	stop := atomic.Bool{}
	go func() {
		for !stop.Load() {
			if err := books.read(); err != nil {
				reading <- err
				return
			}
		}
		reading <- nil
	}()
	calm := heap()
	before := rate(stall - 2*time.Second)
	calm = heap() - calm
	stop.Store(true)
	if err := <-reading; err != nil {
		b.Fatal(err)
	}
	// It stops reading.
	<-time.After(2 * time.Second)
	early := heap()
	during := rate(stall - 2*time.Second)
	grown := heap() - early
	// It reads again. What was in flight when it stopped comes first; then each
	// stream must come to the present in one message.
	resumed := time.Now().UnixMicro()
	books.since = resumed
	for len(books.current) < symbols {
		if err := books.read(); err != nil {
			b.Fatal(err)
		}
	}
	worst := 0
	for _, n := range books.catchUp {
		worst = max(worst, n)
	}
	for b.Loop() {
	}
	b.ReportMetric(float64(calm)/1e6, "MB-grown-before")
	b.ReportMetric(float64(grown)/1e6, "MB-grown-stalled")
	b.ReportMetric(before/readers, "msg/s-before")
	b.ReportMetric(during/readers, "msg/s-stalled")
	b.ReportMetric(float64(worst), "catch-up-msgs/stream")
	b.ReportMetric(float64(books.inFlight), "in-flight-msgs")
	b.ReportMetric(0, "ns/op")
}

// slowBooks keeps the books of one connection and checks every message's crc.
type slowBooks struct {
	conn     *websocket.Conn
	books    map[uint64]*client.Book
	deltas   int
	since    int64           // µs; once set, messages made after it are counted
	current  map[uint64]bool // streams that are at the present
	catchUp  map[uint64]int  // messages that it took, that were made after the stall began to be caught up
	inFlight int             // messages that were made before
}

func newSlowBooks(conn *websocket.Conn) *slowBooks {
	return &slowBooks{conn: conn, books: make(map[uint64]*client.Book), current: make(map[uint64]bool), catchUp: make(map[uint64]int)}
}

func (s *slowBooks) read() error {
	_, frame, err := s.conn.ReadMessage()
	if err != nil {
		return err
	}
	for line := range bytes.SplitSeq(frame, []byte{'\n'}) {
		msg, err := wire.Parse(line)
		if err != nil {
			return err
		}
		var h *wire.Header
		switch m := msg.(type) {
		case *wire.Snapshot:
			h = &m.Header
			if s.books[h.SID] == nil {
				s.books[h.SID] = client.NewBook(wire.DefaultDepth)
			}
		case *wire.Delta:
			h = &m.Header
			s.deltas++
		default:
			continue
		}
		if err := s.books[h.SID].Apply(msg); err != nil {
			return fmt.Errorf("stream %d: %w", h.SID, err)
		}
		if s.since == 0 || s.current[h.SID] {
			continue
		}
		if h.TX < s.since {
			s.inFlight++
			continue
		}
		s.catchUp[h.SID]++
		s.current[h.SID] = true
	}
	return nil
}
