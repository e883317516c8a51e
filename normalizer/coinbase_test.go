package normalizer

import (
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	coinbaseSnapshot = `{"type":"snapshot","product_id":"BTC-USD","asks":[["10102.55","0.57753524"]],"bids":[["10101.10","0.45054140"],["10101.00","2"]]}`
	coinbaseUpdate   = `{"type":"l2update","product_id":"BTC-USD","changes":[["buy","10101.80000000","0.162567"],["sell","10102.55","0.00000000"]],"time":"2019-08-14T20:42:27.265Z"}`
	coinbaseMatch    = `{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66","taker_order_id":"132fb6ae","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"sell"}`
	coinbaseStatus   = `{"type":"status","products":[{"id":"BTC-USD","base_increment":"0.00000001","quote_increment":"0.01","status":"online","post_only":false,"limit_only":false,"cancel_only":false,"auction_mode":false,"trading_disabled":false},{"id":"PEPE-USD","base_increment":"1","quote_increment":"0.0000000001","status":"online"}],"currencies":[{"id":"USD","status":"online"}]}`
)

func TestCoinbaseSnapshotAndUpdate(t *testing.T) {
	r := newRig(t, "coinbase")
	events := r.decode(coinbaseSnapshot, coinbaseUpdate)
	r.want(events,
		"clear BTC-USD @coinbase depth=0 +snapshot",
		"level BTC-USD @coinbase ask 10102.55x0.57753524 +snapshot",
		"level BTC-USD @coinbase bid 10101.10x0.4505414 +snapshot",
		"level BTC-USD @coinbase bid 10101.00x2 +snapshot +last",
		"level BTC-USD @coinbase bid 10101.80000000x0.162567",
		"level BTC-USD @coinbase ask 10102.55x0 +last",
	)
	if events[0].Time != 0 || events[3].Time != 0 {
		t.Error("a snapshot has no time")
	}
	if got, want := events[5].Time, int64(1565815347265000000); got != want {
		t.Errorf("time %d, want %d", got, want)
	}
}

func TestCoinbaseEmptySnapshotStillClears(t *testing.T) {
	r := newRig(t, "coinbase")
	r.want(r.decode(`{"type":"snapshot","product_id":"BTC-USD","asks":[],"bids":[]}`),
		"clear BTC-USD @coinbase depth=0 +snapshot +last")
	r.want(r.decode(`{"type":"l2update","product_id":"BTC-USD","changes":[]}`))
}

func TestCoinbasePaddingZerosDoNotRefineTheScale(t *testing.T) {
	update := `{"type":"l2update","product_id":"PEPE-USD","changes":[["buy","0.000012345600000000","1234567890123.000000000"],["buy","0.0000123457","5.00"]]}`
	r := newRig(t, "coinbase")
	r.want(r.decode(update),
		"level PEPE-USD @coinbase bid 0.0000123456x1234567890123",
		"level PEPE-USD @coinbase bid 0.0000123457x5 +last")
	r.decode(strings.ReplaceAll(coinbaseStatus, "0.0000000001", "0.000000000001"))
	r.want(r.decode(update),
		"level PEPE-USD @coinbase bid 0.000012345600x1234567890123",
		"level PEPE-USD @coinbase bid 0.0000123457x5 +last")
}

func TestCoinbaseMatchSideIsTheMakers(t *testing.T) {
	r := newRig(t, "coinbase")
	events := r.decode(coinbaseMatch,
		strings.Replace(coinbaseMatch, `"sell"`, `"buy"`, 1),
		strings.Replace(coinbaseMatch, `"match"`, `"last_match"`, 1))
	r.want(events,
		"trade BTC-USD @coinbase 400.23x5.23512 buy id=10 +contiguous +last",
		"trade BTC-USD @coinbase 400.23x5.23512 sell id=10 +contiguous +last",
		"trade BTC-USD @coinbase 400.23x5.23512 buy id=10 +prior +contiguous +last")
	if e := events[0]; e.Sequence != 50 || e.TradeSequence != 10 {
		t.Errorf("sequence %d, trade sequence %d", e.Sequence, e.TradeSequence)
	}
}

func TestCoinbaseTradeJumpIsNoGapOfTheBook(t *testing.T) {
	r := newRig(t, "coinbase")
	events := r.decode(coinbaseMatch, strings.Replace(coinbaseMatch, `"trade_id":10`, `"trade_id":12`, 1))
	r.want(events,
		"trade BTC-USD @coinbase 400.23x5.23512 buy id=10 +contiguous +last",
		"trade BTC-USD @coinbase 400.23x5.23512 buy id=12 +contiguous +last")
}

