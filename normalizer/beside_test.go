package normalizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// What the decoders have in common whose images come beside the stream.

// fuzzBeside decodes each input as a message and as each of the answers, after a
// book has begun: nothing may panic, all events must be valid, what is no JSON
// must be refused, and what comes after must be decoded as if it had not been
// there.
func fuzzBeside(f *testing.F, provider string, urls []string, image, change string, seeds ...string) {
	for _, s := range append(seeds, image, change, change+change, change[:len(change)/2], image[:len(image)/2]) {
		f.Add([]byte(s))
	}
	addCorpus(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := newRig(t, provider)
		dst := r.reply(urls[0], image)
		dst = append(dst, r.decode(change)...)
		frames := []feeds.Frame{{Payload: payload}}
		for _, u := range urls {
			frames = append(frames, feeds.Frame{Kind: feeds.Reply, URL: u, Payload: payload})
		}
		for _, f := range frames {
			f.Received = received
			before := len(dst)
			var err error
			dst, err = r.d.Decode(dst, f)
			var refusal *Refusal
			if err != nil && (!errors.As(err, &refusal) || refusal.Count < 1 || refusal.Cause == "" || refusal.Detail == "") {
				t.Fatalf("error %v is no refusal", err)
			}
			if err == nil && !json.Valid(payload) {
				t.Errorf("taken: %q", payload)
			}
			for i := range dst[before:] {
				e := &dst[before+i]
				checkEvent(t, r, e)
				if e.Kind == market.KindLevel && err != nil {
					t.Errorf("levels of what was refused: %q", payload)
				}
				if e.Kind == market.KindLevel && f.Kind == feeds.Reply && !e.Has(market.FlagReply) && i == 0 {
					t.Errorf("an answer's level is not marked: %q", payload)
				}
			}
			checkLast(t, r, dst[before:])
		}
		// A fresh connection begins as the first did.
		r.control(feeds.Up)
		if n := len(r.decode(change)); n == 0 {
			t.Errorf("nothing told of a book that waits after %q", payload)
		}
	})
}

func FuzzBinance(f *testing.F) {
	fuzzBeside(f, "binance", []string{binanceDepthURL, binanceInfoURL}, binanceSnapshot, depth(161, 165, "0.0025"),
		binanceTrade, binanceAgg, binanceTop, binanceKline, binanceInfo, `{"result":null,"id":1}`, `{"code":2,"msg":"x","id":5}`,
		`{"stream":"bnbbtc@depth20@100ms","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}`)
}

func FuzzBinanceFutures(f *testing.F) {
	fuzzBeside(f, "binance-usdm", []string{binanceFuturesURL, "https://fapi.binance.com/fapi/v1/exchangeInfo"},
		`{"lastUpdateId":140,"E":1672515782136,"T":1672515782130,"bids":[["7.6110","6"]],"asks":[["7.6120","1"]]}`,
		futuresDepth(130, 150, 110, "7.6"), binanceAgg, binanceTop, futuresInfo)
}

func FuzzBitstamp(f *testing.F) {
	fuzzBeside(f, "bitstamp", []string{bitstampBookURL, bitstampPairsURL}, bitstampSnapshot, bitstampDiffAt(161, "90118"),
		bitstampTrade, bitstampImage, bitstampPairs, `{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}`,
		`{"event":"bts:error","channel":"","data":{"code":4009,"message":"Connection is unauthorized."}}`)
}

// counting is a message with numbers of fixed width that grow with each call.
type counting struct {
	payload []byte
	at      []int // offsets of numbers
	digits  int
}

func newCounting(payload string, digits int, marks ...string) *counting {
	c := &counting{payload: []byte(payload), digits: digits}
	for _, m := range marks {
		c.at = append(c.at, bytes.Index(c.payload, []byte(m))+len(m))
	}
	return c
}

func (c *counting) next() []byte {
	for _, at := range c.at {
		for i := at + c.digits - 1; ; i-- {
			if c.payload[i]++; c.payload[i] <= '9' {
				break
			}
			c.payload[i] = '0'
		}
	}
	return c.payload
}

