package wire

import (
	"encoding/json"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

func readFixture(t testing.TB, name string, dst any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, dst); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestParseRequestFixtures(t *testing.T) {
	var cases []struct {
		Name, Request, Code, Contains string
		ID                            json.Number
	}
	readFixture(t, "requests.json", &cases)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			r, err := ParseRequest([]byte(c.Request))
			if c.Code == "" {
				if err != nil {
					t.Fatalf("ParseRequest(%s) = %v", c.Request, err)
				}
				// What was read is all that was written: encoding it gives an equal value.
				var want, got any
				_ = json.Unmarshal([]byte(c.Request), &want)
				_ = json.Unmarshal(r.Append(nil), &got)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("encoded again: %s, want %s", r.Append(nil), c.Request)
				}
				return
			}
			if err == nil {
				t.Fatalf("ParseRequest(%s) = %+v, want error %s", c.Request, r, c.Code)
			}
			if err.Code != c.Code || !strings.Contains(err.Message, c.Contains) || err.ID != c.ID {
				t.Errorf("error = %q %q id %q, want %q …%q… id %q", err.Code, err.Message, err.ID, c.Code, c.Contains, c.ID)
			}
		})
	}
}

func TestParseRequestBounds(t *testing.T) {
	symbols := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"op":"subscribe","id":7,"channel":"quote","symbols":["A0"`)
		for i := 1; i < n; i++ {
			b.WriteString(`,"A` + strings.Repeat("1", i%40) + `"`)
		}
		return b.String() + `]}`
	}
	if _, err := ParseRequest([]byte(symbols(MaxSymbols))); err != nil {
		t.Errorf("%d symbols: %v", MaxSymbols, err)
	}
	_, err := ParseRequest([]byte(symbols(MaxSymbols + 1)))
	if err == nil || err.ID != "7" || !strings.Contains(err.Message, "10000") {
		t.Errorf("%d symbols: %v", MaxSymbols+1, err)
	}
	if _, err := ParseRequest(make([]byte, MaxRequestBytes+1)); err == nil || err.Code != CodeBadRequest {
		t.Errorf("too long: %v", err)
	}
	_, err = ParseRequest([]byte("{\"op\":\"ping\",\"id\":3,\"x\":\"\xff\"}"))
	if err == nil || err.ID != "3" || !strings.Contains(err.Message, "not UTF-8 at byte 25") {
		t.Errorf("not UTF-8: %v", err)
	}
	deep := strings.Repeat("[", 1<<20)
	if _, err := ParseRequest([]byte(`{"id":5,"op":` + deep)); err == nil || err.ID != "5" || !strings.Contains(err.Message, "nested") {
		t.Errorf("deep: %v", err)
	}
	if _, err := ParseRequest([]byte(`{"op":"auth","token":"` + strings.Repeat("s", MaxToken+1) + `"}`)); err == nil || strings.Contains(err.Message, "ss") {
		t.Errorf("a token must be bounded and never repeated: %v", err)
	}
}

func TestResolveDefaults(t *testing.T) {
	cases := map[string]Request{
		"quote":  {Venue: "*", Interval: DefaultInterval, Checksum: true, Weight: 1},
		"book":   {Venue: "*", Interval: DefaultInterval, Checksum: true, Weight: 1, Depth: DefaultDepth},
		"trade":  {Venue: "*", Checksum: true, Weight: 1},
		"ticker": {Venue: "*", Interval: DefaultInterval, Checksum: true, Weight: 1},
		"bar":    {Venue: "*", Checksum: true, Weight: 1, Bar: DefaultBar},
		"status": {Venue: "*", Checksum: true, Weight: 1},
	}
	for name, want := range cases {
		want.Op, want.Given = OpSubscribe, FieldChannel|FieldSymbols
		want.Channel, _ = ParseChannel(name)
		want.Symbols = []string{"AAPL", "MSFT"}
		got, err := ParseRequest([]byte(`{"op":"subscribe","channel":"` + name + `","symbols":["AAPL","MSFT","AAPL"]}`))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	// An update leaves what it does not name alone.
	got, err := ParseRequest([]byte(`{"op":"update","sid":3,"depth":5}`))
	if err != nil || got.Weight != 0 || got.Checksum || got.Venue != "" || got.Interval != 0 || got.Depth != 5 {
		t.Errorf("update: %+v, %v", got, err)
	}
	// What was written wins over the default, also where it is the zero value.
	got, err = ParseRequest([]byte(`{"op":"subscribe","channel":"book","symbols":["A"],"depth":0,"interval":"0","checksum":false}`))
	if err != nil || got.Depth != 0 || got.Interval != 0 || got.Checksum {
		t.Errorf("explicit zeros: %+v, %v", got, err)
	}
}

func TestParseQuery(t *testing.T) {
	cases := []struct {
		query, code, contains string
		want                  Request
	}{
		{query: "channel=quote&symbols=AAPL,MSFT&interval=250ms", want: Request{Op: OpSubscribe, Channel: ChannelQuote,
			Symbols: []string{"AAPL", "MSFT"}, Venue: "*", Interval: 250 * time.Millisecond, Checksum: true, Weight: 1,
			Given: FieldChannel | FieldSymbols | FieldInterval}},
		{query: "channel=book&symbols=BTC-*&depth=0&venue=kraken&venues=true&checksum=false&weight=10&token=t&max_age=2s",
			want: Request{Op: OpSubscribe, Channel: ChannelBook, Symbols: []string{"BTC-*"}, Venue: "kraken",
				Interval: DefaultInterval, Venues: true, Weight: 10, Token: "t", MaxAge: 2 * time.Second,
				Given: FieldChannel | FieldSymbols | FieldDepth | FieldVenue | FieldVenues | FieldChecksum | FieldWeight | FieldToken | FieldMaxAge}},
		{query: "channel=bar&symbols=A&bar=5m&from=10&until=20&speed=max", want: Request{Op: OpSubscribe, Channel: ChannelBar,
			Symbols: []string{"A"}, Venue: "*", Bar: "5m", Checksum: true, Weight: 1, From: 10, Until: 20, Speed: math.Inf(1),
			Given: FieldChannel | FieldSymbols | FieldBar | FieldFrom | FieldUntil | FieldSpeed}},
		{query: "symbols=A", code: CodeBadRequest, contains: "needs channel"},
		{query: "channel=quote", code: CodeBadRequest, contains: "needs symbols"},
		{query: "channel=quote&symbols=", code: CodeBadRequest, contains: "want 1 to 64"},
		{query: "channel=quote&symbols=A,,B", code: CodeBadRequest, contains: "want 1 to 64"},
		{query: "channel=quotes&symbols=A", code: CodeUnknownChannel, contains: "want one of"},
		{query: "channel=book&symbols=A&depth=ten", code: CodeInvalidDepth, contains: "integer"},
		{query: "channel=book&symbols=A&interval=250", code: CodeInvalidInterval, contains: "250ms"},
		{query: "channel=book&symbols=A&symbols=B", code: CodeBadRequest, contains: "commas"},
		{query: "channel=book&symbols=A&foo=B", code: CodeBadRequest, contains: `unknown query parameter "foo"`},
		{query: "channel=book&symbols=A&op=auth", code: CodeBadRequest, contains: "unknown query parameter"},
		{query: "channel=book&symbols=A&venues=1", code: CodeBadRequest, contains: "true or false"},
		{query: "channel=book&symbols=A&weight=1,2", code: CodeBadRequest, contains: "from 1"},
		{query: "channel=book&symbols=%ff", code: CodeBadRequest, contains: "UTF-8"},
	}
	for _, c := range cases {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		got, e := ParseQuery(q)
		if c.code != "" {
			if e == nil || e.Code != c.code || !strings.Contains(e.Message, c.contains) {
				t.Errorf("%s: %+v, %v; want %s …%s…", c.query, got, e, c.code, c.contains)
			}
			continue
		}
		if e != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.query, got, e, c.want)
		}
	}
}

// TestRequestRoundTrip: what Append writes, ParseRequest reads back.
func TestRequestRoundTrip(t *testing.T) {
	symbol := rapid.StringMatching(`[A-Z:<&]{1,5}(-USD)?`)
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom(opRules[:]).Draw(t, "rule")
		given := rule.need | Field(rapid.Uint32().Draw(t, "given"))&rule.takes
		given &^= FieldUntil | FieldSpeed // they need from, and an order
		from := rapid.Uint64Range(0, 1<<60).Draw(t, "from")
		r := Request{Op: rule.op, Given: given}
		if rapid.Bool().Draw(t, "hasID") {
			r.ID = json.Number(rapid.StringMatching(`-?[1-9][0-9]{0,8}(\.[0-9]{1,3})?`).Draw(t, "id"))
		}
		if r.Has(FieldChannel) {
			r.Channel = Channel(rapid.IntRange(1, NumChannels-1).Draw(t, "channel"))
		}
		if r.Has(FieldSymbols) {
			r.Symbols = rapid.SliceOfNDistinct(symbol, 1, 5, rapid.ID[string]).Draw(t, "symbols")
		}
		if r.Has(FieldVenue) {
			r.Venue = rapid.SampledFrom([]string{"*", "kraken", "XNAS"}).Draw(t, "venue")
		}
		if r.Has(FieldDepth) {
			r.Depth = rapid.IntRange(0, MaxDepth).Draw(t, "depth")
			if rule.op == OpSubscribe && r.Channel != ChannelBook {
				r.Depth = 0 // resolved away
			}
		}
		if r.Has(FieldInterval) {
			r.Interval = time.Duration(rapid.Int64Range(0, int64(MaxInterval)).Draw(t, "interval"))
		}
		if r.Has(FieldVenues) {
			r.Venues = rapid.Bool().Draw(t, "venues")
		}
		if r.Has(FieldBar) && (rule.op != OpSubscribe || r.Channel == ChannelBar) {
			r.Bar = rapid.SampledFrom([]string{"1s", "1m", "5m", "1h", "1d"}).Draw(t, "bar")
		} else {
			r.Given &^= FieldBar
		}
		if r.Has(FieldGroup) {
			r.Group, r.GroupDecimals = market.Trim(market.Price(rapid.Int64Range(1, 1000).Draw(t, "group")), 2, 0)
		}
		if r.Has(FieldResume) {
			r.Resume = map[string]Position{symbol.Draw(t, "resume"): {Epoch: "e1", Seq: rapid.Uint64().Draw(t, "seq")}}
		}
		if r.Has(FieldChecksum) {
			r.Checksum = rapid.Bool().Draw(t, "checksum")
		}
		if r.Has(FieldWeight) {
			r.Weight = rapid.IntRange(1, MaxWeight).Draw(t, "weight")
		}
		if r.Has(FieldMaxAge) {
			r.MaxAge = time.Duration(rapid.Int64Range(0, int64(MaxInterval)).Draw(t, "max_age"))
		}
		if r.Has(FieldSID) {
			r.SID = rapid.Uint64().Draw(t, "sid")
		}
		if r.Has(FieldToken) {
			r.Token = rapid.StringN(1, 20, -1).Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s }).Draw(t, "token")
		}
		if r.Has(FieldFrom) {
			r.From = from
		}
		if r.Has(FieldTo) {
			r.To = from + 1
		}
		if r.Has(FieldKbps) {
			r.Kbps = rapid.IntRange(0, math.MaxInt32).Draw(t, "kbps")
		}
		r.Resolve()
		text := r.Append(nil)
		got, err := ParseRequest(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("%s:\n got %+v\nwant %+v", text, got, r)
		}
	})
}

func TestFormatInterval(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", 250 * time.Millisecond: "250ms", time.Second: "1s",
		10 * time.Second: "10s", time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 61 * time.Minute: "1h1m",
		1500 * time.Microsecond: "1.5ms"} {
		if got := FormatInterval(d); got != want {
			t.Errorf("FormatInterval(%v) = %q, want %q", d, got, want)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	var cases []struct{ Request string }
	readFixture(f, "requests.json", &cases)
	for _, c := range cases {
		f.Add([]byte(c.Request))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			if err.Code == "" || err.Message == "" || len(err.Message) > 4096 {
				t.Fatalf("%q: poor error %+v", b, err)
			}
			if text, e := Append(nil, err); e != nil || !json.Valid(text) {
				t.Fatalf("%q: error does not encode: %s %v", b, text, e)
			}
			return
		}
		if _, ok := ruleOf(r.Op); !ok || r.Depth < 0 || r.Depth > MaxDepth || r.Interval < 0 || r.Interval > MaxInterval ||
			len(r.Symbols) > MaxSymbols || r.Weight < 0 || r.Kbps < 0 {
			t.Fatalf("%q: out of bounds: %+v", b, r)
		}
		again, err := ParseRequest(r.Append(nil))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q: encoded %s\n got %+v, %v\nwant %+v", b, r.Append(nil), again, err, r)
		}
	})
}

func FuzzParseQuery(f *testing.F) {
	f.Add("channel=quote&symbols=AAPL,MSFT&interval=250ms")
	f.Add("channel=book&symbols=*&depth=5&speed=1e3&from=1")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if r, e := ParseQuery(q); e == nil && (r.Op != OpSubscribe || r.Channel == ChannelNone || len(r.Symbols) == 0) {
			t.Fatalf("%q: %+v", query, r)
		}
	})
}

func TestMatch(t *testing.T) {
	cases := []struct {
		pattern, symbol string
		want            bool
	}{
		{"AAPL", "AAPL", true}, {"AAPL", "AAPLL", false}, {"AAPL", "AAP", false},
		{"*", "AAPL", true}, {"**", "A", true}, {"ETH-*", "ETH-USD", true}, {"ETH-*", "ETH-", true},
		{"ETH-*", "BETH-USD", false}, {"*-USD", "BTC-USD", true}, {"*-USD", "BTC-USDT", false},
		{"A*B*C", "AxxBxBC", true}, {"A*B*C", "AxxCxB", false}, {"*A*", "BAB", true}, {"", "", true}, {"", "A", false},
		{"*a*a*a*a*b", strings.Repeat("a", 64), false},
	}
	for _, c := range cases {
		if got := Match(c.pattern, c.symbol); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.symbol, got)
		}
	}
}
