package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

// TestVerifyRecordings imports real recordings and checks that the books come out
// as a separate program computed them.
func TestVerifyRecordings(t *testing.T) {
	var expected map[string]struct {
		Books map[string]struct {
			Messages uint64      `json:"book_msgs"`
			Bids     [][2]string `json:"bids"`
			Asks     [][2]string `json:"asks"`
			Levels   [2]int      `json:"levels"`
		} `json:"books"`
		Trades map[string]struct {
			Count  uint64 `json:"count"`
			Volume string `json:"volume"`
		} `json:"trades"`
	}
	text, err := os.ReadFile(recording(t, "EXPECTED.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		provider, file string
		checksums      uint64
	}{
		{"kraken", "kraken/v2_BTC-ETH-USD_d10_2026-07-07.ndjson.zst", 2962},
		{"coinbase", "coinbase/exchange_BTC-ETH-USD_2026-07-07.ndjson.zst", 0},
		// Derived from the one before, not a recording of Advanced Trade.
		{"coinbase-advanced", "coinbase/DERIVED_adv_shaped_2026-07-07.jsonl.zst", 0},
		{"okx", "okx/books_3inst_2022-05-13.jsonl.zst", 290},
		{"bybit", "bybit/v5_orderbook1_linear+spot_2025-06-13.jsonl.zst", 0},
		{"bitfinex", "bitfinex/7pairs_seq_2021-04-17.jsonl.zst", 0},
		{"gemini", "gemini/10pairs_2021-04-17.jsonl.zst", 0},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.qwc")
			format := "ndjson"
			if strings.Contains(tt.file, ".jsonl") {
				format = "jsonl"
			}
			run(t, "capture", "import", "--format", format, "--provider", tt.provider, recording(t, tt.file), path)
			var got verification
			if err := json.Unmarshal(run(t, "capture", "verify", "--json", path), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Refused) > 0 {
				t.Errorf("refused: %v", got.Refused)
			}
			want := expected[tt.file]
			if len(got.Books) != len(want.Books) {
				t.Fatalf("%d books, want %d", len(got.Books), len(want.Books))
			}
			var matched uint64
			for _, b := range got.Books {
				w, ok := want.Books[b.VenueSymbol]
				if !ok {
					w = want.Books[b.Connection+":"+b.VenueSymbol] // one name, two products
				}
				tr, ok := want.Trades[b.VenueSymbol]
				if !ok {
					tr.Volume = "0"
				}
				matched += b.Checksums.Matched
				if b.Checksums.Mismatched != 0 || b.Gaps != 0 || b.Crossed != 0 || b.Resyncs != 0 || !b.Trusted || b.Trades.Lost != 0 {
					t.Errorf("%s: %+v", b.VenueSymbol, b)
				}
				if b.BookMessages != w.Messages || b.Levels != w.Levels {
					t.Errorf("%s: %d messages, levels %v, want %d, %v", b.VenueSymbol, b.BookMessages, b.Levels, w.Messages, w.Levels)
				}
				sameLevels(t, b.VenueSymbol+" bids", b.Bids, w.Bids)
				sameLevels(t, b.VenueSymbol+" asks", b.Asks, w.Asks)
				if b.Trades.Count != tr.Count || !decimal.RequireFromString(b.Trades.Volume).Equal(decimal.RequireFromString(tr.Volume)) {
					t.Errorf("%s: trades %+v, want %+v", b.VenueSymbol, b.Trades, tr)
				}
			}
			if matched != tt.checksums {
				t.Errorf("%d checksums matched, want %d", matched, tt.checksums)
			}
		})
	}
}

