package normalizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// advancedFile is DERIVED: the values of the Exchange recording in the envelope
// of Advanced Trade, not a recording of Advanced Trade itself.
const advancedFile = "coinbase/DERIVED_adv_shaped_2026-07-07.jsonl.zst"

// The documented examples, with %s in the place of sequence_num.
const (
	advancedSnapshot = `{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:50.714964855Z","sequence_num":%d,"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"21921.73","new_quantity":"0.06317902"},{"side":"offer","event_time":"1970-01-01T00:00:00Z","price_level":"21921.74","new_quantity":"0.02"}]}]}`
	advancedUpdate   = `{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":%d,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2023-02-09T20:32:51.25Z","price_level":"21921.73","new_quantity":"0"},{"side":"offer","event_time":"2023-02-09T20:32:51.25Z","price_level":"21921.750","new_quantity":"1.50"}]}]}`
	advancedTrade    = `{"channel":"market_trades","client_id":"","timestamp":"2023-02-09T20:19:35.39625135Z","sequence_num":%d,"events":[{"type":"update","trades":[{"trade_id":"12345","product_id":"ETH-USD","price":"1260.01","size":"0.3","side":"BUY","time":"2019-08-14T20:42:27.265Z"}]}]}`
	advancedBeat     = `{"channel":"heartbeats","client_id":"","timestamp":"2023-06-23T20:31:26.122969572Z","sequence_num":%d,"events":[{"current_time":"2023-06-23 20:31:56.121961769 +0000 UTC m=+91717.525857105","heartbeat_counter":"3049"}]}`
	advancedStatusOf = `{"channel":"status","client_id":"","timestamp":"2023-02-09T20:29:49.753424311Z","sequence_num":%d,"events":[{"type":"snapshot","products":[{"product_type":"SPOT","id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01","display_name":"BTC/USD","status":"online","status_message":"","min_market_funds":"1"}]}]}`
	advancedAck      = `{"channel":"subscriptions","client_id":"","timestamp":"2023-02-09T20:33:57.609931463Z","sequence_num":%d,"events":[{"subscriptions":{"level2":["BTC-USD"]}}]}`
	advancedTicker   = `{"channel":"ticker","client_id":"","timestamp":"2023-02-09T20:30:37.167359596Z","sequence_num":%d,"events":[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"21932.98"}]}]}`
)

func numbered(message string, n uint64) string { return fmt.Sprintf(message, n) }

func TestCoinbaseAdvancedMessages(t *testing.T) {
	r := newRig(t, "coinbase-advanced")
	r.control(feeds.Up)
	events := r.decode(numbered(advancedAck, 0), numbered(advancedSnapshot, 1), numbered(advancedUpdate, 2),
		numbered(advancedTrade, 3), numbered(advancedBeat, 4), numbered(advancedTicker, 5), numbered(advancedStatusOf, 6))
	r.want(events,
		"clear BTC-USD @coinbase depth=0 +snapshot",
		"level BTC-USD @coinbase bid 21921.73x0.06317902 +snapshot",
		"level BTC-USD @coinbase ask 21921.74x0.02 +snapshot +last",
		"level BTC-USD @coinbase bid 21921.73x0",
		"level BTC-USD @coinbase ask 21921.750x1.5 +last",
		"trade ETH-USD @coinbase 1260.01x0.3 sell id=12345 +contiguous +last",
		"heartbeat @coinbase +last",
		"instrument BTC-USD @coinbase 2/8 tick=0.01 lot=0.00000001 +last")
	for i, want := range []int64{1675974770714964855, 1675974770714964855, 1675974770714964855, 1675974771250000000, 1675974771250000000,
		1565815347265000000, 1687552286122969572} {
		if events[i].Time != want {
			t.Errorf("event %d: time %d, want %d", i, events[i].Time, want)
		}
	}
	if events[3].Sequence != 2 || events[5].Sequence != 3 || events[5].TradeSequence != 12345 {
		t.Errorf("sequences %d, %d, trade %d", events[3].Sequence, events[5].Sequence, events[5].TradeSequence)
	}
	if id, _ := r.dir.Lookup("BTC-USD"); id == 0 {
		t.Error("BTC-USD is not registered")
	} else if s, _ := r.d.VenueSymbol(id); s != "BTC-USD" {
		t.Errorf("venue symbol %q", s)
	}
}

