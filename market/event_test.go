package market_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/quotewire/quotewire/market"
)

// TestEventSize holds what every batch costs.
func TestEventSize(t *testing.T) {
	if n := unsafe.Sizeof(market.Event{}); n > 208 {
		t.Errorf("an event has %d bytes", n)
	}
}

func TestTradeID(t *testing.T) {
	uuid := "1b254a48-7258-4465-8215-2610ccf9ab21"
	id, ok := market.MakeTradeID(uuid)
	if !ok || id.String() != uuid || id.IsZero() || string(id.Append([]byte("x"))) != "x"+uuid {
		t.Errorf("got %q, %t", id.String(), ok)
	}
	if other, _ := market.MakeTradeID([]byte(uuid)); other != id {
		t.Error("identifiers of the same text differ")
	}
	if id, ok := market.MakeTradeID(strings.Repeat("9", 41)); ok || len(id.String()) != 40 {
		t.Errorf("overlong: %q, %t", id.String(), ok)
	}
	if id, ok := market.MakeTradeID(""); !ok || !id.IsZero() {
		t.Error("empty")
	}
	seen := make(map[uint64]string)
	for i := range 100_000 {
		for _, text := range []string{strconv.Itoa(i), uuid[:31] + fmt.Sprintf("%05x", i)} {
			id, _ := market.MakeTradeID(text)
			for venue := range uint64(2) {
				h, name := id.Hash(venue), fmt.Sprint(venue, " ", text)
				if other, ok := seen[h]; ok {
					t.Fatalf("%s and %s have the same hash", name, other)
				}
				seen[h] = name
			}
		}
	}
}

func TestSides(t *testing.T) {
	for _, c := range []struct {
		side           market.Side
		name, agressor string
		opposite       market.Side
	}{
		{market.SideBid, "bid", "buy", market.SideAsk},
		{market.SideAsk, "ask", "sell", market.SideBid},
		{market.SideNone, "", "", market.SideNone},
	} {
		if c.side.String() != c.name || c.side.Aggressor() != c.agressor || c.side.Opposite() != c.opposite {
			t.Errorf("%d: %q, %q, %d", c.side, c.side.String(), c.side.Aggressor(), c.side.Opposite())
		}
	}
}

func TestNamesOfEnumerations(t *testing.T) {
	for got, want := range map[string]string{
		market.KindNone.String(): "none", market.KindHeartbeat.String(): "heartbeat", market.Kind(200).String(): "unknown",
		market.StatusRestricted.String(): "restricted", market.ClassFuture.String(): "future",
		market.Scale{Price: 2, Size: 8}.String(): "2/8",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if market.TradingStatus(99).String() != "unknown" || market.Class(99).String() != "unknown" {
		t.Error("numbers out of range have no name")
	}
	seen := map[string]bool{}
	for k := market.KindNone; k <= market.KindHeartbeat; k++ {
		if s := k.String(); s == "unknown" || seen[s] {
			t.Errorf("kind %d is called %q", k, s)
		}
		seen[k.String()] = true
	}
}

func TestEventHas(t *testing.T) {
	e := market.Event{Flags: market.FlagLast | market.FlagNBBO}
	if !e.Has(market.FlagLast) || !e.Has(market.FlagLast|market.FlagNBBO) || e.Has(market.FlagLast|market.FlagPrior) {
		t.Error("Has asks for all of the flags")
	}
}
