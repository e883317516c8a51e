package normalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	krakenSnapshot = `{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.10000000}],"asks":[{"price":45285.2,"qty":0.00100000},{"price":45286.4,"qty":1.54571953}],"checksum":3310070434,"timestamp":"2026-07-07T23:00:03.977459Z"}]}`
	krakenUpdate   = `{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0}],"asks":[],"checksum":1166728830,"timestamp":"2026-07-07T23:00:04.000001Z"}]}`
	krakenAck      = `{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD","depth":%d,"snapshot":true},"success":true,"time_in":"2026-01-05T10:00:00.123456Z","time_out":"2026-01-05T10:00:00.123480Z","req_id":1}`
	krakenPairs    = `{"channel":"instrument","type":"snapshot","data":{"assets":[{"id":"USD","status":"enabled"}],"pairs":[{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":%q,"price_precision":1,"price_increment":0.1,"qty_precision":8,"qty_increment":1e-8,"cost_min":"0.5"},{"symbol":"AAVE/USD","status":"online","price_precision":2,"qty_precision":8}]}}`
)

func TestKrakenBookLevelsThenChecksumThenLast(t *testing.T) {
	r := newRig(t, "kraken")
	events := r.decode(krakenSnapshot, krakenUpdate)
	r.want(events,
		"clear BTC-USD @kraken depth=10 +snapshot",
		"level BTC-USD @kraken bid 45283.5x0.10000000 +snapshot",
		"level BTC-USD @kraken ask 45285.2x0.00100000 +snapshot",
		"level BTC-USD @kraken ask 45286.4x1.54571953 +snapshot",
		"checksum BTC-USD @kraken 3310070434 +snapshot +last",
		"level BTC-USD @kraken bid 45283.5x0",
		"checksum BTC-USD @kraken 1166728830 +last",
	)
	if got, want := events[0].Time, int64(1783465203977459000); got != want {
		t.Errorf("time %d, want %d", got, want)
	}
}

func TestKrakenDigitsOfTheWireAreKept(t *testing.T) {
	// The checksum is over the digits, trailing zeros included, so 45281.0 has
	// one decimal and 0.00000500 eight; an exponent is the same number.
	r := newRig(t, "kraken")
	events := r.decode(`{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":45281.0,"qty":0.00000500},{"price":45280,"qty":1E-8}],"asks":[],"checksum":1}]}`)
	r.want(events,
		"level BTC-USD @kraken bid 45281.0x0.00000500",
		"level BTC-USD @kraken bid 45280x0.00000001",
		"checksum BTC-USD @kraken 1 +last",
	)
}

func TestKrakenDepthOfTheSnapshot(t *testing.T) {
	image := func(levels int) string {
		l := strings.TrimSuffix(strings.Repeat(`{"price":1.5,"qty":1},`, levels), ",")
		return `{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[` + l + `],"asks":[],"checksum":1}]}`
	}
	for _, c := range []struct{ acked, levels, want int }{
		{10, 3, 10}, {1000, 3, 1000}, {25, 25, 25},
		// Data may come before the ack.
		{0, 10, 10}, {0, 25, 25}, {0, 100, 100}, {0, 500, 500}, {0, 1000, 1000},
		{10, 25, 25}, // the ack was of a subscription before
		{0, 3, 10}, {0, 11, 25}, {0, 501, 1000}, {0, 0, 10},
	} {
		r := newRig(t, "kraken")
		if c.acked != 0 {
			r.decode(fmt.Sprintf(krakenAck, c.acked))
		}
		events := r.decode(image(c.levels))
		if events[0].Kind != market.KindClear || int(events[0].Depth) != c.want {
			t.Errorf("acked %d, %d levels: got depth %d, want %d", c.acked, c.levels, events[0].Depth, c.want)
		}
	}
	r := newRig(t, "kraken")
	events, _ := r.refuse(CauseOversized, image(1001))
	r.want(events, "gap BTC-USD @kraken +last")
}

