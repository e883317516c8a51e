package normalizer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// The examples of the documentation. There is no recording of this provider.
const (
	alpacaTrade      = `{"T":"t","S":"AAPL","i":96921,"x":"D","p":272.05,"s":1,"c":["@","I"],"t":"2026-01-05T15:51:44.208123456Z","z":"C"}`
	alpacaQuote      = `{"T":"q","S":"AMD","bx":"U","bp":187.66,"bs":100,"ax":"Q","ap":187.68,"as":400,"c":["R"],"t":"2026-01-05T15:51:45.335689322Z","z":"C"}`
	alpacaBar        = `{"T":"b","S":"SPY","o":690.9,"h":691.0,"l":690.9,"c":690.95,"v":49378,"t":"2026-01-05T15:00:00Z","n":410,"vw":690.96}`
	alpacaStatus     = `{"T":"s","S":"AAPL","sc":"H","sm":"Trading Halt","rc":"T12","rm":"News pending","t":"2026-01-05T15:51:44Z","z":"C"}`
	alpacaLULD       = `{"T":"l","S":"IONM","u":3.24,"d":2.65,"i":"B","t":"2026-01-05T18:34:45.565Z","z":"C"}`
	alpacaCorrection = `{"T":"c","S":"EEM","x":"M","oi":52983525033527,"op":39.1582,"os":440000,"oc":["@"],"ci":52983525034326,"cp":39.1809,"cs":440000,"cc":["@","I"],"t":"2026-01-05T14:21:33Z","z":"B"}`
	alpacaCancel     = `{"T":"x","S":"GOOGL","i":465,"x":"D","p":320.6,"s":14,"a":"C","t":"2026-01-05T17:03:12Z","z":"C"}`
	alpacaCoin       = `{"T":"t","S":"BTC/USD","p":90000.15,"s":4.522e-05,"t":"2026-01-05T15:51:44.208Z","i":3447222699101865076,"tks":"B"}`
	alpacaCoinQuote  = `{"T":"q","S":"BTC/USD","bp":90000.1,"bs":0.5,"ap":90000.2,"as":1.2,"t":"2026-01-05T15:51:44.208Z"}`
	alpacaImage      = `{"T":"o","S":"BTC/USD","t":"2026-01-05T15:51:44.208Z","b":[{"p":90000.1,"s":0.5}],"a":[{"p":90000.2,"s":1.2}],"r":true}`
	alpacaChange     = `{"T":"o","S":"BTC/USD","t":"2026-01-05T15:51:44.308Z","b":[{"p":90000.1,"s":0}],"a":[]}`
)

var alpacaMessages = []string{alpacaTrade, alpacaQuote, alpacaBar, alpacaStatus, alpacaLULD, alpacaCorrection, alpacaCancel,
	alpacaCoin, alpacaCoinQuote, alpacaImage, alpacaChange}

func listOf(messages ...string) string { return "[" + strings.Join(messages, ",") + "]" }

var alpacaEvents = []string{
	"trade AAPL @XADF 272.05x1  id=96921 regular odd_lot +last",
	"quote AMD @sip 187.66x100@MEMX 187.68x400@XNAS +nbbo +last",
	"bar SPY @sip o=690.90 h=691.00 l=690.90 c=690.95 vw=690.96 v=49378 day=0 +minute +last",
	"status AAPL @sip halted T12 +nbbo +last",
	"luld IONM @sip high=3.24 low=2.65 66 +last",
	"correction EEM @XCHI 39.1582x440000 id=52983525033527 to 39.1809x440000 id=52983525034326 regular odd_lot +last",
	"cancel GOOGL @XADF 320.6x14 id=465 +last",
	"trade BTC-USD @alpaca 90000.15x0.00004522 buy id=3447222699101865076 +last",
	"quote BTC-USD @alpaca 90000.1x0.5@* 90000.2x1.2@* +last",
	"clear BTC-USD @alpaca depth=0 +snapshot",
	"level BTC-USD @alpaca bid 90000.1x0.5 +snapshot",
	"level BTC-USD @alpaca ask 90000.2x1.2 +snapshot +last",
	"level BTC-USD @alpaca bid 90000.1x0 +last",
}

