package orderbook_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// TestVenueRecordings is TestRecordings for recordings of several connections
// with what was asked over REST beside them.
func TestVenueRecordings(t *testing.T) {
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
	}{
		{"okx", "okx/books_3inst_2022-05-13.jsonl.zst", 290},
		{"bybit", "bybit/v5_orderbook1_linear+spot_2025-06-13.jsonl.zst", 0},
		{"bitfinex", "bitfinex/7pairs_seq_2021-04-17.jsonl.zst", 0},
		{"gemini", "gemini/10pairs_2021-04-17.jsonl.zst", 0},
	} {
		t.Run(c.provider, func(t *testing.T) {
			want := all[c.file]
			if len(want.Books) == 0 {
				t.Fatalf("EXPECTED.json has no %s", c.file)
			}
			directory := market.NewDirectory()
			shard := orderbook.NewShard(orderbook.Config{
				Directory: directory,
				Resync: func(f market.FeedID, id market.InstrumentID, cause orderbook.Cause) {
					t.Errorf("resync of %s asked for: %v", directory.Symbol(id), cause)
				},
			})
			decoders := replayRecords(t, filepath.Join(dir, c.file), c.provider, directory, shard)
			var matched uint64
			seen := 0
			for _, r := range shard.Report(5) {
				conn := directory.FeedName(r.Feed)
				symbol, _ := decoders[conn].VenueSymbol(r.Instrument)
				b, ok := want.Books[symbol]
				if !ok {
					b, ok = want.Books[conn+":"+symbol] // one name, two products
				}
				if !ok {
					t.Errorf("%s %s is not expected", conn, symbol)
					continue
				}
				seen++
				matched += r.Matched
				if r.Mismatched+r.Gaps+r.Crossed+r.Refused+r.Ignored+r.TradesLost+r.TradesDup != 0 || r.State != orderbook.StateLive {
					t.Errorf("%s: %+v", symbol, r.BookStats)
				}
				if r.Messages != b.Messages || r.Bids != b.Levels[0] || r.Asks != b.Levels[1] {
					t.Errorf("%s: %d messages, %d bids, %d asks, want %d, %v", symbol, r.Messages, r.Bids, r.Asks, b.Messages, b.Levels)
				}
				sameLevels(t, symbol+" bids", r.TopBids, r.Scale, b.Bids)
				sameLevels(t, symbol+" asks", r.TopAsks, r.Scale, b.Asks)
				tr := want.Trades[symbol]
				if volume := market.ToDecimal(r.Volume, r.Scale.Size); r.Trades != tr.Count || !volume.Equal(tr.Volume) {
					t.Errorf("%s: %d trades of %s, want %d of %s", symbol, r.Trades, volume, tr.Count, tr.Volume)
				}
			}
			if matched != c.checksums || seen != len(want.Books) {
				t.Errorf("%d checksums matched in %d books, want %d in %d", matched, seen, c.checksums, len(want.Books))
			}
		})
	}
}

// replayRecords decodes a recording, each connection by a decoder of its own, and
// applies it frame by frame.
func replayRecords(t *testing.T, file, provider string, dir *market.Directory, shard *orderbook.Shard) map[string]normalizer.Decoder {
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
	decoders := map[string]normalizer.Decoder{}
	var events []market.Event
	received := int64(0)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var rec struct{ T, Conn, Data, URL, Addr string }
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			t.Fatal(err)
		}
		received += 1e6
		frame := feeds.Frame{Feed: rec.Conn, Provider: provider, Received: received, Payload: []byte(rec.Data)}
		switch rec.T {
		case "recv":
		case "http":
			frame.Kind, frame.URL = feeds.Reply, rec.URL
		case "connect":
			frame.Kind, frame.URL = feeds.Up, rec.Addr
		default:
			continue
		}
		d := decoders[rec.Conn]
		if d == nil {
			if d, err = normalizer.New(provider, normalizer.Config{Directory: dir, Feed: rec.Conn}); err != nil {
				t.Fatal(err)
			}
			decoders[rec.Conn] = d
		}
		events, err = d.Decode(events[:0], frame)
		var refusal *normalizer.Refusal
		if errors.As(err, &refusal) {
			t.Errorf("%v: %.80s", err, frame.Payload)
		}
		shard.Apply(events)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return decoders
}