func TestKrakenAckAfterAWrongGuessAsksForTheBookAgain(t *testing.T) {
	r := newRig(t, "kraken")
	r.decode(krakenSnapshot)
	r.want(r.decode(fmt.Sprintf(krakenAck, 100)), "gap BTC-USD @kraken +last")
	r.want(r.decode(krakenSnapshot)[:1], "clear BTC-USD @kraken depth=100 +snapshot")

	r = newRig(t, "kraken")
	r.decode(krakenSnapshot)
	r.want(r.decode(fmt.Sprintf(krakenAck, 10)))
}

func TestKrakenDepthIsForgottenWithTheConnection(t *testing.T) {
	r := newRig(t, "kraken")
	r.decode(fmt.Sprintf(krakenAck, 100))
	r.control(feeds.Down)
	r.want(r.decode(krakenSnapshot)[:1], "clear BTC-USD @kraken depth=10 +snapshot")
}

// So is which channel a book came over, and what the venue said of itself.
func TestKrakenStateIsForgottenWithTheConnection(t *testing.T) {
	r := newRig(t, "kraken")
	r.decode(krakenSnapshot)
	r.refuse(CauseBadValue, strings.ReplaceAll(krakenL3Snapshot, "MATIC", "BTC"))
	r.decode(`{"channel":"status","type":"update","data":[{"system":"maintenance"}]}`)
	r.control(feeds.Down)
	r.control(feeds.Up)
	r.want(r.decode(strings.ReplaceAll(krakenL3Snapshot, "MATIC", "BTC"))[:2],
		"clear BTC-USD @kraken depth=10 +snapshot",
		"order BTC-USD @kraken add O6ZQNQ-BXL4E-5WGINO bid 0.5629x111.56125344 +snapshot")
}

func TestKrakenInstrumentIsToldBeforeTheFirstSnapshotAndWhenItChanges(t *testing.T) {
	r := newRig(t, "kraken")
	pairs := fmt.Sprintf(krakenPairs, "online")
	r.want(r.decode(pairs)) // nothing is registered for what nobody subscribed
	if n := len(r.dir.Instruments(0)); n != 0 {
		t.Fatalf("%d instruments registered by reference data", n)
	}
	told := "instrument BTC-USD @kraken 1/8 tick=0.1 lot=0.00000001"
	r.want(r.decode(krakenSnapshot)[:2], told, "clear BTC-USD @kraken depth=10 +snapshot")
	r.want(r.decode(krakenSnapshot)[:1], "clear BTC-USD @kraken depth=10 +snapshot")
	r.want(r.decode(pairs))
	changed := strings.Replace(pairs, `"price_precision":1`, `"price_precision":2`, 1)
	r.want(r.decode(changed), "instrument BTC-USD @kraken 2/8 tick=0.10 lot=0.00000001 +last")
	r.control(feeds.Up)
	r.want(r.decode(krakenSnapshot)[:1], "instrument BTC-USD @kraken 2/8 tick=0.10 lot=0.00000001")
}

func TestKrakenReferenceDataIsToldAgainAfterARefusedSnapshot(t *testing.T) {
	told := "instrument BTC-USD @kraken 1/8 tick=0.1 lot=0.00000001"
	for payload, cause := range map[string]Cause{
		krakenSnapshot + "x": CauseSyntax,
		strings.Replace(krakenSnapshot, "45286.4", "-1", 1): CauseBadNumber,
	} {
		r := newRig(t, "kraken")
		r.decode(fmt.Sprintf(krakenPairs, "online"))
		r.refuse(cause, payload)
		r.want(r.decode(krakenSnapshot)[:1], told)
	}
}

