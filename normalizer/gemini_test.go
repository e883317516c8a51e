package normalizer

import (
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	geminiImage  = `{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","90000.10","0.5"],["sell","90000.20","1.2"]],"trades":[{"type":"trade","symbol":"BTCUSD","eventid":3575573054,"timestamp":1764599400124,"price":"90000.20","quantity":"0.02","side":"buy"},{"type":"trade","symbol":"BTCUSD","event_id":3575573053,"timestamp":1764599400123,"price":"90000.10","quantity":"0.01","side":"sell"}],"auction_events":[{"type":"auction_result","symbol":"BTCUSD","time_ms":1}]}`
	geminiChange = `{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","90000.10","0"]]}`
	geminiTrade  = `{"type":"trade","symbol":"BTCUSD","event_id":3575573060,"timestamp":1764599400456,"price":"90000.20","quantity":"0.02","side":"buy","tid":3575573060}`
	geminiBeat   = `{"type":"heartbeat","timestamp":1764599405000}`
	geminiOne    = `{"symbol":"BTCUSD","base_currency":"BTC","quote_currency":"USD","tick_size":1e-8,"quote_increment":0.01,"min_order_size":"0.00001","status":"open","wrap_enabled":false,"product_type":"spot"}`
)

func TestGeminiMessages(t *testing.T) {
	r := newRig(t, "gemini")
	r.control(feeds.Up)
	events := r.decode(geminiImage, geminiChange, geminiTrade, geminiBeat, `{"type":"candles_1m_updates","symbol":"BTCUSD","changes":[]}`)
	r.want(events,
		"clear BTC-USD @gemini depth=0 +snapshot",
		"level BTC-USD @gemini bid 90000.10x0.5 +snapshot",
		"level BTC-USD @gemini ask 90000.20x1.2 +snapshot +last",
		"trade BTC-USD @gemini 90000.10x0.01 sell id=3575573053 +prior +last",
		"trade BTC-USD @gemini 90000.20x0.02 buy id=3575573054 +prior +last",
		"level BTC-USD @gemini bid 90000.10x0 +last",
		"trade BTC-USD @gemini 90000.20x0.02 buy id=3575573060 +last",
		"heartbeat @gemini")
	if events[6].Time != 1764599400456e6 || events[7].Time != 1764599405000e6 {
		t.Errorf("times %d, %d", events[6].Time, events[7].Time)
	}
	// An image after a new subscription: the prints come again, those of the
	// meantime are new.
	r.want(r.decode(strings.Replace(geminiImage, "3575573054", "3575573061", 1)),
		"clear BTC-USD @gemini depth=0 +snapshot",
		"level BTC-USD @gemini bid 90000.10x0.5 +snapshot",
		"level BTC-USD @gemini ask 90000.20x1.2 +snapshot +last",
		"trade BTC-USD @gemini 90000.20x0.02 buy id=3575573061 +prior +last")
}

// What was told as it happened is not told again by the image of a new
// subscription.
func TestGeminiPrintsOnce(t *testing.T) {
	r := newRig(t, "gemini")
	r.control(feeds.Up)
	r.decode(geminiImage, geminiTrade)
	for _, e := range r.decode(strings.Replace(geminiImage, "3575573054", "3575573060", 1)) {
		if e.Kind == market.KindTrade {
			t.Errorf("told again: %s", r.show(e))
		}
	}
}

// What has no list of prints is never taken for an image, also where the image
// was lost or could not be read.
func TestGeminiImageIsKnownByItsPrints(t *testing.T) {
	r := newRig(t, "gemini")
	r.control(feeds.Up)
	r.want(r.decode(geminiChange), "level BTC-USD @gemini bid 90000.10x0 +last")
	r = newRig(t, "gemini")
	events, _ := r.refuse(CauseBadNumber, strings.Replace(geminiImage, `"90000.10"`, `"x"`, 1))
	r.want(events, "gap BTC-USD @gemini +last")
	r.want(r.decode(geminiChange), "level BTC-USD @gemini bid 90000.10x0 +last")
	r.want(r.decode(`{"type":"l2_updates","symbol":"NEWUSD","changes":[],"trades":[],"auction_events":[]}`), "clear NEW-USD @gemini depth=0 +snapshot +last")
	r.want(r.decode(`{"type":"l2_updates","symbol":"NEWUSD","changes":[],"auction_events":[]}`), "clear NEW-USD @gemini depth=0 +snapshot +last")
}

