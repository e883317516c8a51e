package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// DefaultDelay is how late delayed data is where nothing else is said: what
// exchanges ask for before data stops costing.
const DefaultDelay = 15 * time.Minute

// Grant allows some symbols on some terms.
type Grant struct {
	// Symbols are canonical symbols and patterns in which "*" matches any run of
	// characters. At least one.
	Symbols []string
	// Channels are those allowed; none allows all.
	Channels []wire.Channel
	// Venues are the views allowed: venues' own by their names, and "*", which is
	// the consolidated view and no more. None allows all.
	Venues []string
	// Depth bounds the levels a side of book; 0 does not.
	Depth int
	// MinInterval is the shortest conflation interval.
	MinInterval time.Duration
	// Delay is how old the youngest data is; 0 is real time.
	Delay time.Duration
}

// Limits bound what one key or address takes, over all its connections. 0 does
// not bound.
type Limits struct {
	Connections   int
	Subscriptions int
	Messages      int // delivered, per second
	Bytes         int // delivered, per second
}

// Plan is a set of rights that keys and tokens refer to by its name.
type Plan struct {
	// Grants are asked in their order; the first that matches decides.
	Grants []Grant
	Limits Limits
	// Admin allows the operator's pages: usage, metrics and the feeds' state.
	Admin bool
}

// Validate reports what is wrong with a plan.
func (p *Plan) Validate() error {
	if len(p.Grants) == 0 && !p.Admin {
		return errors.New("grants is missing; it allows nothing")
	}
	for i := range p.Grants {
		if err := p.Grants[i].validate(); err != nil {
			return fmt.Errorf("grants[%d].%w", i, err)
		}
	}
	for _, n := range []int{p.Limits.Connections, p.Limits.Subscriptions, p.Limits.Messages, p.Limits.Bytes} {
		if n < 0 {
			return errors.New("limits: want positive numbers; 0 is no limit")
		}
	}
	return nil
}

func (g *Grant) validate() error {
	if len(g.Symbols) == 0 {
		return errors.New(`symbols is missing; ["*"] is all`)
	}
	for _, s := range g.Symbols {
		if err := wire.CheckPattern(s); err != nil {
			return fmt.Errorf("symbols: %w", err)
		}
	}
	switch {
	case g.Depth < 0 || g.Depth > wire.MaxDepth:
		return fmt.Errorf("depth: want 0 (all) to %d, not %d", wire.MaxDepth, g.Depth)
	case g.MinInterval < 0 || g.MinInterval > wire.MaxInterval:
		return fmt.Errorf("min_interval: want 0s to %s, not %s", wire.MaxInterval, g.MinInterval)
	case g.Delay < 0 || g.Delay > MaxDelay || g.Delay > 0 && g.Delay < MinDelay:
		return fmt.Errorf("delay: want %s to %s, not %s", MinDelay, MaxDelay, g.Delay)
	}
	return nil
}

// Bounds of a delay: what is held back costs memory for each second.
const (
	MinDelay = time.Second
	MaxDelay = 24 * time.Hour
)

// Rights are what one key or token may see. A nil *Rights may see everything. It
// is immutable.
type Rights struct {
	// Name is the key's, or the token's subject.
	Name string
	// Account is what limits and usage are counted under: one for each key and
	// each subject of tokens.
	Account string
	// Label is the account in metrics: all subjects of tokens on a plan share one,
	// so that who makes tokens does not make metrics.
	Label string
	Plan  string
	// Expires is when the rights end; zero is never.
	Expires time.Time
	Admin   bool
	Limits  Limits

	grants []compiled
	// of says where the rights come from, for Refresh.
	key    string
	claims *claims
}

// compiled is a grant made for looking up.
type compiled struct {
	Grant
	exact    map[string]struct{}
	patterns []string
}

func compile(grants []Grant) []compiled {
	out := make([]compiled, len(grants))
	for i, g := range grants {
		c := compiled{Grant: g, exact: make(map[string]struct{})}
		for _, s := range g.Symbols {
			if wire.IsPattern(s) {
				c.patterns = append(c.patterns, s)
			} else {
				c.exact[s] = struct{}{}
			}
		}
		out[i] = c
	}
	return out
}

func (c *compiled) symbol(symbol string) bool {
	if _, ok := c.exact[symbol]; ok {
		return true
	}
	return slices.ContainsFunc(c.patterns, func(p string) bool { return wire.Match(p, symbol) })
}

func (c *compiled) venue(venue string) bool {
	return len(c.Venues) == 0 || slices.Contains(c.Venues, venue)
}

func (c *compiled) channel(channel wire.Channel) bool {
	return len(c.Channels) == 0 || slices.Contains(c.Channels, channel)
}

// Terms are on what conditions something is allowed.
type Terms struct {
	Depth       int // levels a side at most; 0 all
	MinInterval time.Duration
	Delay       time.Duration
}

// Allows reports whether the rights cover a symbol's channel as a venue shows it
// ("*" is the consolidated view), and on what terms.
func (r *Rights) Allows(symbol string, channel wire.Channel, venue string) (Terms, bool) {
	if r == nil {
		return Terms{}, true
	}
	for i := range r.grants {
		if g := &r.grants[i]; g.channel(channel) && g.venue(venue) && g.symbol(symbol) {
			return Terms{g.Depth, g.MinInterval, g.Delay}, true
		}
	}
	return Terms{}, false
}

// Sees reports whether the rights cover a symbol on any channel, and the longest
// delay of those grants: what is told of the symbol as such is no younger.
func (r *Rights) Sees(symbol string) (delay time.Duration, ok bool) {
	if r == nil {
		return 0, true
	}
	for i := range r.grants {
		if g := &r.grants[i]; g.symbol(symbol) {
			delay, ok = max(delay, g.Delay), true
		}
	}
	return delay, ok
}

// SeesVenue reports whether the rights cover a symbol as a venue shows it, or the
// consolidated view, which names its venues.
func (r *Rights) SeesVenue(symbol, venue string) bool {
	if r == nil {
		return true
	}
	return slices.ContainsFunc(r.grants, func(g compiled) bool {
		return (g.venue(venue) || g.venue(wire.Consolidated)) && g.symbol(symbol)
	})
}

// SeesChannel reports whether the rights cover a channel for any symbol.
func (r *Rights) SeesChannel(channel wire.Channel) bool {
	return r == nil || slices.ContainsFunc(r.grants, func(g compiled) bool { return g.channel(channel) })
}
