package feedtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

func TestAcmeConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Adapter{
		Provider: "acme",
		Start: func(t *testing.T) (feedtest.Server, func(time.Duration)) {
			s := startAcme(t)
			return s, s.step
		},
		Connect: func(t *testing.T, url string, symbols ...string) feeds.Connector {
			return &acmeConnector{url, symbols}
		},
		Symbols: [2]string{"BTC-USD", "ETH-USD"},
		Unknown: "NO-SUCH",
		About: func(payload []byte) (string, bool) {
			var m acmeMessage
			if json.Unmarshal(payload, &m) != nil {
				return "", false
			}
			return m.Book, m.Image
		},
		Oversized: 2 << 20,
	})
}

// TestAcmeBooks leads the adapter's frames to real books, through losses: they
// are whole again each time.
func TestAcmeBooks(t *testing.T) {
	s := startAcme(t)
	dir := market.NewDirectory()
	decoder, err := newAcmeDecoder(dir, "acme-1")
	if err != nil {
		t.Fatal(err)
	}
	feed := &feeds.Supervisor{Feed: "acme-1", Provider: "acme", Connector: &acmeConnector{s.URL(), []string{"BTC-USD"}},
		Policy: feeds.Policy{InitialBackoff: 10 * time.Millisecond, ResyncEvery: time.Millisecond}}
	var mu sync.Mutex
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Resync: func(_ market.FeedID, id market.InstrumentID, _ orderbook.Cause) {
		symbol, _ := decoder.VenueSymbol(id)
		feed.Resync(symbol)
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		var events []market.Event
		done <- feed.Run(ctx, func(f feeds.Frame) error {
			mu.Lock()
			defer mu.Unlock()
			events, _ = decoder.Decode(events[:0], f)
			shard.Apply(events)
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	book := func() string {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range shard.Report(0) {
			if r.State == orderbook.StateLive {
				text := ""
				for _, l := range r.TopBids {
					text += fmt.Sprintf(" %sx%s", market.Format(l.Price, r.Scale.Price), market.Format(l.Size, r.Scale.Size))
				}
				return text
			}
		}
		return "not live"
	}
	truth := func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		text := ""
		for _, p := range []string{"99", "98", "9.5", "8.5", "7.5", "6.5", "5.5", "4.5", "3.5", "2.5", "1.5"} {
			if z := s.books["BTC-USD"][p]; z > 0 {
				text += fmt.Sprintf(" %sx%d", p, z)
			}
		}
		return text
	}
	for i, disturb := range []func(){
		func() {},
		s.Kill,
		func() { s.SendRaw([]byte(`{"book":`)) },
		func() { s.SendRaw([]byte(`{"book":"BTC-USD","n":999,"bids":[["1","1"]]}`)) },
		func() { s.SendRaw([]byte(`{"book":"BTC-USD","n":1,"bids":[["1","x"]]}`)) },
		func() { s.mu.Lock(); s.mute = true; s.mu.Unlock(); s.step(0); s.Mute(false) },
	} {
		disturb()
		s.step(0)
		tick := time.NewTicker(5 * time.Millisecond)
		timeout := time.After(time.Minute)
		for book() != truth() {
			select {
			case <-tick.C:
			case <-timeout:
				t.Fatalf("disturbance %d: the book is%s, truly%s", i, book(), truth())
			}
		}
		tick.Stop()
	}
}

// TestGuide holds the code in docs/adapters.md against the code here.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/adapters.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range []string{"acme_connector_test.go", "acme_decoder_test.go", "acme_test.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
	}
	blocks := strings.Split(string(guide), "```go\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of code", len(blocks))
	}
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		for part := range strings.SplitSeq(b, "// ...\n") {
			if !strings.Contains(code.String(), part) {
				t.Errorf("docs/adapters.md has code that is not here:\n%s", part)
			}
		}
	}
	lines := 0
	for _, name := range []string{"acme_connector_test.go", "acme_decoder_test.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(b), "\n")
	}
	if lines >= 200 {
		t.Errorf("the adapter has %d lines; the guide promises fewer than 200", lines)
	}
}
