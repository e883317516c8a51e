package market_test

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/quotewire/quotewire/market"
)

func TestConditionsTheStrictestWins(t *testing.T) {
	for _, c := range []struct {
		name                  string
		conditions            []market.Condition
		flags                 market.Flags
		highLow, last, volume bool
	}{
		{"no condition is a regular print", nil, 0, true, true, true},
		{"intermarket sweep", []market.Condition{14}, 0, true, true, true},
		{"odd lot", []market.Condition{37}, 0, false, false, true},
		{"sweep of an odd lot: volume only", []market.Condition{14, 37}, 0, false, false, true},
		{"the order does not matter", []market.Condition{37, 14}, 0, false, false, true},
		{"form T", []market.Condition{12}, 0, false, false, true},
		{"official close", []market.Condition{15}, 0, false, false, false},
		{"corrected close", []market.Condition{38}, 0, true, true, false},
		{"sold out of sequence", []market.Condition{33}, 0, true, false, true},
		{"unknown codes change nothing", []market.Condition{58, 60000}, 0, true, true, true},
		{"trade-through exempt", []market.Condition{14, 41}, 0, true, true, true},
		{"exempt and odd", []market.Condition{41, 37}, 0, false, false, true},
		{"option cancelled", []market.Condition{203}, 0, false, false, false},
		{"option late", []market.Condition{202}, 0, true, false, true},
		{"corrected close out of hours", []market.Condition{38, 12}, 0, false, false, false},
		{"from before the subscription", nil, market.FlagPrior, false, true, false},
	} {
		e := market.Event{Flags: c.flags, NumConditions: uint8(len(c.conditions))}
		copy(e.Conditions[:], c.conditions)
		if h, l, v := e.Updates(); h != c.highLow || l != c.last || v != c.volume {
			t.Errorf("%s: high/low %t, last %t, volume %t; want %t, %t, %t", c.name, h, l, v, c.highLow, c.last, c.volume)
		}
	}
}

func TestValuesUpdateNoVolume(t *testing.T) {
	for v, want := range map[market.ValueKind][3]bool{
		market.ValueIndex: {true, true, false}, market.ValueLast: {false, true, false}, market.ValueFair: {}, market.ValueNone: {},
	} {
		e := market.Event{Kind: market.KindValue, Value: v}
		if h, l, vol := e.Updates(); [3]bool{h, l, vol} != want {
			t.Errorf("%v: %t, %t, %t, want %t", v, h, l, vol, want)
		}
	}
	if s := market.ValueFair.String() + market.ValueKind(99).String(); s != "fairunknown" {
		t.Error(s)
	}
}

// TestEventSize holds what every batch costs.
func TestEventSize(t *testing.T) {
	if n := unsafe.Sizeof(market.Event{}); n > 208 {
		t.Errorf("an event has %d bytes", n)
	}
}

func TestConditionNames(t *testing.T) {
	for c, want := range map[market.Condition]string{0: "regular", 37: "odd_lot", 41: "trade_through_exempt", 58: "cond_58", 65535: "cond_65535"} {
		if got := c.String(); got != want {
			t.Errorf("%d: %q, want %q", uint16(c), got, want)
		}
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
