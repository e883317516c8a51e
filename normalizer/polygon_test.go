package normalizer

import (
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	polygonT = `{"ev":"T","sym":"MSFT","x":11,"i":"88213","z":3,"p":412.08,"s":50,"ds":"50.0","c":[14,37],"t":1764599400123,"q":3681328}`
	polygonQ = `{"ev":"Q","sym":"MSFT","bx":12,"bp":412.07,"bs":80,"ax":19,"ap":412.1,"as":160,"c":1,"i":[604],"t":1764599400125,"q":50385480,"z":3}`
)

// one is a frame of one element with a piece of it replaced.
func one(element, old, replacement string) string {
	return "[" + strings.Replace(element, old, replacement, 1) + "]"
}

func TestPolygonTrade(t *testing.T) {
	const line = "trade MSFT @ARCX 412.08x50  id=88213 intermarket_sweep odd_lot +last"
	for name, c := range map[string]struct{ old, new, want string }{
		"as it comes":                  {"", "", line},
		"ds wins over s":               {`"s":50,"ds":"50.0"`, `"s":1,"ds":"0.740474"`, "trade MSFT @ARCX 412.08x0.740474  id=88213 intermarket_sweep odd_lot +last"},
		"s alone":                      {`,"ds":"50.0"`, ``, line},
		"ds null":                      {`"50.0"`, `null`, line},
		"no conditions":                {`"c":[14,37],`, ``, "trade MSFT @ARCX 412.08x50  id=88213 +last"},
		"empty conditions":             {`[14,37]`, `[]`, "trade MSFT @ARCX 412.08x50  id=88213 +last"},
		"one condition as a number":    {`[14,37]`, `37`, "trade MSFT @ARCX 412.08x50  id=88213 odd_lot +last"},
		"spaces in conditions":         {`[14,37]`, `[ 14 , 37 ]`, line},
		"unknown condition":            {`[14,37]`, `[41,65535]`, "trade MSFT @ARCX 412.08x50  id=88213 trade_through_exempt cond_65535 +last"},
		"six conditions":               {`[14,37]`, `[1,2,3,4,5,7]`, "trade MSFT @ARCX 412.08x50  id=88213 acquisition average_price automatic_execution bunched bunched_sold cash_sale +last"},
		"number as id":                 {`"88213"`, `88213`, line},
		"no id":                        {`"i":"88213",`, ``, "trade MSFT @ARCX 412.08x50  id= intermarket_sweep odd_lot +last"},
		"class share":                  {"MSFT", "BRK.B", "trade BRK.B @ARCX 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"preferred":                    {"MSFT", "BACpB", "trade BACpB @ARCX 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"option":                       {"MSFT", "O:SPY261218C00700000", "trade O:SPY261218C00700000 @exchange-11 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"exponent":                     {`"p":412.08`, `"p":4.1208e+2`, line},
		"string price":                 {`412.08`, `"412.08"`, line},
		"BRK.A":                        {`412.08`, `750000.00`, "trade MSFT @ARCX 750000.00x50  id=88213 intermarket_sweep odd_lot +last"},
		"FINRA ADF":                    {`"x":11`, `"x":4`, "trade MSFT @XADF 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"NYSE facility":                {`"x":11`, `"x":4,"trfi":201`, "trade MSFT @FINY 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"Nasdaq facility Carteret":     {`"x":11`, `"trfi":202,"x":4`, "trade MSFT @FINN 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"Nasdaq facility Chicago":      {`"x":11`, `"x":4,"trfi":203`, "trade MSFT @FINC 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"trfi on an exchange":          {`"x":11`, `"x":11,"trfi":203`, line},
		"exchange newer than the list": {`"x":11`, `"x":302`, "trade MSFT @exchange-302 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"no exchange":                  {`"x":11,`, ``, "trade MSFT @sip 412.08x50  id=88213 intermarket_sweep odd_lot +last"},
		"ev last":                      {`"ev":"T",`, ``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "polygon")
			payload := one(polygonT, c.old, c.new)
			if c.want == "" {
				payload, c.want = strings.Replace(payload, "}", `,"ev":"T"}`, 1), line
			}
			events := r.decode(payload)
			r.want(events, c.want)
			if e := events[0]; e.Time != 1764599400123e6 || e.Sequence != 3681328 || e.TradeSequence != 0 {
				t.Errorf("time %d, sequence %d, trade sequence %d", e.Time, e.Sequence, e.TradeSequence)
			}
		})
	}
}

func TestPolygonTimesByMagnitude(t *testing.T) {
	for unit, want := range map[string]int64{
		"1764599400": 1764599400e9, "1764599400123": 1764599400123e6, "1764599400123456": 1764599400123456e3,
		"1764599400123456789": 1764599400123456789, `"1764599400123"`: 1764599400123e6, "1.764599400123e12": 1764599400123e6,
	} {
		r := newRig(t, "polygon")
		if e := r.decode(one(polygonT, "1764599400123", unit))[0]; e.Time != want {
			t.Errorf("t %s: got %d, want %d", unit, e.Time, want)
		}
	}
}

func TestPolygonLatePrintsStay(t *testing.T) {
	r := newRig(t, "polygon")
	events := r.decode("["+polygonT+"]", one(polygonT, "3681328", "17"), "["+polygonT+"]")
	if len(events) != 3 {
		t.Errorf("%d events, want 3", len(events))
	}
}

func TestPolygonQuoteIsTheNBBO(t *testing.T) {
	r := newRig(t, "polygon")
	events := r.decode("[" + polygonQ + "]")
	r.want(events, "quote MSFT @sip 412.07x80@XNAS 412.10x160@BATS +nbbo +last")
	if e := events[0]; e.NumConditions != 1 || e.Conditions[0] != 1 || e.Sequence != 50385480 {
		t.Errorf("got %+v", e)
	}
}

// TestPolygonQuoteConditions: the one condition of a quote, nbbo.md 1.5.
func TestPolygonQuoteConditions(t *testing.T) {
	for condition, want := range map[string]string{
		`"c":1,`: "", ``: "", `"c":[1],`: "", `"c":3,`: " firm/slow", `"c":20,`: " no/no", `"c":43,`: " no/no",
		`"c":-1,`: " no/no", `"c":"?",`: " no/no", `"c":700,`: " no/no",
	} {
		r := newRig(t, "polygon")
		q := strings.Replace(polygonQ, `50385480`, `50385481`, 1)
		r.want(r.decode("["+strings.Replace(q, `"c":1,`, condition, 1)+"]"),
			"quote MSFT @sip 412.07x80@XNAS 412.10x160@BATS"+want+" +nbbo +last")
	}
}

func TestPolygonAbsentSideOfAQuote(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"price 0":         {`"bp":412.07,"bs":80`, `"bp":0,"bs":0`, "quote MSFT @sip 0.0x0@* 412.1x160@BATS +nbbo +last"},
		"price 0.00":      {`"bp":412.07,"bs":80`, `"bp":0.00,"bs":5`, "quote MSFT @sip 0.0x0@* 412.1x160@BATS +nbbo +last"},
		"price not sent":  {`"bx":12,"bp":412.07,"bs":80,`, ``, "quote MSFT @sip 0.0x0@* 412.1x160@BATS +nbbo +last"},
		"size 0":          {`"as":160`, `"as":0`, "quote MSFT @sip 412.07x80@XNAS 0.00x0@* +nbbo +last"},
		"both":            {`"bx":12,"bp":412.07,"bs":80,"ax":19,"ap":412.1,"as":160,`, ``, "quote MSFT @sip 0x0@* 0x0@* +nbbo +last"},
		"fractional size": {`"as":160`, `"as":0.5`, "quote MSFT @sip 412.07x80.0@XNAS 412.10x0.5@BATS +nbbo +last"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "polygon")
			r.want(r.decode(one(polygonQ, c.old, c.new)), c.want)
		})
	}
}

