package web_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/web"
)

// TestGuardedServer: the page's modules against a server with keys, over a real
// socket: without a key and with a wrong one they stop, with the right one they are
// let in, and when it is taken back they stop again. No address holds a key.
func TestGuardedServer(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	if out, err := exec.Command(node, "--experimental-websocket", "-e", "new WebSocket('ws://127.0.0.1:1').onerror = () => {}").CombinedOutput(); err != nil {
		t.Skipf("this node has no WebSocket: %s", out)
	}
	plans := map[string]auth.Plan{"all": {Grants: []auth.Grant{{Symbols: []string{"*"}}}}}
	guard, err := auth.New(t.Context(), auth.Config{Plans: plans, Keys: []auth.Key{{Name: "k", Hash: auth.HashKey("right"), Plan: "all"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	dir := market.NewDirectory()
	hub := streamer.NewHub(streamer.Config{Directory: dir, Access: guard})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	var mu sync.Mutex
	var asked []string
	mux := http.NewServeMux()
	mux.Handle("/v1/", hub.Handler())
	mux.Handle("/", web.Handler())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.String())
		mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	defer func() {
		server.Close()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	btc, err := dir.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	kraken, err := dir.Venue("kraken")
	if err != nil {
		t.Fatal(err)
	}
	sink := hub.Sink(0)
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 1, Sinks: []orderbook.Sink{sink}})
	head := market.Event{Feed: 1, Venue: kraken, Instrument: btc, PriceDecimals: 1, Received: time.Now().UnixNano()}
	begin, bid := head, head
	begin.Kind, begin.Flags = market.KindClear, market.FlagSnapshot
	bid.Kind, bid.Side, bid.Price, bid.Size, bid.Flags = market.KindLevel, market.SideBid, 999, 1, market.FlagLast
	shard.Apply([]market.Event{begin, bid})
	sink.Flush()

	page := exec.CommandContext(ctx, node, "--experimental-websocket", "test/guarded.mjs", server.URL)
	var faults bytes.Buffer
	page.Stderr = &faults
	out, err := page.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := page.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if said = append(said, lines.Text()); lines.Text() == "live" {
			if err := guard.Replace(ctx, auth.Config{Plans: plans}); err != nil {
				t.Fatal(err)
			}
			hub.Reauthorize()
		}
	}
	if err := page.Wait(); err != nil || strings.Join(said, " ") != "live locked" {
		t.Fatalf("%v %q\n%s", err, said, faults.Bytes())
	}
	mu.Lock()
	defer mu.Unlock()
	for _, address := range asked {
		if strings.Contains(address, "?") || strings.Contains(address, "right") || strings.Contains(address, "wrong") {
			t.Errorf("%s was asked for", address)
		}
	}
	if len(asked) < 6 {
		t.Errorf("asked for %q", asked)
	}
}
