package auth

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What cannot be is refused whole, and what was before goes on.
func TestConfigIsRefused(t *testing.T) {
	key, hash := NewKey()
	g := newGuard(t, Config{Plans: map[string]Plan{"all": all}, Keys: []Key{{Name: "a", Hash: hash, Plan: "all"}}})
	_, other := NewKey()
	plans := map[string]Plan{"all": all}
	for want, cfg := range map[string]Config{
		"name is missing":               {Plans: plans, Keys: []Key{{Hash: hash, Plan: "all"}}},
		`no plan "none"`:                {Plans: plans, Keys: []Key{{Name: "a", Hash: hash, Plan: "none"}}},
		"a second key has this name":    {Plans: plans, Keys: []Key{{Name: "a", Hash: hash, Plan: "all"}, {Name: "a", Hash: other, Plan: "all"}}},
		"a second key has this hash":    {Plans: plans, Keys: []Key{{Name: "a", Hash: hash, Plan: "all"}, {Name: "b", Hash: hash, Plan: "all"}}},
		`anonymous: no plan "open"`:     {Plans: plans, Anonymous: "open"},
		`plan "bad": grants is missing`: {Plans: map[string]Plan{"bad": {}}},
		"jwt: jwks_url or keys":         {Plans: plans, Tokens: &Tokens{}},
	} {
		if err := g.Replace(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if r, err := g.Authenticate(t.Context(), key); err != nil || r.Name != "a" {
			t.Fatalf("after %q: %v, %v", want, r, err)
		}
	}
}

// Tokens' keys are those of the last config: what it no longer holds verifies nothing.
func TestTokensAreReplaced(t *testing.T) {
	const one, two = "a secret of thirty-two bytes, one", "a secret of thirty-two bytes, two"
	plans := map[string]Plan{"all": all}
	cfg := func(secret string) Config {
		return Config{Plans: plans, Tokens: &Tokens{Algorithms: []string{"HS256"}, Plan: "all",
			Keys: []TokenKey{{ID: "k", Algorithm: "HS256", Secret: secret}}}}
	}
	g := newGuard(t, cfg(one))
	first := g.state.Load().verifier
	if err := g.Replace(t.Context(), cfg(one)); err != nil || g.state.Load().verifier != first {
		t.Errorf("the same keys are fetched again: %v", err)
	}
	if err := g.Replace(t.Context(), cfg(two)); err != nil {
		t.Fatal(err)
	}
	if v := g.state.Load().verifier; v == first || string(v.static["k"].key.([]byte)) != two {
		t.Error("the key that was goes on")
	}
}

// The delays of plans are those that data must be held back by, each once.
func TestDelays(t *testing.T) {
	late := func(d ...time.Duration) (p Plan) {
		for _, d := range d {
			p.Grants = append(p.Grants, Grant{Symbols: []string{"*"}, Delay: d})
		}
		return p
	}
	c := Config{Plans: map[string]Plan{"a": late(time.Hour, 0, time.Minute), "b": late(time.Minute, time.Second)}}
	if got, want := c.Delays(), []time.Duration{time.Second, time.Minute, time.Hour}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestMorePlansAreRefused(t *testing.T) {
	grant := func(g Grant) Plan { g.Symbols = []string{"*"}; return Plan{Grants: []Grant{g}} }
	for name, p := range map[string]Plan{
		"depth":       grant(Grant{Depth: -1}),
		"interval":    grant(Grant{MinInterval: -1}),
		"delay":       grant(Grant{Delay: MaxDelay + 1}),
		"past":        grant(Grant{Delay: -1}),
		"messages":    {Admin: true, Limits: Limits{Messages: -1}},
		"connections": {Admin: true, Limits: Limits{Connections: -1}},
		"streams":     {Admin: true, Limits: Limits{Subscriptions: -1}},
	} {
		if err := p.Validate(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := (&Plan{Admin: true}).Validate(); err != nil {
		t.Errorf("an operator's: %v", err)
	}
}

// Of several grants the latest tells how old is what is told of a symbol, whichever
// comes first.
func TestSeesTheLatest(t *testing.T) {
	r := &Rights{grants: compile([]Grant{{Symbols: []string{"A"}, Delay: time.Hour}, {Symbols: []string{"*"}}})}
	if d, ok := r.Sees("A"); d != time.Hour || !ok {
		t.Errorf("%v, %v", d, ok)
	}
	if !(*Rights)(nil).SeesChannel(1) || !(*Rights)(nil).SeesVenue("A", "B") {
		t.Error("a server without rights is open")
	}
}

func TestHashIsRefused(t *testing.T) {
	_, good := NewKey()
	digits := strings.TrimPrefix(good, hashPrefix)
	if err := CheckHash(good); err != nil {
		t.Fatal(err)
	}
	for name, hash := range map[string]string{"bare": digits, "short": good[:len(good)-2], "long": good + "00",
		"upper": hashPrefix + strings.Repeat("AB", 32), "no digits": hashPrefix + strings.Repeat("xy", 32), "": ""} {
		if CheckHash(hash) == nil {
			t.Errorf("%s: %q is taken", name, hash)
		}
	}
}
