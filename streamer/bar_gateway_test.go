package streamer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// gatewayBars is a client of one second's bars of BTC-USD, and what it was sent.
type gatewayBars struct {
	*Direct
	t   *testing.T
	id  market.InstrumentID
	out bytes.Buffer
}

func startGatewayBars(t *testing.T) *gatewayBars {
	t.Helper()
	g := &gatewayBars{t: t}
	dir := market.NewDirectory()
	var err error
	if g.id, err = dir.Instrument("BTC-USD", market.ClassCrypto); err != nil {
		t.Fatal(err)
	}
	g.Direct = NewDirect(Config{Directory: dir, Now: func() int64 { return 20e9 }}, &g.out)
	r := wire.Request{Op: wire.OpSubscribe, ID: "1", Channel: wire.ChannelBar, Symbols: []string{"BTC-USD"}, Bar: "1s",
		Given: wire.FieldChannel | wire.FieldSymbols | wire.FieldBar}
	r.Resolve()
	if err := g.Subscribe(r); err != nil {
		t.Fatal(err)
	}
	return g
}

// secondBar is the bar of a second, as it is after a number of changes of bars.
func secondBar(second int64, seq, trades uint64) orderbook.Bar {
	return orderbook.Bar{Interval: orderbook.Second, Start: second * 1e9, End: (second + 1) * 1e9, DayEnd: 1000e9, Seq: seq, Trades: trades}
}

func (g *gatewayBars) update(seq uint64, changed orderbook.Changed, scale market.Scale, bars ...orderbook.Bar) {
	g.Update(&orderbook.Update{Instrument: g.id, Epoch: 1, Seq: seq, Changed: orderbook.ChangedBars | changed, Scale: scale, Bars: bars})
	g.Flush()
}

// priced is a bar of one price.
func priced(b orderbook.Bar, p market.Price) orderbook.Bar {
	b.HasRange, b.High, b.Low = true, p, p
	return b
}

// sent renders what was sent since the last call, but for watermarks.
func (g *gatewayBars) sent() string {
	g.t.Helper()
	var list []string
	for line := range strings.SplitSeq(strings.TrimSpace(g.out.String()), "\n") {
		if line == "" {
			continue
		}
		m, err := wire.Parse([]byte(line))
		if err != nil {
			g.t.Fatal(err)
		}
		switch m := m.(type) {
		case *wire.Bar:
			list = append(list, fmt.Sprintf("%s %d rev %d in %d", m.State, m.Start/1e6, m.Rev, m.Trades))
			if m.High != "" && m.High != "50" {
				g.t.Errorf("a price that never was: %s", line)
			}
		case *wire.Snapshot:
			list = append(list, "snapshot")
		case *wire.Gap:
			list = append(list, m.Reason)
		}
	}
	g.out.Reset()
	return strings.Join(list, ", ")
}

// At a gateway the watermark comes later than where bars are made: one that was
// revised there in the meantime is final here as it was revised, not as it was before.
func TestBarRevisedBeforeItIsFinalHere(t *testing.T) {
	g := startGatewayBars(t)
	for seq := uint64(1); seq <= 3; seq++ {
		bar := secondBar(10, seq, seq)
		if seq == 3 {
			bar.Rev = 1 // the node's watermark has passed it
		}
		g.update(seq, 0, market.Scale{}, bar)
	}
	g.sent()
	g.Watermark(11e9)
	if got := g.sent(); got != "final 10 rev 1 in 3" {
		t.Errorf("at the watermark %s", got)
	}
}

