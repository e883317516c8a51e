package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/quotewire/quotewire/streamer/wire"
)

var (
	start = time.Date(2026, 11, 2, 14, 30, 0, 0, time.UTC)
	all   = Plan{Grants: []Grant{{Symbols: []string{"*"}}}}
	some  = Plan{Grants: []Grant{{Symbols: []string{"BTC-*"}}}, Limits: Limits{Connections: 2}}
)

func newGuard(t *testing.T, cfg Config) *Guard {
	t.Helper()
	if cfg.Plans == nil {
		cfg.Plans = map[string]Plan{"all": all, "some": some}
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return start }
	}
	g, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestKeys(t *testing.T) {
	key, hash := NewKey()
	late, lateHash := NewKey()
	if key == late || !strings.HasPrefix(key, "qw_") || len(key) != 35 {
		t.Errorf("keys are %q and %q", key, late)
	}
	now := start
	cfg := Config{Keys: []Key{{Name: "desk", Hash: hash, Plan: "some"}, {Name: "late", Hash: lateHash, Plan: "all", Expires: start.Add(time.Hour)}},
		Now: func() time.Time { return now }}
	g := newGuard(t, cfg)
	r, err := g.Authenticate(t.Context(), key)
	if err != nil || r.Name != "desk" || r.Account != "key:desk" || r.Limits.Connections != 2 {
		t.Fatalf("%+v %v", r, err)
	}
	if _, ok := r.Allows("BTC-USD", wire.ChannelQuote, "*"); !ok {
		t.Error("BTC-USD is forbidden")
	}
	if _, ok := r.Allows("ETH-USD", wire.ChannelQuote, "*"); ok {
		t.Error("ETH-USD is allowed")
	}
	for token, want := range map[string]error{"": ErrMissing, "wrong": ErrInvalid, hash: ErrInvalid, key + " ": ErrInvalid, strings.ToUpper(key): ErrInvalid} {
		if _, err := g.Authenticate(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", token, err, want)
		}
	}
	old, err := g.Authenticate(t.Context(), late)
	if err != nil || !old.Expires.Equal(start.Add(time.Hour)) {
		t.Fatalf("%+v %v", old, err)
	}
	now = start.Add(time.Hour)
	if _, err := g.Authenticate(t.Context(), late); !errors.Is(err, ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
	if _, err := g.Refresh(old); !errors.Is(err, ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
	// Another plan for a key that is connected; another key goes.
	cfg.Plans = map[string]Plan{"all": all, "some": some}
	cfg.Keys = []Key{{Name: "desk", Hash: hash, Plan: "all"}}
	if err := g.Replace(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if r, err = g.Refresh(r); err != nil || r.Plan != "all" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := g.Refresh(old); !errors.Is(err, ErrInvalid) {
		t.Errorf("a key that is gone: %v", err)
	}
	// A configuration that is wrong changes nothing.
	cfg.Keys = append(cfg.Keys, Key{Name: "desk", Hash: lateHash, Plan: "all"})
	if err := g.Replace(t.Context(), cfg); err == nil {
		t.Error("two keys of one name are taken")
	}
	if _, err := g.Authenticate(t.Context(), key); err != nil {
		t.Error(err)
	}
}

func TestAnonymous(t *testing.T) {
	g := newGuard(t, Config{Anonymous: "some"})
	r, err := g.Authenticate(t.Context(), "")
	if err != nil || r.Plan != "some" {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err := g.Authenticate(t.Context(), "wrong"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a wrong key is not nobody: %v", err)
	}
	if err := g.Replace(t.Context(), Config{Plans: map[string]Plan{"all": all}}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Refresh(r); !errors.Is(err, ErrMissing) {
		t.Errorf("after nobody may: %v", err)
	}
}

// signer makes tokens.
type signer struct {
	method jwt.SigningMethod
	kid    string
	key    any
}

func (s signer) sign(t *testing.T, c jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(s.method, c)
	if s.kid != "" {
		tok.Header["kid"] = s.kid
	}
	text, err := tok.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func publicPEM(t *testing.T, k crypto.PublicKey) string {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))
}

func claimsOf(more jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "alice", "exp": start.Add(time.Hour).Unix(), "plan": "some", "iss": "https://id", "aud": "quotewire"}
	for k, v := range more {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func TestTokens(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("s", 32)
	rsPEM := publicPEM(t, rs.Public())
	g := newGuard(t, Config{Tokens: &Tokens{
		Issuer: "https://id", Audience: "quotewire", Algorithms: []string{"RS256", "ES256", "EdDSA", "HS256"},
		Keys: []TokenKey{{ID: "ec", Algorithm: "ES256", PEM: publicPEM(t, ec.Public())}, {ID: "rs", Algorithm: "RS256", PEM: rsPEM},
			{ID: "ed", Algorithm: "EdDSA", PEM: publicPEM(t, ed.Public())}, {ID: "hs", Algorithm: "HS256", Secret: secret}},
	}})
	good := []signer{{jwt.SigningMethodES256, "ec", ec}, {jwt.SigningMethodRS256, "rs", rs}, {jwt.SigningMethodEdDSA, "ed", ed}, {jwt.SigningMethodHS256, "hs", []byte(secret)}}
	for _, s := range good {
		r, err := g.Authenticate(t.Context(), s.sign(t, claimsOf(nil)))
		if err != nil || r.Name != "alice" || r.Account != "jwt:alice" || r.Label != "jwt:some" || !r.Expires.Equal(start.Add(time.Hour)) {
			t.Errorf("%s: %+v %v", s.kid, r, err)
		}
	}
	wrong := func(name string, want error, s signer, c jwt.MapClaims) {
		t.Helper()
		if r, err := g.Authenticate(t.Context(), s.sign(t, c)); !errors.Is(err, want) {
			t.Errorf("%s: %+v %v, want %v", name, r, err, want)
		}
	}
	es := good[0]
	wrong("expired", ErrExpired, es, claimsOf(jwt.MapClaims{"exp": start.Unix()}))
	wrong("without end", ErrInvalid, es, claimsOf(jwt.MapClaims{"exp": nil}))
	wrong("not yet", ErrInvalid, es, claimsOf(jwt.MapClaims{"nbf": start.Add(time.Minute).Unix()}))
	wrong("another issuer", ErrInvalid, es, claimsOf(jwt.MapClaims{"iss": "https://other"}))
	wrong("another audience", ErrInvalid, es, claimsOf(jwt.MapClaims{"aud": []string{"other"}}))
	wrong("nobody", ErrInvalid, es, claimsOf(jwt.MapClaims{"sub": ""}))
	wrong("a long name", ErrInvalid, es, claimsOf(jwt.MapClaims{"sub": strings.Repeat("a", 129)}))
	wrong("no plan", ErrInvalid, es, claimsOf(jwt.MapClaims{"plan": nil}))
	wrong("unknown plan", ErrInvalid, es, claimsOf(jwt.MapClaims{"plan": "everything"}))
	wrong("a plan that is no text", ErrInvalid, es, claimsOf(jwt.MapClaims{"plan": 1}))
	// A public key as the secret of an HMAC, an algorithm that is not allowed, none,
	// another's key.
	wrong("public key as secret", ErrInvalid, signer{jwt.SigningMethodHS256, "rs", []byte(rsPEM)}, claimsOf(nil))
	wrong("RS512", ErrInvalid, signer{jwt.SigningMethodRS512, "rs", rs}, claimsOf(nil))
	wrong("PS256 with the key for RS256", ErrInvalid, signer{jwt.SigningMethodPS256, "rs", rs}, claimsOf(nil))
	wrong("none", ErrInvalid, signer{jwt.SigningMethodNone, "rs", jwt.UnsafeAllowNoneSignatureType}, claimsOf(nil))
	wrong("another's key", ErrInvalid, signer{jwt.SigningMethodHS256, "hs", []byte(strings.Repeat("x", 32))}, claimsOf(nil))
	wrong("unknown key", ErrInvalid, signer{jwt.SigningMethodES256, "nobody's", ec}, claimsOf(nil))
	wrong("no key named", ErrInvalid, signer{jwt.SigningMethodES256, "", ec}, claimsOf(nil))
	long := es.sign(t, claimsOf(jwt.MapClaims{"more": strings.Repeat("x", wire.MaxToken)}))
	if _, err := g.Authenticate(t.Context(), long); !errors.Is(err, ErrInvalid) {
		t.Errorf("a long one: %v", err)
	}
	tampered := []byte(es.sign(t, claimsOf(nil)))
	tampered[len(tampered)/2] ^= 1
	if _, err := g.Authenticate(t.Context(), string(tampered)); !errors.Is(err, ErrInvalid) {
		t.Errorf("tampered: %v", err)
	}
}

func TestTokensAreRefused(t *testing.T) {
	for want, cfg := range map[string]Tokens{
		"jwks_url or keys":  {},
		"https URL":         {JWKS: "http://example.com/jwks"},
		"no algorithm":      {JWKS: "https://example.com/jwks", Algorithms: []string{"none"}},
		"not among":         {Keys: []TokenKey{{Algorithm: "HS256", Secret: strings.Repeat("s", 32)}}},
		"at least 32 bytes": {Algorithms: []string{"HS256"}, Keys: []TokenKey{{Algorithm: "HS256", Secret: "short"}}},
		"keys[0]: pem":      {Keys: []TokenKey{{Algorithm: "ES256", PEM: "-----"}}},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}

// jwks is a signer's page of keys.
type jwks struct {
	mu    sync.Mutex
	keys  jwkset.JWKSMarshal
	asked int
	url   string
}

func newJWKS(t *testing.T) *jwks {
	j := &jwks{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.asked++
		_ = json.NewEncoder(w).Encode(j.keys)
	}))
	t.Cleanup(srv.Close)
	j.url = srv.URL
	return j
}

// add puts a new key on the page and returns its signer.
func (j *jwks) add(t *testing.T, kid string) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jwkset.NewJWKFromKey(k.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, ALG: jwkset.AlgES256, USE: jwkset.UseSig}})
	if err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keys.Keys = append(j.keys.Keys, jwk.Marshal())
	return signer{jwt.SigningMethodES256, kid, k}
}

// TestSignersKeysChange holds that a key that is new on the signer's page is
// fetched when a token names it, and not more often for keys that nobody has.
func TestSignersKeysChange(t *testing.T) {
	page := newJWKS(t)
	first := page.add(t, "1")
	g := newGuard(t, Config{Tokens: &Tokens{JWKS: page.url}})
	r, err := g.Authenticate(t.Context(), first.sign(t, claimsOf(nil)))
	if err != nil || r.Name != "alice" {
		t.Fatalf("%+v %v", r, err)
	}
	second := page.add(t, "2")
	if _, err := g.Authenticate(t.Context(), second.sign(t, claimsOf(nil))); err != nil {
		t.Errorf("a new key: %v", err)
	}
	stranger := signer{jwt.SigningMethodES256, "3", first.key}
	for range 20 {
		if _, err := g.Authenticate(t.Context(), stranger.sign(t, claimsOf(nil))); !errors.Is(err, ErrInvalid) {
			t.Fatalf("a stranger: %v", err)
		}
	}
	page.mu.Lock()
	defer page.mu.Unlock()
	if page.asked > 4 {
		t.Errorf("the signer was asked %d times", page.asked)
	}
}

func TestSignerIsAway(t *testing.T) {
	page := newJWKS(t)
	s := page.add(t, "1")
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	g := newGuard(t, Config{Tokens: &Tokens{JWKS: url}})
	if _, err := g.Authenticate(t.Context(), s.sign(t, claimsOf(nil))); !errors.Is(err, ErrInvalid) {
		t.Errorf("without the signer's keys: %v", err)
	}
}

// FuzzAuthenticate holds that what is no key and no token gives no rights.
func FuzzAuthenticate(f *testing.F) {
	key, hash := NewKey()
	secret := strings.Repeat("s", 32)
	g, err := New(context.Background(), Config{Plans: map[string]Plan{"all": all}, Keys: []Key{{Name: "desk", Hash: hash, Plan: "all"}},
		Tokens: &Tokens{Algorithms: []string{"HS256"}, Plan: "all", Keys: []TokenKey{{Algorithm: "HS256", Secret: secret}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key)
	f.Add(hash)
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if r, err := g.Authenticate(t.Context(), token); err == nil && token != key {
			t.Fatalf("%q gives %+v", token, r)
		}
	})
}
