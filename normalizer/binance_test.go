package normalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	binanceDepthURL   = "https://api.binance.com/api/v3/depth?symbol=BNBBTC&limit=1000"
	binanceInfoURL    = "https://api.binance.com/api/v3/exchangeInfo"
	binanceFuturesURL = "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"

	binanceSnapshot = `{"lastUpdateId":160,"bids":[["0.00240000","10.00000000"],["0.00230000","7.50000000"]],"asks":[["0.00260000","100.00000000"]]}`
	binanceTrade    = `{"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.00100000","q":"100.00000000","T":1672515782130,"m":true,"M":true}}`
	binanceAgg      = `{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,"T":1672515782136,"m":false,"M":true}`
	binanceTop      = `{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21","a":"25.36520000","A":"40.66"}`
	binanceKline    = `{"stream":"bnbbtc@kline_1m","data":{"e":"kline","E":1,"s":"BNBBTC","k":{"t":1,"T":2,"s":"BNBBTC","i":"1m","o":"1","B":"0"}}}`
	binanceInfo     = `{"timezone":"UTC","serverTime":1,"rateLimits":[{"limit":1200}],"exchangeFilters":[],"symbols":[
		{"symbol":"BNBBTC","status":"TRADING","baseAsset":"BNB","quoteAsset":"BTC","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.00000100","maxPrice":"10.0","tickSize":"0.00000100"},{"filterType":"PERCENT_PRICE","avgPriceMins":5},{"filterType":"LOT_SIZE","minQty":"0.01","stepSize":"0.01000000"}]},
		{"symbol":"BNBUSDT","status":"BREAK","baseAsset":"BNB","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"0.001"}]},
		{"symbol":"\u5e01\u5b89USDT","status":"TRADING","baseAsset":"\u5e01\u5b89","quoteAsset":"USDT","filters":[]}]}`
	futuresInfo = `{"symbols":[
		{"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"tickSize":"0.10","filterType":"PRICE_FILTER"},{"stepSize":"0.001","filterType":"LOT_SIZE"}]},
		{"symbol":"BTCUSDT_210924","pair":"BTCUSDT","contractType":"CURRENT_QUARTER","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"tickSize":"0.1","filterType":"PRICE_FILTER"}]}]}`
)

// depth is a diff of BNBBTC in a combined stream, with one bid at the price.
func depth(first, last int, bid string) string {
	return fmt.Sprintf(`{"stream":"bnbbtc@depth@100ms","data":{"e":"depthUpdate","E":%d,"s":"BNBBTC","U":%d,"u":%d,"b":[["%s","10.00000000"]],"a":[]}}`,
		1672515782136+last, first, last, bid)
}

// futuresDepth is a diff of BTCUSDT futures.
func futuresDepth(first, last, prev int, bid string) string {
	return fmt.Sprintf(`{"e":"depthUpdate","E":%d,"T":%d,"s":"BTCUSDT","U":%d,"u":%d,"pu":%d,"b":[["%s","10"]],"a":[]}`,
		1672515782236+last, 1672515782136+last, first, last, prev, bid)
}

func reply(url, payload string) feeds.Frame {
	return feeds.Frame{Kind: feeds.Reply, Feed: "test", Received: received, URL: url, Payload: []byte(payload)}
}

// reply decodes an answer that must not be refused.
func (r *rig) reply(url, payload string) []market.Event {
	r.tb.Helper()
	events, err := r.d.Decode(nil, reply(url, payload))
	if err != nil {
		r.tb.Fatalf("%v: %s %.200s", err, url, payload)
	}
	return events
}

// wantReplyRefused decodes an answer that must be refused for the cause, without
// an event.
func (r *rig) wantReplyRefused(want Cause, url, payload string) {
	r.tb.Helper()
	events, err := r.d.Decode(nil, reply(url, payload))
	refusal, ok := err.(*Refusal)
	if !ok || refusal.Cause != want || len(events) != 0 {
		r.tb.Errorf("%s %.100s: got %d events, %v, want %s", url, payload, len(events), err, want)
	}
}

