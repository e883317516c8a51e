package orderbook

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// ladderOf makes a ladder of "price size" texts, remembering how they are
// written.
func ladderOf(t testing.TB, side market.Side, scale market.Scale, texts bool, levels ...string) *Ladder {
	t.Helper()
	l := NewLadder(side)
	l.keepTexts(texts)
	for _, lv := range levels {
		price, size, _ := strings.Cut(lv, " ")
		p, pd, err1 := market.ParsePrice(price)
		z, zd, err2 := market.ParseSize(size)
		if err1 != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", lv, err1, err2)
		}
		written := market.Scale{Price: pd, Size: zd}
		p, err1 = market.Rescale(p, pd, scale.Price)
		z, err2 = market.Rescale(z, zd, scale.Size)
		if err1 != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", lv, err1, err2)
		}
		if texts {
			l.setText(p, z, written)
		} else {
			l.Set(p, z)
		}
	}
	return &l
}

// The sums are those of the texts that stand beside them, computed elsewhere.
func TestTextChecksums(t *testing.T) {
	scale := market.Scale{Price: 3, Size: 9}
	for _, c := range []struct {
		name       string
		texts      bool
		bids, asks []string
		want       int32
	}{
		// 90000.1:2:90000.2:1.5:90000:0.3:90000.5:4
		{"documented shape", true, []string{"90000.1 2", "90000 0.3"}, []string{"90000.2 1.5", "90000.5 4"}, 760388417},
		{"without texts", false, []string{"90000.1 2", "90000 0.3"}, []string{"90000.2 1.5", "90000.5 4"}, 760388417},
		// 3366.1:7:3366.8:9:3366:6:3368:8
		{"one by one", true, []string{"3366 6", "3366.1 7"}, []string{"3368 8", "3366.8 1", "3366.8 9"}, -1881014294},
		// 3366.1:7:3366.8:9:3368:8:3372:8
		{"a side that is shorter", true, []string{"3366.1 7"}, []string{"3366.8 9", "3368 8", "3372 8"}, 831078360},
		{"removed", true, []string{"3366.1 7", "3367 1", "3367 0"}, []string{"3366.8 9", "3368 8", "3372 8"}, 831078360},
		// 3366.10:7.0:3366.8:9
		{"trailing zeros", true, []string{"3366.10 7.0"}, []string{"3366.8 9"}, -493006573},
		{"empty", true, nil, nil, 0},
	} {
		bids := ladderOf(t, market.SideBid, scale, c.texts, c.bids...)
		asks := ladderOf(t, market.SideAsk, scale, c.texts, c.asks...)
		got, buf, ok := textCRC(nil, asks, bids, scale)
		if !ok || int32(got) != c.want {
			t.Errorf("%s: got %d over %s, want %d", c.name, int32(got), buf, c.want)
		}
	}
}

func TestNumberChecksum(t *testing.T) {
	scale := market.Scale{Price: 4, Size: 9}
	bids := ladderOf(t, market.SideBid, scale, false, "6000 2.5", "5999.5 0.1")
	asks := ladderOf(t, market.SideAsk, scale, false, "6000.5 1", "6001 0.35")
	// 6000:2.5:6000.5:-1:5999.5:0.1:6001:-0.35
	if got, buf, ok := numberCRC(nil, asks, bids, scale); !ok || int32(got) != -10571909 {
		t.Errorf("got %d over %s", int32(got), buf)
	}
}

func TestOnly25LevelsCount(t *testing.T) {
	scale := market.Scale{Price: 0, Size: 0}
	bids, asks := NewLadder(market.SideBid), NewLadder(market.SideAsk)
	for i := range 25 {
		bids.Set(market.Price(1000-i), 1)
		asks.Set(market.Price(1001+i), 1)
	}
	text, _, _ := textCRC(nil, &asks, &bids, scale)
	number, _, _ := numberCRC(nil, &asks, &bids, scale)
	bids.Set(900, 5)
	asks.Set(1100, 5)
	if again, _, _ := textCRC(nil, &asks, &bids, scale); again != text {
		t.Error("the 26th level counts in the checksum over texts")
	}
	if again, _, _ := numberCRC(nil, &asks, &bids, scale); again != number {
		t.Error("the 26th level counts in the checksum over numbers")
	}
	bids.Set(976, 5)
	if again, _, _ := textCRC(nil, &asks, &bids, scale); again == text {
		t.Error("the 25th level does not count")
	}
}

