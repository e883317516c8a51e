package normalizer

import (
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	bitfinexConf   = `{"event":"conf","status":"OK","flags":196608}`
	bitfinexBooked = `{"event":"subscribed","channel":"book","chanId":17470,"symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"25","subId":"123","pair":"BTCUSD"}`
	bitfinexTraded = `{"event":"subscribed","channel":"trades","chanId":17471,"symbol":"tBTCUSD","pair":"BTCUSD"}`
	bitfinexImage  = `[17470,[[90000,2,0.5],[90001,1,-1.7e-7]],1]`
	bitfinexSet    = `[17470,[90000,3,0.70],2]`
	bitfinexDelete = `[17470,[90001,0,-1],3]`
	bitfinexPast   = `[17471,[[401597395,1764599400120,-0.005,90000],[401597393,1764599400019,0.005,90000.5]],4]`
	bitfinexPrint  = `[17471,"te",[401597396,1764599400220,-0.005,90000],5]`
	bitfinexAgain  = `[17471,"tu",[401597396,1764599400220,-0.005,90000],6]`
	bitfinexBeat   = `[17470,"hb",7]`
	bitfinexSum    = `[17470,"cs",-1424492417,8]`
)

func TestBitfinexMessages(t *testing.T) {
	r := newRig(t, "bitfinex")
	r.control(feeds.Up)
	r.want(r.decode(`{"event":"info","version":2,"serverId":"x","platform":{"status":1}}`, bitfinexConf, bitfinexBooked, bitfinexTraded,
		bitfinexImage, bitfinexSet, bitfinexDelete, bitfinexPast, bitfinexPrint, bitfinexAgain, bitfinexBeat, bitfinexSum, `{"event":"pong","ts":1,"cid":1}`),
		"clear BTC-USD @bitfinex depth=0 +snapshot",
		"level BTC-USD @bitfinex bid 90000x0.5 +snapshot",
		"level BTC-USD @bitfinex ask 90001x0.00000017 +snapshot +last",
		"level BTC-USD @bitfinex bid 90000x0.70 +last",
		"level BTC-USD @bitfinex ask 90001x0 +last",
		"trade BTC-USD @bitfinex 90000.5x0.005 buy id=401597393 +prior +last",
		"trade BTC-USD @bitfinex 90000x0.005 sell id=401597395 +prior +last",
		"trade BTC-USD @bitfinex 90000x0.005 sell id=401597396 +last",
		"heartbeat BTC-USD @bitfinex +last",
		"checksum BTC-USD @bitfinex 2870474879 +last",
		"heartbeat @bitfinex")
	id, _ := r.dir.Lookup("BTC-USD")
	if s, _ := r.d.VenueSymbol(id); s != "tBTCUSD" {
		t.Errorf("venue symbol %q", s)
	}
	if e := r.decode(`[17470,"cs",5,9]`)[0]; e.Checksum != market.ChecksumNumbers || e.Sequence != 5 {
		t.Errorf("checksum %+v", e)
	}
}