// The count runs over all channels: a jump anywhere is a gap of everything.
func TestCoinbaseAdvancedCount(t *testing.T) {
	const gap, level = "gap @coinbase +last", "level BTC-USD @coinbase bid 21921.73x0"
	for name, c := range map[string]struct {
		first    uint64
		messages []string
		want     []string
	}{
		"contiguous": {0, []string{numbered(advancedAck, 0), numbered(advancedBeat, 1)}, []string{"heartbeat @coinbase +last"}},
		"begins at 1": {0, []string{numbered(advancedBeat, 1)},
			[]string{gap, "heartbeat @coinbase +last"}},
		"lost heartbeat": {0, []string{numbered(advancedAck, 0), numbered(advancedTicker, 2), numbered(advancedBeat, 3)},
			[]string{gap, "heartbeat @coinbase +last"}},
		"repeated": {0, []string{numbered(advancedAck, 0), numbered(advancedTrade, 1), numbered(advancedTrade, 1), numbered(advancedAck, 0), numbered(advancedBeat, 2)},
			[]string{"trade ETH-USD @coinbase 1260.01x0.3 sell id=12345 +contiguous +last", "heartbeat @coinbase +last"}},
		"events first": {0, []string{`{"events":[{"type":"update","trades":[]}],"channel":"market_trades","sequence_num":3}`}, []string{gap}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "coinbase-advanced")
			r.control(feeds.Up)
			r.want(r.decode(c.messages...), c.want...)
		})
	}
	t.Run("a recording may begin anywhere", func(t *testing.T) {
		r := newRig(t, "coinbase-advanced")
		r.want(r.decode(numbered(advancedBeat, 77), numbered(advancedBeat, 79)), "heartbeat @coinbase +last", gap, "heartbeat @coinbase +last")
	})
	t.Run("a new connection counts from 0", func(t *testing.T) {
		r := newRig(t, "coinbase-advanced")
		r.decode(numbered(advancedBeat, 77))
		r.control(feeds.Down)
		r.control(feeds.Up)
		r.want(r.decode(numbered(advancedAck, 0), numbered(advancedBeat, 1)), "heartbeat @coinbase +last")
		r.control(feeds.Stale)
		r.want(r.decode(numbered(advancedBeat, 3)), gap, "heartbeat @coinbase +last")
		r.control(feeds.Lost) // of a recording: already told
		r.want(r.decode(numbered(advancedBeat, 90)), "heartbeat @coinbase +last")
	})
	t.Run("a count that began anew does not freeze the books", func(t *testing.T) {
		r := newRig(t, "coinbase-advanced")
		r.decode(numbered(advancedAck, 500))
		gaps := 0
		for n := range uint64(40) {
			for _, e := range r.decode(numbered(advancedUpdate, n)) {
				if e.Kind == market.KindGap {
					gaps++
				}
			}
		}
		if gaps != 1 {
			t.Errorf("%d gaps, want 1", gaps)
		}
		r.want(r.decode(numbered(advancedUpdate, 40))[:1], level)
	})
}