func TestPolygonQuoteSizesInRoundLots(t *testing.T) {
	r := newRigWith(t, "polygon", Config{QuoteSizeUnit: RoundLots})
	r.want(r.decode("["+polygonQ+"]", one(polygonQ, "MSFT", "O:SPY261218C00700000"), "["+polygonT+"]"),
		"quote MSFT @sip 412.07x8000@XNAS 412.10x16000@BATS +nbbo +last",
		"quote O:SPY261218C00700000 @sip 412.07x80@exchange-12 412.10x160@exchange-19 +nbbo +last",
		"trade MSFT @ARCX 412.08x50  id=88213 intermarket_sweep odd_lot +last")
	r.refuse(CauseBadNumber, one(polygonQ, `"bs":80`, `"bs":922337203685477580`))
}

func TestPolygonOvertakenQuotesAreDropped(t *testing.T) {
	quote := func(sym, q, at string) string {
		return strings.NewReplacer("MSFT", sym, "50385480", q, "1764599400125", at).Replace("[" + polygonQ + "]")
	}
	r := newRig(t, "polygon")
	for _, c := range []struct {
		name, sym, q, at string
		want             int
	}{
		{"first", "MSFT", "100", "1764599400125", 1},
		{"a jump is no gap", "MSFT", "190", "1764599400126", 1},
		{"the same again", "MSFT", "190", "1764599400126", 0},
		{"overtaken", "MSFT", "150", "1764599400125", 0},
		{"another ticker", "AAPL", "150", "1764599400125", 1},
		{"a new session starts again", "MSFT", "1", "1764685800000", 1},
		{"and goes on", "MSFT", "2", "1764685800000", 1},
	} {
		if events := r.decode(quote(c.sym, c.q, c.at)); len(events) != c.want {
			t.Errorf("%s: %d events, want %d", c.name, len(events), c.want)
		}
	}
	r.control(feeds.Up)
	if events := r.decode(quote("MSFT", "1", "1764599400125")); len(events) != 1 {
		t.Errorf("after a new connection: %d events, want 1", len(events))
	}
	if events := r.decode("["+polygonT+"]", quote("MSFT", "2", "1764599400125")); len(events) != 2 {
		t.Errorf("trades have a sequence of their own: %d events, want 2", len(events))
	}
}

