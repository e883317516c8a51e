package wire

import (
	"testing"

	"github.com/quotewire/quotewire/market"
	"pgregory.net/rapid"
)

type crcCase struct {
	Name       string
	Bids, Asks []PriceLevel
	Text       string
	CRC        uint32
}

// levels reads texts at one scale, padded by extra decimals.
func levels(t testing.TB, list []PriceLevel, scale market.Scale) []Level {
	t.Helper()
	var out []Level
	for _, l := range list {
		p, pd, err := market.ParsePrice(l.Price)
		if err != nil {
			t.Fatal(err)
		}
		s, sd, err := market.ParseSize(l.Size)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = market.Rescale(p, pd, scale.Price); err != nil {
			t.Fatal(err)
		}
		if s, err = market.Rescale(s, sd, scale.Size); err != nil {
			t.Fatal(err)
		}
		out = append(out, Level{p, s})
	}
	return out
}

func TestBookCRC(t *testing.T) {
	var cases []crcCase
	readFixture(t, "crc.json", &cases)
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		for _, scale := range []market.Scale{{Price: 8, Size: 8}, {Price: 9, Size: 9}} {
			bids, asks := levels(t, c.Bids, scale), levels(t, c.Asks, scale)
			if got := string(AppendCRCText(nil, bids, asks, scale)); got != c.Text {
				t.Errorf("%s at %v: text %q, want %q", c.Name, scale, got, c.Text)
			}
			if got := BookCRC(bids, asks, scale); got != c.CRC {
				t.Errorf("%s at %v: crc %d, want %d", c.Name, scale, got, c.CRC)
			}
		}
		if got := TextCRC(c.Bids, c.Asks); got != c.CRC {
			t.Errorf("%s: crc over texts %d, want %d", c.Name, got, c.CRC)
		}
	}
}

// TestCRCsAgree: mantissas and texts give the same checksum at any scale.
func TestCRCsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := market.Scale{
			Price: market.Decimals(rapid.IntRange(0, int(market.MaxDecimals)).Draw(t, "price")),
			Size:  market.Decimals(rapid.IntRange(0, int(market.MaxDecimals)).Draw(t, "size")),
		}
		side := func(name string) (list []Level, texts []PriceLevel) {
			for range rapid.IntRange(0, 12).Draw(t, name) {
				l := Level{market.Price(rapid.Int64().Draw(t, "p")), market.Size(rapid.Int64Range(0, 1<<62).Draw(t, "s"))}
				list = append(list, l)
				texts = append(texts, PriceLevel{Price: market.Format(l.Price, scale.Price), Size: market.Format(l.Size, scale.Size)})
			}
			return list, texts
		}
		bids, bidTexts := side("bids")
		asks, askTexts := side("asks")
		if a, b := BookCRC(bids, asks, scale), TextCRC(bidTexts, askTexts); a != b {
			t.Fatalf("%d over mantissas, %d over texts: %v %v", a, b, bidTexts, askTexts)
		}
	})
}

func book20() (bids, asks []Level) {
	for i := range 20 {
		bids = append(bids, Level{market.Price(6421010 - i), market.Size(52000000 + i)})
		asks = append(asks, Level{market.Price(6421020 + i), market.Size(110000000 + i)})
	}
	return bids, asks
}

func TestBookCRCAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops buffers at random under the race detector")
	}
	bids, asks := book20()
	var sink uint32
	if n := testing.AllocsPerRun(1000, func() { sink += BookCRC(bids, asks, market.Scale{Price: 2, Size: 8}) }); n != 0 {
		t.Errorf("BookCRC allocates %v times", n)
	}
	_ = sink
}

func BenchmarkBookCRC(b *testing.B) {
	bids, asks := book20()
	b.ReportAllocs()
	for b.Loop() {
		BookCRC(bids, asks, market.Scale{Price: 2, Size: 8})
	}
}
