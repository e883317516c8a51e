package streamer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/bus"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestDelayed: the same stream, served late, and nothing before.
func TestDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := guarded(t, map[string]auth.Plan{
			"now":  {Grants: []auth.Grant{{Symbols: []string{"*"}}}},
			"late": {Grants: []auth.Grant{{Symbols: []string{"*"}, Delay: auth.DefaultDelay}}},
		})
		cfg.Heartbeat = 2 * time.Hour
		s, closeAll := servePipe(t, cfg)
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 1)
		fresh, late := s.dial("?key=now"), s.dial("?key=late")
		const subscribe = `{"op":"subscribe","id":1,"channel":"quote","symbols":["BTC-USD"],"interval":"0"}`
		fresh.send(subscribe)
		want[*wire.Ack](fresh)
		want[*wire.Snapshot](fresh)
		late.send(subscribe)
		if ack := want[*wire.Ack](late); ack.Streams[0].Delay != "15m" || ack.Streams[0].PriceDecimals != nil {
			t.Errorf("granted %s", late.last)
		}
		if m := want[*wire.Snapshot](late); m.Bid.Value != "" || m.Seq != 0 {
			t.Errorf("a delayed client begins with %s", late.last)
		}
		begin := time.Now()
		var deltas []*wire.Delta
		for i := range 50 {
			time.Sleep(time.Second)
			s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, int64(100+i)))
			deltas = append(deltas, want[*wire.Delta](fresh))
		}
		if status, body := s.page("/v1/snapshot/quote/BTC-USD", "late"); status != 200 || decode[wire.Snapshot](t, body).Seq != 0 {
			t.Errorf("a page is early: %s", body)
		}
		// Its beginning, exactly so late.
		time.Sleep(auth.DefaultDelay - time.Since(begin) - time.Nanosecond)
		synctest.Wait()
		if status, body := s.page("/v1/symbols", "late"); status != 200 || decode[struct{ Symbols []SymbolInfo }](t, body).Symbols[0].State != "none" {
			t.Errorf("a page is early: %s", body)
		}
		time.Sleep(time.Nanosecond)
		m := want[*wire.Snapshot](late)
		if m.Bid.Value != "99.9" || m.Seq != 1 {
			t.Errorf("it begins with %s", late.last)
		}
		for i, d := range deltas {
			got := want[*wire.Delta](late)
			if got.Seq != d.Seq || got.BidSize.Value != d.BidSize.Value || got.RX != d.RX || got.N != 1 || got.Prev != d.Prev {
				t.Fatalf("message %d is %+v, in real time it was %+v", i, got, d)
			}
			if lag := time.Duration(got.TX-d.TX) * time.Microsecond; lag != auth.DefaultDelay {
				t.Fatalf("message %d is %s late", i, lag)
			}
		}
		if _, body := s.page("/v1/symbols", "late"); decode[struct{ Symbols []SymbolInfo }](t, body).Symbols[0].PriceDecimals != 1 {
			t.Errorf("symbols are %s", body)
		}
	})
}

