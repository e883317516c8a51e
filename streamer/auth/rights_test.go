package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

func TestAllows(t *testing.T) {
	plan := Plan{Grants: []Grant{
		{Symbols: []string{"BTC-*", "AAPL"}, Channels: []wire.Channel{wire.ChannelQuote, wire.ChannelBook}, Depth: 5},
		{Symbols: []string{"AAPL", "MSFT"}, Venues: []string{"XNAS"}, MinInterval: time.Second},
		{Symbols: []string{"*"}, Channels: []wire.Channel{wire.ChannelTicker}, Venues: []string{"*"}, Delay: DefaultDelay},
	}}
	if err := plan.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &Rights{grants: compile(plan.Grants)}
	for _, c := range []struct {
		symbol  string
		channel wire.Channel
		venue   string
		want    Terms
		ok      bool
	}{
		{"BTC-USD", wire.ChannelQuote, "*", Terms{Depth: 5}, true},
		{"BTC-USD", wire.ChannelBook, "kraken", Terms{Depth: 5}, true},
		{"BTC-USD", wire.ChannelTrade, "*", Terms{}, false},
		{"AAPL", wire.ChannelQuote, "*", Terms{Depth: 5}, true}, // the first that matches
		{"AAPL", wire.ChannelTrade, "XNAS", Terms{MinInterval: time.Second}, true},
		{"AAPL", wire.ChannelTrade, "*", Terms{}, false},
		{"AAPL", wire.ChannelTrade, "ARCX", Terms{}, false},
		{"AAPLX", wire.ChannelQuote, "*", Terms{}, false},
		{"AAPLX", wire.ChannelTicker, "*", Terms{Delay: DefaultDelay}, true},
		{"AAPLX", wire.ChannelTicker, "XNAS", Terms{}, false},
	} {
		if got, ok := r.Allows(c.symbol, c.channel, c.venue); got != c.want || ok != c.ok {
			t.Errorf("%s %s %s: %+v %v, want %+v %v", c.symbol, c.channel, c.venue, got, ok, c.want, c.ok)
		}
	}
	// What is told of a symbol as such is no younger than its latest grant.
	if d, ok := r.Sees("BTC-USD"); d != DefaultDelay || !ok {
		t.Errorf("BTC-USD is seen %s late, %v", d, ok)
	}
	if r.SeesVenue("MSFT", "ARCX") != true || r.SeesChannel(wire.ChannelTrade) != true {
		t.Error("the consolidated view names its venues")
	}
	only := &Rights{grants: compile(plan.Grants[1:2])}
	if only.SeesVenue("MSFT", "ARCX") || !only.SeesVenue("MSFT", "XNAS") {
		t.Error("XNAS alone sees others")
	}
	if _, ok := only.Sees("BTC-USD"); ok {
		t.Error("sees what it has no grant for")
	}
	if _, ok := (*Rights)(nil).Allows("X", wire.ChannelBook, "*"); !ok {
		t.Error("a server without rights is open")
	}
}

func TestPlanIsRefused(t *testing.T) {
	for want, p := range map[string]Plan{
		"grants is missing":     {},
		"symbols is missing":    {Grants: []Grant{{}}},
		"grants[1].symbols":     {Grants: []Grant{{Symbols: []string{"*"}}, {Symbols: []string{"a b"}}}},
		"depth: want 0":         {Grants: []Grant{{Symbols: []string{"*"}, Depth: 1001}}},
		"min_interval: want":    {Grants: []Grant{{Symbols: []string{"*"}, MinInterval: 2 * time.Hour}}},
		"delay: want 1s to 24h": {Grants: []Grant{{Symbols: []string{"*"}, Delay: time.Millisecond}}},
		"positive":              {Admin: true, Limits: Limits{Bytes: -1}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}