// A book that is subscribed no longer is not to be trusted: no number tells of the
// changes that are not sent.
func TestCoinbaseAdvancedUnsubscribedBook(t *testing.T) {
	r := newRig(t, "coinbase-advanced")
	r.control(feeds.Up)
	n := uint64(0)
	next := func(message string) []market.Event {
		n++
		return r.decode(numbered(message, n-1))
	}
	listing := func(level2 string) []market.Event {
		return next(`{"channel":"subscriptions","timestamp":"2023-02-09T20:33:57Z","sequence_num":%d,"events":[{"subscriptions":{"heartbeats":[""],` + level2 + `"market_trades":["BTC-USD"]}}]}`)
	}
	const gap, level = "gap BTC-USD @coinbase +last", "level BTC-USD @coinbase bid 21921.73x0"
	r.want(listing(`"level2":["BTC-USD","ETH-USD"],`))
	next(advancedSnapshot)
	r.want(listing(`"level2":["ETH-USD","BTC-USD"],`))
	r.want(listing(`"level2":["ETH-USD"],`), gap)
	r.want(listing(``)) // told once
	r.want(listing(`"level2":["ETH-USD","BTC-USD"],`))
	next(advancedSnapshot)
	r.want(listing(``), gap)
	// A listing that is not of all does not take the books away again and again.
	next(advancedSnapshot)
	r.want(next(advancedUpdate)[:1], level)
	r.want(listing(`"level2":["ETH-USD"],`))
	r.control(feeds.Up)
	n = 0
	r.want(listing(`"level2":["BTC-USD"],`))
	next(advancedSnapshot)
	r.want(listing(`"level2":["ETH-USD"],`), gap)
	r.refuse(CauseMissingField, `{"channel":"subscriptions","timestamp":"2023-02-09T20:33:57Z","sequence_num":3,"events":[{"subscriptions":7}]}`)
	r.refuse(CauseBadSymbol, `{"channel":"subscriptions","timestamp":"2023-02-09T20:33:57Z","sequence_num":4,"events":[{"subscriptions":{"level2":["X"]}}]}`)
}

// TestCoinbaseAdvancedCountProperty holds the decoder against the rule itself
// under any losses and repetitions: a gap exactly where a number was skipped,
// every message once.
func TestCoinbaseAdvancedCountProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, "coinbase-advanced")
		r.control(feeds.Up)
		expected, sent := uint64(0), uint64(0)
		for range rapid.IntRange(1, 30).Draw(rt, "messages") {
			number := sent
			switch rapid.IntRange(0, 5).Draw(rt, "fault") {
			case 0: // lost
				sent++
				continue
			case 1: // an old one again
				if sent > 0 {
					number = rapid.Uint64Range(0, sent-1).Draw(rt, "old")
				}
			}
			var want []string
			if number >= expected {
				if number > expected {
					want = append(want, "gap @coinbase +last")
				}
				want = append(want, "heartbeat @coinbase +last")
				expected = number + 1
			}
			if number == sent {
				sent++
			}
			r.want(r.decode(numbered(advancedBeat, number)), want...)
		}
	})
}

func TestCoinbaseAdvancedNewestPrintsFirst(t *testing.T) {
	trade := func(id int, side string) string {
		return fmt.Sprintf(`{"trade_id":"%d","product_id":"ETH-USD","price":"1260.01","size":"0.3","side":%q,"time":"2019-08-14T20:42:27.265Z"}`, id, side)
	}
	r := newRig(t, "coinbase-advanced")
	events := r.decode(`{"channel":"market_trades","timestamp":"2023-02-09T20:19:35Z","sequence_num":0,"events":[{"type":"snapshot","trades":[` +
		trade(12, "SELL") + "," + trade(11, "BUY") + "," + trade(10, "UNKNOWN_ORDER_SIDE") + `]}]}`)
	r.want(events,
		"trade ETH-USD @coinbase 1260.01x0.3  id=10 +prior +contiguous +last",
		"trade ETH-USD @coinbase 1260.01x0.3 sell id=11 +prior +contiguous +last",
		"trade ETH-USD @coinbase 1260.01x0.3 buy id=12 +prior +contiguous +last")
}

