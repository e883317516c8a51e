package bus

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
	"github.com/quotewire/quotewire/orderbook"
)

// two directories that number the same venues differently.
func twoDirectories(t testing.TB) (here, there *market.Directory) {
	t.Helper()
	here, there = market.NewDirectory(), market.NewDirectory()
	for i := range 9 {
		if _, err := here.Venue(fmt.Sprintf("venue%d", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := there.Venue(fmt.Sprintf("venue%d", 8-i)); err != nil {
			t.Fatal(err)
		}
	}
	return here, there
}

func genVenue(t *rapid.T) market.VenueID {
	return market.VenueID(rapid.IntRange(0, 9).Draw(t, "venue"))
}
func genPrice(t *rapid.T) market.Price { return market.Price(rapid.Int64().Draw(t, "price")) }
func genSize(t *rapid.T) market.Size {
	return market.Size(rapid.Int64Range(0, 1<<63-1).Draw(t, "size"))
}
func genTime(t *rapid.T) int64   { return rapid.Int64().Draw(t, "time") }
func genSeq(t *rapid.T) uint64   { return rapid.Uint64Min(1).Draw(t, "seq") }
func genBool(t *rapid.T) bool    { return rapid.Bool().Draw(t, "bool") }
func genN(t *rapid.T, n int) int { return rapid.IntRange(0, n).Draw(t, "n") }

// genUpdate makes any update that the types can hold.
func genUpdate(t *rapid.T) *orderbook.Update {
	u := &orderbook.Update{
		Epoch: genSeq(t), Seq: genSeq(t), TradeSeq: genSeq(t),
		Changed: orderbook.Changed(rapid.Uint16().Draw(t, "changed")),
		Scale:   market.Scale{Price: market.Decimals(genN(t, 18)), Size: market.Decimals(genN(t, 18))},
		Time:    genTime(t), Received: genTime(t),
	}
	for range genN(t, 4) {
		u.Venues = append(u.Venues, orderbook.VenueStatus{Venue: genVenue(t), State: orderbook.State(genN(t, 5)),
			Cause: orderbook.Cause(genN(t, 11)), Since: genTime(t)})
	}
	for range genN(t, 12) {
		c := orderbook.LevelChange{Venue: genVenue(t), Side: market.Side(genN(t, 2))}
		for range 1 + genN(t, 3) {
			if c.Side != market.SideNone {
				c.Level = orderbook.Level{Price: genPrice(t), Size: genSize(t)}
			}
			u.Levels = append(u.Levels, c)
		}
	}
	for range genN(t, 3) {
		u.Tops = append(u.Tops, orderbook.VenueQuote{Venue: genVenue(t), Bid: genPrice(t), Ask: genPrice(t),
			BidSize: genSize(t), AskSize: genSize(t), BidVenue: genVenue(t), AskVenue: genVenue(t),
			BidFirmness: market.Firmness(genN(t, 2)), AskFirmness: market.Firmness(genN(t, 2))})
	}
	for range genN(t, 3) {
		tr := orderbook.Trade{Venue: genVenue(t), Side: market.Side(genN(t, 2)), Flags: market.Flags(rapid.Uint16().Draw(t, "flags")),
			NumConditions: uint8(genN(t, market.MaxConditions)), Price: genPrice(t), Size: genSize(t), Time: genTime(t), Received: genTime(t)}
		for i := range tr.NumConditions {
			tr.Conditions[i] = market.Condition(rapid.Uint16().Draw(t, "condition"))
		}
		tr.ID, _ = market.MakeTradeID(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "id"))
		if tr.Kind = orderbook.TradeKind(genN(t, 2)); tr.Kind != orderbook.TradePrint {
			tr.Of, _ = market.MakeTradeID(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "of"))
		}
		u.Trades = append(u.Trades, tr)
	}
	q := &u.Quote
	*q = orderbook.Quote{Source: orderbook.QuoteSource(genN(t, 4)), Bid: genPrice(t), Ask: genPrice(t), BidSize: genSize(t),
		AskSize: genSize(t), BidTotal: genSize(t), AskTotal: genSize(t), Time: genTime(t), Received: genTime(t)}
	for range genN(t, 3) {
		q.BidVenues = append(q.BidVenues, orderbook.VenueSize{Venue: genVenue(t), Size: genSize(t)})
		q.AskVenues = append(q.AskVenues, orderbook.VenueSize{Venue: genVenue(t), Size: genSize(t)})
	}
	q.BidSlow, q.AskSlow, q.Thin, q.Counted, q.Inverted = genBool(t), genBool(t), genBool(t), uint16(genN(t, 9)), genTime(t)
	for range genN(t, 3) {
		q.Out = append(q.Out, orderbook.ExcludedVenue{Venue: genVenue(t), Side: market.Side(genN(t, 2)), Why: orderbook.Exclusion(genN(t, 9))})
	}
	st := &u.Status
	*st = orderbook.Status{Trading: market.TradingStatus(genN(t, 4)), Limit: orderbook.LimitState(genN(t, 2)), Session: calendar.Kind(genN(t, 4)),
		Since: genTime(t), LimitSince: genTime(t), SessionEnd: genTime(t), BandLow: genPrice(t), BandHigh: genPrice(t)}
	copy(st.Reason[:], rapid.StringMatching(`[A-Z0-9]{0,8}`).Draw(t, "reason"))
	if genBool(t) {
		st.Imbalance = orderbook.Imbalance{Venue: genVenue(t), Side: market.Side(genN(t, 2)), Auction: byte(genN(t, 255)),
			AuctionTime: uint16(genN(t, 2359)), Price: genPrice(t), Size: genSize(t), Paired: genSize(t), Time: genTime(t)}
	}
	for range genN(t, 5) {
		u.Bars = append(u.Bars, orderbook.Bar{Interval: orderbook.Interval(genN(t, orderbook.NumIntervals-1)), HasOpen: genBool(t),
			HasRange: genBool(t), Rev: rapid.Uint32().Draw(t, "rev"), Seq: genSeq(t), Start: genTime(t), End: genTime(t), DayEnd: genTime(t),
			Open: genPrice(t), High: genPrice(t), Low: genPrice(t), Close: genPrice(t), Volume: genSize(t),
			Notional: orderbook.Uint128{Hi: genSeq(t), Lo: genSeq(t)}, Trades: genSeq(t)})
	}
	u.Watermark = genTime(t)
	u.Ticker = orderbook.Ticker{Last: genPrice(t), LastSize: genSize(t), LastVenue: genVenue(t), Open: genPrice(t), High: genPrice(t),
		Low: genPrice(t), PrevClose: genPrice(t), Volume: genSize(t), Notional: orderbook.Uint128{Hi: genSeq(t), Lo: genSeq(t)},
		Trades: genSeq(t), HasLast: genBool(t), HasOpen: genBool(t), HasPrevClose: genBool(t), Time: genTime(t), Received: genTime(t),
		HasRange: genBool(t), HasExt: genBool(t), ExtLast: genPrice(t), ExtTime: genTime(t), Day: genTime(t)}
	return u
}

