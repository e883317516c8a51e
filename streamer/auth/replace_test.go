package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const secretOne = "a secret of thirty-two bytes, one"

func secretTokens(leeway time.Duration, keys ...TokenKey) *Tokens {
	return &Tokens{Algorithms: []string{"HS256", "HS512"}, Plan: "all", Leeway: leeway,
		Keys: append([]TokenKey{{ID: "k", Algorithm: "HS256", Secret: secretOne}}, keys...)}
}

// What a config no longer takes ends for who is in, and what is replaced is let go.
func TestTokensEnd(t *testing.T) {
	now := start
	cfg := Config{Plans: map[string]Plan{"all": {Admin: true, Grants: all.Grants}}, Tokens: secretTokens(time.Second), Now: func() time.Time { return now }}
	g := newGuard(t, cfg)
	by := signer{jwt.SigningMethodHS256, "k", []byte(secretOne)}
	end := now.Add(time.Minute)
	r, err := g.Authenticate(t.Context(), by.sign(t, jwt.MapClaims{"sub": "alice", "exp": end.Unix()}))
	if err != nil || !r.Admin || !r.Expires.Equal(end.Add(time.Second)) {
		t.Fatalf("%+v, %v", r, err)
	}
	now = end
	if _, err := g.Refresh(r); err != nil {
		t.Errorf("within the leeway: %v", err)
	}
	now = end.Add(time.Second)
	if _, err := g.Refresh(r); !errors.Is(err, ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
	now = start
	other := signer{jwt.SigningMethodHS512, "k", []byte(secretOne)}
	if _, err := g.Authenticate(t.Context(), other.sign(t, jwt.MapClaims{"sub": "alice", "exp": end.Unix()})); !errors.Is(err, ErrInvalid) {
		t.Errorf("of another algorithm than its key's: %v", err)
	}
	closed := 0
	closes := func() {
		v := g.state.Load().verifier
		cancel := v.cancel
		v.cancel = func() { closed++; cancel() }
	}
	closes()
	cfg.Tokens = secretTokens(2 * time.Second)
	if err := g.Replace(t.Context(), cfg); err != nil || closed != 1 {
		t.Errorf("replaced: %v, let go %d times", err, closed)
	}
	closes()
	if g.Close(); closed != 2 {
		t.Errorf("closed: let go %d times", closed-1)
	}
	cfg.Tokens = nil
	if err := g.Replace(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Refresh(r); !errors.Is(err, ErrInvalid) {
		t.Errorf("tokens are no longer taken: %v", err)
	}
}

func TestTokenKeysAreRefused(t *testing.T) {
	for want, tokens := range map[string]*Tokens{
		"two keys have the id": secretTokens(0, TokenKey{ID: "k", Algorithm: "HS512", Secret: secretOne}),
		"want a secret":        secretTokens(0, TokenKey{ID: "l", Algorithm: "HS256", Secret: secretOne, PEM: "both"}),
	} {
		_, err := New(t.Context(), Config{Plans: map[string]Plan{"all": all}, Tokens: tokens})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for url, ok := range map[string]bool{"http://[::1]:1/keys": true, "http://localhost:1/keys": true, "http://10.0.0.1/keys": false, "ftp://127.0.0.1/keys": false} {
		if err := (Tokens{JWKS: url}).Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// Who was let in without showing anything stays as long as anybody is.
func TestAnonymousEnd(t *testing.T) {
	cfg := Config{Plans: map[string]Plan{"all": all}, Anonymous: "all"}
	g := newGuard(t, cfg)
	r, err := g.Authenticate(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Anonymous = ""
	if err := g.Replace(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got, err := g.Refresh(r); !errors.Is(err, ErrMissing) {
		t.Errorf("%+v, %v", got, err)
	}
}
