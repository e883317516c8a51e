package normalizer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	okxSnapshot = `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["90000.2","1.50","0","3"]],"bids":[["90000.1","2","0","5"]],"ts":"1764599400123","checksum":0,"prevSeqId":-1,"seqId":123456}]}`
	okxUpdate   = `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[["90000.1","0","0","0"]],"ts":"1764599400223","checksum":0,"prevSeqId":123456,"seqId":123460}]}`
	okxOld      = `{"arg":{"channel":"books","instId":"BTC-USD-220527"},"action":"snapshot","data":[{"asks":[["30238.8","2","0","1"]],"bids":[["30229.4","2","0","1"]],"ts":"1652459225464","checksum":-914047754}]}`
	okxTrade    = `{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"90000.2","sz":"0.12","side":"buy","ts":"1764599400085","count":"3","source":"0","seqId":1234}]}`
	okxTicker   = `{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"90000.2","lastSz":"0.1","askPx":"90000.25","askSz":"1.5","bidPx":"90000.1","bidSz":"2","ts":"1764599400597"}]}`
	okxBBO      = `{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["90000.2","1.5","0","3"]],"bids":[],"ts":"1764599400123","seqId":123456}]}`
	okxAck      = `{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}`
	okxSpots    = `{"arg":{"channel":"instruments","instType":"SPOT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT","tickSz":"0.1","lotSz":"0.00000001","minSz":"0.00001","state":"live","ctVal":""}]}`
)

func okxSeq(message string, prev, seq string) string {
	return strings.NewReplacer(`"prevSeqId":123456`, `"prevSeqId":`+prev, `"seqId":123460`, `"seqId":`+seq).Replace(message)
}

func TestOKXMessages(t *testing.T) {
	r := newRig(t, "okx")
	r.want(r.decode(okxAck, okxSpots, okxSnapshot, okxUpdate, okxTrade, okxTicker, okxBBO, okxOld, "pong",
		`{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade."}`),
		"instrument BTC-USDT @okx 1/8 tick=0.1 lot=0.00000001",
		"clear BTC-USDT @okx depth=0 +snapshot",
		"level BTC-USDT @okx ask 90000.2x1.50 +snapshot",
		"level BTC-USDT @okx bid 90000.1x2 +snapshot +last",
		"level BTC-USDT @okx bid 90000.1x0 +last",
		"trade BTC-USDT @okx 90000.2x0.12 buy id=130639474 +last",
		"quote BTC-USDT @okx 90000.10x2.0@* 90000.25x1.5@* +last",
		"quote BTC-USDT @okx 0.0x0.0@* 90000.2x1.5@* +last",
		"clear BTC-USD-220527 @okx depth=0 +snapshot",
		"level BTC-USD-220527 @okx ask 30238.8x2 +snapshot",
		"level BTC-USD-220527 @okx bid 30229.4x2 +snapshot",
		"checksum BTC-USD-220527 @okx 3380919542 +snapshot +last",
		"heartbeat @okx")
	events := r.decode(okxOld)
	if events[0].Checksum != market.ChecksumTexts || events[len(events)-1].Checksum != market.ChecksumTexts {
		t.Error("the kind of the checksum is not told before the levels and with it")
	}
	if events[0].Time != 1652459225464e6 {
		t.Errorf("time %d", events[0].Time)
	}
}

// The members of a message come in any order.
func TestOKXOrderOfMembers(t *testing.T) {
	r := newRig(t, "okx")
	r.want(r.decode(`{"data":[{"seqId":7,"prevSeqId":-1,"checksum":0,"ts":"1","bids":[["2","1"]],"asks":[["3","1"]]}],"action":"snapshot","arg":{"instId":"A-B","channel":"books"}}`,
		`{"arg":{"instId":"A-B","channel":"books"},"data":[{"seqId":8,"prevSeqId":7,"ts":"1","bids":[],"asks":[["3","2"]]}],"action":"update"}`),
		"clear A-B @okx depth=0 +snapshot", "level A-B @okx bid 2x1 +snapshot", "level A-B @okx ask 3x1 +snapshot +last", "level A-B @okx ask 3x2 +last")
}

