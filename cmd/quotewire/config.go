package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/quotewire/quotewire/feeds/polygon"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/auth"
)

// config is the file that serve and record read. docs/config.md documents it,
// quotewire.example.yaml shows it.
type config struct {
	Listen string `yaml:"listen"`
	// AdminListen is where the operator's pages are; "" has them at Listen.
	AdminListen string       `yaml:"admin_listen"`
	TLS         tlsConfig    `yaml:"tls"`
	Log         logConfig    `yaml:"log"`
	Auth        authConfig   `yaml:"auth"`
	Server      serverConfig `yaml:"server"`
	Feeds       []feedConfig `yaml:"feeds"`
	Bus         busConfig    `yaml:"bus"`
	// Fees are the venues' taker fees, which net quotes count; Net are those.
	Fees map[string]takerFee `yaml:"fees"`
	Net  []netConfig         `yaml:"net"`
	// Quotes is what consolidated quotes go by; the first entry for a symbol counts.
	Quotes []quoteConfig `yaml:"quotes"`
	// Tape is what bars and corrections go by.
	Tape tapeConfig `yaml:"tape"`
}

// netConfig is one net quote.
type netConfig struct {
	Symbol     string   `yaml:"pair"`
	Currencies []string `yaml:"currencies"`
}

// serverConfig is what clients get.
type serverConfig struct {
	Heartbeat        duration `yaml:"heartbeat"`
	MinInterval      duration `yaml:"min_interval"`
	MaxConnections   int      `yaml:"max_connections"`
	MaxSubscriptions int      `yaml:"max_subscriptions"`
	WriteTimeout     duration `yaml:"write_timeout"`
	SocketBuffer     int      `yaml:"socket_buffer"`
	Compression      bool     `yaml:"compression"`
	Origins          []string `yaml:"origins"`
	// PerAddress bounds what one address takes; TrustedProxies are the networks
	// whose X-Forwarded-For is believed.
	PerAddress     limitsConfig `yaml:"per_address"`
	TrustedProxies []string     `yaml:"trusted_proxies"`
}

// busConfig joins processes over NATS.
type busConfig struct {
	Listen string `yaml:"listen"`
	URL    string `yaml:"url"`
	Prefix string `yaml:"prefix"`
	Node   string `yaml:"node"`
}

// feedConfig is one feed of a provider, over one connection or several lines.
type feedConfig struct {
	Name          string   `yaml:"name"`
	Provider      string   `yaml:"provider"`
	URL           string   `yaml:"url"`
	URLs          []string `yaml:"urls"`
	Lines         int      `yaml:"lines"`
	Market        string   `yaml:"market"`
	APIKey        string   `yaml:"api_key"`
	APISecret     string   `yaml:"api_secret"`
	Passphrase    string   `yaml:"passphrase"`
	Channels      []string `yaml:"channels"`
	Symbols       []string `yaml:"symbols"`
	Depth         int      `yaml:"depth"`
	Compress      bool     `yaml:"compress"`
	QuoteSizeUnit string   `yaml:"quote_size_unit"`
	MessagePack   bool     `yaml:"msgpack"`
	Mute          duration `yaml:"mute"`
	Backoff       duration `yaml:"backoff"`
	MaxBackoff    duration `yaml:"max_backoff"`
	RefusedRetry  duration `yaml:"refused_retry"`
	EvictedRetry  duration `yaml:"evicted_retry"`
	Lifetime      duration `yaml:"lifetime"`
	PerConnection int      `yaml:"symbols_per_connection"`
	Subscribe     string   `yaml:"subscribe"`
	Linger        duration `yaml:"linger"`

	budgets *budgets // shared by all feeds of the process; nil has none to share
}

// duration is a time.Duration written as "250ms" or "1m30s".
type duration struct {
	time.Duration
	wrong string // what was written instead
}

// UnmarshalText reads the text of a duration. What is wrong with it is told by
// the checker, which knows the line.
func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v < 0 {
		d.wrong = string(b)
		return nil
	}
	d.Duration = v
	return nil
}

