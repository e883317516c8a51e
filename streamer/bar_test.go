package streamer

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// barClock is when the tests of bars take place.
var barClock = time.Date(2026, 1, 8, 15, 0, 0, 0, time.UTC)

// at returns an event at a number of milliseconds of the test's time.
func at(e market.Event, ms int64) market.Event {
	e.Received = barClock.Add(time.Duration(ms) * time.Millisecond).UnixNano()
	e.Time = e.Received
	return e
}

func withID(e market.Event, id string) market.Event {
	e.ID, _ = market.MakeTradeID(id)
	e.Flags |= market.FlagCorrectable
	return e
}

// beat moves the clock of all shards.
func (s *server) beat(ms int64) {
	for i, shard := range s.shards {
		shard.Apply([]market.Event{at(market.Event{Kind: market.KindHeartbeat}, ms)})
		s.sinks[i].Flush()
	}
}

// barText renders a bar with the ms from the test's time.
func barText(b *wire.Bar) string {
	start := time.UnixMicro(b.Start).Sub(barClock).Milliseconds()
	return fmt.Sprintf("%s %d %s %d: %s %s %s %s x %s = %s in %d", b.Bar, start, b.State, b.Rev, b.Open, b.High, b.Low, b.Close, b.Volume, b.VWAP, b.Trades)
}

