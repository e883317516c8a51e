package client

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// modelBook is a server's book in the plainest way: maps of decimals.
type modelBook struct {
	depth      int
	bids, asks map[string]string
	seq        uint64
	epoch      string
}

func newModelBook(depth int) *modelBook {
	return &modelBook{depth: depth, bids: map[string]string{}, asks: map[string]string{}, seq: 1, epoch: "e1"}
}

func modelSide(m map[string]string, depth int, descending bool) []wire.PriceLevel {
	var out []wire.PriceLevel
	for p, s := range m {
		out = append(out, wire.PriceLevel{Price: p, Size: s})
	}
	slices.SortFunc(out, func(a, b wire.PriceLevel) int {
		c := decimal.RequireFromString(a.Price).Cmp(decimal.RequireFromString(b.Price))
		if descending {
			return -c
		}
		return c
	})
	if depth > 0 && len(out) > depth {
		out = out[:depth]
	}
	return out
}

func (b *modelBook) top() (bids, asks []wire.PriceLevel) {
	return modelSide(b.bids, b.depth, true), modelSide(b.asks, b.depth, false)
}

func (b *modelBook) snapshot() *wire.Snapshot {
	m := &wire.Snapshot{}
	m.SID, m.Channel, m.Symbol, m.Epoch, m.Seq = 12, wire.ChannelBook, "BTC-USD", b.epoch, b.seq
	m.Bids, m.Asks = b.top()
	crc := wire.TextCRC(m.Bids, m.Asks)
	m.CRC = &crc
	return m
}

// change sets levels and returns the delta that a streamer would send: what
// changed within the depth, and what was removed from it.
func (b *modelBook) change(f func(bids, asks map[string]string)) *wire.Delta {
	oldBids, oldAsks := b.top()
	f(b.bids, b.asks)
	d := &wire.Delta{}
	d.SID, d.Prev, d.N = 12, b.seq, 1
	b.seq += 2
	d.Seq = b.seq
	newBids, newAsks := b.top()
	d.Bids, d.Asks = diff(oldBids, newBids, b.bids), diff(oldAsks, newAsks, b.asks)
	crc := wire.TextCRC(newBids, newAsks)
	d.CRC = &crc
	return d
}

func diff(before, after []wire.PriceLevel, all map[string]string) []wire.PriceLevel {
	var out []wire.PriceLevel
	was := map[string]string{}
	for _, l := range before {
		was[l.Price] = l.Size
		if _, still := all[l.Price]; !still {
			out = append(out, wire.PriceLevel{Price: l.Price, Size: "0"})
		}
	}
	for _, l := range after {
		if was[l.Price] != l.Size {
			out = append(out, l)
		}
	}
	return out
}

func sameLevels(got []Level, want []wire.PriceLevel) bool {
	return slices.EqualFunc(got, want, func(a Level, b wire.PriceLevel) bool {
		return a.Price.String() == b.Price && a.Size.String() == b.Size
	})
}

