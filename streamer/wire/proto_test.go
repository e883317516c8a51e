package wire

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire/wiretest"
	"github.com/quotewire/quotewire/streamer/wire/wirev1"
)

// read returns the only message of a frame, after the scale if there is one.
func readProto(t interface{ Fatal(...any) }, r *ProtoReader, frame []byte) (m Message) {
	for len(frame) > 0 {
		msg, rest, err := r.Cut(frame)
		if err != nil {
			t.Fatal(err)
		}
		if m, err = r.Parse(msg); err != nil {
			t.Fatal(err)
		}
		frame = rest
	}
	return m
}

// TestProtoSaysTheSame: what the two formats append reads back as one message,
// and the generated code reads the frame.
func TestProtoSaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		time := rapid.Int64Range(0, 1<<61)
		h := Head{
			SID: rapid.Uint64Range(1, 1<<53).Draw(t, "sid"), Channel: ChannelBook, Symbol: "BTC-USD",
			Venue: rapid.SampledFrom([]string{"*", "kraken"}).Draw(t, "venue"), Epoch: "9f2c",
			Seq: rapid.Uint64().Draw(t, "seq"), Prev: rapid.Uint64().Draw(t, "prev"), N: rapid.Uint64().Draw(t, "n"),
			Span: time.Draw(t, "span"), TS: time.Draw(t, "ts"), RX: time.Draw(t, "rx"), TX: time.Draw(t, "tx"),
		}
		scale := market.Scale{Price: market.Decimals(rapid.IntRange(0, 18).Draw(t, "pd")), Size: market.Decimals(rapid.IntRange(0, 18).Draw(t, "sd"))}
		price := market.Price(rapid.Int64().Draw(t, "price"))
		size := market.Size(rapid.Int64Range(0, 1<<62).Draw(t, "size"))
		id := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "id")
		kind := rapid.SampledFrom([]string{"book", "quote", "ticker", "trade", "delta", "nothing"}).Draw(t, "kind")
		channel, _ := ParseChannel(kind)
		if kind == "delta" || kind == "nothing" {
			channel = ChannelQuote
		}
		h.Channel = channel
		levels, out := rapid.IntRange(0, 30).Draw(t, "levels"), rapid.Bool().Draw(t, "out")
		encode := func(f Format) []byte {
			var b []byte
			var m, at Mark
			switch kind {
			case "trade":
				b, m = f.BeginTrade(nil, &h)
			case "delta", "nothing":
				b, m = f.BeginDelta(nil, &h)
			default:
				b, m = f.BeginSnapshot(nil, &h)
			}
			switch kind {
			case "book":
				b = f.List(b, KeyBids)
				for range levels {
					b, at = f.Level(b, KeyBids, Level{price, size}, scale)
					b = f.OpenSplit(b)
					b = f.VenueSize(b, KeyLevelVenues, "kraken", size, scale)
					b = f.CloseLevel(f.CloseSplit(f.VenueSize(b, KeyLevelVenues, "coinbase", size, scale)), at)
				}
				b = f.List(f.EndList(b), KeyAsks)
				b, at = f.Level(b, KeyAsks, Level{price, 0}, scale)
				b = f.EndList(f.CloseLevel(b, at))
				b = f.CRC(f.Word(b, KeyBookState, "live"), KeyCRC, 974947235)
			case "quote", "delta":
				b = f.Price(b, KeyBid, price, scale)
				b = f.Size(b, KeyBidSize, size, scale)
				b, at = f.Open(b, KeyBidVenues, false)
				b = f.Close(f.VenueSize(b, KeyVenueSizes, "kraken", size, scale), at, false)
				b, at = f.Open(b, KeyAskVenues, false)
				b = f.Close(b, at, false)
				for _, k := range []Key{KeyAsk, KeyAskSize, KeyAskTotal, KeyCrossed} {
					b = f.Null(b, k)
				}
				b = f.Bool(f.Word(b, KeySource, "nbbo"), KeyLocked, true)
				b, at = f.Open(b, KeyOut, true)
				if out {
					var o Mark
					b, o = f.Element(b, KeyOuts)
					b = f.Word(f.Word(b, KeyOutVenue, "binance"), KeyOutWhy, "resyncing")
					b = f.Close(f.Time(f.Word(b, KeyOutCause, "gap"), KeyOutSince, h.RX), o, false)
				}
				b = f.Close(b, at, true)
				b, at = f.Open(b, KeyMerged, false)
				b = f.Close(f.Range(b, KeyMergedBid, price, price, scale), at, false)
			case "ticker":
				b = f.Uint(f.Word(f.Price(b, KeyLast, price, scale), KeyLastVenue, "XNAS"), KeyTrades, h.N)
				b = f.OwnNumber(f.Null(f.Size(b, KeyVolume, size, scale), KeyPrevClose), KeyVWAP, price, 18)
				b, at = f.Open(b, KeyMerged, false)
				b = f.Uint(f.Size(b, KeyMergedVolume, size, scale), KeyMergedTrades, 3)
				b = f.Close(f.OwnNumber(b, KeyMergedVWAP, price, 7), at, false)
			case "trade":
				b = f.List(b, KeyEvents)
				for range 2 {
					b, at = f.Element(b, KeyEvents)
					b = f.Size(f.Price(b, KeyEventPrice, price, scale), KeyEventSize, size, scale)
					b = f.Text(f.Word(b, KeyEventVenue, "kraken"), KeyEventID, id)
					b = f.List(f.Word(b, KeyEventSide, "buy"), KeyEventCond)
					b = f.WordElement(f.WordElement(b, KeyEventCond, []byte("odd_lot")), KeyEventCond, []byte("cond_7"))
					b = f.Close(f.Time(f.Bool(f.EndList(b), KeyEventPrior, true), KeyEventTS, h.TS), at, false)
				}
				b = f.EndList(b)
			}
			return f.Finish(b, m, channel)
		}
		want, err := Parse(encode(FormatJSON))
		if err != nil {
			t.Fatal(err)
		}
		frame := encode(FormatProto)
		var r ProtoReader
		got := readProto(t, &r, slices.Concat(AppendScale(nil, h.SID, scale), frame))
		// JSON has no form for some absences: compare what is written.
		a, err := Append(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := Append(nil, want); string(a) != string(b) {
			t.Fatalf("protobuf says\n%s, JSON\n%s", a, b)
		}
		var whole wirev1.Frame
		if err := proto.Unmarshal(frame, &whole); err != nil || len(whole.Messages) != 1 {
			t.Fatalf("%v, %d messages", err, len(whole.Messages))
		}
		if len(whole.ProtoReflect().GetUnknown())+len(whole.Messages[0].ProtoReflect().GetUnknown()) > 0 {
			t.Fatal("the generated code does not know all of it")
		}
	})
}

