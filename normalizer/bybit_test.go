package normalizer

import (
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	bybitSnapshot = `{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1764599400123,"data":{"s":"BTCUSDT","b":[["90000.10","0.5"]],"a":[["90000.20","1.2"]],"u":177400507,"seq":7961638724},"cts":1764599400118}`
	bybitDelta    = `{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1764599400143,"data":{"s":"BTCUSDT","b":[["90000.10","0"]],"a":[],"u":177400508,"seq":7961638800},"cts":1764599400140}`
	bybitOne      = `{"topic":"orderbook.1.BTCUSDT","ts":1749833472906,"type":"snapshot","data":{"s":"BTCUSDT","b":[["0.579","3886.45"]],"a":[["0.58","4043.62"]],"u":1399781,"seq":122620616678},"cts":1749833472901}`
	bybitTrade    = `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1764599400304,"data":[{"T":1764599400302,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"90000.20","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,"RPI":false,"seq":7961638812},{"T":1764599400303,"s":"BTCUSDT","S":"Sell","v":"5","p":"89000","i":"2","BT":true}]}`
	bybitAck      = `{"success":true,"ret_msg":"","conn_id":"2324d924-aa4d-45b0-a858-7b8be29ab52b","req_id":"1","op":"subscribe"}`
	bybitFull     = `{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","lastPrice":"90000.20","bid1Price":"90000.10","bid1Size":"1.2","ask1Price":"90000.2","ask1Size":"3"},"cs":24987956058,"ts":1764599400400}`
	bybitPart     = `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","lastPrice":"90000.20","bid1Price":"90000.15"},"cs":24987956059,"ts":1764599400401}`
)

// newBybitRig is a decoder on a connection of the category.
func newBybitRig(tb testing.TB, category string) *rig {
	tb.Helper()
	r := newRig(tb, "bybit")
	if _, err := r.d.Decode(nil, feeds.Frame{Kind: feeds.Up, URL: "wss://stream.bybit.com/v5/public/" + category, Received: received}); err != nil {
		tb.Fatal(err)
	}
	return r
}

func bybitU(message, u string) string {
	return strings.NewReplacer(`"u":177400508`, `"u":`+u, `"u":177400507`, `"u":`+u).Replace(message)
}

// A new connection has no ticker to merge changes into, and its book may be of
// another depth.
func TestBybitStateIsForgottenWithTheConnection(t *testing.T) {
	r := newBybitRig(t, "linear")
	r.decode(bybitSnapshot, bybitFull)
	r.refuse(CauseBadValue, bybitOne)
	for _, k := range []feeds.FrameKind{feeds.Down, feeds.Up} {
		if _, err := r.d.Decode(nil, feeds.Frame{Kind: k, URL: "wss://stream.bybit.com/v5/public/linear", Received: received}); err != nil {
			t.Fatal(err)
		}
	}
	r.want(r.decode(bybitPart))
	r.want(r.decode(bybitOne)[:1], "clear BTC-USDT-PERP @bybit depth=0 +snapshot")
}

func TestBybitMessages(t *testing.T) {
	r := newBybitRig(t, "linear")
	events := r.decode(bybitAck, bybitSnapshot, bybitDelta, bybitTrade, bybitFull, bybitPart, `{"success":true,"ret_msg":"pong","conn_id":"x","req_id":"2","op":"ping"}`)
	r.want(events,
		"clear BTC-USDT-PERP @bybit depth=0 +snapshot",
		"level BTC-USDT-PERP @bybit bid 90000.10x0.5 +snapshot",
		"level BTC-USDT-PERP @bybit ask 90000.20x1.2 +snapshot +last",
		"level BTC-USDT-PERP @bybit bid 90000.10x0 +last",
		"trade BTC-USDT-PERP @bybit 90000.20x0.001 buy id=20f43950-d8dd-5b31-9112-a178eb6023af +last",
		"trade BTC-USDT-PERP @bybit 89000x5 sell id=2 block_trade +last",
		"quote BTC-USDT-PERP @bybit 90000.10x1.2@* 90000.20x3.0@* +last",
		"quote BTC-USDT-PERP @bybit 90000.15x1.2@* 90000.20x3.0@* +last",
		"heartbeat @bybit")
	for i, want := range []int64{1764599400118e6, 1764599400118e6, 1764599400118e6, 1764599400140e6, 1764599400302e6, 1764599400303e6, 1764599400400e6} {
		if events[i].Time != want {
			t.Errorf("event %d: time %d, want %d", i, events[i].Time, want)
		}
	}
	id, _ := r.dir.Lookup("BTC-USDT-PERP")
	if in := r.dir.InstrumentByID(id); in.Class != market.ClassFuture {
		t.Errorf("%+v", in)
	}
	if s, _ := r.d.VenueSymbol(id); s != "BTCUSDT" {
		t.Errorf("venue symbol %q", s)
	}
}