func TestCoinbaseAdvancedSeveralProductsInAMessage(t *testing.T) {
	r := newRig(t, "coinbase-advanced")
	message := `{"channel":"l2_data","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":0,"events":[` +
		`{"updates":[{"side":"bid","price_level":"2","new_quantity":"1"}],"product_id":"A-USD","type":"update"},` + // keys in another order
		`{"type":"update","product_id":"B-USD","updates":[{"side":"ask","price_level":"2","new_quantity":"1"}]},` +
		`{"type":"update","product_id":"C-USD","updates":[]},` +
		`{"type":"snapshot","product_id":"D-USD","updates":[]}]}`
	events, _ := r.refuse(CauseBadSide, message)
	r.want(events, "level A-USD @coinbase bid 2x1 +last", "gap B-USD @coinbase +last", "clear D-USD @coinbase depth=0 +snapshot +last")
	if events[0].Time != 1675974771500000000 {
		t.Error("without event_time the message's time counts")
	}
}

func TestCoinbaseAdvancedRefusals(t *testing.T) {
	const gap, all = "gap BTC-USD @coinbase +last", "gap @coinbase +last"
	change := func(old, new string) string {
		s := numbered(advancedUpdate, 5)
		if !strings.Contains(s, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(s, old, new, 1)
	}
	trade := func(old, new string) string { return strings.Replace(numbered(advancedTrade, 5), old, new, 1) }
	for name, c := range map[string]struct {
		payload string
		cause   Cause
		want    []string
	}{
		"error":               {`{"type":"error","message":"authentication failure"}`, CauseProvider, nil},
		"other type":          {`{"type":"hello"}`, CauseUnknownType, nil},
		"unknown channel":     {`{"channel":"l3_data","sequence_num":5,"timestamp":"2023-02-09T20:32:51.5Z","events":[]}`, CauseUnknownType, nil},
		"no sequence_num":     {change(`"sequence_num":5,`, ""), CauseMissingField, []string{all}},
		"bad sequence_num":    {change(`"sequence_num":5`, `"sequence_num":-5`), CauseBadNumber, []string{all}},
		"no channel":          {change(`"channel":"l2_data",`, ""), CauseMissingField, []string{all}},
		"no events":           {`{"channel":"l2_data","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5}`, CauseMissingField, []string{all}},
		"events no array":     {`{"channel":"l2_data","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":7}`, CauseBadValue, []string{all}},
		"event no object":     {`{"channel":"l2_data","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":[7]}`, CauseBadValue, []string{all}},
		"no updates":          {`{"channel":"l2_data","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":[{"type":"update","product_id":"BTC-USD"}]}`, CauseMissingField, []string{gap}},
		"updates no array":    {`{"channel":"l2_data","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":[{"type":"update","product_id":"BTC-USD","updates":{}}]}`, CauseBadValue, []string{gap}},
		"update no object":    {`{"channel":"l2_data","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":[{"type":"update","product_id":"BTC-USD","updates":[1]}]}`, CauseBadValue, []string{gap}},
		"no product":          {change(`"product_id":"BTC-USD",`, ""), CauseMissingField, []string{all}},
		"bad product":         {change("BTC-USD", "BTCUSD"), CauseBadSymbol, []string{all}},
		"bad type":            {change(`"update"`, `"delta"`), CauseBadValue, []string{gap}},
		"bad price":           {change("21921.750", "x"), CauseBadNumber, []string{gap}},
		"no quantity":         {change("new_quantity", "quantity"), CauseMissingField, []string{gap}},
		"negative quantity":   {change(`"1.50"`, `"-1"`), CauseBadNumber, []string{gap}},
		"bad side":            {change("offer", "ask"), CauseBadSide, []string{gap}},
		"bad event_time":      {change("T20:32:51.25Z", "T25:32:51.25Z"), CauseBadNumber, []string{gap}},
		"bad timestamp":       {change("T20:32:51.5Z", "T20:32:51"), CauseBadNumber, []string{gap}},
		"truncated":           {numbered(advancedUpdate, 5)[:300], CauseSyntax, []string{all}},
		"truncated early":     {`{"ch`, CauseSyntax, []string{all}},
		"garbage after":       {numbered(advancedUpdate, 5) + "}", CauseSyntax, []string{all}},
		"print without price": {trade(`"price":"1260.01",`, ""), CauseMissingField, nil},
		"print without id":    {trade(`"trade_id":"12345",`, ""), CauseMissingField, nil},
		"print with bad side": {trade("BUY", "buy"), CauseBadSide, nil},
		"prints no array":     {`{"channel":"market_trades","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":[{"type":"update","trades":7}]}`, CauseBadValue, nil},
		"no prints":           {`{"channel":"market_trades","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":[{"type":"update"}]}`, CauseMissingField, nil},
		"bad heartbeat time":  {strings.Replace(numbered(advancedBeat, 5), "2023-06", "2023-16", 1), CauseBadNumber, nil},
		"no increments":       {`{"channel":"status","timestamp":"2023-02-09T20:32:51.5Z","sequence_num":5,"events":[{"type":"snapshot","products":[{"id":"BTC-USD"}]}]}`, CauseBadNumber, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "coinbase-advanced")
			r.control(feeds.Up)
			for n := range uint64(5) {
				r.decode(numbered(advancedAck, n))
			}
			events, _ := r.refuse(c.cause, c.payload)
			r.want(events, c.want...)
			// The refused message was counted, or the count has begun anew.
			next := uint64(6)
			if c.cause == CauseProvider || name == "other type" {
				next = 5
			}
			r.want(r.decode(numbered(advancedSnapshot, next))[:1], "clear BTC-USD @coinbase depth=0 +snapshot")
		})
	}
}

