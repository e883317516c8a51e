package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/streamer/wire"
)

// Tokens says whose JSON Web Tokens are taken.
type Tokens struct {
	// JWKS is where the signer's public keys are (RFC 7517): https, or http on this
	// machine. It is asked every Refresh, and, at most every ten seconds, when a
	// token names a key that is not known.
	JWKS    string
	Refresh time.Duration // default 1 h
	// Keys are keys given by hand, beside those of JWKS.
	Keys []TokenKey
	// Algorithms are those allowed; default RS256, ES256 and EdDSA.
	Algorithms []string
	// Issuer and Audience, where given, must be the token's.
	Issuer, Audience string
	// Leeway is how far clocks may be apart. Default 0.
	Leeway time.Duration
	// PlanClaim is the claim that names the plan. Default "plan".
	PlanClaim string
	// Plan is that of tokens without the claim; "" refuses them.
	Plan string
}

// TokenKey is a key that verifies tokens: a public key in PEM, or a secret shared
// with the signer.
type TokenKey struct {
	ID        string // "kid" of the tokens that it verifies; "" of those without one
	Algorithm string // the only one that it is used for
	PEM       string
	Secret    string
}

// Algorithms are the signature algorithms that can be allowed.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}
}

// minSecret is the shortest shared secret: as long as the hash (RFC 7518, section
// 3.2).
const minSecret = 32

func (t Tokens) withDefaults() Tokens {
	if t.Refresh == 0 {
		t.Refresh = time.Hour
	}
	if len(t.Algorithms) == 0 {
		t.Algorithms = []string{"RS256", "ES256", "EdDSA"}
	}
	if t.PlanClaim == "" {
		t.PlanClaim = "plan"
	}
	return t
}

// Validate reports what is wrong with the settings.
func (t Tokens) Validate() error {
	t = t.withDefaults()
	if t.JWKS == "" && len(t.Keys) == 0 {
		return errors.New("jwks_url or keys is missing: nothing would verify a token")
	}
	if t.JWKS != "" {
		u, err := url.Parse(t.JWKS)
		if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLocal(u.Hostname())) {
			return fmt.Errorf("jwks_url: want an https URL, not %q", t.JWKS)
		}
	}
	for _, a := range t.Algorithms {
		if !slices.Contains(Algorithms(), a) {
			return fmt.Errorf("algorithms: no algorithm %q; want some of %v", a, Algorithms())
		}
	}
	for i, k := range t.Keys {
		if !slices.Contains(t.Algorithms, k.Algorithm) {
			return fmt.Errorf("keys[%d].algorithm: %q is not among the algorithms allowed, %v", i, k.Algorithm, t.Algorithms)
		}
		if _, err := k.verifier(); err != nil {
			return fmt.Errorf("keys[%d]: %w", i, err)
		}
	}
	return nil
}

func isLocal(host string) bool { return host == "127.0.0.1" || host == "localhost" || host == "::1" }

// verifier returns what the library verifies with.
func (k *TokenKey) verifier() (any, error) {
	switch k.Algorithm[:min(2, len(k.Algorithm))] {
	case "HS":
		if len(k.Secret) < minSecret || k.PEM != "" {
			return nil, fmt.Errorf("want a secret of at least %d bytes", minSecret)
		}
		return []byte(k.Secret), nil
	case "RS", "PS":
		return orWhat(jwt.ParseRSAPublicKeyFromPEM([]byte(k.PEM)))
	case "ES":
		return orWhat(jwt.ParseECPublicKeyFromPEM([]byte(k.PEM)))
	case "Ed":
		return orWhat(jwt.ParseEdPublicKeyFromPEM([]byte(k.PEM)))
	}
	return nil, fmt.Errorf("no algorithm %q", k.Algorithm)
}

func orWhat[K crypto.PublicKey](k K, err error) (any, error) {
	if err != nil {
		return nil, fmt.Errorf("pem: %w", err)
	}
	return k, nil
}

// verifier checks tokens.
type verifier struct {
	cfg    Tokens
	static map[string]staticKey // by kid
	remote keyfunc.Keyfunc      // nil without JWKS
	cancel context.CancelFunc
}

type staticKey struct {
	algorithm string
	key       any
}

func newVerifier(ctx context.Context, cfg Tokens, logger *slog.Logger) (*verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &verifier{cfg: cfg.withDefaults(), static: make(map[string]staticKey)}
	for _, k := range cfg.Keys {
		key, err := k.verifier()
		if err != nil {
			return nil, err
		}
		if _, ok := v.static[k.ID]; ok {
			return nil, fmt.Errorf("two keys have the id %q", k.ID)
		}
		v.static[k.ID] = staticKey{k.Algorithm, key}
	}
	ctx, v.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if cfg.JWKS != "" {
		var err error
		if v.remote, err = v.fetch(ctx, logger); err != nil {
			v.cancel()
			return nil, fmt.Errorf("jwks_url: %w", err)
		}
	}
	return v, nil
}