func TestAlpacaMessages(t *testing.T) {
	r := newRig(t, "alpaca")
	events := r.decode(listOf(alpacaMessages...))
	r.want(events, alpacaEvents...)
	if e := events[0]; e.Time != 1767628304208123456 {
		t.Errorf("time %d", e.Time)
	}
	if e := events[2]; e.Start != 1767625200000000000 || e.End != e.Start+int64(time.Minute) || e.Time != e.End {
		t.Errorf("bar from %d to %d at %d", e.Start, e.End, e.Time)
	}
	id, _ := r.dir.Lookup("BTC-USD")
	if s, _ := r.d.VenueSymbol(id); s != "BTC/USD" || r.dir.InstrumentByID(id).Class != market.ClassCrypto {
		t.Errorf("%q, %s", s, r.dir.InstrumentByID(id).Class)
	}
	for i := range events {
		checkEvent(t, r, &events[i])
	}
}

func TestAlpacaVariants(t *testing.T) {
	r := newRig(t, "alpaca")
	r.want(r.decode(listOf(
		strings.Replace(alpacaBar, `"T":"b"`, `"T":"u"`, 1),
		strings.Replace(alpacaBar, `"T":"b"`, `"T":"d"`, 1),
		strings.Replace(alpacaCancel, `"C"`, `"E"`, 1),
		strings.Replace(alpacaCoin, `"B"`, `"S"`, 1),
		`{"T":"i","S":"AAPL","p":272.5,"t":"2026-01-05T20:55:00Z","z":"C"}`,
		strings.Replace(alpacaStatus, `"H"`, `"T"`, 1),
		strings.Replace(alpacaStatus, `"H"`, `"Q"`, 1),
		strings.Replace(alpacaStatus, `"H"`, `"5"`, 1), // a price indication
		strings.NewReplacer(`"H"`, `"2"`, `"z":"C"`, `"z":"A"`).Replace(alpacaStatus),
		strings.NewReplacer(`["@","I"]`, `["B","W"," "]`).Replace(alpacaTrade),
		strings.NewReplacer(`["@","I"]`, `["B","W","1","!"]`, `"z":"C"`, `"z":"A"`).Replace(alpacaTrade),
		strings.NewReplacer(`["@","I"]`, `"I"`, `"x":"D"`, `"x":"8"`).Replace(alpacaTrade),
		strings.NewReplacer(`"bp":187.66,"bs":100,`, `"bp":0,"bs":0,`).Replace(alpacaQuote),
	)),
		"bar SPY @sip o=690.90 h=691.00 l=690.90 c=690.95 vw=690.96 v=49378 day=0 +minute +revised +last",
		"bar SPY @sip o=690.90 h=691.00 l=690.90 c=690.95 vw=690.96 v=49378 day=0 +day +last",
		"cancel GOOGL @XADF 320.6x14 id=465 +error +last",
		"trade BTC-USD @alpaca 90000.15x0.00004522 sell id=3447222699101865076 +last",
		"imbalance AAPL @sip 0 paired=0 price=272.5 auction=\x00@0 +last",
		"status AAPL @sip trading T12 +nbbo +last",
		"status AAPL @sip restricted T12 +nbbo +last",
		"status AAPL @sip halted T12 +nbbo +last",
		"trade AAPL @XADF 272.05x1  id=96921 bunched average_price regular +last",
		"trade AAPL @XADF 272.05x1  id=96921 average_price average_price trade_through_exempt cond_289 +last",
		"trade AAPL @exchange-8 272.05x1  id=96921 odd_lot +last",
		"quote AMD @sip 0.00x0@* 187.68x400@XNAS +nbbo +last")
}