func TestOKXChain(t *testing.T) {
	const change, gap, beat = "level BTC-USDT @okx bid 90000.1x0 +last", "gap BTC-USDT @okx +last", "heartbeat BTC-USDT @okx +last"
	empty := strings.Replace(okxUpdate, `[["90000.1","0","0","0"]]`, `[]`, 1)
	for name, c := range map[string]struct {
		messages []string
		want     []string
	}{
		"follows":                 {[]string{okxUpdate, okxSeq(okxUpdate, "123460", "123999")}, []string{change, change}},
		"lost":                    {[]string{okxSeq(okxUpdate, "123459", "123460"), okxSeq(okxUpdate, "123460", "123461")}, []string{gap, change}},
		"again":                   {[]string{okxUpdate, okxUpdate}, []string{change, gap}},
		"nothing changed":         {[]string{okxSeq(empty, "123456", "123456"), okxUpdate}, []string{beat, change}},
		"renumbered after a stop": {[]string{okxSeq(okxUpdate, "123456", "3"), okxSeq(okxUpdate, "3", "5")}, []string{change, change}},
		"another snapshot":        {[]string{okxSeq(okxUpdate, "1", "2"), okxSnapshot, okxUpdate}, []string{gap, "clear BTC-USDT @okx depth=0 +snapshot", "level BTC-USDT @okx ask 90000.2x1.50 +snapshot", "level BTC-USDT @okx bid 90000.1x2 +snapshot +last", change}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "okx")
			r.decode(okxSnapshot)
			r.want(r.decode(c.messages...), c.want...)
		})
	}
	t.Run("new connection", func(t *testing.T) {
		r := newRig(t, "okx")
		r.decode(okxSnapshot)
		r.control(feeds.Down)
		r.control(feeds.Up)
		// Nothing is known of the chain, and nothing of the book either: it is
		// the book that does not take changes without a snapshot.
		r.want(r.decode(okxSeq(okxUpdate, "9", "10")), change)
	})
}

func TestOKXTwoBookChannels(t *testing.T) {
	r := newRig(t, "okx")
	r.decode(okxSnapshot)
	five := `{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[["2","1"]],"bids":[["1","1"]],"ts":"1","seqId":5}]}`
	events, _ := r.refuse(CauseBadValue, five)
	r.want(events)
	r.want(r.decode(okxUpdate), "level BTC-USDT @okx bid 90000.1x0 +last")
	r = newRig(t, "okx")
	for range 2 {
		r.want(r.decode(five), "clear BTC-USDT @okx depth=0 +snapshot", "level BTC-USDT @okx ask 2x1 +snapshot", "level BTC-USDT @okx bid 1x1 +snapshot +last")
	}
}

// A book that is subscribed no longer is not to be trusted, even where its
// snapshot came after the request.
func TestOKXUnsubscribedBook(t *testing.T) {
	const left = `{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"}}`
	r := newRig(t, "okx")
	r.want(r.decode(left))
	r.decode(okxSnapshot)
	r.want(r.decode(strings.Replace(left, "books", "trades", 1)))
	r.want(r.decode(left, left), "gap BTC-USDT @okx +last")
	r.decode(okxSnapshot)
	r.decode(okxSeq(okxUpdate, "1", "2")) // its gap has been told
	r.want(r.decode(left))
}

// The other channel of a book can be followed once the one has been left.
func TestOKXAnotherChannelAfterTheOneIsLeft(t *testing.T) {
	r := newRig(t, "okx")
	r.decode(okxSnapshot, `{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"}}`)
	r.want(r.decode(`{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[["2","1"]],"bids":[["1","1"]],"ts":"1","seqId":5}]}`),
		"clear BTC-USDT @okx depth=0 +snapshot", "level BTC-USDT @okx ask 2x1 +snapshot", "level BTC-USDT @okx bid 1x1 +snapshot +last")
}

func TestOKXRefusals(t *testing.T) {
	const gap = "gap BTC-USDT @okx +last"
	for _, c := range []struct {
		cause   Cause
		payload string
		want    []string
	}{
		{CauseSyntax, okxUpdate[:len(okxUpdate)-4], []string{gap}},
		{CauseSyntax, okxUpdate[:60], []string{gap}},
		{CauseSyntax, `{"ar`, []string{"gap @okx +last"}},
		{CauseSyntax, okxTrade[:len(okxTrade)-4], nil},
		{CauseBadNumber, strings.Replace(okxUpdate, `"90000.1"`, `"x"`, 1), []string{gap}},
		{CauseBadNumber, strings.Replace(okxUpdate, `"0","0","0"`, `"-1","0","0"`, 1), []string{gap}},
		{CauseBadNumber, okxSeq(okxUpdate, `"x"`, "1"), []string{gap}},
		{CauseBadNumber, strings.Replace(okxUpdate, `"checksum":0`, `"checksum":99999999999`, 1), []string{gap}},
		{CauseBadNumber, strings.Replace(okxUpdate, `"ts":"1764599400223"`, `"ts":"now"`, 1), []string{gap}},
		{CauseMissingField, strings.Replace(okxUpdate, `"asks":[],`, ``, 1), []string{gap}},
		{CauseBadValue, strings.Replace(okxUpdate, `"update"`, `"patch"`, 1), []string{gap}},
		{CauseBadValue, `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":{}}`, []string{gap}},
		{CauseMissingField, `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update"}`, []string{gap}},
		{CauseBadSymbol, strings.Replace(okxUpdate, `BTC-USDT`, `BTC`, 1), []string{"gap @okx +last"}},
		{CauseBadSide, strings.Replace(okxTrade, `"buy"`, `"bought"`, 1), nil},
		{CauseBadNumber, strings.Replace(okxTrade, `"90000.2"`, `"0"`, 1), nil},
		{CauseMissingField, strings.Replace(okxTrade, `"sz"`, `"size"`, 1), nil},
		{CauseUnknownType, `{"arg":{"channel":"dance","instId":"BTC-USDT"},"data":[]}`, nil},
		{CauseUnknownType, `{"event":"dance"}`, nil},
		{CauseUnknownType, `{}`, nil},
		{CauseProvider, `{"id":"1","event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}`, nil},
	} {
		r := newRig(t, "okx")
		r.decode(okxSnapshot)
		events, _ := r.refuse(c.cause, c.payload)
		r.want(events, c.want...)
	}
}