// TestProtoControl: control messages come through.
func TestProtoControl(t *testing.T) {
	two, eight := 2, 8
	for _, m := range []Message{
		&Welcome{Version: "1", Server: "quotewire/1", Session: "c7", Heartbeat: 5000, Limits: Limits{Subscriptions: 5000, MinInterval: "100ms", Symbols: 7, RequestBytes: 9}},
		&Ack{ID: "7", Op: OpSubscribe, Streams: []Granted{{SID: 12, Channel: ChannelBook, Symbol: "BTC-USD", Venue: "kraken", Depth: 10,
			Interval: "1m", Venues: true, Delay: "15m", PriceDecimals: &two, SizeDecimals: &eight, TickSize: "0.01"},
			{SID: 13, Channel: ChannelQuote, Symbol: "AAPL", Interval: "0", Bar: "5m", MaxAge: "2s", Requested: &Requested{Interval: "3ms", Depth: &two}}}},
		&Ack{Op: OpAuth},
		&Ack{Op: OpFetch, From: 77, To: 940, Messages: &two, Streams: []Granted{{SID: 1, Channel: ChannelTrade, Symbol: "AAPL", Interval: "0", Paused: true}}},
		&Error{ID: "3", Code: CodeUnknownSymbol, Message: "no such symbol", Symbols: []string{"AAPLL"}, RetryAfter: 1500},
		&Heartbeat{TX: 1_764_000_000_000_000, Lag: 12, Interval: "250ms"},
		&Heartbeat{TX: 1_764_000_000_000_000},
		&Pong{ID: "4", TX: 1_764_000_000_000_000},
		&Gap{SID: 13, From: 77, To: 940, Reason: "slow_consumer"},
		&Watermark{SID: 2, Bar: "1m", Until: 1_764_000_000_000_000},
	} {
		frame, err := FormatProto.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		var r ProtoReader
		if got := readProto(t, &r, frame); !reflect.DeepEqual(got, m) {
			t.Errorf("%s comes through as\n%+v, want\n%+v", m.Type(), got, m)
		}
		if g, ok := m.(*Gap); ok && string(FormatProto.Gap(nil, g.SID, g.From, g.To, g.Reason)) != string(frame) {
			t.Error("a gap appended by hand differs")
		}
	}
	if _, err := FormatProto.Append(nil, &Snapshot{}); err == nil {
		t.Error("a snapshot was encoded without its scale")
	}
}