func TestCoinbaseHeartbeatTellsTheLastTrade(t *testing.T) {
	r := newRig(t, "coinbase")
	events := r.decode(`{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`)
	r.want(events, "heartbeat BTC-USD @coinbase +last")
	if e := events[0]; e.Sequence != 90 || e.TradeSequence != 20 || e.Time != 1415348368464459000 {
		t.Errorf("got %+v", e)
	}
}

func TestCoinbaseStatusTellsOnlySeenProductsAndOnlyOnce(t *testing.T) {
	r := newRig(t, "coinbase")
	r.want(r.decode(coinbaseStatus))
	if n := len(r.dir.Instruments(0)); n != 0 {
		t.Fatalf("%d instruments registered by the status channel", n)
	}
	r.want(r.decode(coinbaseSnapshot)[:2],
		"instrument BTC-USD @coinbase 2/8 tick=0.01 lot=0.00000001",
		"clear BTC-USD @coinbase depth=0 +snapshot")
	r.want(r.decode(coinbaseStatus))
	r.want(r.decode(strings.Replace(coinbaseStatus, `"0.01"`, `"0.10"`, 1)),
		"instrument BTC-USD @coinbase 1/8 tick=0.1 lot=0.00000001 +last")
}

func TestCoinbaseProductStatus(t *testing.T) {
	for change, want := range map[string]string{
		`"trading_disabled":true`: "halted", `"post_only":true`: "restricted", `"cancel_only":true`: "restricted",
		`"auction_mode":true`: "restricted", `"limit_only":true`: "",
	} {
		r := newRig(t, "coinbase")
		r.decode(coinbaseSnapshot, coinbaseStatus)
		var lines []string
		if want != "" {
			lines = []string{"status BTC-USD @coinbase " + want + " +last"}
		}
		r.want(r.decode(strings.Replace(coinbaseStatus, strings.Replace(change, "true", "false", 1), change, 1)), lines...)
		if want != "" {
			r.want(r.decode(coinbaseStatus), "status BTC-USD @coinbase trading +last")
		}
	}
	for status, want := range map[string]string{"offline": "halted", "delisted": "closed"} {
		r := newRig(t, "coinbase")
		r.decode(strings.Replace(coinbaseStatus, `"online"`, `"`+status+`"`, 1))
		r.want(r.decode(coinbaseSnapshot)[1:2], "status BTC-USD @coinbase "+want)
	}
}

func TestCoinbaseKnownMessagesWithoutEvents(t *testing.T) {
	r := newRig(t, "coinbase")
	r.want(r.decode(
		`{"type":"subscriptions","channels":[{"name":"level2_50","product_ids":["BTC-USD"],"account_ids":null}]}`,
		`{"type":"ticker","sequence":37475248783,"product_id":"ETH-USD","price":"1285.22","side":"buy","time":"2022-10-19T23:28:22.061769Z"}`,
	))
}

func TestCoinbaseKeysInAnyOrder(t *testing.T) {
	r := newRig(t, "coinbase")
	r.want(r.decode(
		`{"time":"2019-08-14T20:42:27.265Z","changes":[["buy","1.5","2"]],"product_id":"BTC-USD","type":"l2update"}`,
		`{"bids":[["1","2"]],"asks":[["3","4"]],"product_id":"BTC-USD","type":"snapshot"}`,
		`{"type":"snapshot","bids":[["1","2"]],"product_id":"BTC-USD","asks":[["3","4"]]}`),
		"level BTC-USD @coinbase bid 1.5x2 +last",
		"clear BTC-USD @coinbase depth=0 +snapshot",
		"level BTC-USD @coinbase bid 1x2 +snapshot",
		"level BTC-USD @coinbase ask 3x4 +snapshot +last",
		"clear BTC-USD @coinbase depth=0 +snapshot",
		"level BTC-USD @coinbase ask 3x4 +snapshot",
		"level BTC-USD @coinbase bid 1x2 +snapshot +last",
	)
}