// TestVerifyRecordingsWithSnapshotsBeside does the same for venues whose books
// start from a REST answer. One recording has none: its books must say so.
func TestVerifyRecordingsWithSnapshotsBeside(t *testing.T) {
	text, err := os.ReadFile(recording(t, "EXPECTED.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Books map[string]struct {
			Messages uint64      `json:"book_msgs"`
			Bids     [][2]string `json:"bids"`
			Asks     [][2]string `json:"asks"`
			Levels   [2]int      `json:"levels"`
		} `json:"books"`
		Trades map[string]struct {
			Count  uint64 `json:"count"`
			Volume string `json:"volume"`
		} `json:"trades"`
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ provider, file, fails string }{
		{"binance", "binance/spot_4pairs_bracketed_2021-10-12.jsonl.zst", ""},
		{"binance", "binance/spot_BTC-ETH-USDT_2026-07-07.ndjson.zst", "not trusted at the end (resyncing)"},
		{"binance-usdm", "binance/usdm_4pairs_2021-07-22.jsonl.zst", ""},
		{"bitstamp", "bitstamp/10pairs_2022-01-05.jsonl.zst", ""},
	} {
		t.Run(filepath.Base(tt.file), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.qwc")
			format := "ndjson"
			if strings.Contains(tt.file, ".jsonl") {
				format = "jsonl"
			}
			run(t, "capture", "import", "--format", format, "--provider", tt.provider, recording(t, tt.file), path)
			cmd := program(t.Context(), "capture", "verify", "--json", path)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if (err == nil) != (tt.fails == "") || !strings.Contains(stderr.String(), tt.fails) {
				t.Errorf("verify: %v, want %q in %s", err, tt.fails, stderr.String())
			}
			var got verification
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Refused) > 0 {
				t.Errorf("refused: %v", got.Refused)
			}
			books := make(map[string]verifiedBook)
			for _, b := range got.Books {
				books[b.VenueSymbol] = b
				if b.Gaps != 0 || b.Crossed != 0 || b.Resyncs != 0 || b.Trusted != (tt.fails == "") || b.Trades.Lost != 0 {
					t.Errorf("%s: %+v", b.VenueSymbol, b)
				}
			}
			for symbol, w := range expected[tt.file].Books {
				b := books[symbol]
				if b.BookMessages != w.Messages || b.Levels != w.Levels {
					t.Errorf("%s: %d messages, levels %v, want %d, %v", symbol, b.BookMessages, b.Levels, w.Messages, w.Levels)
				}
				sameLevels(t, symbol+" bids", b.Bids, w.Bids)
				sameLevels(t, symbol+" asks", b.Asks, w.Asks)
			}
			for symbol, w := range expected[tt.file].Trades {
				if b := books[symbol]; b.Trades.Count != w.Count || !decimal.RequireFromString(b.Trades.Volume).Equal(decimal.RequireFromString(w.Volume)) {
					t.Errorf("%s: trades %+v, want %+v", symbol, b.Trades, w)
				}
			}
		})
	}
}

func sameLevels(t *testing.T, what string, got, want [][2]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
		return
	}
	for i := range got {
		for j := range got[i] {
			if !decimal.RequireFromString(got[i][j]).Equal(decimal.RequireFromString(want[i][j])) {
				t.Errorf("%s, level %d: %v, want %v", what, i, got[i], want[i])
			}
		}
	}
}

// TestVerifyFindsWrongChecksum breaks one quantity in a small Kraken stream: the
// verification must end with status 1 and say why.
func TestVerifyFindsWrongChecksum(t *testing.T) {
	const snapshot = `{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.10000000},{"price":45283.4,"qty":1.54582015},{"price":45282.1,"qty":0.10000000},{"price":45281.0,"qty":0.10000000},{"price":45280.3,"qty":1.54592586},{"price":45279.0,"qty":0.07990000},{"price":45277.6,"qty":0.03310103},{"price":45277.5,"qty":0.30000000},{"price":45277.3,"qty":1.54602737},{"price":45276.6,"qty":0.15445238}],"asks":[{"price":45285.2,"qty":0.00100000},{"price":45286.4,"qty":1.54571953},{"price":45286.6,"qty":1.54571109},{"price":45289.6,"qty":1.54560911},{"price":45290.2,"qty":0.15890660},{"price":45291.8,"qty":1.54553491},{"price":45294.7,"qty":0.04454749},{"price":45296.1,"qty":0.35380000},{"price":45297.5,"qty":0.09945542},{"price":45299.5,"qty":0.18772827}],"checksum":3310070434,"timestamp":"2026-01-05T10:00:00.000000Z"}]}`
	const update = `{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.25000000}],"asks":[],"checksum":2800903109,"timestamp":"2026-01-05T10:00:01.000000Z"}]}`
	for _, tt := range []struct {
		name, update, want string
	}{
		{"sound", update, ""},
		{"wrong quantity", strings.Replace(update, "0.25", "0.26", 1), "checksums did not match"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			in, path := filepath.Join(dir, "x.ndjson"), filepath.Join(dir, "x.qwc")
			if err := os.WriteFile(in, []byte(snapshot+"\n"+tt.update+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, "capture", "import", "--format", "ndjson", "--provider", "kraken", in, path)
			out, err := program(t.Context(), "capture", "verify", path).CombinedOutput()
			if tt.want == "" {
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), tt.want) {
				t.Errorf("err = %v, want status 1 and %q in\n%s", err, tt.want, out)
			}
		})
	}
}
