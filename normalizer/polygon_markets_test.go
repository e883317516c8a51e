package normalizer

import (
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	polygonLULD = `{"ev":"LULD","T":"MSFT","h":432.6,"l":391.4,"i":[17],"z":3,"t":1764599400000000,"q":2}`
	polygonNOI  = `{"ev":"NOI","T":"IBM","t":1764599000223013600,"at":930,"a":"M","i":44,"x":10,"o":4800,"p":4400,"b":305.03}`
	polygonC    = `{"ev":"C","p":"EUR/USD","x":48,"a":1.16012,"b":1.16008,"t":1764599400784}`
	polygonCA   = `{"ev":"CA","pair":"EUR/USD","o":1.16,"c":1.1601,"h":1.16014,"l":1.1599,"v":61,"s":1764599400000,"e":1764599460000}`
	polygonV    = `{"ev":"V","val":6812.4,"T":"I:SPX","t":1764599400130}`
	polygonFMV  = `{"ev":"FMV","fmv":272.015,"sym":"AAPL","t":1764599400123456789}`
	polygonXA   = `{"ev":"XA","pair":"BTC-USD","v":1.5,"vw":90000.5,"z":1,"o":90000,"c":90001,"h":90002,"l":89999,"s":1610463240000,"e":1610463300000}`
	futureT     = `{"ev":"T","sym":"ESZ6","p":6852.25,"s":1,"t":1764599400379,"q":94739}`
	futureQ     = `{"ev":"Q","sym":"ESZ6","bp":6852.25,"bs":1,"bt":1764599400370,"ap":6852.5,"as":4,"at":1764599400379,"t":1764599400380}`
	futureAM    = `{"ev":"AM","sym":"ESZ6","v":10,"dv":"10.0","o":6852,"c":6853,"h":6854,"l":6851,"n":7,"s":1764599400000,"e":1764599460000}`
)

func up(r *rig, url string) {
	r.tb.Helper()
	if _, err := r.d.Decode(nil, feeds.Frame{Kind: feeds.Up, Feed: "test", URL: url, Received: received}); err != nil {
		r.tb.Fatal(err)
	}
}

func TestPolygonFutures(t *testing.T) {
	for url, venue := range map[string]string{
		"":                                    "futures", // told by the digit
		"wss://socket.massive.com/futures":    "futures",
		"wss://business.polygon.io/futures/x": "futures",
		"wss://socket.polygon.io/futures/cme": "XCME",
		"wss://x/futures/cbot/":               "XCBT",
		"wss://x/futures/nymex":               "XNYM",
		"wss://x/futures/comex?a=b":           "XCEC",
	} {
		r := newRig(t, "polygon")
		up(r, url)
		events := r.decode("["+futureT+"]", "["+futureQ+"]", "["+futureAM+"]")
		r.want(events,
			"trade ESZ6 @"+venue+" 6852.25x1  id= +last",
			"quote ESZ6 @"+venue+" 6852.25x1@* 6852.50x4@* +last",
			"bar ESZ6 @"+venue+" o=6852 h=6854 l=6851 c=6853 vw=0 v=10 day=0 +minute +last")
		id := events[0].Instrument
		if c := r.dir.InstrumentByID(id).Class; c != market.ClassFuture {
			t.Errorf("%s: class %s", url, c)
		}
		if events[1].Time != 1764599400380000000 {
			t.Errorf("%s: quote's time %d", url, events[1].Time)
		}
	}
}

func TestPolygonMarketDecidesTheClass(t *testing.T) {
	for url, want := range map[string]market.Class{
		"wss://socket.polygon.io/stocks":  market.ClassStock,
		"wss://socket.polygon.io/futures": market.ClassFuture,
		"wss://127.0.0.1:1/base":          market.ClassFuture, // not a market: told by the digit
	} {
		r := newRig(t, "polygon")
		up(r, url)
		e := r.decode("[" + futureT + "]")[0]
		if c := r.dir.InstrumentByID(e.Instrument).Class; c != want {
			t.Errorf("%s: class %s, want %s", url, c, want)
		}
	}
}

// A spread of two contracts trades below zero and at zero.
func TestPolygonSpreadsHaveSignedPrices(t *testing.T) {
	r := newRig(t, "polygon")
	spread := func(s string) string { return "[" + strings.Replace(s, "ESZ6", "ESZ6-ESH7", 1) + "]" }
	r.want(r.decode(
		spread(strings.Replace(futureT, "6852.25", "-55.10", 1)),
		spread(strings.NewReplacer("6852.25", "-55.1", "6852.5", "0", `,"t":1764599400380`, "").Replace(futureQ))),
		"trade ESZ6-ESH7 @futures -55.10x1  id= +last",
		"quote ESZ6-ESH7 @futures -55.1x1@* 0.0x4@* +last")
	events := r.decode(spread(strings.NewReplacer(`,"t":1764599400380`, "").Replace(futureQ)))
	if events[0].Time != 1764599400379000000 {
		t.Errorf("without t the later side's time counts, not %d", events[0].Time)
	}
	r.refuse(CauseMissingField, spread(strings.NewReplacer(`"bt":1764599400370,`, "", `"at":1764599400379,"t":1764599400380`, `"n":1`).Replace(futureQ)))
}

