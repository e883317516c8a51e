package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// FuzzAppendQuoted: any text becomes one JSON string that reads back as
// encoding/json would have written it.
func FuzzAppendQuoted(f *testing.F) {
	for _, s := range []string{"", "plain", `"\`, "\x00\x1f\x7f", "ünï\u2028", "\xff\xfe", "a\xc3", "\xed\xa0\x80", "😀\xf0\x9f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := AppendQuoted([]byte("x"), s)
		if string(AppendQuoted([]byte("x"), []byte(s))) != string(text) {
			t.Error("text and bytes differ")
		}
		theirs, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got, want string
		if err := json.Unmarshal(text[1:], &got); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if err := json.Unmarshal(theirs, &want); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%q reads back as %q, want %q", s, got, want)
		}
	})
}

// TestAppendReadsBack: what the appending side writes is what the reading side
// reads.
func TestAppendReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		time := rapid.Int64Range(0, 1<<61)
		h := Head{
			SID: rapid.Uint64Range(1, 1<<53).Draw(t, "sid"), Channel: ChannelBook, Symbol: "BTC-USD",
			Venue: rapid.SampledFrom([]string{"", "*", "kraken"}).Draw(t, "venue"), Epoch: "9f2c",
			Seq: rapid.Uint64().Draw(t, "seq"), Prev: rapid.Uint64().Draw(t, "prev"), N: rapid.Uint64().Draw(t, "n"),
			Span: time.Draw(t, "span"), TS: time.Draw(t, "ts"), RX: time.Draw(t, "rx"), TX: time.Draw(t, "tx"),
		}
		scale := market.Scale{Price: market.Decimals(rapid.IntRange(0, 18).Draw(t, "pd")), Size: market.Decimals(rapid.IntRange(0, 18).Draw(t, "sd"))}
		price := market.Price(rapid.Int64().Draw(t, "price"))
		size := market.Size(rapid.Int64Range(0, 1<<62).Draw(t, "size"))
		fields := func(b []byte) []byte {
			b = AppendField(b, "bids", "[")
			b = EndLevel(AppendLevel(b, true, price, size, scale))
			b = AppendLevel(b, false, price, size, scale)
			b = append(b, ',', '{')
			b = AppendVenueSize(b, true, "kraken", size, scale.Size)
			b = AppendVenueSize(b, false, "coinbase", size, scale.Size)
			b = append(EndLevel(append(b, '}')), ']')
			b = AppendUint(b, "crc", 974947235)
			b = AppendNumber(b, "bid", price, scale.Price)
			b = AppendNull(b, "ask")
			b = AppendBool(b, "locked", true)
			b = AppendWord(b, "state", "live")
			return append(b, '}')
		}
		p, z := string(market.AppendNumber(nil, price, scale.Price)), string(market.AppendNumber(nil, size, scale.Size))
		crc := uint32(974947235)
		want := State{
			Header: Header{SID: h.SID, Seq: h.Seq, TS: h.TS / 1000, RX: h.RX / 1000, TX: h.TX / 1000},
			BookFields: BookFields{Bids: []PriceLevel{{Price: p, Size: z}, {Price: p, Size: z,
				Venues: map[string]string{"kraken": z, "coinbase": z}}}, CRC: &crc},
			QuoteFields: QuoteFields{Bid: Some(p), Ask: Null[string](), Locked: Some(true), State: Some("live")},
		}
		d, err := Parse(fields(AppendDelta(nil, &h)))
		if err != nil {
			t.Fatal(err)
		}
		delta := want
		delta.Prev, delta.N, delta.Span = h.Prev, h.N, h.Span/1000
		if !reflect.DeepEqual(d, &Delta{State: delta}) {
			t.Fatalf("delta reads back as\n%+v, want\n%+v", d, delta)
		}
		s, err := Parse(fields(AppendSnapshot(nil, &h)))
		if err != nil {
			t.Fatal(err)
		}
		snap := want
		snap.Channel, snap.Symbol, snap.Epoch = h.Channel, h.Symbol, h.Epoch
		if h.Venue != Consolidated {
			snap.Venue = h.Venue
		}
		if !reflect.DeepEqual(s, &Snapshot{State: snap}) {
			t.Fatalf("snapshot reads back as\n%+v, want\n%+v", s, snap)
		}
	})
}

func TestAppendWholeMessages(t *testing.T) {
	trade := AppendTrade(nil, &Head{SID: 13, Seq: 77, Prev: 76, RX: 2000, TX: 3000})
	trade = append(AppendField(trade, "events", "["), `{"price":"1"`...)
	trade = append(AppendMicros(AppendText(trade, "id", "\"\x00"), "ts", 1999), "}]}"...)
	for _, tt := range []struct {
		text string
		want Message
	}{
		{string(trade), &Trade{Header: Header{SID: 13, Seq: 77, Prev: 76, RX: 2, TX: 3},
			Events: []TradeEvent{{Price: "1", ID: "\"\x00", TS: 1}}}},
		{string(AppendGap(nil, 13, 77, 940, "slow_consumer")), &Gap{SID: 13, From: 77, To: 940, Reason: "slow_consumer"}},
		{string(AppendHeartbeat(nil, 5999, 7)), &Heartbeat{TX: 5, Lag: 7}},
	} {
		m, err := Parse([]byte(tt.text))
		if err != nil || !reflect.DeepEqual(m, tt.want) {
			t.Errorf("%s reads back as %+v, %v, want %+v", tt.text, m, err, tt.want)
		}
		if strings.ContainsAny(tt.text, "\n\x00") {
			t.Errorf("%q is not one line", tt.text)
		}
	}
	// Nothing that is not known is told.
	bare := string(AppendDelta(nil, &Head{SID: 1, Seq: 2, Prev: 1}))
	if bare != `{"type":"delta","sid":1,"seq":2,"prev":1,"rx":0,"tx":0` {
		t.Errorf("delta begins %s", bare)
	}
	if s := string(AppendSnapshot(nil, &Head{Channel: ChannelQuote, Symbol: "A", Venue: "*", Epoch: "1"})); strings.Contains(s, "sid") ||
		strings.Contains(s, "venue") || strings.Contains(s, `"ts"`) {
		t.Errorf("snapshot begins %s", s)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	h := Head{SID: 12, Channel: ChannelBook, Symbol: "BTC-USD", Venue: "kraken", Epoch: "9f2c", Seq: 1042, Prev: 1041, N: 3, Span: 5000, TS: 1, RX: 2, TX: 3}
	scale := market.Scale{Price: 2, Size: 8}
	id := []byte("a\"b\x01\xffü")
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendSnapshot(buf[:0], &h)
		buf = AppendDelta(buf, &h)
		buf = AppendTrade(buf, &h)
		buf = EndLevel(AppendLevel(buf, false, 6421010, 52000000, scale))
		buf = AppendVenueSize(buf, true, "kraken", 52000000, 8)
		buf = AppendText(buf, "id", id)
		buf = AppendGap(buf, 1, 2, 3, "slow_consumer")
		buf = AppendHeartbeat(buf, 1, 2)
		buf = AppendMicros(buf, "ts", 1)
		buf = AppendBool(AppendNull(AppendWord(buf, "a", "b"), "c"), "d", true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