func TestPolygonBars(t *testing.T) {
	r := newRig(t, "polygon")
	events := r.decode(
		`[{"ev":"AM","sym":"AAPL","v":41100,"av":9470157,"op":271.3,"vw":272.0213,"o":272.0,"c":272.05,"h":272.1,"l":271.9,"a":271.8,"z":68,"s":1764599400000,"e":1764599460000}]`,
		`[{"ev":"A","sym":"FCX","v":4989,"av":4332125,"op":75.98,"vw":78.0894,"o":78.1,"c":78.08,"h":78.125,"l":78.07,"a":76.8404,"z":62,"s":1788877043000,"e":1788877044000,"dv":"4989.0","dav":"4332125.038360"}]`,
		`[{"ev":"A","sym":"I:SPX","op":3985.67,"o":3985.67,"c":3985.67,"h":3985.67,"l":3985.67,"s":1678220675805,"e":1678220675805}]`,
		`[{"ev":"AM","sym":"X:BTC-USD","v":951.6112,"av":738.6112,"op":26503.8,"vw":26503.8,"o":27503.8,"c":27203.8,"h":27893.8,"l":26503.8,"a":26503.8,"z":10,"s":1610463240000,"e":1610463300000}]`,
		`[{"ev":"AM","sym":"C:USD-EUR","v":4110,"av":9470157,"op":0.9272,"vw":0.9288,"o":0.9288,"c":0.9286,"h":0.9289,"l":0.9206,"a":0.9352,"z":685,"s":1610144640000,"e":1610144700000}]`)
	r.want(events,
		"bar AAPL @sip o=272.0000 h=272.1000 l=271.9000 c=272.0500 vw=272.0213 v=41100 day=9470157 +minute +last",
		"bar FCX @sip o=78.1000 h=78.1250 l=78.0700 c=78.0800 vw=78.0894 v=4989.00000 day=4332125.03836 +second +last",
		"bar I:SPX @polygon o=3985.67 h=3985.67 l=3985.67 c=3985.67 vw=0.00 v=0 day=0 +second +last",
		"bar BTC-USD @polygon o=27503.8 h=27893.8 l=26503.8 c=27203.8 vw=26503.8 v=951.6112 day=738.6112 +minute +last",
		"bar USD-EUR @forex o=0.9288 h=0.9289 l=0.9206 c=0.9286 vw=0.9288 v=4110 day=9470157 +minute +last")
	if e := events[0]; e.Start != 1764599400e9 || e.End != 1764599460e9 || e.Time != e.End {
		t.Errorf("start %d, end %d, time %d", e.Start, e.End, e.Time)
	}
}

