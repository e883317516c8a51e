package normalizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

func TestNewNamesTheKnownProviders(t *testing.T) {
	if got := Providers(); !slices.IsSorted(got) || len(got) < 3 {
		t.Errorf("providers %v", got)
	}
	_, err := New("poligon", Config{Directory: market.NewDirectory(), Feed: "a"})
	if err == nil {
		t.Fatal("no error for an unknown provider")
	}
	for _, p := range Providers() {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error does not name %s: %v", p, err)
		}
		if _, err := New(p, Config{Feed: "a"}); err == nil {
			t.Errorf("%s: no error without a Directory", p)
		}
		if _, err := New(p, Config{Directory: market.NewDirectory()}); err == nil {
			t.Errorf("%s: no error without a Feed", p)
		}
	}
}

func TestNewRegistersTheFeedAndStampsIt(t *testing.T) {
	dir := market.NewDirectory()
	if _, err := New("kraken", Config{Directory: dir, Feed: "first"}); err != nil {
		t.Fatal(err)
	}
	d, err := New("polygon", Config{Directory: dir, Feed: "second"})
	if err != nil {
		t.Fatal(err)
	}
	events, err := d.Decode(nil, frame("["+polygonT+"]"))
	if err != nil {
		t.Fatal(err)
	}
	if dir.FeedName(1) != "first" || events[0].Feed != 2 || dir.FeedName(2) != "second" || events[0].Received != received {
		t.Errorf("feeds %q, %q; event's %d, received %d", dir.FeedName(1), dir.FeedName(2), events[0].Feed, events[0].Received)
	}
}

func TestControlFramesBecomeEvents(t *testing.T) {
	for _, p := range Providers() {
		r := newRig(t, p)
		for k, want := range map[feeds.FrameKind]market.Kind{feeds.Up: market.KindUp, feeds.Down: market.KindDown,
			feeds.Stale: market.KindStale, feeds.Lost: market.KindGap} {
			events := r.control(k)
			if len(events) != 1 || events[0].Kind != want || events[0].Instrument != 0 || events[0].Feed != 1 || events[0].Received != received {
				t.Errorf("%s: %s became %+v", p, k, events)
			}
		}
		var refusal *Refusal
		if _, err := r.d.Decode(nil, feeds.Frame{Kind: 99}); !errors.As(err, &refusal) {
			t.Errorf("%s: unknown frame kind: %v", p, err)
		}
	}
}

func TestOversizedFrameIsRefused(t *testing.T) {
	for _, p := range Providers() {
		newRig(t, p).refuse(CauseOversized, strings.Repeat(" ", maxFrame+1))
	}
}

func TestSymbolsOfAFeedAreBounded(t *testing.T) {
	for provider, message := range map[string]string{
		"polygon":  `[{"ev":"T","sym":"%s","p":1,"s":1,"x":1,"t":1764599400123}]`,
		"kraken":   `{"channel":"trade","type":"update","data":[{"symbol":"%s/USD","side":"buy","price":2,"qty":1,"trade_id":7,"timestamp":"2023-09-25T07:49:37.708706Z"}]}`,
		"coinbase": `{"type":"heartbeat","last_trade_id":1,"product_id":"%s-USD"}`,
	} {
		r := newRig(t, provider)
		switch d := r.d.(type) { // as if all symbols but one had been seen
		case *polygon:
			d.symbols.order = make([]*polygonListing, maxSymbols-1)
		case *kraken:
			d.pairs.order = make([]*krakenPair, maxSymbols-1)
		case *coinbase:
			d.products.order = make([]*coinbaseProduct, maxSymbols-1)
		}
		r.decode(fmt.Sprintf(message, "LAST"))
		r.refuse(CauseOversized, fmt.Sprintf(message, "TOOMANY"))
		r.decode(fmt.Sprintf(message, "LAST"))
		if n := len(r.dir.Instruments(0)); n != 1 {
			t.Errorf("%s: %d instruments", provider, n)
		}
	}
}

func TestRefusalDetailIsBounded(t *testing.T) {
	_, refusal := newRig(t, "polygon").refuse(CauseUnknownType, `[{"ev":"`+strings.Repeat("x", 1<<20)+`"}]`)
	if len(refusal.Detail) > 200 {
		t.Errorf("detail of %d bytes", len(refusal.Detail))
	}
}

func TestVenueSymbolFromAnyGoroutine(t *testing.T) {
	r := newRig(t, "kraken")
	done := make(chan bool)
	go func() {
		defer close(done)
		for id := range market.InstrumentID(1000) {
			r.d.VenueSymbol(id)
		}
	}()
	for i := range 200 {
		r.decode(strings.ReplaceAll(krakenSnapshot, "BTC", fmt.Sprintf("B%d", i)))
	}
	<-done
}

func TestNoAllocationsPerEvent(t *testing.T) {
	for name, c := range map[string]struct {
		provider string
		payloads []string
	}{
		"polygon":  {"polygon", []string{string(polygonTrades(20)), string(polygonQuotes(20)), `[{"ev":"AM","sym":"AAPL","v":41100,"av":9470157,"vw":272.02,"o":272.0,"c":272.05,"h":272.1,"l":271.9,"s":1764599400000,"e":1764599460000}]`, `[{"ev":"XL2","pair":"BTC-USD","t":1610462411115,"x":1,"b":[[33712.71,0.18635]],"a":[[33718.23,3.5527483]]},{"ev":"XT","pair":"BTC-USD","p":43575.6,"t":1706649628023,"s":4.522e-05,"c":[2],"i":"1b254a48-7258-4465-8215-2610ccf9ab21","x":23}]`}},
		"kraken":   {"kraken", []string{krakenSnapshot, krakenUpdate, `{"channel":"heartbeat"}`, fmt.Sprintf(krakenPairs, "online"), fmt.Sprintf(krakenAck, 10)}},
		"coinbase": {"coinbase", []string{coinbaseSnapshot, coinbaseUpdate, coinbaseMatch, coinbaseStatus}},
		"escapes":  {"coinbase", []string{strings.Replace(coinbaseMatch, "BTC-USD", `BTC\u002dUSD`, 1)}},
	} {
		r := newRig(t, c.provider)
		dst := r.decode(c.payloads...)
		dst = append(dst, r.decode(c.payloads...)...)
		var frames []feeds.Frame
		for _, p := range c.payloads {
			frames = append(frames, frame(p))
		}
		if n := testing.AllocsPerRun(100, func() {
			dst = dst[:0]
			for _, f := range frames {
				dst, _ = r.d.Decode(dst, f)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