func TestCoinbaseRefusals(t *testing.T) {
	update := func(changes string) string {
		return `{"type":"l2update","product_id":"BTC-USD","changes":` + changes + `,"time":"2019-08-14T20:42:27.265Z"}`
	}
	gap, all := []string{"gap BTC-USD @coinbase +last"}, []string{"gap @coinbase +last"}
	for name, c := range map[string]struct {
		payload string
		cause   Cause
		want    []string
	}{
		"provider's error":    {`{"type":"error","message":"Failed to subscribe","reason":"BTC-XXX is not a valid product"}`, CauseProvider, nil},
		"unknown type":        {`{"type":"rumour","product_id":"BTC-USD"}`, CauseUnknownType, nil},
		"no type":             {`{"product_id":"BTC-USD"}`, CauseMissingField, nil},
		"one bad change":      {update(`[["buy","1","2"],["buy","x","2"],["sell","3","4"]]`), CauseBadNumber, gap},
		"bad side":            {update(`[["bid","1","2"]]`), CauseBadSide, gap},
		"no size":             {update(`[["buy","1"]]`), CauseMissingField, gap},
		"negative size":       {update(`[["buy","1","-2"]]`), CauseBadNumber, gap},
		"price zero":          {update(`[["buy","0","2"]]`), CauseBadNumber, gap},
		"changes no array":    {update(`7`), CauseBadValue, gap},
		"bad time":            {`{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","2"]],"time":"2019-13-14T20:42:27.265Z"}`, CauseBadNumber, gap},
		"no changes":          {`{"type":"l2update","product_id":"BTC-USD"}`, CauseMissingField, gap},
		"half a snapshot":     {`{"type":"snapshot","product_id":"BTC-USD","bids":[["1","2"]]}`, CauseMissingField, gap},
		"list twice":          {`{"type":"snapshot","product_id":"BTC-USD","bids":[],"asks":[],"bids":[]}`, CauseBadValue, gap},
		"update with bids":    {`{"type":"snapshot","product_id":"BTC-USD","bids":[],"asks":[],"changes":[]}`, CauseBadValue, gap},
		"no product":          {`{"type":"l2update","changes":[["buy","1","2"]]}`, CauseMissingField, all},
		"bad product":         {`{"type":"l2update","product_id":"BTCUSD","changes":[["buy","1","2"]]}`, CauseBadSymbol, all},
		"truncated":           {coinbaseUpdate[:60], CauseSyntax, gap},
		"truncated early":     {`{"ty`, CauseSyntax, all},
		"truncated match":     {coinbaseMatch[:100], CauseSyntax, nil},
		"garbage after":       {coinbaseSnapshot + "]", CauseSyntax, gap},
		"match without price": {`{"type":"match","trade_id":10,"time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5","side":"sell"}`, CauseMissingField, nil},
		"match of NaN":        {strings.Replace(coinbaseMatch, "400.23", "NaN", 1), CauseBadNumber, nil},
		"match without id":    {strings.Replace(coinbaseMatch, "trade_id", "no_id", 1), CauseMissingField, nil},
		"match without side":  {strings.Replace(coinbaseMatch, `"side":"sell"`, `"x":1`, 1), CauseMissingField, nil},
		"heartbeat bad id":    {`{"type":"heartbeat","last_trade_id":-1,"product_id":"BTC-USD"}`, CauseBadNumber, nil},
		"status bad products": {`{"type":"status","products":{}}`, CauseMissingField, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "coinbase")
			events, _ := r.refuse(c.cause, c.payload)
			r.want(events, c.want...)
			r.want(r.decode(coinbaseSnapshot)[:1], "clear BTC-USD @coinbase depth=0 +snapshot")
		})
	}
}

func TestCoinbaseReferenceDataIsToldAgainAfterARefusedSnapshot(t *testing.T) {
	r := newRig(t, "coinbase")
	r.decode(coinbaseStatus)
	r.refuse(CauseBadNumber, strings.Replace(coinbaseSnapshot, "10102.55", "-1", 1))
	r.want(r.decode(coinbaseSnapshot)[:1], "instrument BTC-USD @coinbase 2/8 tick=0.01 lot=0.00000001")
	r.control(feeds.Up)
	r.want(r.decode(coinbaseSnapshot)[:1], "instrument BTC-USD @coinbase 2/8 tick=0.01 lot=0.00000001")
}

func TestCoinbaseClasses(t *testing.T) {
	r := newRig(t, "coinbase")
	r.decode(coinbaseSnapshot, strings.ReplaceAll(coinbaseSnapshot, "BTC-USD", "EUR-USD"))
	for symbol, want := range map[string]market.Class{"BTC-USD": market.ClassCrypto, "EUR-USD": market.ClassForex} {
		id, _ := r.dir.Lookup(symbol)
		if got := r.dir.InstrumentByID(id).Class; got != want {
			t.Errorf("%s: class %s, want %s", symbol, got, want)
		}
	}
}