// renumber gives the venues of u, numbered as in from, their numbers in to.
func renumber(u *orderbook.Update, from, to *market.Directory) {
	eachVenue(u, func(v *market.VenueID) {
		id, ok := to.LookupVenue(from.VenueName(*v))
		if !ok {
			panic("unknown venue " + from.VenueName(*v))
		}
		*v = id
	})
}

// same compares updates where an empty slice is as good as none.
func same(a, b *orderbook.Update) bool {
	var x, y orderbook.Update
	a.CopyTo(&x)
	b.CopyTo(&y)
	return reflect.DeepEqual(x, y)
}

func TestRoundTrip(t *testing.T) {
	here, there := twoDirectories(t)
	enc := encoder{dir: here, node: "feed-1"}
	dec := newDecoder(there)
	var buf []byte
	var got orderbook.Update // reused, as the subscriber does
	rapid.Check(t, func(t *rapid.T) {
		u := genUpdate(t)
		buf = enc.update(buf[:0], "BTC-USD", market.ClassCrypto, u)
		h, err := dec.update(buf, &got)
		if err != nil {
			t.Fatal(err)
		}
		if string(h.symbol) != "BTC-USD" || string(h.node) != "feed-1" || h.class != market.ClassCrypto {
			t.Fatalf("head %q %q %v", h.symbol, h.node, h.class)
		}
		renumber(u, here, there)
		if !same(u, &got) {
			t.Fatalf("want %+v\ngot  %+v", u, &got)
		}
	})
}