// TestProtoReaderRefuses: what a server must not send is an error, not a panic.
func TestProtoReaderRefuses(t *testing.T) {
	var r ProtoReader
	delta := &wirev1.Message{Body: &wirev1.Message_Delta{Delta: &wirev1.Update{Sid: 9, Content: &wirev1.Update_Quote{Quote: &wirev1.Quote{}}}}}
	parse := func(m *wirev1.Message) error {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Parse(b)
		return err
	}
	if err := parse(delta); err == nil || !strings.Contains(err.Error(), "decimals have not come") {
		t.Errorf("numbers without a scale: %v", err)
	}
	if err := parse(&wirev1.Message{Body: &wirev1.Message_Scale{Scale: &wirev1.Scale{Sid: 9, Price: 19}}}); err == nil {
		t.Error("19 decimals were taken")
	}
	if err := parse(&wirev1.Message{Body: &wirev1.Message_Scale{Scale: &wirev1.Scale{Sid: 9, Price: 2}}}); err != nil {
		t.Error(err)
	}
	if err := parse(delta); err != nil {
		t.Error(err)
	}
	delta.GetDelta().GetQuote().Cleared = []uint32{9}
	if err := parse(delta); err == nil {
		t.Error("a source was cleared")
	}
	if m, err := r.Parse(nil); err != nil || m.Type() != "unknown" {
		t.Errorf("a message of no known type gives %v, %v", m, err)
	}
	if _, _, err := r.Cut([]byte{0x12, 0}); err == nil {
		t.Error("a frame of something else was cut")
	}
}

