package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config says who may come in.
type Config struct {
	Plans map[string]Plan
	Keys  []Key
	// Tokens takes JSON Web Tokens; nil takes none.
	Tokens *Tokens
	// Anonymous is the plan of who shows nothing; "" has none.
	Anonymous string
	// Now returns the time; default the wall clock.
	Now    func() time.Time
	Logger *slog.Logger
}

// The errors of [Guard.Authenticate]. What they wrap says more, for logs.
var (
	ErrMissing = errors.New("auth: no key or token was shown")
	ErrInvalid = errors.New("auth: the key or token is not valid")
	ErrExpired = errors.New("auth: the key or token has expired")
)

// Guard knows the keys, the plans and who signs tokens. It is safe for
// concurrent use.
type Guard struct {
	state atomic.Pointer[state]
	mu    sync.Mutex // over Replace and Close
}

// state is one configuration, as looked up.
type state struct {
	cfg      Config
	plans    map[string]*plan
	byHash   map[string]*Rights
	byName   map[string]*Rights
	verifier *verifier // nil takes no tokens
	nobody   *Rights   // rights of who shows nothing; nil none
}

type plan struct {
	Plan
	grants []compiled
}

// New returns a guard. Close ends it. That who signs tokens cannot be reached is
// no error: its keys are fetched when it can.
func New(ctx context.Context, cfg Config) (*Guard, error) {
	g := &Guard{}
	if err := g.Replace(ctx, cfg); err != nil {
		return nil, err
	}
	return g, nil
}

// Replace puts another configuration in place of the one there is, or, if there
// is something wrong with it, changes nothing. Rights that were given out stay
// what they were until [Guard.Refresh].
func (g *Guard) Replace(ctx context.Context, cfg Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &state{cfg: cfg, plans: make(map[string]*plan), byHash: make(map[string]*Rights), byName: make(map[string]*Rights)}
	for name, p := range cfg.Plans {
		if err := p.Validate(); err != nil {
			return fmt.Errorf("plan %q: %w", name, err)
		}
		s.plans[name] = &plan{p, compile(p.Grants)}
	}
	for _, k := range cfg.Keys {
		if err := s.addKey(k); err != nil {
			return fmt.Errorf("key %q: %w", k.Name, err)
		}
	}
	if cfg.Anonymous != "" {
		p := s.plans[cfg.Anonymous]
		if p == nil {
			return fmt.Errorf("anonymous: no plan %q", cfg.Anonymous)
		}
		s.nobody = p.rights("anonymous", "anonymous", cfg.Anonymous)
	}
	old := g.state.Load()
	if cfg.Tokens != nil {
		if old != nil && old.verifier != nil && old.verifier.same(cfg.Tokens) {
			s.verifier = old.verifier
		} else {
			v, err := newVerifier(ctx, *cfg.Tokens, cfg.Logger)
			if err != nil {
				return fmt.Errorf("jwt: %w", err)
			}
			s.verifier = v
		}
	}
	g.state.Store(s)
	if old != nil && old.verifier != nil && old.verifier != s.verifier {
		old.verifier.close()
	}
	return nil
}

func (s *state) addKey(k Key) error {
	if err := CheckHash(k.Hash); err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	p := s.plans[k.Plan]
	switch {
	case p == nil:
		return fmt.Errorf("no plan %q", k.Plan)
	case k.Name == "":
		return errors.New("name is missing")
	case s.byName[k.Name] != nil:
		return errors.New("a second key has this name")
	case s.byHash[k.Hash] != nil:
		return errors.New("a second key has this hash")
	}
	r := p.rights(k.Name, k.Name, k.Plan)
	r.Account, r.key, r.Expires = "key:"+k.Name, k.Name, k.Expires
	s.byHash[k.Hash], s.byName[k.Name] = r, r
	return nil
}

func (p *plan) rights(name, label, planName string) *Rights {
	return &Rights{Name: name, Account: name, Label: label, Plan: planName, Admin: p.Admin, Limits: p.Limits, grants: p.grants}
}

// Authenticate returns the rights that a key or token gives; "" asks for those of
// who shows nothing.
func (g *Guard) Authenticate(ctx context.Context, token string) (*Rights, error) {
	s := g.state.Load()
	if token == "" {
		if s.nobody == nil {
			return nil, ErrMissing
		}
		return s.nobody, nil
	}
	if r := s.byHash[HashKey(token)]; r != nil {
		return s.current(r)
	}
	if s.verifier == nil {
		return nil, ErrInvalid
	}
	c, err := s.verifier.verify(ctx, token, s.cfg.Now)
	if err != nil {
		return nil, err
	}
	return s.fromClaims(c)
}

func (s *state) current(r *Rights) (*Rights, error) {
	if !r.Expires.IsZero() && !s.cfg.Now().Before(r.Expires) {
		return nil, ErrExpired
	}
	return r, nil
}

// Refresh returns what rights that were given out are by the configuration of
// now, or why they are no longer.
func (g *Guard) Refresh(r *Rights) (*Rights, error) {
	s := g.state.Load()
	switch {
	case r.key != "":
		fresh := s.byName[r.key]
		if fresh == nil {
			return nil, fmt.Errorf("%w: key %q is gone", ErrInvalid, r.key)
		}
		return s.current(fresh)
	case r.claims != nil:
		if s.verifier == nil {
			return nil, fmt.Errorf("%w: tokens are no longer taken", ErrInvalid)
		}
		fresh, err := s.fromClaims(r.claims)
		if err != nil {
			return nil, err
		}
		return s.current(fresh)
	case s.nobody == nil:
		return nil, ErrMissing
	}
	return s.nobody, nil
}

// Delays returns every delay that a plan has, none twice, the shortest first.
func (c *Config) Delays() []time.Duration {
	var out []time.Duration
	for _, p := range c.Plans {
		for _, g := range p.Grants {
			if g.Delay > 0 {
				out = append(out, g.Delay)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Close ends what refreshes the keys of who signs tokens.
func (g *Guard) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.state.Load().verifier; v != nil {
		v.close()
	}
}