func TestPolygonCrypto(t *testing.T) {
	r := newRig(t, "polygon")
	xt := `[{"ev":"XT","pair":"BTC-USD","p":43575.6,"t":1706649628023,"s":4.522e-05,"c":[2],"i":"1b254a48-7258-4465-8215-2610ccf9ab21","x":23,"r":1706649628068}]`
	r.want(r.decode(xt,
		strings.Replace(xt, `"c":[2]`, `"c":[1]`, 1),
		strings.Replace(xt, `"c":[2]`, `"c":[0]`, 1),
		strings.Replace(xt, `"c":[2]`, `"c":2`, 1),
		strings.Replace(xt, `"i":"1b254a48-7258-4465-8215-2610ccf9ab21","x":23`, `"i":14272084,"x":1`, 1),
		`[{"ev":"XQ","pair":"BTC-USD","bp":33052.79,"bs":0.48,"ap":33073.19,"as":0.601,"t":1610462411115,"x":1,"r":1610462411128}]`),
		"trade BTC-USD @kraken 43575.6x0.00004522 buy id=1b254a48-7258-4465-8215-2610ccf9ab21 +last",
		"trade BTC-USD @kraken 43575.6x0.00004522 sell id=1b254a48-7258-4465-8215-2610ccf9ab21 +last",
		"trade BTC-USD @kraken 43575.6x0.00004522  id=1b254a48-7258-4465-8215-2610ccf9ab21 +last",
		"trade BTC-USD @kraken 43575.6x0.00004522 buy id=1b254a48-7258-4465-8215-2610ccf9ab21 +last",
		"trade BTC-USD @coinbase 43575.6x0.00004522 buy id=14272084 +last",
		"quote BTC-USD @coinbase 33052.79x0.480@* 33073.19x0.601@* +last")
}

func TestPolygonBookIsAWholeImageEachTime(t *testing.T) {
	r := newRig(t, "polygon")
	xl2 := `[{"ev":"XL2","pair":"BTC-USD","t":1610462411115,"r":1610462411128,"x":1,"b":[[33712.71,0.18635],[33712.7,0.134]],"a":[[33718.23,3.5527483]]}]`
	r.want(r.decode(xl2),
		"clear BTC-USD @coinbase depth=0 +snapshot",
		"level BTC-USD @coinbase bid 33712.71x0.18635 +snapshot",
		"level BTC-USD @coinbase bid 33712.7x0.134 +snapshot",
		"level BTC-USD @coinbase ask 33718.23x3.5527483 +snapshot +last")
	events, _ := r.refuse(CauseBadNumber, strings.Replace(xl2, "0.134", `"lots"`, 1))
	r.want(events, "gap BTC-USD @coinbase +last")
	events, _ = r.refuse(CauseSyntax, xl2[:40])
	r.want(events, "gap +last")
}

