package streamer

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// slowly lets a client's connection take a byte only so often.
type slowly struct {
	every atomic.Int64 // ns a byte
}

func (s *slowly) took(n int) { time.Sleep(time.Duration(int64(n) * s.every.Load())) }

// TestWidening: a client whose line is too slow for all that changes gets it less
// often, is told how often, never gets what is old, and gets it as asked for again
// once the line is better. One on a good line notices nothing.
func TestWidening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const symbols = 20
		step := 10 * time.Millisecond
		if raceEnabled {
			step = 25 * time.Millisecond // it takes as long as there are changes
		}
		s, closeAll := servePipe(t, Config{Heartbeat: time.Second, ReadTimeout: time.Hour})
		defer closeAll()
		for i := range symbols {
			s.book(fmt.Sprintf("S%03d", i), "kraken", 1000, 12)
		}
		type seen struct {
			widest, last time.Duration
			late         time.Duration // the most
			lag          int64
			deltas       int
		}
		var mu sync.Mutex // of what both have seen
		read := func(c *client, line *slowly, stats *seen, done chan struct{}) {
			defer close(done)
			for {
				m, err := c.read()
				if err != nil {
					return
				}
				line.took(len(c.last))
				mu.Lock()
				switch m := m.(type) {
				case *wire.Heartbeat:
					stats.last, stats.lag = 0, m.Lag
					if m.Interval != "" {
						if stats.last, err = time.ParseDuration(m.Interval); err != nil {
							t.Error(err)
						}
					}
					stats.widest = max(stats.widest, stats.last)
				case *wire.Delta:
					stats.deltas++
					stats.late = max(stats.late, time.Since(time.UnixMicro(m.TX)))
				}
				mu.Unlock()
			}
		}
		lines, all := [2]slowly{}, [2]seen{}
		var done [2]chan struct{}
		clients := [2]*client{s.dial(""), s.dial("")}
		for i, c := range clients {
			done[i] = make(chan struct{})
			c.send(`{"op":"subscribe","channel":"book","symbols":["S*"],"interval":"50ms"}`)
			go read(c, &lines[i], &all[i], done[i])
		}
		run := func(d time.Duration) (stats [2]seen) {
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(step) {
				for i := range symbols {
					s.change(i)
				}
			}
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return all
		}
		stats := run(2 * time.Second)
		if stats[0].widest != 0 || stats[1].widest != 0 {
			t.Errorf("widened to %v and %v on good lines", stats[0].widest, stats[1].widest)
		}
		lines[0].every.Store(int64(50 * time.Microsecond)) // 20 kB/s
		before := stats[1].deltas
		stats = run(30 * time.Second)
		// A round of all symbols, 20 messages of more than 200 bytes, takes 200 ms. What
		// is wider is tried and given up again, so that only this much is sure.
		if stats[0].last < 200*time.Millisecond || stats[0].lag == 0 {
			t.Errorf("on a slow line the interval is %v, the lag %d ms", stats[0].last, stats[0].lag)
		}
		if stats[1].widest != 0 || stats[1].late > 50*time.Millisecond || stats[1].deltas-before < symbols*30*20*9/10 {
			t.Errorf("on the good line: %+v", stats[1])
		}
		lines[0].every.Store(0)
		stats = run(30 * time.Second)
		if stats[0].last != 0 {
			t.Errorf("on a line that is good again the interval is %v", stats[0].last)
		}
		a, b := stats[0].deltas, stats[1].deltas
		stats = run(2 * time.Second)
		if a, b := stats[0].deltas-a, stats[1].deltas-b; a < b*9/10 {
			t.Errorf("%d messages, and %d on the other line", a, b)
		}
		for i, c := range clients {
			_ = c.conn.Close()
			<-done[i]
		}
	})
}