// The schema is what the world reads: the hand-made encoding must be what the
// generated code understands and would itself have written.
func TestEncodingIsTheSchemas(t *testing.T) {
	here, _ := twoDirectories(t)
	enc := encoder{dir: here, node: "feed-1"}
	rapid.Check(t, func(t *rapid.T) {
		u := genUpdate(t)
		buf := enc.update(nil, "BRK.A", market.ClassStock, u)
		var m busv1.Update
		if err := proto.Unmarshal(buf, &m); err != nil {
			t.Fatal(err)
		}
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			t.Fatal("fields that the schema does not have")
		}
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, buf) {
			t.Fatalf("generated code writes\n%x\nwe write\n%x", again, buf)
		}
		checkSchema(t, here, u, &m)
	})
}

// checkSchema compares a sample of every part by name.
func checkSchema(t *rapid.T, dir *market.Directory, u *orderbook.Update, m *busv1.Update) {
	name := func(n uint32) string {
		if n == 0 {
			return "*"
		}
		return m.Venues[n-1]
	}
	check := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
	check("symbol", m.Symbol, "BRK.A")
	check("class", m.Class, busv1.Class_CLASS_STOCK)
	check("node", m.Node, "feed-1")
	check("epoch", m.Epoch, u.Epoch)
	check("seq", m.Seq, u.Seq)
	check("trade_seq", m.TradeSeq, u.TradeSeq)
	check("changed", m.Changed, uint32(u.Changed))
	check("price_decimals", m.PriceDecimals, uint32(u.Scale.Price))
	check("size_decimals", m.SizeDecimals, uint32(u.Scale.Size))
	check("time", m.Time, u.Time)
	check("received", m.Received, u.Received)
	for i, s := range u.Venues {
		check("status venue", name(m.Statuses[i].Venue), dir.VenueName(s.Venue))
		check("state", m.Statuses[i].State, busv1.State(s.State))
		check("cause", m.Statuses[i].Cause, busv1.Cause(s.Cause))
		check("since", m.Statuses[i].Since, s.Since)
	}
	var levels []orderbook.LevelChange
	for _, l := range m.Levels {
		v, _ := dir.LookupVenue(name(l.Venue))
		if l.Side == busv1.Side_SIDE_NONE {
			levels = append(levels, orderbook.LevelChange{Venue: v})
		}
		for i, p := range l.Price {
			levels = append(levels, orderbook.LevelChange{Venue: v, Side: market.Side(l.Side),
				Level: orderbook.Level{Price: market.Price(p), Size: market.Size(l.Size[i])}})
		}
	}
	check("levels", levels, append([]orderbook.LevelChange(nil), u.Levels...))
	for i, w := range u.Tops {
		g := m.Tops[i]
		check("top", []any{name(g.Venue), g.Bid, g.BidSize, g.Ask, g.AskSize, name(g.BidVenue), name(g.AskVenue)},
			[]any{dir.VenueName(w.Venue), int64(w.Bid), int64(w.BidSize), int64(w.Ask), int64(w.AskSize), dir.VenueName(w.BidVenue), dir.VenueName(w.AskVenue)})
	}
	for i, w := range u.Trades {
		g := m.Trades[i]
		check("trade", []any{name(g.Venue), g.Side, g.Flags, g.Price, g.Size, g.Time, g.Received, string(g.Id), len(g.Conditions), g.Kind, string(g.Of)},
			[]any{dir.VenueName(w.Venue), busv1.Side(w.Side), uint32(w.Flags), int64(w.Price), int64(w.Size), w.Time, w.Received, w.ID.String(), int(w.NumConditions), busv1.TradeKind(w.Kind), w.Of.String()})
		for j, c := range g.Conditions {
			check("condition", c, uint32(w.Conditions[j]))
		}
	}
	q, g := &u.Quote, m.Quote
	check("quote's terms", []any{g.BidSlow, g.AskSlow, g.Thin, g.Counted, g.Inverted, len(g.Out)},
		[]any{q.BidSlow, q.AskSlow, q.Thin, uint32(q.Counted), q.Inverted, len(q.Out)})
	for i, x := range q.Out {
		check("out", []any{name(g.Out[i].Venue), g.Out[i].Side, g.Out[i].Why}, []any{dir.VenueName(x.Venue), busv1.Side(x.Side), busv1.Exclusion(x.Why)})
	}
	if st := &u.Status; *st != (orderbook.Status{}) {
		g := m.Status
		check("status", []any{g.Trading, g.Limit, g.Session, string(g.Reason), g.Since, g.LimitSince, g.SessionEnd, g.BandLow, g.BandHigh},
			[]any{busv1.Trading(st.Trading), busv1.Limit(st.Limit), busv1.Session(st.Session), st.Reason.String(), st.Since, st.LimitSince,
				st.SessionEnd, int64(st.BandLow), int64(st.BandHigh)})
		if w := &st.Imbalance; *w != (orderbook.Imbalance{}) {
			g := g.Imbalance
			check("imbalance", []any{name(g.Venue), g.Side, g.Auction, g.AuctionTime, g.Price, g.Size, g.Paired, g.Time},
				[]any{dir.VenueName(w.Venue), busv1.Side(w.Side), uint32(w.Auction), uint32(w.AuctionTime), int64(w.Price), int64(w.Size), int64(w.Paired), w.Time})
		}
	}
	check("quote", []any{g.Source, g.Bid, g.BidSize, g.BidTotal, g.Ask, g.AskSize, g.AskTotal, g.Time, g.Received},
		[]any{busv1.QuoteSource(q.Source), int64(q.Bid), int64(q.BidSize), int64(q.BidTotal), int64(q.Ask), int64(q.AskSize), int64(q.AskTotal), q.Time, q.Received})
	for i, v := range q.BidVenues {
		check("bid venue", []any{name(g.BidVenues[i].Venue), g.BidVenues[i].Size}, []any{dir.VenueName(v.Venue), int64(v.Size)})
	}
	for i, v := range q.AskVenues {
		check("ask venue", []any{name(g.AskVenues[i].Venue), g.AskVenues[i].Size}, []any{dir.VenueName(v.Venue), int64(v.Size)})
	}
	k, h := &u.Ticker, m.Ticker
	check("ticker", []any{h.HasLast, h.HasOpen, h.HasPrevClose, h.Last, h.LastSize, name(h.LastVenue), h.Open, h.High, h.Low, h.PrevClose,
		h.Volume, h.NotionalHigh, h.NotionalLow, h.Trades, h.Time, h.Received, h.HasRange, h.HasExt, h.ExtLast, h.ExtTime, h.Day},
		[]any{k.HasLast, k.HasOpen, k.HasPrevClose, int64(k.Last), int64(k.LastSize), dir.VenueName(k.LastVenue), int64(k.Open), int64(k.High), int64(k.Low), int64(k.PrevClose),
			int64(k.Volume), k.Notional.Hi, k.Notional.Lo, k.Trades, k.Time, k.Received, k.HasRange, k.HasExt, int64(k.ExtLast), k.ExtTime, k.Day})
	check("watermark", m.Watermark, u.Watermark)
	for i, w := range u.Bars {
		g := m.Bars[i]
		check("bar", []any{g.Interval, g.HasOpen, g.HasRange, g.Rev, g.Seq, g.Start, g.End, g.DayEnd, g.Open, g.High, g.Low, g.Close, g.Volume,
			g.NotionalHigh, g.NotionalLow, g.Trades},
			[]any{busv1.Interval(w.Interval), w.HasOpen, w.HasRange, w.Rev, w.Seq, w.Start, w.End, w.DayEnd, int64(w.Open), int64(w.High), int64(w.Low),
				int64(w.Close), int64(w.Volume), w.Notional.Hi, w.Notional.Lo, w.Trades})
	}
}