// One name means two products in two categories.
func TestBybitCategories(t *testing.T) {
	for category, want := range map[string]string{"spot": "BTC-USDT", "linear": "BTC-USDT-PERP", "": "BTCUSDT"} {
		r := newBybitRig(t, category)
		r.decode(bybitOne)
		if r.dir.Symbol(1) != want {
			t.Errorf("%s: %s, want %s", category, r.dir.Symbol(1), want)
		}
	}
	// A connection of another category under the same feed's name.
	r := newBybitRig(t, "spot")
	r.decode(bybitOne)
	_, _ = r.d.Decode(nil, feeds.Frame{Kind: feeds.Up, URL: "ws://127.0.0.1:1/v5/public/linear/", Received: received})
	r.want(r.decode(bybitOne)[:1], "clear BTC-USDT-PERP @bybit depth=0 +snapshot")
}

func TestBybitSymbols(t *testing.T) {
	for _, c := range []struct {
		category     bybitCategory
		symbol, want string
		class        market.Class
	}{
		{bybitSpot, "BTCUSDT", "BTC-USDT", market.ClassCrypto},
		{bybitSpot, "TUSDUSDT", "TUSD-USDT", market.ClassCrypto},
		{bybitSpot, "USDCUSDT", "USDC-USDT", market.ClassCrypto},
		{bybitSpot, "ETHBTC", "ETH-BTC", market.ClassCrypto},
		{bybitSpot, "1INCHEUR", "1INCH-EUR", market.ClassCrypto},
		{bybitLinear, "1000PEPEUSDT", "1000PEPE-USDT-PERP", market.ClassFuture},
		{bybitLinear, "BTCPERP", "BTC-USDC-PERP", market.ClassFuture},
		{bybitLinear, "BTC-26DEC25", "BTC-USDC-26DEC25", market.ClassFuture},
		{bybitLinear, "BTCUSDT-26DEC25", "BTC-USDT-26DEC25", market.ClassFuture},
		{bybitInverse, "BTCUSD", "BTC-USD-PERP", market.ClassFuture},
		{bybitInverse, "BTCUSDZ25", "BTC-USD-Z25", market.ClassFuture},
		{bybitOption, "BTC-26DEC25-90000-C", "BTC-26DEC25-90000-C", market.ClassOption},
		{bybitUnknown, "BTCUSDT", "BTCUSDT", market.ClassUnknown},
	} {
		got, class, ok := bybitSymbol(c.category, c.symbol)
		if !ok || got != c.want || class != c.class {
			t.Errorf("%d %s: %q, %v, %t, want %q, %v", c.category, c.symbol, got, class, ok, c.want, c.class)
		}
	}
	for _, c := range []struct {
		category bybitCategory
		symbol   string
	}{{bybitSpot, "BTC"}, {bybitSpot, "USDT"}, {bybitSpot, ""}, {bybitLinear, "BTC"}, {bybitLinear, "PERP"}, {bybitLinear, "-1"}, {bybitInverse, "USD"}, {bybitInverse, "BTC"}, {bybitOption, "BTC"}, {bybitUnknown, ""}} {
		if got, _, ok := bybitSymbol(c.category, c.symbol); ok {
			t.Errorf("%d %q is taken as %s", c.category, c.symbol, got)
		}
	}
}

