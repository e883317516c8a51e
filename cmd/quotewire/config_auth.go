package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// authConfig says who may come in and what they see. Without plans the server is
// open.
type authConfig struct {
	Plans       map[string]planConfig `yaml:"plans"`
	Keys        []keyConfig           `yaml:"keys"`
	KeysFile    string                `yaml:"keys_file"`
	Anonymous   string                `yaml:"anonymous"`
	JWT         *jwtConfig            `yaml:"jwt"`
	Timeout     duration              `yaml:"timeout"`
	Delay       duration              `yaml:"delay"`
	DelayMemory int64                 `yaml:"delay_memory"`
	Audit       string                `yaml:"audit"`
}

// keysConfig is the file that keys_file names.
type keysConfig struct {
	Keys []keyConfig `yaml:"keys"`
}

type keyConfig struct {
	Name    string `yaml:"name"`
	Hash    string `yaml:"hash"`
	Plan    string `yaml:"plan"`
	Expires string `yaml:"expires"`
}

type planConfig struct {
	Admin  bool          `yaml:"admin"`
	Grants []grantConfig `yaml:"grants"`
	Limits limitsConfig  `yaml:"limits"`
}

type grantConfig struct {
	Symbols     []string `yaml:"symbols"`
	Channels    []string `yaml:"channels"`
	Venues      []string `yaml:"venues"`
	Depth       int      `yaml:"depth"`
	MinInterval duration `yaml:"min_interval"`
	Delayed     bool     `yaml:"delayed"`
	Delay       duration `yaml:"delay"`
}

// limitsConfig bounds what one key, or one address, takes.
type limitsConfig struct {
	Connections   int `yaml:"connections"`
	Subscriptions int `yaml:"subscriptions"`
	Messages      int `yaml:"messages"`
	Bytes         int `yaml:"bytes"`
}

func (l limitsConfig) limits() auth.Limits {
	return auth.Limits{Connections: l.Connections, Subscriptions: l.Subscriptions, Messages: l.Messages, Bytes: l.Bytes}
}

type jwtConfig struct {
	JWKS       string           `yaml:"jwks_url"`
	Refresh    duration         `yaml:"refresh"`
	Keys       []tokenKeyConfig `yaml:"keys"`
	Algorithms []string         `yaml:"algorithms"`
	Issuer     string           `yaml:"issuer"`
	Audience   string           `yaml:"audience"`
	Leeway     duration         `yaml:"leeway"`
	PlanClaim  string           `yaml:"plan_claim"`
	Plan       string           `yaml:"plan"`
}

type tokenKeyConfig struct {
	ID        string `yaml:"kid"`
	Algorithm string `yaml:"algorithm"`
	PEM       string `yaml:"pem"`
	PEMFile   string `yaml:"pem_file"`
	Secret    string `yaml:"secret"`
}

// tlsConfig encrypts what clients get.
type tlsConfig struct {
	Cert string     `yaml:"cert"`
	Key  string     `yaml:"key"`
	ACME acmeConfig `yaml:"acme"`
}

type acmeConfig struct {
	Hosts     []string `yaml:"hosts"`
	Cache     string   `yaml:"cache"`
	Email     string   `yaml:"email"`
	Directory string   `yaml:"directory"`
}

func (t tlsConfig) on() bool { return t.Cert != "" || t.Key != "" || len(t.ACME.Hosts) > 0 }

// logConfig is what --log-level and --log-format say, where they do not.
type logConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// guarded reports whether clients have to say who they are.
func (a *authConfig) guarded() bool {
	return len(a.Plans) > 0 || len(a.Keys) > 0 || a.KeysFile != "" || a.JWT != nil || a.Anonymous != ""
}