// TestPace: the interval widens only when a write waited, narrows only after several
// that did not, and is always one that is granted.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pace
		calm := 0
		for range rapid.IntRange(1, 200).Draw(t, "writes") {
			before := p.width
			waited := rapid.SampledFrom([]time.Duration{0, time.Millisecond, slowWrite, time.Second, time.Minute}).Draw(t, "waited")
			slow := waited >= slowWrite && int64(waited) >= before/2
			shortest := int64(rapid.SampledFrom(intervals[1:10]).Draw(t, "interval"))
			widened := p.adapt(int64(waited), shortest)
			if calm++; slow {
				calm = 0
			}
			switch {
			case widened != slow, slow && (p.width < before || p.width < 2*shortest && p.width < int64(maxWidth)),
				p.width > before && !slow, p.width < before && calm%calmWrites != 0,
				int64(roundInterval(time.Duration(p.width))) != p.width, p.width > int64(maxWidth):
				t.Fatalf("from %v to %v, slow %v, %d calm", time.Duration(before), time.Duration(p.width), slow, calm)
			}
		}
		for range 10 * calmWrites {
			p.adapt(0, int64(time.Millisecond))
		}
		if p.width != 0 {
			t.Fatalf("%v is left", time.Duration(p.width))
		}
	})
}

// TestBudget: a connection takes no more than its budget, streams get their shares of
// it by weight, prints are not thinned, and what is put off is merged, not old.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const symbols, kbps = 20, 80 // 10 kB/s, a tenth of what would be sent
		s, closeAll := servePipe(t, Config{Heartbeat: time.Hour, ReadTimeout: time.Hour})
		defer closeAll()
		for i := range symbols {
			s.book(fmt.Sprintf("S%03d", i), "kraken", 1000, 12)
		}
		c := s.dial("")
		c.send(`{"op":"budget","id":1,"kbps":%d}`, kbps)
		want[*wire.Ack](c)
		c.send(`{"op":"subscribe","channel":"quote","symbols":["S*"],"interval":"20ms"}`)
		ack := want[*wire.Ack](c)
		heavy := make(map[uint64]bool)
		for _, g := range ack.Streams[:4] {
			heavy[g.SID] = true
		}
		c.send(`{"op":"update","channel":"quote","symbols":["%s","%s","%s","%s"],"weight":10}`,
			ack.Streams[0].Symbol, ack.Streams[1].Symbol, ack.Streams[2].Symbol, ack.Streams[3].Symbol)
		c.send(`{"op":"subscribe","channel":"trade","symbols":["S000"]}`)
		var bytes, counts [2]int // of light and heavy streams
		prints, gaps := 0, 0
		perStream := make(map[uint64]int)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				m, err := c.read()
				if err != nil {
					return
				}
				var sid uint64
				switch m := m.(type) {
				case *wire.Delta:
					sid = m.SID
				case *wire.Snapshot:
					sid = m.SID
				case *wire.Trade:
					prints += len(m.Events)
					continue
				case *wire.Gap:
					gaps++
					continue
				default:
					continue
				}
				k := 0
				if heavy[sid] {
					k = 1
				}
				bytes[k] += len(c.last) + 1
				counts[k]++
				perStream[sid]++
			}
		}()
		run := func(d time.Duration) {
			for i, begin := int64(0), time.Now(); time.Since(begin) < d; i++ {
				for k := range symbols {
					s.apply(s.level(fmt.Sprintf("S%03d", k), "kraken", market.SideBid, 999, 1+i%1000))
				}
				if i%10 == 0 {
					s.apply(s.print("S000", "kraken", 999, 5))
				}
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait()
		}
		run(2 * time.Second)
		bytes, counts, prints = [2]int{}, [2]int{}, 0
		clear(perStream)
		run(20 * time.Second)
		total := bytes[0] + bytes[1] + prints*220
		if limit := 20 * kbps * 1000 / 8; total > limit*11/10 || total < limit*7/10 {
			t.Errorf("%d bytes in 20 s, want about %d", total, limit)
		}
		if ratio := float64(bytes[1]) / 4 / (float64(bytes[0]) / (symbols - 4)); ratio < 6 || ratio > 14 {
			t.Errorf("a stream of weight 10 got %.1f times what one of weight 1 did (%v bytes)", ratio, bytes)
		}
		if len(perStream) != symbols || prints != 200 || gaps > 0 {
			t.Errorf("%d streams came, %d prints of 200, %d gaps", len(perStream), prints, gaps)
		}
		c.send(`{"op":"budget","kbps":0}`)
		synctest.Wait()
		counts = [2]int{}
		run(2 * time.Second)
		if n := counts[0] + counts[1]; n < symbols*2*50*8/10 {
			t.Errorf("%d messages in 2 s without a budget", n)
		}
		_ = c.conn.Close()
		<-done
	})
}
