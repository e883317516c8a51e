package normalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	bitstampBookURL  = "https://www.bitstamp.net/api/v2/order_book/btcusd/"
	bitstampPairsURL = "https://www.bitstamp.net/api/v2/trading-pairs-info/"

	bitstampSnapshot = `{"timestamp": "1764599400", "microtimestamp": "1764599400000160", "bids": [["90119", "0.50000000"], ["0", "5"]], "asks": [["90121", "0.10000000"]]}`
	bitstampTrade    = `{"event":"trade","channel":"live_trades_btcusd","data":{"id":484215612,"timestamp":"1764599400","microtimestamp":"1764599400123000","amount":0.0141401600000001,"amount_str":"0.01414016","price":90120,"price_str":"90120","type":0,"buy_order_id":1950000000000001,"sell_order_id":1950000000000002}}`
	bitstampImage    = `{"event":"data","channel":"order_book_btcusd","data":{"timestamp":"1764599400","microtimestamp":"1764599400456789","bids":[["90119","0.50000000"]],"asks":[["90121","0.10000000"]]}}`
	bitstampPairs    = `[{"trading": "Enabled", "base_decimals": 8, "url_symbol": "btcusd", "name": "BTC/USD", "counter_decimals": 2, "minimum_order": "20.0 USD"}, {"trading": "Disabled", "base_decimals": 5, "url_symbol": "usdtusd", "name": "USDT/USD", "counter_decimals": 5}, {"trading": "Enabled", "base_decimals": 8, "market_symbol": "eurusd", "name": "EUR/USD", "counter_decimals": 5}]`
)

// bitstampDiff is a diff of btcusd at so many microseconds, with one bid.
func bitstampDiffAt(micros int, bid string) string {
	return fmt.Sprintf(`{"data":{"timestamp":"1764599400","microtimestamp":"1764599400%06d","bids":[["%s","0.70000000"]],"asks":[]},"channel":"diff_order_book_btcusd","event":"data"}`, micros, bid)
}

func TestBitstampBookBegins(t *testing.T) {
	r := newRig(t, "bitstamp")
	r.control(feeds.Up)
	r.want(r.decode(bitstampDiffAt(150, "90119")), "level BTCUSD @bitstamp bid 90119x0.7 +last")
	r.want(r.decode(bitstampDiffAt(160, "90119"), bitstampDiffAt(161, "90118")))
	events := r.reply(bitstampBookURL, bitstampSnapshot)
	r.want(events,
		"clear BTCUSD @bitstamp depth=0 +snapshot",
		"level BTCUSD @bitstamp bid 90119x0.5 +snapshot", // without the one at price 0
		"level BTCUSD @bitstamp ask 90121x0.1 +snapshot +last",
		"level BTCUSD @bitstamp bid 90118x0.7 +last")
	if events[0].Time != 1764599400000160000 || events[3].Time != 1764599400000161000 || !events[1].Has(market.FlagReply) || events[3].Has(market.FlagReply) {
		t.Errorf("events %+v", events)
	}
	r.want(r.decode(bitstampDiffAt(162, "90119")), "level BTCUSD @bitstamp bid 90119x0.7 +last")
	r.want(r.decode(bitstampDiffAt(162, "90119")), "level BTCUSD @bitstamp bid 90119x0.7 +last") // may be two of one time
	r.want(r.decode(bitstampDiffAt(161, "90119")), "gap BTCUSD @bitstamp +last")
	r.want(r.decode(bitstampDiffAt(163, "90119")))

	// Older than the changes that are kept, so that others may be missing.
	_, err := r.d.Decode(nil, reply(bitstampBookURL, bitstampSnapshot))
	if refusal, ok := err.(*Refusal); !ok || refusal.Cause != CauseOldSnapshot {
		t.Errorf("an old snapshot gave %v", err)
	}
	later := strings.Replace(bitstampSnapshot, "0160", "0163", 1)
	if n := len(r.reply(strings.TrimSuffix(bitstampBookURL, "/"), later)); n != 3 {
		t.Errorf("%d events", n)
	}
}