func TestPolygonSymbols(t *testing.T) {
	for _, c := range []struct {
		symbol, want string
		class        market.Class
		how          polygonSpelling
	}{
		{"AAPL", "AAPL", market.ClassStock, spellPlain},
		{"BRK.B", "BRK.B", market.ClassStock, spellPlain},
		{"O:SPY261218C00700000", "O:SPY261218C00700000", market.ClassOption, spellPlain},
		{"I:SPX", "I:SPX", market.ClassIndex, spellPlain},
		{"BTC-USD", "BTC-USD", market.ClassCrypto, spellCrypto},
		{"X:BTC-USD", "BTC-USD", market.ClassCrypto, spellPlain},
		{"X:BTCUSD", "BTC-USD", market.ClassCrypto, spellPlain},
		{"X:DOGEUSD", "DOGE-USD", market.ClassCrypto, spellPlain},
		{"X:DOGEUSDT", "DOGE-USDT", market.ClassCrypto, spellPlain},
		{"X:1INCHEUR", "1INCH-EUR", market.ClassCrypto, spellPlain},
		{"EUR/USD", "EUR-USD", market.ClassForex, spellCurrency},
		{"USD/CNH", "USD-CNH", market.ClassForex, spellCurrency},
		{"C:EURUSD", "EUR-USD", market.ClassForex, spellPlain},
		{"C:USD-EUR", "USD-EUR", market.ClassForex, spellPlain},
		{"C:EUR/USD", "EUR-USD", market.ClassForex, spellPlain},
		{"", "", 0, spellPlain}, {"X:", "", 0, spellPlain}, {"X:USD", "", 0, spellPlain}, {"X:-USD", "", 0, spellPlain},
		{"I:", "", 0, spellPlain}, {"Y:Z", "", 0, spellPlain}, {"ABCDEFGH", "", 0, spellCrypto},
	} {
		got, class, ok := polygonSymbol(c.symbol, c.how)
		if got != c.want && ok || ok != (c.want != "") || ok && class != c.class {
			t.Errorf("%q: got %q %s %t, want %q %s", c.symbol, got, class, ok, c.want, c.class)
		}
	}
}

func TestPolygonSymbolsOfRequests(t *testing.T) {
	r := newRig(t, "polygon")
	am := `[{"ev":"AM","sym":"X:BTCUSD","v":9,"o":3,"c":2,"h":2,"l":2,"s":1610463240000,"e":1610463300000}]`
	currency := r.decode(`[{"ev":"C","p":"EUR/USD","x":48,"a":1.16012,"b":1.16008,"t":1764599400784}]`)
	if s, _ := r.d.VenueSymbol(currency[0].Instrument); s != "EUR/USD" {
		t.Errorf("a pair of currencies is asked for as %q", s)
	}
	for _, e := range r.decode(am, "["+polygonT+"]") {
		if s, ok := r.d.VenueSymbol(e.Instrument); !ok || s != r.dir.Symbol(e.Instrument) {
			t.Errorf("%s: venue symbol %q, %t", r.dir.Symbol(e.Instrument), s, ok)
		}
	}
}

func TestPolygonKnownMessagesWithoutEvents(t *testing.T) {
	r := newRig(t, "polygon")
	r.want(r.decode(
		`[{"ev":"status","status":"connected","message":"Connected Successfully"}]`,
		`[{"ev":"status","status":"auth_failed","message":"authentication failed"},{"ev":"status","status":"max_connections","message":"x"}]`,
		`[]`, ` [ ] `,
	))
	if n := len(r.dir.Instruments(0)); n != 0 {
		t.Errorf("%d instruments registered", n)
	}
}

func TestPolygonRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		cause   Cause
	}{
		"unknown event type":      {one(polygonT, `"ev":"T"`, `"ev":"ZZ"`), CauseUnknownType},
		"no event type":           {one(polygonT, `"ev":"T",`, ``), CauseMissingField},
		"provider's error":        {`[{"ev":"status","status":"error","message":"not authorized"}]`, CauseProvider},
		"no symbol":               {one(polygonT, `"sym":"MSFT",`, ``), CauseMissingField},
		"number as symbol":        {one(polygonT, `"MSFT"`, `7`), CauseMissingField},
		"space in symbol":         {one(polygonT, `MSFT`, `MS FT`), CauseBadSymbol},
		"no price":                {one(polygonT, `"p":412.08,`, ``), CauseMissingField},
		"price 0":                 {one(polygonT, `412.08`, `0`), CauseBadNumber},
		"negative price":          {one(polygonT, `412.08`, `-1`), CauseBadNumber},
		"price as list":           {one(polygonT, `412.08`, `[1]`), CauseBadNumber},
		"price too fine":          {one(polygonT, `412.08`, `1.0000000000000000001`), CauseBadNumber},
		"no size":                 {one(polygonT, `"s":50,"ds":"50.0",`, ``), CauseMissingField},
		"negative size":           {one(polygonT, `"50.0"`, `"-50.0"`), CauseBadNumber},
		"no time":                 {one(polygonT, `"t":1764599400123,`, ``), CauseMissingField},
		"time 0":                  {one(polygonT, `1764599400123`, `0`), CauseBadNumber},
		"time beyond 64 bits":     {one(polygonT, `1764599400123`, `17645994001230000000`), CauseBadNumber},
		"time in the year 5000":   {one(polygonT, `1764599400123`, `95617584000`), CauseBadNumber},
		"fraction as sequence":    {one(polygonT, `3681328`, `1.5`), CauseBadNumber},
		"negative exchange":       {one(polygonT, `"x":11`, `"x":-1`), CauseBadNumber},
		"exchange out of range":   {one(polygonT, `"x":11`, `"x":1024`), CauseBadValue},
		"text as condition":       {one(polygonT, `37`, `"odd"`), CauseBadValue},
		"condition out of range":  {one(polygonT, `37`, `65536`), CauseBadValue},
		"seven conditions":        {one(polygonT, `[14,37]`, `[1,2,3,4,5,6,7]`), CauseOversized},
		"overlong id":             {one(polygonT, `88213`, strings.Repeat("8", 41)), CauseOversized},
		"object as id":            {one(polygonT, `"88213"`, `{}`), CauseBadValue},
		"quote without size":      {one(polygonQ, `"bs":80,`, ``), CauseMissingField},
		"quote out of range":      {one(polygonQ, `412.1`, `9223372036854775807`), CauseBadNumber},
		"bar without close":       {`[{"ev":"A","sym":"MSFT","v":9,"o":3,"h":2,"l":2,"s":1610463240000,"e":1610463300000}]`, CauseMissingField},
		"bar without volume":      {`[{"ev":"A","sym":"MSFT","o":3,"c":1,"h":2,"l":2,"s":1610463240000,"e":1610463300000}]`, CauseMissingField},
		"element no object":       {`[7]`, CauseSyntax},
		"truncated":               {`[` + polygonT, CauseSyntax},
		"truncated in element":    {`[` + polygonT[:50], CauseSyntax},
		"no array":                {`7`, CauseSyntax},
		"nothing":                 {``, CauseSyntax},
		"garbage after":           {`[` + polygonT + `]]`, CauseSyntax},
		"trailing comma":          {`[` + polygonT + `,]`, CauseSyntax},
		"nested beyond the bound": {`[{"ev":"T","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]`, CauseOversized},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "polygon")
			r.refuse(c.cause, c.payload)
			r.want(r.decode("["+polygonT+"]"), "trade MSFT @ARCX 412.08x50  id=88213 intermarket_sweep odd_lot +last")
		})
	}
}

func TestPolygonSoundRestOfAFrameIsDelivered(t *testing.T) {
	r := newRig(t, "polygon")
	events, refusal := r.refuse(CauseBadNumber, "["+strings.Replace(polygonT, "412.08", `"x"`, 1)+","+polygonT+
		`,{"ev":"zebra"},`+polygonQ+"]")
	r.want(events,
		"trade MSFT @ARCX 412.08x50  id=88213 intermarket_sweep odd_lot +last",
		"quote MSFT @sip 412.07x80@XNAS 412.10x160@BATS +nbbo +last")
	if refusal.Count != 2 || !strings.Contains(refusal.Detail, `p: "\"x\""`) && !strings.Contains(refusal.Detail, `p: "x"`) {
		t.Errorf("refusal %v, count %d", refusal, refusal.Count)
	}
	events, _ = r.refuse(CauseSyntax, "["+polygonT+","+polygonQ[:30])
	r.want(events, "trade MSFT @ARCX 412.08x50  id=88213 intermarket_sweep odd_lot +last")
}