// The worked example of the documentation: what came before the snapshot and is
// in it is dropped, the rest applied.
func TestBinanceBookBegins(t *testing.T) {
	r := newRig(t, "binance")
	r.control(feeds.Up)
	r.want(r.decode(depth(150, 155, "0.00240000")),
		"level BNBBTC @binance bid 0.00240000x10 +last") // told once, for a book that waits
	r.want(r.decode(depth(156, 160, "0.0025"), depth(161, 165, "0.00255")))
	r.want(r.reply(binanceDepthURL, binanceSnapshot),
		"clear BNBBTC @binance depth=0 +snapshot",
		"level BNBBTC @binance bid 0.00240000x10 +snapshot",
		"level BNBBTC @binance bid 0.00230000x7.5 +snapshot",
		"level BNBBTC @binance ask 0.00260000x100 +snapshot +last",
		"level BNBBTC @binance bid 0.00255x10 +last")
	events := r.decode(depth(166, 170, "0.0024"))
	r.want(events, "level BNBBTC @binance bid 0.0024x10 +last")
	if e := events[0]; e.Time != (1672515782136+170)*1e6 || e.Sequence != 170 {
		t.Errorf("time %d, number %d", e.Time, e.Sequence)
	}
	for _, e := range r.reply(binanceDepthURL, binanceSnapshot) {
		if !e.Has(market.FlagReply) {
			t.Errorf("not marked as an answer's: %s", r.show(e))
		}
	}
	if e := r.decode(depth(171, 171, "0.0024"))[0]; e.Has(market.FlagReply) {
		t.Error("a message of the stream is marked as an answer's")
	}
}

func TestBinanceSequence(t *testing.T) {
	const gap = "gap BNBBTC @binance +last"
	level := func(price string) string { return "level BNBBTC @binance bid " + price + "x10 +last" }
	type step struct {
		frame string // "snapshot N", or a diff "first-last"
		want  []string
	}
	for name, steps := range map[string][]step{
		"adjacent":              {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"166-166", []string{level("1")}}},
		"bracketing":            {{"snapshot 160", nil}, {"155-165", []string{level("1")}}},
		"contained":             {{"snapshot 160", nil}, {"150-160", nil}, {"161-161", []string{level("1")}}},
		"snapshot too old":      {{"161-165", []string{level("1")}}, {"snapshot 159", []string{"old"}}, {"166-167", nil}, {"snapshot 166", []string{level("1")}}, {"168-168", []string{level("1")}}},
		"exactly old enough":    {{"161-165", []string{level("1")}}, {"snapshot 160", []string{level("1")}}},
		"hole after snapshot":   {{"snapshot 160", nil}, {"162-165", []string{gap}}, {"166-166", nil}, {"snapshot 165", []string{level("1")}}},
		"hole":                  {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"167-168", []string{gap}}, {"169-169", nil}, {"snapshot 168", []string{level("1")}}},
		"hole while waiting":    {{"161-165", []string{level("1")}}, {"167-168", []string{gap}}, {"snapshot 163", []string{"old"}}, {"snapshot 166", []string{level("1")}}},
		"twice":                 {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"161-165", nil}, {"166-166", []string{level("1")}}},
		"swapped":               {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"168-169", []string{gap}}, {"166-167", nil}, {"snapshot 169", nil}, {"170-170", []string{level("1")}}},
		"overlap":               {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"164-168", []string{level("1")}}},
		"snapshot of a book":    {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"166-167", []string{level("1")}}, {"snapshot 163", []string{"folded"}}, {"168-168", []string{level("1")}}},
		"old one of a book":     {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"snapshot 100", []string{"ignored"}}, {"166-166", []string{level("1")}}},
		"newer than the stream": {{"snapshot 160", nil}, {"161-165", []string{level("1")}}, {"snapshot 170", nil}, {"166-168", nil}, {"169-171", []string{level("1")}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "binance")
			for _, s := range steps {
				var events []market.Event
				var first, last int
				if n, _ := fmt.Sscanf(s.frame, "snapshot %d", &last); n == 1 {
					f := reply(binanceDepthURL, strings.Replace(binanceSnapshot, "160", fmt.Sprint(last), 1))
					var err error
					events, err = r.d.Decode(nil, f)
					switch {
					case len(s.want) == 1 && s.want[0] == "old":
						if refusal, ok := err.(*Refusal); !ok || refusal.Cause != CauseOldSnapshot || len(events) != 0 {
							t.Errorf("%s: %v, %d events", s.frame, err, len(events))
						}
						continue
					case err != nil:
						t.Fatal(err)
					case len(s.want) == 1 && s.want[0] == "ignored":
						r.want(events)
						continue
					case len(s.want) == 1 && s.want[0] == "folded":
						for i, e := range events {
							if e.Has(market.FlagLast) != (i == len(events)-1) || !e.Has(market.FlagSnapshot|market.FlagReply) {
								t.Errorf("event %d of %d: %s", i, len(events), r.show(e))
							}
						}
						if len(events) != 1+3+2 {
							t.Errorf("%d events", len(events))
						}
						continue
					}
					r.want(events[1:4],
						"level BNBBTC @binance bid 0.00240000x10 +snapshot",
						"level BNBBTC @binance bid 0.00230000x7.5 +snapshot",
						"level BNBBTC @binance ask 0.00260000x100 +snapshot +last")
					events = events[4:]
				} else if n, _ := fmt.Sscanf(s.frame, "%d-%d", &first, &last); n == 2 {
					events = r.decode(depth(first, last, "1"))
				}
				r.want(events, s.want...)
			}
		})
	}
}

