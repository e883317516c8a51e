package streamer

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestClientThatStopsReading: a client takes nothing for 10 s while 200 symbols
// change 20 times a second each. What the server holds for it does not grow, others
// get every message of every interval, and once it reads again each of its
// streams is current within one message.
func TestClientThatStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = 10 * time.Second
		symbols := 200
		if raceEnabled {
			symbols = 80 // it takes as long as there are changes
		}
		s, closeAll := servePipe(t, Config{Heartbeat: time.Hour, ReadTimeout: time.Hour})
		defer closeAll()
		for i := range symbols {
			s.book(fmt.Sprintf("S%03d", i), "kraken", 1000, 12)
		}
		readers := make([]*reader, 3)
		for i := range readers {
			readers[i] = newReader(s)
			defer readers[i].wait()
		}
		slow, others := readers[0], readers[1:]
		run := func(d time.Duration) {
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(50 * time.Millisecond) {
				for i := range symbols {
					s.change(i)
				}
			}
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
		}
		run(time.Second)
		if a, b := readers[0].deltas, readers[1].deltas; a != b || a == 0 {
			t.Fatalf("%d and %d messages before the stall", a, b)
		}
		slow.pause()
		run(time.Second) // so that what is in flight has filled up
		early, before := s.held(t), others[0].deltas
		t.Logf("after  1 s: %v", early)
		run(stall - time.Second)
		late := s.held(t)
		t.Logf("after 10 s: %v", late)
		// Queued, nine seconds of it would be 2.7 MB.
		if late.streams > symbols || late.messages > 0 || late.buffers > 1 || late.heap > early.heap+512<<10 {
			t.Errorf("what is held grows: %v, then %v", early, late)
		}
		perSymbol := int((stall - time.Second) / (100 * time.Millisecond))
		for i, o := range others {
			got := o.deltas - before
			if got < symbols*perSymbol || got > symbols*(perSymbol+3) {
				t.Errorf("client %d got %d messages meanwhile, want %d of each symbol", i+1, got, perSymbol)
			}
			if o.snapshots != symbols {
				t.Errorf("client %d got %d snapshots", i+1, o.snapshots)
			}
		}
		slow.resume()
		synctest.Wait()
		t.Logf("then: %d messages that were in flight, %d snapshots, %d deltas after them", slow.flight, slow.snapshots-symbols, slow.after)
		if n := slow.snapshots - symbols + slow.after; n > symbols || slow.flight > 2*batchSize/100 {
			t.Errorf("%d messages for %d streams, after %d in flight", n, symbols, slow.flight)
		}
		for sid, b := range others[0].books {
			if a := slow.books[sid]; a.seq != b.seq || a.crc() != b.crc() {
				t.Errorf("stream %d: at %d with crc %d, others are at %d with %d", sid, a.seq, a.crc(), b.seq, b.crc())
			}
		}
		// And it goes on as everybody else, once its interval is as asked for again.
		run(2 * time.Second)
		a, b := slow.deltas, others[0].deltas
		run(time.Second)
		if a, b := slow.deltas-a, others[0].deltas-b; a != b || a == 0 {
			t.Errorf("then it got %d messages, others %d", a, b)
		}
	})
}

// change moves a level of the i-th symbol.
func (s *server) change(i int) {
	at := time.Now().UnixMilli()
	s.apply(s.level(fmt.Sprintf("S%03d", i), "kraken", market.SideBid, 995-at/50%7, 1+(at+int64(i))%1000))
}

// held is what the server holds for its sessions.
type held struct {
	streams, messages, buffers int // the most of one session
	heap                       uint64
}

func (h held) String() string {
	return fmt.Sprintf("%d streams marked, %d messages queued, %d buffers, heap %d kB", h.streams, h.messages, h.buffers, h.heap>>10)
}

func (s *server) held(t *testing.T) (h held) {
	t.Helper()
	s.hub.mu.Lock()
	for x := range s.hub.sessions {
		x.mu.Lock()
		n := 0
		if x.every.head != nil {
			n++
		}
		for c := x.every.first; c != nil; c = c.next {
			n += int(c.n - c.from)
		}
		h.streams = max(h.streams, n)
		h.messages = max(h.messages, len(x.messages))
		if x.turn == turnWriting {
			h.buffers = 1
		}
		x.mu.Unlock()
	}
	s.hub.mu.Unlock()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	h.heap = m.HeapAlloc
	return h
}

// reader is a client that keeps books, and that can stop reading.
type reader struct {
	c         *client
	books     map[uint64]*bookOf
	deltas    int
	snapshots int
	paused    chan chan struct{}
	gate      chan struct{}
	resumed   bool
	flight    int // messages from before the pause, read after it
	after     int // deltas after a stream's snapshot
	fresh     map[uint64]bool
	ended     chan struct{}
}

type bookOf struct {
	seq        uint64
	bids, asks map[string]string
}

func (b *bookOf) crc() uint32 {
	return wire.TextCRC(sortedLevels(b.bids, true), sortedLevels(b.asks, false))
}

func newReader(s *server) *reader {
	r := &reader{c: s.dial(""), books: make(map[uint64]*bookOf), paused: make(chan chan struct{}, 1), ended: make(chan struct{})}
	r.c.send(`{"op":"subscribe","channel":"book","symbols":["S*"]}`)
	go r.run()
	synctest.Wait()
	return r
}

func (r *reader) run() {
	defer close(r.ended)
	for {
		select {
		case gate := <-r.paused:
			<-gate
			r.resumed, r.fresh = true, make(map[uint64]bool)
		default:
		}
		m, err := r.c.read()
		if err != nil {
			return
		}
		var st *wire.State
		switch m := m.(type) {
		case *wire.Snapshot:
			st = &m.State
			r.snapshots++
			r.books[m.SID] = &bookOf{bids: make(map[string]string), asks: make(map[string]string)}
			if r.resumed {
				r.fresh[m.SID] = true
			}
		case *wire.Delta:
			st = &m.State
			r.deltas++
			if m.Prev != r.books[m.SID].seq {
				r.c.t.Errorf("%s does not follow %d", r.c.last, r.books[m.SID].seq)
			}
			if r.resumed && r.fresh[m.SID] {
				r.after++
			} else if r.resumed {
				r.flight++
			}
		default:
			continue
		}
		b := r.books[st.SID]
		b.seq = st.Seq
		for _, lv := range st.Bids {
			b.bids[lv.Price] = lv.Size
			if lv.Size == "0" {
				delete(b.bids, lv.Price)
			}
		}
		for _, lv := range st.Asks {
			b.asks[lv.Price] = lv.Size
			if lv.Size == "0" {
				delete(b.asks, lv.Price)
			}
		}
		if got := b.crc(); got != *st.CRC {
			r.c.t.Errorf("crc is %d after %s", got, strings.TrimSpace(r.c.last))
		}
	}
}

func (r *reader) pause() {
	r.gate = make(chan struct{})
	r.paused <- r.gate
}

func (r *reader) resume() { close(r.gate) }

func (r *reader) wait() {
	_ = r.c.conn.Close()
	<-r.ended
}
