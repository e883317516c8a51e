package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// onDemand is the value of a feed's subscribe by which what clients want decides
// what is subscribed.
const onDemand = "on_demand"

// defaultLinger is a feed's linger unless set.
const defaultLinger = 30 * time.Second

// demand checks how a feed's subscriptions are decided.
func (v *checker) demand(at string, f *feedConfig, a adapter) {
	switch f.Subscribe {
	case onDemand:
	case "", "config":
		if f.Linger.Duration > 0 {
			v.bad(at+".linger", "it is for subscribe: %s", onDemand)
		}
		return
	default:
		v.bad(at+".subscribe", "want config or %s, not %q", onDemand, f.Subscribe)
		return
	}
	if a.demand == nil {
		var can []string
		for name, a := range adapters() {
			if a.demand != nil {
				can = append(can, name)
			}
		}
		slices.Sort(can)
		v.bad(at+".subscribe", "%s subscribes by the config only; %s is for %s", f.Provider, onDemand, strings.Join(can, ", "))
		return
	}
	for _, ch := range []string{"full", "level3"} {
		if slices.Contains(f.Channels, ch) {
			v.bad(at+".subscribe", "channel %s is subscribed by the config only", ch)
		}
	}
	if slices.Contains(f.Symbols, "*") {
		v.bad(at+".subscribe", "list the symbols that may be asked for in place of \"*\": clients can name only symbols that are known")
	}
}

// wish is one symbol of a connection that clients may ask for.
type wish struct {
	demand *feeds.Demand
	symbol string // the provider's spelling
}

// demandOf makes a connection's symbols known and returns what keeps count of who
// wants them.
func (s *service) demandOf(c feedConfig) (*feeds.Demand, error) {
	a := adapters()[c.Provider]
	d := &feeds.Demand{Linger: defaultLinger}
	if c.Linger.Duration > 0 {
		d.Linger = c.Linger.Duration
	}
	var errs []error
	for _, symbol := range c.Symbols {
		spelt, err := a.demand(c, symbol)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		id, err := s.dir.Instrument(symbol, classOf(c))
		if err != nil {
			errs = append(errs, fmt.Errorf("symbol %q: %w", symbol, err))
			continue
		}
		s.wishes[id] = append(s.wishes[id], wish{d, spelt})
	}
	return d, errors.Join(errs...)
}

// demanded passes on that the first stream of an instrument begins, or that the
// last has gone. The wishes are all made before anything runs.
func (s *service) demanded(id market.InstrumentID, wanted bool) {
	for _, w := range s.wishes[id] {
		if wanted {
			w.demand.Want(w.symbol)
		} else {
			w.demand.Release(w.symbol)
		}
	}
}

// classOf returns the class of a feed's instruments, as its decoder gives them.
func classOf(c feedConfig) market.Class {
	kind, _, _ := strings.Cut(c.Market, "/")
	switch {
	case c.Provider == "binance-usdm":
		return market.ClassFuture
	case c.Provider != "polygon" && c.Provider != "alpaca" || kind == "crypto":
		return market.ClassCrypto
	case kind == "options":
		return market.ClassOption
	case kind == "futures":
		return market.ClassFuture
	case kind == "forex":
		return market.ClassForex
	case kind == "indices":
		return market.ClassIndex
	}
	return market.ClassStock
}