func TestGeminiRefusals(t *testing.T) {
	const gap = "gap BTC-USD @gemini +last"
	for _, c := range []struct {
		cause   Cause
		payload string
		want    []string
	}{
		{CauseSyntax, geminiChange[:len(geminiChange)-4], []string{gap}},
		{CauseSyntax, geminiChange[:25], []string{"gap @gemini +last"}},
		{CauseSyntax, `{`, []string{"gap @gemini +last"}},
		{CauseSyntax, geminiTrade[:len(geminiTrade)-4], nil},
		{CauseBadNumber, strings.Replace(geminiChange, `"90000.10"`, `"x"`, 1), []string{gap}},
		{CauseBadNumber, strings.Replace(geminiChange, `"0"`, `"-1"`, 1), []string{gap}},
		{CauseBadSide, strings.Replace(geminiChange, `"buy"`, `"bid"`, 1), []string{gap}},
		{CauseMissingField, strings.Replace(geminiChange, `,"0"]`, `]`, 1), []string{gap}},
		{CauseMissingField, `{"type":"l2_updates","symbol":"BTCUSD"}`, []string{gap}},
		{CauseBadValue, `{"type":"l2_updates","symbol":"BTCUSD","changes":[7]}`, []string{gap}},
		{CauseMissingField, `{"type":"l2_updates","changes":[]}`, []string{"gap @gemini +last"}},
		{CauseBadSymbol, `{"type":"l2_updates","symbol":"BTC","changes":[]}`, []string{"gap @gemini +last"}},
		{CauseBadNumber, strings.Replace(geminiTrade, `1764599400456`, `0`, 1), nil},
		{CauseBadNumber, strings.Replace(geminiTrade, `"event_id":3575573060`, `"event_id":"x"`, 1), nil},
		{CauseUnknownType, `{"type":"dance"}`, nil},
		{CauseMissingField, `{}`, nil},
		{CauseProvider, `{"result":"error","reason":"InvalidJson"}`, nil},
		{CauseProvider, `{"type":"error","reason":"InvalidSymbol","message":"no"}`, nil},
	} {
		r := newRig(t, "gemini")
		r.decode(geminiImage)
		events, _ := r.refuse(c.cause, c.payload)
		r.want(events, c.want...)
	}
}

func TestGeminiSymbols(t *testing.T) {
	for symbol, want := range map[string]string{
		"BTCUSD": "BTC-USD", "btcusd": "BTC-USD", "ZECBTC": "ZEC-BTC", "BTCGUSD": "BTC-GUSD", "MOGUSD": "MOG-USD", "ETHUSDT": "ETH-USDT",
		"BTCGUSDPERP": "BTC-GUSD-PERP", "DOGEETH": "DOGE-ETH", "USDCUSD": "USDC-USD", "GUSDUSD": "GUSD-USD",
	} {
		if got, _, ok := geminiSymbol(symbol); !ok || got != want {
			t.Errorf("%s: %q, %t, want %q", symbol, got, ok, want)
		}
	}
	for _, symbol := range []string{"", "BTC", "USD", "PERP"} {
		if got, _, ok := geminiSymbol(symbol); ok {
			t.Errorf("%q is taken as %s", symbol, got)
		}
	}
}

func TestGeminiDetails(t *testing.T) {
	r := newRig(t, "gemini")
	reply := func(body string) []market.Event {
		t.Helper()
		events, err := r.d.Decode(nil, feeds.Frame{Kind: feeds.Reply, Received: received, Payload: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	r.want(reply(`["btcusd","ethusd"]`))
	r.want(reply(geminiOne))
	r.want(reply(`{"symbol":"ABCXYZ","base_currency":"AB","quote_currency":"CXYZ","tick_size":"1","quote_increment":"0.5","status":"closed"}`))
	r.want(r.decode(geminiChange, strings.Replace(geminiImage, "BTCUSD", "BTCUSD", 1))[1:3],
		"instrument BTC-USD @gemini 2/8 tick=0.01 lot=0.00000001", "clear BTC-USD @gemini depth=0 +snapshot")
	r.want(r.decode(strings.Replace(geminiImage, "BTCUSD", "ABCXYZ", 1))[:2],
		"instrument AB-CXYZ @gemini 1/0 tick=0.5 lot=1", "status AB-CXYZ @gemini closed")
	r.want(reply(strings.Replace(geminiOne, `"open"`, `"cancel_only"`, 1)), "status BTC-USD @gemini restricted +last")
}

func FuzzGemini(f *testing.F) {
	fuzzDecoder(f, "gemini", geminiImage, geminiChange, geminiTrade, geminiBeat, geminiOne, `{"result":"error","reason":"x"}`)
}

const geminiFile = "gemini/10pairs_2021-04-17.jsonl.zst"

func BenchmarkGemini(b *testing.B) {
	b.Run("l2_updates", func(b *testing.B) {
		benchmarkFrames(b, "gemini", nil, jsonlPayloads(b, geminiFile, `]]}`)...)
	})
	b.Run("trade", func(b *testing.B) { benchmarkFrames(b, "gemini", nil, []byte(geminiTrade)) })
}