// TestDelayLine: what goes in comes out in order, when it is old enough, whatever
// its times say; a venue's clock that is ahead holds back, a wrong one only so long.
func TestDelayLine(t *testing.T) {
	dir := newTestDirectory(t)
	const delay = 10 * time.Second
	d, err := newDelayLine(delay, 1<<30, bus.NewCodec(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	rnd := rand.New(rand.NewPCG(1, 2))
	now := int64(1e18)
	put, took, last := 0, 0, int64(0)
	ready := map[int]int64{}
	var u orderbook.Update
	for range 200_000 {
		now += rnd.Int64N(int64(10 * time.Millisecond))
		if rnd.IntN(2) == 0 {
			skew := rnd.Int64N(int64(time.Second)) - int64(time.Second)/2
			if put%20_000 == 19_999 {
				skew = int64(time.Hour)
			}
			in := orderbook.Update{Instrument: 1, Epoch: 1, Seq: uint64(put + 1), Received: now, Time: now + skew}
			last = max(last, now+max(0, min(skew, maxSkew))+int64(delay))
			ready[put] = last
			put++
			if !d.put(&in, now) {
				t.Fatal("does not fit")
			}
			continue
		}
		for {
			ok, err := d.take(&u, now)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if int(u.Seq) != took+1 || u.Instrument != 1 {
				t.Fatalf("took %d after %d", u.Seq, took)
			}
			if ready[took] > now {
				t.Fatalf("%d was taken %s early", took, time.Duration(ready[took]-now))
			}
			took++
		}
		if at, ok := d.due(); ok != (took < put) || ok && at != ready[took] {
			t.Fatalf("due at %d, %v, want %d", at, ok, ready[took])
		}
	}
	if took < put/2 || d.count != put-took {
		t.Errorf("%d of %d were taken, %d wait", took, put, d.count)
	}
	if perUpdate := float64(d.bytes) / float64(d.count); perUpdate > 40 {
		t.Errorf("%.0f B an update", perUpdate)
	}
}

// TestDelayIsFull: what has no room is made up for by the state, and counted; a
// stream of prints tells what is missing.
func TestDelayIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 10 * time.Second
		cfg, _ := guarded(t, map[string]auth.Plan{"late": {Grants: []auth.Grant{{Symbols: []string{"*"}, Delay: delay}}}})
		cfg.DelayBytes = 1
		s, closeAll := servePipe(t, cfg)
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 1)
		c := s.dial("?key=late")
		c.send(`{"op":"subscribe","channel":"quote","symbols":["BTC-USD"],"interval":"0"}`)
		want[*wire.Ack](c)
		want[*wire.Snapshot](c)
		_ = c.conn.SetReadDeadline(time.Time{})
		done := make(chan string)
		go func() {
			var last string
			for {
				_, b, err := c.conn.ReadMessage()
				if err != nil {
					done <- last
					return
				}
				lines := strings.Split(string(b), "\n")
				m, err := wire.Parse([]byte(lines[len(lines)-1]))
				if err != nil {
					done <- err.Error()
					return
				}
				switch m := m.(type) {
				case *wire.Snapshot:
					last = m.BidSize.Value
				case *wire.Delta:
					if m.BidSize.Set {
						last = m.BidSize.Value
					}
				}
			}
		}()
		const n = 20_000
		for i := range n {
			s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, int64(100+i)))
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		time.Sleep(3 * delay)
		synctest.Wait()
		_, body := s.page("/v1/snapshot/quote/BTC-USD", "late")
		if got := decode[struct {
			Size string `json:"bid_size"`
		}](t, body).Size; got != fmt.Sprint(100+n-1) {
			t.Errorf("the state is %s", body)
		}
		if dropped := counterValue(t, s.hub.metrics.delayDropped); dropped == 0 || dropped > n {
			t.Errorf("%v were dropped", dropped)
		}
		_ = c.conn.Close()
		if last := <-done; last != fmt.Sprint(100+n-1) {
			t.Errorf("the client's last size is %s", last)
		}
	})
}

func BenchmarkDelayLine(b *testing.B) {
	dir := newTestDirectory(b)
	if _, err := dir.Venue("kraken"); err != nil {
		b.Fatal(err)
	}
	d, err := newDelayLine(time.Second, 1<<40, bus.NewCodec(dir))
	if err != nil {
		b.Fatal(err)
	}
	defer d.close()
	u := orderbook.Update{Instrument: 1, Epoch: 1, Changed: orderbook.ChangedLevels | orderbook.ChangedQuote,
		Levels: []orderbook.LevelChange{{Venue: 1, Side: market.SideBid, Level: orderbook.Level{Price: 6421010, Size: 52000000}}}}
	u.Quote = orderbook.Quote{Source: orderbook.SourceConsolidated, BidVenues: []orderbook.VenueSize{{Venue: 1, Size: 5}}, AskVenues: []orderbook.VenueSize{{Venue: 1, Size: 5}}}
	u.Ticker = orderbook.Ticker{HasLast: true, Last: 6421010, Volume: 123456789012, Trades: 12345}
	var out orderbook.Update
	b.ReportAllocs()
	var bytes, n int64
	for b.Loop() {
		u.Seq++
		u.Received += 1_000_000
		u.Levels[0].Price += market.Price(u.Seq%7) - 3
		u.Quote.Bid, u.Quote.BidSize = u.Levels[0].Price, market.Size(u.Seq*7919%1000)
		d.put(&u, u.Received)
		if ok, err := d.take(&out, u.Received); err != nil {
			b.Fatal(err)
		} else if ok {
			n++
		}
		bytes = max(bytes, d.bytes)
	}
	if d.count > 0 {
		b.ReportMetric(float64(bytes)/float64(d.count), "B/update")
	}
}
