package normalizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// benchmarkFrames decodes the payloads in turn and reports the time of an event.
func benchmarkFrames(b *testing.B, provider string, prepare []string, payloads ...[]byte) {
	r := newRig(b, provider)
	r.decode(prepare...)
	var dst []market.Event
	bytes := 0
	for _, p := range payloads {
		bytes += len(p)
		var err error
		if dst, err = r.d.Decode(dst[:0], frame(string(p))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(bytes / len(payloads)))
	events, i := 0, 0
	for b.Loop() {
		dst, _ = r.d.Decode(dst[:0], feeds.Frame{Received: received, Payload: payloads[i]})
		events += len(dst)
		if i++; i == len(payloads) {
			i = 0
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

var tickers = []string{"AAPL", "MSFT", "NVDA", "TSLA", "BRK.B", "AMZN", "QQQ", "SPY", "F", "GOOGL"}

func polygonTrades(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,{"ev":"T","sym":%q,"x":%d,"i":"%d","z":3,"p":%d.%02d,"s":%d,"ds":"%d.0","c":[14,37],"t":%d,"pt":%d,"q":%d}`,
			tickers[i%len(tickers)], 4+i%15, 88213+i, 400+i, i%100, 50+i, 50+i, 1764599400123+i, 1764599400122+i, 3681328+i)
	}
	return []byte("[" + b.String()[1:] + "]")
}

func polygonQuotes(n int) []byte {
	var b strings.Builder
	for i := range n {
		// Without q nothing is dropped as overtaken when the frame comes again.
		fmt.Fprintf(&b, `,{"ev":"Q","sym":%q,"i":[604],"bx":%d,"ax":%d,"bp":%d.07,"ap":%d.1,"bs":80,"as":160,"t":%d,"pt":%d,"z":3}`,
			tickers[i%len(tickers)], 7+i%12, 8+i%11, 400+i, 400+i, 1764599400123+i, 1764599400122+i)
	}
	return []byte("[" + b.String()[1:] + "]")
}

// splitFrame returns the elements of a frame that polygonTrades or polygonQuotes
// made.
func splitFrame(frame []byte) [][]byte {
	var elements []json.RawMessage
	if err := json.Unmarshal(frame, &elements); err != nil {
		panic(err)
	}
	out := make([][]byte, len(elements))
	for i, e := range elements {
		out[i] = e
	}
	return out
}

func BenchmarkPolygon(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("T/%d", n), func(b *testing.B) { benchmarkFrames(b, "polygon", nil, polygonTrades(n)) })
		b.Run(fmt.Sprintf("Q/%d", n), func(b *testing.B) { benchmarkFrames(b, "polygon", nil, polygonQuotes(n)) })
	}
	b.Run("TQ/10", func(b *testing.B) { // in turn, as on a connection that has both
		trades, quotes := splitFrame(polygonTrades(10)), splitFrame(polygonQuotes(10))
		var mixed [][]byte
		for i := range trades {
			mixed = append(mixed, trades[i], quotes[i])
		}
		benchmarkFrames(b, "polygon", nil, []byte("["+string(bytes.Join(mixed, []byte(",")))+"]"))
	})
}

func linesWith(lines [][]byte, mark string) (out [][]byte) {
	for _, l := range lines {
		if bytes.Contains(l, []byte(mark)) {
			out = append(out, l)
		}
	}
	return out
}

func BenchmarkKrakenBookUpdate(b *testing.B) {
	lines := recording(b, krakenFile)
	benchmarkFrames(b, "kraken", nil, linesWith(lines, `"book","type":"update"`)...)
}

func BenchmarkCoinbase(b *testing.B) {
	lines := recording(b, coinbaseFile)
	for _, kind := range []string{"l2update", "match", "snapshot"} {
		b.Run(kind, func(b *testing.B) {
			benchmarkFrames(b, "coinbase", nil, linesWith(lines, `"type":"`+kind+`"`)...)
		})
	}
}