// TestBarsOverASocket: a bar is provisional while prints come, final at the
// watermark, and revised when a late print, a correction or a cancel changes it; an
// interval without prints is an explicit empty bar; and the watermark comes after
// all that it covers.
func TestBarsOverASocket(t *testing.T) {
	s := serve(t, Config{Lanes: 2})
	c := s.dial("")
	s.symbol("BTC-USD")
	s.apply(at(s.print("ETH-USD", "kraken", 50, 1), 0))
	s.apply(withID(at(s.print("BTC-USD", "kraken", 1000, 2), 100), "1"))
	s.applied()
	c.send(`{"op":"subscribe","id":1,"channel":"bar","symbols":["BTC-USD"],"bar":"1s"}`)
	ack := want[*wire.Ack](c)
	if g := ack.Streams[0]; g.Bar != "1s" || g.Interval != "0" || g.Channel != wire.ChannelBar {
		t.Fatalf("granted %+v", g)
	}
	seq := uint64(0)
	bar := func(text string) {
		t.Helper()
		m := want[*wire.Bar](c)
		if got := barText(m); got != text || m.Symbol != "BTC-USD" || m.Prev != seq || m.Seq <= seq {
			t.Fatalf("got %s after %d\n%s, want\n%s", c.last, seq, got, text)
		}
		seq = m.Seq
	}
	watermark := func(bar string, ms int64) {
		t.Helper()
		if m := want[*wire.Watermark](c); m.Bar != bar || m.Until != barClock.Add(time.Duration(ms)*time.Millisecond).UnixMicro() {
			t.Fatalf("got %s, want watermark at %d", c.last, ms)
		}
	}
	snap := want[*wire.Snapshot](c)
	if snap.Bar == nil || barText(snap.Bar) != "1s 0 provisional 0: 100 100 100 100 x 2 = 100 in 1" {
		t.Fatalf("snapshot %s", c.last)
	}
	seq = snap.Seq
	watermark("1s", -2000) // of the first prints; two seconds are waited for late ones
	s.apply(withID(at(s.print("BTC-USD", "kraken", 1020, 2), 900), "2"))
	bar("1s 0 provisional 0: 100 102 100 102 x 4 = 101 in 2")
	s.apply(withID(at(s.print("BTC-USD", "kraken", 1030, 1), 1500), "3"))
	bar("1s 1000 provisional 0: 103 103 103 103 x 1 = 103 in 1")
	s.beat(1500) // of the other lane too: the slowest counts
	watermark("1s", -1000)
	late := at(s.print("BTC-USD", "kraken", 990, 1), 1900)
	late.Time = barClock.Add(950 * time.Millisecond).UnixNano()
	s.apply(withID(late, "4")) // still in time
	bar("1s 0 provisional 0: 100 102 99 99 x 5 = 100.6 in 3")
	s.beat(5000) // of all lanes: two more bars are over, one of them empty
	bar("1s 0 final 0: 100 102 99 99 x 5 = 100.6 in 3")
	bar("1s 1000 final 0: 103 103 103 103 x 1 = 103 in 1")
	bar("1s 2000 final 0:     x 0 =  in 0")
	watermark("1s", 3000)
	late = at(s.print("BTC-USD", "kraken", 1040, 1), 5100)
	late.Time = barClock.Add(2500 * time.Millisecond).UnixNano()
	s.apply(withID(late, "5"))
	bar("1s 2000 revised 1: 104 104 104 104 x 1 = 104 in 1")
	cancel := withID(at(s.print("BTC-USD", "kraken", 1020, 2), 5200), "2")
	cancel.Kind = market.KindCancel
	s.apply(cancel)
	bar("1s 0 revised 1: 100 100 99 99 x 3 = 99.67 in 2")
	correction := withID(at(s.print("BTC-USD", "kraken", 1010, 4), 5300), "1")
	correction.Kind, correction.TradeSequence, correction.Ask, correction.AskSize = market.KindCorrection, 7, 1000, 2
	s.apply(correction)
	bar("1s 0 revised 2: 101 101 99 99 x 5 = 100.6 in 2")
	s.beat(6000)
	bar("1s 3000 final 0:     x 0 =  in 0")
	watermark("1s", 4000)

	// Another interval on the same connection has its own watermarks.
	c.send(`{"op":"subscribe","id":2,"channel":"bar","symbols":["BTC-USD"]}`)
	if g := want[*wire.Ack](c).Streams[0]; g.Bar != "1m" {
		t.Fatalf("granted %+v", g)
	}
	if m := want[*wire.Snapshot](c); m.Bar == nil || barText(m.Bar) != "1m 0 provisional 0: 101 104 99 104 x 7 = 101.43 in 4" {
		t.Fatalf("snapshot %s", c.last)
	}
	watermark("1m", 0)
	c.send(`{"op":"unsubscribe","id":3,"channel":"bar","bar":"1s","symbols":["*"]}`)
	if n := len(want[*wire.Ack](c).Streams); n != 1 {
		t.Fatalf("%d streams ended, want 1", n)
	}
	s.beat(62_000)
	if m := want[*wire.Bar](c); barText(m) != "1m 0 final 0: 101 104 99 104 x 7 = 101.43 in 4" {
		t.Fatalf("got %s", c.last)
	}
	watermark("1m", 60_000)

	// The same as a page.
	status, _, body := s.get("/v1/snapshot/bar/BTC-USD?bar=1m")
	m, err := wire.Parse([]byte(body))
	if snap, ok := m.(*wire.Snapshot); err != nil || !ok || status != http.StatusOK || barText(snap.Bar) != "1m 0 final 0: 101 104 99 104 x 7 = 101.43 in 4" {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := s.get("/v1/snapshot/bar/BTC-USD?bar=2m"); status != http.StatusBadRequest {
		t.Errorf("%d %s", status, body)
	}
}

// TestPausedBarsHoldNoWatermark: a stream of bars that begins paused gets nothing and
// keeps no watermark from the others; when it goes on it begins as any.
func TestPausedBarsHoldNoWatermark(t *testing.T) {
	s := serve(t, Config{})
	s.apply(at(s.print("BTC-USD", "kraken", 1000, 2), 100))
	s.apply(at(s.print("ETH-USD", "kraken", 50, 1), 100))
	s.applied()
	c := s.dial("")
	c.send(`{"op":"subscribe","id":1,"channel":"bar","symbols":["BTC-USD"],"bar":"1s","paused":true}`)
	ack := want[*wire.Ack](c)
	if !ack.Streams[0].Paused {
		t.Fatalf("granted %+v", ack.Streams[0])
	}
	want[*wire.Watermark](c)
	c.send(`{"op":"subscribe","id":2,"channel":"bar","symbols":["ETH-USD"],"bar":"1s"}`)
	if g := want[*wire.Ack](c).Streams[0]; g.Paused {
		t.Fatalf("granted %+v", g)
	}
	want[*wire.Snapshot](c)
	s.beat(4000)
	for range 2 {
		if b := want[*wire.Bar](c); b.Symbol != "ETH-USD" || b.State != "final" {
			t.Fatalf("got %s", c.last)
		}
	}
	want[*wire.Watermark](c)
	c.send(`{"op":"update","id":3,"sid":%d,"paused":false}`, ack.Streams[0].SID)
	if g := want[*wire.Ack](c).Streams[0]; g.Paused {
		t.Fatalf("granted %+v", g)
	}
	if m := want[*wire.Snapshot](c); m.Symbol != "BTC-USD" || m.Bar == nil || m.Bar.State != "final" {
		t.Fatalf("got %s", c.last)
	}
}

// TestBarsBeginWithTheLatest: a stream that begins while several bars are not over yet
// knows the latest alone. What changes one before it is not to make those between them
// seem to have been empty.
func TestBarsBeginWithTheLatest(t *testing.T) {
	for _, x := range []struct {
		name string
		time int64    // of a late print
		want []string // between the snapshot and the beat
	}{
		{"in a bar that is over", -500, []string{"1s -1000 revised 1: 99 99 99 99 x 1 = 99 in 1"}},
		{"in a bar that is not", 500, nil},
		{"in the latest", 2500, []string{"1s 2000 provisional 0: 102 102 99 99 x 2 = 100.5 in 2"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := serve(t, Config{Lanes: 1})
			for _, ms := range []int64{0, 1} { // one second after the other
				s.apply(at(s.print("BTC-USD", "kraken", 1000+10*ms, 1), 1000*ms+100))
			}
			s.apply(at(s.print("BTC-USD", "kraken", 1020, 1), 2100))
			s.applied()
			c := s.dial("")
			c.send(`{"op":"subscribe","id":1,"channel":"bar","symbols":["BTC-USD"],"bar":"1s"}`)
			want[*wire.Ack](c)
			if m := want[*wire.Snapshot](c); barText(m.Bar) != "1s 2000 provisional 0: 102 102 102 102 x 1 = 102 in 1" {
				t.Fatalf("snapshot %s", c.last)
			}
			want[*wire.Watermark](c)
			late := at(s.print("BTC-USD", "kraken", 990, 1), 2600)
			late.Time = barClock.Add(time.Duration(x.time) * time.Millisecond).UnixNano()
			s.apply(late)
			for _, text := range x.want {
				if m := want[*wire.Bar](c); barText(m) != text {
					t.Fatalf("got %s, want %s", c.last, text)
				}
			}
			s.beat(6000)
			for _, text := range []string{"1s 2000 final 0: 102", "1s 3000 final 0:     x 0"} {
				if m := want[*wire.Bar](c); !strings.HasPrefix(barText(m), text) {
					t.Fatalf("got %s, want %s", c.last, text)
				}
			}
			want[*wire.Watermark](c)
		})
	}
}

// barReader is a client that holds what it is sent against the rules of a bar's life
// and the watermark.
type barReader struct {
	*client
	symbol map[uint64]string // by sid
	epoch  map[uint64]string
	seq    map[uint64]uint64
	bars   map[string]map[int64]wire.Bar // by symbol and interval, by start
	end    map[string]int64              // of the latest bar that was final, without a gap
	until  map[string]int64              // watermarks, by interval
	texts  map[string]string             // the last message of each bar
}

func (r *barReader) fail(format string, args ...any) {
	r.t.Fatalf("%s\n"+format, append([]any{r.last}, args...)...)
}

// take checks one message.
func (r *barReader) take(m wire.Message) {
	switch m := m.(type) {
	case *wire.Snapshot:
		// The first update of an instrument begins its epoch, and may come after the
		// stream has begun.
		if epoch, known := r.epoch[m.SID]; known && (epoch == m.Epoch || m.Epoch == "0") {
			r.fail("a second snapshot in epoch %s", epoch)
		}
		r.epoch[m.SID] = m.Epoch
		r.seq[m.SID] = m.Seq
		r.symbol[m.SID] = m.Symbol
		if m.Bar != nil {
			r.bar(m.Symbol, m.Bar, true)
		}
	case *wire.Bar:
		if m.Prev != r.seq[m.SID] || m.Seq <= m.Prev || m.Symbol != r.symbol[m.SID] {
			r.fail("does not follow %d of %s", r.seq[m.SID], r.symbol[m.SID])
		}
		r.seq[m.SID] = m.Seq
		r.bar(m.Symbol, m, false)
	case *wire.Watermark:
		if m.Until <= r.until[m.Bar] {
			r.fail("watermark went back from %d", r.until[m.Bar])
		}
		r.until[m.Bar] = m.Until
		for _, symbol := range r.symbol {
			key := symbol + " " + m.Bar
			for start, b := range r.bars[key] {
				if start+barLength(m.Bar) <= m.Until && b.State == "provisional" {
					r.fail("%s of %d is still provisional", key, start)
				}
			}
			if end, begun := r.end[key]; begun && end < m.Until/barLength(m.Bar)*barLength(m.Bar) {
				r.fail("%s is final up to %d alone", key, end)
			}
		}
	}
}

func barLength(bar string) int64 {
	return map[string]int64{"1s": 1e6, "1m": 60e6}[bar]
}

func (r *barReader) bar(symbol string, b *wire.Bar, snapshot bool) {
	key := symbol + " " + b.Bar
	if r.bars[key] == nil {
		r.bars[key] = make(map[int64]wire.Bar)
	}
	was, known := r.bars[key][b.Start]
	r.bars[key][b.Start] = *b
	end := b.Start + barLength(b.Bar)
	switch {
	case b.State == "provisional" && (b.Rev != 0 || known && was.State != "provisional"):
		r.fail("was %s", was.State)
	case b.State == "provisional" && end <= r.until[b.Bar]:
		r.fail("after the watermark %d", r.until[b.Bar])
	case b.State == "final" && (b.Rev != 0 || known && was.State != "provisional" && !snapshot):
		r.fail("was %s", was.State)
	case b.State == "final" && end <= r.until[b.Bar] && !snapshot:
		r.fail("after the watermark %d", r.until[b.Bar])
	case b.State == "revised" && (b.Rev == 0 || known && was.Rev != b.Rev-1):
		r.fail("was revision %d", was.Rev)
	}
	if b.State == "final" {
		if last, begun := r.end[key]; begun && last != b.Start && !snapshot {
			r.fail("the bar before ended at %d", last)
		}
		r.end[key] = end
	}
	r.texts[fmt.Sprint(key, " ", b.Start)] = fmt.Sprint(b.Open, b.High, b.Low, b.Close, b.Volume, b.VWAP, b.Trades)
}

// TestWatermarkIsNeverBroken: over several lanes, streams and clients, each bar goes
// through its life in order, none is left out, and when a watermark comes, all that
// it covers has come. What clients hold in the end is what the books hold.
func TestWatermarkIsNeverBroken(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 3))
		s := serve(t, Config{Lanes: 3, LogFrames: 4096})
		symbols := []string{"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD"}
		var readers []*barReader
		done := make(chan struct{})
		ms, prints := int64(0), 0
		step := func() {
			ms += rng.Int64N(700)
			if rng.IntN(20) == 0 {
				ms += rng.Int64N(70_000)
			}
			if rng.IntN(4) == 0 {
				s.beat(ms)
				return
			}
			prints++
			e := withID(at(s.print(symbols[rng.IntN(len(symbols))], "kraken", 900+rng.Int64N(200), 1+rng.Int64N(9)), ms), fmt.Sprint(prints))
			switch rng.IntN(12) {
			case 0:
				e.Time -= rng.Int64N(int64(5 * time.Second))
			case 1:
				e.Kind = market.KindCancel
				e.ID, _ = market.MakeTradeID(fmt.Sprint(1 + rng.IntN(prints)))
			}
			s.apply(e)
		}
		for range 20 {
			step()
		}
		s.applied()
		for i := range 3 {
			r := &barReader{client: s.dial(""), symbol: map[uint64]string{}, epoch: map[uint64]string{}, seq: map[uint64]uint64{}, bars: map[string]map[int64]wire.Bar{},
				end: map[string]int64{}, until: map[string]int64{}, texts: map[string]string{}}
			readers = append(readers, r)
			interval := []string{"0", "100ms", "1s"}[i]
			r.send(`{"op":"subscribe","id":1,"channel":"bar","symbols":["*"],"bar":"1s","interval":%q}`, interval)
			r.send(`{"op":"subscribe","id":2,"channel":"bar","symbols":["*"],"bar":"1m","interval":%q}`, interval)
		}
		go func() {
			defer close(done)
			for range 400 {
				step()
			}
			ms += 200_000
			s.beat(ms)
		}()
		// The end: all that the last beat made final has come.
		for _, r := range readers {
			<-done
			_ = r.conn.SetReadDeadline(time.Now().Add(time.Minute))
			last := barClock.Add(time.Duration(ms)*time.Millisecond - 2*time.Second).UnixMicro()
			for r.until["1s"] < last/1e6*1e6 || r.until["1m"] < last/60e6*60e6 {
				_, frame, err := r.conn.ReadMessage()
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				for _, text := range strings.Split(string(frame), "\n") {
					r.last = text
					m, err := wire.Parse([]byte(text))
					if err != nil {
						t.Fatalf("seed %d: %v in %s", seed, err, text)
					}
					r.take(m)
				}
			}
		}
		for _, r := range readers[1:] {
			for key, text := range readers[0].texts {
				if other, known := r.texts[key]; known && other != text {
					t.Fatalf("seed %d: bar %s is %s and %s", seed, key, text, other)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}
