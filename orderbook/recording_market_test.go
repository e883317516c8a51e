package orderbook_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/capture"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// TestThreeVenuesAsOneMarket replays Kraken, Coinbase and Binance side by side,
// with Binance's dollar-tether pairs taken for dollar pairs, so that all three are
// venues of one instrument. Binance's recording has no snapshot: its book is never
// trusted, says so from its first message on, and takes no part in quote or depth.
func TestThreeVenuesAsOneMarket(t *testing.T) {
	data := sharedData(t)
	dir := market.NewDirectory()
	decoders := map[string]normalizer.Decoder{}
	var files []string
	for _, f := range [][2]string{{"kraken", "v2_BTC-ETH-USD_d10"}, {"coinbase", "exchange_BTC-ETH-USD"}, {"binance", "spot_BTC-ETH-USDT"}} {
		in, err := os.Open(filepath.Join(data, f[0], f[1]+"_2026-07-07.ndjson.zst"))
		if err != nil {
			t.Skipf("recording is absent: put the recordings into ../shared/data beside the repository: %v", err)
		}
		defer in.Close()
		path := filepath.Join(t.TempDir(), f[0])
		w, err := capture.Create(path, capture.Header{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := capture.Import(in, capture.NDJSON, f[0], f[0], w, capture.ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
		if decoders[f[0]], err = normalizer.New(f[0], normalizer.Config{Directory: dir, Feed: f[0]}); err != nil {
			t.Fatal(err)
		}
	}
	m := &marketSink{t: t, dir: dir, views: map[market.InstrumentID]*orderbook.View{}}
	shard := orderbook.NewShard(orderbook.Config{Directory: dir, Epoch: 1, Sinks: []orderbook.Sink{m}})
	usd := map[market.InstrumentID]market.InstrumentID{}
	src := &capture.Source{Files: files, Together: true}
	var events []market.Event
	err := src.Run(t.Context(), func(f feeds.Frame) error {
		events, _ = decoders[f.Feed].Decode(events[:0], f) // acknowledgements are refused, and no harm
		for i := range events {
			id := events[i].Instrument
			if _, ok := usd[id]; !ok {
				usd[id] = id
				if other := map[string]string{"BTCUSDT": "BTC-USD", "ETHUSDT": "ETH-USD", "BTC-USDT": "BTC-USD", "ETH-USDT": "ETH-USD"}[dir.Symbol(id)]; other != "" {
					usd[id], _ = dir.Instrument(other, market.ClassCrypto)
				}
			}
			events[i].Instrument = usd[id]
		}
		shard.Apply(events)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	binance, _ := dir.LookupVenue("binance")
	reports := shard.Quotes()
	if len(reports) != 2 {
		t.Fatalf("%d quotes, want those of BTC-USD and ETH-USD", len(reports))
	}
	for _, r := range reports {
		symbol := dir.Symbol(r.Instrument)
		v := m.views[r.Instrument]
		if w := v.Venue(binance); w == nil || w.State != orderbook.StateResyncing || w.Cause != orderbook.CauseConnected {
			t.Errorf("%s: binance is %+v", symbol, w)
		}
		if v.Quote.Counted != 2 {
			t.Errorf("%s: %d venues take part, want 2", symbol, v.Quote.Counted)
		}
		if r.Total < 20*time.Second || r.Changes < 100 {
			t.Errorf("%s: %+v", symbol, r)
		}
		for _, x := range r.Venues {
			out := x.Out[orderbook.ExcludedResyncing]
			if x.Venue == binance && (x.Why != orderbook.ExcludedResyncing || x.BestBid+x.BestAsk != 0 || out < r.Total-time.Second) {
				t.Errorf("%s: binance: %+v of %v", symbol, x, r.Total)
			}
			if x.Venue != binance && x.Why != orderbook.ExcludedNone {
				t.Errorf("%s: %s is out: %v", symbol, dir.VenueName(x.Venue), x.Why)
			}
		}
		t.Logf("%s: %v, locked %v, crossed %v in %d times", symbol, r.Total, r.Locked, r.Crossed, r.CrossedTimes)
	}
	if !m.told {
		t.Error("never said that binance is out")
	}
}

// marketSink checks each update for a venue that must not take part.
type marketSink struct {
	t      *testing.T
	dir    *market.Directory
	views  map[market.InstrumentID]*orderbook.View
	levels []orderbook.DepthLevel
	splits []orderbook.VenueSize
	told   bool
}

func (m *marketSink) Flush() {}

func (m *marketSink) Update(u *orderbook.Update) {
	v := m.views[u.Instrument]
	if v == nil {
		v = &orderbook.View{}
		m.views[u.Instrument] = v
	}
	if err := v.Apply(u); err != nil {
		m.t.Fatal(err)
	}
	for _, s := range u.Venues {
		m.told = m.told || m.dir.VenueName(s.Venue) == "binance" && s.State == orderbook.StateResyncing
	}
	check := func(vs []orderbook.VenueSize) {
		for _, x := range vs {
			if m.dir.VenueName(x.Venue) == "binance" {
				m.t.Fatalf("update %d: binance takes part", u.Seq)
			}
		}
	}
	check(v.Quote.BidVenues)
	check(v.Quote.AskVenues)
	for _, side := range []market.Side{market.SideBid, market.SideAsk} {
		m.levels, m.splits = v.AppendDepth(m.levels[:0], m.splits[:0], side, 5)
		check(m.splits)
	}
}