// TestCoinbaseAdvancedDerivedFile: the file is derived from a recording of the
// Exchange feed, see advancedFile. What it shows is that our reading of the
// envelope gives the Exchange's values.
func TestCoinbaseAdvancedDerivedFile(t *testing.T) {
	r := newRig(t, "coinbase-advanced")
	r.control(feeds.Up)
	y := decodeAll(t, r, dataOf(t, recording(t, advancedFile)))
	y.check(t, "BTC-USD", 980, 1, 344, "0.90047340")
	y.check(t, "ETH-USD", 920, 1, 91, "24.54380606")
	if y.prior != 2 || y.kinds[market.KindGap] != 0 || y.kinds[market.KindHeartbeat] != 118 {
		t.Errorf("%d prior prints, %d gaps, %d heartbeats", y.prior, y.kinds[market.KindGap], y.kinds[market.KindHeartbeat])
	}
}

// TestCoinbaseSideIsTheMakers compares the sides of prints with the book. In the
// Exchange recording, and so in the file derived from it, nearly every print
// whose side reads BUY is at the best bid or below: a buyer rested there.
func TestCoinbaseSideIsTheMakers(t *testing.T) {
	best := map[string]map[bool]map[string]bool{} // product, bid: prices
	agree, differ := 0, 0
	for _, line := range dataOf(t, recording(t, advancedFile)) {
		var m struct {
			Channel string
			Events  []struct {
				Type    string
				Product string `json:"product_id"`
				Updates []struct {
					Side  string
					Price string `json:"price_level"`
					Size  string `json:"new_quantity"`
				}
				Trades []struct {
					Product string `json:"product_id"`
					Price   string
					Side    string
				}
			}
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		for _, e := range m.Events {
			if m.Channel == "l2_data" {
				b := best[e.Product]
				if b == nil {
					b = map[bool]map[string]bool{true: {}, false: {}}
					best[e.Product] = b
				}
				for _, u := range e.Updates {
					if z, _ := strconv.ParseFloat(u.Size, 64); z == 0 {
						delete(b[u.Side == "bid"], u.Price)
					} else {
						b[u.Side == "bid"][u.Price] = true
					}
				}
			}
			if m.Channel != "market_trades" || e.Type != "update" {
				continue
			}
			for _, tr := range e.Trades {
				top := func(bid bool) float64 {
					var ps []float64
					for p := range best[tr.Product][bid] {
						f, _ := strconv.ParseFloat(p, 64)
						ps = append(ps, f)
					}
					if bid {
						return slices.Max(ps)
					}
					return slices.Min(ps)
				}
				p, _ := strconv.ParseFloat(tr.Price, 64)
				switch {
				case tr.Side == "BUY" && p <= top(true), tr.Side == "SELL" && p >= top(false):
					agree++
				default:
					differ++
				}
			}
		}
	}
	if agree < 50*differ || agree < 100 {
		t.Errorf("the side is the maker's for %d prints and not for %d", agree, differ)
	}
}

// dataOf returns the frames in the lines of a recording in records.
func dataOf(t testing.TB, lines [][]byte) (frames [][]byte) {
	t.Helper()
	for _, line := range lines {
		var rec struct{ T, Data string }
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatal(err)
		}
		if rec.T == "recv" {
			frames = append(frames, []byte(rec.Data))
		}
	}
	return frames
}

