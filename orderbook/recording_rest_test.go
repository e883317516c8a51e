package orderbook_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// TestRecordingsWithSnapshotsBeside replays recordings of venues whose books
// start from a REST answer: the final books and trades are those computed
// elsewhere, and a book whose answer is not in the recording is never trusted.
func TestRecordingsWithSnapshotsBeside(t *testing.T) {
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
		symbol         string // one canonical symbol that must be among the books
		waiting        int    // books that never get their snapshot
	}{
		{"binance", "binance/spot_4pairs_bracketed_2021-10-12.jsonl.zst", "NKN-USDT", 0},
		{"binance", "binance/spot_BTC-ETH-USDT_2026-07-07.ndjson.zst", "BTCUSDT", 2},
		{"binance-usdm", "binance/usdm_4pairs_2021-07-22.jsonl.zst", "SUSHI-USDT-PERP", 0},
		{"bitstamp", "bitstamp/10pairs_2022-01-05.jsonl.zst", "ETH-USD", 0},
	} {
		t.Run(strings.TrimSuffix(filepath.Base(c.file), ".zst"), func(t *testing.T) {
			want, ok := all[c.file]
			if !ok {
				t.Fatalf("EXPECTED.json has no %s", c.file)
			}
			r := newRecordingRig(t, c.provider)
			r.play(filepath.Join(dir, c.file))
			books := map[string]orderbook.BookReport{}
			waiting := 0
			for _, b := range r.shard.Report(5) {
				spelling, ok := r.decoder.VenueSymbol(b.Instrument)
				if !ok {
					t.Errorf("no venue symbol of %s", r.dir.Symbol(b.Instrument))
				}
				books[spelling] = b
				if b.Mismatched+b.Gaps+b.Crossed+b.Refused+b.TradesLost+b.TradesDup != 0 {
					t.Errorf("%s: %+v", spelling, b.BookStats)
				}
				switch {
				case b.State == orderbook.StateLive:
				case b.State == orderbook.StateResyncing && b.Cause == orderbook.CauseConnected && b.Bids+b.Asks == 0:
					waiting++
				default:
					t.Errorf("%s is %s, %s", spelling, b.State, b.Cause)
				}
			}
			if waiting != c.waiting {
				t.Errorf("%d books wait for a snapshot, want %d", waiting, c.waiting)
			}
			if _, ok := r.dir.Lookup(c.symbol); !ok {
				t.Errorf("no %s among %v", c.symbol, r.dir.Instruments(0))
			}
			for symbol, b := range want.Books {
				g := books[symbol]
				if g.Messages != b.Messages || g.Bids != b.Levels[0] || g.Asks != b.Levels[1] {
					t.Errorf("%s: %d messages, %d bids, %d asks, want %d, %v", symbol, g.Messages, g.Bids, g.Asks, b.Messages, b.Levels)
				}
				sameLevels(t, symbol+" bids", g.TopBids, g.Scale, b.Bids)
				sameLevels(t, symbol+" asks", g.TopAsks, g.Scale, b.Asks)
			}
			for symbol, tr := range want.Trades {
				g := books[symbol]
				if volume := market.ToDecimal(g.Volume, g.Scale.Size); g.Trades != tr.Count || !volume.Equal(tr.Volume) {
					t.Errorf("%s: %d trades of %s, want %d of %s", symbol, g.Trades, volume, tr.Count, tr.Volume)
				}
			}
			for symbol, g := range books {
				if _, ok := want.Trades[symbol]; !ok && g.Trades != 0 {
					t.Errorf("%s: %d trades, want none", symbol, g.Trades)
				}
			}
		})
	}
}

// recordingRig is a decoder and a shard behind it.
type recordingRig struct {
	t        *testing.T
	provider string
	dir      *market.Directory
	decoder  normalizer.Decoder
	shard    *orderbook.Shard
	events   []market.Event
}

func newRecordingRig(t *testing.T, provider string) *recordingRig {
	t.Helper()
	dir := market.NewDirectory()
	d, err := normalizer.New(provider, normalizer.Config{Directory: dir, Feed: provider})
	if err != nil {
		t.Fatal(err)
	}
	return &recordingRig{t: t, provider: provider, dir: dir, decoder: d, shard: orderbook.NewShard(orderbook.Config{Directory: dir})}
}

func (r *recordingRig) apply(f feeds.Frame) {
	r.t.Helper()
	f.Feed, f.Provider = r.provider, r.provider
	var err error
	if r.events, err = r.decoder.Decode(r.events[:0], f); err != nil {
		r.t.Errorf("%v: %s %.80s", err, f.URL, f.Payload)
	}
	r.shard.Apply(r.events)
}

// play applies a recording, of records or of bare frames, over one connection.
func (r *recordingRig) play(file string) {
	f, err := os.Open(file)
	if err != nil {
		r.t.Skipf("no recording: %v", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		r.t.Fatal(err)
	}
	defer z.Close()
	bare := strings.Contains(file, ".ndjson")
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	received := int64(1e18)
	if bare {
		r.apply(feeds.Frame{Kind: feeds.Up, Received: received})
	}
	for lines.Scan() {
		received += 1e6
		if bare {
			r.apply(feeds.Frame{Received: received, Payload: lines.Bytes()})
			continue
		}
		var rec struct{ T, Data, URL string }
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			r.t.Fatal(err)
		}
		f := feeds.Frame{Received: received, Payload: []byte(rec.Data), URL: rec.URL}
		switch rec.T {
		case "connect":
			f.Kind = feeds.Up
		case "http":
			f.Kind = feeds.Reply
		case "recv":
		default:
			continue
		}
		r.apply(f)
	}
	if err := lines.Err(); err != nil {
		r.t.Fatal(err)
	}
}