// Numbers that go back while time goes on are a venue that counts anew: without
// the check every further message would be taken for an old one.
func TestBinanceCountsAnew(t *testing.T) {
	r := newRig(t, "binance")
	r.reply(binanceDepthURL, binanceSnapshot)
	r.decode(depth(161, 1000, "1"))
	later := strings.Replace(depth(5, 6, "1"), `"E":1672515782142`, `"E":1672515792142`, 1)
	r.want(r.decode(later), "gap BNBBTC @binance +last")
}

func TestBinanceFuturesSequence(t *testing.T) {
	const url = binanceFuturesURL
	image := func(n int) string {
		return fmt.Sprintf(`{"lastUpdateId":%d,"E":1672515782136,"T":1672515782130,"bids":[["7.6110","6"]],"asks":[["7.6120","1"]]}`, n)
	}
	r := newRig(t, "binance-usdm")
	r.reply("https://fapi.binance.com/fapi/v1/exchangeInfo", futuresInfo)
	const level = "level BTC-USDT-PERP @binance-usdm bid 7.6x10 +last"
	r.want(r.decode(futuresDepth(100, 110, 90, "7.6")), level)
	r.want(r.decode(futuresDepth(130, 140, 110, "7.6"), futuresDepth(160, 170, 140, "7.6")))
	events := r.reply(url, image(140))
	r.want(events,
		"instrument BTC-USDT-PERP @binance-usdm 1/3 tick=0.1 lot=0.001",
		"clear BTC-USDT-PERP @binance-usdm depth=0 +snapshot",
		"level BTC-USDT-PERP @binance-usdm bid 7.611x6 +snapshot",
		"level BTC-USDT-PERP @binance-usdm ask 7.612x1 +snapshot +last",
		level, level) // that which ends at the image is applied too
	if events[1].Time != 1672515782130*1e6 || events[4].Time != (1672515782136+140)*1e6 {
		t.Errorf("times %d, %d", events[1].Time, events[4].Time)
	}
	r.want(r.decode(futuresDepth(180, 190, 170, "7.6")), level)
	r.want(r.decode(futuresDepth(180, 190, 170, "7.6"))) // the same once more
	r.want(r.decode(futuresDepth(200, 210, 195, "7.6")), "gap BTC-USDT-PERP @binance-usdm +last")

	// The image lies between two messages: the numbers are shared by all
	// symbols.
	r = newRig(t, "binance-usdm")
	r.decode(futuresDepth(100, 110, 90, "7.6"))
	r.reply(url, image(120))
	r.want(r.decode(futuresDepth(130, 140, 110, "7.6")), "level BTCUSDT-PERP @binance-usdm bid 7.6x10 +last")

	// The image is from before the message before the first.
	r = newRig(t, "binance-usdm")
	r.reply(url, image(120))
	r.want(r.decode(futuresDepth(130, 140, 125, "7.6")), "gap BTCUSDT-PERP @binance-usdm +last")

	// By one number is as much as by many.
	r = newRig(t, "binance-usdm")
	r.reply(url, image(120))
	r.want(r.decode(futuresDepth(130, 140, 121, "7.6")), "gap BTCUSDT-PERP @binance-usdm +last")
}

