package main

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/orderbook/best"
)

// takerFee is a part of an amount, written as decimal text such as 0.0026.
type takerFee struct {
	decimal.Decimal
	wrong string // what was written instead
}

// UnmarshalText reads decimal text. What is wrong with it is told by the checker,
// which knows the line.
func (r *takerFee) UnmarshalText(b []byte) error {
	v, err := decimal.NewFromString(string(b))
	if err != nil {
		r.wrong = string(b)
		return nil
	}
	r.Decimal = v
	return nil
}

// net checks what net quotes are made of.
func (v *checker) net(c *config) {
	for _, venue := range sortedKeys(c.Fees) {
		at, fee := fmt.Sprintf("fees.'%s'", venue), c.Fees[venue]
		if fee.wrong != "" {
			v.bad(at, "want a part of the amount such as 0.0026, not %q", fee.wrong)
		} else if err := best.CheckFee(fee.Decimal); err != nil {
			v.bad(at, "%v", err)
		}
	}
	seen := make(map[string]bool)
	for i, n := range c.Net {
		at := fmt.Sprintf("net[%d]", i)
		p := best.Pair(n)
		if err := p.Check(); err != nil {
			v.bad(at, "%v", err)
		} else if seen[n.Symbol] {
			v.bad(at, "%s is there twice", n.Symbol)
		}
		seen[n.Symbol] = true
	}
}

func sortedKeys(m map[string]takerFee) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// addNet takes from a config what the service's quotes and its tape go by, and what
// its net quotes are.
func (s *service) addNet(c *config) {
	for _, n := range c.Net {
		s.net.Pairs = append(s.net.Pairs, best.Pair(n))
	}
	s.net.Fees = make(map[string]decimal.Decimal, len(c.Fees))
	for venue, fee := range c.Fees {
		s.net.Fees[venue] = fee.Decimal
	}
	s.ingest.quotes, s.ingest.prints = c.Quotes, c.Tape
}

// newComposer returns what makes the service's net quotes, nil if it has none. The
// hub must be there.
func (s *service) newComposer(joined *busJoint) (*best.Composer, error) {
	if len(s.net.Pairs) == 0 {
		return nil, nil
	}
	cfg := s.net
	cfg.Directory, cfg.Epoch = s.dir, s.epoch
	cfg.Sinks = append([]orderbook.Sink{s.laneRouter()}, joined.sinks()...)
	return best.New(cfg)
}