// TestBookEqualsModel: after any mix of snapshots and deltas, some lost, some
// twice, a book that is trusted is the server's at its position, and it is never
// trusted after a loss that it did not notice.
func TestBookEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		depth := rapid.SampledFrom([]int{0, 1, 3, 10}).Draw(t, "depth")
		model := newModelBook(depth)
		book := NewBook(depth)
		price := rapid.Custom(func(t *rapid.T) string {
			return market.Format(rapid.Int64Range(-30, 200).Draw(t, "m"), market.Decimals(rapid.IntRange(0, 3).Draw(t, "d")))
		})
		size := rapid.Custom(func(t *rapid.T) string {
			return market.Format(rapid.Int64Range(1, 1e10).Draw(t, "m"), market.Decimals(rapid.IntRange(0, 8).Draw(t, "d")))
		})
		if err := book.Apply(model.snapshot()); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			d := model.change(func(bids, asks map[string]string) {
				for range rapid.IntRange(0, 4).Draw(t, "levels") {
					side := bids
					if rapid.Bool().Draw(t, "ask") {
						side = asks
					}
					p := price.Draw(t, "price")
					if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
						for _, q := range slices.Sorted(mapKeys(side)) {
							p = q
							break
						}
						delete(side, p)
					} else {
						side[p] = size.Draw(t, "size")
					}
				}
			})
			times := rapid.SampledFrom([]int{1, 1, 1, 0, 2}).Draw(t, "times")
			had := book.Position().Seq
			for i := range times {
				err := book.Apply(d)
				lost := had != d.Prev
				if ok := i == 0 && !lost; (err == nil) != ok {
					t.Fatalf("delta %d→%d on %d, time %d: %v", d.Prev, d.Seq, had, i, err)
				}
				if err != nil {
					if book.Trusted() {
						t.Fatal("trusted after an error")
					}
					if err := book.Apply(model.snapshot()); err != nil {
						t.Fatal(err)
					}
					break
				}
			}
			if book.Position().Seq != model.seq {
				continue // a delta was lost; the next one shows
			}
			bids, asks := book.Levels(0)
			wantBids, wantAsks := model.top()
			if !sameLevels(bids, wantBids) || !sameLevels(asks, wantAsks) || !book.Trusted() {
				t.Fatalf("at %d:\n got %v %v\nwant %v %v", model.seq, bids, asks, wantBids, wantAsks)
			}
		}
	})
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestBookErrors(t *testing.T) {
	model := newModelBook(0)
	model.bids["1.5"], model.asks["2"] = "1", "1"
	var sequence *SequenceError
	var checksum *ChecksumError
	wrong := uint32(1)
	cases := []struct {
		name  string
		delta func(d *wire.Delta)
		want  func(err error) bool
	}{
		{"prev", func(d *wire.Delta) { d.Prev-- }, func(err error) bool { return errors.As(err, &sequence) && sequence.Have == 1 }},
		{"seq does not grow", func(d *wire.Delta) { d.Seq = d.Prev }, func(err error) bool { return errors.As(err, &sequence) }},
		{"crc", func(d *wire.Delta) { d.CRC = &wrong }, func(err error) bool { return errors.As(err, &checksum) && checksum.Want == 1 }},
		{"no number", func(d *wire.Delta) { d.Bids = []wire.PriceLevel{{Price: "x", Size: "1"}} }, func(err error) bool { return errors.Is(err, market.ErrSyntax) }},
		{"negative size", func(d *wire.Delta) { d.Bids = []wire.PriceLevel{{Price: "1", Size: "-1"}} }, func(err error) bool { return errors.Is(err, market.ErrRange) }},
		{"does not fit", func(d *wire.Delta) {
			d.Bids = []wire.PriceLevel{{Price: "9000000000000000000", Size: "1"}, {Price: "0.1", Size: "1"}}
		}, func(err error) bool { return errors.Is(err, market.ErrRange) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := NewBook(0)
			m := *model
			m.bids, m.asks = map[string]string{"1.5": "1"}, map[string]string{"2": "1"}
			if err := b.Apply(&wire.Delta{}); !errors.Is(err, ErrNoSnapshot) {
				t.Fatalf("delta first: %v", err)
			}
			if err := b.Apply(m.snapshot()); err != nil {
				t.Fatal(err)
			}
			d := m.change(func(bids, _ map[string]string) { bids["1.6"] = "2" })
			c.delta(d)
			if err := b.Apply(d); !c.want(err) || b.Trusted() {
				t.Fatalf("Apply: %v, trusted %v", err, b.Trusted())
			}
			if err := b.Apply(m.change(func(_, _ map[string]string) {})); !errors.Is(err, ErrNoSnapshot) {
				t.Fatalf("delta after an error: %v", err)
			}
			if err := b.Apply(m.snapshot()); err != nil || !b.Trusted() {
				t.Fatalf("snapshot after an error: %v", err)
			}
		})
	}
	if err := NewBook(0).Apply(&wire.Heartbeat{}); err == nil {
		t.Error("a heartbeat was applied to a book")
	}
}

// TestBookCRCVectors holds the book against the checksums that were made by hand.
func TestBookCRCVectors(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "testdata", "wire", "crc.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name       string
		Bids, Asks []wire.PriceLevel
		CRC        uint32
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		m := &wire.Snapshot{}
		// The order of levels in a message does not matter.
		slices.Reverse(c.Bids)
		m.Bids, m.Asks, m.CRC = c.Bids, c.Asks, &c.CRC
		if err := new(Book).Apply(m); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for _, s := range []string{"", ".", "-", "1e5", "1e999999999", "+1", "1-2", "0x1", "NaN", " 1", strings.Repeat("1", 65)} {
		if d, err := parseDecimal(s); err == nil {
			t.Errorf("parseDecimal(%q) = %v, want an error", s, d)
		}
	}
	for _, s := range []string{"0", "-0.5", "64210.1", "0.00000001", strings.Repeat("9", 64)} {
		if d, err := parseDecimal(s); err != nil || d.String() != s {
			t.Errorf("parseDecimal(%q) = %v, %v", s, d, err)
		}
	}
}