func TestCoinbaseAdvancedSymbolsAreBounded(t *testing.T) {
	r := newRig(t, "coinbase-advanced")
	r.d.(*coinbaseAdvanced).products.order = make([]*coinbaseProduct, maxSymbols-1)
	r.decode(strings.Replace(numbered(advancedTrade, 0), "ETH", "LAST", 1))
	r.refuse(CauseOversized, strings.Replace(numbered(advancedTrade, 1), "ETH", "TOOMANY", 1))
	r.decode(strings.Replace(numbered(advancedTrade, 2), "ETH", "LAST", 1))
}

func FuzzCoinbaseAdvanced(f *testing.F) {
	fuzzDecoder(f, "coinbase-advanced", numbered(advancedSnapshot, 1), numbered(advancedUpdate, 2), numbered(advancedTrade, 2),
		numbered(advancedBeat, 7), numbered(advancedStatusOf, 0), numbered(advancedAck, 2), numbered(advancedTicker, 2),
		`{"type":"error","message":"m"}`, `{"events":[{"updates":[{"side":"bid","price_level":"2","new_quantity":"1"}],"product_id":"A-USD","type":"update"}],"sequence_num":2,"channel":"l2_data"}`)
}

func TestCoinbaseAdvancedAllocatesNothing(t *testing.T) {
	r := newRig(t, "coinbase-advanced")
	var payloads [][]byte
	for _, m := range []string{advancedSnapshot, advancedUpdate, advancedTrade, advancedBeat, advancedStatusOf, advancedAck} {
		payloads = append(payloads, []byte(strings.Replace(m, `"sequence_num":%d`, `"sequence_num":000000`, 1)))
	}
	var dst []market.Event
	n := 1000
	round := func() {
		dst = dst[:0]
		for _, p := range payloads {
			at := bytes.Index(p, []byte(`"sequence_num":`)) + len(`"sequence_num":`)
			n++
			for i, v := at+5, n; i >= at; i, v = i-1, v/10 {
				p[i] = byte('0' + v%10)
			}
			p[at] = '1' // no leading zero
			dst, _ = r.d.Decode(dst, feeds.Frame{Received: received, Payload: p})
		}
	}
	round()
	round()
	if len(dst) != 7 {
		t.Fatalf("%d events", len(dst))
	}
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCoinbaseAdvanced(b *testing.B) {
	lines := dataOf(b, recording(b, advancedFile))
	for name, mark := range map[string]string{"update": `"type":"update","product_id"`, "trade": "market_trades", "snapshot": `"type":"snapshot","product_id"`} {
		b.Run(name, func(b *testing.B) {
			payloads := linesWith(lines, mark)
			r := newRig(b, "coinbase-advanced")
			d := r.d.(*coinbaseAdvanced)
			var dst []market.Event
			events, i := 0, 0
			for _, p := range payloads {
				d.counted = false // as if every message followed the one before
				dst, _ = d.Decode(dst[:0], feeds.Frame{Received: received, Payload: p})
			}
			b.ReportAllocs()
			for b.Loop() {
				d.counted = false
				dst, _ = d.Decode(dst[:0], feeds.Frame{Received: received, Payload: payloads[i]})
				events += len(dst)
				i = (i + 1) % len(payloads)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
}