func TestBinanceMessages(t *testing.T) {
	for name, c := range map[string]struct {
		provider, payload string
		want              []string
	}{
		"trade":            {"binance", binanceTrade, []string{"trade BNBBTC @binance 0.00100000x100 sell id=12345 +contiguous +last"}},
		"aggregate":        {"binance", binanceAgg, []string{"trade BNBBTC @binance 0.001x100 buy id=12345 +contiguous +last"}},
		"top":              {"binance", binanceTop, []string{"quote BNBUSDT @binance 25.35190000x31.21@* 25.36520000x40.66@* +last"}},
		"one side":         {"binance", `{"u":1,"s":"A","b":"0.00000000","B":"0.00000000","a":"2","A":"3"}`, []string{"quote A @binance 0x0@* 2x3@* +last"}},
		"futures top":      {"binance-usdm", `{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}`, []string{"quote BNBUSDT-PERP @binance-usdm 25.35x31.21@* 25.36x40.66@* +last"}},
		"dated":            {"binance-usdm", `{"e":"aggTrade","E":1,"s":"BTCUSDT_210924","a":5,"p":"1","q":"2","T":123456785,"m":true}`, []string{"trade BTCUSDT_210924 @binance-usdm 1x2 sell id=5 +contiguous +last"}},
		"fund":             {"binance-usdm", `{"e":"trade","E":1,"s":"BTCUSDT","t":5,"p":"0","q":"0","X":"NA","T":123456785,"m":true}`, nil},
		"images":           {"binance", `{"stream":"bnbbtc@depth20@100ms","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}`, []string{"clear BNBBTC @binance depth=20 +snapshot", "level BNBBTC @binance bid 0.0024x10 +snapshot", "level BNBBTC @binance ask 0.0026x100 +snapshot +last"}},
		"futures images":   {"binance-usdm", `{"stream":"btcusdt@depth5","data":{"e":"depthUpdate","E":123456789,"T":123456788,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["1","10"]],"a":[]}}`, []string{"clear BTCUSDT-PERP @binance-usdm depth=5 +snapshot", "level BTCUSDT-PERP @binance-usdm bid 1x10 +snapshot +last"}},
		"ack":              {"binance", `{"result":null,"id":1}`, []string{"heartbeat @binance"}},
		"list":             {"binance", `{"result":["btcusdt@depth@100ms"],"id":3}`, []string{"heartbeat @binance"}},
		"not taken":        {"binance", binanceKline, nil},
		"levels first":     {"binance", `{"data":{"b":[["1","2"]],"a":[],"u":6,"U":5,"s":"A","E":1672515782136,"e":"depthUpdate"},"stream":"a@depth"}`, []string{"level A @binance bid 1x2 +last"}},
		"empty":            {"binance", `{"e":"depthUpdate","E":1672515782136,"s":"A","U":5,"u":6,"b":[],"a":[]}`, nil},
		"shutdown":         {"binance", `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`, nil},
		"trillions padded": {"binance", `{"e":"trade","E":1672515782136,"s":"PEPEUSDT","t":1,"p":"0.00000985","q":"9123456789012.00000000","T":1672515782136,"m":true}`, []string{"trade PEPEUSDT @binance 0.00000985x9123456789012 sell id=1 +contiguous +last"}},
		"microseconds":     {"binance", strings.ReplaceAll(binanceTrade, "1672515782130", "1672515782130123"), []string{"trade BNBBTC @binance 0.00100000x100 sell id=12345 +contiguous +last"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.provider)
			events := r.decode(c.payload)
			r.want(events, c.want...)
			if name == "microseconds" && events[0].Time != 1672515782130123000 {
				t.Errorf("time %d", events[0].Time)
			}
		})
	}
}

