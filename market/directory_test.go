package market_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/quotewire/quotewire/market"
)

func TestDirectoryInstruments(t *testing.T) {
	d := market.NewDirectory()
	a, err := d.Instrument("AAPL", market.ClassUnknown)
	if err != nil || a != 1 {
		t.Fatalf("first instrument: %d, %v", a, err)
	}
	b, err := d.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil || b != 2 {
		t.Fatalf("second instrument: %d, %v", b, err)
	}
	if again, _ := d.Instrument("AAPL", market.ClassStock); again != a {
		t.Errorf("the same symbol got %d, then %d", a, again)
	}
	if in := d.InstrumentByID(a); in.Class != market.ClassStock {
		t.Errorf("a class that became known was not taken: %+v", in)
	}
	if _, _ = d.Instrument("AAPL", market.ClassUnknown); d.InstrumentByID(a).Class != market.ClassStock {
		t.Error("a known class was lost")
	}
	if id, ok := d.Lookup("BTC-USD"); !ok || id != b || d.Symbol(b) != "BTC-USD" {
		t.Errorf("lookup: %d, %t, %q", id, ok, d.Symbol(b))
	}
	if _, ok := d.Lookup("MSFT"); ok {
		t.Error("an unknown symbol was found")
	}
	if d.Symbol(0) != "" || d.Symbol(3) != "" {
		t.Error("a symbol for a number that was never given out")
	}
	if got := d.Instruments(0); len(got) != 2 || got[0].ID != 1 || got[1].Symbol != "BTC-USD" {
		t.Errorf("instruments: %v", got)
	}
	if got := d.Instruments(1); len(got) != 1 || got[0].ID != 2 {
		t.Errorf("instruments after 1: %v", got)
	}
	if got := d.Instruments(7); got != nil {
		t.Errorf("instruments after the last: %v", got)
	}
}

func TestCheckSymbol(t *testing.T) {
	for _, s := range []string{"A", "BRK.B", "O:SPY261218C00700000", "I:SPX", "1INCH-USD", "AAPLx-USD", strings.Repeat("x", market.MaxSymbol)} {
		if err := market.CheckSymbol(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	d := market.NewDirectory()
	for _, s := range []string{"", "A B", "A\n", "A\"", `A\`, "*", "ETH-*", "é", "\x00", "\x7f", strings.Repeat("x", market.MaxSymbol+1), strings.Repeat("x", 1<<20)} {
		err := market.CheckSymbol(s)
		if err == nil {
			t.Errorf("%.20q: no error", s)
		} else if len(err.Error()) > 400 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
		if id, err := d.Instrument(s, market.ClassStock); err == nil || id != 0 {
			t.Errorf("%.20q: registered as %d", s, id)
		}
	}
}

func TestDirectoryVenuesAndFeeds(t *testing.T) {
	d := market.NewDirectory()
	if id, err := d.Venue("*"); err != nil || id != market.Consolidated || d.VenueName(id) != "*" {
		t.Errorf("consolidated: %d, %v", id, err)
	}
	if id, ok := d.LookupVenue("*"); !ok || id != market.Consolidated {
		t.Errorf("lookup of consolidated: %d, %t", id, ok)
	}
	nasdaq, err := d.Venue("XNAS")
	if err != nil || nasdaq != 1 {
		t.Fatalf("first venue: %d, %v", nasdaq, err)
	}
	kraken, _ := d.Venue("kraken")
	if again, _ := d.Venue("XNAS"); again != nasdaq || kraken != 2 || d.VenueName(kraken) != "kraken" {
		t.Errorf("venues: %d, %d, %q", again, kraken, d.VenueName(kraken))
	}
	if id, ok := d.LookupVenue("kraken"); !ok || id != kraken {
		t.Errorf("lookup: %d, %t", id, ok)
	}
	if _, ok := d.LookupVenue("XNYS"); ok || d.VenueName(9) != "" {
		t.Error("an unknown venue was found")
	}
	if _, err := d.Venue("two words"); err == nil {
		t.Error("no error for a bad venue name")
	}
	first, _ := d.Feed("us-stocks")
	second, _ := d.Feed("crypto")
	if again, _ := d.Feed("us-stocks"); first != 1 || second != 2 || again != 1 {
		t.Errorf("feeds: %d, %d, %d", first, second, again)
	}
	if d.FeedName(2) != "crypto" || d.FeedName(0) != "" || d.FeedName(3) != "" {
		t.Error("feed names")
	}
}

func TestDirectoryVenuesAreBounded(t *testing.T) {
	d := market.NewDirectory()
	for i := range 1<<16 - 1 {
		if _, err := d.Venue(fmt.Sprintf("v%d", i)); err != nil {
			t.Fatalf("venue %d: %v", i, err)
		}
	}
	if id, err := d.Venue("one-more"); err == nil {
		t.Errorf("got number %d, want an error", id)
	}
	if id, err := d.Venue("v0"); err != nil || id != 1 {
		t.Errorf("a known venue: %d, %v", id, err)
	}
}

func TestDirectoryIsSafeForConcurrentUse(t *testing.T) {
	d := market.NewDirectory()
	const goroutines, symbols = 8, 500
	ids := make([][]market.InstrumentID, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range symbols {
				name := fmt.Sprintf("S%d", (i+g*61)%symbols)
				id, err := d.Instrument(name, market.ClassStock)
				if err != nil || d.Symbol(id) != name {
					t.Errorf("%s: %d, %v", name, id, err)
				}
				v, err := d.Venue(fmt.Sprintf("V%d", i%50))
				if err != nil || d.VenueName(v) == "" {
					t.Errorf("venue: %v", err)
				}
				d.Feed(fmt.Sprintf("F%d", i%5))
				d.Lookup(name)
				d.LookupVenue("V1")
				d.Instruments(market.InstrumentID(symbols - 3))
			}
			for i := range symbols {
				id, _ := d.Lookup(fmt.Sprintf("S%d", i))
				ids[g] = append(ids[g], id)
			}
		})
	}
	wg.Wait()
	seen := map[market.InstrumentID]bool{}
	for i, id := range ids[0] {
		if id == 0 || int(id) > symbols || seen[id] {
			t.Errorf("S%d has number %d", i, id)
		}
		seen[id] = true
		for g := range ids {
			if ids[g][i] != id {
				t.Errorf("S%d is %d and %d", i, id, ids[g][i])
			}
		}
	}
}