// auth checks who may come in.
func (v *checker) auth(a *authConfig) {
	v.duration("auth.timeout", a.Timeout)
	v.duration("auth.delay", a.Delay)
	if a.DelayMemory < 0 {
		v.bad("auth.delay_memory", "want a number of bytes")
	}
	if !a.guarded() {
		return
	}
	if len(a.Plans) == 0 {
		v.bad("auth", "plans is missing: keys and tokens get their rights from plans")
		return
	}
	names := make([]string, 0, len(a.Plans))
	for name := range a.Plans {
		names = append(names, name)
	}
	slices.Sort(names)
	plans := make(map[string]auth.Plan)
	for _, name := range names {
		plans[name] = v.plan("auth.plans."+name, a.Plans[name], a)
	}
	if a.Anonymous != "" && a.Plans[a.Anonymous].Grants == nil {
		v.bad("auth.anonymous", "no plan %q%s", a.Anonymous, suggest(a.Anonymous, names))
	}
	v.keys(a, names)
	if a.JWT != nil {
		v.jwt(a.JWT, names)
	}
	delays := (&auth.Config{Plans: plans}).Delays()
	if len(delays) > maxDelays {
		v.bad("auth.plans", "%d different delays; want at most %d, each holds all data once more", len(delays), maxDelays)
	}
}

// maxDelays bounds how often all data is held back.
const maxDelays = 4

// channelNames are the channels that the server has.
func channelNames() []string {
	var names []string
	for c := wire.ChannelQuote; int(c) < wire.NumChannels; c++ {
		if c != wire.ChannelAlert {
			names = append(names, c.String())
		}
	}
	return names
}

func (v *checker) plan(at string, c planConfig, a *authConfig) auth.Plan {
	p := auth.Plan{Admin: c.Admin, Limits: c.Limits.limits()}
	for i, g := range c.Grants {
		where := fmt.Sprintf("%s.grants[%d]", at, i)
		v.duration(where+".min_interval", g.MinInterval)
		v.duration(where+".delay", g.Delay)
		out := auth.Grant{Symbols: g.Symbols, Venues: g.Venues, Depth: g.Depth, MinInterval: g.MinInterval.Duration, Delay: g.Delay.Duration}
		if g.Delayed && out.Delay == 0 {
			if out.Delay = a.Delay.Duration; out.Delay == 0 {
				out.Delay = auth.DefaultDelay
			}
		}
		for j, name := range g.Channels {
			ch, ok := wire.ParseChannel(name)
			if !ok {
				v.bad(fmt.Sprintf("%s.channels[%d]", where, j), "no channel %q%s", name, suggest(name, channelNames()))
			}
			out.Channels = append(out.Channels, ch)
		}
		p.Grants = append(p.Grants, out)
	}
	if err := p.Validate(); err != nil {
		v.bad(at, "%v", err)
	}
	return p
}

// keys checks keys, and takes in those of keys_file.
func (v *checker) keys(a *authConfig, plans []string) {
	if a.KeysFile != "" {
		path := v.beside(a.KeysFile)
		src, err := os.ReadFile(path)
		var more keysConfig
		if err == nil {
			err = yaml.UnmarshalWithOptions(src, &more, yaml.Strict())
			if err != nil {
				err = yamlError(path, err)
			}
		}
		if err != nil {
			v.bad("auth.keys_file", "%v", err)
		}
		in := checker{path: path, src: src}
		in.eachKey("keys", more.Keys, plans)
		v.errs = append(v.errs, in.errs...)
		v.eachKey("auth.keys", a.Keys, plans)
		a.Keys = append(a.Keys, more.Keys...)
	} else {
		v.eachKey("auth.keys", a.Keys, plans)
	}
	seen := make(map[string]bool)
	for _, k := range a.Keys {
		for _, what := range []string{"name " + k.Name, "hash " + k.Hash} {
			if seen[what] {
				v.bad("auth", "two keys have the %s", what)
			}
			seen[what] = true
		}
	}
}

func (v *checker) eachKey(at string, keys []keyConfig, plans []string) {
	for i := range keys {
		k, where := &keys[i], fmt.Sprintf("%s[%d]", at, i)
		if k.Name == "" {
			v.bad(where, "name is missing")
		}
		v.expand(where+".hash", &k.Hash)
		if err := auth.CheckHash(k.Hash); err != nil {
			v.bad(where+".hash", "%v", err)
		}
		if !slices.Contains(plans, k.Plan) {
			v.bad(where, "no plan %q%s", k.Plan, suggest(k.Plan, plans))
		}
		if _, err := k.expires(); err != nil {
			v.bad(where+".expires", "want a day such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z, not %q", k.Expires)
		}
	}
}