func TestBinanceRefusals(t *testing.T) {
	const gap = "gap BNBBTC @binance +last"
	with := func(old, new string) string { return strings.Replace(depth(161, 161, "1"), old, new, 1) }
	for name, c := range map[string]struct {
		payload string
		cause   Cause
		want    []string
	}{
		"bad price":             {with(`"1","10`, `"x","10`), CauseBadNumber, []string{gap}},
		"zero price":            {with(`"1","10`, `"0","10`), CauseBadNumber, []string{gap}},
		"negative size":         {with(`"10.0`, `"-10.0`), CauseBadNumber, []string{gap}},
		"no size":               {with(`["1","10.00000000"]`, `["1"]`), CauseMissingField, []string{gap}},
		"level no array":        {with(`["1","10.00000000"]`, `1`), CauseBadValue, []string{gap}},
		"no number":             {with(`"u":161,`, ``), CauseBadNumber, []string{gap}},
		"no first number":       {with(`"U":161,`, ``), CauseBadNumber, []string{gap}},
		"numbers reversed":      {with(`"U":161`, `"U":162`), CauseBadNumber, []string{gap}},
		"no time":               {with(`"E":1672515782297,`, ``), CauseBadNumber, []string{gap}},
		"side twice":            {with(`"a":[]`, `"b":[]`), CauseBadValue, []string{gap}},
		"no sides":              {`{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":161,"u":161}`, CauseMissingField, []string{gap}},
		"truncated in levels":   {depth(161, 161, "1")[:118], CauseSyntax, []string{gap}},
		"truncated before":      {`{"stream":"bnbbtc@depth@100ms","da`, CauseSyntax, []string{gap}},
		"truncated early":       {`{"stream":"bnbb`, CauseSyntax, nil},
		"truncated trade":       {binanceTrade[:60], CauseSyntax, nil},
		"garbage after":         {depth(161, 161, "1") + "}", CauseSyntax, []string{gap}},
		"array":                 {`[]`, CauseSyntax, nil},
		"empty":                 {``, CauseSyntax, nil},
		"no symbol":             {`{"e":"depthUpdate","E":1672515782136,"U":161,"u":161,"b":[],"a":[]}`, CauseMissingField, nil},
		"bad symbol":            {`{"e":"depthUpdate","E":1672515782136,"s":"B\u0007","U":161,"u":161,"b":[],"a":[]}`, CauseBadSymbol, nil},
		"unknown event":         {`{"e":"news","E":1}`, CauseUnknownType, nil},
		"no event":              {`{"E":1}`, CauseUnknownType, nil},
		"image without stream":  {binanceSnapshot, CauseMissingField, nil},
		"error":                 {`{"code":2,"msg":"Invalid request: unknown variant","id":5}`, CauseProvider, nil},
		"nested error":          {`{"error":{"code":2,"msg":"Invalid request"},"id":5}`, CauseProvider, nil},
		"trade without m":       {strings.Replace(binanceAgg, `"m":false,`, ``, 1), CauseBadSide, nil},
		"trade without id":      {strings.Replace(binanceAgg, `"a":12345,`, ``, 1), CauseMissingField, nil},
		"trade at no price":     {strings.Replace(binanceAgg, `"p":"0.001"`, `"p":"0"`, 1), CauseBadNumber, nil},
		"trade without time":    {`{"e":"trade","s":"BNBBTC","t":1,"p":"1","q":"1","m":true}`, CauseBadNumber, nil},
		"top without size":      {`{"e":"bookTicker","u":1,"s":"X","b":"1","B":"1","a":"2"}`, CauseMissingField, nil},
		"top with half a side":  {`{"u":1,"s":"X","b":"0","B":"1","a":"2","A":"1"}`, CauseBadNumber, nil},
		"top that is no number": {`{"u":1,"s":"X","b":"a","B":"1","a":"2","A":"1"}`, CauseBadNumber, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "binance")
			r.reply(binanceDepthURL, binanceSnapshot)
			events, _ := r.refuse(c.cause, c.payload)
			r.want(events, c.want...)
			// After a gap the book waits for a fresh image, and only then.
			lost := len(c.want) > 0
			if n := len(r.decode(depth(161, 165, "1"))); (n == 0) != lost {
				t.Errorf("%d events of the next change", n)
			}
			if n := len(r.reply(binanceDepthURL, binanceSnapshot)); n != 5 {
				t.Errorf("%d events of the next image and the change after it", n)
			}
		})
	}
	r := newRig(t, "binance-usdm")
	events, _ := r.refuse(CauseBadNumber, strings.Replace(futuresDepth(5, 6, 4, "1"), `"pu":4,`, ``, 1))
	r.want(events, "gap BTCUSDT-PERP @binance-usdm +last")
}