func TestDecodeRefuses(t *testing.T) {
	head := func() []byte {
		b := appendString(nil, fieldSymbol, "X")
		return appendUint(b, fieldSeq, 1)
	}
	sub := func(field protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(head(), field, protowire.BytesType), body)
	}
	column := func(b []byte, field protowire.Number, vs ...int64) []byte {
		b, at := open(b, field)
		for _, v := range vs {
			b = protowire.AppendVarint(b, protowire.EncodeZigZag(v))
		}
		return closeField(b, at)
	}
	tests := []struct {
		name string
		data []byte
		ok   bool
	}{
		{"the least there can be", head(), true},
		{"unknown field", appendUint(head(), 99, 7), true},
		{"empty", nil, false},
		{"no symbol", appendUint(nil, fieldSeq, 1), false},
		{"no seq", appendString(nil, fieldSymbol, "X"), false},
		{"cut short", head()[:2], false},
		{"wrong type", appendUint(head(), fieldEpoch, 1), false},
		{"bad tag", append(head(), 0), false},
		{"too many decimals", appendUint(head(), fieldPriceDecimals, 19), false},
		{"venue beyond the list", sub(fieldStatuses, appendUint(nil, 1, 1)), false},
		{"venue beyond any list", sub(fieldStatuses, appendUint(nil, 1, 1<<20)), false},
		{"bad venue name", sub(fieldVenues, []byte("a b")), false},
		{"star in the list", sub(fieldVenues, []byte("*")), false},
		{"levels of two lengths", sub(fieldLevels, column(column(appendUint(nil, 2, 1), 3, 1, 2), 4, 1)), false},
		{"levels without a side", sub(fieldLevels, column(column(nil, 3, 1), 4, 1)), false},
		{"unknown side", sub(fieldLevels, column(column(appendUint(nil, 2, 3), 3, 1), 4, 1)), false},
		{"negative size", sub(fieldLevels, column(column(appendUint(nil, 2, 1), 3, 1), 4, -1)), false},
		{"levels", sub(fieldLevels, column(column(appendUint(nil, 2, 1), 3, 1), 4, 1)), true},
		{"levels, not packed", sub(fieldLevels, appendInt(appendInt(appendUint(nil, 2, 1), 3, 1), 4, 1)), true},
		{"long trade id", sub(fieldTrades, appendString(nil, 9, "0123456789012345678901234567890123456789x")), false},
		{"seven conditions", sub(fieldTrades, column(nil, 4, 1, 1, 1, 1, 1, 1, 1)), false},
		{"state of a later version", sub(fieldStatuses, appendUint(nil, 2, 77)), true},
	}
	for _, tt := range tests {
		dir := market.NewDirectory()
		_, err := newDecoder(dir).update(tt.data, &orderbook.Update{})
		if (err == nil) != tt.ok {
			t.Errorf("%s: error %v", tt.name, err)
		}
		if err != nil && !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v does not wrap errMalformed", tt.name, err)
		}
	}
}