func TestBybitNumbers(t *testing.T) {
	const change, gap = "level BTC-USDT @bybit bid 90000.10x0 +last", "gap BTC-USDT @bybit +last"
	image := []string{"clear BTC-USDT @bybit depth=0 +snapshot", "level BTC-USDT @bybit bid 90000.10x0.5 +snapshot", "level BTC-USDT @bybit ask 90000.20x1.2 +snapshot +last"}
	empty := strings.Replace(bybitDelta, `[["90000.10","0"]]`, `[]`, 1)
	for name, c := range map[string]struct {
		messages []string
		want     []string
	}{
		"follows":            {[]string{bybitDelta, bybitU(bybitDelta, "177400509")}, []string{change, change}},
		"lost":               {[]string{bybitU(bybitDelta, "177400509"), bybitU(bybitDelta, "177400510")}, []string{gap, change}},
		"went back":          {[]string{bybitDelta, bybitU(bybitDelta, "177400506")}, []string{change, gap}},
		"again":              {[]string{bybitDelta, bybitDelta}, []string{change}},
		"empty":              {[]string{empty}, []string{"heartbeat BTC-USDT @bybit +last"}},
		"snapshot meanwhile": {[]string{bybitU(bybitSnapshot, "200"), bybitU(bybitDelta, "201")}, append(image[:3:3], change)},
		"restarted, as told": {[]string{bybitU(bybitSnapshot, "1"), bybitU(bybitDelta, "2")}, append(image[:3:3], change)},
		// u = 1 is a snapshot whatever its type says.
		"restarted": {[]string{strings.Replace(bybitU(bybitSnapshot, "1"), "snapshot", "delta", 1), bybitU(bybitDelta, "2")}, append(image[:3:3], change)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newBybitRig(t, "spot")
			r.decode(bybitSnapshot)
			r.want(r.decode(c.messages...), c.want...)
		})
	}
	t.Run("depth 1 again and again", func(t *testing.T) {
		r := newBybitRig(t, "spot")
		for range 3 {
			r.want(r.decode(bybitOne), "clear BTC-USDT @bybit depth=0 +snapshot", "level BTC-USDT @bybit bid 0.579x3886.45 +snapshot", "level BTC-USDT @bybit ask 0.58x4043.62 +snapshot +last")
		}
		// The first depth is the book's; a second cannot be followed with it.
		events, _ := r.refuse(CauseBadValue, bybitDelta)
		r.want(events)
	})
}

func TestBybitRefusals(t *testing.T) {
	const gap = "gap BTC-USDT @bybit +last"
	for _, c := range []struct {
		cause   Cause
		payload string
		want    []string
	}{
		{CauseSyntax, bybitDelta[:len(bybitDelta)-4], []string{gap}},
		{CauseSyntax, bybitDelta[:60], []string{gap}},
		{CauseSyntax, `{"topi`, []string{"gap @bybit +last"}},
		{CauseSyntax, bybitTrade[:len(bybitTrade)-4], nil},
		{CauseBadNumber, strings.Replace(bybitDelta, `"90000.10"`, `"x"`, 1), []string{gap}},
		{CauseBadNumber, bybitU(bybitDelta, `"x"`), []string{gap}},
		{CauseBadNumber, strings.Replace(bybitDelta, `"u":177400508,`, ``, 1), []string{gap}},
		{CauseMissingField, strings.Replace(bybitDelta, `"b":[["90000.10","0"]],"a":[],`, ``, 1), []string{gap}},
		{CauseBadValue, strings.Replace(bybitDelta, `"delta"`, `"patch"`, 1), []string{gap}},
		{CauseBadValue, strings.Replace(bybitDelta, `"a":[]`, `"b":[]`, 1), []string{gap}},
		{CauseBadValue, `{"topic":"orderbook.50.BTCUSDT","type":"delta","data":[]}`, []string{gap}},
		{CauseMissingField, `{"topic":"orderbook.50.BTCUSDT","type":"delta"}`, []string{gap}},
		{CauseBadSymbol, strings.ReplaceAll(bybitDelta, `BTCUSDT`, `BTC`), []string{"gap @bybit +last"}},
		{CauseBadSide, strings.Replace(bybitTrade, `"Buy"`, `"Bought"`, 1), []string{"trade BTC-USDT @bybit 89000x5 sell id=2 block_trade +last"}},
		{CauseUnknownType, `{"topic":"dance.BTCUSDT","type":"delta","data":{}}`, nil},
		{CauseUnknownType, `{"topic":"orderbook.full.BTCUSDT","type":"delta","data":{}}`, nil},
		{CauseUnknownType, `{}`, nil},
		{CauseProvider, `{"success":false,"ret_msg":"Invalid topic: [orderbook.50.NOPE]","conn_id":"x","req_id":"1","op":"subscribe"}`, nil},
		{CauseBadNumber, strings.Replace(bybitPart, `"90000.15"`, `"x"`, 1), nil},
	} {
		r := newBybitRig(t, "spot")
		r.decode(bybitSnapshot)
		events, _ := r.refuse(c.cause, c.payload)
		r.want(events, c.want...)
	}
}