// A snapshot in the place of updates that the bus lost holds the latest bar alone. The
// bars that changed meanwhile come before it, where the node still has them; those that
// are not final yet go on behind it, if no change of any is missing; and if one is,
// that is told.
func TestBarsBehindAGapOfTheBus(t *testing.T) {
	for name, tt := range map[string]struct {
		filler   []orderbook.Bar
		snapshot orderbook.Bar
		scale    market.Scale // of the snapshot
		sent     string
		next     []orderbook.Bar
		final    string
	}{
		"nothing changed": {snapshot: secondBar(11, 2, 1), final: "final 10 rev 0 in 1, final 11 rev 0 in 1, final 12 rev 0 in 0"},
		"nothing changed but the scale": {snapshot: priced(secondBar(11, 2, 1), 5000), scale: market.Scale{Price: 2}, next: []orderbook.Bar{priced(secondBar(12, 3, 9), 5000)},
			final: "provisional 12 rev 0 in 9, final 10 rev 0 in 1, final 11 rev 0 in 1, final 12 rev 0 in 9"},
		"all changes come": {
			filler:   []orderbook.Bar{secondBar(9, 3, 8), secondBar(10, 4, 5), secondBar(11, 6, 6), secondBar(12, 7, 2)},
			snapshot: secondBar(12, 7, 2),
			sent:     "revised 9 rev 1 in 8, provisional 10 rev 0 in 5, provisional 11 rev 0 in 6, provisional 12 rev 0 in 2",
			final:    "final 10 rev 0 in 5, final 11 rev 0 in 6, final 12 rev 0 in 2",
		},
		"no change comes":         {snapshot: secondBar(12, 7, 2), sent: "upstream_gap", final: "final 12 rev 0 in 2"},
		"the last change is lost": {filler: []orderbook.Bar{secondBar(10, 3, 5)}, snapshot: secondBar(12, 7, 2), sent: "provisional 10 rev 0 in 5, upstream_gap", final: "final 12 rev 0 in 2"},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGatewayBars(t)
			g.update(1, 0, market.Scale{}, priced(secondBar(10, 1, 1), 50))
			g.update(2, 0, market.Scale{}, priced(secondBar(11, 2, 1), 50))
			g.Watermark(10e9)
			g.sent()
			if len(tt.filler) > 0 {
				g.update(3, 0, market.Scale{}, tt.filler...)
			}
			g.update(9, orderbook.ChangedSnapshot, tt.scale, tt.snapshot)
			if got := g.sent(); got != tt.sent {
				t.Errorf("at the snapshot %q, want %q", got, tt.sent)
			}
			if len(tt.next) > 0 {
				g.update(10, 0, tt.scale, tt.next...)
			}
			g.Watermark(13e9)
			if got := g.sent(); got != tt.final {
				t.Errorf("at the watermark %q, want %q", got, tt.final)
			}
		})
	}
}

// What does not fit a finer scale does not go on either, and nor does what is of
// another epoch.
func TestBarsThatEndWithTheirScaleOrEpoch(t *testing.T) {
	g := startGatewayBars(t)
	g.update(1, 0, market.Scale{}, priced(secondBar(10, 1, 1), 1<<62))
	g.update(2, 0, market.Scale{}, secondBar(11, 2, 7))
	g.out.Reset()
	g.update(3, orderbook.ChangedScale, market.Scale{Price: 3})
	g.Watermark(9e9)
	if got := g.sent(); got != "snapshot" { // of what the view has
		t.Errorf("at the finer scale %s", got)
	}
	g.Watermark(12e9)
	if got := g.sent(); got != "final 11 rev 0 in 7" {
		t.Errorf("at the watermark %s", got)
	}
	g.update(4, 0, market.Scale{Price: 3}, secondBar(12, 3, 4))
	g.Update(&orderbook.Update{Instrument: g.id, Epoch: 2, Seq: 1, Changed: orderbook.ChangedBars | orderbook.ChangedSnapshot,
		Scale: market.Scale{Price: 3}, Bars: []orderbook.Bar{secondBar(13, 3, 1)}})
	g.sent()
	g.Watermark(14e9)
	if got := g.sent(); got != "final 13 rev 0 in 1" {
		t.Errorf("in another epoch %s", got)
	}
}
