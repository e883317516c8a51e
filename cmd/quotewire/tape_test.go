package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds/capture"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
)

// What the config says of the tape reaches the books, and by way of a capture's
// header those of a replay.
func TestTapeOfAConfig(t *testing.T) {
	for text, want := range map[string]orderbook.Config{
		"": {},
		"tape: {bar_lateness: 5s, prints_kept: 1000}": {BarLateness: 5 * time.Second, PrintsKept: 1000},
		"tape: {bar_lateness: 0s}":                    {BarLateness: -1},
		"tape: {bar_lateness: 20s}":                   {BarLateness: maxBarLateness},
		"tape: {prints_kept: 1}":                      {PrintsKept: 1},
	} {
		c, err := parseConfig("q.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		s := newService(slog.New(slog.DiscardHandler), streamer.Config{})
		s.addNet(c)
		header, err := s.ingest.meta()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "a.qwc")
		w, err := capture.Create(path, capture.Header{Meta: header})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		again := newIngest(s.dir, s.logger)
		if err := again.restore([]string{path}); err != nil {
			t.Fatal(err)
		}
		for where, got := range map[string]orderbook.Config{"books": s.ingest.books(), "books of a replay": again.books()} {
			if got.BarLateness != want.BarLateness || got.PrintsKept != want.PrintsKept {
				t.Errorf("%q: %s have %v, %d, want %v, %d", text, where, got.BarLateness, got.PrintsKept, want.BarLateness, want.PrintsKept)
			}
		}
	}
}