// MarshalText writes a duration as it is read.
func (d duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// loadConfig reads and checks a config file. Its errors name the file, the line
// and what would be right.
func loadConfig(path string) (*config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return parseConfig(path, src)
}

func parseConfig(path string, src []byte) (*config, error) {
	var c config
	if err := yaml.UnmarshalWithOptions(src, &c, yaml.Strict()); err != nil {
		return nil, yamlError(path, err)
	}
	v := checker{path: path, src: src}
	v.config(&c)
	if len(v.errs) > 0 {
		return nil, errors.Join(v.errs...)
	}
	return &c, nil
}

// yamlError gives an error of the YAML library the form "file:line: what".
func yamlError(path string, err error) error {
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) && unknown.Token != nil {
		key := unknown.Token.Value
		known := configKeys()
		hint := suggest(key, known)
		if slices.Contains(known, key) {
			hint = " here; it belongs elsewhere"
		}
		return fmt.Errorf("%s:%d: unknown key %q%s", path, unknown.Token.Position.Line, key, hint)
	}
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", path, ye.GetToken().Position.Line, ye.GetMessage())
	}
	return fmt.Errorf("%s: %w", path, err)
}

// configKeys returns every key that a config may have.
func configKeys() []string {
	var keys []string
	for _, t := range []reflect.Type{reflect.TypeFor[config](), reflect.TypeFor[serverConfig](), reflect.TypeFor[busConfig](), reflect.TypeFor[feedConfig](), reflect.TypeFor[netConfig](), reflect.TypeFor[quoteConfig](),
		reflect.TypeFor[authConfig](), reflect.TypeFor[keyConfig](), reflect.TypeFor[planConfig](), reflect.TypeFor[grantConfig](),
		reflect.TypeFor[limitsConfig](), reflect.TypeFor[jwtConfig](), reflect.TypeFor[tokenKeyConfig](), reflect.TypeFor[tlsConfig](),
		reflect.TypeFor[acmeConfig](), reflect.TypeFor[tapeConfig](), reflect.TypeFor[logConfig]()} {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				keys = append(keys, f.Tag.Get("yaml"))
			}
		}
	}
	sort.Strings(keys)
	return slices.Compact(keys)
}

// suggest returns "; did you mean …?" or the list of what there is.
func suggest(got string, known []string) string {
	best, dist := "", 3
	for _, k := range known {
		if d := distance(got, k); d < dist {
			best, dist = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; want one of " + strings.Join(known, ", ")
}

// distance is the number of single-character edits between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}

// checker collects what is wrong with values, each with its line.
type checker struct {
	path string
	src  []byte
	errs []error
}

func (v *checker) bad(at, format string, args ...any) {
	line := 1
	if p, err := yaml.PathString("$." + at); err == nil {
		if n, err := p.ReadNode(strings.NewReader(string(v.src))); err == nil && n != nil && n.GetToken() != nil {
			line = n.GetToken().Position.Line
		}
	}
	v.errs = append(v.errs, fmt.Errorf("%s:%d: %s: %s", v.path, line, at, fmt.Sprintf(format, args...)))
}

func (v *checker) duration(at string, d duration) {
	if d.wrong != "" {
		v.bad(at, "want a duration such as 250ms, 5s or 1m30s, not %q", d.wrong)
	}
}

// secret matches a value that is taken from the environment.
var secret = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

func (v *checker) expand(at string, s *string) {
	m := secret.FindStringSubmatch(*s)
	if m == nil {
		return
	}
	value, ok := os.LookupEnv(m[1])
	if !ok || value == "" {
		v.bad(at, "environment variable %s is not set", m[1])
		return
	}
	*s = value
}

func (v *checker) config(c *config) {
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			v.bad("listen", "want an address such as 127.0.0.1:8080 or :8080, not %q", c.Listen)
		}
	}
	if c.AdminListen != "" {
		if _, _, err := net.SplitHostPort(c.AdminListen); err != nil {
			v.bad("admin_listen", "want an address such as 127.0.0.1:9090, not %q", c.AdminListen)
		}
	}
	v.tls(&c.TLS)
	v.auth(&c.Auth)
	v.log(&c.Log)
	v.proxies(c.Server.TrustedProxies)
	if err := (&auth.Plan{Admin: true, Limits: c.Server.PerAddress.limits()}).Validate(); err != nil {
		v.bad("server.per_address", "%v", err)
	}
	if c.Server.MaxConnections < 0 {
		v.bad("server.max_connections", "want a positive number")
	}
	if c.Server.MaxSubscriptions < 0 {
		v.bad("server.max_subscriptions", "want a positive number")
	}
	v.duration("server.heartbeat", c.Server.Heartbeat)
	v.duration("server.min_interval", c.Server.MinInterval)
	v.duration("server.write_timeout", c.Server.WriteTimeout)
	v.net(c)
	v.quotes(c)
	v.tape(&c.Tape)
	names := make(map[string]bool)
	for i := range c.Feeds {
		v.feed(fmt.Sprintf("feeds[%d]", i), &c.Feeds[i], names)
	}
}