// Bounds of asking for a signer's keys.
const (
	jwksTimeout = 10 * time.Second
	jwksUnknown = 10 * time.Second // at most one request for keys that are not known in this time
	jwksBurst   = 2                // but so many at first
	jwksWait    = 5 * time.Second  // who shows a key that is not known waits so long for the request
)

func (v *verifier) fetch(ctx context.Context, logger *slog.Logger) (keyfunc.Keyfunc, error) {
	noError := true
	k, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{v.cfg.JWKS}, keyfunc.Override{
		Client: &http.Client{Timeout: jwksTimeout}, HTTPTimeout: jwksTimeout,
		NoErrorReturnFirstHTTPReq: &noError,
		RefreshErrorHandlerFunc: func(u string) func(context.Context, error) {
			return func(_ context.Context, err error) { logger.Warn("signer's keys not fetched", "url", u, "err", err) }
		},
		RefreshInterval:   v.cfg.Refresh,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(jwksUnknown), jwksBurst),
		RateLimitWaitMax:  jwksWait,
	})
	if err != nil {
		return nil, err
	}
	return keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: k.Storage(), UseWhitelist: []jwkset.USE{jwkset.UseSig, ""}})
}

func (v *verifier) same(t *Tokens) bool { return reflect.DeepEqual(v.cfg, t.withDefaults()) }

func (v *verifier) close() { v.cancel() }

// claims are what counts of a token.
type claims struct {
	subject string
	plan    string
	expires time.Time
}

// verify returns what a token says, if it is signed by who may and valid now.
func (v *verifier) verify(ctx context.Context, token string, now func() time.Time) (*claims, error) {
	if len(token) > wire.MaxToken {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, wire.MaxToken)
	}
	opts := []jwt.ParserOption{jwt.WithValidMethods(v.cfg.Algorithms), jwt.WithExpirationRequired(),
		jwt.WithLeeway(v.cfg.Leeway), jwt.WithTimeFunc(now)}
	if v.cfg.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(v.cfg.Issuer))
	}
	if v.cfg.Audience != "" {
		opts = append(opts, jwt.WithAudience(v.cfg.Audience))
	}
	m := jwt.MapClaims{}
	if _, err := jwt.NewParser(opts...).ParseWithClaims(token, m, func(t *jwt.Token) (any, error) { return v.key(ctx, t) }); err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return nil, fmt.Errorf("%w: %w", ErrExpired, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c := &claims{plan: v.cfg.Plan}
	var err error
	if c.subject, err = m.GetSubject(); err != nil || c.subject == "" || len(c.subject) > maxSubject {
		return nil, fmt.Errorf("%w: want a claim sub of 1 to %d bytes", ErrInvalid, maxSubject)
	}
	exp, err := m.GetExpirationTime()
	if err != nil || exp == nil {
		return nil, fmt.Errorf("%w: no claim exp", ErrInvalid)
	}
	c.expires = exp.Add(v.cfg.Leeway)
	if p, ok := m[v.cfg.PlanClaim]; ok {
		if c.plan, ok = p.(string); !ok {
			return nil, fmt.Errorf("%w: claim %q is no text", ErrInvalid, v.cfg.PlanClaim)
		}
	}
	return c, nil
}

// maxSubject bounds what is kept per subject.
const maxSubject = 128

// key returns what a token is to be verified with. A key is used for its own
// algorithm only: else a public key could be taken for a shared secret.
func (v *verifier) key(ctx context.Context, t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	if k, ok := v.static[kid]; ok {
		if k.algorithm != t.Method.Alg() {
			return nil, fmt.Errorf("key %q is for %s, the token says %s", kid, k.algorithm, t.Method.Alg())
		}
		return k.key, nil
	}
	if v.remote == nil {
		return nil, fmt.Errorf("no key %q", kid)
	}
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	return v.remote.KeyfuncCtx(ctx)(t)
}

// fromClaims returns the rights of who a token is about.
func (s *state) fromClaims(c *claims) (*Rights, error) {
	p := s.plans[c.plan]
	if p == nil {
		return nil, fmt.Errorf("%w: token of %q names the plan %q, which there is not", ErrInvalid, c.subject, c.plan)
	}
	r := p.rights(c.subject, "jwt:"+c.plan, c.plan)
	r.Account, r.claims, r.Expires = "jwt:"+c.subject, c, c.expires
	return r, nil
}