func TestOKXClasses(t *testing.T) {
	for symbol, want := range map[string]market.Class{
		"BTC-USDT": market.ClassCrypto, "EUR-USD": market.ClassForex, "BTC-USDT-SWAP": market.ClassFuture, "BTC-USD-220527": market.ClassFuture,
		"BTC-USD-261225-90000-C": market.ClassOption,
	} {
		if got, ok := okxClass(symbol); !ok || got != want {
			t.Errorf("%s: %v, %t", symbol, got, ok)
		}
	}
	for _, symbol := range []string{"", "BTC", "-USD", "BTC-", "BTC-USD-"} {
		if got, ok := okxClass(symbol); ok {
			t.Errorf("%q is taken as %v", symbol, got)
		}
	}
}

func TestOKXInstruments(t *testing.T) {
	r := newRig(t, "okx")
	reply := func(body string) []market.Event {
		events, err := r.d.Decode(nil, feeds.Frame{Kind: feeds.Reply, URL: "https://www.okx.com/api/v5/public/instruments?instType=SPOT", Received: received, Payload: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	r.want(reply(`{"code":"0","data":[{"instId":"BTC-USDT","tickSz":"0.1","lotSz":"0.00000001","state":"live"},{"instId":"X-Y","tickSz":"","lotSz":"1","state":"live"}],"msg":""}`))
	events := r.decode(okxSnapshot)
	r.want(events[:1], "instrument BTC-USDT @okx 1/8 tick=0.1 lot=0.00000001")
	r.want(reply(`{"code":"0","data":[{"instId":"BTC-USDT","tickSz":"0.01","lotSz":"0.00000001","state":"suspend"}],"msg":""}`),
		"instrument BTC-USDT @okx 2/8 tick=0.01 lot=0.00000001", "status BTC-USDT @okx halted +last")
	if _, err := r.d.Decode(nil, feeds.Frame{Kind: feeds.Reply, Payload: []byte(`{"code":"50011","data":[],"msg":"Too Many Requests"}`)}); err == nil {
		t.Error("a refused request is not told")
	}
}

func FuzzOKX(f *testing.F) {
	fuzzDecoder(f, "okx", okxSnapshot, okxUpdate, okxOld, okxTrade, okxTicker, okxBBO, okxAck, okxSpots, "pong",
		`{"event":"error","code":"60012","msg":"no"}`)
}

// jsonlFrames returns the frames of one JSONL recording, in order, with the
// connection that each came over.
func jsonlFrames(tb testing.TB, name string) (frames []feeds.Frame) {
	tb.Helper()
	for _, line := range recording(tb, name) {
		var rec struct{ T, Conn, Data, URL, Addr string }
		if err := json.Unmarshal(line, &rec); err != nil {
			tb.Fatal(err)
		}
		f := feeds.Frame{Feed: rec.Conn, Received: received, Payload: []byte(rec.Data)}
		switch rec.T {
		case "recv":
		case "http":
			f.Kind, f.URL = feeds.Reply, rec.URL
		case "connect":
			f.Kind, f.URL = feeds.Up, rec.Addr
		default:
			continue
		}
		frames = append(frames, f)
	}
	return frames
}

// jsonlPayloads returns the messages of a JSONL recording that contain the mark.
func jsonlPayloads(tb testing.TB, name, mark string) (out [][]byte) {
	tb.Helper()
	for _, f := range jsonlFrames(tb, name) {
		if f.Kind == feeds.Data && strings.Contains(string(f.Payload), mark) {
			out = append(out, f.Payload)
		}
	}
	return out
}

const okxFile = "okx/books_3inst_2022-05-13.jsonl.zst"

func BenchmarkOKX(b *testing.B) {
	for name, mark := range map[string]string{"books": `"action":"update"`, "trades": `"channel":"trades","instId":"BTC-USDT"},"data"`, "tickers": `"askPx"`} {
		b.Run(name, func(b *testing.B) { benchmarkFrames(b, "okx", nil, jsonlPayloads(b, okxFile, mark)...) })
	}
}