// expires returns when a key ends: a day is its end, in UTC.
func (k *keyConfig) expires() (time.Time, error) {
	if k.Expires == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, k.Expires); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, k.Expires)
}

func (v *checker) jwt(j *jwtConfig, plans []string) {
	v.duration("auth.jwt.refresh", j.Refresh)
	v.duration("auth.jwt.leeway", j.Leeway)
	for i := range j.Keys {
		k, at := &j.Keys[i], fmt.Sprintf("auth.jwt.keys[%d]", i)
		v.expand(at+".secret", &k.Secret)
		if k.PEMFile != "" {
			b, err := os.ReadFile(v.beside(k.PEMFile))
			if err != nil {
				v.bad(at+".pem_file", "%v", err)
			}
			k.PEM = string(b)
		}
	}
	if j.Plan != "" && !slices.Contains(plans, j.Plan) {
		v.bad("auth.jwt.plan", "no plan %q%s", j.Plan, suggest(j.Plan, plans))
	}
	if err := j.tokens().Validate(); err != nil {
		v.bad("auth.jwt", "%v", err)
	}
}

func (j *jwtConfig) tokens() *auth.Tokens {
	t := &auth.Tokens{JWKS: j.JWKS, Refresh: j.Refresh.Duration, Algorithms: j.Algorithms, Issuer: j.Issuer, Audience: j.Audience,
		Leeway: j.Leeway.Duration, PlanClaim: j.PlanClaim, Plan: j.Plan}
	for _, k := range j.Keys {
		t.Keys = append(t.Keys, auth.TokenKey{ID: k.ID, Algorithm: k.Algorithm, PEM: k.PEM, Secret: k.Secret})
	}
	return t
}

// access returns what the config says of who may come in. The config has been
// checked.
func (a *authConfig) access() (auth.Config, error) {
	c := auth.Config{Plans: make(map[string]auth.Plan), Anonymous: a.Anonymous}
	var v checker
	for name, p := range a.Plans {
		c.Plans[name] = v.plan("", p, a)
	}
	for _, k := range a.Keys {
		t, err := k.expires()
		v.errs = append(v.errs, err)
		c.Keys = append(c.Keys, auth.Key{Name: k.Name, Hash: k.Hash, Plan: k.Plan, Expires: t})
	}
	if a.JWT != nil {
		c.Tokens = a.JWT.tokens()
	}
	return c, errors.Join(v.errs...)
}

// log checks how the log is written.
func (v *checker) log(l *logConfig) {
	if _, err := parseLevel(l.Level); l.Level != "" && err != nil {
		v.bad("log.level", "want debug, info, warn or error, not %q", l.Level)
	}
	if l.Format != "" && l.Format != "text" && l.Format != "json" {
		v.bad("log.format", "want text or json, not %q", l.Format)
	}
}

// tls checks how clients are served.
func (v *checker) tls(t *tlsConfig) {
	switch {
	case !t.on():
	case len(t.ACME.Hosts) > 0 && t.Cert != "":
		v.bad("tls", "cert and acme are both set; want one of them")
	case len(t.ACME.Hosts) > 0 && t.ACME.Cache == "":
		v.bad("tls.acme", "cache is missing; want a directory that keeps the certificates, as authorities give only a few a week")
	case len(t.ACME.Hosts) > 0:
	case t.Cert == "" || t.Key == "":
		v.bad("tls", "want both cert and key")
	default:
		t.Cert, t.Key = v.beside(t.Cert), v.beside(t.Key)
		if _, err := newCertificate(t.Cert, t.Key); err != nil {
			v.bad("tls.cert", "%v", err)
		}
	}
}

// proxies checks the addresses whose word is taken for who a client is.
func (v *checker) proxies(list []string) {
	for i, p := range list {
		if _, err := netip.ParsePrefix(p); err != nil {
			v.bad(fmt.Sprintf("server.trusted_proxies[%d]", i), "want a network such as 10.0.0.0/8, not %q", p)
		}
	}
}

// beside returns a path that is meant as seen from the config file.
func (v *checker) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(v.path), path)
}