func TestBinanceReplies(t *testing.T) {
	r := newRig(t, "binance")
	r.wantReplyRefused(CauseUnknownType, "https://api.binance.com/api/v3/time", `{}`)
	r.wantReplyRefused(CauseUnknownType, "::", `{}`)
	r.wantReplyRefused(CauseProvider, binanceDepthURL, `{"code":-1121,"msg":"Invalid symbol."}`)
	r.wantReplyRefused(CauseSyntax, binanceDepthURL, binanceSnapshot[:50])
	r.wantReplyRefused(CauseMissingField, binanceDepthURL, `{"lastUpdateId":160,"bids":[]}`)
	r.wantReplyRefused(CauseBadNumber, binanceDepthURL, `{"lastUpdateId":"x","bids":[],"asks":[]}`)
	r.wantReplyRefused(CauseBadNumber, binanceDepthURL, `{"lastUpdateId":160,"bids":[["1","x"]],"asks":[]}`)
	r.wantReplyRefused(CauseBadSymbol, "https://api.binance.com/api/v3/depth", binanceSnapshot)
	r.wantReplyRefused(CauseSyntax, binanceInfoURL, binanceInfo[:300])
	r.wantReplyRefused(CauseMissingField, binanceInfoURL, `{}`)
	r.wantReplyRefused(CauseProvider, binanceInfoURL, `{"code":-1003,"msg":"Too many requests"}`)
	r.wantReplyRefused(CauseBadValue, binanceInfoURL, `{"symbols":[1]}`)
	r.wantReplyRefused(CauseMissingField, binanceInfoURL, `{"symbols":[{}]}`)
	r.wantReplyRefused(CauseBadNumber, binanceInfoURL, `{"symbols":[{"symbol":"A","baseAsset":"A","quoteAsset":"B","filters":[{"filterType":"LOT_SIZE","stepSize":"x"}]}]}`)
	if n := len(r.dir.Instruments(0)); n != 1 { // BNBBTC, of the refused images
		t.Errorf("%d instruments", n)
	}
	r.want(r.reply(binanceDepthURL, `{"lastUpdateId":160,"bids":[],"asks":[]}`), "clear BNBBTC @binance depth=0 +snapshot +last")
}

