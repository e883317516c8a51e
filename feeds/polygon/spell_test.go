package polygon

import (
	"slices"
	"testing"
)

func TestSubscription(t *testing.T) {
	for _, c := range []struct{ market, channel, symbol, want string }{
		{"stocks", "T", "BRK.B", "T.BRK.B"},
		{"stocks", "FMV", "AAPL", "FMV.AAPL"},
		{"forex", "C", "EUR-USD", "C.EUR/USD"},
		{"forex", "CAS", "*", "CAS.*"},
		{"forex", "AM", "EUR-USD", "AM.C:EUR-USD"},
		{"crypto", "XT", "BTC-USD", "XT.BTC-USD"},
		{"crypto", "LV", "BTC-USD", "LV.X:BTC-USD"},
		{"crypto", "FMV", "*", "FMV.*"},
		{"indices", "V", "I:SPX", "V.I:SPX"},
		{"futures/cme", "T", "ESZ6", "T.ESZ6"},
	} {
		got := Subscription(c.market, c.channel, c.symbol)
		if got != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.market, c.channel, c.symbol, got, c.want)
		}
		if _, err := group(c.market, []string{got}); err != nil {
			t.Error(err)
		}
	}
	if m := Markets(); !slices.Contains(m, "futures/cbot") || !slices.IsSorted(m) {
		t.Errorf("markets %v", m)
	}
	for _, ch := range []string{"T", "Q", "A", "AM", "LULD", "NOI", "FMV", "V", "LV", "C", "CA", "CAS", "XT", "XQ", "XA", "XAS", "XL2"} {
		if !slices.Contains(Channels(), ch) {
			t.Errorf("no channel %s", ch)
		}
	}
}
