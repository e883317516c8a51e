package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// process is the program running in a process of its own.
type process struct {
	cmd *exec.Cmd

	mu    sync.Mutex
	lines []string
	ended chan struct{}
}

// launch starts the program and collects what it logs.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: program(context.Background(), args...), ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			p.mu.Unlock()
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process without a word and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.cmd.Wait()
}

// logged waits for a line that the pattern matches and returns its first group.
func (p *process) logged(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var found string
	eventually(t, "log line "+pattern, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, l := range p.lines {
			if m := re.FindStringSubmatch(l); m != nil {
				found = m[1]
				return nil
			}
		}
		return fmt.Errorf("not in\n%s", strings.Join(p.lines, "\n"))
	})
	return found
}

// books follows one venue's books of all symbols through a server.
type books struct {
	client *client.Client

	mu     sync.Mutex
	latest map[string]client.BookUpdate // by symbol and venue
	epochs map[string]bool              // seen
	check  func(client.BookUpdate) error
	err    error // first book that was wrong
	done   sync.WaitGroup
}

func followBooks(t *testing.T, url string, venues, symbols []string) *books {
	t.Helper()
	c, err := client.Dial(t.Context(), url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &books{client: c, latest: make(map[string]client.BookUpdate), epochs: make(map[string]bool)}
	for _, v := range venues {
		s, err := c.Subscribe(t.Context(), client.Subscription{Channel: wire.ChannelBook, Symbols: symbols, Venue: v, Interval: client.EveryChange})
		if err != nil {
			t.Fatal(err)
		}
		b.done.Go(func() { b.take(s) })
	}
	t.Cleanup(func() {
		_ = c.Close()
		b.done.Wait()
	})
	return b
}

func (b *books) take(s *client.Stream) {
	for u, err := range s.All(context.Background()) {
		if err != nil {
			return
		}
		u, ok := u.(*client.BookUpdate)
		if !ok {
			continue
		}
		b.mu.Lock()
		b.latest[u.Symbol+" "+u.Venue] = *u
		b.epochs[u.Epoch] = true
		if b.check != nil && b.err == nil {
			b.err = b.check(*u)
		}
		b.mu.Unlock()
	}
}

// equal reports how the book held differs from the best ten levels of the truth.
func equal(got client.BookUpdate, w *demoWorld) error {
	bids, asks := w.market.Book(got.Venue, got.Symbol)
	for _, side := range []struct {
		name string
		got  []client.Level
		want []sim.Level
	}{{"bids", got.Bids, bids}, {"asks", got.Asks, asks}} {
		want := side.want[:min(len(side.want), wire.DefaultDepth)]
		if len(side.got) != len(want) {
			return fmt.Errorf("%s at %s: %d %s, want %d", got.Symbol, got.Venue, len(side.got), side.name, len(want))
		}
		for i, l := range want {
			if g := side.got[i]; !g.Price.Equal(decimal.RequireFromString(l.Price)) || !g.Size.Equal(decimal.RequireFromString(l.Size)) {
				return fmt.Errorf("%s at %s, level %d of the %s: %s × %s, want %s × %s", got.Symbol, got.Venue, i, side.name, g.Price, g.Size, l.Price, l.Size)
			}
		}
	}
	return nil
}

// allEqual reports whether every book is the simulator's true one.
func (b *books) allEqual(w *demoWorld, n int) func() error {
	return func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.latest) != n {
			return fmt.Errorf("%d books, want %d", len(b.latest), n)
		}
		for _, u := range b.latest {
			if err := equal(u, w); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestFeedAndGateway runs a feed node and a gateway as two processes, joined by
// the NATS server that the feed node embeds, beside a single process on the same
// market. Clients of both must hold the same books. Then the feed node is killed
// and started again: the gateway's client must see its books withdrawn, a new
// epoch and new snapshots, and never a wrong book.
func TestFeedAndGateway(t *testing.T) {
	w := world(t, sim.MarketConfig{Seed: 11, Stocks: []sim.StockSpec{}})
	path := filepath.Join(t.TempDir(), "quotewire.yaml")
	symbols := w.market.Symbols(sim.Coinbase)
	text := fmt.Sprintf("listen: 127.0.0.1:0\nfeeds:\n  - provider: coinbase\n    url: %s\n    symbols: [%s]\n  - provider: kraken\n    url: %s/v2\n    depth: 100\n    symbols: [%s]\n",
		w.coinbase.URL(), strings.Join(symbols, ", "), w.kraken.URL(), strings.Join(w.market.Symbols(sim.Kraken), ", "))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const listening = `msg=listening url=(\S+)`
	feed := launch(t, "serve", "--config", path, "--role", "feed", "--node", "a", "--nats-listen", "127.0.0.1:0")
	nats := feed.logged(t, `msg="NATS listening" url=(\S+)`)
	gateway := launch(t, "serve", "--role", "gateway", "--nats", nats, "--listen", "127.0.0.1:0")
	single := launch(t, "serve", "--config", path)
	// The market stands still until the books are first there: then it moves,
	// then stands still again, so that all must come to the same.
	// Canonical symbols are known at a gateway once the feed node told them.
	gatewayURL, singleURL := gateway.logged(t, listening), single.logged(t, listening)
	venues := []string{sim.Coinbase, sim.Kraken}
	n := len(symbols) * len(venues)
	for _, url := range []string{gatewayURL, singleURL} {
		eventually(t, "symbols known", func() error {
			var body struct{ Symbols []struct{ Venues []string } }
			if err := get(url+"/v1/symbols", &body); err != nil {
				return err
			}
			known := 0
			for _, s := range body.Symbols {
				known += len(s.Venues)
			}
			if known < n {
				return fmt.Errorf("%d of %d known", known, n)
			}
			return nil
		})
	}
	byGateway, bySingle := followBooks(t, gatewayURL, venues, symbols), followBooks(t, singleURL, venues, symbols)
	eventually(t, "the gateway's books", byGateway.allEqual(w, n))
	eventually(t, "the single process's books", bySingle.allEqual(w, n))
	for range 100 {
		w.market.Step(20 * time.Millisecond)
	}
	eventually(t, "the gateway's books after the market moved", byGateway.allEqual(w, n))
	eventually(t, "the single process's books after the market moved", bySingle.allEqual(w, n))
	if g, s := byGateway.client.Stats(), bySingle.client.Stats(); g.ChecksumErrors+g.SequenceErrors+s.ChecksumErrors+s.SequenceErrors > 0 {
		t.Errorf("gateway %+v\nsingle %+v", g, s)
	}

	// From here the market stands still: a book is right or it is empty.
	byGateway.mu.Lock()
	before := len(byGateway.epochs)
	byGateway.check = func(u client.BookUpdate) error {
		if len(u.Bids) == 0 && len(u.Asks) == 0 {
			return nil
		}
		return equal(u, w)
	}
	byGateway.mu.Unlock()
	feed.kill()
	eventually(t, "books withdrawn", func() error {
		byGateway.mu.Lock()
		defer byGateway.mu.Unlock()
		for _, u := range byGateway.latest {
			if len(u.Bids)+len(u.Asks) > 0 {
				return fmt.Errorf("%s at %s is still shown", u.Symbol, u.Venue)
			}
		}
		return nil
	})
	launch(t, "serve", "--config", path, "--role", "feed", "--node", "a", "--nats-listen", strings.TrimPrefix(nats, "nats://"))
	eventually(t, "books back", byGateway.allEqual(w, n))
	byGateway.mu.Lock()
	defer byGateway.mu.Unlock()
	if byGateway.err != nil {
		t.Errorf("a wrong book was shown: %v", byGateway.err)
	}
	if len(byGateway.epochs) < before+2 {
		t.Errorf("%d epochs before the feed node was killed, %d after it came back", before, len(byGateway.epochs))
	}
	if s := byGateway.client.Stats(); s.ChecksumErrors+s.SequenceErrors > 0 {
		t.Errorf("gateway's client: %+v", s)
	}
}

// laneMarks is a lane that keeps the watermarks it is given.
type laneMarks struct{ marks []int64 }

func (l *laneMarks) Update(*orderbook.Update) {}
func (l *laneMarks) Flush()                   {}
func (l *laneMarks) Watermark(until int64)    { l.marks = append(l.marks, until) }

// Every lane of a gateway learns how far bars are final, from any update or from a
// watermark that comes by itself, a second late and each time once.
func TestLaneRouterMarks(t *testing.T) {
	a, b := &laneMarks{}, &laneMarks{}
	r := &laneRouter{lanes: []orderbook.Sink{a, b}}
	const second = int64(time.Second)
	r.Update(&orderbook.Update{Instrument: 1, Watermark: 5 * second})
	r.Watermark(5 * second)
	r.Watermark(9 * second)
	r.Update(&orderbook.Update{Instrument: 2, Watermark: 8 * second})
	for i, l := range []*laneMarks{a, b} {
		if !slices.Equal(l.marks, []int64{4 * second, 8 * second}) {
			t.Errorf("lane %d: %v", i, l.marks)
		}
	}
}