// The numbers run over the whole connection: a jump is a gap of every book.
func TestBitfinexSequence(t *testing.T) {
	const set, gap = "level BTC-USD @bitfinex bid 90000x0.70 +last", "gap @bitfinex +last"
	for name, c := range map[string]struct {
		messages []string
		want     []string
	}{
		"follows":            {[]string{bitfinexSet, `[17470,"hb",3]`, `[1,"hb",4]`, `[17470,[90000,3,0.70],5]`}, []string{set, "heartbeat BTC-USD @bitfinex +last", "heartbeat @bitfinex", set}},
		"lost":               {[]string{`[17470,[90000,3,0.70],3]`, `[17470,[90000,3,0.70],4]`}, []string{gap, set, set}},
		"lost heartbeat":     {[]string{`[17470,"hb",3]`}, []string{gap, "heartbeat BTC-USD @bitfinex +last"}},
		"again":              {[]string{bitfinexSet, bitfinexSet}, []string{set}},
		"went back":          {[]string{bitfinexSet, `[17470,[90000,3,0.70],1]`}, []string{set, gap, set}},
		"a print has one":    {[]string{`[17471,"tu",[1,1,1,1],2]`, `[17470,[90000,3,0.70],3]`}, []string{set}},
		"an image heals":     {[]string{`[17470,[[90000,3,0.70]],9]`}, []string{gap, "clear BTC-USD @bitfinex depth=0 +snapshot", "level BTC-USD @bitfinex bid 90000x0.70 +snapshot +last"}},
		"with a time behind": {[]string{`[17470,[90000,3,0.70],2,1764599400123]`, `[17470,[90000,3,0.70],3,1764599400124]`}, []string{set, set}},
		"events have none":   {[]string{bitfinexSet, bitfinexTraded, `[17470,[90000,3,0.70],3]`}, []string{set, set}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "bitfinex")
			r.decode(bitfinexConf, bitfinexBooked, bitfinexImage)
			r.want(r.decode(c.messages...), c.want...)
		})
	}
	t.Run("not asked for", func(t *testing.T) {
		r := newRig(t, "bitfinex")
		r.decode(bitfinexBooked)
		r.want(r.decode(`[17470,[90000,3,0.70]]`, `[17470,[90000,3,0.70],1764599400123]`, `[17470,[90000,3,0.70],1764599400125]`), set, set, set)
	})
	t.Run("asked for and not there", func(t *testing.T) {
		r := newRig(t, "bitfinex")
		r.decode(bitfinexConf, bitfinexBooked, bitfinexImage)
		events, _ := r.refuse(CauseMissingField, `[17470,[90000,3,0.70]]`)
		r.want(events, gap)
	})
	t.Run("asked for nothing but checksums", func(t *testing.T) {
		r := newRig(t, "bitfinex")
		r.decode(strings.Replace(bitfinexConf, "196608", "131072", 1), bitfinexBooked)
		r.want(r.decode(`[17470,[90000,3,0.70]]`, `[17470,[90000,3,0.70]]`), set, set)
	})
	t.Run("not asked for on the new connection", func(t *testing.T) {
		r := newRig(t, "bitfinex")
		r.decode(bitfinexConf, bitfinexBooked, bitfinexImage)
		r.control(feeds.Down)
		r.control(feeds.Up)
		r.decode(bitfinexBooked)
		r.want(r.decode(`[17470,[90000,3,0.70]]`), set)
	})
	t.Run("after one that cannot be read", func(t *testing.T) {
		r := newRig(t, "bitfinex")
		r.decode(bitfinexConf, bitfinexBooked, bitfinexImage)
		events, _ := r.refuse(CauseSyntax, `[17470,[90000,3,0.7`)
		r.want(events, "gap BTC-USD @bitfinex +last")
		// Its book is lost, others are not.
		r.want(r.decode(`[17470,[90000,3,0.70],3]`, `[17470,[90000,3,0.70],5]`), set, gap, set)
	})
	t.Run("new connection", func(t *testing.T) {
		r := newRig(t, "bitfinex")
		r.decode(bitfinexConf, bitfinexBooked, bitfinexImage)
		r.control(feeds.Down)
		r.control(feeds.Up)
		// The numbers of channels mean nothing any more.
		events, _ := r.refuse(CauseBadValue, bitfinexSet)
		r.want(events)
		r.want(r.decode(bitfinexConf, strings.Replace(bitfinexBooked, "17470", "9", 1), `[9,[90000,3,0.70],1]`, `[9,[90000,3,0.70],2]`), set, set)
	})
}

// Between the messages of one change the book may be crossed; an image is whole.
func TestBitfinexChangesArePiecemeal(t *testing.T) {
	r := newRig(t, "bitfinex")
	r.decode(bitfinexConf, bitfinexBooked)
	for message, want := range map[string]bool{bitfinexImage: false, bitfinexSet: true} {
		events := r.decode(message)
		if got := events[len(events)-1].Flags&market.FlagPiecemeal != 0; got != want {
			t.Errorf("%s: piecemeal %t", message, got)
		}
	}
}

func TestBitfinexChannels(t *testing.T) {
	r := newRig(t, "bitfinex")
	r.decode(bitfinexBooked, `[17470,[]]`)
	r.want(r.decode(`[17470,[]]`), "clear BTC-USD @bitfinex depth=0 +snapshot +last")
	r.want(r.decode(`{"event":"unsubscribed","status":"OK","chanId":17470}`), "gap BTC-USD @bitfinex +last")
	// A few messages may still come.
	r.want(r.decode(`[17470,[90000,3,0.70]]`, `[17470,"cs",1]`))
	r.decode(`{"event":"subscribed","channel":"ticker","chanId":5,"symbol":"tBTCUSD"}`, `{"event":"subscribed","channel":"book","chanId":6,"symbol":"fUSD","prec":"P0"}`)
	r.want(r.decode(`[5,[1,2,3,4,5,6,7,8,9,10],1]`, `[6,[[0.001,30,1,-2]]]`))
	r.refuse(CauseUnknownType, `{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"R0"}`)
	r.want(r.decode(`[7,[[1,2,3]]]`))
	r.refuse(CauseBadSymbol, `{"event":"subscribed","channel":"book","chanId":8,"symbol":"BTCUSD","prec":"P0"}`)
	r.want(r.decode(`[8,[[1,2,3]]]`))
	r.want(r.decode(`{"event":"info","code":20060,"msg":"Entering in Maintenance mode"}`, `{"event":"info","code":20061,"msg":"over"}`),
		"status BTC-USD @bitfinex halted +last", "status BTC-USD @bitfinex trading +last")
}