// What a quote is depends on the feed, which only the address tells.
func TestAlpacaFeeds(t *testing.T) {
	for url, want := range map[string]string{
		"": "quote AMD @sip 187.66x100@MEMX 187.68x400@XNAS +nbbo +last",
		"wss://stream.data.alpaca.markets/v2/sip": "quote AMD @sip 187.66x100@MEMX 187.68x400@XNAS +nbbo +last",
		"wss://x/v2/delayed_sip/":                 "quote AMD @sip 187.66x100@MEMX 187.68x400@XNAS +nbbo +last",
		"wss://x/v2/iex?a=/sip":                   "quote AMD @IEXG 187.66x100@* 187.68x400@* +last",
		"wss://x/v1beta1/boats":                   "quote AMD @BOATS 187.66x100@* 187.68x400@* +last",
		"wss://x/v1beta1/overnight":               "quote AMD @alpaca-overnight 187.66x100@* 187.68x400@* +last",
	} {
		r := newRig(t, "alpaca")
		up(r, url)
		r.want(r.decode(listOf(alpacaQuote)), want)
	}
}

func TestAlpacaQuoteSizesInRoundLots(t *testing.T) {
	r := newRigWith(t, "alpaca", Config{QuoteSizeUnit: RoundLots})
	r.want(r.decode(listOf(alpacaQuote, alpacaCoinQuote)),
		"quote AMD @sip 187.66x10000@MEMX 187.68x40000@XNAS +nbbo +last",
		"quote BTC-USD @alpaca 90000.1x0.5@* 90000.2x1.2@* +last")
	r.refuse(CauseBadNumber, listOf(strings.Replace(alpacaQuote, `"as":400`, `"as":922337203685477580`, 1)))
}

func TestAlpacaKnownMessagesWithoutEvents(t *testing.T) {
	r := newRig(t, "alpaca")
	r.want(r.decode(`[{"T":"success","msg":"connected"}]`, `[{"T":"success","msg":"authenticated"}]`,
		`[{"T":"subscription","trades":["AAPL"],"quotes":[],"bars":["*"],"updatedBars":[],"dailyBars":[],"statuses":[],"lulds":[],"corrections":["AAPL"],"cancelErrors":["AAPL"]}]`,
		`[{"T":"n","id":1,"headline":"x","symbols":["AAPL"]}]`, `[]`))
}

func TestAlpacaUnsubscribedBook(t *testing.T) {
	r := newRig(t, "alpaca")
	const gap = "gap BTC-USD @alpaca +last"
	listing := func(books string) []market.Event {
		return r.decode(`[{"T":"subscription","trades":["BTC/USD"],"orderbooks":[` + books + `]}]`)
	}
	r.want(listing(`"BTC/USD","ETH/USD"`))
	r.decode(listOf(alpacaImage))
	r.want(listing(`"ETH/USD","BTC/USD"`))
	r.want(listing(`"*"`))
	r.want(listing(`"ETH/USD"`), gap)
	r.want(listing(``)) // told once
	r.decode(listOf(alpacaImage))
	r.want(r.decode(`[{"T":"subscription","trades":[]}]`), gap)
	r.decode(listOf(alpacaImage))
	r.control(feeds.Up)
	r.want(listing(``))
}

