package streamer

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

func TestSnapshotPage(t *testing.T) {
	s := serve(t, Config{Lanes: 2})
	s.book("BTC-USD", "kraken", 1000, 15)
	s.book("BTC-USD", "coinbase", 1001, 1)
	s.apply(s.print("BTC-USD", "kraken", 1000, 3))
	s.applied()
	snapshot := func(path string) *wire.Snapshot {
		t.Helper()
		status, header, body := s.get("/v1/snapshot/" + path)
		m, err := wire.Parse([]byte(body))
		snap, ok := m.(*wire.Snapshot)
		if status != http.StatusOK || err != nil || !ok || header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %d %v %s", path, status, err, body)
		}
		if strings.Contains(body, `"sid"`) {
			t.Errorf("%s names a stream: %s", path, body)
		}
		return snap
	}
	if m := snapshot("book/BTC-USD"); len(m.Bids) != 10 || m.Bids[0].Price != "100" || m.Bids[0].Venues != nil || m.CRC == nil {
		t.Errorf("book is %+v", m)
	}
	if m := snapshot("book/BTC-USD?depth=0&venues=true"); len(m.Bids) != 16 || m.Bids[0].Venues["coinbase"] != "10" {
		t.Errorf("book is %+v", m)
	}
	if m := snapshot("book/BTC-USD?depth=2&venue=kraken"); len(m.Bids) != 2 || m.Bids[0].Price != "99.9" || m.Venue != "kraken" {
		t.Errorf("book is %+v", m)
	}
	if m := snapshot("book/BTC-USD?depth=1&group=0.50"); len(m.Bids) != 1 || m.Bids[0].Price != "100" || m.Asks[0].Price != "100.5" {
		t.Errorf("book is %+v", m)
	}
	if m := snapshot("quote/BTC-USD"); m.Bid.Value != "100" || m.Ask.Value != "100.1" || m.Seq != 3 {
		t.Errorf("quote is %+v", m)
	}
	if m := snapshot("ticker/BTC-USD"); m.Last.Value != "100" || m.Volume.Value != "3" {
		t.Errorf("ticker is %+v", m)
	}
	if m := snapshot("trade/BTC-USD"); len(m.Events) != 1 || m.Seq != 1 {
		t.Errorf("trade is %+v", m)
	}
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"alert/BTC-USD":                {404, wire.CodeUnknownChannel},
		"nothing/BTC-USD":              {404, wire.CodeUnknownChannel},
		"book/NONE":                    {404, wire.CodeUnknownSymbol},
		"book/BTC-USD?venue=nowhere":   {404, wire.CodeBadRequest},
		"ticker/BTC-USD?venue=kraken":  {400, wire.CodeBadRequest},
		"book/BTC-USD?depth=1001":      {400, wire.CodeInvalidDepth},
		"book/BTC-USD?group=0":         {400, wire.CodeBadRequest},
		"book/BTC-USD?depth=ten":       {400, wire.CodeInvalidDepth},
		"book/BTC-USD?depth=-1":        {400, wire.CodeInvalidDepth},
		"book/%22%5C%00?venue=kraken&": {404, wire.CodeUnknownSymbol},
	} {
		status, _, body := s.get("/v1/snapshot/" + path)
		if e := decode[wire.Error](t, body); status != want.status || e.Code != want.code {
			t.Errorf("%s: %d %s, want %+v", path, status, body, want)
		}
	}
	if n := len(s.hub.lanes[0].topics) + len(s.hub.lanes[1].topics); n != 0 {
		t.Errorf("%d topics were left", n)
	}
}

func TestSnapshotIsNotSentTwice(t *testing.T) {
	s := serve(t, Config{})
	s.book("BTC-USD", "kraken", 1000, 2)
	const path = "/v1/snapshot/quote/BTC-USD"
	_, header, _ := s.get(path)
	tag := header.Get("ETag")
	if tag != `"9f2c-1"` {
		t.Fatalf("ETag is %s", tag)
	}
	for given, want := range map[string]int{
		tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"9f2c-2"`: 200, "9f2c-1": 200, "": 200,
	} {
		status, header, body := s.get(path, "If-None-Match", given)
		if status != want || (status == 304) != (body == "") || header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d %q, want %d", given, status, body, want)
		}
	}
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 1))
	s.applied()
	if status, header, _ := s.get(path, "If-None-Match", tag); status != 200 || header.Get("ETag") != `"9f2c-2"` {
		t.Errorf("after a change: %d %s", status, header.Get("ETag"))
	}
}

func TestPages(t *testing.T) {
	var unready atomic.Bool
	s := serve(t, Config{Lanes: 2, Server: "test/1", Status: func() map[string]any { return map[string]any{"feeds": []string{"feed"}} }, Ready: func() error {
		if unready.Load() {
			return errors.New("no feed is up")
		}
		return nil
	}})
	if _, _, body := s.get("/v1/symbols"); body != "{\"symbols\":[]}\n" {
		t.Errorf("symbols before any: %s", body)
	}
	s.book("BTC-USD", "kraken", 1000, 2)
	s.book("ETH-USD", "kraken", 1000, 2)
	down := market.Event{Kind: market.KindDown, Feed: market.FeedID(s.venue("coinbase")), Received: 5}
	s.book("BTC-USD", "coinbase", 1000, 2)
	s.shards[s.symbol("BTC-USD")%2].Apply([]market.Event{down})
	s.sinks[s.symbol("BTC-USD")%2].Flush()
	s.applied()
	s.symbol("XRP-USD") // known, never heard of

	_, _, body := s.get("/v1/symbols")
	list := decode[struct{ Symbols []SymbolInfo }](t, body).Symbols
	if len(list) != 3 || list[0].Symbol != "BTC-USD" || len(list[0].Venues) != 2 || list[0].State != "live" || list[0].PriceDecimals != 1 ||
		list[0].Class != "crypto" || list[2].State != "none" || list[2].Venues == nil {
		t.Errorf("symbols: %s", body)
	}
	_, _, body = s.get("/v1/status")
	status := decode[struct {
		Server string
		Time   int64
		Venues []VenueHealth
		Feeds  []string
	}](t, body)
	if status.Server != "test/1" || status.Time == 0 || len(status.Feeds) != 1 || len(status.Venues) != 2 ||
		status.Venues[0].Venue != "kraken" || status.Venues[0].Instruments["live"] != 2 || status.Venues[1].Instruments["down"] != 1 {
		t.Errorf("status: %s", body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _, body := s.get(path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	unready.Store(true)
	if status, _, body := s.get("/readyz"); status != 503 || !strings.Contains(body, "no feed is up") {
		t.Errorf("readyz: %d %s", status, body)
	}
	s.stop()
	unready.Store(false)
	for _, path := range []string{"/readyz", "/v1/symbols", "/v1/status", "/v1/snapshot/quote/BTC-USD", "/v1/stream"} {
		if status, _, body := s.get(path, "Connection", "upgrade", "Upgrade", "websocket"); status != 503 {
			t.Errorf("%s after the end: %d %s", path, status, body)
		}
	}
	if status, _, _ := s.get("/healthz"); status != 200 {
		t.Errorf("healthz after the end: %d", status)
	}
}