func TestBitstampMessages(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		want    []string
	}{
		"trade":         {bitstampTrade, []string{"trade BTCUSD @bitstamp 90120x0.01414016 buy id=484215612 +last"}},
		"sold":          {strings.Replace(bitstampTrade, `"type":0`, `"type":1`, 1), []string{"trade BTCUSD @bitstamp 90120x0.01414016 sell id=484215612 +last"}},
		"image":         {bitstampImage, []string{"clear BTCUSD @bitstamp depth=100 +snapshot", "level BTCUSD @bitstamp bid 90119x0.5 +snapshot", "level BTCUSD @bitstamp ask 90121x0.1 +snapshot +last"}},
		"subscribed":    {`{"event":"bts:subscription_succeeded","channel":"diff_order_book_btcusd","data":{}}`, nil},
		"heartbeat":     {`{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}`, []string{"heartbeat @bitstamp"}},
		"reconnect":     {`{"event":"bts:request_reconnect","channel":"","data":""}`, nil},
		"order level":   {`{"event":"data","channel":"detail_order_book_btcusd","data":{"microtimestamp":"1764599400456789","bids":[["1","2","3"]],"asks":[]}}`, nil},
		"perpetual":     {strings.ReplaceAll(bitstampTrade, "btcusd", "btcusd-perp"), []string{"trade BTCUSD-PERP @bitstamp 90120x0.01414016 buy id=484215612 +last"}},
		"empty changes": {`{"event":"data","channel":"diff_order_book_btcusd","data":{"microtimestamp":"1764599400456789","bids":[],"asks":[]}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "bitstamp")
			r.want(r.decode(c.payload), c.want...)
		})
	}
}

func TestBitstampRefusals(t *testing.T) {
	const gap, all = "gap BTCUSD @bitstamp +last", "gap @bitstamp +last"
	diff := bitstampDiffAt(161, "90118")
	with := func(old, new string) string { return strings.Replace(diff, old, new, 1) }
	for name, c := range map[string]struct {
		payload string
		cause   Cause
		want    []string
	}{
		"bad price":        {with("90118", "x"), CauseBadNumber, []string{gap}},
		"no side":          {with(`,"asks":[]`, ``), CauseMissingField, []string{gap}},
		"no time":          {with("microtimestamp", "microtime"), CauseMissingField, []string{gap}},
		"side twice":       {with("asks", "bids"), CauseBadValue, []string{gap}},
		"bad time":         {with(`"1764599400000161"`, `"later"`), CauseBadNumber, []string{gap}},
		"garbage after":    {diff + "x", CauseSyntax, []string{gap}},
		"truncated":        {diff[:60], CauseSyntax, []string{all}},
		"empty":            {``, CauseSyntax, []string{all}},
		"no event":         {`{"channel":"diff_order_book_btcusd"}`, CauseMissingField, []string{all}},
		"no channel":       {with(`"channel":"diff_order_book_btcusd",`, ``), CauseMissingField, []string{all}},
		"bad pair":         {with("btcusd", `btc\u0007`), CauseBadSymbol, []string{all}},
		"unknown event":    {`{"event":"bts:news","channel":"","data":{}}`, CauseUnknownType, nil},
		"unknown channel":  {`{"event":"data","channel":"weather_btcusd","data":{}}`, CauseUnknownType, nil},
		"error":            {`{"event":"bts:error","channel":"","data":{"code":4009,"message":"Connection is unauthorized."}}`, CauseProvider, nil},
		"broken trade":     {bitstampTrade[:120], CauseSyntax, nil},
		"trade, no type":   {strings.Replace(bitstampTrade, `"type":0,`, ``, 1), CauseMissingField, nil},
		"trade, bad type":  {strings.Replace(bitstampTrade, `"type":0`, `"type":2`, 1), CauseBadSide, nil},
		"trade, no price":  {strings.Replace(bitstampTrade, `price_str`, `p`, 1), CauseMissingField, nil},
		"trade, no amount": {strings.Replace(bitstampTrade, `amount_str`, `a`, 1), CauseMissingField, nil},
		"trade, no time":   {strings.Replace(bitstampTrade, `microtimestamp`, `a`, 1), CauseMissingField, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "bitstamp")
			r.reply(bitstampBookURL, bitstampSnapshot)
			events, _ := r.refuse(c.cause, c.payload)
			r.want(events, c.want...)
			lost := len(c.want) > 0
			if n := len(r.decode(bitstampDiffAt(162, "1"))); (n == 0) != lost {
				t.Errorf("%d events of the next change", n)
			}
			if n := len(r.reply(bitstampBookURL, strings.Replace(bitstampSnapshot, "0160", "0162", 1))); n != 3 {
				t.Errorf("%d events of the next image", n)
			}
		})
	}
}

func TestBitstampReplies(t *testing.T) {
	r := newRig(t, "bitstamp")
	r.wantReplyRefused(CauseUnknownType, "https://www.bitstamp.net/api/v2/ticker/btcusd/", `{}`)
	r.wantReplyRefused(CauseUnknownType, "::", `{}`)
	r.wantReplyRefused(CauseProvider, bitstampBookURL, `{"status":"error","reason":"no such pair","code":"404.002"}`)
	r.wantReplyRefused(CauseProvider, bitstampPairsURL, `{"error":"later"}`)
	r.wantReplyRefused(CauseSyntax, bitstampBookURL, bitstampSnapshot[:90])
	r.wantReplyRefused(CauseSyntax, bitstampPairsURL, bitstampPairs[:200])
	r.wantReplyRefused(CauseMissingField, bitstampBookURL, `{"microtimestamp":"1764599400000160","bids":[]}`)
	r.wantReplyRefused(CauseMissingField, bitstampBookURL, `{"timestamp":"1764599400","bids":[],"asks":[]}`)
	r.wantReplyRefused(CauseBadValue, bitstampPairsURL, `[{"name":"A/B"}]`)
	r.wantReplyRefused(CauseBadValue, bitstampPairsURL, `[1]`)
}

func TestBitstampReference(t *testing.T) {
	r := newRig(t, "bitstamp")
	r.want(r.reply(bitstampPairsURL, bitstampPairs))
	r.control(feeds.Up)
	r.want(r.reply(bitstampBookURL, bitstampSnapshot),
		"instrument BTC-USD @bitstamp 2/8 tick=0.01 lot=0.00000001",
		"clear BTC-USD @bitstamp depth=0 +snapshot",
		"level BTC-USD @bitstamp bid 90119x0.50000000 +snapshot",
		"level BTC-USD @bitstamp ask 90121x0.10000000 +snapshot +last")
	r.want(r.reply(strings.Replace(bitstampBookURL, "btcusd", "usdtusd", 1), `{"microtimestamp":"1764599400000160","bids":[],"asks":[]}`),
		"instrument USDT-USD @bitstamp 5/5 tick=0.00001 lot=0.00001", "status USDT-USD @bitstamp halted", "clear USDT-USD @bitstamp depth=0 +snapshot +last")
	r.want(r.reply(bitstampPairsURL, strings.ReplaceAll(bitstampPairs, "Disabled", "Enabled")), "status USDT-USD @bitstamp trading +last")
	r.decode(strings.ReplaceAll(bitstampTrade, "btcusd", "eurusd"))
	if in := r.dir.InstrumentByID(3); in.Symbol != "EUR-USD" || in.Class != market.ClassForex {
		t.Errorf("instrument %+v", in)
	}
	if s, _ := r.d.VenueSymbol(1); s != "btcusd" {
		t.Errorf("venue symbol %q", s)
	}
}

func TestBitstampTakesOneBook(t *testing.T) {
	r := newRig(t, "bitstamp")
	r.decode(bitstampImage)
	r.want(r.decode(bitstampDiffAt(161, "1")))
	r.want(r.reply(bitstampBookURL, bitstampSnapshot))
	r.control(feeds.Up)
	r.decode(bitstampDiffAt(161, "1"))
	r.want(r.decode(bitstampImage))
}
