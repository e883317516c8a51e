package normalizer

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// fuzzDecoder decodes each input twice with one decoder, after a frame of sound
// data: nothing may panic, all events must be valid, what is no JSON must be
// refused, and what comes after must be decoded as if it had not been there.
func fuzzDecoder(f *testing.F, provider, sound string, seeds ...string) {
	for _, s := range append(seeds, sound, sound+sound, sound[:len(sound)/2]) {
		f.Add([]byte(s))
	}
	addCorpus(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := newRig(t, provider)
		dst := r.decode(sound)
		for range 2 {
			before := len(dst)
			var err error
			dst, err = r.d.Decode(dst, feeds.Frame{Received: received, Payload: payload})
			var refusal *Refusal
			if err != nil && (!errors.As(err, &refusal) || refusal.Count < 1 || refusal.Cause == "" || refusal.Detail == "") {
				t.Fatalf("error %v is no refusal", err)
			}
			if err == nil && !json.Valid(payload) && string(payload) != "pong" { // OKX's answer to a ping
				t.Errorf("taken: %q", payload)
			}
			if err != nil && refusal.Cause == CauseSyntax && refusal.Count == 1 && len(dst) > before {
				for _, e := range dst[before:] {
					// Whole elements before the fault stay; a gap follows them.
					if e.Kind == market.KindLevel && provider != "polygon" && provider != "alpaca" {
						t.Errorf("levels of a frame that is not whole: %q", payload)
					}
				}
			}
			for i := range dst {
				checkEvent(t, r, &dst[i])
			}
			checkLast(t, r, dst[before:])
		}
		r.decode(sound)
	})
}

// checkLast holds that the events of every instrument end with FlagLast.
func checkLast(t *testing.T, r *rig, events []market.Event) {
	last := map[market.InstrumentID]market.Event{}
	for _, e := range events {
		if e.Instrument != 0 {
			last[e.Instrument] = e
		}
	}
	for _, e := range last {
		if !e.Has(market.FlagLast) {
			t.Errorf("last event without FlagLast: %s", r.show(e))
		}
	}
}

func FuzzKraken(f *testing.F) {
	fuzzDecoder(f, "kraken", krakenSnapshot, krakenUpdate, krakenAck, krakenPairs, `{"channel":"heartbeat"}`,
		`{"channel":"trade","type":"update","data":[{"symbol":"XBT/USD","side":"sell","price":0.5117,"qty":40.0,"trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"}]}`,
		`{"channel":"status","type":"update","data":[{"system":"maintenance"}]}`,
		`{"data":[{"asks":[{"qty":1E-8,"price":1}],"symbol":"A\/B"}],"type":"update","channel":"book"}`,
		`{"error":"no","method":"subscribe","success":false,"symbol":"X/Y"}`)
}

func FuzzCoinbase(f *testing.F) {
	fuzzDecoder(f, "coinbase", coinbaseSnapshot, coinbaseUpdate, coinbaseMatch, coinbaseStatus,
		`{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`,
		`{"type":"error","message":"m","reason":"r"}`,
		`{"changes":[["buy","1.5","2"]],"product_id":"BTC-USD","type":"l2update"}`)
}

func FuzzPolygon(f *testing.F) {
	fuzzDecoder(f, "polygon", "["+polygonT+"]", "["+polygonT+","+polygonQ+"]",
		`[{"ev":"XL2","pair":"BTC-USD","t":1610462411115,"x":1,"b":[[33712.71,0.18635]],"a":[[33718.23,3.5527483]]}]`,
		`[{"ev":"XT","pair":"X:BTCUSD","p":43575.6,"t":1706649628023,"s":4.522e-05,"c":[2],"i":14,"x":23}]`,
		`[{"ev":"A","sym":"FCX","v":4989,"av":4332125,"vw":78.0894,"o":78.1,"c":78.08,"h":78.125,"l":78.07,"s":1788877043000,"e":1788877044000,"dv":"4989.0"}]`,
		"["+polygonLULD+","+polygonNOI+"]", "["+polygonC+","+polygonCA+"]", "["+polygonV+","+polygonFMV+"]", "["+polygonXA+"]",
		"["+futureT+","+futureQ+","+futureAM+"]",
		`[{"ev":"status","status":"error","message":"not authorized"}]`)
}