// anyRequest draws a request that is right.
func anyRequest(t *rapid.T) Request {
	r := Request{Op: rapid.SampledFrom([]Op{OpAuth, OpSubscribe, OpUpdate, OpUnsubscribe, OpResync, OpPing, OpBudget, OpFetch, OpExplain}).Draw(t, "op")}
	if rapid.Bool().Draw(t, "has id") {
		r.ID = idText(rapid.Uint64Range(1, math.MaxUint64).Draw(t, "id"))
	}
	rule, _ := ruleOf(r.Op)
	r.Given = rule.need
	for i := range fieldNames {
		if rule.takes&(1<<i) != 0 && rapid.Bool().Draw(t, fieldNames[i]) {
			r.Given |= 1 << i
		}
	}
	if r.Op == OpSubscribe && r.Given&(FieldUntil|FieldSpeed) != 0 {
		r.Given |= FieldFrom
	}
	duration := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(MaxInterval)).Draw(t, "d"))
	})
	r.Channel = rapid.SampledFrom([]Channel{ChannelQuote, ChannelBook, ChannelTrade, ChannelTicker, ChannelBar, ChannelStatus, ChannelAlert}).Draw(t, "channel")
	r.Symbols = rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Z*]{1,5}(-USD)?`), 1, 4, rapid.ID).Draw(t, "symbols")
	r.Venue = rapid.SampledFrom([]string{"*", "kraken"}).Draw(t, "venue")
	r.Depth, r.Weight, r.Kbps = rapid.IntRange(0, MaxDepth).Draw(t, "depth"), rapid.IntRange(1, MaxWeight).Draw(t, "weight"), rapid.IntRange(0, 1<<30).Draw(t, "kbps")
	r.Interval, r.MaxAge = duration.Draw(t, "interval"), duration.Draw(t, "max_age")
	r.Paused = rapid.Bool().Draw(t, "paused")
	r.Venues, r.Checksum = rapid.Bool().Draw(t, "venues"), rapid.Bool().Draw(t, "checksum")
	r.Group, r.GroupDecimals = market.Trim(market.Price(rapid.Int64Range(1, 1000).Draw(t, "group")), 2, 0)
	r.Bar = rapid.SampledFrom([]string{"1s", "1m", "1d"}).Draw(t, "bar")
	r.Resume = rapid.MapOfN(rapid.StringMatching(`[A-Z]{1,5}`), rapid.Custom(func(t *rapid.T) Position {
		return Position{rapid.StringMatching(`[0-9a-f]{1,16}`).Draw(t, "epoch"), rapid.Uint64().Draw(t, "seq")}
	}), 1, 3).Draw(t, "resume")
	r.SID, r.From = rapid.Uint64().Draw(t, "sid"), rapid.Uint64Range(0, 1<<40).Draw(t, "from")
	r.To, r.Until = r.From+rapid.Uint64Range(0, 9).Draw(t, "to"), r.From+7
	r.Token = rapid.StringMatching(`[a-z.]{1,20}`).Draw(t, "token")
	r.Speed = rapid.SampledFrom([]float64{0.5, 1, 10000, math.Inf(1)}).Draw(t, "speed")
	return r
}

// TestProtoRequests: a request means the same in either format, and a refusal
// says the same.
func TestProtoRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		if rapid.IntRange(0, 3).Draw(t, "spoil") == 0 {
			// Wrong in a way that both formats can say.
			r.Given ^= 1 << rapid.IntRange(0, len(fieldNames)-1).Draw(t, "field")
			r.Depth, r.Interval = 1001, 2*time.Hour
		}
		a, aerr := ParseRequest(r.Append(nil))
		b, berr := ParseProtoRequest(r.AppendProto(nil))
		if !reflect.DeepEqual(aerr, berr) {
			// The order in which faults are found differs where there are several.
			if aerr == nil || berr == nil || aerr.ID != berr.ID {
				t.Fatalf("JSON: %v\nprotobuf: %v\n%s", aerr, berr, r.Append(nil))
			}
			return
		}
		if aerr == nil && !reflect.DeepEqual(a, b) {
			t.Fatalf("JSON gives\n%+v, protobuf\n%+v", a, b)
		}
	})
}

// TestProtoRequestRefusals: what only Protocol Buffers can do wrong.
func TestProtoRequestRefusals(t *testing.T) {
	str := func(s string) *string { return &s }
	marshal := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	id := uint64(7)
	for _, test := range []struct {
		name, want string
		b          []byte
		id         json.Number
	}{
		{"cut", "no Protocol Buffers", []byte{0x0a, 9, 'p'}, ""},
		{"text", "no Protocol Buffers", []byte(`{"op":"ping"}`), ""},
		{"unknown field", "unknown field, number 99", append(marshal(&wirev1.Request{Op: str("ping"), Id: &id}), 0x98, 0x06, 1), "7"},
		{"wrong type", "wrong wire type", append(marshal(&wirev1.Request{Id: &id}), 0x08, 1), "7"},
		{"twice", `"op" twice`, append(marshal(&wirev1.Request{Op: str("ping"), Id: &id}), 0x0a, 1, 'x'), "7"},
		{"not UTF-8", `"op" is not UTF-8`, []byte{0x0a, 1, 0xff, 0x10, 7}, "7"},
		{"no epoch", "want entries of a symbol", marshal(&wirev1.Request{Op: str("subscribe"), Channel: str("quote"), Symbols: []string{"A"},
			Resume: map[string]*wirev1.Position{"A": {Seq: &id}}}), ""},
		{"no op", `field "op" is missing`, nil, ""},
		{"huge", "at most", make([]byte, MaxRequestBytes+1), ""},
	} {
		_, err := ParseProtoRequest(test.b)
		if err == nil || err.Code != CodeBadRequest || !strings.Contains(err.Message, test.want) || err.ID != test.id {
			t.Errorf("%s: %v of %q, want %q of %q", test.name, err, err.ID, test.want, test.id)
		}
	}
	// The generated code writes what the parser reads.
	r, err := ParseProtoRequest(marshal(&wirev1.Request{Op: str("subscribe"), Id: &id, Channel: str("quote"), Symbols: []string{"AAPL"},
		Resume: map[string]*wirev1.Position{"AAPL": {Epoch: str("9f2c"), Seq: &id}}}))
	if err != nil || r.ID != "7" || r.Channel != ChannelQuote || r.Resume["AAPL"] != (Position{"9f2c", 7}) || r.Interval != DefaultInterval {
		t.Errorf("%+v, %v", r, err)
	}
}

// FuzzParseProtoRequest: any bytes are a request or a refusal, and a request that
// was taken is the same when written again.
func FuzzParseProtoRequest(f *testing.F) {
	for _, text := range []string{`{"op":"ping","id":8}`, `{"op":"subscribe","id":2,"channel":"book","symbols":["BTC-USD","ETH-*"],"depth":10,"interval":"100ms"}`,
		`{"op":"subscribe","channel":"quote","symbols":["AAPL"],"resume":{"AAPL":{"epoch":"9f2c","seq":1042}},"max_age":"2s","speed":"max","from":1}`,
		`{"op":"fetch","sid":13,"from":77,"to":940}`, `{"op":"budget","kbps":200}`} {
		r, err := ParseRequest([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.AppendProto(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, bad := ParseProtoRequest(b)
		if bad != nil {
			if bad.Code == "" || bad.Message == "" {
				t.Errorf("refused without a reason: %+v", bad)
			}
			return
		}
		again, bad := ParseProtoRequest(r.AppendProto(nil))
		if bad != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v, %v, want %+v", again, bad, r)
		}
		if text, bad := ParseRequest(r.Append(nil)); bad != nil || !reflect.DeepEqual(text, r) {
			t.Errorf("as JSON %+v, %v, want %+v", text, bad, r)
		}
	})
}

// FuzzProtoReader: any bytes are messages or an error.
func FuzzProtoReader(f *testing.F) {
	h := Head{SID: 1, Channel: ChannelQuote, Symbol: "BTC-USD", Epoch: "9", Seq: 3, RX: 5, TX: 6}
	b, m := FormatProto.BeginSnapshot(nil, &h)
	scale := market.Scale{Price: 2, Size: 8}
	b = FormatProto.Null(FormatProto.Price(b, KeyBid, 6421010, scale), KeyAsk)
	f.Add(slices.Concat(AppendScale(nil, 1, scale), FormatProto.Finish(b, m, ChannelQuote)))
	f.Add(FormatProto.Gap(nil, 13, 77, 940, "slow_consumer"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var r ProtoReader
		for len(frame) > 0 {
			msg, rest, err := r.Cut(frame)
			if err != nil {
				return
			}
			m, err := r.Parse(msg)
			if (m == nil) != (err != nil) && len(r.scales) == 0 {
				t.Errorf("%v, %v", m, err)
			}
			frame = rest
		}
	})
}

// TestRequestsConform: what a client's request looks like is what docs/asyncapi.yaml
// says, for the ops and fields that are served.
func TestRequestsConform(t *testing.T) {
	schemas, err := wiretest.Load()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		switch r.Op {
		case OpExplain:
			return
		}
		if r.Op == OpSubscribe {
			r.Given &^= FieldFrom | FieldUntil | FieldSpeed
		}
		if r.Channel >= ChannelBar {
			r.Channel = ChannelQuote
		}
		text := r.Append(nil)
		if _, bad := ParseRequest(text); bad != nil {
			t.Fatalf("%s: %v", text, bad)
		}
		if err := schemas.Check(text); err != nil {
			t.Fatal(err)
		}
	})
}