// A refused message must leave no trace in the directory.
func TestRefusedRegistersNothing(t *testing.T) {
	dir := market.NewDirectory()
	b := appendString(nil, fieldSymbol, "X")
	b = appendUint(b, fieldSeq, 1)
	b = protowire.AppendBytes(protowire.AppendTag(b, fieldStatuses, protowire.BytesType), appendUint(nil, 1, 2))
	b = appendString(b, fieldVenues, "junk")
	if _, err := newDecoder(dir).update(b, &orderbook.Update{}); err == nil {
		t.Fatal("accepted")
	}
	if _, ok := dir.LookupVenue("junk"); ok {
		t.Fatal("registered")
	}
}

func TestTokenProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 1, 70).Draw(t, "text"))
		token := Token(text)
		for i := range len(token) {
			if !plain(token[i]) && token[i] != '%' {
				t.Fatalf("token %q holds %q", token, token[i])
			}
		}
		back, err := ParseToken(token)
		if err != nil || back != text {
			t.Fatalf("%q -> %q -> %q, %v", text, token, back, err)
		}
		// What parses at all is what Token makes: no two tokens for one text.
		wild := rapid.StringMatching(`[A-Z%0-9a-f.>* -]{1,12}`).Draw(t, "wild")
		if s, err := ParseToken(wild); err == nil && Token(s) != wild {
			t.Fatalf("%q parses to %q, whose token is %q", wild, s, Token(s))
		}
	})
}