func TestKrakenPairStatus(t *testing.T) {
	for status, want := range map[string]string{
		"online": "", "limit_only": "", "cancel_only": "restricted", "post_only": "restricted",
		"reduce_only": "restricted", "maintenance": "halted", "work_in_progress": "halted",
		"delisted": "closed", "something_new": "restricted",
	} {
		r := newRig(t, "kraken")
		r.decode(krakenSnapshot, fmt.Sprintf(krakenPairs, "online"))
		var lines []string
		if want != "" {
			lines = []string{"status BTC-USD @kraken " + want + " +last"}
		}
		r.want(r.decode(fmt.Sprintf(krakenPairs, status)), lines...)
		if want != "" {
			r.want(r.decode(fmt.Sprintf(krakenPairs, "online")), "status BTC-USD @kraken trading +last")
		}
	}
}

func TestKrakenSystemStatusHoldsForEveryPairSeen(t *testing.T) {
	r := newRig(t, "kraken")
	status := `{"channel":"status","type":"update","data":[{"api_version":"v2","connection_id":12393906104898154338,"system":%q,"version":"2.0.4"}]}`
	r.want(r.decode(fmt.Sprintf(status, "online")))
	r.decode(krakenSnapshot)
	r.want(r.decode(fmt.Sprintf(status, "maintenance")), "status BTC-USD @kraken halted +last")
	r.want(r.decode(strings.ReplaceAll(krakenSnapshot, "BTC", "ETH"))[:2],
		"status ETH-USD @kraken halted", "clear ETH-USD @kraken depth=10 +snapshot")
	r.want(r.decode(fmt.Sprintf(status, "online")),
		"status BTC-USD @kraken trading +last", "status ETH-USD @kraken trading +last")
}

func TestKrakenTradeSideIsTheTakers(t *testing.T) {
	r := newRig(t, "kraken")
	trade := `{"channel":"trade","type":%q,"data":[{"symbol":"XBT/USD","side":"sell","price":0.5117,"qty":40.0,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"XDG/USD","side":"buy","price":2,"qty":1,"trade_id":7,"timestamp":"2023-09-25T07:49:37.708706Z"}]}`
	events := r.decode(fmt.Sprintf(trade, "update"))
	r.want(events,
		"trade BTC-USD @kraken 0.5117x40.0 sell id=4665906 +contiguous +last",
		"trade DOGE-USD @kraken 2x1 buy id=7 +contiguous +last")
	if events[0].TradeSequence != 4665906 {
		t.Errorf("trade sequence %d", events[0].TradeSequence)
	}
	r.want(r.decode(fmt.Sprintf(trade, "snapshot"))[:1],
		"trade BTC-USD @kraken 0.5117x40.0 sell id=4665906 +prior +contiguous +last")
}

func TestKrakenSymbols(t *testing.T) {
	for symbol, want := range map[string]string{
		"BTC/USD": "BTC-USD", "XBT/EUR": "BTC-EUR", "XDG/XBT": "DOGE-BTC", "AAPLx/USD": "AAPLx-USD",
		"1INCH/EUR": "1INCH-EUR", "BTC": "", "/USD": "", "BTC/": "", "": "",
	} {
		if got, _, ok := krakenSymbol(symbol); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t", symbol, got, ok)
		}
	}
	r := newRig(t, "kraken")
	r.decode(strings.ReplaceAll(krakenSnapshot, "BTC/USD", "XBT/USD"), krakenSnapshot)
	id, _ := r.dir.Lookup("BTC-USD")
	if s, ok := r.d.VenueSymbol(id); !ok || s != "XBT/USD" {
		t.Errorf("venue symbol %q, %t: want the spelling that came first", s, ok)
	}
	if _, ok := r.d.VenueSymbol(99); ok {
		t.Error("a venue symbol for an instrument that was never seen")
	}
}