func TestAlpacaRefusals(t *testing.T) {
	const gap, all = "gap BTC-USD @alpaca +last", "gap +last"
	one := func(m, old, new string) string {
		if !strings.Contains(m, old) {
			t.Fatalf("no %q in %s", old, m)
		}
		return listOf(strings.Replace(m, old, new, 1))
	}
	for name, c := range map[string]struct {
		payload string
		cause   Cause
		want    []string
	}{
		"error":                      {`[{"T":"error","code":405,"msg":"symbol limit exceeded"}]`, CauseProvider, nil},
		"unknown type":               {one(alpacaTrade, `"T":"t"`, `"T":"zz"`), CauseUnknownType, nil},
		"no type":                    {one(alpacaTrade, `"T":"t",`, ``), CauseMissingField, nil},
		"no symbol":                  {one(alpacaTrade, `"S":"AAPL",`, ``), CauseMissingField, nil},
		"bad symbol":                 {one(alpacaTrade, `AAPL`, `A A`), CauseBadSymbol, nil},
		"bad pair":                   {one(alpacaCoin, `BTC/USD`, `/USD`), CauseBadSymbol, nil},
		"no time":                    {one(alpacaTrade, `"t":"2026-01-05T15:51:44.208123456Z",`, ``), CauseMissingField, nil},
		"bad time":                   {one(alpacaTrade, `T15:51`, `T25:51`), CauseBadNumber, nil},
		"time as a list":             {one(alpacaTrade, `"2026-01-05T15:51:44.208123456Z"`, `[]`), CauseBadNumber, nil},
		"no price":                   {one(alpacaTrade, `"p":272.05,`, ``), CauseMissingField, nil},
		"price 0":                    {one(alpacaTrade, `272.05`, `0`), CauseBadNumber, nil},
		"no id":                      {one(alpacaTrade, `"i":96921,`, ``), CauseMissingField, nil},
		"bad exchange":               {one(alpacaTrade, `"D"`, `"DD"`), CauseBadValue, nil},
		"exchange of no letter":      {one(alpacaTrade, `"D"`, `"*"`), CauseBadValue, nil},
		"bad tape":                   {one(alpacaTrade, `"z":"C"`, `"z":7`), CauseBadValue, nil},
		"number as condition":        {one(alpacaTrade, `"I"`, `37`), CauseBadValue, nil},
		"seven conditions":           {one(alpacaTrade, `["@","I"]`, `["@","@","@","@","@","@","@"]`), CauseOversized, nil},
		"bad taker":                  {one(alpacaCoin, `"B"`, `"X"`), CauseBadSide, nil},
		"bad bid":                    {one(alpacaQuote, `187.66`, `"x"`), CauseBadNumber, nil},
		"bad bid exchange":           {one(alpacaQuote, `"U"`, `3`), CauseBadValue, nil},
		"bar without close":          {one(alpacaBar, `"c":690.95,`, ``), CauseMissingField, nil},
		"bar without volume":         {one(alpacaBar, `"v":49378,`, ``), CauseMissingField, nil},
		"bar with negative low":      {one(alpacaBar, `"l":690.9`, `"l":-1`), CauseBadNumber, nil},
		"unknown status":             {one(alpacaStatus, `"H"`, `"?"`), CauseBadValue, nil},
		"no status":                  {one(alpacaStatus, `"sc":"H",`, ``), CauseBadValue, nil},
		"bands without low":          {one(alpacaLULD, `"d":2.65,`, ``), CauseMissingField, nil},
		"bands with bad indicator":   {one(alpacaLULD, `"B"`, `"BB"`), CauseBadValue, nil},
		"correction without print":   {one(alpacaCorrection, `"oi":52983525033527,`, ``), CauseMissingField, nil},
		"correction to nothing":      {one(alpacaCorrection, `"cp":39.1809,`, ``), CauseMissingField, nil},
		"correction with text id":    {one(alpacaCorrection, `52983525034326`, `"x"`), CauseBadNumber, nil},
		"cancel without action":      {one(alpacaCancel, `"a":"C",`, ``), CauseBadValue, nil},
		"cancel without id":          {one(alpacaCancel, `"i":465,`, ``), CauseMissingField, nil},
		"imbalance without price":    {`[{"T":"i","S":"AAPL","t":"2026-01-05T20:55:00Z"}]`, CauseMissingField, nil},
		"image without asks":         {one(alpacaImage, `"a":[{"p":90000.2,"s":1.2}],`, ``), CauseMissingField, []string{gap}},
		"change with bad level":      {one(alpacaChange, `{"p":90000.1,"s":0}`, `[90000.1,0]`), CauseBadValue, []string{gap}},
		"change with bad price":      {one(alpacaChange, `90000.1`, `-1`), CauseBadNumber, []string{gap}},
		"change without size":        {one(alpacaChange, `,"s":0`, ``), CauseMissingField, []string{gap}},
		"change with levels no list": {one(alpacaChange, `"a":[]`, `"a":7`), CauseBadValue, []string{gap}},
		"book without time":          {one(alpacaChange, `"t":"2026-01-05T15:51:44.308Z",`, ``), CauseMissingField, []string{gap}},
		"book without symbol":        {one(alpacaChange, `"S":"BTC/USD",`, ``), CauseMissingField, []string{all}},
		"truncated book":             {listOf(alpacaImage)[:90], CauseSyntax, nil},
		"truncated":                  {listOf(alpacaTrade)[:60], CauseSyntax, nil},
		"element no object":          {`[7]`, CauseSyntax, nil},
		"no array":                   {`7`, CauseSyntax, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "alpaca")
			events, _ := r.refuse(c.cause, c.payload)
			r.want(events, c.want...)
			r.want(r.decode(listOf(alpacaTrade)), alpacaEvents[0])
		})
	}
	r := newRig(t, "alpaca")
	r.decode(listOf(alpacaImage))
	events, _ := r.refuse(CauseSyntax, listOf(alpacaTrade)[:60])
	r.want(events, all) // there is a book now that may have been meant
}

