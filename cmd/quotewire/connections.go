package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market/calendar"
	"github.com/quotewire/quotewire/normalizer"
)

// minLifetime keeps a slip from making a connection a minute.
const minLifetime = time.Minute

// maxLines bounds the connections of one feed.
const maxLines = 4

// lines checks the number of a feed's connections, and the hosts they go to.
func (v *checker) lines(at string, f *feedConfig, a adapter, names map[string]bool) {
	switch {
	case f.Lines < 0 || f.Lines > maxLines:
		v.bad(at+".lines", "want 1 to %d, not %d", maxLines, f.Lines)
		return
	case f.Lines > 1 && a.oneConnection != "":
		v.bad(at+".lines", "want 1, because %s", a.oneConnection)
		return
	}
	if f.URL != "" && len(f.URLs) > 0 {
		v.bad(at+".urls", "url and urls are both set; want one of them")
	}
	if n := max(f.Lines, 1); len(f.URLs) > n {
		v.bad(at+".urls", "%d hosts for lines: %d; want no more than one a line", len(f.URLs), n)
	}
	switch {
	case f.PerConnection < 0:
		v.bad(at+".symbols_per_connection", "want a positive number")
		return
	case f.PerConnection > 0 && a.oneConnection != "":
		v.bad(at+".symbols_per_connection", "want none, because %s", a.oneConnection)
		return
	case f.Lifetime.Duration > 0 && a.oneConnection != "":
		v.bad(at+".lifetime", "want none, because %s", a.oneConnection)
	case f.Lifetime.Duration > 0 && f.Lifetime.Duration < minLifetime:
		v.bad(at+".lifetime", "want %v at least", minLifetime)
	}
	for _, line := range f.connections(a) {
		if line.Name == f.Name {
			continue
		}
		if names[line.Name] {
			v.bad(at, "a second feed is named %q; give it a name of its own", line.Name)
		}
		names[line.Name] = true
	}
}

// connections returns the config of each of the feed's connections. Its lines are
// name/1, name/2 and so on, which go round its urls; where there is one, it has
// the feed's name. A line with more symbols than one connection carries is several
// connections, name, name#2, name#3 and so on, each with a part of the symbols.
func (f feedConfig) connections(a adapter) []feedConfig {
	n := max(f.Lines, 1)
	var out []feedConfig
	for i := range n {
		line := f
		line.Lines, line.URLs = 1, nil
		if n > 1 {
			line.Name = fmt.Sprintf("%s/%d", f.Name, i+1)
		}
		if len(f.URLs) > 0 {
			line.URL = f.URLs[i%len(f.URLs)]
		}
		out = append(out, line.parts(a)...)
	}
	return out
}

// parts spreads the symbols of a line over as many connections as they need.
func (f feedConfig) parts(a adapter) []feedConfig {
	limit := f.PerConnection
	if limit == 0 && a.perConnection != nil {
		limit = a.perConnection(withDefaults(f, a))
	}
	if limit == 0 || len(f.Symbols) <= limit {
		return []feedConfig{f}
	}
	var out []feedConfig
	for symbols := range slices.Chunk(f.Symbols, limit) {
		part := f
		part.Symbols = symbols
		if n := len(out) + 1; n > 1 {
			part.Name = fmt.Sprintf("%s#%d", f.Name, n)
		}
		out = append(out, part)
	}
	return out
}

// budgets are what the feeds of a process spend together, because providers count
// by address and not by connection. They belong to who adds the feeds; what they
// hand out is safe from any goroutine.
type budgets struct {
	rests map[string]*feeds.REST
	dials map[string]*rate.Limiter
}

func newBudgets() *budgets {
	return &budgets{rests: make(map[string]*feeds.REST), dials: make(map[string]*rate.Limiter)}
}

// rest returns the requests of a provider at a host, made by make if they are the
// first.
func (b *budgets) rest(c feedConfig, make func() *feeds.REST) *feeds.REST {
	if b == nil {
		return make()
	}
	u, _ := url.Parse(c.URL) // the provider's own if empty; checked by its connector
	key := c.Provider
	if u != nil {
		key += " " + u.Host
	}
	r := b.rests[key]
	if r == nil {
		r = make()
		b.rests[key] = r
	}
	return r
}

// dialing returns what spaces a provider's connection attempts, nil for none. The
// limits are those of its own hosts.
func (b *budgets) dialing(c feedConfig, a adapter) *rate.Limiter {
	if b == nil || a.dialEvery == 0 || c.URL != "" {
		return nil
	}
	l := b.dials[c.Provider]
	if l == nil {
		l = rate.NewLimiter(rate.Every(a.dialEvery), a.dialBurst)
		b.dials[c.Provider] = l
	}
	return l
}

// addConnection adds one connection of a feed; where its provider cuts one that
// has grown old, two that take turns.
func (s *service) addConnection(c feedConfig) error {
	sup, err := supervise(c, s.logger)
	if err != nil {
		return err
	}
	if c.Subscribe == onDemand {
		if sup.Demand, err = s.demandOf(c); err != nil {
			return err
		}
	}
	if sup.Lifetime() <= 0 {
		f, err := s.addDecoder(c, c.Name, sup)
		if err != nil {
			return err
		}
		f.status = sup.Status
		s.sources = append(s.sources, source{c.Name, sup})
		return nil
	}
	// One Connector for both: what it knows and may spend is theirs together.
	relief := &feeds.Supervisor{Feed: c.Name + "~", Provider: sup.Provider, Connector: sup.Connector, Policy: sup.Policy, Demand: sup.Demand,
		Dials: sup.Dials, Logger: sup.Logger}
	relay := &feeds.Relay{Lines: [2]*feeds.Supervisor{sup, relief}, Standing: s.standing, Logger: s.logger}
	for i, line := range relay.Lines {
		f, err := s.addDecoder(c, line.Feed, line)
		if err != nil {
			return err
		}
		f.status = func() feeds.Status { return relay.Status(i) }
	}
	s.sources = append(s.sources, source{c.Name, relay})
	return nil
}

// addDecoder registers what reads a connection's frames.
func (s *service) addDecoder(c feedConfig, name string, resync feeds.Resyncer) (*feedIngest, error) {
	if c.QuoteSizeUnit == "lots" {
		s.ingest.units[name] = normalizer.RoundLots
	}
	f, err := s.ingest.add(name, c.Provider)
	if err != nil {
		return nil, err
	}
	f.resync = resync
	return f, nil
}

// standing compares the books of two connections.
func (s *service) standing(ctx context.Context, from, to string) (feeds.Standing, error) {
	a, b := s.ingest.feed(from), s.ingest.feed(to)
	if a == nil || b == nil {
		return feeds.Standing{}, fmt.Errorf("compare feeds %q and %q: one is unknown", from, to)
	}
	r, err := s.engine.Relief(ctx, a.id, b.id)
	return feeds.Standing{Waiting: r.Waiting, Shown: r.Shown}, err
}

// closed returns when silence of a feed means nothing, because its market is
// closed; nil for one that never is, and where the config itself says how long a
// silence may last.
func closed(c feedConfig) func(time.Time) bool {
	if c.Mute.Duration > 0 {
		return nil
	}
	if c.Provider != "polygon" && c.Provider != "alpaca" || c.Market == "crypto" || c.Market == "test" {
		return nil
	}
	hours := calendar.For(classOf(c))
	return func(now time.Time) bool {
		s := hours.Session(now.UnixNano())
		return s.Kind == calendar.Closed
	}
}