func TestKrakenKnownMessagesWithoutEvents(t *testing.T) {
	r := newRig(t, "kraken")
	r.want(r.decode(
		`{"channel":"ticker","type":"update","data":[{"symbol":"ALGO/USD","bid":0.10025}]}`,
		`{"channel":"ohlc","type":"update","data":[]}`,
		`{"method":"pong","req_id":101,"time_in":"2026-01-05T10:00:00.123456Z"}`,
		`{"method":"unsubscribe","result":{"channel":"book","symbol":"BTC/USD","depth":10},"success":true}`,
		`{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD","snapshot":true,"warnings":["old"]},"success":true}`,
	))
	r.want(r.decode(`{"channel":"heartbeat"}`), "heartbeat @kraken")
}

func TestKrakenKeysInAnyOrderAndWhiteSpace(t *testing.T) {
	r := newRig(t, "kraken")
	want := r.decode(krakenSnapshot)
	for _, payload := range []string{
		`{"data":[{"checksum":3310070434,"asks":[{"qty":0.00100000,"price":45285.2},{"qty":1.54571953,"price":45286.4}],"bids":[{"qty":0.10000000,"price":45283.5}],"timestamp":"2026-07-07T23:00:03.977459Z","symbol":"BTC/USD"}],"type":"snapshot","channel":"book"}`,
		` { "channel" : "book" , "type":"snapshot","new":{"a":[1,{"b":null}]},"data" : [ { "sym\u0062ol":"BTC\/USD" , "bids":[ {"price" : 45283.5 ,"qty":0.10000000 } ],"asks":[{"price":45285.2,"qty":0.00100000,"x":"y"},` + "\n\t" + `{"price":45286.4,"qty":1.54571953}],"checksum":3310070434,"timestamp":"2026-07-07T23:00:03.977459Z"} ] } `,
	} {
		events := r.decode(payload)
		if len(events) != len(want) {
			t.Fatalf("%d events, want %d", len(events), len(want))
		}
		for i := range events {
			if events[i] != want[i] {
				t.Errorf("got %s, want %s", r.show(events[i]), r.show(want[i]))
			}
		}
	}
}

