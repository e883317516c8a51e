package orderbook_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// expected is one file's part of EXPECTED.json, computed by a separate script.
type expected struct {
	Books map[string]struct {
		Messages uint64              `json:"book_msgs"`
		Bids     [][]decimal.Decimal `json:"bids"`
		Asks     [][]decimal.Decimal `json:"asks"`
		Levels   []int               `json:"levels"`
	} `json:"books"`
	Trades map[string]struct {
		Count  uint64          `json:"count"`
		Volume decimal.Decimal `json:"volume"`
	} `json:"trades"`
}

// TestRecordings replays real recordings through decoder and shard: the final
// books, trades and checksums are those computed elsewhere, nothing was lost, no
// book was ever distrusted.
func TestRecordings(t *testing.T) {
	dir := sharedData(t)
	text, err := os.ReadFile(filepath.Join(dir, "EXPECTED.json"))
	if err != nil {
		t.Skipf("no recordings: %v", err)
	}
	var all map[string]expected
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		provider, file string
		checksums      uint64
		canonical      map[string]string
	}{
		{"kraken", "kraken/v2_BTC-ETH-USD_d10_2026-07-07.ndjson.zst", 2962,
			map[string]string{"BTC/USD": "BTC-USD", "ETH/USD": "ETH-USD"}},
		{"coinbase", "coinbase/exchange_BTC-ETH-USD_2026-07-07.ndjson.zst", 0,
			map[string]string{"BTC-USD": "BTC-USD", "ETH-USD": "ETH-USD"}},
	} {
		t.Run(c.provider, func(t *testing.T) {
			want, ok := all[c.file]
			if !ok {
				t.Fatalf("EXPECTED.json has no %s", c.file)
			}
			directory := market.NewDirectory()
			shard := orderbook.NewShard(orderbook.Config{
				Directory: directory,
				Resync: func(f market.FeedID, id market.InstrumentID, cause orderbook.Cause) {
					t.Errorf("resync of %s asked for: %v", directory.Symbol(id), cause)
				},
			})
			replay(t, filepath.Join(dir, c.file), c.provider, directory, shard)
			var matched uint64
			books := map[string]orderbook.BookReport{}
			for _, r := range shard.Report(5) {
				books[directory.Symbol(r.Instrument)] = r
				matched += r.Matched
				if r.Mismatched+r.Gaps+r.Crossed+r.Refused+r.Ignored+r.TradesLost+r.TradesDup != 0 || r.State != orderbook.StateLive {
					t.Errorf("%s: %+v", directory.Symbol(r.Instrument), r.BookStats)
				}
			}
			if matched != c.checksums {
				t.Errorf("%d checksums matched, want %d", matched, c.checksums)
			}
			for symbol, b := range want.Books {
				r := books[c.canonical[symbol]]
				if r.Messages != b.Messages || r.Bids != b.Levels[0] || r.Asks != b.Levels[1] {
					t.Errorf("%s: %d messages, %d bids, %d asks, want %+v", symbol, r.Messages, r.Bids, r.Asks, b)
				}
				sameLevels(t, symbol+" bids", r.TopBids, r.Scale, b.Bids)
				sameLevels(t, symbol+" asks", r.TopAsks, r.Scale, b.Asks)
			}
			for symbol, tr := range want.Trades {
				r := books[c.canonical[symbol]]
				if volume := market.ToDecimal(r.Volume, r.Scale.Size); r.Trades != tr.Count || !volume.Equal(tr.Volume) {
					t.Errorf("%s: %d trades of %s, want %d of %s", symbol, r.Trades, volume, tr.Count, tr.Volume)
				}
			}
		})
	}
}

func sameLevels(t *testing.T, what string, got []orderbook.Level, sc market.Scale, want [][]decimal.Decimal) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d levels, want %d", what, len(got), len(want))
		return
	}
	for i, l := range got {
		if !market.ToDecimal(l.Price, sc.Price).Equal(want[i][0]) || !market.ToDecimal(l.Size, sc.Size).Equal(want[i][1]) {
			t.Errorf("%s: level %d is %s x %s, want %v", what, i, market.Format(l.Price, sc.Price), market.Format(l.Size, sc.Size), want[i])
		}
	}
}

// replay decodes a file of bare frames and applies them one by one.
func replay(t *testing.T, file, provider string, dir *market.Directory, shard *orderbook.Shard) {
	f, err := os.Open(file)
	if err != nil {
		t.Skipf("no recording: %v", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	d, err := normalizer.New(provider, normalizer.Config{Directory: dir, Feed: provider})
	if err != nil {
		t.Fatal(err)
	}
	var events []market.Event
	received := int64(0)
	apply := func(kind feeds.FrameKind, payload []byte) {
		received += 1e6
		var refusal *normalizer.Refusal
		events, err = d.Decode(events[:0], feeds.Frame{Kind: kind, Feed: provider, Provider: provider, Received: received, Payload: payload})
		if errors.As(err, &refusal) {
			t.Errorf("%v: %.80s", err, payload)
		}
		shard.Apply(events)
	}
	apply(feeds.Up, nil)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		apply(feeds.Data, lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// sharedData returns the folder of the recordings, beside the repository.
func sharedData(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "..", "shared", "data")
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("no go.mod above the test: recordings not found")
		}
		dir = up
	}
}