func TestToken(t *testing.T) {
	for text, want := range map[string]string{
		"BTC-USD": "BTC-USD", "BRK.A": "BRK%2EA", "O:AAPL261218C00200000": "O%3AAAPL261218C00200000",
		"EUR/USD": "EUR%2FUSD", "100%": "100%25", "a>b": "a%3Eb", "x_y": "x_y",
	} {
		if got := Token(text); got != want {
			t.Errorf("Token(%q) = %q, want %q", text, got, want)
		}
	}
	for _, bad := range []string{"", "a.b", "%2e", "%41", "%2", "%", "a b", "%GG"} {
		if s, err := ParseToken(bad); err == nil {
			t.Errorf("ParseToken(%q) = %q, want an error", bad, s)
		}
	}
}

func TestSubjectsValidate(t *testing.T) {
	for prefix, ok := range map[string]bool{"": true, "a": true, "a.b": true, ".a": false, "a.": false, "a..b": false,
		"a.*": false, ">": false, "a b": false, "$SYS": false, "_INBOX.x": false} {
		if err := (Subjects{Prefix: prefix}).Validate(); (err == nil) != ok {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

// typical is an update as most are: a level changed, the quote with it.
func typical(dir *market.Directory) *orderbook.Update {
	a, _ := dir.Venue("coinbase")
	b, _ := dir.Venue("kraken")
	const now = 1_790_000_000_000_000_000
	return &orderbook.Update{
		Epoch: now, Seq: 123456, TradeSeq: 4321, Changed: orderbook.ChangedLevels | orderbook.ChangedQuote,
		Scale: market.Scale{Price: 2, Size: 8}, Time: now, Received: now + 1,
		Levels: []orderbook.LevelChange{{Venue: a, Side: market.SideBid, Level: orderbook.Level{Price: 6349900, Size: 12345678}},
			{Venue: a, Side: market.SideAsk, Level: orderbook.Level{Price: 6350000, Size: 0}}},
		Quote: orderbook.Quote{Source: orderbook.SourceConsolidated, Bid: 6349900, Ask: 6350100, BidSize: 12345678, AskSize: 2e8,
			BidTotal: 22345678, AskTotal: 2e8, BidVenues: []orderbook.VenueSize{{Venue: a, Size: 12345678}, {Venue: b, Size: 1e7}},
			AskVenues: []orderbook.VenueSize{{Venue: b, Size: 2e8}}, Time: now, Received: now + 1},
		Ticker: orderbook.Ticker{Last: 6350000, LastSize: 1e6, LastVenue: b, Open: 6300000, High: 6400000, Low: 6290000,
			Volume: 123456789012, Notional: orderbook.Uint128{Lo: 1 << 60}, Trades: 4321, HasLast: true, HasOpen: true, Time: now, Received: now},
	}
}

func TestCodecAllocates(t *testing.T) {
	dir := market.NewDirectory()
	u := typical(dir)
	enc, dec := encoder{dir: dir, node: "feed-1"}, newDecoder(market.NewDirectory())
	var buf []byte
	var got orderbook.Update
	if n := testing.AllocsPerRun(200, func() {
		buf = enc.update(buf[:0], "BTC-USD", market.ClassCrypto, u)
		if _, err := dec.update(buf, &got); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per update encoded and decoded", n)
	}
}

func FuzzDecode(f *testing.F) {
	dir := market.NewDirectory()
	enc := encoder{dir: dir, node: "feed-1"}
	f.Add(enc.update(nil, "BTC-USD", market.ClassCrypto, typical(dir)))
	f.Add([]byte{})
	f.Add([]byte("\x0a\x01X\x28\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := market.NewDirectory()
		var u, again orderbook.Update
		dec := newDecoder(dir)
		h, err := dec.update(data, &u)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("%v does not wrap errMalformed", err)
			}
			return
		}
		var m busv1.Update
		// The schema's own reader also refuses text that is not UTF-8.
		if err := proto.Unmarshal(data, &m); err == nil && (m.Seq != u.Seq || m.Epoch != u.Epoch || m.Symbol != string(h.symbol)) {
			t.Fatalf("schema reads %s %d %d", m.Symbol, m.Epoch, m.Seq)
		}
		// A view must be able to take it, whatever it says.
		var v orderbook.View
		u.Changed |= orderbook.ChangedSnapshot
		if err := v.Apply(&u); err != nil {
			t.Fatal(err)
		}
		enc := encoder{dir: dir, node: string(h.node)}
		if _, err := dec.update(enc.update(nil, string(h.symbol), h.class, &u), &again); err != nil {
			t.Fatalf("our own encoding: %v", err)
		}
		if !same(&u, &again) {
			t.Fatalf("want %+v\ngot  %+v", &u, &again)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	dir := market.NewDirectory()
	u := typical(dir)
	enc := encoder{dir: dir, node: "feed-1"}
	buf := enc.update(nil, "BTC-USD", market.ClassCrypto, u)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = enc.update(buf[:0], "BTC-USD", market.ClassCrypto, u)
	}
}

func BenchmarkDecode(b *testing.B) {
	dir := market.NewDirectory()
	enc, dec := encoder{dir: dir, node: "feed-1"}, newDecoder(dir)
	buf := enc.update(nil, "BTC-USD", market.ClassCrypto, typical(dir))
	var u orderbook.Update
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dec.update(buf, &u); err != nil {
			b.Fatal(err)
		}
	}
}

// What the generated code would cost, for comparison.
func BenchmarkDecodeGenerated(b *testing.B) {
	dir := market.NewDirectory()
	enc := encoder{dir: dir, node: "feed-1"}
	buf := enc.update(nil, "BTC-USD", market.ClassCrypto, typical(dir))
	b.ReportAllocs()
	for b.Loop() {
		var m busv1.Update
		if err := proto.Unmarshal(buf, &m); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCodec holds that what waits in a process comes back as it was.
func TestCodec(t *testing.T) {
	here, _ := twoDirectories(t)
	id, err := here.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCodec(here)
	var got orderbook.Update
	rapid.Check(t, func(t *rapid.T) {
		u := genUpdate(t)
		u.Instrument = id
		if err := c.Decode(c.Append(nil, u), &got); err != nil {
			t.Fatal(err)
		}
		if !same(&got, u) {
			t.Fatalf("got %+v\nwant %+v", got, *u)
		}
	})
}