func TestKrakenRefusals(t *testing.T) {
	book := func(element string) string { return `{"channel":"book","type":"update","data":[` + element + `]}` }
	gap, all := "gap BTC-USD @kraken +last", "gap @kraken +last"
	for name, c := range map[string]struct {
		payload string
		cause   Cause
		want    []string
	}{
		"unknown channel":     {`{"channel":"executions","type":"update","data":[]}`, CauseUnknownType, nil},
		"unknown method":      {`{"method":"dance","success":true}`, CauseUnknownType, nil},
		"neither":             {`{"x":1}`, CauseUnknownType, nil},
		"provider's refusal":  {`{"error":"Currency pair not supported XYZ/USD","method":"subscribe","success":false,"symbol":"XYZ/USD"}`, CauseProvider, nil},
		"bad price":           {book(`{"symbol":"BTC/USD","bids":[{"price":"x","qty":1}],"asks":[],"checksum":1}`), CauseBadNumber, []string{gap}},
		"negative price":      {book(`{"symbol":"BTC/USD","bids":[{"price":-1,"qty":1}],"asks":[],"checksum":1}`), CauseBadNumber, []string{gap}},
		"negative quantity":   {book(`{"symbol":"BTC/USD","bids":[{"price":1,"qty":-1}],"asks":[],"checksum":1}`), CauseBadNumber, []string{gap}},
		"huge quantity":       {book(`{"symbol":"BTC/USD","bids":[{"price":1,"qty":1e30}],"asks":[],"checksum":1}`), CauseBadNumber, []string{gap}},
		"no price":            {book(`{"symbol":"BTC/USD","bids":[{"qty":1}],"asks":[],"checksum":1}`), CauseMissingField, []string{gap}},
		"no quantity":         {book(`{"symbol":"BTC/USD","bids":[{"price":1}],"asks":[],"checksum":1}`), CauseMissingField, []string{gap}},
		"level no object":     {book(`{"symbol":"BTC/USD","bids":[[1,2]],"asks":[],"checksum":1}`), CauseBadValue, []string{gap}},
		"no levels":           {book(`{"symbol":"BTC/USD","checksum":1}`), CauseMissingField, []string{gap}},
		"levels no array":     {book(`{"symbol":"BTC/USD","bids":{},"asks":[],"checksum":1}`), CauseBadValue, []string{gap}},
		"side twice":          {book(`{"symbol":"BTC/USD","bids":[],"bids":[],"checksum":1}`), CauseBadValue, []string{gap}},
		"checksum too large":  {book(`{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":4294967296}`), CauseBadNumber, []string{gap}},
		"bad time":            {book(`{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":1,"timestamp":"yesterday"}`), CauseBadNumber, []string{gap}},
		"first of two faults": {book(`{"symbol":"BTC/USD","bids":[{"qty":1},{"price":"x"}],"asks":[],"checksum":-1,"timestamp":"?"}`), CauseMissingField, []string{gap}},
		"no symbol":           {book(`{"bids":[],"asks":[],"checksum":1}`), CauseMissingField, []string{all}},
		"bad symbol":          {book(`{"symbol":"BTCUSD","bids":[],"asks":[],"checksum":1}`), CauseBadSymbol, []string{all}},
		"unprintable symbol":  {book(`{"symbol":"B\u0007C/USD","bids":[],"asks":[],"checksum":1}`), CauseBadSymbol, []string{all}},
		"data no array":       {`{"channel":"book","type":"update","data":{}}`, CauseBadValue, []string{all}},
		"no data":             {`{"channel":"book","type":"update"}`, CauseMissingField, []string{all}},
		"unknown book type":   {`{"channel":"book","type":"sketch","data":[]}`, CauseBadValue, []string{all}},
		"truncated in levels": {`{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1,"q`, CauseSyntax, []string{gap}},
		"truncated early":     {`{"chan`, CauseSyntax, []string{all}},
		"garbage after":       {krakenSnapshot + `x`, CauseSyntax, []string{gap}},
		"two messages":        {krakenSnapshot + krakenSnapshot, CauseSyntax, []string{gap}},
		"broken trade":        {`{"channel":"trade","type":"update","data":[{"symbol":`, CauseSyntax, nil},
		"array":               {`[]`, CauseSyntax, []string{all}},
		"empty":               {``, CauseSyntax, []string{all}},
		"trade without side":  {`{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","price":1,"qty":1,"trade_id":1,"timestamp":"2023-09-25T07:49:37.708706Z"}]}`, CauseMissingField, nil},
		"trade with bad side": {`{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"b","price":1,"qty":1,"trade_id":1,"timestamp":"2023-09-25T07:49:37.708706Z"}]}`, CauseBadSide, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "kraken")
			events, _ := r.refuse(c.cause, c.payload)
			r.want(events, c.want...)
			r.want(r.decode(krakenSnapshot)[:1], "clear BTC-USD @kraken depth=10 +snapshot")
		})
	}
}

func TestKrakenSoundRestOfAnArrayIsDelivered(t *testing.T) {
	r := newRig(t, "kraken")
	events, refusal := r.refuse(CauseBadNumber, `{"channel":"book","type":"update","data":[
		{"symbol":"BTC/USD","bids":[{"price":1,"qty":"many"}],"asks":[],"checksum":1},
		{"symbol":"ETH/USD","bids":[{"price":2,"qty":3}],"asks":[],"checksum":2},
		{"symbol":"SOL/USD","bids":[{"price":1,"qty":null}],"asks":[],"checksum":1}]}`)
	r.want(events,
		"gap BTC-USD @kraken +last",
		"level ETH-USD @kraken bid 2x3", "checksum ETH-USD @kraken 2 +last",
		"gap SOL-USD @kraken +last")
	if refusal.Count != 2 {
		t.Errorf("count %d, want 2", refusal.Count)
	}
}