// After a new subscription the last prints come again.
func TestBitfinexPrintsOnce(t *testing.T) {
	r := newRig(t, "bitfinex")
	r.decode(bitfinexTraded, bitfinexPast, bitfinexPrint)
	r.want(r.decode(`[17471,[[401597397,1764599400320,1,90000],[401597396,1764599400220,-0.005,90000],[401597395,1764599400120,-0.005,90000]]]`),
		"trade BTC-USD @bitfinex 90000x1 buy id=401597397 +prior +last")
}

func TestBitfinexRefusals(t *testing.T) {
	const gap = "gap BTC-USD @bitfinex +last"
	for _, c := range []struct {
		cause   Cause
		payload string
		want    []string
	}{
		{CauseSyntax, `[17470,[90000,3,0.7`, []string{gap}},
		{CauseSyntax, `[17471,"te",[1`, nil},
		{CauseSyntax, `[17`, []string{"gap @bitfinex +last"}},
		{CauseSyntax, ``, []string{"gap @bitfinex +last"}},
		{CauseSyntax, `{"event":`, nil},
		{CauseBadNumber, `[17470,["x",3,0.7],2]`, []string{gap}},
		{CauseBadNumber, `[17470,[0,3,0.7],2]`, []string{gap}},
		{CauseBadNumber, `[17470,[1,-3,0.7],2]`, []string{gap}},
		{CauseBadNumber, `[17470,[1,3,0],2]`, []string{gap}},
		{CauseBadNumber, `[17470,[1,3],2]`, []string{gap}},
		{CauseBadNumber, `[17470,[[1,3,1],[1,"",2]],2]`, []string{gap}},
		{CauseBadValue, `[17470,[[1,3,1],7],2]`, []string{gap}},
		{CauseBadNumber, `[17470,"cs",99999999999,2]`, []string{gap}},
		{CauseBadNumber, `[17471,"te",[1,1764599400220,0,90000],2]`, nil},
		{CauseBadNumber, `[17471,"te",["x",1764599400220,1,90000],2]`, nil},
		{CauseBadValue, `[3,[1,2,3],2]`, nil},
		{CauseUnknownType, `[17470,"dance",2]`, nil},
		{CauseUnknownType, `{"event":"dance"}`, nil},
		{CauseProvider, `{"event":"error","msg":"symbol: invalid","code":10300}`, nil},
		{CauseProvider, `{"event":"conf","status":"FAILED"}`, nil},
	} {
		r := newRig(t, "bitfinex")
		r.decode(bitfinexConf, bitfinexBooked, bitfinexTraded, bitfinexImage)
		events, _ := r.refuse(c.cause, c.payload)
		var got []market.Event
		for _, e := range events {
			if e.Kind != market.KindGap || e.Instrument != 0 || len(c.want) > 0 {
				got = append(got, e)
			}
		}
		if len(c.want) == 1 && len(got) > 1 {
			got = got[:1]
		}
		r.want(got, c.want...)
	}
}

func TestBitfinexSymbols(t *testing.T) {
	for symbol, want := range map[string]string{
		"tBTCUSD": "BTC-USD", "tIOTETH": "IOTA-ETH", "tDOGE:USD": "DOGE-USD", "tTESTBTC:TESTUSD": "TESTBTC-TESTUSD",
		"tBTCF0:USTF0": "BTC-USDT-PERP", "tDOGUSD": "MDOGE-USD", "tXAUTF0:USTF0": "XAUT-USDT-PERP", "tBTCUST": "BTC-USDT",
	} {
		if got, _, ok := bitfinexSymbol([]byte(symbol)); !ok || got != want {
			t.Errorf("%s: %q, %t, want %q", symbol, got, ok, want)
		}
	}
	for _, symbol := range []string{"", "BTCUSD", "fUSD", "t", "tBTC", "t:USD", "tBTC:", "tA:B:C", "tBTCUSDT"} {
		if got, _, ok := bitfinexSymbol([]byte(symbol)); ok {
			t.Errorf("%q is taken as %s", symbol, got)
		}
	}
}

func FuzzBitfinex(f *testing.F) {
	fuzzDecoder(f, "bitfinex", bitfinexBooked, bitfinexConf, bitfinexTraded, bitfinexImage, bitfinexSet, bitfinexDelete, bitfinexPast,
		bitfinexPrint, bitfinexBeat, bitfinexSum, `[17470,[],1]`, `{"event":"unsubscribed","chanId":17470}`, `{"event":"info","code":20060}`)
}

func BenchmarkBitfinex(b *testing.B) {
	b.Run("book", func(b *testing.B) {
		benchmarkFrames(b, "bitfinex", []string{bitfinexBooked}, []byte(`[17470,[90000,3,0.70]]`), []byte(`[17470,[90001,0,-1]]`))
	})
	b.Run("te", func(b *testing.B) {
		benchmarkFrames(b, "bitfinex", []string{bitfinexTraded}, []byte(`[17471,"te",[401597396,1764599400220,-0.005,90000]]`))
	})
}