// pack writes a JSON value as MessagePack, by the format's specification and not
// by the decoder's code. Texts that are times become timestamps.
func pack(t testing.TB, text string) []byte {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return appendPacked(t, nil, v)
}

func appendPacked(t testing.TB, b []byte, v any) []byte {
	length := func(n int, fix, fixMax, w16, w32 int) {
		switch {
		case n <= fixMax:
			b = append(b, byte(fix|n))
		case n <= math.MaxUint16:
			b = binary.BigEndian.AppendUint16(append(b, byte(w16)), uint16(n))
		default:
			b = binary.BigEndian.AppendUint32(append(b, byte(w32)), uint32(n))
		}
	}
	switch v := v.(type) {
	case nil:
		return append(b, 0xc0)
	case bool:
		if v {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			switch {
			case n >= 0 && n < 128, n >= -32 && n < 0:
				return append(b, byte(n))
			case n >= math.MinInt16 && n <= math.MaxInt16:
				return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
			case n >= math.MinInt32 && n <= math.MaxInt32:
				return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
			}
			return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(f))
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return binary.BigEndian.AppendUint64(append(b, 0xd7, 0xff), uint64(at.Nanosecond())<<34|uint64(at.Unix()))
		}
		length(len(v), 0xa0, 31, 0xda, 0xdb)
		return append(b, v...)
	case []any:
		length(len(v), 0x90, 15, 0xdc, 0xdd)
		for _, e := range v {
			b = appendPacked(t, b, e)
		}
		return b
	case map[string]any:
		length(len(v), 0x80, 15, 0xde, 0xdf)
		names := make([]string, 0, len(v))
		for k := range v {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			b = appendPacked(t, appendPacked(t, b, k), v[k])
		}
		return b
	}
	t.Fatalf("%T", v)
	return nil
}

func packed(payload []byte) feeds.Frame {
	return feeds.Frame{Kind: feeds.Data, Feed: "test", Received: received, Payload: payload, Binary: true}
}

// MessagePack gives the events of the same messages in JSON.
func TestAlpacaMessagePack(t *testing.T) {
	r := newRig(t, "alpaca")
	events, err := r.d.Decode(nil, packed(pack(t, listOf(alpacaMessages...))))
	if err != nil {
		t.Fatal(err)
	}
	r.want(events, alpacaEvents...)
	plain := newRig(t, "alpaca").decode(listOf(alpacaMessages...))
	for i := range plain {
		if events[i].Time != plain[i].Time || events[i].Start != plain[i].Start {
			t.Errorf("event %d: time %d, want %d", i, events[i].Time, plain[i].Time)
		}
	}
}

