package streamer

import (
	"bytes"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// At a gateway the watermark comes later than where bars are made: one that was
// revised there in the meantime is final here as it was revised, not as it was before.
func TestBarRevisedBeforeItIsFinalHere(t *testing.T) {
	dir := market.NewDirectory()
	id, err := dir.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	d := NewDirect(Config{Directory: dir, Now: func() int64 { return 20e9 }}, &out)
	r := wire.Request{Op: wire.OpSubscribe, ID: "1", Channel: wire.ChannelBar, Symbols: []string{"BTC-USD"}, Bar: "1s",
		Given: wire.FieldChannel | wire.FieldSymbols | wire.FieldBar}
	r.Resolve()
	if err := d.Subscribe(r); err != nil {
		t.Fatal(err)
	}
	bar := orderbook.Bar{Interval: orderbook.Second, Start: 10e9, End: 11e9, DayEnd: 1000e9}
	for seq := uint64(1); seq <= 3; seq++ {
		bar.Seq, bar.Trades = seq, seq
		if seq == 3 {
			bar.Rev = 1 // the node's watermark has passed it
		}
		d.Update(&orderbook.Update{Instrument: id, Epoch: 1, Seq: seq, Changed: orderbook.ChangedBars, Bars: []orderbook.Bar{bar}})
		d.Flush()
	}
	d.Watermark(11e9)
	d.Flush()
	final := ""
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		m, err := wire.Parse([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		b, ok := m.(*wire.Bar)
		switch {
		case !ok || b.State == "provisional":
		case b.State != "final" || final != "":
			t.Errorf("%s after %s", line, final)
		case b.Trades != 3 || b.Start != 10e6:
			t.Errorf("final is %s", line)
		default:
			final = line
		}
	}
	if final == "" {
		t.Errorf("no final bar in\n%s", out.String())
	}
}