func TestBinanceReference(t *testing.T) {
	r := newRig(t, "binance")
	r.want(r.reply(binanceInfoURL, binanceInfo)) // nothing is subscribed yet
	r.control(feeds.Up)
	r.want(r.decode(binanceTrade), "trade BNB-BTC @binance 0.001000x100.00 sell id=12345 +contiguous +last")
	image := []string{
		"instrument BNB-BTC @binance 6/2 tick=0.000001 lot=0.01",
		"clear BNB-BTC @binance depth=0 +snapshot",
		"level BNB-BTC @binance bid 0.002400x10.00 +snapshot",
		"level BNB-BTC @binance bid 0.002300x7.50 +snapshot",
		"level BNB-BTC @binance ask 0.002600x100.00 +snapshot +last"}
	r.want(r.reply(binanceDepthURL, binanceSnapshot), image...)
	r.want(r.decode(depth(161, 161, "0.0025")), "level BNB-BTC @binance bid 0.0025x10.00 +last")
	r.want(r.reply(binanceInfoURL, binanceInfo)) // no news
	r.want(r.reply(binanceInfoURL, strings.Replace(binanceInfo, `"status":"TRADING"`, `"status":"HALT"`, 1)), "status BNB-BTC @binance halted +last")
	r.want(r.reply(binanceInfoURL, strings.Replace(binanceInfo, `0.00000100"}`, `0.00001"}`, 1)),
		"instrument BNB-BTC @binance 5/2 tick=0.00001 lot=0.01", "status BNB-BTC @binance trading +last")
	// A symbol that does not trade is told so with its first image.
	r.want(r.reply(strings.Replace(binanceDepthURL, "BNBBTC", "BNBUSDT", 1), `{"lastUpdateId":1,"bids":[],"asks":[]}`),
		"instrument BNB-USDT @binance 2/3 tick=0.01 lot=0.001", "status BNB-USDT @binance halted", "clear BNB-USDT @binance depth=0 +snapshot +last")
	if s, _ := r.d.VenueSymbol(1); s != "BNBBTC" {
		t.Errorf("venue symbol %q", s)
	}
	// What is known stays known over a reconnect, and is told again.
	r.control(feeds.Down)
	r.control(feeds.Up)
	r.wantReplyRefused(CauseOldSnapshot, binanceDepthURL, binanceSnapshot) // the book was at 161
	if got := r.show(r.reply(binanceDepthURL, strings.Replace(binanceSnapshot, "160", "161", 1))[0]); !strings.HasPrefix(got, "instrument BNB-BTC") {
		t.Errorf("after a reconnect the image begins with %s", got)
	}

	r = newRig(t, "binance-usdm")
	r.reply("https://fapi.binance.com/fapi/v1/exchangeInfo", futuresInfo)
	r.want(r.decode(strings.Replace(binanceAgg, "BNBBTC", "BTCUSDT_210924", 1)), "trade BTC-USDT-210924 @binance-usdm 0.001x100 buy id=12345 +contiguous +last")
	r.want(r.decode(strings.Replace(binanceAgg, "BNBBTC", "BTCUSDT", 1)), "trade BTC-USDT-PERP @binance-usdm 0.001x100 buy id=12345 +contiguous +last")
	if c := r.dir.InstrumentByID(1).Class; c != market.ClassFuture {
		t.Errorf("class %s", c)
	}
}

func TestBinanceTakesEachFactOnce(t *testing.T) {
	r := newRig(t, "binance")
	r.decode(binanceTrade)
	r.want(r.decode(binanceAgg)) // the same trade, in the other stream
	r.control(feeds.Up)
	r.want(r.decode(binanceAgg), "trade BNBBTC @binance 0.001x100 buy id=12345 +contiguous +last")
	r.want(r.decode(binanceTrade))

	top := `{"u":1,"s":"BNBBTC","b":"1","B":"1","a":"2","A":"1"}`
	images := `{"stream":"bnbbtc@depth20","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}`
	if n := len(r.decode(top)); n != 1 {
		t.Errorf("%d events of a top without a book", n)
	}
	r.decode(depth(1, 2, "1"))
	r.want(r.decode(top, images)) // there are changes
	r.control(feeds.Up)
	r.decode(images)
	r.want(r.decode(top, depth(1, 2, "1"))) // there are images
	r.want(r.reply(binanceDepthURL, binanceSnapshot))
}

// A recording with frames missing is as bad as a lost connection: nothing can be
// told of the stream until the numbers of its next message.
func TestBinanceLostFrames(t *testing.T) {
	r := newRig(t, "binance")
	r.reply(binanceDepthURL, binanceSnapshot)
	r.decode(depth(161, 161, "1"))
	r.want(r.control(feeds.Lost), "gap")
	r.want(r.decode(depth(162, 162, "1")))
	r.want(r.control(feeds.Stale), "stale")
	if n := len(r.reply(binanceDepthURL, strings.Replace(binanceSnapshot, "160", "161", 1))); n != 5 {
		t.Errorf("%d events of an image and the change after it", n)
	}
}