// JavaScript prints the shortest digits that read back as the number, as
// strconv does with precision -1; below 1e-6 with an exponent that has no
// leading zero.
func TestNumbersAreWrittenAsJavaScriptDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.Int64Range(-999_999_999_999_999, 999_999_999_999_999).Draw(t, "mantissa")
		d := market.Decimals(rapid.IntRange(0, 18).Draw(t, "decimals"))
		x, err := strconv.ParseFloat(market.Format(m, d), 64)
		if err != nil {
			t.Fatal(err)
		}
		want := strconv.FormatFloat(x, 'f', -1, 64)
		if x != 0 && x < 1e-6 && x > -1e-6 {
			want = strings.Replace(strconv.FormatFloat(x, 'e', -1, 64), "e-0", "e-", 1)
		}
		if got := string(appendScript(nil, m, d)); got != want {
			t.Errorf("%d at %d: got %s, want %s", m, d, got, want)
		}
	})
}

// A ladder that remembers texts holds the same levels as one that does not, and
// the text of each.
func TestTextsFollowTheirLevels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.SampledFrom([]market.Side{market.SideBid, market.SideAsk}).Draw(t, "side")
		plain, with := NewLadder(side), NewLadder(side)
		with.keepTexts(true)
		texts := map[market.Price]market.Scale{}
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			p := market.Price(rapid.Int64Range(1, 30).Draw(t, "price"))
			s := market.Size(rapid.Int64Range(0, 2).Draw(t, "size"))
			text := market.Scale{Price: market.Decimals(rapid.IntRange(0, 3).Draw(t, "pd")), Size: market.Decimals(rapid.IntRange(0, 3).Draw(t, "sd"))}
			if plain.Set(p, s) != with.setText(p, s, text) {
				t.Fatal("the two do not agree on what changed")
			}
			texts[p] = text
			if rapid.IntRange(0, 20).Draw(t, "cut") == 0 {
				plain.Truncate(5, func(Level) {})
				with.Truncate(5, func(Level) {})
			}
			if len(with.levels) != len(with.texts) || len(with.levels) != len(plain.levels) {
				t.Fatalf("%d levels, %d texts, want %d", len(with.levels), len(with.texts), len(plain.levels))
			}
			for i, lv := range with.levels {
				if lv != plain.levels[i] || with.texts[i] != texts[lv.Price] {
					t.Fatalf("level %d is %v written %v, want %v written %v", i, lv, with.texts[i], plain.levels[i], texts[lv.Price])
				}
			}
		}
	})
}

// A book whose checksum is over texts needs the zeros that were written.
func TestShardComparesTextChecksums(t *testing.T) {
	for _, c := range []struct {
		name string
		sum  int32
		want State
	}{
		{"right", -493006573, StateLive},
		{"wrong", -493006572, StateResyncing},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			id, _ := r.dir.Instrument("BTC-USDT", market.ClassCrypto)
			venue, _ := r.dir.Venue("okx")
			feed, _ := r.dir.Feed("okx")
			base := market.Event{Feed: feed, Venue: venue, Instrument: id, Received: 1, Flags: market.FlagSnapshot}
			event := func(k market.Kind, e market.Event) market.Event {
				x := base
				x.Kind, x.Side, x.Price, x.PriceDecimals, x.Size, x.SizeDecimals = k, e.Side, e.Price, e.PriceDecimals, e.Size, e.SizeDecimals
				x.Checksum, x.Sequence = market.ChecksumTexts, e.Sequence
				return x
			}
			sum := event(market.KindChecksum, market.Event{Sequence: uint64(uint32(c.sum))})
			sum.Flags |= market.FlagLast
			r.apply([]market.Event{
				event(market.KindClear, market.Event{}),
				event(market.KindLevel, market.Event{Side: market.SideBid, Price: 336610, PriceDecimals: 2, Size: 70, SizeDecimals: 1}),
				event(market.KindLevel, market.Event{Side: market.SideAsk, Price: 33668, PriceDecimals: 1, Size: 9}),
				sum,
			})
			if r.err != nil {
				t.Fatal(r.err)
			}
			if got := r.shard.Report(1)[0]; got.State != c.want || got.Matched+got.Mismatched != 1 {
				t.Errorf("%+v", got.BookStats)
			}
		})
	}
}