// TestQuoteEqualsModel: a quote kept by deltas is the quote of a snapshot.
func TestQuoteEqualsModel(t *testing.T) {
	number := rapid.StringMatching(`[1-9][0-9]{0,4}(\.[0-9]{0,3}[1-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		var y, want symbolState
		y.meta.Channel, want.meta.Channel = wire.ChannelQuote, wire.ChannelQuote
		fields := map[string]any{}
		for step := range rapid.IntRange(1, 15).Draw(t, "steps") {
			delta := map[string]any{}
			for _, side := range []string{"bid", "ask"} {
				switch rapid.IntRange(0, 4).Draw(t, side) {
				case 0: // goes
					for _, f := range []string{"", "_size", "_total", "_venues"} {
						delta[side+f] = nil
					}
				case 1, 2:
					delta[side] = number.Draw(t, "price")
					delta[side+"_size"] = number.Draw(t, "size")
					delta[side+"_total"] = number.Draw(t, "total")
					delta[side+"_venues"] = map[string]string{"kraken": number.Draw(t, "v")}
				}
			}
			if rapid.Bool().Draw(t, "locked") {
				delta["locked"] = rapid.SampledFrom([]any{true, nil}).Draw(t, "locks")
			}
			for k, v := range delta {
				fields[k] = v
			}
			text, _ := json.Marshal(delta)
			all, _ := json.Marshal(fields)
			var d wire.Delta
			var s wire.Snapshot
			if json.Unmarshal(text, &d) != nil || json.Unmarshal(all, &s) != nil {
				t.Fatal("fields do not decode")
			}
			s.Channel = wire.ChannelQuote
			want.quote = Quote{}
			if step == 0 {
				d0 := s
				if err := y.snapshot(&d0); err != nil {
					t.Fatal(err)
				}
			} else if err := y.delta(&d); err != nil {
				t.Fatal(err)
			}
			if err := want.snapshot(&s); err != nil {
				t.Fatal(err)
			}
			got, wants := normal(describe(nil, &y.quote)), normal(describe(nil, &want.quote))
			if !reflect.DeepEqual(got, wants) {
				t.Fatalf("after %s:\n got %v\nwant %v", text, got, wants)
			}
		}
	})
}

// FuzzApply: whatever a message holds, applying it ends in an error or a sound
// state, never in a panic.
func FuzzApply(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("..", "testdata", "wire", "messages.json"))
	if err != nil {
		f.Fatal(err)
	}
	var messages []json.RawMessage
	if err := json.Unmarshal(b, &messages); err != nil {
		f.Fatal(err)
	}
	for _, m := range messages {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		book := NewBook(2)
		states := map[wire.Channel]*symbolState{}
		for _, c := range []wire.Channel{wire.ChannelBook, wire.ChannelQuote, wire.ChannelTicker, wire.ChannelTrade, wire.ChannelBar, wire.ChannelStatus} {
			states[c] = &symbolState{meta: Meta{Channel: c}}
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			m, err := wire.Parse([]byte(line))
			if err != nil {
				continue
			}
			switch m := m.(type) {
			case *wire.Snapshot:
				_ = book.Apply(m)
				if y := states[m.Channel]; y != nil && y.snapshot(m) == nil {
					_, _ = y.first(m)
					if conflatable(m.Channel) {
						y.update()
						y.dirty = true
					}
				}
			case *wire.Delta:
				_ = book.Apply(m)
				for _, y := range states {
					if y.has && y.delta(m) == nil && conflatable(y.meta.Channel) {
						y.update()
					}
				}
			case *wire.Trade:
				_, _ = readTrades(m.Events)
			case *wire.Bar:
				_, _ = readBar(m)
			}
			for side, levels := range [2][]wire.Level{book.bids.levels, book.asks.levels} {
				descending := side == 0
				for i := 1; i < len(levels); i++ {
					if a, b := levels[i-1].Price, levels[i].Price; a == b || (a > b) != descending {
						t.Fatalf("side %d out of order: %v", side, levels)
					}
				}
				if book.Trusted() && len(levels) > 2 {
					t.Fatalf("deeper than asked: %v", levels)
				}
			}
		}
	})
}

func benchBook() (*Book, []*wire.Delta) {
	model := newModelBook(10)
	for i := range 20 {
		model.bids[market.Format(market.Price(6421010-i), 2)] = "0.52"
		model.asks[market.Format(market.Price(6421020+i), 2)] = "1.1"
	}
	b := NewBook(10)
	if err := b.Apply(model.snapshot()); err != nil {
		panic(err)
	}
	var deltas []*wire.Delta
	for i := range 64 {
		deltas = append(deltas, model.change(func(bids, asks map[string]string) {
			bids[market.Format(market.Price(6421010-i%5), 2)] = market.Format(market.Size(i+1), 4)
			asks[market.Format(market.Price(6421020+i%7), 2)] = market.Format(market.Size(i+2), 4)
		}))
	}
	return b, deltas
}

func TestBookDeltaAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the checksum's pool drops buffers at random under the race detector")
	}
	b, deltas := benchBook()
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		d := deltas[i%len(deltas)]
		b.pos.Seq = d.Prev
		b.trusted = true
		_ = b.Apply(d)
		i++
	}); n > 1 { // 1: the ChecksumError when the deltas begin anew, once in 64
		t.Errorf("Apply allocates %v times", n)
	}
}

func BenchmarkBookApply(b *testing.B) {
	book, deltas := benchBook()
	for _, d := range deltas {
		d.CRC = nil // the ring of deltas does not close
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d := deltas[i%len(deltas)]
		book.pos.Seq = d.Prev
		if err := book.Apply(d); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