func (v *checker) feed(at string, f *feedConfig, names map[string]bool) {
	known := adapters()
	a, ok := known[f.Provider]
	if !ok {
		list := make([]string, 0, len(known))
		for name := range known {
			list = append(list, name)
		}
		sort.Strings(list)
		if f.Provider == "" {
			v.bad(at, "provider is missing; want one of %s", strings.Join(list, ", "))
		} else {
			v.bad(at+".provider", "no provider %q%s", f.Provider, suggest(f.Provider, list))
		}
		return
	}
	if f.Name == "" {
		f.Name = f.Provider
		if f.Market != "" {
			f.Name += "-" + f.Market
		}
	}
	if names[f.Name] {
		v.bad(at, "a second feed is named %q; give it a name of its own", f.Name)
	}
	names[f.Name] = true
	v.lines(at, f, a, names)
	v.expand(at+".api_key", &f.APIKey)
	v.expand(at+".api_secret", &f.APISecret)
	v.expand(at+".passphrase", &f.Passphrase)
	if len(f.Symbols) == 0 {
		v.bad(at, "symbols is missing; list them, such as [AAPL, MSFT] or [BTC-USD]")
	}
	for i, s := range f.Symbols {
		if s == "*" && a.wildcard {
			continue
		}
		if err := market.CheckSymbol(s); err != nil {
			v.bad(fmt.Sprintf("%s.symbols[%d]", at, i), "%v", err)
		}
	}
	for i, ch := range f.Channels {
		if !slices.Contains(a.channels, ch) {
			v.bad(fmt.Sprintf("%s.channels[%d]", at, i), "%s has no channel %q%s", f.Provider, ch, suggest(ch, a.channels))
		}
	}
	v.duration(at+".mute", f.Mute)
	v.duration(at+".backoff", f.Backoff)
	v.duration(at+".max_backoff", f.MaxBackoff)
	v.duration(at+".refused_retry", f.RefusedRetry)
	v.duration(at+".evicted_retry", f.EvictedRetry)
	v.duration(at+".lifetime", f.Lifetime)
	v.duration(at+".linger", f.Linger)
	v.demand(at, f, a)
	switch f.QuoteSizeUnit {
	case "", "shares", "lots":
	default:
		v.bad(at+".quote_size_unit", "want shares or lots, not %q", f.QuoteSizeUnit)
	}
	if f.Provider == "polygon" {
		if f.Market == "" {
			v.bad(at, "market is missing; want one of %s", strings.Join(polygon.Markets(), ", "))
		}
		if f.APIKey == "" {
			v.bad(at, "api_key is missing; write it, or ${NAME} to take it from the environment")
		}
		if len(f.Channels) == 0 {
			v.bad(at, "channels is missing; want some of %s", strings.Join(a.channels, ", "))
		}
	}
	if len(v.errs) > 0 {
		return
	}
	for _, line := range f.connections(a) {
		if _, err := a.connect(withDefaults(line, a), nil); err != nil {
			v.bad(at, "%v", err)
			return
		}
	}
}

func withDefaults(f feedConfig, a adapter) feedConfig {
	if len(f.Channels) == 0 {
		f.Channels = a.defaults
	}
	return f
}