func TestMessagePackForms(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"\x00", "0"}, {"\x7f", "127"}, {"\xe0", "-32"}, {"\xff", "-1"}, {"\xc0", "null"}, {"\xc2", "false"}, {"\xc3", "true"},
		{"\xcc\xff", "255"}, {"\xcd\xff\xff", "65535"}, {"\xce\xff\xff\xff\xff", "4294967295"}, {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"},
		{"\xd0\x80", "-128"}, {"\xd1\x80\x00", "-32768"}, {"\xd2\x80\x00\x00\x00", "-2147483648"}, {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"},
		{"\xd1\x00\x05", "5"},
		{"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1"}, {"\xca\x3d\xcc\xcc\xcd", "0.1"},
		{"\xa3a\"\x01", `"a\"\u0001"`}, {"\xd9\x01\\", `"\\"`}, {"\xda\x00\x01x", `"x"`}, {"\xdb\x00\x00\x00\x01x", `"x"`}, {"\xa0", `""`},
		{"\x92\x01\x90", "[1,[]]"}, {"\xdc\x00\x01\x01", "[1]"}, {"\xdd\x00\x00\x00\x01\x01", "[1]"},
		{"\x81\xa1a\x01", `{"a":1}`}, {"\xde\x00\x01\xa1a\x01", `{"a":1}`}, {"\xdf\x00\x00\x00\x01\xd9\x01a\x80", `{"a":{}}`},
		{"\xd6\xff\x00\x00\x00\x02", "2000000000"}, {"\xd7\xff\x00\x00\x00\x04\x00\x00\x00\x02", "2000000001"},
		{"\xc7\x0c\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02", "2000000001"},
		// Refused: "" stands for the fault.
		{"", ""}, {"\xc1", ""}, {"\xc4\x00", ""}, {"\xd4\x01\x02", ""}, {"\xd6\x01\x00\x00\x00\x00", ""}, {"\x81\x01\x01", ""}, {"\x01\x01", ""},
		{"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", ""}, {"\xca\x7f\xc0\x00\x00", ""}, {"\xa2a", ""}, {"\x92\x01", ""}, {"\x81\xa1a", ""},
		{"\xdd\xff\xff\xff\xff", ""}, {"\xdf\xff\xff\xff\xff", ""}, {"\xdb\xff\xff\xff\xff", ""}, {"\xcf\x01", ""},
		{"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""}, {"\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff", ""}, {"\xc7\x05\xff\x00\x00\x00\x00\x00", ""},
	} {
		var m msgpack
		got, ok := m.convert([]byte(c.in))
		if ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%x: got %s %t, want %s", c.in, got, ok, c.want)
		}
		if ok && !json.Valid(got) {
			t.Errorf("%x: %s is no JSON", c.in, got)
		}
	}
}

// TestMessagePackProperty: whatever JSON is packed, the same comes out; and a
// price of up to 15 digits keeps them all, though it travels as a float.
func TestMessagePackProperty(t *testing.T) {
	var m msgpack
	rapid.Check(t, func(rt *rapid.T) {
		mantissa := rapid.Int64Range(1, 999_999_999_999_999).Draw(rt, "mantissa")
		decimals := market.Decimals(rapid.IntRange(0, 12).Draw(rt, "decimals"))
		text := rapid.StringN(0, 40, 300).Draw(rt, "text")
		name := rapid.StringN(1, 5, 10).Draw(rt, "name")
		in, err := json.Marshal(map[string]any{name: []any{text, nil, true, json.Number(market.Format(mantissa, decimals))}, "other": rapid.Int64().Draw(rt, "n")})
		if err != nil {
			rt.Fatal(err)
		}
		out, ok := m.convert(pack(t, string(in)))
		if !ok {
			rt.Fatalf("%s refused", in)
		}
		read := func(text []byte) (v map[string]any) {
			d := json.NewDecoder(strings.NewReader(string(text)))
			d.UseNumber()
			if err := d.Decode(&v); err != nil {
				rt.Fatalf("%s: %v", text, err)
			}
			return v
		}
		a, b := read(in), read(out)
		list := b[name].([]any)
		got, gd, err := market.ParseNumber(string(list[3].(json.Number)))
		if err != nil {
			rt.Fatal(err)
		}
		if market.Format(got, gd) != market.Format(mantissa, decimals) || list[0] != a[name].([]any)[0] || b["other"] != a["other"] {
			rt.Fatalf("%s became %s", in, out)
		}
	})
}

func TestAlpacaBadMessagePack(t *testing.T) {
	sound := pack(t, listOf(alpacaTrade))
	deep := append([]byte(strings.Repeat("\x91", 100)), 1)
	for name, c := range map[string]struct {
		payload []byte
		cause   Cause
		detail  string
	}{
		"truncated": {sound[:20], CauseSyntax, "ends too early"},
		"garbage":   {append(slices.Clone(sound), 7), CauseSyntax, "offset"},
		"binary":    {[]byte{0x91, 0xc4, 0x00}, CauseSyntax, "unexpected 0xc4 in MessagePack at offset 1"},
		"deep":      {deep, CauseOversized, "nested deeper"},
		"oversized": {make([]byte, maxPacked+1), CauseOversized, "bytes"},
		"json":      {[]byte(listOf(alpacaTrade)), CauseSyntax, "MessagePack"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "alpaca")
			_, err := r.d.Decode(nil, packed(c.payload))
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Cause != c.cause || !strings.Contains(refusal.Detail, c.detail) {
				t.Errorf("%v, want %s with %q", err, c.cause, c.detail)
			}
			if events, err := r.d.Decode(nil, packed(sound)); err != nil || len(events) != 1 {
				t.Errorf("after it: %d events, %v", len(events), err)
			}
		})
	}
}