// besideCases are a message of 20 changed levels for each venue, with what must
// come before it.
func besideCases() map[string]struct {
	provider, url, image string
	message              *counting
} {
	var levels string
	for i := range 10 {
		levels += fmt.Sprintf(`,["635%02d.02000000","0.%d0317000"]`, i, i%9+1)
	}
	levels = "[" + levels[1:] + "]"
	type c = struct {
		provider, url, image string
		message              *counting
	}
	return map[string]c{
		"binance": {"binance", binanceDepthURL, `{"lastUpdateId":100000000001,"bids":[],"asks":[]}`,
			newCounting(`{"stream":"bnbbtc@depth@100ms","data":{"e":"depthUpdate","E":1783465157917,"s":"BNBBTC","U":100000000001,"u":100000000001,"b":`+levels+`,"a":`+levels+`}}`, 12, `"U":`, `"u":`)},
		"binance-usdm": {"binance-usdm", binanceFuturesURL, `{"lastUpdateId":100000000001,"bids":[],"asks":[]}`,
			newCounting(`{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1783465157917,"T":1783465157910,"s":"BTCUSDT","U":100000000001,"u":100000000001,"pu":100000000000,"b":`+levels+`,"a":`+levels+`}}`, 12, `"U":`, `"u":`, `"pu":`)},
		"bitstamp": {"bitstamp", bitstampBookURL, `{"microtimestamp":"1764599400000000","bids":[],"asks":[]}`,
			newCounting(`{"data":{"timestamp":"1764599400","microtimestamp":"1764599400000001","bids":`+levels+`,"asks":`+levels+`},"channel":"diff_order_book_btcusd","event":"data"}`, 16, `"microtimestamp":"`)},
	}
}

func TestNoAllocationsPerChange(t *testing.T) {
	for name, c := range besideCases() {
		r := newRig(t, c.provider)
		r.reply(c.url, c.image)
		dst := make([]market.Event, 0, 100)
		step := func() {
			var err error
			if dst, err = r.d.Decode(dst[:0], feeds.Frame{Received: received, Payload: c.message.next()}); err != nil || len(dst) != 20 {
				t.Fatalf("%s: %d events, %v", name, len(dst), err)
			}
		}
		for range 1000 {
			step()
		}
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	for provider, payload := range map[string]string{"binance": binanceTrade, "binance-usdm": binanceAgg, "bitstamp": bitstampTrade} {
		r := newRig(t, provider)
		dst := r.decode(payload)
		f := frame(payload)
		if n := testing.AllocsPerRun(100, func() { dst, _ = r.d.Decode(dst[:0], f) }); n != 0 {
			t.Errorf("%s: %v allocations for a print", provider, n)
		}
	}
}

func BenchmarkBeside(b *testing.B) {
	for name, c := range besideCases() {
		b.Run(name+"/changes", func(b *testing.B) {
			r := newRig(b, c.provider)
			r.reply(c.url, c.image)
			dst := make([]market.Event, 0, 100)
			events := 0
			b.SetBytes(int64(len(c.message.payload)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = r.d.Decode(dst[:0], feeds.Frame{Received: received, Payload: c.message.next()}); err != nil {
					b.Fatal(err)
				}
				events += len(dst)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
	b.Run("binance/trade", func(b *testing.B) { benchmarkFrames(b, "binance", nil, []byte(binanceTrade)) })
	b.Run("binance/bookTicker", func(b *testing.B) { benchmarkFrames(b, "binance", nil, []byte(binanceTop)) })
	b.Run("bitstamp/trade", func(b *testing.B) { benchmarkFrames(b, "bitstamp", nil, []byte(bitstampTrade)) })
}

func TestSymbolsBesideAreBounded(t *testing.T) {
	for provider, c := range map[string]struct{ last, more, reference, url string }{
		"binance":  {`{"u":1,"s":"A","b":"1","B":"1","a":"2","A":"1"}`, `{"u":1,"s":"B","b":"1","B":"1","a":"2","A":"1"}`, `{"symbols":[{"symbol":"B","baseAsset":"A","quoteAsset":"B"}]}`, binanceInfoURL},
		"bitstamp": {bitstampTrade, `{"event":"trade","channel":"live_trades_b","data":{}}`, `[{"name":"A/B","url_symbol":"b","base_decimals":8,"counter_decimals":2}]`, bitstampPairsURL},
	} {
		r := newRig(t, provider)
		switch d := r.d.(type) { // as if all symbols but one had been seen
		case *binance:
			d.symbols.order = make([]*binanceSymbol, maxSymbols-1)
		case *bitstamp:
			d.known.order = make([]*bitstampPair, maxSymbols-1)
		}
		r.decode(c.last)
		r.refuse(CauseOversized, c.more)
		r.wantReplyRefused(CauseOversized, c.url, c.reference)
		r.decode(c.last)
	}
}