func TestPolygonCurrencies(t *testing.T) {
	r := newRig(t, "polygon")
	r.want(r.decode("["+polygonC+"]", "["+polygonCA+"]", strings.Replace("["+polygonC+"]", `"b":1.16008,`, "", 1), strings.Replace("["+polygonC+"]", `1.16012`, "0", 1)),
		"quote EUR-USD @forex 1.16008x1@* 1.16012x1@* +nosize +last",
		"bar EUR-USD @forex o=1.16000 h=1.16014 l=1.15990 c=1.16010 vw=0.00000 v=0 day=0 +minute +last",
		"quote EUR-USD @forex 0.00000x0@* 1.16012x1@* +nosize +last",
		"quote EUR-USD @forex 1.16008x1@* 0.00000x0@* +nosize +last")
	id, _ := r.dir.Lookup("EUR-USD")
	if c := r.dir.InstrumentByID(id).Class; c != market.ClassForex {
		t.Errorf("class %s", c)
	}
}

func TestPolygonImbalanceOfSellers(t *testing.T) {
	r := newRig(t, "polygon")
	r.want(r.decode("["+polygonNOI+"]", "["+strings.Replace(polygonNOI, "4800", "-4800", 1)+"]", `[{"ev":"NOI","T":"IBM","t":1764599000223013600,"o":0}]`),
		"imbalance IBM @XNYS 4800 paired=4400 price=305.03 auction=M@930 +last",
		"imbalance IBM @XNYS ask 4800 paired=4400 price=305.03 auction=M@930 +last",
		"imbalance IBM @sip 0 paired=0 price=0 auction=\x00@0 +last")
}

func TestPolygonRefusalsOfOtherMarkets(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		cause   Cause
	}{
		"bands without symbol":     {one(polygonLULD, `"T":"MSFT",`, ``), CauseMissingField},
		"bands without high":       {one(polygonLULD, `"h":432.6,`, ``), CauseMissingField},
		"bands with bad low":       {one(polygonLULD, `391.4`, `"x"`), CauseBadNumber},
		"bands out of range":       {one(polygonLULD, `391.4`, `1e-18`), CauseBadNumber},
		"bands with bad indicator": {one(polygonLULD, `[17]`, `["x"]`), CauseBadValue},
		"bands without time":       {one(polygonLULD, `"t":1764599400000000,`, ``), CauseMissingField},
		"imbalance without size":   {one(polygonNOI, `"o":4800,`, ``), CauseBadNumber},
		"imbalance at 25:00":       {one(polygonNOI, `930`, `2500`), CauseBadNumber},
		"imbalance at 9:61":        {one(polygonNOI, `930`, `961`), CauseBadNumber},
		"imbalance of no auction":  {one(polygonNOI, `"M"`, `"MM"`), CauseBadValue},
		"imbalance with bad price": {one(polygonNOI, `305.03`, `-1`), CauseBadNumber},
		"imbalance with bad pair":  {one(polygonNOI, `4400`, `-1`), CauseBadNumber},
		"imbalance with bad i":     {one(polygonNOI, `44,`, `4.5,`), CauseBadNumber},
		"quote without pair":       {one(polygonC, `"p":"EUR/USD",`, ``), CauseMissingField},
		"quote of no pair":         {one(polygonC, `EUR/USD`, `EURO`), CauseBadSymbol},
		"negative quote":           {one(polygonC, `1.16008`, `-1`), CauseBadNumber},
		"quote without time":       {one(polygonC, `,"t":1764599400784`, ``), CauseMissingField},
		"value without number":     {one(polygonV, `"val":6812.4,`, ``), CauseMissingField},
		"value no number":          {one(polygonV, `6812.4`, `"x"`), CauseBadNumber},
		"value without symbol":     {one(polygonV, `"T":"I:SPX",`, ``), CauseMissingField},
		"fair value without one":   {one(polygonFMV, `"fmv":272.015,`, ``), CauseMissingField},
		"bar without start":        {one(polygonCA, `"s":1764599400000,`, ``), CauseMissingField},
		"bar with bad end":         {one(polygonCA, `"e":1764599460000`, `"e":0`), CauseBadNumber},
		"crypto bar without pair":  {one(polygonXA, `"pair":"BTC-USD",`, ``), CauseMissingField},
		"negative bar of a stock":  {`[{"ev":"A","sym":"MSFT","v":9,"o":3,"c":-1,"h":2,"l":2,"s":1610463240000,"e":1610463300000}]`, CauseBadNumber},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "polygon")
			events, refusal := r.refuse(c.cause, c.payload)
			if len(events) != 0 || refusal.Count != 1 {
				t.Errorf("%d events, count %d", len(events), refusal.Count)
			}
		})
	}
}

func TestPolygonOtherMarketsAllocateNothing(t *testing.T) {
	r := newRig(t, "polygon")
	payload := "[" + strings.Join([]string{polygonLULD, polygonNOI, polygonC, polygonCA, polygonV, polygonFMV, polygonXA, futureT, futureQ, futureAM}, ",") + "]"
	f := frame(payload)
	dst := r.decode(payload)
	if len(dst) != 9 && len(dst) != 10 {
		t.Fatalf("%d events", len(dst))
	}
	if n := testing.AllocsPerRun(100, func() { dst, _ = r.d.Decode(dst[:0], f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPolygonMarkets(b *testing.B) {
	for name, e := range map[string]string{"C": polygonC, "LULD": polygonLULD, "NOI": polygonNOI, "V": polygonV, "CA": polygonCA, "futureT": futureT} {
		b.Run(name, func(b *testing.B) {
			benchmarkFrames(b, "polygon", nil, []byte("["+strings.Repeat(e+",", 9)+e+"]"))
		})
	}
}