func TestAlpacaAllocatesNothing(t *testing.T) {
	for name, f := range map[string]feeds.Frame{"json": frame(listOf(alpacaMessages...)), "msgpack": packed(pack(t, listOf(alpacaMessages...)))} {
		r := newRig(t, "alpaca")
		dst, err := r.d.Decode(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { dst, _ = r.d.Decode(dst[:0], f) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzAlpaca(f *testing.F) {
	fuzzDecoder(f, "alpaca", listOf(alpacaTrade), listOf(alpacaQuote, alpacaBar), listOf(alpacaStatus, alpacaLULD), listOf(alpacaCorrection, alpacaCancel),
		listOf(alpacaCoin, alpacaCoinQuote), listOf(alpacaImage, alpacaChange), `[{"T":"error","code":406,"msg":"connection limit exceeded"}]`)
}

// FuzzAlpacaMessagePack: nothing may panic, and what is taken has become JSON.
func FuzzAlpacaMessagePack(f *testing.F) {
	for _, m := range alpacaMessages {
		f.Add(pack(f, listOf(m)))
	}
	f.Add([]byte("\xc7\x0c\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"))
	addCorpus(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := newRig(t, "alpaca")
		d := r.d.(*alpaca)
		if text, ok := d.pack.convert(payload); ok && !json.Valid(text) {
			t.Fatalf("%x became %s", payload, text)
		} else if ok && len(text) > 30*len(payload) {
			t.Fatalf("%d bytes became %d", len(payload), len(text))
		}
		events, err := r.d.Decode(nil, packed(payload))
		var refusal *Refusal
		if err != nil && (!errors.As(err, &refusal) || refusal.Detail == "") {
			t.Fatalf("error %v is no refusal", err)
		}
		for i := range events {
			checkEvent(t, r, &events[i])
		}
		checkLast(t, r, events)
	})
}

func BenchmarkAlpaca(b *testing.B) {
	for name, m := range map[string]string{"t": alpacaTrade, "q": alpacaQuote, "o": alpacaChange} {
		ten := listOf(slices.Repeat([]string{m}, 10)...)
		b.Run("json/"+name, func(b *testing.B) { benchmarkFrames(b, "alpaca", nil, []byte(ten)) })
		b.Run("msgpack/"+name, func(b *testing.B) {
			r := newRig(b, "alpaca")
			f := packed(pack(b, ten))
			dst, err := r.d.Decode(nil, f)
			if err != nil {
				b.Fatal(err)
			}
			events := 0
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = r.d.Decode(dst[:0], f)
				events += len(dst)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
}

// TestAlpacaQuoteConditions: letters by the tape, of several the worst.
func TestAlpacaQuoteConditions(t *testing.T) {
	for condition, want := range map[string]string{
		`"c":["R"],`: "", `"c":[],`: "", ``: "", `"c":"R",`: "", `"c":["R","A"],`: " firm/slow", `"c":["N"],`: " no/no",
		`"c":["F"],`: " no/no", `"c":[7],`: " no/no", `"c":["R","R","R","R","R","R","R"],`: " no/no",
	} {
		r := newRig(t, "alpaca")
		r.want(r.decode(listOf(strings.Replace(alpacaQuote, `"c":["R"],`, condition, 1))),
			"quote AMD @sip 187.66x100@MEMX 187.68x400@XNAS"+want+" +nbbo +last")
	}
	// F is slow on tapes A and B, not firm on C.
	r := newRig(t, "alpaca")
	q := strings.Replace(strings.Replace(alpacaQuote, `["R"]`, `["F"]`, 1), `"z":"C"`, `"z":"A"`, 1)
	r.want(r.decode(listOf(q)), "quote AMD @sip 187.66x100@MEMX 187.68x400@XNAS firm/slow +nbbo +last")
}
