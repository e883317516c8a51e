package streamer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestConflationTiming: the first change after a quiet time goes out at once, then
// there is at most one message in an interval, and the last change is not lost.
func TestConflationTiming(t *testing.T) {
	for _, interval := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, closeAll := servePipe(t, Config{Heartbeat: time.Hour})
				defer closeAll()
				s.book("BTC-USD", "kraken", 1000, 2)
				c := s.dial("?channel=quote&symbols=BTC-USD&interval=" + interval.String())
				want[*wire.Ack](c)
				want[*wire.Snapshot](c)
				type message struct {
					at time.Time
					n  uint64
					d  *wire.Delta
				}
				got := make(chan message, 1000)
				go func() {
					defer close(got)
					for {
						m, err := c.read()
						if err != nil {
							return
						}
						d, ok := m.(*wire.Delta)
						if !ok {
							continue // the server's last words
						}
						got <- message{time.Now(), d.N, d}
					}
				}()
				size := int64(100)
				change := func() {
					size++
					s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, size))
					synctest.Wait()
				}
				for burst := range 3 {
					time.Sleep(2 * interval)
					begin := time.Now()
					changes := uint64(0)
					for time.Since(begin) < 8*interval {
						change()
						changes++
						if changes == 1 && len(got) != 1 {
							t.Fatalf("burst %d: the first change made %d messages at once", burst, len(got))
						}
						time.Sleep(interval / 7)
					}
					time.Sleep(interval)
					synctest.Wait()
					var before, last message
					sum, count := uint64(0), 0
					for len(got) > 0 {
						before, last = last, <-got
						sum += last.n
						if count++; count > 1 {
							if gap := last.at.Sub(before.at); gap < interval {
								t.Errorf("burst %d: %v after %v", burst, last.at.Sub(begin), before.at.Sub(begin))
							} else if gap > interval+interval/4 {
								t.Errorf("burst %d: %v passed between messages", burst, gap)
							} else if count > 5 && gap != interval {
								t.Errorf("burst %d: %v passed between messages, though the phase has been reached", burst, gap)
							}
						}
					}
					if sum != changes || last.d.BidSize.Value != itoa(size) || count < 8 || count > 10 {
						t.Errorf("burst %d: %d messages stand for %d of %d changes, the last with size %s of %d", burst, count, sum, changes,
							last.d.BidSize.Value, size)
					}
				}
			})
		})
	}
}

// TestEachIntervalItsOwn: streams of one instrument at different intervals share
// nothing but the state, and a slow interval does not hold up a fast one.
func TestEachIntervalItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{Heartbeat: time.Hour})
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 2)
		c := s.dial("")
		names := make(map[uint64]string)
		counts := make(map[string]int)
		for _, interval := range []string{"1s", "0", "100ms", "7ms"} {
			c.send(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":%q}`, interval)
			g := want[*wire.Ack](c).Streams[0]
			names[g.SID] = g.Interval
			want[*wire.Snapshot](c)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				m, err := c.read()
				if err != nil {
					return
				}
				if d, ok := m.(*wire.Delta); ok {
					counts[names[d.SID]]++
				}
			}
		}()
		for i := range int64(100) {
			s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 1000+i))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		_ = c.conn.Close()
		<-done
		// What is asked for is rounded up to what is granted.
		want := map[string]int{"0": 100, "10ms": 100, "100ms": 11, "1s": 2}
		for interval, n := range want {
			if counts[interval] != n {
				t.Errorf("%d messages at %s, want %d", counts[interval], interval, n)
			}
		}
	})
}

func itoa(n int64) string { return string(market.AppendNumber(nil, n, 0)) }

// TestTicksSpread: streams of many symbols that begin in the same moment and change
// all the time soon go out evenly over the interval, the same way every time.
func TestTicksSpread(t *testing.T) {
	const symbols, interval = 1000, int64(250 * time.Millisecond)
	f := newFeed(t)
	sim := func() (parts [10]int) {
		topics := make([]*topic, symbols)
		for i := range topics {
			topics[i] = &topic{key: topicKey{interval: time.Duration(interval)}, sent: f.now,
				phase: phaseOf(fmt.Sprintf("S%d-USD", i), time.Duration(interval))}
		}
		for _, x := range topics {
			for range 8 { // a message each time that it may be
				at := x.tick(x.sent + interval)
				if gap := at - x.sent; gap < interval || gap > interval+interval/4 {
					t.Fatalf("%d ns between messages", gap)
				}
				x.sent = at
			}
			parts[x.sent%interval*10/interval]++
		}
		return parts
	}
	first := sim()
	for i, n := range first {
		if n < symbols/10/2 || n > symbols/10*3/2 {
			t.Errorf("%d messages in part %d of the interval: %v", n, i, first)
		}
	}
	if second := sim(); second != first {
		t.Errorf("%v, then %v", first, second)
	}
}