func TestBybitInstruments(t *testing.T) {
	r := newBybitRig(t, "spot")
	reply := func(category, body string) []market.Event {
		t.Helper()
		events, err := r.d.Decode(nil, feeds.Frame{Kind: feeds.Reply, URL: "https://api.bybit.com/v5/market/instruments-info?limit=1000&category=" + category, Received: received, Payload: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	body := `{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","innovation":"0","status":"Trading","lotSizeFilter":{"basePrecision":"0.000001","quotePrecision":"0.0000001"},"priceFilter":{"tickSize":"0.01"},"riskParameters":{"priceLimitRatioX":"0.01"}},{"symbol":"ABCXYZ","baseCoin":"AB","quoteCoin":"CXYZ","status":"PreLaunch","lotSizeFilter":{"basePrecision":"1"},"priceFilter":{"tickSize":"1"}}]},"retExtInfo":{},"time":1}`
	r.want(reply("linear", body)) // of another category
	r.want(reply("spot", body))
	events := r.decode(bybitSnapshot)
	r.want(events[:1], "instrument BTC-USDT @bybit 2/6 tick=0.01 lot=0.000001")
	// The names that the venue tells need no guess.
	events = r.decode(strings.ReplaceAll(bybitSnapshot, "BTCUSDT", "ABCXYZ"))
	r.want(events[:3], "instrument AB-CXYZ @bybit 0/0 tick=1 lot=1", "status AB-CXYZ @bybit restricted", "clear AB-CXYZ @bybit depth=0 +snapshot")
	r.want(reply("spot", strings.Replace(body, "Trading", "Closed", 1)), "status BTC-USDT @bybit closed +last")
}

// That reference data lists a symbol does not make its name known.
func TestBybitListedSymbolWithoutAName(t *testing.T) {
	r := newBybitRig(t, "linear")
	body := `{"retCode":0,"result":{"category":"linear","list":[{"symbol":"ABCXYZ","baseCoin":"AB","quoteCoin":"CXYZ","status":"Trading","lotSizeFilter":{"qtyStep":"1"},"priceFilter":{"tickSize":"1"}}]}}`
	if _, err := r.d.Decode(nil, feeds.Frame{Kind: feeds.Reply, URL: "http://x/v5/market/instruments-info?category=linear", Received: received, Payload: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	events, _ := r.refuse(CauseBadSymbol, strings.ReplaceAll(bybitSnapshot, "BTCUSDT", "ABCXYZ"))
	r.want(events, "gap @bybit +last")
}

func FuzzBybit(f *testing.F) {
	fuzzDecoder(f, "bybit", bybitSnapshot, bybitDelta, bybitOne, bybitTrade, bybitAck, bybitFull, bybitPart,
		`{"success":false,"ret_msg":"no","op":"subscribe"}`, bybitU(bybitDelta, "1"))
}

const bybitFile = "bybit/v5_orderbook1_linear+spot_2025-06-13.jsonl.zst"

func BenchmarkBybit(b *testing.B) {
	b.Run("orderbook.1", func(b *testing.B) {
		benchmarkFrames(b, "bybit", nil, jsonlPayloads(b, bybitFile, `"orderbook.1.`)...)
	})
	b.Run("publicTrade", func(b *testing.B) { benchmarkFrames(b, "bybit", nil, []byte(bybitTrade)) })
}
