package normalizer

import (
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// Once every symbol is known and the buffer has grown, decoding takes no memory.
func TestVenuesDecodeWithoutAllocating(t *testing.T) {
	for provider, payloads := range map[string][]string{
		"okx":      {okxSnapshot, okxUpdate, okxOld, okxTrade, okxTicker, okxBBO, okxAck, "pong"},
		"bybit":    {bybitSnapshot, bybitDelta, bybitTrade, bybitFull, bybitPart, bybitAck},
		"bitfinex": {`[17470,[[90000,2,0.5],[90001,1,-1.7e-7]]]`, `[17470,[90000,3,0.70]]`, `[17471,"te",[401597396,1764599400220,-0.005,90000]]`, `[17470,"hb"]`, `[17470,"cs",-1424492417]`},
		"gemini":   {geminiImage, geminiChange, geminiTrade, geminiBeat},
	} {
		r := newRig(t, provider)
		if provider == "bitfinex" {
			r.decode(bitfinexBooked, bitfinexTraded)
		}
		frames := make([]feeds.Frame, len(payloads))
		for i, p := range payloads {
			frames[i] = frame(p)
		}
		var dst []market.Event
		round := func() {
			dst = dst[:0]
			for _, f := range frames {
				var err error
				if dst, err = r.d.Decode(dst, f); err != nil {
					t.Fatalf("%s: %v", provider, err)
				}
			}
		}
		round()
		if n := testing.AllocsPerRun(50, round); n != 0 {
			t.Errorf("%s: %v allocations a round of %d frames", provider, n, len(frames))
		}
	}
}

func TestMillis(t *testing.T) {
	for text, want := range map[string]int64{`1764599400123`: 1764599400123e6, `"1764599400123"`: 1764599400123e6, `0`: 0, `9223372036854`: 9223372036854e6} {
		var s scanner
		s.reset([]byte(text))
		if got, ok := s.millis(s.value()); !ok || got != want {
			t.Errorf("%s: %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{`9223372036855`, `-1`, `1.5`, `"x"`, `null`, `18446744073709551615`} {
		var s scanner
		s.reset([]byte(text))
		if got, ok := s.millis(s.value()); ok {
			t.Errorf("%s is taken as %d", text, got)
		}
	}
}
